"""What is thrown at every entry: bytes that are JSON, bytes that are none, and good documents gone wrong.

Hypothesis and atheris both give bytes. Bytes are a document's text; or, after a zero byte, a recipe: which
seed, then pairs of where in it and which odd value. So a change of one byte is a change of one thing, and
what either of them finds is one literal.

A new command is a new line in `COMMANDS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

EVENTS = Path(__file__).parents[1] / "events"
DIGEST = "sha256:" + "ab" * 32
OTHER_DIGEST = "sha256:" + "cd" * 32

# Each with all that it takes, so that every part of it is changed in turn.
COMMANDS: list[dict[str, Any]] = [
    {"command": "hold", "by": "alice", "because": "incident 42"},
    {"command": "resume", "by": "alice", "because": "it is mended", "request": "request-7"},
    {"command": "abort", "by": "alice", "because": "wrong branch", "deployment": "2026-ab"},
    {"command": "rollback", "by": "alice", "because": "incident 42", "to": "17"},
    {"command": "deploy", "by": "alice", "because": "a hotfix", "digest": DIGEST, "hold": "hold-1"},
    {"command": "retry", "by": "alice", "because": "no fault of it", "digest": DIGEST, "hold": "hold-1"},
    {"command": "check", "by": "arn:aws:iam::123456789012:user/alice", "version": "17"},
]


def recorded(folder: str) -> list[Any]:
    """The events of `tests/events/<folder>`."""
    return [json.loads(path.read_text()) for path in sorted((EVENTS / folder).glob("*.json"))]


def deep(levels: int) -> object:
    """A list in a list in a list."""
    value: object = "the end"
    for _ in range(levels):
        value = [value]
    return value


def deep_map(levels: int) -> object:
    """The same of objects."""
    value: object = "the end"
    for _ in range(levels):
        value = {"a": value}
    return value


ODD: list[object] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    7.5,
    200,
    503,
    2**63,
    10**400,
    float("inf"),
    float("-inf"),
    float("nan"),
    "",
    " \t\n",
    "text",
    "latest",
    DIGEST,
    OTHER_DIGEST,
    DIGEST.upper(),
    "\x00",
    "\x1b[2J\x1b]0;title\x07",
    "one\r\ntwo\u2028three\x85four",
    "\u202egnp.exe\u2066\ufeff",
    "\ud800",
    "\udce9",
    "e\u0301" * 999,
    "🦀字" * 999,
    "x" * 10_000,
    "'\"`\\<>&${}%s",
    "</style><script>alert(1)</script>",
    "```\n@channel <https://example.com|link>",
    "https://user:secret@host/path?X-Amz-Signature=secret",
    "file:///etc/passwd",
    "2026-03-01T03:00:00Z",
    "2026-03-01T03:00:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "[" * 200,
    [],
    {},
    [{}],
    {"": ""},
    [None] * 500,
    {str(number): number for number in range(500)},
    deep(300),
    deep_map(300),
]


def recipe(data: bytes, seeds: Sequence[object]) -> object:
    """The seed that the first byte names, with odd values where the other bytes say."""
    if not data:
        return deepcopy(seeds[0])
    root = [deepcopy(seeds[data[0] % len(seeds)])]
    for at in range(1, min(len(data), 17) - 1, 2):
        places = list(_places(root))
        holder, key = places[data[at] % len(places)]
        holder[key] = deepcopy(ODD[data[at + 1] % len(ODD)])
    return root[0]


def _places(value: Any, levels: int = 6) -> Iterator[tuple[Any, Any]]:
    """Whatever can be replaced: outermost first, and not all of what is long."""
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    for key in keys[:30]:
        yield value, key
        if levels and isinstance(value[key], dict | list):
            yield from _places(value[key], levels - 1)


def text(data: bytes, seeds: Sequence[object]) -> bytes:
    """The bytes that an entry gets which reads JSON by itself."""
    return json.dumps(recipe(data[1:], seeds)).encode() if data[:1] == b"\0" else data


def document(data: bytes, seeds: Sequence[object]) -> object:
    """What an entry gets for which Lambda has read the JSON. Raises ValueError if there is none in it."""
    if data[:1] == b"\0":
        return recipe(data[1:], seeds)
    try:
        return json.loads(data)
    except RecursionError as error:  # Lambda's runtime has no answer either, and says so
        raise ValueError("too deep") from error


# -- hypothesis's side ------------------------------------------------------------------------------------

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=30)
    | st.integers(0, len(ODD) - 1).map(ODD.__getitem__),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)

# What no seed becomes: too deep, twice the same key, numbers that are none.
_TEXTS = [b"[" * 100_000, b'{"a":' * 50_000, b'{"a": 1e999, "a": NaN}', b'"\\ud800"', b"9" * 5000, b""]

inputs: st.SearchStrategy[bytes] = st.one_of(
    st.binary(max_size=16).map(lambda data: b"\0" + data),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=200),
    st.integers(0, len(_TEXTS) - 1).map(_TEXTS.__getitem__),
)
