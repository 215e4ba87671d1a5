"""Foreign text, cut to a size before it is kept or passed on."""

from __future__ import annotations

_CUT = "…"
_CUT_BYTES = len(_CUT.encode())


def first(text: str, size: int) -> str:
    """`text` in at most `size` bytes of UTF-8; what is cut off its end is marked by an ellipsis."""
    raw = text.encode(errors="replace")
    if len(raw) <= size:
        return raw.decode()
    return raw[: max(0, size - _CUT_BYTES)].decode(errors="ignore") + _CUT


def printable(text: str) -> str:
    """`text` without what would move a terminal's cursor, hide or turn round what people read; lines and
    tabs stay."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text
    )


def last(text: str, size: int) -> str:
    """As `first`, but the end of `text` is what is kept: in a log the last lines tell most."""
    raw = text.encode(errors="replace")
    if len(raw) <= size:
        return raw.decode()
    return _CUT + raw[len(raw) - max(0, size - _CUT_BYTES) :].decode(errors="ignore")
