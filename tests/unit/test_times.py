"""Times on the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from deployer.commands.parts.times import EPOCH, NoTime, moment, past
from deployer.times import lasts
from tests.deployments import NOW

CONTEXT, OPTION = click.Context(click.Command("verb")), click.Option(["--since"])


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90m", timedelta(minutes=90)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        ("4w", timedelta(weeks=4)),
    ],
)
def test_a_time_may_be_said_by_how_long_ago_it_was(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    time = past(CONTEXT, OPTION, text)

    assert time
    assert before - ago <= time <= datetime.now(UTC) - ago


def test_a_time_may_be_said_with_its_zone() -> None:
    assert past(CONTEXT, OPTION, "2026-03-01T05:00:00+02:00") == datetime(2026, 3, 1, 3, tzinfo=UTC)
    assert past(CONTEXT, OPTION, None) is None


@pytest.mark.parametrize(
    "text", ["", "yesterday", "7", "-7d", "7y", "2026-03-01T03:00:00", "0001-01-01T00:00:00Z"]
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="2026-03-01T03:00:00Z"):
        past(CONTEXT, OPTION, text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (119, "119 s"), (125, "2 min 5 s"), (4000, "66 min"), (8000, "2 h"), (200_000, "2 days")],
)
def test_a_duration_is_told_as_a_person_would(seconds: float, words: str) -> None:
    assert lasts(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("99999w", EPOCH),
        ("1970-01-01T00:00:00+14:00", EPOCH),
        ("2026-03-01T03:00:00Z", datetime(2026, 3, 1, 3, tzinfo=UTC)),
        ("2026-03-01T03:00:00+09:00", datetime(2026, 2, 28, 18, tzinfo=UTC)),
    ],
)
def test_a_time_is_so_long_ago_or_one_with_its_zone(text: str, time: datetime) -> None:
    assert moment(text, NOW) == time


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("yesterday", "how long ago it was: 30s, 90m, 24h, 7d, 4w: 'yesterday'"),
        ("10", "not an ISO 8601 time with its zone"),
        ("999999d", "not an ISO 8601 time with its zone"),
        ("10 m", "not an ISO 8601 time with its zone"),
        ("2026-03-01T03:00:00", "a time without a zone"),
        ("1969-12-31T23:59:59Z", "a year that is none"),
        ("0001-01-01T00:00:00+14:00", "a year that is none"),
        ("9999-12-31T23:59:59-12:00", "a year that is none"),
    ],
)
def test_what_is_no_time_is_said_to_be_none(text: str, because: str) -> None:
    with pytest.raises(NoTime, match=because):
        moment(text, NOW)
