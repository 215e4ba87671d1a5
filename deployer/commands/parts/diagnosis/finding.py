"""What a look at one thing gave, in words for people: pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class Mark(StrEnum):
    """How one thing stands."""

    OK = "ok"
    WARNING = "warning"  # works, and somebody should know
    UNKNOWN = "unknown"  # could not be looked at
    FAIL = "FAIL"  # something does not work, or will not


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `fix` says what mends it; `commands` are to be pasted, in order."""

    name: str
    mark: Mark
    seen: str
    fix: str = ""
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unread:
    """In place of what could not be read: AWS's words, and whether it was that the caller may not."""

    because: str
    refused: bool = False


def ok(name: str, seen: str) -> Finding:
    """It is as it should be."""
    return Finding(name, Mark.OK, seen)


def fail(name: str, seen: str, fix: str, *commands: str) -> Finding:
    """It is not, and this mends it."""
    return Finding(name, Mark.FAIL, seen, fix, commands)


def warning(name: str, seen: str, fix: str, *commands: str) -> Finding:
    """It works, and somebody should know."""
    return Finding(name, Mark.WARNING, seen, fix, commands)


def unknown(name: str, unread: Unread) -> Finding:
    """It could not be looked at."""
    if unread.refused:
        return Finding(
            name,
            Mark.UNKNOWN,
            f"not allowed to look: {unread.because}",
            "attach the stack's ViewerPolicy (its output ViewerPolicyArn) to your role; a stack older "
            "than this command has to be updated first: sam build && sam deploy",
        )
    return Finding(name, Mark.UNKNOWN, unread.because, "look again; if it stays so, look by hand")
