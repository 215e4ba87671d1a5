"""What the dashboard shows. Pure: what was read comes in, HTML goes out.

For a CloudWatch custom widget: no script, no iframe, and a `<style>` is kept. The class
`cwdb-no-default-styles` turns CloudWatch's own styles off: the page looks the same there as in any browser
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html).

Every text comes from somebody else in the end: a label of an image, a reason with a check's answer in it, the
name in a hold. `_text` is the only way from foreign text to `Html`: it cuts, makes printable and escapes. No
foreign text stands in a tag's name, in a class or in the style sheet.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from string import Template
from typing import NewType

from deployer.message import reason
from deployer.model import Book, Deployment, Phase, Version, VersionState, short
from deployer.text import first, printable

HISTORY = 20  # rows of the table

# Bytes of UTF-8 before escaping, which makes six of one at worst. Together they keep the page under 200 KB.
_NAME = 120
_SENTENCE = 500
_CELL = 300
_MOST = 5  # open deployments, or problems, that are told one by one

Html = NewType("Html", str)


@dataclass(frozen=True)
class Palette:
    """The colours of a theme. A tone is text and background; a test holds their contrast at 4.5 or more."""

    text: str
    muted: str
    page: str
    card: str
    line: str
    good: tuple[str, str]
    bad: tuple[str, str]
    care: tuple[str, str]
    busy: tuple[str, str]
    calm: tuple[str, str]


PALETTES = {
    "light": Palette(
        text="#16191f",
        muted="#545b64",
        page="#ffffff",
        card="#fafbfb",
        line="#d5dbdb",
        good=("#176329", "#e6f4e9"),
        bad=("#a5130b", "#fdecea"),
        care=("#704600", "#fff3d6"),
        busy=("#0a5299", "#e6f1fb"),
        calm=("#414750", "#eceff1"),
    ),
    "dark": Palette(
        text="#e9ebed",
        muted="#a9b4bf",
        page="#161d26",
        card="#1b232d",
        line="#3b4754",
        good=("#86d997", "#15331d"),
        bad=("#ffa69e", "#451a18"),
        care=("#f7c873", "#3a2a0b"),
        busy=("#93c8ff", "#122c45"),
        calm=("#c3ccd5", "#2b343f"),
    ),
}

# An ended deployment's tone. The word is always there too: colour alone tells some people nothing.
_TONES = {
    Phase.SUCCEEDED: "good",
    Phase.REVERTED: "bad",
    Phase.REJECTED: "care",
    Phase.SUPERSEDED: "calm",
    Phase.STUCK: "bad",
}
_FAILURES = frozenset({Phase.REVERTED, Phase.REJECTED, Phase.STUCK})


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
) -> str:
    """The whole page, under 200 KB of UTF-8 whatever is in the ledger.

    `history` is what ended, newest first. What could not be read is None, and `problems` says why. `theme` is
    `light` or `dark`; `service` names the service function.
    """
    shown = None if history is None else history[:HISTORY]
    return _page(
        theme,
        _element(
            "div",
            _element("h2", _text(service, _NAME), auto=True),
            _headline(book, shown, live, problems),
            _element("span", _text(f"as of {_time(now)}, all times UTC"), of="muted"),
            of="head",
        ),
        *_trouble(problems),
        _element(
            "div",
            _live(book, shown, live, now),
            _under_way(book, now),
            _held(book, now),
            _last_failure(shown, now),
            of="cards",
        ),
        _history(book, shown, repository_uri),
    )


def cannot(problem: str, theme: str) -> str:
    """The page when there is nothing to look at: why."""
    return _page(theme, *_trouble([problem]))


# -- at a glance -----------------------------------------------------------------------------------------


def _headline(
    book: Book | None, history: Sequence[Deployment] | None, live: Version | None, problems: Sequence[str]
) -> Html:
    """The one thing to know first. What needs a person comes before what does not."""
    newest = history[0] if history else None
    if newest and newest.phase is Phase.STUCK:
        return _badge("bad", "STUCK: a person is needed")
    if live and live.state is VersionState.FAILED:
        return _badge("bad", "the live version cannot run")
    if problems:
        return _badge("bad", "not everything could be read")
    if book and book.hold:
        return _badge("care", "held")
    if book and book.open:
        begun = next((each for each in book.open if each.phase is not Phase.REQUESTED), None)
        return _badge("busy", f"deploying: {_word(begun.phase)}" if begun else "a release is waiting")
    if newest is None:
        return _badge("calm", "no release yet")
    if newest.phase is not Phase.SUCCEEDED:
        return _badge(_TONES.get(newest.phase, "calm"), f"the last release was {_word(newest.phase)}")
    if live and live.image != newest.image:
        return _badge("care", "live is not on the last release")
    return _badge("good", "the last release is live")


def _trouble(problems: Sequence[str]) -> Iterator[Html]:
    if problems:
        told = [_element("p", _foreign(problem)) for problem in problems[:_MOST]]
        yield _card("bad", "Could not be read", *told, *_more(problems))


def _live(
    book: Book | None, history: Sequence[Deployment] | None, live: Version | None, now: datetime
) -> Html:
    if live is None:
        return _unread("Live")
    known = [*(book.open if book else ()), *(history or ())]
    revision = next((each.revision for each in known if each.image == live.image and each.revision), None)
    unknown = "could not be read" if book is None or history is None else "not in the ledger"
    since = _live_since(sorted(known, key=lambda each: each.id, reverse=True), live)
    lines = [
        _element("p", _text(f"version {live.number}", _NAME), of="fact"),
        _element("p", *_release(live.image.digest, revision)),
        _muted(f"since {_time(since)} ({_ago(since, now)})" if since else f"since when: {unknown}"),
    ]
    if live.state is not VersionState.ACTIVE:
        lines.append(_element("p", _text(f"Lambda calls it {live.state}. "), _foreign(live.reason)))
    # What the stack was created with is nobody's release, and nothing to be glad of.
    tone = "bad" if live.state is VersionState.FAILED else "good" if known else ""
    return _card(tone, "Live", *lines)


def _live_since(deployments: Iterable[Deployment], live: Version) -> datetime | None:
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
        return _unread("Under way")
    if not book.open:
        return _card("", "Under way", _muted("nothing"))
    return _card("busy", "Under way", *(_open(each, now) for each in book.open[:_MOST]), *_more(book.open))


def _open(deployment: Deployment, now: datetime) -> Html:
    waits = deployment.phase is Phase.REQUESTED
    word = _badge("calm" if waits else "busy", "waiting" if waits else _word(deployment.phase))
    lines = [_element("p", word, _text(" "), *_release(deployment.image.digest, deployment.revision))]
    if deployment.because:
        lines.append(_element("p", _foreign(deployment.because)))
    phase = "" if waits else f"for {_lasts(now - deployment.since)}, "
    lines.append(_muted(f"{phase}requested {_ago(deployment.requested_at, now)}"))
    return _element("div", *lines, of="open")


def _held(book: Book | None, now: datetime) -> Html:
    if book is None:
        return _unread("Hold")
    if book.hold is None:
        return _card("", "Hold", _muted("none: the next push deploys"))
    hold = book.hold
    return _card(
        "care",
        "Hold",
        _element("p", _text("held by "), _element("strong", _foreign(hold.by, _NAME))),
        _element("p", _foreign(hold.because)),
        _muted(f"since {_time(hold.since)} ({_ago(hold.since, now)})"),
    )


def _last_failure(history: Sequence[Deployment] | None, now: datetime) -> Html:
    if history is None:
        return _unread("Last failure")
    failed = next((each for each in history if each.phase in _FAILURES), None)
    if failed is None:
        return _card(
            "", "Last failure", _muted(f"none in the last {HISTORY} deployments" if history else "none")
        )
    # A failure that a later deployment left behind is told, but calls nobody.
    return _card(
        _TONES.get(failed.phase, "calm") if failed is history[0] else "",
        "Last failure",
        _element("p", _outcome(failed.phase), _text(" "), *_release(failed.image.digest, failed.revision)),
        _element("p", _foreign(reason(failed))),
        _muted(f"{_time(failed.since)} ({_ago(failed.since, now)})"),
    )


# -- the table -------------------------------------------------------------------------------------------

_COLUMNS = ("pushed", "outcome", "revision", "digest", "push to end", "reason")


def _history(book: Book | None, history: Sequence[Deployment] | None, repository_uri: str) -> Html:
    if history is None:
        return Html("")
    if not history:
        if book is None or book.open:
            return Html("")
        push = f"docker push {repository_uri}:RELEASE_TAG"
        return _element(
            "div",
            _element("p", _text("No release yet. Push an image under the stack's release tag:")),
            _element("pre", _text(push, _SENTENCE)),
        )
    heads = [_element("th", _text(name)) for name in _COLUMNS]
    return _element(
        "table",
        _element("thead", _element("tr", *heads)),
        _element("tbody", *(_row(each) for each in history)),
    )


def _row(deployment: Deployment) -> Html:
    told = ". ".join([reason(deployment), *(f"Note: {warning}" for warning in deployment.warnings)])
    return _element(
        "tr",
        _element("td", _text(_time(deployment.requested_at)), of="time"),
        _element("td", _outcome(deployment.phase), of="word"),
        _element("td", *_revision(deployment.revision), of="revision"),
        _element("td", _digest(deployment.image.digest), of="word"),
        _element("td", _text(_lasts(deployment.since - deployment.requested_at)), of="time took"),
        _element("td", _foreign(told, _CELL), of="reason"),
    )


# -- parts -----------------------------------------------------------------------------------------------


def _card(tone: str, title: str, *lines: Html) -> Html:
    """A box; without a `tone`, one that asks for no attention."""
    return _element("div", _element("h3", _text(title)), *lines, of=f"{tone} card".strip())


def _unread(title: str) -> Html:
    return _card("bad", title, _muted("could not be read"))


def _more(told: Sequence[object]) -> Iterator[Html]:
    if len(told) > _MOST:
        yield _muted(f"and {len(told) - _MOST} more")


def _release(digest: str, revision: str | None) -> Iterator[Html]:
    for known in _revision(revision):
        yield _element("strong", known)
        yield _text(" ")
    yield _digest(digest)


def _revision(revision: str | None) -> Iterator[Html]:
    if revision:
        yield _foreign(revision, _NAME)


def _digest(digest: str) -> Html:
    return _element("code", _text(short(digest)), title=digest)


def _outcome(phase: Phase) -> Html:
    return _badge(_TONES.get(phase, "calm"), _word(phase))


def _word(phase: Phase) -> str:
    return phase.value if phase is Phase.STUCK else phase.value.lower()


def _badge(tone: str, text: str) -> Html:
    return _element("span", _text(text), of=f"badge {tone}")


def _muted(text: str) -> Html:
    return _element("p", _text(text), of="muted")


# -- time ------------------------------------------------------------------------------------------------


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _ago(at: datetime, now: datetime) -> str:
    return f"{_lasts(now - at)} ago"


def _lasts(duration: timedelta) -> str:
    """As a person would say it. Clocks differ: nothing takes less than no time."""
    seconds = max(0, round(duration.total_seconds()))
    minutes, hours = seconds // 60, seconds // 3600
    if seconds < 120:
        return f"{seconds} s"
    if minutes < 120:
        return f"{minutes} min {seconds % 60} s" if minutes < 10 else f"{minutes} min"
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"


# -- HTML ------------------------------------------------------------------------------------------------


def _text(text: str, size: int = _NAME) -> Html:
    """The only way from `str` to `Html`: at most `size` bytes, nothing that moves or hides text, escaped."""
    return Html(html.escape(printable(first(text, size)), quote=True))


def _foreign(text: str, size: int = _SENTENCE) -> Html:
    """A text in whatever script: it finds its own direction and does not turn round what stands beside it."""
    return _element("span", _text(text, size), auto=True)


def _element(name: str, *children: Html, of: str = "", title: str = "", auto: bool = False) -> Html:
    """One element; `of` is its class, of our own words only."""
    attributes = f' class="{of}"' if of else ""
    if title:
        attributes += f' title="{_text(title)}"'
    if auto:
        attributes += ' dir="auto"'
    return Html(f"<{name}{attributes}>{''.join(children)}</{name}>")


def _page(theme: str, *parts: Html) -> str:
    # A theme that CloudWatch may add one day is shown in the light one: no foreign word reaches the style.
    palette = PALETTES.get(theme, PALETTES["light"])
    style = _element("style", Html(_style(palette)))
    return _element("div", style, *parts, of="cwdb-no-default-styles deployments")


def _style(palette: Palette) -> str:
    colours = asdict(palette)
    tones = {name: colours.pop(name) for name in ("good", "bad", "care", "busy", "calm")}
    rules = [
        f".deployments .{name}.badge {{ color: {text}; background: {background} }}\n"
        f".deployments .{name}.card {{ border-inline-start: 4px solid {text} }}\n"
        for name, (text, background) in tones.items()
    ]
    return _STYLE.substitute(colours) + "".join(rules)


# Widths follow the widget's own, which is a part of a dashboard, not the window's.
_STYLE = Template("""
.deployments { container-type: inline-size; padding: 12px; color: $text; background: $page;
  font: 13px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; text-align: start }
