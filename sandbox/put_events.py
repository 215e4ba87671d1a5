"""EventBridge's PutEvents: what programs put on the default bus goes the way of AWS's own events.

Refusals are those of the API reference: of one entry in the answer, which is 200 all the same; of the whole
request when it is too large. https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sandbox.account import AwsError
from sandbox.bus import arn_of_bus

# User Guide, "Calculating PutEvents event entry size": the entries together, counted as `_size` does.
MOST_BYTES = 256 * 1024
_DEFAULT = ("", "default", arn_of_bus("default"))


class PutEvents:
    """What `wire.application` serves. `put_event` is `Bus.put_event`; it gives the event's id."""

    def __init__(self, put_event: Callable[..., str]) -> None:
        self._put_event = put_event

    def resource(self, operation: str, request: dict[str, Any]) -> str:  # noqa: ARG002 - `Implementation`'s
        """Not asked: every entry needs a permission of its own, see `door/calls.py`."""
        return "*"

    def put_events(self, request: dict[str, Any]) -> dict[str, Any]:
        """Put each entry that is one, and say what is wrong with the others."""
        entries = request["Entries"]
        if sum(_size(entry) for entry in entries) >= MOST_BYTES:
            raise AwsError(
                "ValidationException", "Total size of the entries in the request is over the limit."
            )
        results = [self._put(entry) for entry in entries]
        return {
            "FailedEntryCount": sum("ErrorCode" in result for result in results),
            "Entries": results,
        }

    def _put(self, entry: dict[str, Any]) -> dict[str, str]:
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                reason = f"Parameter {name} is not valid. Reason: {name} is a required argument."
                return {"ErrorCode": "InvalidArgument", "ErrorMessage": reason}
        if entry["Source"].startswith("aws."):
            reason = "Not authorized for the source."
            return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": reason}
        if entry.get("EventBusName", "") not in _DEFAULT:
            reason = "The sandbox has no bus but the default one."
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": reason}
        try:
            detail = json.loads(entry["Detail"])
        except (ValueError, RecursionError):
            detail = None
        if not isinstance(detail, dict):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        put = self._put_event(
            entry["Source"], entry["DetailType"], detail, entry.get("Resources", []), entry.get("Time")
        )
        return {"EventId": put}


def _size(entry: dict[str, Any]) -> int:
    texts = (entry.get("Source"), entry.get("DetailType"), entry.get("Detail"), *entry.get("Resources", []))
    return sum(len(str(text or "").encode()) for text in texts) + (14 if "Time" in entry else 0)
