"""Smoke checks: which requests a version must answer, how its answers are judged, and the verdict.

A check is sent as the proxy event that API Gateway would send, by invoking the version itself, so that a
candidate is checked while no user can reach it. Lambda says 200 to an invocation whose code died, and a web
framework says 500 without a FunctionError: both the FunctionError and the payload's own statusCode count.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from deployer.model import CheckResult, Verdict
from deployer.ports import Answer, Clock, LookAgain
from deployer.text import shown

# Half a second between tries: long enough for a hiccup to pass, short beside a person's patience.
PAUSE_SECONDS = 0.5
# An invocation is given up after this long. API Gateway gives a service 29 s; a cold start comes on top.
INVOCATION_SECONDS = 90
# Of an answer that was not expected, this much is told: it ends up in a message a person reads.
EXCERPT_CHARACTERS = 300
_KIND_CHARACTERS = 40  # of Lambda's FunctionError: "Handled" or "Unhandled"
# More is a mistake: with 50 checks a verdict still fits into the ledger, and a small JSON can be told.
MOST_CHECKS = 50
DEEPEST_JSON = 20
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class BadChecks(ValueError):
    """The CHECKS setting is not usable; the message says what, where and what would be."""


@dataclass(frozen=True)
class Check:
    """One smoke request and what its answer must be."""

    method: str = "GET"
    path: str = "/health"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    status: int = 200
    json: object = None  # the answer's JSON must contain this; None: anything goes
    max_seconds: float | None = None  # None: as long as the function's own timeout
    tries: int = 2

    @property
    def name(self) -> str:
        """As people read it: ``GET /health``."""
        return f"{self.method} {self.path}"

    @property
    def expected(self) -> str:
        """What a right answer is, in words."""
        words = [str(self.status)]
        if self.json is not None:
            words.append(f"with {json.dumps(self.json, ensure_ascii=False)}")
        if self.max_seconds is not None:
            words.append(f"within {self.max_seconds:g} s")
        return " ".join(words)


def parse_checks(text: str) -> tuple[Check, ...]:
    """Read the CHECKS setting, a JSON list such as ``[{"path": "/health", "json": {"status": "ok"}}]``.

    Raises `BadChecks`.
    """
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadChecks(f"CHECKS is not JSON: {error}") from None
    if not isinstance(listed, list) or not listed:
        raise BadChecks('CHECKS must be a JSON list with at least one check, such as [{"path": "/health"}]')
    if len(listed) > MOST_CHECKS:
        raise BadChecks(f"CHECKS has {len(listed)} checks; {MOST_CHECKS} are the most")
    return tuple(_parse_check(each, f"CHECKS[{number}]") for number, each in enumerate(listed))


def _parse_check(given: object, where: str) -> Check:
    if not isinstance(given, dict):
        raise BadChecks(f'{where} must be an object such as {{"path": "/health"}}, not {_named(given)}')
    known = Check.__dataclass_fields__
    for key in given:
        if key not in known:
            raise BadChecks(f"{where} has an unknown key {key[:40]!r}; known are {', '.join(known)}")
    check = Check(**given)
    rules: dict[str, tuple[bool, str]] = {
        "method": (
            isinstance(check.method, str) and check.method in _METHODS,
            f"one of {', '.join(sorted(_METHODS))}",
        ),
        "path": (isinstance(check.path, str) and check.path.startswith("/"), "a path that starts with /"),
        "headers": (
            isinstance(check.headers, dict)
            and all(isinstance(value, str) for value in check.headers.values()),
            "an object of strings",
        ),
        "body": (check.body is None or isinstance(check.body, str), "a string"),
        "status": (_is_number(check.status, 100, 599) and isinstance(check.status, int), "an HTTP status"),
        "json": (_is_shallow(check.json, DEEPEST_JSON), f"JSON of at most {DEEPEST_JSON} levels"),
        "max_seconds": (
            check.max_seconds is None or _is_number(check.max_seconds, 0.001, 900),
            "seconds, up to 900",
        ),
        "tries": (_is_number(check.tries, 1, 10) and isinstance(check.tries, int), "a number from 1 to 10"),
    }
    for key, (right, what) in rules.items():
        if not right:
            raise BadChecks(f"{where}.{key} must be {what}, not {_told(key, given.get(key))}")
    if not check.path.isprintable() or " " in check.path:  # it stands in lines that people read
        raise BadChecks(f"{where}.path must be percent-encoded, without spaces, not {shown(check.path)}")
    return check


def _told(key: str, value: object) -> str:
    """What was given instead. What headers and a body hold may be a credential, and this goes to logs."""
    return _named(value) if key in ("headers", "body", "json") else shown(value)


def _named(value: object) -> str:
    """What kind of JSON it is."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _is_shallow(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(each, levels - 1) for each in inner)


def _is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


class Invoke(Protocol):
    """Invokes one version, or `live`."""

    def __call__(self, payload: bytes) -> Answer: ...


