"""Lines of a function's log, for people. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from deployer.text import discreet, first, line, printable, shown

_BYTES = 8_000  # of one line's message; CloudWatch allows 256 KB
_TOLD = 600
# What the deployer's log lines have beside their message that says something more: handler.py.
_MORE = ("because", "phase", "error", "by")


def told(at: datetime, message: str) -> str:
    """A log line for people, over several lines if its message is: what comes after the first is indented."""
    words = first(printable(discreet(readable(message))), _BYTES).rstrip()
    lines = words.splitlines() or [""]
    return "\n".join([f"{at:%Y-%m-%d %H:%M:%S} {lines[0]}", *(f"    {each}" for each in lines[1:])])


def readable(message: str) -> str:
    """What a message says. The deployer's are JSON: level, message, and the id of the deployment."""
    if not message.lstrip().startswith("{"):
        return message
    try:
        record = json.loads(message)
    except (ValueError, RecursionError):
        return message
    if not isinstance(record, dict):
        return message
    if isinstance(record.get("_aws"), dict):
        return _metrics(record)
    level, text = record.get("level"), record.get("message")
    if not isinstance(level, str) or not isinstance(text, str):
        return message
    more = [f"{key}: {_word(record[key])}" for key in _MORE if record.get(key)]
    about = record.get("correlation_id") or record.get("deployment")
    parts = [f"{line(level, 20):<7} {text}", *more, f"[{_word(about)}]" if about else ""]
    told = "  ".join(part for part in parts if part)
    trace = record.get("exception")
    return f"{told}\n{trace}" if isinstance(trace, str) else told


def _metrics(record: Mapping[str, object]) -> str:
    """Metrics that were logged to be counted. Which of the fields they are, the record says itself.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    numbers = {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value
        for key, value in record.items()
        if key != "_aws" and isinstance(value, list | int | float) and not isinstance(value, bool)
    }
    return "METRIC  " + ", ".join(f"{key} {_word(value)}" for key, value in numbers.items())


def _word(value: object) -> str:
    return line(value, _TOLD) if isinstance(value, str) else shown(value)
