"""How the programs of the sandbox end: whoever ends them, nothing is left behind."""

from __future__ import annotations

import signal
from types import FrameType


def end_as_ctrl_c_does() -> None:
    """Let SIGTERM (`kill`, a cancelled CI job) and SIGHUP (a closed terminal) raise KeyboardInterrupt."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