def run_checks(checks: Sequence[Check], invoke: Invoke, clock: Clock) -> Verdict:
    """Run all checks, one after the other, and give the verdict. Stops at the first that fails.

    Raises `LookAgain` if the version cannot be invoked now (throttled, waking up), or if Lambda's time does
    not last for another invocation: that says nothing about the image, so it is no verdict.
    """
    results: list[CheckResult] = []
    log_tail = ""
    for check in checks:
        result, log_tail = _run(check, invoke, clock)
        results.append(result)
        if not result.passed:
            break
    healthy = all(result.passed for result in results)
    return Verdict(tuple(results), "" if healthy else log_tail)


def _run(check: Check, invoke: Invoke, clock: Clock) -> tuple[CheckResult, str]:
    if clock.remaining() < INVOCATION_SECONDS:
        raise LookAgain(f"too little of Lambda's time is left for {check.name}")
    tries = 0
    while True:
        tries += 1
        began = clock.now()
        answer = invoke(payload=request_event(check, began))
        seconds = (clock.now() - began).total_seconds()
        passed, actual = judge(check, answer, seconds)
        short_of_time = clock.remaining() < INVOCATION_SECONDS
        if not passed and short_of_time and tries == 1 < check.tries:
            raise LookAgain(f"too little of Lambda's time is left for a second try of {check.name}")
        if passed or short_of_time or tries == check.tries:
            return CheckResult(check.name, passed, check.expected, actual, seconds, tries), answer.log_tail
        clock.sleep(PAUSE_SECONDS)


def request_event(check: Check, at: datetime) -> bytes:
    """The REST API proxy event for a check.

    Format: https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html (payload 1.0).
    """
    path, _, query = check.path.partition("?")
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    single = dict(pairs) or None
    multi: dict[str, list[str]] = {}
    for name, value in pairs:
        multi.setdefault(name, []).append(value)
    headers = {"User-Agent": "deployer-check", "Accept": "application/json", **check.headers}
    event: dict[str, Any] = {
        "resource": path,
        "path": path,
        "httpMethod": check.method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": single,
        "multiValueQueryStringParameters": multi or None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": path,
            "path": path,
            "httpMethod": check.method,
            "stage": "check",
            "protocol": "HTTP/1.1",
            "requestTimeEpoch": int(at.timestamp() * 1000),
            "identity": {"sourceIp": "127.0.0.1", "userAgent": "deployer-check"},
        },
        "body": check.body,
        "isBase64Encoded": False,
    }
    return json.dumps(event).encode()


def judge(check: Check, answer: Answer, seconds: float) -> tuple[bool, str]:
    """Is this the answer that `check` wants? And what was it, in words that can be shown to a person."""
    if answer.function_error is not None:
        return False, _death(answer)
    response = _parse_json(answer.payload)
    status = response.get("statusCode") if isinstance(response, dict) else None
    if not isinstance(response, dict) or not _is_number(status, 100, 599) or not isinstance(status, int):
        return False, f"no HTTP response: {_excerpt(answer.payload)}"
    body = _body(response)
    actual = f"{status} after {seconds:.1f} s"
    if status != check.status:
        return False, f"{actual}: {_excerpt(body)}"
    if check.json is not None and not contains(_parse_json(body), check.json):
        return False, f"{actual} without {json.dumps(check.json, ensure_ascii=False)}: {_excerpt(body)}"
    if check.max_seconds is not None and seconds > check.max_seconds:
        return False, f"{actual}, later than {check.max_seconds:g} s"
    return True, actual


def contains(actual: object, expected: object) -> bool:
    """Does `actual` have all that `expected` names? Objects may have more; lists and values must be equal."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            key in actual and contains(actual[key], value) for key, value in expected.items()
        )
    return type(actual) is type(expected) and actual == expected


def _death(answer: Answer) -> str:
    told = _parse_json(answer.payload)
    lambdas = _excerpt((answer.function_error or "")[:_KIND_CHARACTERS].encode(errors="replace"))
    if not isinstance(told, dict):
        return f"{lambdas}: {_excerpt(answer.payload)}"
    kind, message = told.get("errorType"), told.get("errorMessage", "")
    kind = kind if isinstance(kind, str) and kind else lambdas
    message = message if isinstance(message, str) else shown(message)
    return _excerpt(
        f"{kind[:EXCERPT_CHARACTERS]}: {message[: 4 * EXCERPT_CHARACTERS]}".encode(errors="replace")
    )


def _body(response: Mapping[str, object]) -> bytes:
    body = response.get("body")
    if not isinstance(body, str):
        return b"" if body is None else shown(body, EXCERPT_CHARACTERS).encode(errors="replace")
    if response.get("isBase64Encoded") is True:
        try:
            return base64.b64decode(body.encode(errors="replace"), validate=True)
        except (binascii.Error, ValueError):
            return body.encode(errors="replace")
    return body.encode(errors="replace")


def _parse_json(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _excerpt(text: bytes) -> str:
    """Foreign bytes as one bounded, printable line."""
    line = " ".join(text[: 4 * EXCERPT_CHARACTERS].decode(errors="replace").split())
    line = "".join(character if character.isprintable() else "\ufffd" for character in line)
    return f"{line[:EXCERPT_CHARACTERS]}…" if len(line) > EXCERPT_CHARACTERS else line or "(empty)"
