"""Reading a log: the newest lines, a bounded number of pages, and each line once."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from deployer.aws.logs import LogLine, LogPage
from deployer.commands.parts.log_reading import LATE_MS, MOST_PAGES, follow, recent
from deployer.ports import LookAgain
from tests.fakes import START, FakeClock

BEGIN = int(START.timestamp() * 1000)


def line(number: int, at_ms: int | None = None) -> LogLine:
    return LogLine(f"id-{number}", BEGIN + (number if at_ms is None else at_ms), "worker", f"line {number}")


@dataclass
class FakeLog:
    """CloudWatch's: pages of so many lines, in the order of their times."""

    lines: list[LogLine]
    size: int = 2
    reads: list[int] = field(default_factory=list)
    troubles: int = 0

    def read(self, since_ms: int, page: str | None = None) -> LogPage:
        self.reads.append(since_ms)
        if self.troubles:
            self.troubles -= 1
            raise LookAgain("FilterLogEvents: ThrottlingException")
        found = sorted((each for each in self.lines if each.at_ms >= since_ms), key=lambda each: each.at_ms)
        begin = int(page or 0)
        end = begin + self.size
        return LogPage(tuple(found[begin:end]), str(end) if end < len(found) else None)


def test_the_last_lines_are_kept_whatever_page_they_are_on() -> None:
    log = FakeLog([line(number) for number in range(7)])

    lines, more = recent(log, START, 3)

    assert [each.message for each in lines] == ["line 4", "line 5", "line 6"]
    assert more
    assert recent(log, START, 7) == (log.lines, False)


def test_no_more_pages_are_read_than_allowed() -> None:
    log = FakeLog([line(number) for number in range(2 * MOST_PAGES + 1)])

    lines, more = recent(log, START, 1000)

    assert (len(lines), more, len(log.reads)) == (2 * MOST_PAGES, True, MOST_PAGES)


def test_following_tells_each_line_once_and_those_that_come_late() -> None:
    log, trouble = FakeLog([line(1, at_ms=20_000)]), list[str]()
    first, _ = recent(log, START, 10)
    followed = follow(log, first, START, FakeClock(60), trouble.append)

    log.lines += [line(2, at_ms=21_000), line(3, at_ms=15_000)]
    log.troubles = 2
    found = list(islice(followed, 2))

    assert [each.message for each in found] == ["line 3", "line 2"]
    assert trouble == ["looking again: FilterLogEvents: ThrottlingException"]
    assert log.reads[-1] == BEGIN + 20_000 - LATE_MS
    assert list(followed) == []
