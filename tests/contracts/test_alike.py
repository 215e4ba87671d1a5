"""Whatever is done, in whatever order: the in-memory function and the sandbox's end up alike.

The sentences of test_function.py are what somebody thought of. Here moves are drawn and made in both, and
after each of them both must look the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.model import Image, Version, VersionState
from deployer.ports import LookAgain, Refused
from tests.contracts.functions import PENDING_SECONDS, UPDATE_SECONDS, Hands, Memory, Sandbox
from tests.sandbox import lambdas

IMAGES = ("first", "two", "three", "arm", "a list")
IMAGE = st.integers(0, len(IMAGES) - 1)
VERSION = st.integers(1, 4).map(str)
MOVES = st.one_of(
    # What goes well, thrice: what is drawn by chance alone seldom gets to a second version.
    *[st.tuples(st.just("release"), IMAGE)] * 3,
    st.tuples(st.just("update"), IMAGE),
    st.tuples(st.just("update from an older revision"), IMAGE),
    st.tuples(st.just("publish"), IMAGE),
    st.tuples(st.just("publish what latest is"), st.none()),
    st.tuples(st.just("publish from an older revision"), IMAGE),
    st.tuples(st.just("point live"), VERSION),
    st.tuples(st.just("point live from an older revision"), VERSION),
    st.tuples(st.just("ask where live is"), VERSION),
    st.tuples(st.just("invoke"), VERSION | st.just("live")),
    st.tuples(st.just("wait"), st.sampled_from([1.0, PENDING_SECONDS, UPDATE_SECONDS])),
    st.tuples(st.just("nobody comes for weeks"), st.none()),
    st.tuples(st.just("somebody deletes"), IMAGE),
    st.tuples(st.just("somebody updates"), IMAGE),
    st.tuples(st.just("somebody configures"), st.none()),
    st.tuples(st.just("somebody moves live"), VERSION),
)


class Told:
    """One of the two, in words that can be compared: revisions and digests are its own."""

    def __init__(self, there: Hands) -> None:
        self.there = there
        self.images = [
            there.first,
            there.push("two"),
            there.push("three"),
            there.push("arm", "arm64"),
            there.push_index("a list"),
        ]
        self.gone: set[int] = set()
        self.made = {"1"}
        self.revision, self.live_revision = there.function.latest().revision, self._live_revision()

    def make(self, move: str, what: Any) -> object:
        """What came of it: what it gave back, or the word it was answered with."""
        function, latest = self.there.function, self.there.function.latest()
        stale = "a revision that there never was"
        calls: dict[str, Callable[[], object]] = {
            "release": lambda: self._version(self._release(what)),
            "update": lambda: function.update_code(*self._architecture(what), latest.revision),
            "update from an older revision": lambda: function.update_code(*self._architecture(what), stale),
            "publish": lambda: self._version(function.publish(self.images[what], latest.revision)),
            "publish what latest is": lambda: self._version(function.publish(latest.image, latest.revision)),
            "publish from an older revision": lambda: function.publish(self.images[what], stale),
            "point live": lambda: function.point_live(what, self._live_revision()),
            "point live from an older revision": lambda: function.point_live(what, stale),
            "ask where live is": lambda: bool(function.live_revision(what)),
            "invoke": lambda: self._answer(what),
            "wait": lambda: self.there.wait(what),
            "nobody comes for weeks": self.there.idle,
            "somebody deletes": lambda: self._delete(what),
            "somebody updates": lambda: self.there.update(self.images[what]),
            "somebody configures": self.there.configure,
            "somebody moves live": lambda: self._move(what),
        }
        try:
            return calls[move]()
        except (LookAgain, Refused, ClientError) as error:
            # A person's call is not translated in the sandbox.
            return "no" if move.startswith("somebody") else type(error).__name__

    def looks(self) -> object:
        """Everything that the port shows, and which revisions have changed since it was looked at last."""
        latest, moved = self.there.function.latest(), self._live_revision()
        changed = (latest.revision != self.revision, moved != self.live_revision)
        self.revision, self.live_revision = latest.revision, moved
        live = self.there.function.live()
        return (
            (self.images.index(latest.image), latest.status, latest.architecture, latest.reason[:13]),
            changed,
            self._version(live),
            [self._version(self.there.function.version(number)) for number in sorted(self.made)],
        )

    def _version(self, version: Version) -> object:
        self.made.add(version.number)
        failed = version.reason[:13] if version.state is VersionState.FAILED else ""
        return version.number, self.images.index(version.image), version.state, failed

    def _live_revision(self) -> str:
        return self.there.function.live_revision(self.there.function.live().number)

    def _architecture(self, what: int) -> tuple[Image, str]:
        return self.images[what], "arm64" if IMAGES[what] == "arm" else "x86_64"

    def _release(self, what: int) -> Version:
        self.there.function.update_code(*self._architecture(what), self.there.function.latest().revision)
        self.there.wait(UPDATE_SECONDS)
        return self.there.function.publish(self.images[what], self.there.function.latest().revision)

    def _answer(self, qualifier: str) -> object:
        answer = self.there.function.invoke(qualifier, b"{}")
        return answer.executed_version, self.images.index(self.there.ran(answer))

    def _delete(self, what: int) -> None:
        if what not in self.gone:
            self.gone.add(what)
            self.there.delete(self.images[what])

    def _move(self, number: str) -> None:
        self.there.function.version(number)
        self.there.move_live(number)


@pytest.fixture(scope="module")
def sandboxed() -> Iterator[Callable[[], Hands]]:
    """A new function in one sandbox."""
    with lambdas.world() as made:
        yield lambda: Sandbox(made)


@settings(max_examples=20)
@given(moves=st.lists(MOVES, min_size=5, max_size=25))
def test_the_function_in_memory_and_the_sandboxs_stay_alike(
    sandboxed: Callable[[], Hands], moves: list[tuple[str, Any]]
) -> None:
    memory, sandbox = Told(Memory()), Told(sandboxed())
    for number, (move, what) in enumerate(moves):
        then = f"after move {number}, {move} ({what})"
        assert memory.make(move, what) == sandbox.make(move, what), then
        assert memory.looks() == sandbox.looks(), then
