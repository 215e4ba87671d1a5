"""Draw the phase diagram in ARCHITECTURE.md from the table that the code decides with.

`make docs` runs it; a test fails when the drawing is not what the table says.
"""

from __future__ import annotations

from pathlib import Path

from deployer.rollout import ENDED, MOVES
from docs.drawn import redrawn

PAGE = Path(__file__).parent.parent / "ARCHITECTURE.md"


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> REQUESTED"]
    lines += [
        f"    {phase} --> {following}: {why}"
        for phase, moves in MOVES.items()
        for following, why in moves.items()
    ]
    lines += [f"    {phase} --> [*]" for phase in MOVES if phase in ENDED]
    return "\n".join([*lines, "```", ""])


def page(text: str) -> str:
    """The page with a fresh drawing. Raises ValueError if a marker is missing."""
    return redrawn(text, "phases", diagram())


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
