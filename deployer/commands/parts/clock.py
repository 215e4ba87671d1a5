"""The wall clock, for verbs that wait."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class WallClock:
    """`ports.Clock` for somebody with `seconds` of patience; math.inf is no end of it."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def remaining(self) -> float:
        """Seconds of patience that are left; negative when it is over."""
        return self._ends - time.monotonic()
