"""Waiting for something to come true, in demos and tests of the whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_LOOK_SECONDS = 0.05

Found = TypeVar("Found")


def until(look: Callable[[], Found | None], what: str, seconds: float = 60) -> Found:
    """Look again and again until `look` gives something true, and give that back.

    Raises TimeoutError, which says what was waited for, after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(_LOOK_SECONDS)
    return found
