"""Where things are on the timeline: its scales, and what both ways to draw it share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from deployer.model import Deployment, Phase
from deployer.page.html import Html, figure, joined, words
from deployer.page.marks import OUTCOMES, word
from deployer.page.times import Span, ticks
from deployer.rollout import ENDED

# Pixels.
NARROWEST, WIDEST = 300, 1900
LEFT, RIGHT = 52, 10
TOP, HIGH = 10, 108
FOOT = TOP + HIGH
MARKS = FOOT + 14
NAMES = (FOOT + 36, FOOT + 50)


@dataclass(frozen=True)
class Canvas:
    span: Span
    width: int

    @property
    def right(self) -> int:
        return self.width - RIGHT

    def x(self, at: datetime) -> float:
        """Where a moment is."""
        share = (at - self.span.since) / self.span.lasts
        return LEFT + min(1.0, max(0.0, share)) * (self.right - LEFT)


def axis(canvas: Canvas, height: int) -> Html:
    found = ticks(canvas.span, (canvas.right - LEFT) // 72)
    lines = [
        figure("path", f'class="grid" d="M{canvas.x(at):.1f} {TOP}V{FOOT}"')
        + figure("text", f'x="{canvas.x(at):.1f}" y="{height - 5}" text-anchor="middle"', words(told))
        for at, told in found
    ]
    ground = figure("path", f'class="grid" d="M{LEFT} {FOOT}H{canvas.right}"')
    return joined([*(Html(line) for line in lines), ground])


def scale(top: str, half: str) -> Html:
    marks = ((TOP + 9, top), (TOP + HIGH // 2 + 4, half))
    return joined(
        figure("text", f'x="{LEFT - 8}" y="{y}" text-anchor="end"', words(told)) for y, told in marks if told
    )


def counted(number: int) -> str:
    """So many deployments."""
    return f"{number} deployment{'' if number == 1 else 's'}"


def summary(every: Sequence[Deployment]) -> str:
    by_phase = Counter(each.phase for each in every)
    told = [f"{by_phase[phase]} {word(phase)}" for phase in reversed(OUTCOMES) if by_phase[phase]]
    going = sum(by_phase[phase] for phase in Phase if phase not in ENDED)
    return ", ".join([*told, *([f"{going} under way"] if going else [])])
