"""What the service answers to checks, what it logs, and the setting that says what is right."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc

import pytest
from hypothesis import example, given

from deployer.aws.function import MAXIMUM_PAYLOAD
from deployer.ports import Answer
from deployer.smoke import Check, judge
from tests.fuzz import targets
from tests.fuzz.strategies import inputs

CHECK = Check(json={"status": "ok"})


@given(inputs)
def test_no_answer_raises_anything_or_says_more_than_a_line(data: bytes) -> None:
    targets.answer(data)


@given(inputs)
def test_no_log_moves_a_terminal_or_is_longer_than_lambda_says(data: bytes) -> None:
    targets.log_tail(data)


@given(inputs)
def test_no_line_of_a_log_moves_a_terminal_or_tells_a_secret(data: bytes) -> None:
    targets.log_line(data)


@example(b"\x00\x00\xc7:")
@given(inputs)
def test_no_answer_of_the_deployer_is_taken_for_an_outcome_of_checks_that_is_none(data: bytes) -> None:
    targets.deployers_answer(data)


@given(inputs)
def test_no_setting_of_checks_raises_anything_unexpected_or_tells_a_credential(data: bytes) -> None:
    targets.checks(data)


@pytest.mark.parametrize("unit", [b"[],", b"{},", b'"",', b"9,", b'"\\u0041",', b'{"a":{"b":[]}},'], ids=repr)
def test_the_memory_that_an_answer_takes_is_bounded_by_its_size(unit: bytes) -> None:
    """The deployer has 512 MB, and an answer 6 MB at most: 40 bytes for each leave enough of it."""
    size = MAXIMUM_PAYLOAD // 40
    inner = b"[" + unit * (size // len(unit)) + b"0]"
    tracemalloc.start()
    try:
        judge(CHECK, Answer(b'{"statusCode": 200, "body": ' + inner + b"}", None, "", "2"), 0.1)
        text = json.dumps({"statusCode": 200, "body": inner.decode()}).encode()
        judge(CHECK, Answer(text, None, "", "2"), 0.1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 40 * len(text)


@pytest.mark.parametrize("encoded", [True, False])
def test_nothing_is_ever_unpacked(encoded: bool) -> None:
    """A megabyte of gzip can be a gigabyte of zeros."""
    bomb = base64.b64encode(gzip.compress(b'{"status": "ok"}' + b" " * 10**7)).decode()
    payload = {
        "statusCode": 200,
        "headers": {"Content-Encoding": "gzip", "Content-Type": "application/json"},
        "body": bomb,
        "isBase64Encoded": encoded,
    }
    text = json.dumps(payload).encode()
    tracemalloc.start()
    try:
        passed, told = judge(CHECK, Answer(text, None, "", "2"), 0.1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert not passed
    assert told.isprintable()
    assert peak < 10**6
