"""What is so now: what is live, under way and held, and which messages were not delivered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from deployer.model import Book, Deployment, Phase, Version, VersionState
from deployer.page.html import CELL, NAME, Html, element, foreign, text, words
from deployer.page.marks import badge, word
from deployer.page.parts import MOST, card, digest, more, muted, release, unread
from deployer.page.sight import Sight
from deployer.text import who
from deployer.times import ago, lasts, stamp


def trouble(problems: Sequence[str]) -> Iterator[Html]:
    """Why something is missing."""
    if problems:
        told = [element("p", foreign(problem)) for problem in problems[:MOST]]
        yield card("bad", "Could not be read", *told, *more(problems), part="trouble")


def now_cards(sight: Sight) -> Html:
    """What is so now."""
    book, now = sight.book, sight.now
    cards = (_live(sight), _under_way(book, now), _held(book, now), _untold(book, now))
    return element("div", *cards, of="cards")


def _live(sight: Sight) -> Html:
    book, history, live, now = sight.book, sight.history, sight.live, sight.now
    if live is None:
        return unread("Live", "live")
    known = [*(book.open if book else ()), *(history or ())]
    revision = next((each.revision for each in known if each.image == live.image and each.revision), None)
    unknown = "could not be read" if book is None or history is None else "not in the ledger"
    since = live_since(sorted(known, key=lambda each: each.id, reverse=True), live)
    number = text(f"version {live.number}")
    lines = [
        element("p", foreign(revision, NAME) if revision else number, of="fact"),
        element("p", *([number, words(" ")] if revision else []), digest(live.image.digest)),
        muted(f"since {stamp(since)} ({ago(since, now)})" if since else f"since when: {unknown}"),
    ]
    if live.state is not VersionState.ACTIVE:
        lines.append(element("p", text(f"Lambda calls it {live.state}. "), foreign(live.reason)))
    # What the stack was created with is nobody's release, and nothing to be glad of.
    tone_of_it = "bad" if live.state is VersionState.FAILED else "good" if known else ""
    return card(tone_of_it, "Live", *lines, part="live")


def live_since(deployments: Iterable[Deployment], live: Version) -> datetime | None:
    """When `live` came to this version, if the newest deployment that moved it, moved it there."""
    for deployment in deployments:
        moved = next((m.at for m in deployment.timeline if m.phase is Phase.CONFIRMING), None)
        if moved is None:
            continue
        left_on = deployment.live.number if deployment.live else deployment.version
        if left_on != live.number:
            return None  # on its way back, or somebody moved it by hand since
        return moved if deployment.version == live.number else deployment.since
    return None


def _under_way(book: Book | None, now: datetime) -> Html:
    if book is None:
        return unread("Under way", "under-way")
    if not book.open:
        return card("quiet", "Under way", muted("nothing"), part="under-way")
    told = [_open(each, now) for each in book.open[:MOST]]
    return card("busy", "Under way", *told, *more(book.open), part="under-way")


def _open(deployment: Deployment, now: datetime) -> Html:
    waits = deployment.phase is Phase.REQUESTED
    said = badge("calm" if waits else "busy", "waiting" if waits else word(deployment.phase))
    lines = [element("p", said, words(" "), *release(deployment))]
    if deployment.because:
        lines.append(element("p", foreign(deployment.because, CELL)))
    phase = "" if waits else f"for {lasts(now - deployment.since)}, "
    lines.append(muted(f"{phase}requested {ago(deployment.requested_at, now)}"))
    return element("div", *lines, of="open")


def _held(book: Book | None, now: datetime) -> Html:
    if book is None:
        return unread("Hold", "hold")
    if book.hold is None:
        return card("quiet", "Hold", muted("none: the next push deploys"), part="hold")
    hold = book.hold
    return card(
        "care",
        "Hold",
        element("p", words("held by "), element("strong", foreign(who(hold.by), NAME))),
        element("p", foreign(hold.because)),
        muted(f"since {stamp(hold.since)} ({ago(hold.since, now)})"),
        part="hold",
    )


def _untold(book: Book | None, now: datetime) -> Html:
    if book is None:
        return unread("Messages", "messages")
    if not book.notices:
        return card("quiet", "Messages", muted("all delivered"), part="messages")
    lines = [
        element(
            "p",
            words(f"{word(each.deployment.phase)} "),
            *release(each.deployment),
            words(
                f" {_tries(each.tries)}"
                + (f", again in {lasts(each.again_at - now)}" if each.again_at else "")
            ),
        )
        for each in book.notices[:MOST]
    ]
    tried = any(each.tries for each in book.notices)
    title = f"Messages: {len(book.notices)} not delivered yet"
    return card("care" if tried else "", title, *lines, *more(book.notices), part="messages")


def _tries(tries: int) -> str:
    return "not tried yet" if tries == 0 else "tried once" if tries == 1 else f"tried {tries} times"
