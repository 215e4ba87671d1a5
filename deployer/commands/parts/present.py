"""How things are before a command is given, for the question whether to give it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from deployer import orders, placeholder, rollout
from deployer.commands.parts.digests import NoSuchDigest, whole
from deployer.commands.parts.target import Stack, Unusable, plain, understood
from deployer.model import Book, Deployment, Image, Origin, Phase, Quarantine, Version, short
from deployer.ports import LookAgain, Refused
from deployer.text import who

# As far back as the deployer itself looks for a way back.
REMEMBERED = 100


class Ledger(Protocol):
    """What is read of `ports.Ledger`."""

    def look(self) -> Book: ...
    def history(self, limit: int) -> list[Deployment]: ...


@dataclass(frozen=True)
class Present:
    """What users are on, what is going on, and what was. `live` is the number of a version; None: it could
    not be read."""

    service: str
    live: str | None
    book: Book
    history: Sequence[Deployment]

    @property
    def digests(self) -> Iterator[str]:
        """All that are remembered."""
        for each in (*self.book.open, *self.history):
            yield each.image.digest
            if each.previous:
                yield each.previous.image.digest

    @property
    def users(self) -> str:
        """What users are on, as a sentence."""
        return f"Users are on {self.version(self.live)}." if self.live else "What is live could not be read."

    @property
    def held(self) -> str:
        """Who holds, as a sentence; empty: nobody."""
        hold = self.book.hold
        if hold is None:
            return ""
        return (
            f"Deployments are held by {plain(who(hold.by))} ({plain(hold.because)}), hold {plain(hold.id)}."
        )

    @property
    def under_way(self) -> str:
        """What is going on, as a sentence; empty: nothing."""
        going = rollout.underway(self.book)
        if going is None:
            return ""
        image = self.image(going.image.digest)
        return f"Deployment {plain(going.id)} of {image} is under way, in {going.phase}."

    def sentences(self, *sentences: str) -> str:
        """Those that are not empty, as one text."""
        return " ".join(each for each in sentences if each)

    def version(self, number: str | None) -> str:
        """A version as people read it, with its image and revision, if they are remembered."""
        image = self._image_of(number)
        if image is None:
            return f"version {plain(number or '?')}"
        revision = self._origin(image.digest).revision
        told = f"{plain(revision)}, {image}" if revision else str(image)
        return f"version {plain(number or '?')} ({told})"

    def image(self, digest: str) -> str:
        """An image as people read it, with its revision, if that is remembered."""
        revision = self._origin(digest).revision
        return f"{plain(revision)} ({short(digest)})" if revision else short(digest)

    def way_back(self, quarantine: Callable[[str], Quarantine | None]) -> Version | None:
        """Where a rollback goes that names no target; None: the deployer has to find out."""
        image = self._image_of(self.live)
        if self.live is None or image is None:
            return None
        placeholders = placeholder.digests()
        return next(
            (
                each
                for each in orders.earlier(Version(self.live, image), self.history)
                if each.image.digest not in placeholders and quarantine(each.image.digest) is None
            ),
            None,
        )

    def _image_of(self, number: str | None) -> Image | None:
        for each in self.history:
            if number and each.version == number and each.phase is not Phase.REJECTED:
                return each.image
            for version in (each.live, each.previous):
                if version and version.number == number:
                    return version.image
        return None

    def _origin(self, digest: str) -> Origin:
        for each in (*self.book.open, *self.history):
            if each.image.digest == digest and each.origin != Origin():
                return each.origin
            if each.previous and each.previous.image.digest == digest and each.before != Origin():
                return each.before
        return Origin()


def after_a_no(ledger: Ledger, then: Callable[[Book], str]) -> Callable[[], str]:
    """What to do next when a command was refused, as things are then; empty if that cannot be read."""

    def next_() -> str:
        with suppress(LookAgain, Refused):
            return then(ledger.look())
        return ""

    return next_


def digest(stack: Stack, ledger: Ledger, text: str, option: str) -> str:
    """The digest that a person means by `text`. Raises `Unusable` if that is none, or several."""
    try:
        return whole(text, ())  # whole already: nothing has to be read
    except NoSuchDigest:
        known = list(read(stack, ledger).digests)
    try:
        return whole(text, known)
    except NoSuchDigest as error:
        raise Unusable(f"{option}: {error}. Nothing was done") from None


def read(stack: Stack, ledger: Ledger) -> Present:
    """How things are. Raises `Unusable` if the ledger cannot be read; the alias may be out of sight."""
    with understood("reading the ledger"):
        book = ledger.look()
        history = ledger.history(REMEMBERED)
    try:
        live = stack.live().version()
    except (LookAgain, Refused):
        live = None
    return Present(stack.output("ServiceFunctionName"), live, book, history)
