"""Watching: which deployment is next, and how one looks while it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from rich.console import Console

from deployer.commands.parts.standing import of
from deployer.commands.parts.watching import Board, Lines, Stay, Watch, stays
from deployer.model import Book, Deployment, Phase, Source
from deployer.ports import LookAgain
from tests.deployments import deployment, moved
from tests.fakes import START, FakeClock

ARN = "arn:aws:sts::123456789012:assumed-role/on-call/alice"


@dataclass
class Film:
    """A ledger in which something happens between one look and the next: a frame is one look."""

    frames: list[tuple[Book, list[Deployment]] | LookAgain]
    ended: list[Deployment] = field(default_factory=list)

    def look(self) -> Book:
        frame = self.frames.pop(0) if len(self.frames) > 1 else self.frames[0]
        if isinstance(frame, LookAgain):
            raise frame
        book, self.ended = frame
        return book

    def history(self, limit: int) -> list[Deployment]:
        return self.ended[:limit]

    def find(self, deployment_id: str) -> Deployment | None:
        return next((each for each in self.ended if each.id == deployment_id), None)


OLD, WAITS, GOES = deployment(1, Phase.SUCCEEDED), deployment(2), deployment(3, Phase.UPDATING)
QUICK, NEXT = deployment(4, Phase.REJECTED), deployment(5, Phase.SUCCEEDED)


def test_what_is_under_way_is_watched_before_what_waits() -> None:
    film = Film([(Book(open=(WAITS, GOES)), [])])

    assert Watch(film).next(FakeClock(60), print) == GOES


def test_else_the_next_one_to_begin_is_waited_for_and_said_to_be() -> None:
    lines: list[str] = []
    film = Film([(Book(), [OLD]), LookAgain("slow"), (Book(), [OLD]), (Book(open=(WAITS,)), [OLD])], [OLD])

    assert Watch(film).next(FakeClock(60), lines.append) == WAITS
    assert lines == [
        "nothing is under way; waiting for the next deployment",
        "looking again: slow",
    ]


def test_what_ended_between_two_looks_is_not_missed_and_nothing_is_watched_twice() -> None:
    film = Film([(Book(), [NEXT, QUICK, OLD])], [OLD])
    watch, clock = Watch(film), FakeClock(5)

    assert [watch.next(clock, print) for _ in range(3)] == [QUICK, NEXT, None]


def test_each_phase_has_how_long_it_lasted_and_the_end_how_long_all_of_it_took() -> None:
    going = moved(moved(deployment(), Phase.UPDATING, "a"), Phase.VERIFYING, "b")
    asked = replace(going, source=Source.DEPLOY, by=ARN, why="hotfix")
    at = going.requested_at

    assert stays(asked, at + timedelta(seconds=9)) == [
        Stay(Phase.REQUESTED, at, 2, "deploy by alice (on-call): hotfix", goes_on=False),
        Stay(Phase.UPDATING, at + timedelta(seconds=2), 2, "a", goes_on=False),
        Stay(Phase.VERIFYING, at + timedelta(seconds=4), 5, "b", goes_on=True),
    ]
    assert stays(moved(going, Phase.SUCCEEDED, "c"), at)[-1].seconds == 6
    assert stays(going, at)[-1].seconds == 0


def test_lines_tell_each_phase_once() -> None:
    lines: list[str] = []
    shown = Lines(lines.append)

    shown.show(of(GOES))
    shown.show(of(GOES))
    shown.show(of(moved(GOES, Phase.REVERTING, "\x1b[31mbad")))

    assert lines == [
        f"deployment {GOES.id} of {GOES.image}",
        "03:03:00  REQUESTED   push",
        "03:03:02  UPDATING    GET /health answered 503  (REQUESTED took 2.0 s)",
        "03:03:04  REVERTING   \ufffd[31mbad  (UPDATING took 2.0 s)",
    ]


def test_the_table_shows_foreign_words_as_they_are() -> None:
    board = Board(FakeClock(60))
    console = Console(width=120, force_terminal=False, record=True)
    console.print(board)
    board.show(of(moved(replace(GOES, requested_at=START), Phase.VERIFYING, "[red]bad[/red] \x1b[2J")))

    console.print(board)

    drawn = console.export_text()
    assert "[red]bad[/red] \ufffd[2J" in drawn
    assert " ..." in drawn
