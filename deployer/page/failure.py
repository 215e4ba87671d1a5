"""The last failure in full: what failed, how it went, what was changed, and the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from deployer.message import reason
from deployer.model import CheckResult, Deployment, Origin, Phase, Verdict
from deployer.outcomes import last_failure
from deployer.page.canvas import counted
from deployer.page.html import CELL, NAME, NOTHING, Html, element, foreign, text, words
from deployer.page.marks import outcome, tone, word
from deployer.page.parts import MOST, card, digest, more, muted, release, unread
from deployer.text import who
from deployer.times import ago, lasts, stamp

_LOG = 6_000
_STEPS = 10


def failure(history: Sequence[Deployment] | None, now: datetime) -> Html:
    """In full. One that a later deployment left behind is told, but calls nobody."""
    if history is None:
        return unread("Last failure", "failure")
    failed = last_failure(history)
    if failed is None:
        looked = f"none in the last {counted(len(history))}" if history else "none"
        return card("quiet", "Last failure", muted(looked), part="failure")
    verdict = failed.failed_verdict
    head = (
        element("p", outcome(failed.phase), words(" "), *release(failed), of="fact"),
        element("p", foreign(reason(failed))),
        muted(f"{stamp(failed.since)} ({ago(failed.since, now)}). {_users(failed)}"),
    )
    sides = (
        element("div", _checks(verdict) if verdict else NOTHING, _changed(failed)),
        element("div", _steps(failed), _log(verdict) if verdict else NOTHING),
    )
    tone_of_it = tone(failed.phase) if failed is history[0] else ""
    return card(tone_of_it, "Last failure", *head, element("div", *sides, of="sides"), part="failure")


def _log(verdict: Verdict) -> Html:
    said = verdict.log_tail.strip()
    if not said:
        return NOTHING
    title = "The function's last log lines"
    # It scrolls, so the keyboard has to reach it.
    lines = element("pre", text(said, _LOG), auto=True)
    box = element("div", lines, of="log", tabindex="0", role="region", aria_label=title)
    return element("div", element("h3", words(title)), box, of="pair")


def _users(deployment: Deployment) -> str:
    """Who can have met it: only one that set out to move `live` was ever before users."""
    if deployment.live and deployment.live.number == deployment.version:
        return "Users are on it."
    met = next((moment.at for moment in deployment.timeline if moment.phase is Phase.PROMOTING), None)
    if met is None:
        return "No user met it."
    return f"Users may have met it from {met:%H:%M:%S} until {deployment.since:%H:%M:%S}."


def _checks(verdict: Verdict) -> Html:
    bad = [result for result in verdict.results if not result.passed]
    if not bad:
        return NOTHING
    heads = [element("th", words(name), scope="col") for name in ("check", "expected", "actual")]
    rows = [_check(result) for result in bad[:MOST]]
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", *heads)),
            element("tbody", *rows),
            of="checks",
        ),
        *more(bad),
        of="pair",
    )


def _check(result: CheckResult) -> Html:
    tries = "1 try" if result.tries == 1 else f"{result.tries} tries"
    return element(
        "tr",
        element("td", foreign(result.name, NAME), of="check"),
        element("td", foreign(result.expected), data_label="expected"),
        element("td", foreign(result.actual), words(f" ({tries})"), data_label="actual"),
    )


def _changed(deployment: Deployment) -> Html:
    """From what to what, as the images' labels say."""
    before, after = deployment.before, deployment.origin
    was = deployment.previous
    rows: list[tuple[str, list[Html]]] = []
    if was:
        shown = [foreign(before.revision, NAME), words(" ")] if before.revision else []
        rows.append(("before", [*shown, digest(was.image.digest), text(f" version {was.number}")]))
    numbered = [text(f" version {deployment.version}")] if deployment.version else []
    rows.append(("this release", [*release(deployment), *numbered]))
    rows += [(name, [foreign(said, CELL)]) for name, said in _labels(after)]
    if deployment.by:
        why = f": {deployment.why}" if deployment.why else ""
        rows.append((f"{deployment.source.value} by", [foreign(f"{who(deployment.by)}{why}", CELL)]))
    inner = [part for name, said in rows for part in (element("dt", words(name)), element("dd", *said))]
    return element("div", element("h3", words("What changed")), element("dl", *inner), of="pair")


def _labels(origin: Origin) -> Iterator[tuple[str, str]]:
    if origin.built_by:
        yield "built by", origin.built_by
    if origin.committed_at:
        yield "committed", stamp(origin.committed_at)
    if origin.url:
        yield "source", origin.url


def _steps(deployment: Deployment) -> Html:
    """How it went, phase by phase."""
    moments = deployment.timeline[-_STEPS:]
    ends = [moment.at for moment in moments[1:]]
    rows = []
    for n, moment in enumerate(moments):
        lasted = lasts(ends[n] - moment.at) if n < len(ends) else ""
        rows.append(
            element(
                "li",
                element("span", words(f"{moment.at:%H:%M:%S}"), of="time"),
                element("span", words(word(moment.phase))),
                element("span", words(lasted), of="time"),
                element("span", foreign(moment.because, CELL), of="because"),
            )
        )
    return element("div", element("h3", words("How it went")), element("ol", *rows, of="steps"), of="pair")
