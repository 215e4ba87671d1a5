"""HTML as a type of its own: `text` is the only way from foreign text into it.

Sizes are bytes of UTF-8 of what comes out, escapes included: together they keep the page under 200 KB
whatever is in the ledger.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import NewType

from deployer.text import first, printable

NAME = 180
SENTENCE = 800
CELL = 420

Html = NewType("Html", str)

NOTHING = Html("")
_CUT = "…"


def text(foreign: str, size: int = NAME) -> Html:
    """At most `size` bytes of HTML, nothing in it that moves or hides text, escaped, quotes too."""
    plain = printable(first(foreign, size))
    whole = html.escape(plain)
    if len(whole.encode()) <= size:
        return Html(whole)
    room = size - len(_CUT.encode())
    kept: list[str] = []
    for character in plain:
        escaped = html.escape(character)
        room -= len(escaped.encode())
        if room < 0:
            break
        kept.append(escaped)
    return Html("".join(kept) + _CUT)


def words(ours: str) -> Html:
    """A text of our own with nothing foreign in it but numbers and times; escaped all the same."""
    return text(ours, SENTENCE)


def foreign(said: str, size: int = SENTENCE) -> Html:
    """A text in whatever script: it finds its own direction and does not turn round what stands beside it."""
    return element("span", text(said, size), auto=True)


def element(
    tag: str, *children: Html, of: str = "", auto: bool = False, size: int = NAME, **attributes: str
) -> Html:
    """One element. `tag`, `of` (its class) and the names of `attributes` are words of our own; the value of
    an attribute is cut to `size` and escaped. An underscore in a name stands for a hyphen."""
    return Html(f"{_opened(tag, of, size, attributes, auto=auto)}{''.join(children)}</{tag}>")


def void(tag: str, size: int = NAME, /, **attributes: str) -> Html:
    """An element that has no end tag in HTML; the value of an attribute is cut to `size`."""
    return _opened(tag, "", size, attributes, auto=False)


def _opened(tag: str, of: str, size: int, attributes: Mapping[str, str], *, auto: bool) -> Html:
    written = f' class="{of}"' if of else ""
    if auto:
        written += ' dir="auto"'
    for name, value in attributes.items():
        written += f' {name.replace("_", "-")}="{text(value, size)}"'
    return Html(f"<{tag}{written}>")


def joined(parts: Iterable[Html]) -> Html:
    """One after the other."""
    return Html("".join(parts))


def figure(tag: str, attributes: str, *children: Html) -> Html:
    """An element of SVG. `attributes` are ours, as they are written."""
    inner = "".join(children)
    return Html(f"<{tag} {attributes}>{inner}</{tag}>" if inner else f"<{tag} {attributes}/>")
