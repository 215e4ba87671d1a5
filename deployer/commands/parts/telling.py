"""Tables and facts on stdout: in colour and fitted to a terminal; through a pipe, aligned text and no more.

NO_COLOR is respected (https://no-color.org); through a pipe nothing is cut or wrapped, so that grep finds it.
Whoever hands over foreign text has made it `plain` before.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from deployer.model import Phase
from deployer.outcomes import TONES

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"good": "green", "bad": "bold red", "care": "yellow", "busy": "cyan", "calm": "dim"}


@dataclass(frozen=True)
class Cell:
    """A text, and what it means to whoever looks: good, bad, care, busy, calm or nothing."""

    text: str
    tone: str = ""


def phase_cell(phase: Phase) -> Cell:
    """A phase; one that goes on is busy."""
    return Cell(phase.value, TONES.get(phase, "busy"))


Shown = Cell | str


def table(heads: Sequence[str], rows: Sequence[Sequence[Shown]]) -> None:
    """A table. On a narrow terminal its last column wraps."""
    cells = [[_cell(each) for each in row] for row in rows]
    if not sys.stdout.isatty():
        _aligned([[Cell(head) for head in heads], *cells])
        return
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for number, head in enumerate(heads):
        last = number == len(heads) - 1
        drawn.add_column(head, no_wrap=not last, overflow="fold" if last else "ellipsis")
    for row in cells:
        drawn.add_row(*(Text(each.text, style=_STYLES.get(each.tone, "")) for each in row))
    _console().print(drawn)


def facts(pairs: Sequence[tuple[str, Shown]]) -> None:
    """Labels and what belongs to them. The same label again is not repeated."""
    rows: list[list[Cell]] = []
    before = None
    for label, text in pairs:
        rows.append([Cell("" if label == before else label), _cell(text)])
        before = label
    if not sys.stdout.isatty():
        _aligned(rows)
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for label_cell, each in rows:
        grid.add_row(Text(label_cell.text), Text(each.text, style=_STYLES.get(each.tone, "")))
    _console().print(grid)


def heading(text: str) -> None:
    """A line above what follows, with an empty one before it."""
    if not sys.stdout.isatty():
        click.echo(f"\n{text}")
        return
    from rich.text import Text

    _console().print()
    _console().print(Text(text, style="bold"))


def _cell(shown: Shown) -> Cell:
    return shown if isinstance(shown, Cell) else Cell(shown)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def _aligned(rows: Sequence[Sequence[Cell]]) -> None:
    from rich.cells import cell_len

    widths = [max(cell_len(cell.text) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (
            cell.text + " " * (width - cell_len(cell.text)) for cell, width in zip(row, widths, strict=True)
        )
        click.echo("  ".join(padded).rstrip())
