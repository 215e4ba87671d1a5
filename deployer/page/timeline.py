"""The deployments along time, as SVG.

One bar is one deployment: as high as it took from push to end, its phases one on the other, its outcome a
mark under it, its revision below. Bars stand where they belong in time, moved apart where they would cover
each other. When there are more than there is room for, a bar is an interval, and as high as the deployments
in it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from deployer.model import Deployment, Phase, short
from deployer.outcomes import FAILURES
from deployer.page.canvas import (
    FOOT,
    HIGH,
    LEFT,
    MARKS,
    NAMES,
    NARROWEST,
    TOP,
    WIDEST,
    Canvas,
    axis,
    counted,
    scale,
    summary,
)
from deployer.page.html import Html, element, figure, joined, text, words
from deployer.page.intervals import intervals
from deployer.page.marks import OUTCOMES, mark, shape, tone, word
from deployer.page.style import STAGES
from deployer.page.times import Span, said
from deployer.rollout import ENDED
from deployer.text import first, printable
from deployer.times import lasts, stamp

_STAGE = {
    Phase.REQUESTED: "waiting",
    Phase.UPDATING: "updating",
    Phase.VERIFYING: "verifying",
    Phase.PROMOTING: "moving",
    Phase.CONFIRMING: "moving",
    Phase.REVERTING: "reverting",
}
_TOLD = {
    "waiting": "waiting",
    "updating": "updating",
    "verifying": "verifying",
    "moving": "moving users",
    "reverting": "reverting",
}

# Pixels.
_SLOT, _WIDE_SLOT = 11, 30  # of a bar: the least, and the most
_MARK = 15  # as wide as a mark is
_NAME_UNITS = 12  # how many narrow letters of a revision are shown
_UNIT = 6.3
_ROUND = [timedelta(seconds=each) for each in (10, 20, 40, 60, 90)]
_ROUND += [timedelta(minutes=each) for each in (2, 4, 6, 10, 20, 30, 60, 120, 240)]


def timeline(
    ended: Sequence[Deployment],
    going: Sequence[Deployment],
    span: Span,
    now: datetime,
    width: int,
    *,
    cut: bool = False,
) -> Html:
    """The card. `ended` and `going` are in the span; `cut` says that there were more than could be read."""
    every = sorted((*ended, *going), key=lambda each: (each.requested_at, each.id))
    title = element("h3", words(f"Deployments of {said(span, now)}"))
    if not every:
        return element(
            "section",
            title,
            element("p", words("None. A longer time range shows earlier ones."), of="muted"),
            of="card",
            data_part="timeline",
        )
    canvas = Canvas(span, max(NARROWEST, min(width, WIDEST)))
    one_by_one = len(every) * _SLOT <= canvas.right - LEFT
    drawn = _bars(every, canvas, now) if one_by_one else intervals(every, canvas)
    told = summary(every)
    height = (NAMES[-1] + 22) if one_by_one else NAMES[0] + 22
    picture = figure(
        "svg",
        f'class="chart" role="img" viewBox="0 0 {canvas.width} {height}" '
        f'aria-label="{text(f"{counted(len(every))} of {said(span, now)}: {told}")}"',
        axis(canvas, height),
        drawn,
    )
    notes = [element("span", words(f"{counted(len(every))}: {told}"))]
    if took := _took(ended):
        notes.append(element("span", words(took)))
    if cut:
        notes.append(element("span", words(f"these are the newest {len(ended)}; there may be more")))
    return element(
        "section", title, picture, _legend(every, one_by_one), element("p", *notes, of="legend"),
        of="card", data_part="timeline",
    )  # fmt: skip


# -- one by one ------------------------------------------------------------------------------------------


def _bars(every: Sequence[Deployment], canvas: Canvas, now: datetime) -> Html:
    slot = min(_WIDE_SLOT, (canvas.right - LEFT) / len(every))
    wanted = [canvas.x(each.requested_at) for each in every]
    places = apart(wanted, slot, LEFT + slot / 2, canvas.right - slot / 2)
    top = _top(_length(each, now) for each in every)
    bars = [_bar(each, place, slot, top, now) for each, place in zip(every, places, strict=True)]
    return joined([scale(lasts(top), lasts(top / 2)), *bars, *_names(every, places, canvas)])


def _bar(deployment: Deployment, x: float, slot: float, top: timedelta, now: datetime) -> Html:
    wide = min(18.0, slot - 4)
    shrunk = "" if slot >= _MARK else f" scale({slot / _MARK:.2f})"
    length = _length(deployment, now)
    parts = [figure("title", 'class="tip"', text(_tip(deployment, length), 420))]
    parts.append(
        figure(
            "rect", f'class="hit" x="{x - slot / 2:.1f}" y="{TOP}" width="{slot:.1f}" height="{HIGH + 24}"'
        )
    )
    foot = float(FOOT)
    for stage, lasted in _stages(deployment, now):
        high = min(lasted / top * HIGH, foot - TOP)
        if high < 0.4:
            continue
        foot -= high
        drawn = max(1.0, high - 1) if high > 2.5 else high  # a line of ground between one phase and the next
        parts.append(
            figure(
                "rect",
                f'class="stage {stage}" x="{x - wide / 2:.1f}" y="{foot:.1f}" '
                f'width="{wide:.1f}" height="{drawn:.1f}"',
            )
        )
    if length > top:  # too high for the scale: the bar is broken, and says how long it took in its tip
        half = wide / 2 + 1
        parts.append(
            figure("path", f'class="break" d="M{x - half:.1f} {TOP + 13}l{half:.1f}-5 {half:.1f} 5"')
        )
    kind = word(deployment.phase).lower() if deployment.phase in ENDED else "under way"
    placed = f'class="mark {tone(deployment.phase)}" transform="translate({x:.1f} {MARKS}){shrunk}"'
    parts.append(figure("g", placed, shape(kind)))
    return figure("g", f'data-outcome="{kind.replace(" ", "-")}"', *parts)


def _names(every: Sequence[Deployment], places: Sequence[float], canvas: Canvas) -> Iterator[Html]:
    """Revisions, where there is room for them: first those of the newest and of failures."""
    order = sorted(range(len(every)), key=lambda n: (n != len(every) - 1, every[n].phase not in FAILURES, -n))
    taken: dict[int, list[tuple[float, float]]] = {y: [] for y in NAMES}
    for n in order:
        name = narrow(every[n].revision or every[n].image.digest.removeprefix("sha256:"), _NAME_UNITS)
        half = _units(name) * _UNIT / 2 + 4
        at = min(max(places[n], half), canvas.width - half)
        for y, there in taken.items():
            if all(at + half <= begins or at - half >= ends for begins, ends in there):
                there.append((at - half, at + half))
                yield figure(
                    "text", f'class="name" x="{at:.1f}" y="{y}" text-anchor="middle"', text(name, 90)
                )
                break


def apart(wanted: Sequence[float], gap: float, least: float, most: float) -> list[float]:
    """Places in the order of `wanted`, at least `gap` apart, between `least` and `most`, as near to what is
    wanted as can be: whatever would overlap stands together around its middle."""
    groups: list[tuple[float, int]] = []  # the sum and the number of what stands together
    for n, place in enumerate(wanted):
        groups.append((place - n * gap, 1))
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, count = groups.pop()
            groups[-1] = (groups[-1][0] + total, groups[-1][1] + count)
    middles = [total / count for total, count in groups for _ in range(count)]
    highest = max(least, most - (len(wanted) - 1) * gap)
    return [min(max(middle, least), highest) + n * gap for n, middle in enumerate(middles)]


# -- parts -----------------------------------------------------------------------------------------------


def _length(deployment: Deployment, now: datetime) -> timedelta:
    ends = deployment.since if deployment.phase in ENDED else now
    return max(timedelta(0), ends - deployment.requested_at)


def _stages(deployment: Deployment, now: datetime) -> Iterator[tuple[str, timedelta]]:
    """How long it was in each phase, one after the other; an end is none."""
    moments = [(Phase.REQUESTED, deployment.requested_at)]
    moments += [(moment.phase, moment.at) for moment in deployment.timeline]
    ends = [at for _, at in moments[1:]] + [now]
    spent = [
        (_STAGE[phase], max(timedelta(0), end - begins))
        for (phase, begins), end in zip(moments, ends, strict=True)
        if phase in _STAGE
    ]
    for stage, together in groupby(spent, key=lambda each: each[0]):
        yield stage, sum((lasted for _, lasted in together), timedelta(0))


def _top(lengths: Iterable[timedelta]) -> timedelta:
    """What the scale ends at: the longest, unless that would make all others too low to be seen."""
    ranked = sorted(lengths)
    usual = ranked[int((len(ranked) - 1) * 0.8)]
    wanted = min(ranked[-1], 2 * usual)
    return next((each for each in _ROUND if each >= wanted), ranked[-1])


def _tip(deployment: Deployment, length: timedelta) -> str:
    named = f"{deployment.revision} " if deployment.revision else ""
    ending = "in" if deployment.phase in ENDED else "for"
    return (
        f"{stamp(deployment.requested_at)}, {word(deployment.phase)} {ending} {lasts(length)}: "
        f"{named[:60]}{short(deployment.image.digest)}"
    )


def _took(ended: Sequence[Deployment]) -> str:
    live = sorted(_length(each, each.since) for each in ended if each.phase is Phase.SUCCEEDED)
    if not live:
        return ""
    told = f"from push to live: {lasts(live[(len(live) - 1) // 2])} in the middle"
    return f"{told}, {lasts(live[-1])} at most" if len(live) > 1 else told


def _legend(every: Sequence[Deployment], one_by_one: bool) -> Html:
    there = {each.phase for each in every}
    parts = [
        element("span", mark(word(phase).lower(), tone(phase)), words(word(phase)))
        for phase in reversed(OUTCOMES)
        if phase in there
    ]
    if one_by_one:
        used = {
            _STAGE[phase] for each in every for phase in (Phase.REQUESTED, *_phases(each)) if phase in _STAGE
        }
        parts += [element("span", _swatch(stage), words(_TOLD[stage])) for stage in STAGES if stage in used]
    return element("p", *parts, of="legend")


def _phases(deployment: Deployment) -> set[Phase]:
    return {moment.phase for moment in deployment.timeline}


def _swatch(stage: str) -> Html:
    box = figure("rect", f'class="stage {stage}" width="10" height="10" rx="2"')
    return figure(
        "svg", 'viewBox="0 0 10 10" width="10" height="10" aria-hidden="true" focusable="false"', box
    )


def narrow(name: str, units: int) -> str:
    """The beginning of a name, as wide as so many narrow letters; a wide one counts for two."""
    kept, room = "", units
    for character in printable(first(name, 200)):
        room -= _units(character)
        if room < 0:
            return kept + "…"
        kept += character
    return kept


def _units(name: str) -> int:
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in name
    )
