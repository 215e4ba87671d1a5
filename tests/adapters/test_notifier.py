"""Messages as SNS takes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from deployer.aws.notifier import SnsNotifier
from deployer.model import Message

TOPIC = "arn:aws:sns:us-east-1:123456789012:people"
CHAT = "arn:aws:sns:us-east-1:123456789012:chat"


@pytest.fixture(scope="module")
def sns_client(silent: Callable[[str], Any]) -> Any:
    return silent("sns")


@pytest.fixture
def sns(sns_client: Any) -> Iterator[Stubber]:
    with Stubber(sns_client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("subject", "sent"),
    [
        ("shuking-prod: sha256:ab12… REVERTED", "shuking-prod: sha256:ab12... REVERTED"),
        ("live — on\r\nBcc: all@example.com\tversion\x00 7", "live - on Bcc: all@example.com version 7"),
        ("Grüße, 東京", "Gru?e, ??"),
        ("x" * 100, "x" * 96 + "..."),
        ("x" * 99, "x" * 99),
    ],
)
def test_a_subject_is_one_short_line_of_ascii(sns: Stubber, sns_client: Any, subject: str, sent: str) -> None:
    sns.add_response(
        "publish", {"MessageId": "1"}, {"TopicArn": TOPIC, "Subject": sent, "Message": "What to do next"}
    )
    SnsNotifier(sns_client, TOPIC, CHAT).send(Message(subject, "What to do next", "thread-1"))


def test_a_body_that_is_too_large_is_cut_and_still_delivered(sns: Stubber, sns_client: Any) -> None:
    bodies: list[str] = []

    def keep(params: dict[str, Any], **_: object) -> None:
        bodies.append(params["Message"])

    sns_client.meta.events.register_first("before-parameter-build.sns.Publish", keep, unique_id="keep")
    sns.add_response("publish", {"MessageId": "1"}, {"TopicArn": TOPIC, "Subject": "s", "Message": ANY})
    SnsNotifier(sns_client, TOPIC, CHAT).send(Message("s", "東" * 200_000, "thread-1"))
    sns_client.meta.events.unregister("before-parameter-build.sns.Publish", unique_id="keep")

    assert len(bodies[0].encode()) <= 262_144
    assert bodies[0].startswith("東東")
    assert bodies[0].endswith("…")


def test_a_chat_channel_gets_what_amazon_q_developer_understands(sns: Stubber, sns_client: Any) -> None:
    told: list[str] = []

    def keep(params: dict[str, Any], **_: object) -> None:
        told.append(params["Message"])

    sns_client.meta.events.register_first("before-parameter-build.sns.Publish", keep, unique_id="keep")
    sns.add_response("publish", {"MessageId": "2"}, {"TopicArn": CHAT, "Message": ANY})
    SnsNotifier(sns_client, TOPIC, CHAT).chat(Message("s", "b", "thread-1"))
    sns_client.meta.events.unregister("before-parameter-build.sns.Publish", unique_id="keep")

    note = json.loads(told[0])
    assert (note["version"], note["source"]) == ("1.0", "custom")
    assert note["content"]["textType"] == "client-markdown"
    assert note["metadata"]["threadId"] == "thread-1"
