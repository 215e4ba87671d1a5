"""The span of time that a dashboard looks at, and what is written along it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from deployer.times import lasts

DAY = timedelta(days=1)
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True)
class Span:
    """From `since` until `until`, which is later."""

    since: datetime
    until: datetime

    @property
    def lasts(self) -> timedelta:
        """How long it is."""
        return self.until - self.since

    def holds(self, at: datetime) -> bool:
        """Is `at` in it?"""
        return self.since <= at < self.until


def brief(at: datetime) -> str:
    """The same without what seldom matters: the year and the seconds."""
    return f"{at.astimezone(UTC):%b %-d, %H:%M}"


def said(span: Span, now: datetime) -> str:
    """The span in words, in the middle of a sentence."""
    length = lasts(span.lasts)
    length = "2 days" if length == "48 h" else length
    if abs(now - span.until) < 2 * _MINUTE:
        return f"the last {length}"
    return f"{brief(span.since)} to {brief(span.until)}"


_STEPS = [
    *(count * _MINUTE for count in (1, 5, 15, 30)),
    *(count * _HOUR for count in (1, 3, 6, 12)),
    *(count * DAY for count in (1, 2, 3, 7, 14, 28, 56, 112, 364)),
]
_ORIGIN = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday, so that weeks begin on one


def ticks(span: Span, most: int) -> list[tuple[datetime, str]]:
    """Round times in the span, at most so many (or one), each with what to write at it."""
    step = next((each for each in _STEPS if span.lasts / each <= most), _STEPS[-1])
    at = _ORIGIN + ((span.since - _ORIGIN) // step) * step
    found: list[tuple[datetime, str]] = []
    while at < span.until and len(found) < max(1, most) + 1:
        if span.holds(at):
            midnight = at.hour == at.minute == 0
            found.append((at, f"{at:%b %-d}" if midnight or step >= DAY else f"{at:%H:%M}"))
        at += step
    return found[: max(1, most)]
