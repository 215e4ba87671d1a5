"""Following a digest: each move is told once, trouble is waited out, and time ends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from deployer import facts
from deployer.commands.parts.following import RECENT, end, follow, record
from deployer.commands.parts.standing import Outcome, Standing
from deployer.model import Book, Deployment, Moment, Phase
from deployer.ports import LookAgain
from tests.fakes import START, UNHEALTHY, FakeClock, World, image

DIGEST = image("mine").digest
NAMES: Any = {"service": "shuking-prod", "deployer": "shuking-prod-deployer"}


@dataclass
class Film:
    """A ledger in which something happens between one look and the next: a frame is one look."""

    frames: list[tuple[Book, list[Deployment]] | LookAgain]
    asked: list[str] = field(default_factory=list)
    history_now: list[Deployment] = field(default_factory=list)

    def look(self) -> Book:
        self.asked.append("look")
        frame = self.frames.pop(0) if len(self.frames) > 1 else self.frames[0]
        if isinstance(frame, LookAgain):
            raise frame
        book, self.history_now = frame
        return book

    def history(self, limit: int) -> list[Deployment]:
        self.asked.append(f"history {limit}")
        return self.history_now


def requested() -> Deployment:
    return replace(World().request("mine"), requested_at=START)


def moved(deployment: Deployment, phase: Phase, because: str) -> Deployment:
    at = deployment.since + timedelta(seconds=2)
    return replace(deployment, phase=phase, timeline=(*deployment.timeline, Moment(at, phase, because)))


def followed(film: Film, seconds: float = 60) -> tuple[Standing, list[str]]:
    lines: list[str] = []
    tell: Callable[[str], None] = lines.append
    return follow(film, DIGEST, START, FakeClock(seconds), tell), lines


def test_each_move_is_told_once_with_its_reason() -> None:
    waits = requested()
    updating = moved(waits, Phase.UPDATING, "preflight passed")
    succeeded = moved(updating, Phase.SUCCEEDED, "live is version 2")
    film = Film(
        [
            (Book(), []),
            (Book(open=(waits,)), []),
            (Book(open=(updating,)), []),
            (Book(open=(updating,)), []),
            (Book(settled=DIGEST), [succeeded]),
        ]
    )

    standing, lines = followed(film)

    assert standing == Standing(Outcome.LIVE, succeeded)
    assert lines == [
        f"deployment {waits.id}, asked for by push, 2026-03-01 03:00:00 UTC",
        "03:00:02  UPDATING    preflight passed",
        "03:00:04  SUCCEEDED   live is version 2",
    ]


def test_a_deployment_that_ended_between_two_looks_is_told_whole() -> None:
    ended = moved(moved(requested(), Phase.UPDATING, "a"), Phase.REVERTING, "b")
    ended = moved(ended, Phase.REVERTED, "c")

    standing, lines = followed(Film([(Book(), []), (Book(settled=DIGEST), [ended])]))

    assert standing.outcome is Outcome.ENDED_BADLY
    assert [line.split()[1] for line in lines[1:]] == ["UPDATING", "REVERTING", "REVERTED"]


def test_what_cannot_be_read_now_is_read_again() -> None:
    succeeded = moved(requested(), Phase.SUCCEEDED, "live already")
    busy = LookAgain("Query: ThrottlingException: slow down")
    film = Film([busy, busy, (Book(settled=DIGEST), [succeeded])])

    standing, lines = followed(film)

    assert standing == Standing(Outcome.LIVE, succeeded)
    assert [line for line in lines if "looking again" in line] == [
        "looking again: Query: ThrottlingException: slow down"
    ]


def test_trouble_in_the_end_is_told_with_what_was_true_before_it() -> None:
    updating = moved(requested(), Phase.UPDATING, "preflight passed")
    film = Film([(Book(open=(updating,)), []), LookAgain("no connection")])

    standing, _ = followed(film, seconds=5)

    assert standing == Standing(Outcome.GOING_ON, updating, trouble="no connection")
    told = end(DIGEST, START, standing, **NAMES)
    assert "has not ended yet: it is UPDATING since 03:00:02 UTC (preflight passed)" in told
    assert "The last look at the ledger failed: no connection." in told


def test_time_ends_it_and_a_look_is_the_least_there_is() -> None:
    film = Film([(Book(), [])])

    standing, lines = followed(film, seconds=0)

    assert (standing, lines) == (Standing(Outcome.NEVER_SEEN), [])
    assert film.asked == ["look", f"history {RECENT}"]


def test_the_history_is_read_only_when_it_can_change_the_answer() -> None:
    film = Film([(Book(open=(requested(),)), [])])

    followed(film, seconds=3)

    assert set(film.asked) == {"look"}


def test_foreign_words_stay_on_their_line() -> None:
    nasty = moved(requested(), Phase.REVERTED, "GET /health answered \x1b[2J\n03:00:09  SUCCEEDED   live")

    _, lines = followed(Film([(Book(), [nasty])]))

    assert len(lines) == 2
    assert "\x1b" not in lines[1]


def test_a_bad_end_is_told_with_why_and_what_to_do_and_without_the_timeline_again() -> None:
    world = World()
    world.push("good")
    world.answers("bad", UNHEALTHY)
    reverted = world.push("bad")

    told = end(reverted.image.digest, START, Standing(Outcome.ENDED_BADLY, reverted), **NAMES)

    assert told.startswith("shuking-prod: release sha256:")
    assert "was reverted: GET /health answered 503" in told
    assert "Users stayed on version" in told
    assert f"deployer retry {reverted.image.digest} --reason" in told
    assert "Timeline" not in told


def test_what_was_never_seen_says_from_when_on_it_looked() -> None:
    told = end(DIGEST, START, Standing(Outcome.NEVER_SEEN), **NAMES)

    assert f"nothing was seen of a deployment of {DIGEST} since 2026-03-01 02:59:00 UTC" in told
    assert "--since" in told


def test_one_that_waits_for_its_turn_says_so() -> None:
    told = end(DIGEST, START, Standing(Outcome.GOING_ON, requested()), **NAMES)

    assert "it is REQUESTED since 03:00:00 UTC (it waits for its turn)" in told


def test_the_record_for_programs_names_outcome_deployment_and_reason() -> None:
    reverting = moved(requested(), Phase.REVERTING, "GET /health answered 503")
    reverted = moved(reverting, Phase.REVERTED, "users are on version 1")

    told = record(DIGEST, Standing(Outcome.ENDED_BADLY, reverted))

    assert told == facts.of_deployment(reverted) | {
        "digest": DIGEST,
        "outcome": "ended badly",
        "dealt_with_before": False,
    }
    assert (told["phase"], told["failure"]) == ("REVERTED", "GET /health answered 503")
    json.dumps(told)
    assert record(DIGEST, Standing(Outcome.NEVER_SEEN))["deployment"] is None
