"""How people are told: in memory, and by the sandbox's topics through the real adapter.

What cannot agree: the in-memory notifier keeps subject and body as they were composed, which is what stories
read. What SNS takes of a long or foreign text is in tests/adapters/test_notifier.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol
from uuid import uuid4

import pytest

from deployer.aws.notifier import SnsNotifier
from deployer.model import Message
from deployer.ports import LookAgain, Notifier, Refused
from tests.fakes import FakeNotifier

MESSAGE = Message("shuking-prod: deployed", "version 2 is live\nNext: nothing", "deployment-1")


class Hands(Protocol):
    """A notifier, and those who get its messages."""

    @property
    def notifier(self) -> Notifier:
        """The port."""

    def mail(self) -> list[tuple[str, str]]:
        """Subject and body of what people have got, in any order."""

    def chat(self) -> list[tuple[str, str]]:
        """Thread and title of what the chat has got, in any order."""

    def delete_topic(self) -> None:
        """People cannot be reached any more."""

    def delete_chat_topic(self) -> None:
        """The chat cannot be reached any more."""


class Memory:
    """The in-memory notifier."""

    def __init__(self) -> None:
        self.notifier = FakeNotifier()

    def mail(self) -> list[tuple[str, str]]:
        return self.notifier.sent

    def chat(self) -> list[tuple[str, str]]:
        return [(message.thread, message.subject) for message in self.notifier.chatted]

    def delete_topic(self) -> None:
        self.notifier.broken = True

    def delete_chat_topic(self) -> None:
        self.notifier.chat_is_broken = True


class Sandbox:
    """Two topics, each with a queue that listens."""

    def __init__(self, aws: Callable[[str], Any]) -> None:
        self.sns, self.sqs = aws("sns"), aws("sqs")
        self.topic, self.queue = self._topic()
        self.chat_topic, self.chat_queue = self._topic()
        self.notifier = SnsNotifier(self.sns, self.topic, self.chat_topic)

    def mail(self) -> list[tuple[str, str]]:
        return [(told["Subject"], told["Message"]) for told in self._received(self.queue)]

    def chat(self) -> list[tuple[str, str]]:
        notes = [json.loads(told["Message"]) for told in self._received(self.chat_queue)]
        return [(note["metadata"]["threadId"], note["content"]["title"]) for note in notes]

    def delete_topic(self) -> None:
        self.sns.delete_topic(TopicArn=self.topic)

    def delete_chat_topic(self) -> None:
        self.sns.delete_topic(TopicArn=self.chat_topic)

    def _topic(self) -> tuple[str, str]:
        name = f"told-{uuid4()}"
        topic = self.sns.create_topic(Name=name)["TopicArn"]
        queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        return str(topic), str(queue)

    def _received(self, queue: str) -> list[dict[str, str]]:
        received = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(each["Body"]) for each in received]


@pytest.fixture(params=["memory", "sandbox"])
def there(request: pytest.FixtureRequest) -> Hands:
    return Memory() if request.param == "memory" else Sandbox(request.getfixturevalue("aws"))


def test_people_get_a_message_and_the_chat_does_not(there: Hands) -> None:
    there.notifier.send(MESSAGE)
    assert there.mail() == [(MESSAGE.subject, MESSAGE.body)]
    assert there.chat() == []


def test_the_chat_gets_a_message_in_its_thread_and_people_do_not(there: Hands) -> None:
    there.notifier.chat(MESSAGE)
    assert there.chat() == [(MESSAGE.thread, MESSAGE.subject)]
    assert there.mail() == []


def test_the_same_message_again_is_sent_again(there: Hands) -> None:
    there.notifier.send(MESSAGE)
    there.notifier.send(MESSAGE)
    assert there.mail() == [(MESSAGE.subject, MESSAGE.body)] * 2


def test_when_people_cannot_be_reached_it_says_so_and_the_chat_still_can(there: Hands) -> None:
    there.delete_topic()
    with pytest.raises((LookAgain, Refused), match="Publish"):
        there.notifier.send(MESSAGE)
    there.notifier.chat(MESSAGE)
    assert len(there.chat()) == 1
    assert there.mail() == []


def test_when_the_chat_cannot_be_reached_it_says_so_and_people_still_can(there: Hands) -> None:
    there.delete_chat_topic()
    with pytest.raises((LookAgain, Refused), match="Publish"):
        there.notifier.chat(MESSAGE)
    there.notifier.send(MESSAGE)
    assert len(there.mail()) == 1
    assert there.chat() == []
