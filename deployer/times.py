"""Times and durations as people read them. Pure; everything is UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def stamp(at: datetime) -> str:
    """The date and the time, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


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
