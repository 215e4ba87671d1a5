"""Parts of pages that a command writes stand between two markers, which it looks for."""

from __future__ import annotations


def redrawn(text: str, what: str, drawing: str, *, by: str = "make docs") -> str:
    """The page with a fresh `drawing` of `what` between its markers. Raises ValueError if one is missing.

    `by` is the command that draws it.
    """
    begin, end = f"<!-- {what}: drawn by `{by}` -->\n", f"<!-- /{what} -->\n"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"the page must have the lines {begin.strip()} and {end.strip()}")
    return before + begin + drawing + end + after
