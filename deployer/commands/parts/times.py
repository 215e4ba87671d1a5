"""Times as people type them. Everything is UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from deployer.text import shown

SAID = "an ISO 8601 time with its zone, or how long ago it was: 30s, 90m, 24h, 7d, 4w"
_AGO = re.compile(r"([0-9]{1,5})([smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
# Before this there is nothing to find, and CloudWatch Logs counts from here.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITE = "Write 2026-03-01T03:00:00Z"


class NoTime(ValueError):
    """It is no time; the message says what would be one."""


def moment(text: str, now: datetime) -> datetime:
    """The time that `text` means. Raises `NoTime`."""
    ago = _AGO.fullmatch(text)
    if ago:
        return max(EPOCH, now - int(ago[1]) * _UNITS[ago[2]])
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise NoTime(f"not {SAID}: {shown(text)}. {_WRITE}") from None
    if time.tzinfo is None:
        raise NoTime(f"a time without a zone: {shown(text)}. {_WRITE}")
    if not EPOCH.year <= time.year < 9999:  # no arithmetic with zones leads out of the calendar
        raise NoTime(f"a year that is none here: {shown(text)}. {_WRITE}")
    return max(EPOCH, time.astimezone(UTC))


def past(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    """An option's callback: the time that was said. Raises `click.BadParameter`."""
    try:
        return None if text is None else moment(text, datetime.now(UTC))
    except NoTime as error:
        raise click.BadParameter(str(error)) from None
