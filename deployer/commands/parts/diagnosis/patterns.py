"""Does an event match a rule's pattern? Pure. Of EventBridge's patterns it knows lists of values, which is
all that template.yaml writes, and says "cannot tell" of filters.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class CannotTell(ValueError):
    """The pattern says something that is not known here; the text is what."""


def matches(pattern: str, event: Mapping[str, Any]) -> bool:
    """Does `event`? Raises `CannotTell`."""
    try:
        wanted = json.loads(pattern)
    except (ValueError, RecursionError):
        raise CannotTell("the pattern is not JSON") from None
    if not isinstance(wanted, dict):
        raise CannotTell("the pattern is no object")
    return _object(wanted, event)


def _object(wanted: Mapping[str, Any], found: object) -> bool:
    if not isinstance(found, Mapping):
        return False
    verdicts = [_field(key, each, found.get(key)) for key, each in wanted.items()]
    return all(verdicts)


def _field(key: str, wanted: object, found: object) -> bool:
    if isinstance(wanted, dict):
        return _object(wanted, found)
    if key.startswith("$") or not isinstance(wanted, list) or any(isinstance(each, dict) for each in wanted):
        raise CannotTell(f"a filter on {key!r}")
    return any(each in wanted for each in (found if isinstance(found, list) else [found]))
