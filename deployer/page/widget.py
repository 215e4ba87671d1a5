"""What CloudWatch says of a widget: `widgetContext`, of which nothing is trusted.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from deployer.page.times import Span

WIDTH = 1000  # pixels, when nobody says
DEFAULT = timedelta(days=7)
_LONGEST = timedelta(days=3 * 366)  # what is older, nobody scrolls to
_FIELD = 700  # characters; an ARN is long


@dataclass(frozen=True)
class Widget:
    """Where the page is shown."""

    span: Span  # the dashboard's time range
    theme: str = "light"
    width: int = WIDTH
    fields: Mapping[str, str] = field(default_factory=dict)  # what was typed in before


def read(event: object, now: datetime) -> Widget:
    """What can be read of it; what cannot is as if it had not been said."""
    context = _inside(event, "widgetContext")
    fields = _inside(_inside(context, "forms"), "all")
    width = context.get("width")
    return Widget(
        _span(_inside(context, "timeRange"), now),
        theme(event),
        width if isinstance(width, int) and 0 < width < 100_000 else WIDTH,
        {key: said[:_FIELD] for key in ("by", "because") if isinstance(said := fields.get(key), str)},
    )


def theme(event: object) -> str:
    """`light` or `dark`."""
    return "dark" if _inside(event, "widgetContext").get("theme") == "dark" else "light"


def _span(given: Mapping[object, object], now: datetime) -> Span:
    """Somebody who has marked a part of a graph looks at that: `zoom` comes before the rest."""
    zoom = _inside(given, "zoom")
    since, until = (_moment(zoom.get(name)) or _moment(given.get(name)) for name in ("start", "end"))
    until = until or now
    since = since or until - DEFAULT
    if not timedelta(0) < until - since:
        return Span(now - DEFAULT, now)
    return Span(max(since, until - _LONGEST), until)


def _moment(milliseconds: object) -> datetime | None:
    """Milliseconds since 1970, between 2001 and 2200."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    if not 1e12 < milliseconds < 7.3e12:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _inside(found: object, key: str) -> Mapping[object, object]:
    within = found.get(key) if isinstance(found, dict) else None
    return within if isinstance(within, dict) else {}