.deployments * { box-sizing: border-box; margin: 0; padding: 0; min-width: 0 }
.deployments .head { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; margin-bottom: 10px }
.deployments h2 { font-size: 16px; font-weight: 600 }
.deployments h3 { font-size: 11px; font-weight: 600; color: $muted; text-transform: uppercase;
  letter-spacing: .05em; margin-bottom: 3px }
.deployments .muted { color: $muted; font-size: 12px }
.deployments code, .deployments pre { font: 12px/1.45 ui-monospace, monospace }
.deployments .badge { display: inline-block; padding: 0 7px; border-radius: 9px; font-size: 12px;
  font-weight: 600; white-space: nowrap }
.deployments .cards { display: grid; gap: 8px; margin-bottom: 12px;
  grid-template-columns: repeat(4, 1fr) }
.deployments .card { padding: 8px 10px; overflow: hidden; background: $card; border: 1px solid $line;
  border-radius: 4px }
.deployments > .card { margin-bottom: 8px }
.deployments .open + .open { margin-top: 6px }
.deployments .fact { font-size: 18px; font-weight: 600; line-height: 1.3 }
.deployments pre { margin-top: 6px; padding: 8px 10px; white-space: pre-wrap; background: $card;
  border: 1px solid $line; border-radius: 4px }
.deployments table { width: 100%; border-collapse: collapse }
.deployments th { padding: 3px 12px 3px 0; color: $muted; font-size: 12px; font-weight: 600;
  text-align: start; white-space: nowrap }
.deployments td { padding: 4px 12px 4px 0; vertical-align: baseline; border-top: 1px solid $line }
.deployments .time, .deployments .word { white-space: nowrap; font-variant-numeric: tabular-nums }
.deployments .revision { width: 16% }
.deployments .reason { width: 40% }
@container (max-width: 960px) {
  .deployments .cards { grid-template-columns: repeat(2, 1fr) }
  .deployments thead { display: none }
  .deployments table, .deployments tbody { display: block }
  .deployments tr { display: flex; flex-wrap: wrap; align-items: baseline; gap: 1px 10px; padding: 6px 0;
    border-top: 1px solid $line }
  .deployments td { padding: 0; border: 0; width: auto }
  .deployments .revision { width: auto }
  .deployments .revision:empty { display: none }
  .deployments .took::before { content: "in " }
  .deployments .reason { width: 100% }
}
@container (max-width: 460px) {
  .deployments .cards { grid-template-columns: 1fr }
}
""")
