"""Reading a function's log: what was written since then, and what is being written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Protocol

from deployer.aws.logs import LogLine, LogPage
from deployer.commands.parts.target import plain
from deployer.ports import Clock, LookAgain

# A line is a page's worth at most 256 KB, a page 1 MB or 10,000 lines: so much is read, and no more.
MOST_PAGES = 100
POLL_SECONDS = 2.0  # CloudWatch allows an account five of these reads a second in some Regions
# Lines are not there in the order of their times: a line may come so much later than one that is newer.
LATE_MS = 10_000
_MOST_SEEN = 100_000


class Log(Protocol):
    """`aws.logs.LogGroup` is one."""

    def read(self, since_ms: int, page: str | None = None) -> LogPage: ...


def recent(log: Log, since: datetime, limit: int) -> tuple[list[LogLine], bool]:
    """The last `limit` lines since then, the oldest first; and whether there may be more of them."""
    kept: deque[LogLine] = deque(maxlen=limit)
    count, page = 0, None
    for _ in range(MOST_PAGES):
        read = log.read(_ms(since), page)
        kept.extend(read.lines)
        count += len(read.lines)
        page = read.next
        if page is None:
            return sorted(kept, key=lambda each: each.at_ms), count > limit
    return sorted(kept, key=lambda each: each.at_ms), True


def follow(
    log: Log, lines: list[LogLine], since: datetime, clock: Clock, tell: Callable[[str], None]
) -> Iterator[LogLine]:
    """What is written after `lines`, each line once, while the clock's time lasts. What cannot be read now is
    read again."""
    seen = dict.fromkeys(each.id for each in lines)
    newest = max((each.at_ms for each in lines), default=_ms(since))
    trouble = False
    while clock.remaining() > 0:
        try:
            fresh, _ = recent(log, _time(max(newest - LATE_MS, _ms(since))), _MOST_SEEN)
            trouble = False
        except LookAgain as error:
            fresh = []
            if not trouble:
                tell(f"looking again: {plain(str(error))}")
            trouble = True
        for each in fresh:
            if each.id not in seen:
                seen[each.id] = None
                newest = max(newest, each.at_ms)
                yield each
        while len(seen) > _MOST_SEEN:
            del seen[next(iter(seen))]
        clock.sleep(POLL_SECONDS)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
