"""A queue that is read and left as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from botocore.stub import ANY, Stubber

from deployer.aws.queue import MOST_MESSAGES, Message, SqsQueue
from deployer.ports import Refused


@pytest.fixture
def sqs(aws: Callable[[str], Any]) -> Any:
    return aws("sqs")


@pytest.fixture
def url(sqs: Any) -> str:
    return str(sqs.create_queue(QueueName=f"letters-{uuid4()}")["QueueUrl"])


def read(queue: SqsQueue) -> dict[str, Message]:
    found: dict[str, Message] = {}
    queue.read(found)
    return found


def test_every_message_is_read_once_with_what_its_sender_said(sqs: Any, url: str) -> None:
    for number in range(23):
        said = {"ERROR_CODE": {"DataType": "String", "StringValue": f"code {number}"}}
        sqs.send_message(QueueUrl=url, MessageBody=str(number), MessageAttributes=said)

    found: dict[str, Message] = {}
    told = SqsQueue(sqs, url).read(found)

    assert sorted(int(message.body) for message in found.values()) == list(range(23))
    for message in found.values():
        assert message.attributes == {"ERROR_CODE": f"code {message.body}"}
        assert message.sent_ms
    assert (told.messages, told.counted, told.cut) == (found, 23, False)


def test_what_is_in_hand_is_hidden_from_others_and_seen_again_when_it_is_put_back(sqs: Any, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="a letter")
    mine, others = SqsQueue(sqs, url), SqsQueue(sqs, url)
    found = read(mine)

    assert read(others) == {}
    mine.put_back(found.values())
    assert read(others).keys() == found.keys()


def test_others_are_counted_although_they_cannot_be_read(sqs: Any, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="a letter")
    read(SqsQueue(sqs, url))

    assert SqsQueue(sqs, url).read({}).counted == 1


def test_a_message_that_was_taken_away_meanwhile_keeps_no_other_from_going_back(sqs: Any, url: str) -> None:
    for body in ("gone", "stays"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    queue = SqsQueue(sqs, url)
    found = read(queue)
    [gone] = [message for message in found.values() if message.body == "gone"]
    queue.delete(gone)

    queue.put_back(found.values())

    assert [message.body for message in read(queue).values()] == ["stays"]


def test_a_queue_that_is_not_there_is_refused(sqs: Any, url: str) -> None:
    with pytest.raises(Refused, match=r"GetQueueAttributes: .* does not exist"):
        SqsQueue(sqs, f"{url}-elsewhere").read({})


def test_reading_ends_however_much_there_is(silent: Callable[[str], Any]) -> None:
    client = silent("sqs")
    with Stubber(client) as stubber:
        counts = {"ApproximateNumberOfMessages": "9000", "ApproximateNumberOfMessagesNotVisible": "1"}
        stubber.add_response("get_queue_attributes", {"Attributes": counts})
        for batch in range(MOST_MESSAGES // 10):
            ids = (f"{batch}-{number}" for number in range(10))
            messages = [{"MessageId": id_, "Body": "x", "ReceiptHandle": id_} for id_ in ids]
            stubber.add_response("receive_message", {"Messages": messages})

        told = SqsQueue(client, "http://queue").read({})
        stubber.assert_no_pending_responses()

    assert (len(told.messages), told.counted, told.cut) == (MOST_MESSAGES, 9001, True)


def test_a_message_that_comes_again_is_one_message_with_its_newest_receipt(
    silent: Callable[[str], Any],
) -> None:
    client = silent("sqs")
    with Stubber(client) as stubber:
        stubber.add_response("get_queue_attributes", {"Attributes": {"ApproximateNumberOfMessages": "1"}})
        for receipt in ("first", "second"):
            message = {"MessageId": "1", "Body": "x", "ReceiptHandle": receipt}
            stubber.add_response("receive_message", {"Messages": [message]})
        stubber.add_response("receive_message", {})
        stubber.add_response("delete_message", {}, {"QueueUrl": ANY, "ReceiptHandle": "second"})
        queue = SqsQueue(client, "http://queue")

        [message_] = read(queue).values()
        queue.delete(message_)

        stubber.assert_no_pending_responses()
