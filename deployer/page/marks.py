"""How an outcome looks: a word, a tone, and a mark whose shape says it without the colour."""

from __future__ import annotations

from deployer.model import Phase
from deployer.outcomes import TONES
from deployer.page.html import Html, element, figure, words

# From the most urgent.
OUTCOMES = (Phase.STUCK, Phase.REVERTED, Phase.REJECTED, Phase.SUPERSEDED, Phase.SUCCEEDED)

_LINE = 'class="stroke" d="'
# Shape and sign, around the origin, six units each way.
_SHAPES: dict[str, tuple[Html, Html]] = {
    "succeeded": (
        figure("circle", 'class="fill" r="6"'),
        figure("path", _LINE + 'M-2.8 .2l2 2.1 3.6-4.4"'),
    ),
    "reverted": (
        figure("path", 'class="fill" d="M0-7.2L7.2 0 0 7.2-7.2 0z"'),
        figure("path", _LINE + 'M-.6-3.2l-2.2 2.2 2.2 2.2M-2.6-1h3.4a1.9 1.9 0 0 1 0 3.8h-1.6"'),
    ),
    "rejected": (
        figure("path", 'class="fill" d="M-6-6h12v12h-12z"'),
        figure("path", _LINE + 'M-2.6-2.6l5.2 5.2M2.6-2.6l-5.2 5.2"'),
    ),
    "superseded": (
        figure("circle", 'class="ring" r="5.2"'),
        figure("path", 'class="line" d="M-2.2-2.2l2.2 2.2-2.2 2.2M.8-2.2l2.2 2.2-2.2 2.2"'),
    ),
    "stuck": (
        figure("path", 'class="fill" d="M-3-7.2h6l4.2 4.2v6l-4.2 4.2h-6l-4.2-4.2v-6z"'),
        figure("path", _LINE + 'M0-4v4.2M0 3.2v.5"'),
    ),
    "held": (
        figure("circle", 'class="fill" r="6"'),
        figure("path", _LINE + 'M-1.8-2.4v4.8M1.8-2.4v4.8"'),
    ),
    "under way": (
        figure("circle", 'class="ring" r="5.2"'),
        figure("circle", 'class="fill" r="2.2"'),
    ),
    "nothing": (figure("circle", 'class="ring" r="5.2"'), Html("")),
}


def word(phase: Phase) -> str:
    """The phase in a sentence's middle. The one that calls a person is written large."""
    return phase.value if phase is Phase.STUCK else phase.value.lower()


def tone(phase: Phase) -> str:
    """The colour's name; a deployment that goes on is busy."""
    return TONES.get(phase, "busy")


def shape(kind: str) -> Html:
    """The mark's inside, for an SVG that has a place for it."""
    return Html("".join(_SHAPES.get(kind, _SHAPES["under way"])))


def mark(kind: str, tone_of_it: str, size: int = 14) -> Html:
    """The mark in a line of text. What it means stands beside it, so it is not read out."""
    inner = figure("g", f'class="mark {tone_of_it}"', shape(kind))
    attributes = f'viewBox="-8 -8 16 16" width="{size}" height="{size}" aria-hidden="true" focusable="false"'
    return figure("svg", attributes, inner)


def outcome(phase: Phase) -> Html:
    """An outcome in a row or a card: the mark and the word."""
    return element(
        "span", mark(word(phase).lower(), tone(phase)), words(word(phase)), of=f"outcome {tone(phase)}"
    )


def badge(tone_of_it: str, said: str) -> Html:
    """A word on a coloured ground."""
    return element("span", words(said), of=f"badge {tone_of_it}")
