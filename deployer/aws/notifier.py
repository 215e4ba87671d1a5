"""`ports.Notifier` on Amazon SNS."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from deployer.aws.errors import translated
from deployer.chat import chat
from deployer.model import Message
from deployer.text import first, printable

if TYPE_CHECKING:  # stubs are no dependency of the deployed package
    from mypy_boto3_sns import SNSClient

# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: "less than 100 characters long"; 262,144 bytes
# for body and attributes together.
MAXIMUM_SUBJECT = 99
MAXIMUM_BODY = 256 * 1024 - 1024


class SnsNotifier:
    """People, reached by the topic `topic_arn`; chat channels by `chat_topic_arn`, which is for no mailbox: a
    chat message is JSON."""

    def __init__(self, client: SNSClient, topic_arn: str, chat_topic_arn: str) -> None:
        self._client = client
        self._topic = topic_arn
        self._chat_topic = chat_topic_arn

    def send(self, message: Message) -> None:
        """Deliver to people, or raise `LookAgain` or `Refused`. What is longer than SNS takes is cut."""
        with translated():
            self._client.publish(
                TopicArn=self._topic,
                Subject=_subject(message.subject),
                Message=first(printable(message.body), MAXIMUM_BODY),
            )

    def chat(self, message: Message) -> None:
        """Deliver to the chat channels, or raise `LookAgain` or `Refused`."""
        with translated():
            self._client.publish(TopicArn=self._chat_topic, Message=chat(message))


def _subject(text: str) -> str:
    """One line of ASCII: mail servers behind SNS mangle or refuse the rest."""
    plain = unicodedata.normalize("NFKD", text.replace("—", "-").replace("–", "-"))  # noqa: RUF001  dashes are meant
    letters = "".join(c for c in plain if not unicodedata.combining(c)).encode("ascii", "replace").decode()
    line = " ".join("".join(c if c.isprintable() else " " for c in letters).split())
    return line if len(line) <= MAXIMUM_SUBJECT else f"{line[: MAXIMUM_SUBJECT - 3]}..."
