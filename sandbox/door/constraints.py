"""The constraints of botocore's service models (required, length, range, enum, pattern), in AWS's words.

botocore itself checks little of this, because the service does; here the sandbox is the service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

LONGEST_ECHO = 1000
"""Characters of a refused value that an error message repeats."""

PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "blob": (bytes,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
}


@dataclass(frozen=True)
class Violation:
    """`where` as AWS names places (`imageIds.1.member.imageTag`), `value` as shown, and what it `must` be."""

    where: str
    value: str
    must: str


def violations(value: object, shape: Shape, where: str = "") -> Iterator[Violation]:
    """What `shape` does not allow about a parsed value, in the model's order."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        yield from _structure(value, shape, where)
    elif isinstance(shape, ListShape) and isinstance(value, list):
        yield from _length(value, shape, where)
        for number, item in enumerate(value, 1):
            yield from violations(item, shape.member, f"{where}.{number}.member")
    elif isinstance(shape, MapShape) and isinstance(value, dict):
        yield from _length(value, shape, where)
        for key, item in value.items():
            yield from violations(key, shape.key, where)
            yield from violations(item, shape.value, f"{where}.{key}.member")
    else:
        yield from _scalar(value, shape, where)


def shortened(text: str) -> str:
    """`text`, cut to what an error message may repeat."""
    return text if len(text) <= LONGEST_ECHO else f"{text[:LONGEST_ECHO]}..."


def _structure(value: dict[str, Any], shape: StructureShape, where: str) -> Iterator[Violation]:
    if shape.metadata.get("document"):
        return
    for name, member in shape.members.items():
        place = f"{where}.{_lower_first(name)}" if where else _lower_first(name)
        if name in value:
            yield from violations(value[name], member, place)
        elif name in shape.required_members:
            yield Violation(place, "null", "Member must not be null")


def _scalar(value: object, shape: Shape, where: str) -> Iterator[Violation]:
    expected = PYTHON_TYPES.get(shape.type_name)
    if shape.type_name == "timestamp":
        return  # the parser made it a datetime, or failed
    if expected is None or not isinstance(value, expected):
        yield Violation(where, shortened(str(value)), f"Member must be a {shape.type_name}")
    elif isinstance(value, str):
        yield from _length(value, shape, where)
        allowed = shape.metadata.get("enum")
        if allowed and value not in allowed:
            yield Violation(
                where, shortened(value), f"Member must satisfy enum value set: [{', '.join(allowed)}]"
            )
        pattern = shape.metadata.get("pattern")
        if pattern and not _matches(pattern, value):
            yield Violation(
                where, shortened(value), f"Member must satisfy regular expression pattern: {pattern}"
            )
    elif isinstance(value, bytes):
        yield from _length(value, shape, where)
    elif isinstance(value, int | float):
        least, most = shape.metadata.get("min"), shape.metadata.get("max")
        if least is not None and value < least:
            yield Violation(where, str(value), f"Member must have value greater than or equal to {least}")
        if most is not None and value > most:
            yield Violation(where, str(value), f"Member must have value less than or equal to {most}")


def _length(value: str | bytes | list[Any] | dict[str, Any], shape: Shape, where: str) -> Iterator[Violation]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    shown = f"{len(value)} bytes" if isinstance(value, bytes) else shortened(str(value))
    if least is not None and len(value) < least:
        yield Violation(where, shown, f"Member must have length greater than or equal to {least}")
    if most is not None and len(value) > most:
        yield Violation(where, shown, f"Member must have length less than or equal to {most}")


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True  # a Java expression that Python cannot read: `\p{L}` in Lambda's tag keys


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]
