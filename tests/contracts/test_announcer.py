"""How programs are told: in memory, and by the sandbox's event bus through the real adapter."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

import pytest

from deployer.announcement import SOURCE
from deployer.aws.announcer import EventBridgeAnnouncer
from deployer.model import Announcement
from deployer.ports import Announcer, LookAgain, Refused
from sandbox.waiting import until
from tests.fakes import FakeAnnouncer

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:shuking-prod"
AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


class Hands(Protocol):
    """An announcer, and somebody who listens."""

    @property
    def announcer(self) -> Announcer:
        """The port."""

    def heard(self, number: int) -> list[tuple[str, tuple[str, ...], Any, datetime]]:
        """Kind, resources, detail and time of so many events, once they are there, in any order."""

    def broken(self) -> Announcer:
        """One that reaches nobody."""


class Memory:
    """The in-memory announcer."""

    def __init__(self) -> None:
        self.announcer = FakeAnnouncer()

    def heard(self, number: int) -> list[tuple[str, tuple[str, ...], Any, datetime]]:
        told = self.announcer.announced
        return [(each.detail_type, each.resources, json.loads(each.detail), each.at) for each in told]

    def broken(self) -> Announcer:
        return FakeAnnouncer(broken=True)


class Sandbox:
    """The account's bus, with a rule and a queue that gets what one test announces."""

    def __init__(self, aws: Callable[[str], Any], kind: str) -> None:
        self.sqs, events = aws("sqs"), aws("events")
        self.announcer = EventBridgeAnnouncer(events)
        name = f"heard-{uuid4()}"
        self.queue = str(self.sqs.create_queue(QueueName=name)["QueueUrl"])
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        arn = attributes["Attributes"]["QueueArn"]
        statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Statement": [statement]})
        self.sqs.set_queue_attributes(QueueUrl=self.queue, Attributes={"Policy": policy})
        events.put_rule(Name=name, EventPattern=json.dumps({"source": [SOURCE], "detail-type": [kind]}))
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])

    def heard(self, number: int) -> list[tuple[str, tuple[str, ...], Any, datetime]]:
        found: list[dict[str, Any]] = []

        def all_there() -> bool:
            received = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
            found.extend(json.loads(each["Body"]) for each in received.get("Messages", []))
            return len(found) >= number

        until(all_there, f"{number} events")
        return [
            (
                each["detail-type"],
                tuple(each["resources"]),
                each["detail"],
                datetime.fromisoformat(each["time"]),
            )
            for each in found
        ]

    def broken(self) -> Announcer:
        class NoBus:
            def put_events(self, **_: object) -> dict[str, Any]:
                return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}

        return EventBridgeAnnouncer(NoBus())  # type: ignore[arg-type]  # all that it asks of a client


@pytest.fixture
def kind() -> str:
    return f"Deployment {uuid4()}"


@pytest.fixture(params=["memory", "sandbox"])
def there(request: pytest.FixtureRequest, kind: str) -> Hands:
    return Memory() if request.param == "memory" else Sandbox(request.getfixturevalue("aws"), kind)


def test_who_listens_gets_the_event_with_its_function_and_the_time_of_the_end(
    there: Hands, kind: str
) -> None:
    there.announcer.announce(Announcement(kind, (FUNCTION,), '{"phase": "REVERTED", "by": "안나"}', AT))
    assert there.heard(1) == [(kind, (FUNCTION,), {"phase": "REVERTED", "by": "안나"}, AT)]


def test_the_same_event_again_is_put_again(there: Hands, kind: str) -> None:
    announcement = Announcement(kind, (FUNCTION,), "{}", AT)
    there.announcer.announce(announcement)
    there.announcer.announce(announcement)
    assert there.heard(2) == [(kind, (FUNCTION,), {}, AT)] * 2


def test_a_bus_that_does_not_take_it_says_so(there: Hands, kind: str) -> None:
    with pytest.raises((LookAgain, Refused), match="PutEvents"):
        there.broken().announce(Announcement(kind, (FUNCTION,), "{}", AT))
