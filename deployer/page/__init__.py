"""What the dashboard shows. Pure: what was read comes in, HTML goes out.

For a CloudWatch custom widget: no script, no iframe, nothing from elsewhere, and a `<style>` is kept. The
class `cwdb-no-default-styles` turns CloudWatch's own styles off: the page looks the same there as in any
browser (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html).

Every text comes from somebody else in the end: a label of an image, a reason with a check's answer in it, the
name in a hold. `html.text` is the only way from foreign text to `Html`: it makes printable, escapes and cuts.
No foreign text stands in a tag's name, in a class, in the style sheet or in an address.

`data-part`, `data-outcome` and `data-verb` name what programs look for; nothing here reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from deployer.model import Book, Deployment, Version
from deployer.outcomes import FAILURES
from deployer.page import actions, cards
from deployer.page.banner import banner
from deployer.page.failure import failure
from deployer.page.html import NOTHING, Html, element
from deployer.page.sight import Sight
from deployer.page.style import PALETTES, style
from deployer.page.table import figures, history_table
from deployer.page.timeline import timeline
from deployer.page.times import Span, said
from deployer.page.widget import WIDTH, theme
from deployer.stats import Stats

__all__ = ["HISTORY", "PALETTES", "RANGE", "Span", "answer", "cannot", "render", "theme"]

HISTORY = 20  # rows of the table
RANGE = 500  # deployments of the time range that are drawn, at most
_AROUND = 50  # pixels of the page's and the card's edges


def render(
    book: Book | None,
    history: Sequence[Deployment] | None,
    live: Version | None,
    *,
    now: datetime,
    theme: str,
    service: str,
    repository_uri: str,
    problems: Sequence[str] = (),
    span: Span | None = None,
    ranged: Sequence[Deployment] | None = None,
    stats: Stats | None = None,
    deployer: str | None = None,
    fields: Mapping[str, str] | None = None,
    width: int = WIDTH,
) -> str:
    """The whole page, under 200 KB of UTF-8 whatever is in the ledger.

    `history` is what ended, newest first, whenever that was: what is so now hangs on it. `ranged` is what
    ended in `span`, the time range of the dashboard, newest first, of which `stats` are the figures. What
    could not be read is None, and `problems` says why. `theme` is `light` or `dark`; `service` names the
    service function; `deployer` is the ARN of the deployer's, for the buttons; `fields` is what their form
    had in it; `width` is the widget's, in pixels.
    """
    newest = None if history is None else history[:HISTORY]
    sight = Sight(book, newest, live, now, problems)
    calls = bool(newest and newest[0].phase in FAILURES)
    told = failure(newest, now)
    return _page(
        theme,
        banner(service, sight),
        *cards.trouble(problems),
        cards.now_cards(sight),
        told if calls else NOTHING,
        actions.actions(sight, deployer=deployer, fields=fields or {}) if deployer else NOTHING,
        _drawn(sight, ranged, span, width),
        figures(stats),
        NOTHING if calls else told,
        _table(sight, ranged, span, repository_uri),
    )


def cannot(problem: str, theme: str) -> str:
    """The page when there is nothing to look at: why."""
    return _page(theme, *cards.trouble([problem]))


def answer(said_by_deployer: object, theme: str) -> str:
    """What the deployer answered to a button, for the popup."""
    return _page(theme, actions.answer(said_by_deployer))


def _drawn(sight: Sight, ranged: Sequence[Deployment] | None, span: Span | None, width: int) -> Html:
    if span is None or ranged is None:
        return NOTHING
    going = [each for each in (sight.book.open if sight.book else ()) if span.holds(each.requested_at)]
    cut = len(ranged) >= RANGE
    return timeline(ranged[:RANGE], going[-RANGE:], span, sight.now, width - _AROUND, cut=cut)


def _table(sight: Sight, ranged: Sequence[Deployment] | None, span: Span | None, repository_uri: str) -> Html:
    """Of the time range, if there is anything in it."""
    if ranged and span:
        title = f"The newest of {said(span, sight.now)}"
        return history_table(sight.book, ranged[:HISTORY], title, repository_uri)
    title = "The newest deployments" + ("; none ended in the time range" if span and sight.history else "")
    return history_table(sight.book, sight.history, title, repository_uri)


def _page(theme: str, *parts: Html) -> str:
    return element(
        "div", element("style", Html(style(theme))), *parts, of="cwdb-no-default-styles deployments"
    )
