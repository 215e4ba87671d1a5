"""The records' own rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model import BadDigest, CheckResult, Image, Verdict, deployment_id, require_digest, short

DIGEST = "sha256:" + "ab12" * 16


@pytest.mark.parametrize("text", ["", "latest", DIGEST[:-1], DIGEST + "0", DIGEST.upper(), f"{DIGEST}\n"])
def test_what_is_not_a_digest_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(BadDigest, match="not an image digest"):
        Image("shuking-lambda", text)


def test_a_digest_is_read_by_people_in_short() -> None:
    assert require_digest(DIGEST) == DIGEST
    assert short(DIGEST) == str(Image("shuking-lambda", DIGEST)) == "sha256:ab12ab12ab12…"


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.text())
def test_ids_sort_by_time_to_the_second(one: int, other: int, seed: str) -> None:
    first, second = (datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=each) for each in (one, other))

    if first < second:
        assert deployment_id(first, seed) < deployment_id(second, "anything")


def test_the_same_event_gives_the_same_id_wherever_the_clock_hangs() -> None:
    utc = datetime(2026, 3, 1, 3, tzinfo=UTC)
    seoul = utc.astimezone(timezone(timedelta(hours=9)))

    assert deployment_id(utc, "event") == deployment_id(seoul, "event") == "20260301T030000Z-b8e1f80b"
    assert deployment_id(utc, "event") != deployment_id(utc, "another")


def test_ids_of_any_year_sort() -> None:
    assert deployment_id(datetime(1, 1, 1, tzinfo=UTC), "event").startswith("00010101T000000Z-")


def test_a_verdict_tells_of_what_failed_and_else_of_all() -> None:
    good = CheckResult("GET /a", True, "200", "200 after 0.1 s", 0.1, 1)
    bad = CheckResult("GET /b", False, "200", "500 after 0.1 s", 0.1, 2)

    assert str(Verdict((good, bad))) == "GET /b answered 500 after 0.1 s"
    assert str(Verdict((good, good))) == "GET /a answered 200 after 0.1 s; GET /a answered 200 after 0.1 s"
    assert not Verdict((good, bad)).healthy
    assert not Verdict(()).healthy
    assert str(Verdict(())) == "no check was run"
