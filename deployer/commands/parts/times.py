"""Times on the command line, and how they are told. Everything is UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_AGO = re.compile(r"(\d{1,5})([mhdw])")
_UNITS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_MOST = timedelta(days=36_500)
SAID = "an ISO 8601 time with its zone, or how long ago it was: 90m, 24h, 7d, 4w"


def past(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    """An option's callback: the time that was said. Raises `click.BadParameter`."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago:
        return datetime.now(UTC) - min(_MOST, int(ago[1]) * _UNITS[ago[2]])
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text[:80]!r} is not {SAID}, such as 2026-03-01T03:00:00Z") from None
    if time.tzinfo is None or not 1 < time.year < 9999:  # no arithmetic with zones leads out of the calendar
        raise click.BadParameter(f"{text[:80]!r} has no zone, or no year. Write 2026-03-01T03:00:00Z")
    return time.astimezone(UTC)


def at(time: datetime) -> str:
    """To the second."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def lasts(duration: timedelta) -> str:
    """As a person would say it. Clocks differ: nothing takes less than no time."""
    seconds = max(0, round(duration.total_seconds()))
    minutes, hours = seconds // 60, seconds // 3600
    if seconds < 120:
        return f"{seconds} s"
    if minutes < 120:
        return f"{minutes} min {seconds % 60} s" if minutes < 10 else f"{minutes} min"
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"


def ago(time: datetime, now: datetime) -> str:
    """How long ago it was."""
    return f"{lasts(now - time)} ago"
