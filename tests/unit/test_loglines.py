"""Lines of a log, as people read them, and how far back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from deployer.commands.parts.loglines import readable, told

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def record(**fields: Any) -> str:
    return json.dumps({"level": "INFO", "message": "version 7 is ready", **fields})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (record(), "INFO    version 7 is ready"),
        (
            record(phase="VERIFYING", was="UPDATING", correlation_id="2026-ab"),
            "INFO    version 7 is ready  phase: VERIFYING  [2026-ab]",
        ),
        (record(level="ERROR", because="why"), "ERROR   version 7 is ready  because: why"),
        (record(exception="Traceback:\n  File"), "INFO    version 7 is ready\nTraceback:\n  File"),
        (
            json.dumps(
                {"_aws": {"Timestamp": 1}, "service": "deployer", "EventIgnored": [1.0], "Seconds": 2.5}
            ),
            "METRIC  EventIgnored 1.0, Seconds 2.5",
        ),
    ],
)
def test_the_deployers_json_is_shown_as_what_it_says(message: str, words: str) -> None:
    assert readable(message) == words


@pytest.mark.parametrize(
    "message",
    ["START RequestId: 1", "{no json", "{}", '{"level": 7, "message": "x"}', '[{"level": "INFO"}]', ""],
)
def test_what_is_no_such_json_is_shown_as_it_is(message: str) -> None:
    assert readable(message) == message


def test_foreign_text_moves_no_cursor_and_tells_no_secret() -> None:
    line = told(NOW, "\x1b[2Jdb at postgresql://app:hunter2@db/x\r\nnext\u202e")

    assert line == "2026-03-01 12:00:00 \ufffd[2Jdb at postgresql://…@db/x\ufffd\n    next\ufffd"


def test_a_line_is_bounded() -> None:
    assert len(told(NOW, "x" * 300_000).encode()) < 8_100
    assert told(NOW, "") == "2026-03-01 12:00:00 "
