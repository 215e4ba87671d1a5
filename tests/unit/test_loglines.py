"""Lines of a log, as people read them, and how far back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployer.commands.parts.loglines import NoTime, readable, since, told

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("2026-03-01T03:00:00Z", datetime(2026, 3, 1, 3, tzinfo=UTC)),
        ("2026-03-01T03:00:00+09:00", datetime(2026, 2, 28, 18, tzinfo=UTC)),
    ],
)
def test_a_time_is_so_long_ago_or_one_with_its_zone(text: str, time: datetime) -> None:
    assert since(text, NOW) == time


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("yesterday", "not so long ago .30s, 10m, 2h, 3d., nor an ISO 8601 time: 'yesterday'"),
        ("10", "not so long ago"),
        ("999999d", "not so long ago"),
        ("10 m", "not so long ago"),
        ("2026-03-01T03:00:00", "a time without a zone"),
        ("1969-12-31T23:59:59Z", "before there were logs"),
        ("0001-01-01T00:00:00+14:00", "not so long ago"),
    ],
)
def test_what_is_no_time_is_said_to_be_none(text: str, because: str) -> None:
    with pytest.raises(NoTime, match=because):
        since(text, NOW)


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
