"""What cards and rows are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deployer.model import Deployment, short
from deployer.page.html import Html, element, foreign, words

_REVISION = 90  # bytes; forty are a whole commit
MOST = 5  # open deployments, problems, failed checks ... that are told one by one


def card(tone_of_it: str, title: str, *lines: Html, part: str) -> Html:
    """A box; without a tone, one that asks for no attention."""
    of = f"{tone_of_it} card".strip()
    return element("section", element("h3", words(title)), *lines, of=of, data_part=part)


def muted(said: str) -> Html:
    """A line that nobody has to read."""
    return element("p", words(said), of="muted")


def release(deployment: Deployment) -> Iterator[Html]:
    """What was to be deployed: its revision, if that is known, and its digest."""
    if deployment.revision:
        yield element("strong", foreign(deployment.revision, _REVISION))
        yield words(" ")
    yield digest(deployment.image.digest)


def digest(whole: str) -> Html:
    return element("code", words(short(whole)), title=whole)


def unread(title: str, part: str) -> Html:
    return card("bad", title, muted("could not be read"), part=part)


def more(told: Sequence[object]) -> Iterator[Html]:
    if len(told) > MOST:
        yield muted(f"and {len(told) - MOST} more")
