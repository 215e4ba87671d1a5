"""A log line, and what a handler raises, hold no secret."""

from __future__ import annotations

import json

import pytest

from deployer.log import Unexpected, discreet_exceptions, serialized

SIGNED = "https://bucket.example/blob?X-Amz-Signature=canary"


def test_no_secret_is_in_any_part_of_a_record() -> None:
    record = {"message": SIGNED, "stack_trace": {"frames": [{"statement": SIGNED}]}, SIGNED: (SIGNED, 7)}

    told = serialized(record)

    assert "canary" not in told
    assert json.loads(told)["stack_trace"]["frames"][0]["statement"] == "https://bucket.example/blob?…"
    assert told.endswith(",7]}")


def test_a_value_that_json_does_not_know_and_half_a_character_can_be_written_all_the_same() -> None:
    assert serialized({"a": ValueError(SIGNED), "b": "\ud800"}).encode() == (
        '{"a":"https://bucket.example/blob?…","b":"?"}'.encode()
    )


def test_an_exception_with_a_secret_is_raised_without_it() -> None:
    with pytest.raises(Unexpected) as raised, discreet_exceptions():
        raise ValueError(f"URL can't contain control characters. {SIGNED}")

    assert str(raised.value).startswith("ValueError: URL can't contain control characters. https://bucket")
    assert "canary" not in str(raised.value)


def test_any_other_exception_is_left_as_it_is() -> None:
    error = KeyError("x")

    with pytest.raises(KeyError) as raised, discreet_exceptions():
        raise error

    assert raised.value is error
