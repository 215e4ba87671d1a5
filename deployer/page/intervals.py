"""The timeline when there are more deployments than there is room for: a bar is an interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from deployer.model import Deployment, Phase
from deployer.outcomes import FAILURES
from deployer.page.canvas import FOOT, HIGH, LEFT, MARKS, NAMES, TOP, Canvas, counted, scale, summary
from deployer.page.html import Html, figure, joined, text, words
from deployer.page.marks import OUTCOMES, shape, tone, word
from deployer.page.times import Span, brief
from deployer.rollout import ENDED

_BIN = 16


def intervals(every: Sequence[Deployment], canvas: Canvas) -> Html:
    count = (canvas.right - LEFT) // _BIN
    length = canvas.span.lasts / count
    bins: list[list[Deployment]] = [[] for _ in range(count)]
    for each in every:
        place = int((each.requested_at - canvas.span.since) / length)
        bins[min(count - 1, max(0, place))].append(each)
    top = max(len(inside) for inside in bins)
    wide = (canvas.right - LEFT) / count
    drawn = [
        _interval(
            inside,
            LEFT + (n + 0.5) * wide,
            wide,
            top,
            Span(canvas.span.since + n * length, canvas.span.since + (n + 1) * length),
        )
        for n, inside in enumerate(bins)
        if inside
    ]
    half = str(top // 2) if top > 1 and top % 2 == 0 else ""
    return joined([scale(str(top), half), *drawn])


def _interval(inside: Sequence[Deployment], x: float, wide: float, top: int, span: Span) -> Html:
    by_phase = Counter(each.phase for each in inside)
    told = f"{brief(span.since)} to {brief(span.until)}: {counted(len(inside))}, {summary(inside)}"
    parts = [figure("title", 'class="tip"', text(told))]
    parts.append(
        figure(
            "rect", f'class="hit" x="{x - wide / 2:.1f}" y="{TOP}" width="{wide:.1f}" height="{HIGH + 24}"'
        )
    )
    foot = float(FOOT)
    for phase in (*(each for each in Phase if each not in ENDED), *reversed(OUTCOMES)):
        if not by_phase[phase]:
            continue
        high = by_phase[phase] / top * HIGH
        foot -= high
        drawn = max(1.0, high - 1) if high > 2.5 else high
        parts.append(
            figure(
                "g",
                f'class="mark {tone(phase)}"',
                figure(
                    "rect",
                    f'class="fill" x="{x - wide / 2 + 2:.1f}" y="{foot:.1f}" '
                    f'width="{wide - 4:.1f}" height="{drawn:.1f}"',
                ),
            )
        )
    # The worst of them is under the bar, and how many: whether a person looks there must not hang
    # on a colour.
    worst = next((each for each in OUTCOMES if by_phase[each] and each in FAILURES), None)
    if worst:
        placed = f'class="mark {tone(worst)}" transform="translate({x:.1f} {MARKS})"'
        parts.append(figure("g", placed, shape(word(worst).lower())))
        bad = sum(by_phase[each] for each in FAILURES)
        if bad > 1:
            where = f'class="count {tone(worst)}" x="{x:.1f}" y="{NAMES[0] - 1}" text-anchor="middle"'
            parts.append(figure("text", where, words(str(bad))))
    return figure("g", f'data-outcome="{word(worst).lower() if worst else "succeeded"}"', *parts)
