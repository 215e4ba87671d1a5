"""Times and durations as people read them, and the span of time that a dashboard looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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


def stamp(at: datetime) -> str:
    """The date and the time, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def brief(at: datetime) -> str:
    """The same without what seldom matters: the year and the seconds."""
    return f"{at.astimezone(UTC):%b %-d, %H:%M}"


def ago(at: datetime, now: datetime) -> str:
    """How long it is past."""
    return f"{lasts(now - at)} ago"


def lasts(duration: timedelta) -> str:
    """As a person would say it. Clocks differ: nothing takes less than no time."""
    seconds = max(0, round(duration.total_seconds()))
    minutes, hours = seconds // 60, seconds // 3600
    if seconds < 120:
        return f"{seconds} s"
    if minutes < 120:
        return f"{minutes} min {seconds % 60} s" if minutes < 10 else f"{minutes} min"
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"


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
