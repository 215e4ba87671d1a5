"""A dead-letter queue in SQS, read without taking anything out of it.

Reading hides: what ReceiveMessage hands out, nobody else is handed until the visibility time-out is over or
ChangeMessageVisibility ends it. DeleteMessage wants the receipt of the newest reading.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployer.aws.errors import translated

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Long enough to read all there is; whoever is killed meanwhile hides nothing for longer.
HIDDEN_SECONDS = 30
MOST_MESSAGES = 500
# A few more than so many messages take: while we read, some may become visible and be handed out again.
_MOST_RECEIVES = 100
_AT_ONCE = 10  # SQS's own limit for a batch
# With a wait SQS asks all its servers. Without one it asks some of them, and may find nothing where there is
# something ("Amazon SQS short and long polling").
_WAIT_SECONDS = 1


@dataclass(frozen=True)
class Message:
    """What is in the queue, as it was put there, and the receipt that it was read with."""

    id: str
    body: str
    attributes: Mapping[str, str]  # those of the sender that are texts
    sent_ms: int | None  # since 1970, by SQS's clock
    receipt: str


@dataclass(frozen=True)
class Found:
    """What a reading found. `counted` is SQS's own, approximate count from just before it; `cut`: the reading
    stopped at its bound."""

    messages: Mapping[str, Message]
    counted: int
    cut: bool


class SqsQueue:
    """One queue, by its URL. Raises `LookAgain` or `Refused`, as all adapters do."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def read(self, found: dict[str, Message]) -> Found:
        """Read every message that can be seen, each once, into `found`, which also an interrupted caller has
        then. They are hidden for `HIDDEN_SECONDS`: `put_back` ends that."""
        counted = self._count()
        for _ in range(_MOST_RECEIVES):
            if len(found) >= MOST_MESSAGES:
                return Found(found, counted, cut=True)
            received = self._receive()
            if not received:
                return Found(found, counted, cut=False)
            found.update((message.id, message) for message in received)
        return Found(found, counted, cut=True)

    def put_back(self, messages: Iterable[Message]) -> None:
        """Let everybody see them again, now. One that somebody else took away meanwhile is passed over."""
        self._hide(messages, 0)

    def keep(self, messages: Iterable[Message], seconds: int) -> None:
        """Hide them for so long from now, instead of for what was left."""
        self._hide(messages, seconds)

    def delete(self, message: Message) -> None:
        """Take one out of the queue, for good."""
        with translated():
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)

    def _count(self) -> int:
        """Those that can be seen and those that somebody is reading."""
        with translated():
            told = self._client.get_queue_attributes(
                QueueUrl=self._url,
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )
        return sum(int(count) for count in told["Attributes"].values())

    def _receive(self) -> list[Message]:
        with translated():
            told = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_AT_ONCE,
                VisibilityTimeout=HIDDEN_SECONDS,
                WaitTimeSeconds=_WAIT_SECONDS,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        return [
            Message(
                each["MessageId"],
                each.get("Body", ""),
                {
                    name: value["StringValue"]
                    for name, value in each.get("MessageAttributes", {}).items()
                    if "StringValue" in value
                },
                _milliseconds(each.get("Attributes", {}).get("SentTimestamp")),
                each["ReceiptHandle"],
            )
            for each in told.get("Messages", [])
        ]

    def _hide(self, messages: Iterable[Message], seconds: int) -> None:
        receipts = [message.receipt for message in messages]
        for start in range(0, len(receipts), _AT_ONCE):
            with translated():
                self._client.change_message_visibility_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                        for number, receipt in enumerate(receipts[start : start + _AT_ONCE])
                    ],
                )


def _milliseconds(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
