"""The newest deployments as a table, and the figures of DORA."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from deployer.message import reason
from deployer.model import Book, Deployment, Phase
from deployer.page.html import CELL, NOTHING, SENTENCE, Html, element, foreign, text, words
from deployer.page.marks import outcome
from deployer.page.parts import muted, release
from deployer.stats import Stats
from deployer.text import who
from deployer.times import lasts, stamp

_UNKNOWN = "none"
_COLUMNS = ("pushed", "outcome", "release", "push to end", "reason")


def figures(stats: Stats | None) -> Html:
    """Deployment frequency, change failure rate, time to restore, lead time."""
    if stats is None or not (stats.deployments or stats.caught):
        return NOTHING
    rate = stats.failure_rate
    lead = (
        f"from commit to live, in the middle of {stats.lead_known}"
        if stats.lead
        else "no commit's time is known"
    )
    tiles = (
        ("Deployments a day", _number(stats.per_day), f"{stats.deployments} came to users"),
        (
            "Change failure rate",
            _UNKNOWN if rate is None else f"{rate:.0%}",
            f"{stats.failed} of {stats.deployments} failed; {stats.caught} caught before users",
        ),
        (
            "Time to restore",
            _middle(stats.restore),
            f"in the middle of {stats.restored}" if stats.restored else "no failure that users met",
        ),
        ("Lead time", _middle(stats.lead), lead),
    )
    return element(
        "div",
        *(
            element(
                "div",
                element("h3", words(name)),
                element("p", words(value), of="value"),
                muted(told),
                of="card",
            )
            for name, value, told in tiles
        ),
        of="figures",
        data_part="figures",
    )


def _number(per_day: float) -> str:
    return f"{per_day:.1f}" if per_day >= 0.1 or per_day == 0 else f"{per_day:.2f}"


def _middle(duration: timedelta | None) -> str:
    return _UNKNOWN if duration is None else lasts(duration)


def history_table(
    book: Book | None, shown: Sequence[Deployment] | None, title: str, repository_uri: str
) -> Html:
    """The newest, one in a row; before the first, how to make it."""
    if shown is None:
        return NOTHING
    if not shown:
        if book is None or book.open:
            return NOTHING
        push = f"docker push {repository_uri}:RELEASE_TAG"
        return element(
            "div",
            element("p", words("No release yet. Push an image under the stack's release tag:")),
            element("pre", text(push, SENTENCE)),
            data_part="first",
        )
    heads = [element("th", words(name), scope="col") for name in _COLUMNS]
    return element(
        "table",
        element("caption", words(title)),
        element("thead", element("tr", *heads)),
        element("tbody", *(_row(each) for each in shown)),
        of="history",
        data_part="history",
    )


def _row(deployment: Deployment) -> Html:
    asked = f"{deployment.source.value} by {who(deployment.by)}. " if deployment.by else ""
    told = asked + ". ".join([reason(deployment), *(f"Note: {warning}" for warning in deployment.warnings)])
    quiet = "muted" if deployment.phase is Phase.SUCCEEDED and not deployment.warnings else ""
    return element(
        "tr",
        element("td", words(stamp(deployment.requested_at)), of="time"),
        element("td", outcome(deployment.phase), of="word"),
        element("td", *release(deployment), of="release"),
        element("td", words(lasts(deployment.since - deployment.requested_at)), of="time took"),
        element("td", foreign(told, CELL), of=f"reason {quiet}".strip()),
        data_outcome=deployment.phase.value,
    )
