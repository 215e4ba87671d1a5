"""Checks: how a request is made, how an answer is judged, how settings are read."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from deployer.ports import Answer, LookAgain
from deployer.smoke import (
    EXCERPT_CHARACTERS,
    PAUSE_SECONDS,
    BadChecks,
    Check,
    contains,
    judge,
    parse_checks,
    request_event,
    run_checks,
)
from tests.fakes import HEALTHY, START, UNHEALTHY, FakeClock, http

OK = Check(json={"status": "ok"})


def answer(payload: object, function_error: str | None = None, log_tail: str = "") -> Answer:
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Answer(text, function_error, log_tail, "2")


# -- settings ------------------------------------------------------------------------------------------


def test_a_check_needs_no_more_than_a_path() -> None:
    assert parse_checks('[{"path": "/health"}]') == (Check(path="/health"),)


def test_every_part_of_a_check_can_be_set() -> None:
    text = json.dumps(
        [
            {
                "method": "POST",
                "path": "/echo?x=1",
                "headers": {"X-Key": "1"},
                "body": "{}",
                "status": 201,
                "json": {"a": 1},
                "max_seconds": 2.5,
                "tries": 5,
            }
        ]
    )

    (check,) = parse_checks(text)

    assert check == Check("POST", "/echo?x=1", {"X-Key": "1"}, "{}", 201, {"a": 1}, 2.5, 5)
    assert check.name == "POST /echo?x=1"
    assert check.expected == '201 with {"a": 1} within 2.5 s'


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "CHECKS is not JSON"),
        ("[" * 100_000, "CHECKS is not JSON"),
        ("{}", "must be a JSON list with at least one check"),
        ("[]", "must be a JSON list with at least one check"),
        ('["/health"]', r"CHECKS\[0\] must be an object"),
        ('[{"path": "/"}, {"url": "/"}]', r"CHECKS\[1\] has an unknown key 'url'; known are method, path"),
        ('[{"method": "BREW"}]', r"CHECKS\[0\].method must be one of DELETE, GET"),
        ('[{"method": ["GET"]}]', r"CHECKS\[0\].method must be one of"),
        ('[{"path": "health"}]', r"CHECKS\[0\].path must be a path that starts with /, not 'health'"),
        ('[{"path": 7}]', r"CHECKS\[0\].path must be"),
        ('[{"headers": []}]', r"CHECKS\[0\].headers must be an object of strings"),
        ('[{"headers": {"a": 1}}]', r"CHECKS\[0\].headers must be an object of strings"),
        ('[{"body": {}}]', r"CHECKS\[0\].body must be a string"),
        ('[{"status": 99}]', r"CHECKS\[0\].status must be an HTTP status, not 99"),
        ('[{"status": true}]', r"CHECKS\[0\].status must be an HTTP status"),
        ('[{"max_seconds": 0}]', r"CHECKS\[0\].max_seconds must be seconds, up to 900"),
        ('[{"tries": 0}]', r"CHECKS\[0\].tries must be a number from 1 to 10"),
        ('[{"tries": 1.5}]', r"CHECKS\[0\].tries must be a number from 1 to 10"),
        ('[{"status": 200.5}]', r"CHECKS\[0\].status must be an HTTP status"),
        ('[{"max_seconds": 1e999}]', r"CHECKS\[0\].max_seconds must be seconds, up to 900"),
        ('[{"path": "/a b"}]', r"CHECKS\[0\].path must be percent-encoded, without spaces, not '/a b'"),
        ('[{"path": "/\\u202e"}]', r"CHECKS\[0\].path must be percent-encoded"),
        (f"[{','.join(['{}'] * 51)}]", "CHECKS has 51 checks; 50 are the most"),
        (
            f'[{{"json": {"[" * 21 + "]" * 21}}}]',
            r"CHECKS\[0\].json must be JSON of at most 20 levels, not a list",
        ),
    ],
)
def test_a_wrong_check_says_which_and_what_is_wrong(text: str, because: str) -> None:
    with pytest.raises(BadChecks, match=because) as caught:
        parse_checks(text)

    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "wrong",
    [
        "canary",
        {"headers": ["canary"]},
        {"headers": {"Authorization": ["canary"]}},
        {"body": {"key": "canary"}},
    ],
)
def test_a_credential_in_a_wrong_check_is_not_told(wrong: object) -> None:
    with pytest.raises(BadChecks) as caught:
        parse_checks(json.dumps([wrong]))

    assert "canary" not in str(caught.value)


# -- the request ---------------------------------------------------------------------------------------


def test_a_check_is_sent_as_api_gateway_would_send_it() -> None:
    check = Check("POST", "/greetings/you?a=1&a=2&b=", {"X-Key": "1"}, '{"x": 1}')

    event = json.loads(request_event(check, datetime(2026, 3, 1, tzinfo=UTC)))

    assert event["httpMethod"] == "POST"
    assert event["path"] == event["requestContext"]["resourcePath"] == "/greetings/you"
    assert event["headers"]["X-Key"] == "1"
    assert event["multiValueHeaders"]["X-Key"] == ["1"]
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [""]}
    assert event["body"] == '{"x": 1}'
    assert event["requestContext"]["requestTimeEpoch"] == 1772323200000


def test_a_check_without_a_query_sends_none() -> None:
    event = json.loads(request_event(OK, START))

    assert event["queryStringParameters"] is None
    assert event["multiValueQueryStringParameters"] is None


# -- the answer ----------------------------------------------------------------------------------------


def test_the_right_status_with_the_right_json_passes() -> None:
    assert judge(OK, HEALTHY, 0.42) == (True, "200 after 0.4 s")


@pytest.mark.parametrize(
    ("check", "given_answer", "actual"),
    [
        (OK, UNHEALTHY, '503 after 0.4 s: {"status": "failing"}'),
        (OK, http(200, {"status": "no"}), '200 after 0.4 s without {"status": "ok"}: {"status": "no"}'),
        (
            OK,
            answer({"statusCode": 200, "body": "<html>"}),
            '200 after 0.4 s without {"status": "ok"}: <html>',
        ),
        (OK, answer({"statusCode": 200}), '200 after 0.4 s without {"status": "ok"}: (empty)'),
        (OK, answer({"statusCode": 200, "body": {"status": "ok"}}), "200 after 0.4 s without"),
        (OK, answer({"statusCode": "200"}), 'no HTTP response: {"statusCode": "200"}'),
        (OK, answer({"statusCode": True}), 'no HTTP response: {"statusCode": true}'),
        (OK, answer(b'{"statusCode": ' + b"9" * 4000 + b"}"), 'no HTTP response: {"statusCode": 999'),
        (OK, answer(b"no json", "\x1b" * 9999), "\ufffd" * 40 + ": no json"),
        (
            OK,
            answer({"errorType": [[[["x"]]]], "errorMessage": {"a": 1}}, "Unhandled"),
            "Unhandled: {'a': 1}",
        ),
        (OK, answer(None), "no HTTP response: null"),
        (OK, answer(b""), "no HTTP response: (empty)"),
        (OK, answer(b"\xff\x00\x1b[31m"), "no HTTP response: \ufffd\ufffd\ufffd[31m"),
        (OK, answer(b"[" * 100_000), "no HTTP response: [[["),
        (Check(max_seconds=0.3), HEALTHY, "200 after 0.4 s, later than 0.3 s"),
        (
            OK,
            answer({"errorType": "KeyError", "errorMessage": "'x'"}, "Unhandled"),
            "KeyError: 'x'",
        ),
        (
            OK,
            answer({"errorMessage": "Task timed out after 3.00 seconds"}, "Unhandled"),
            "Unhandled: Task timed",
        ),
        (OK, answer(b"no json", "Unhandled"), "Unhandled: no json"),
        (
            OK,
            answer(b'{"errorType": "OSError", "errorMessage": "no file caf\\udce9.txt"}', "Unhandled"),
            "OSError: no file caf?.txt",
        ),
        (OK, answer(b'{"statusCode": 503, "body": "caf\\udce9"}'), "503 after 0.4 s: caf?"),
        (OK, answer(b'{"statusCode": 200, "body": "\\udce9", "isBase64Encoded": true}'), "200 after 0.4 s"),
        (OK, answer(b'{"statusCode": 200, "body": ["\\udce9"]}'), "200 after 0.4 s without"),
        (OK, answer({"statusCode": 200, "body": '{"status": "ok"}'}, "Unhandled"), "Unhandled:"),
    ],
)
def test_a_wrong_answer_fails_and_says_what_it_was(check: Check, given_answer: Answer, actual: str) -> None:
    passed, told = judge(check, given_answer, 0.42)

    assert not passed
    assert told.startswith(actual)


def test_a_binary_body_is_read_as_what_it_encodes() -> None:
    body = base64.b64encode(b'{"status": "ok"}').decode()

    assert judge(OK, answer({"statusCode": 200, "body": body, "isBase64Encoded": True}), 0)[0]
    assert not judge(OK, answer({"statusCode": 200, "body": "!!!", "isBase64Encoded": True}), 0)[0]
    assert not judge(OK, answer({"statusCode": 200, "body": body, "isBase64Encoded": False}), 0)[0]


def test_what_is_told_of_a_huge_answer_is_bounded_and_one_line() -> None:
    _, told = judge(OK, http(503, "line\n" * 1_000_000), 0)

    assert "\n" not in told
    assert len(told) <= EXCERPT_CHARACTERS + 50


@pytest.mark.parametrize(
    ("actual", "expected", "right"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True),
        ({"a": None}, {"a": None}, True),
        ({}, {"a": None}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ([1], [1], True),
        ("ok", {"a": 1}, False),
        (None, {"a": 1}, False),
    ],
)
def test_an_expected_json_is_a_part_of_the_answer(actual: object, expected: object, right: bool) -> None:
    assert contains(actual, expected) is right


# -- running them --------------------------------------------------------------------------------------


def test_all_checks_pass_and_no_log_is_kept() -> None:
    verdict = run_checks([OK, Check(path="/two")], lambda payload: HEALTHY, FakeClock())

    assert verdict.healthy
    assert [result.name for result in verdict.results] == ["GET /health", "GET /two"]
    assert verdict.log_tail == ""
    assert str(verdict) == "GET /health answered 200 after 0.0 s; GET /two answered 200 after 0.0 s"


def test_the_first_check_that_fails_ends_the_run_with_its_log() -> None:
    clock = FakeClock()

    verdict = run_checks([OK, Check(path="/two")], lambda payload: UNHEALTHY, clock)

    assert not verdict.healthy
    assert [(result.name, result.tries) for result in verdict.results] == [("GET /health", 2)]
    assert verdict.log_tail == "answered 503"
    assert clock.now().timestamp() == START.timestamp() + PAUSE_SECONDS


def test_a_version_that_cannot_be_invoked_now_gets_no_verdict() -> None:
    def throttled(payload: bytes) -> Answer:
        raise LookAgain("TooManyRequestsException: Rate exceeded")

    with pytest.raises(LookAgain):
        run_checks([OK], throttled, FakeClock())


def test_the_time_an_answer_takes_is_measured() -> None:
    clock = FakeClock()

    def slow(payload: bytes) -> Answer:
        clock.sleep(2)
        return HEALTHY

    verdict = run_checks([Check(max_seconds=1, tries=1)], slow, clock)

    assert not verdict.healthy
    assert verdict.results[0].seconds == 2
