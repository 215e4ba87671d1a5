"""Foreign text: short, harmless, and without secrets."""

from __future__ import annotations

import pytest

from deployer.text import discreet, line, shown, who


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'Could not connect to the endpoint URL: "https://user:hunter2@lambda.example/2015"',
            'Could not connect to the endpoint URL: "https://…@lambda.example/2015"',
        ),
        (
            "'/blob?X-Amz-Signature=abc' of https://s3.example:443/blob?X-Amz-Signature=abc&b=1 now",
            "'/blob?X-Amz-Signature=…' of https://s3.example:443/blob?… now",
        ),
        ("postgresql://app:p@ss@db:5432/x", "postgresql://…@db:5432/x"),
        ("postgresql://app:p/ss@db:5432/x", "postgresql://…"),
        ("postgresql://app:p?ss@db:5432/x", "postgresql://…"),
        (
            "host:x\nx-amz-security-token:IQoJb3JpZ2luX2VjE==\n\nhost;",
            "host:x\nx-amz-security-token:…\n\nhost;",
        ),
        ('{"X-Amz-Signature": "abc", "a": 1}', '{"X-Amz-Signature": "…", "a": 1}'),
        ("Authorization: Bearer abc.def next", "Authorization: … next"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=AKIA", "Authorization: …"),
        (
            "connection to db failed: password=hunter2 user=app",
            "connection to db failed: password=… user=app",
        ),
        ("Invalid endpoint: me:hunter2@nowhere", "Invalid endpoint: …@nowhere"),
    ],
)
def test_what_may_be_a_secret_is_left_out(text: str, told: str) -> None:
    assert discreet(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "GET /health?deep=1 answered 503 after 2.1 s",
        "https://lambda.us-east-1.amazonaws.com:443/2015-03-31/functions and http://[::1]/x",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app@sha256:ab",
        "Signature expired: 20260301T030000Z is now earlier than 20260301T031000Z",
        "The security token included in the request is expired",
        "app:latest@sha256:ab, at 03:00:00 UTC, by alice@example.com",
    ],
)
def test_everything_else_is_left_alone(text: str) -> None:
    assert discreet(text) == text


def test_a_line_is_one_and_short_whatever_comes() -> None:
    told = line("\x1b[2Jone\r\ntwo\u2028three\u202e" + "\ud800\x00" * 9999, 100)

    assert told.isprintable()
    assert len(told.encode()) <= 100


def test_of_a_value_only_the_beginning_is_looked_at() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    assert shown(deep) == "[[[...]]]"
    assert len(shown({"a" * 10**6: ["\x1b\u202e" * 10**6] * 10**6}, 80)) == 80
    assert shown("\x1b\u202e\ud800").isprintable()


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ("arn:aws:sts::123456789012:assumed-role/on-call/alice@example.com", "alice@example.com (on-call)"),
        ("arn:aws-us-gov:iam::123456789012:user/team/ops/bob", "bob"),
        ("arn:aws:sts::123456789012:federated-user/carol", "carol"),
        ("arn:aws:iam::123456789012:root", "the root user of 123456789012"),
        ("arn:aws:iam::123456789012:user/", "arn:aws:iam::123456789012:user/"),
        ("arn:aws:sts::123456789012:assumed-role/alone", "arn:aws:sts::123456789012:assumed-role/alone"),
        ("arn:aws:iam::123456789012:root/of", "arn:aws:iam::123456789012:root/of"),
        ("arn:aws:sns:eu-west-1:123456789012:topic", "arn:aws:sns:eu-west-1:123456789012:topic"),
        ("alice", "alice"),
        (None, "somebody"),
    ],
)
def test_whoever_gave_a_command_is_called_as_people_call_them(by: str | None, told: str) -> None:
    assert who(by) == told
