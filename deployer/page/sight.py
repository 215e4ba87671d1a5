"""What the page is drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from deployer.model import Book, Deployment, Version


@dataclass(frozen=True)
class Sight:
    """What was read, and when. What could not be read is None, and `problems` says why."""

    book: Book | None
    history: Sequence[Deployment] | None  # what ended, the newest first
    live: Version | None
    now: datetime
    problems: Sequence[str] = ()
