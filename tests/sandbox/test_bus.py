"""Events meet rules and get to their targets, or to a dead-letter queue."""

import json
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from moto.events.models import EventsBackend, Rule
from moto.sqs.models import sqs_backends

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.bus import Bus
from sandbox.door.policy import Document

DEPLOYER = "arn:aws:lambda:us-east-1:123456789012:function:deployer"
PUSHES = {"source": ["aws.ecr"], "detail": {"repository-name": ["shop"], "image-tag": ["latest"]}}
PUSH = {"action-type": "PUSH", "repository-name": "shop", "image-tag": "latest", "result": "SUCCESS"}


class Lambda:
    """Functions with their resource policies, and what was handed to them."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.policies: dict[str, Document] = {}
        self.refuses: AwsError | None = None
        self.arrived = threading.Event()

    def invoke_async(self, arn: str, payload: bytes) -> None:
        if self.refuses:
            raise self.refuses
        self.events.append((arn, json.loads(payload)))
        self.arrived.set()

    def policy(self, arn: str) -> Document | None:
        return self.policies.get(arn)

    def permit(self, arn: str, rule_arn: str) -> None:
        self.policies[arn] = {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "lambda:InvokeFunction",
                    "Resource": arn,
                    "Condition": {"ArnLike": {"AWS:SourceArn": rule_arn}},
                }
            ]
        }


class Queue:
    """An SQS queue in moto that EventBridge may send to."""

    def __init__(self, *, open_to_events: bool = True) -> None:
        name = f"dead-letters-{uuid.uuid4()}"
        self._queue = sqs_backends[ACCOUNT][REGION].create_queue(name, {})
        self.arn = str(self._queue.queue_arn)
        if open_to_events:
            statement = {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": self.arn,
            }
            self._queue.policy = json.dumps({"Statement": [statement]})

    def messages(self) -> list[tuple[Any, dict[str, str]]]:
        """(body, attributes) of everything in the queue."""
        return [
            (
                json.loads(message.body),
                {key: value["StringValue"] for key, value in message.message_attributes.items()},
            )
            for message in self._queue.messages
        ]


class World:
    """A bus with its rules, on fakes."""

    def __init__(self) -> None:
        self.functions = Lambda()
        self._events = EventsBackend(REGION, ACCOUNT)
        self.bus = Bus(
            self.functions.invoke_async,
            self.functions.policy,
            schedule_factor=600.0,
            rules=self._rules,
            now=lambda: datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
        )

    def rule(
        self,
        *targets: dict[str, Any],
        pattern: object = None,
        schedule: str | None = None,
        state: str = "ENABLED",
    ) -> Rule:
        name = f"rule-{len(self._rules())}"
        text = json.dumps(pattern) if pattern else None
        rule = self._events.put_rule(name, event_pattern=text, scheduled_expression=schedule, state=state)
        numbered = [{"Id": str(number), **target} for number, target in enumerate(targets)]
        self._events.put_targets(name, "default", numbered)
        return rule

    def _rules(self) -> list[Rule]:
        return list(self._events.event_buses["default"].rules.values())

    def push_event(self, detail: dict[str, str]) -> None:
        self.bus.put_event("aws.ecr", "ECR Image Action", detail)

    def delivered(self) -> list[tuple[str, Any]]:
        """What Lambda got, once everything under way has arrived."""
        self.bus.close()
        return self.functions.events


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.bus.close()


def test_a_matching_event_reaches_the_function_in_eventbridges_envelope(world: World) -> None:
    # given
    rule = world.rule({"Arn": DEPLOYER}, pattern=PUSHES)
    world.functions.permit(DEPLOYER, rule.arn)

    # when
    world.push_event(PUSH)

    # then
    ((arn, event),) = world.delivered()
    assert arn == DEPLOYER
    assert len(event.pop("id")) == 36
    assert event == {
        "version": "0",
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": "123456789012",
        "time": "2026-03-04T05:06:07Z",
        "region": "us-east-1",
        "resources": [],
        "detail": PUSH,
    }


@pytest.mark.parametrize(
    "detail",
    [
        PUSH | {"repository-name": "another"},
        PUSH | {"image-tag": "v1"},
        PUSH | {"image-tag": ""},
        {key: value for key, value in PUSH.items() if key != "image-tag"},
    ],
)
def test_an_event_that_no_rule_wants_goes_nowhere(world: World, detail: dict[str, str]) -> None:
    # given
    rule = world.rule({"Arn": DEPLOYER}, pattern=PUSHES)
    world.functions.permit(DEPLOYER, rule.arn)

    # when
    world.push_event(detail)

    # then
    assert world.delivered() == []


def test_a_disabled_rule_and_a_schedule_take_no_events(world: World) -> None:
    # given
    disabled = world.rule({"Arn": DEPLOYER}, pattern=PUSHES, state="DISABLED")
    world.rule({"Arn": DEPLOYER}, schedule="rate(1 minute)")
    world.functions.permit(DEPLOYER, disabled.arn.replace(disabled.name, "*"))

    # when
    world.push_event(PUSH)

    # then
    assert world.delivered() == []


def test_a_targets_own_input_replaces_the_event(world: World) -> None:
    # given
    rule = world.rule({"Arn": DEPLOYER, "Input": '{"sweep": true}'}, schedule="rate(1 minute)")
    world.functions.permit(DEPLOYER, rule.arn)

    # when
    world.bus.fire(rule)

    # then
    assert world.delivered() == [(DEPLOYER, {"sweep": True})]


def test_an_event_without_permission_to_invoke_lies_in_the_dead_letter_queue(world: World) -> None:
    # given
    queue = Queue()
    rule = world.rule({"Arn": DEPLOYER, "DeadLetterConfig": {"Arn": queue.arn}}, pattern=PUSHES)
    world.functions.permit(DEPLOYER, "arn:aws:events:us-east-1:123456789012:rule/another")

    # when
    world.push_event(PUSH)

    # then
    assert world.delivered() == []
    ((event, attributes),) = queue.messages()
    assert event["detail"] == PUSH
    assert attributes["RULE_ARN"] == rule.arn
    assert attributes["TARGET_ARN"] == DEPLOYER
    assert attributes["ERROR_CODE"] == "NO_PERMISSIONS"
    assert "does not let events.amazonaws.com do lambda:InvokeFunction" in attributes["ERROR_MESSAGE"]
    assert attributes["RETRY_ATTEMPTS"] == "0"
    assert "EXHAUSTED_RETRY_CONDITION" not in attributes


def test_an_event_for_a_function_that_is_gone_lies_in_the_dead_letter_queue(world: World) -> None:
    # given
    queue = Queue()
    rule = world.rule({"Arn": DEPLOYER, "DeadLetterConfig": {"Arn": queue.arn}}, pattern=PUSHES)
    world.functions.permit(DEPLOYER, rule.arn)
    world.functions.refuses = AwsError("ResourceNotFoundException", "Function not found: deployer", 404)

    # when
    world.push_event(PUSH)
    world.bus.close()

    # then
    ((_, attributes),) = queue.messages()
    assert attributes["ERROR_CODE"] == "NO_RESOURCE"


def test_a_dead_letter_queue_that_does_not_let_eventbridge_in_loses_the_event_loudly(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    queue = Queue(open_to_events=False)
    world.rule({"Arn": DEPLOYER, "DeadLetterConfig": {"Arn": queue.arn}}, pattern=PUSHES)

    # when
    world.push_event(PUSH)
    world.bus.close()

    # then
    assert queue.messages() == []
    assert "lost an event, its dead-letter queue did not take it" in capsys.readouterr().err


def test_one_target_that_fails_does_not_keep_the_event_from_the_next(world: World) -> None:
    # given
    queue = Queue()
    rule = world.rule({"Arn": "arn:aws:sns:us-east-1:1:x"}, {"Arn": queue.arn}, pattern=PUSHES)

    # when
    world.push_event(PUSH)
    world.bus.close()

    # then
    assert rule.targets[0]["Arn"].startswith("arn:aws:sns")
    assert [event["detail"] for event, _ in queue.messages()] == [PUSH]


def test_a_rate_schedule_ticks(world: World) -> None:
    # given
    rule = world.rule({"Arn": DEPLOYER}, schedule="rate(1 minute)")
    world.functions.permit(DEPLOYER, rule.arn)

    # when
    world.bus.start()

    # then
    assert world.functions.arrived.wait(20)
    _, event = world.functions.events[0]
    assert event["detail-type"] == "Scheduled Event"
    assert event["source"] == "aws.events"
    assert event["resources"] == [rule.arn]
