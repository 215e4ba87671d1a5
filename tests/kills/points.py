"""Where the deployer is killed: found by watching a release that nobody disturbs, never listed by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from tests.kills.trial import Kill, Kind

THE_LEASE = "UpdateItem: the lease"
# What a deployment changes outside the ledger, and the look at it that users depend on.
TELLING = ("UpdateFunctionCode", "PublishVersion", "Invoke: a version", "UpdateAlias")

# After a read everything in the account is as before it, so one kill is for both.
READS = ("BatchGet", "Describe", "Get", "Query")

Calls = Mapping[Kind, Sequence[str]]
"""The names of an undisturbed release's calls."""


@dataclass(frozen=True)
class Point:
    """Kills of one trial, and the call that the first of them is at."""

    kind: Kind
    name: str
    kills: tuple[Kill, ...]

    def __str__(self) -> str:
        first, *others = self.kills
        when = "after" if first.done else "before"
        then = " and so is every retry" if others else ""
        return f"{self.kind}: killed {when} call {first.number} ({self.name}){then}"


def at_each_call(calls: Calls) -> Iterator[Point]:
    """Before each call and, if it changes anything, after it; of the third kind, where no healthy one is."""
    for kind in Kind:
        same = _same(calls, kind) if kind is Kind.ONLY_THROUGH_LIVE else 0
        for number, name in enumerate(calls[kind], 1):
            if number > same:
                moments = (False,) if name.startswith(READS) else (False, True)
                yield from (Point(kind, name, (Kill(number, done),)) for done in moments)


def at_every_attempt(calls: Calls) -> Iterator[Point]:
    """The first attempt dies after a telling call, each retry as soon as it has the lease."""
    for kind in Kind:
        names = calls[kind]
        retry = Kill(names.index(THE_LEASE) + 1, done=True)
        for name in TELLING:
            if name in names:
                yield Point(kind, name, (Kill(names.index(name) + 1, done=True), retry, retry))


def _same(calls: Calls, kind: Kind) -> int:
    """How many calls it begins with that a healthy release makes, too."""
    pairs = zip(calls[kind], calls[Kind.HEALTHY], strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
