"""Watching deployments: which one is next, and how one looks while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from deployer import rollout
from deployer.commands.parts.following import POLL_SECONDS
from deployer.commands.parts.standing import Standing
from deployer.commands.parts.target import plain
from deployer.model import Book, Deployment, Phase
from deployer.ports import Clock, LookAgain
from deployer.text import who

if TYPE_CHECKING:
    from rich.table import Table

# Of what has ended while nobody looked, so many can be caught up with.
RECENT = 20


class Ledger(Protocol):
    """What is read of `ports.Ledger`."""

    def look(self) -> Book: ...
    def history(self, limit: int) -> list[Deployment]: ...
    def find(self, deployment_id: str) -> Deployment | None: ...


class Watch:
    """What has been seen so far, so that nothing is watched twice and nothing is missed.

    What had ended when it began is of no interest.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen = {each.id for each in ledger.history(RECENT)}

    def next(self, clock: Clock, tell: Callable[[str], None]) -> Deployment | None:
        """The deployment that is under way, or begins next, or has ended meanwhile. None: time is over."""
        waits = trouble = False
        while True:
            try:
                found = self._look()
                trouble = False
            except LookAgain as error:
                found = None
                if not trouble:
                    tell(f"looking again: {plain(str(error))}")
                trouble = True
            if found:
                self._seen.add(found.id)
                return found
            if clock.remaining() <= 0:
                return None
            if not waits:
                tell("nothing is under way; waiting for the next deployment")
                waits = True
            clock.sleep(POLL_SECONDS)

    def _look(self) -> Deployment | None:
        book = self._ledger.look()
        # After the book: what ends in between is in both then. The oldest that nobody has watched.
        for each in reversed(self._ledger.history(RECENT)):
            if each.id not in self._seen:
                return each
        going = rollout.underway(book)
        return going or max(book.open, key=lambda each: (each.requested_at, each.id), default=None)


@dataclass(frozen=True)
class Stay:
    """A phase, since when, why, and how long it lasted; `goes_on`: so far."""

    phase: Phase
    since: datetime
    seconds: float
    because: str
    goes_on: bool


def stays(deployment: Deployment, now: datetime) -> list[Stay]:
    """The phases that a deployment has been in. Of its end, `seconds` is how long all of it took."""
    moments = [(Phase.REQUESTED, deployment.requested_at, asked_by(deployment))]
    moments += [(each.phase, each.at, plain(each.because)) for each in deployment.timeline]
    found = []
    for number, (phase, since, because) in enumerate(moments):
        last = number == len(moments) - 1
        ended = last and phase in rollout.ENDED
        begin = deployment.requested_at if ended else since
        until = since if ended else now if last else moments[number + 1][1]
        # Two clocks may differ: nothing lasts less than no time.
        seconds = max(0.0, (until - begin).total_seconds())
        found.append(Stay(phase, since, seconds, because, goes_on=last and not ended))
    return found


def asked_by(deployment: Deployment) -> str:
    """Who or what asked for it, in words."""
    by = f" by {plain(who(deployment.by))}" if deployment.by else ""
    why = f": {plain(deployment.why)}" if deployment.why else ""
    return f"{deployment.source}{by}{why}"


class Lines:
    """Tells each phase once, when it begins, and how long the one before it was."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told = 0

    def show(self, standing: Standing) -> None:
        """Tell what is new."""
        if standing.deployment is None:
            return
        found = stays(standing.deployment, standing.deployment.since)
        for number, stay in enumerate(found[self._told :], self._told):
            if number == 0:
                self._tell(f"deployment {plain(standing.deployment.id)} of {standing.deployment.image}")
            before = found[number - 1] if number else None
            took = f"  ({before.phase} took {before.seconds:.1f} s)" if before else ""
            self._tell(f"{stay.since:%H:%M:%S}  {stay.phase:<10}  {stay.because}{took}")
        self._told = len(found)


class Board:
    """The same as a table that is drawn anew while the clock runs; rich draws it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deployment: Deployment | None = None

    def show(self, standing: Standing) -> None:
        """This is to be seen from now on."""
        self._deployment = standing.deployment or self._deployment

    def __rich__(self) -> Table | str:
        """As it is now. Foreign words are text: no markup in them means anything."""
        from rich.table import Table
        from rich.text import Text

        deployment = self._deployment
        if deployment is None:
            return ""
        title = Text(f"deployment {plain(deployment.id)} of {deployment.image}", style="bold")
        table = Table("at (UTC)", "phase", "took", "because", title=title, title_justify="left", box=None)
        for stay in stays(deployment, self._clock.now()):
            took = f"{stay.seconds:.1f} s" + (" ..." if stay.goes_on else "")
            style = _STYLES.get(stay.phase, "bold" if stay.goes_on else "")
            table.add_row(
                f"{stay.since:%H:%M:%S}", Text(stay.phase, style=style), Text(took), Text(stay.because)
            )
        return table


_STYLES = {
    Phase.SUCCEEDED: "bold green",
    Phase.REVERTED: "bold red",
    Phase.REJECTED: "bold red",
    Phase.STUCK: "bold reverse red",
    Phase.SUPERSEDED: "bold yellow",
    Phase.REVERTING: "yellow",
}
