"""Asynchronous invocations: retried, given up in time, and told about where the owner wants it."""

from __future__ import annotations

import json
import queue
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.awslambda.invocations import Handling, Invocations, Queued
from sandbox.running.programs import Invocation
from tests.sandbox.lambdas import FUNCTION_ARN, ROLE, zipped

FAILURES = "arn:aws:sqs:us-east-1:123456789012:failures"
SUCCESSES = "arn:aws:sqs:us-east-1:123456789012:successes"
SECONDS = 20
"""How long a test waits for what must happen, before it fails."""


@dataclass
class Service:
    """A function that ends each attempt as planned, and the destinations that hear of it."""

    plan: list[Invocation | AwsError]
    handling: Handling = field(default_factory=Handling)
    attempts: queue.Queue[Queued] = field(default_factory=queue.Queue)
    sent: queue.Queue[tuple[str, Any]] = field(default_factory=queue.Queue)
    may_send: bool = True

    def run(self, event: Queued) -> Invocation:
        self.attempts.put(event)
        outcome = self.plan.pop(0)
        if isinstance(outcome, AwsError):
            raise outcome
        return outcome

    def send(self, role: str, arn: str, body: str) -> None:
        if not self.may_send:
            self.sent.put(("refused", role))
            raise AwsError("AccessDeniedException", "no")
        self.sent.put((arn, json.loads(body)))


@contextmanager
def queueing(service: Service, retry_delays: tuple[float, float] = (0.0, 0.0)) -> Iterator[Invocations]:
    invocations = Invocations(
        run=service.run,
        handling=lambda _: service.handling,
        send=service.send,
        retry_delays=retry_delays,
        throttled_seconds=0.05,
    )
    yield invocations
    invocations.stop()


def succeeded(payload: bytes = b'"fine"') -> Invocation:
    return Invocation("r", 200, payload, "7")


def failed() -> Invocation:
    return Invocation("r", 200, b'{"errorMessage": "no", "errorType": "ValueError"}', "7", "Unhandled")


def test_an_event_that_fails_twice_succeeds_at_the_third_attempt() -> None:
    # given
    service = Service([failed(), failed(), succeeded()], Handling(on_success=SUCCESSES, role_arn=ROLE))

    # when
    with queueing(service) as invocations:
        invocations.accept("service", "live", b'{"a": 1}', "request-1")
        arn, record = service.sent.get(timeout=SECONDS)

    # then
    assert arn == SUCCESSES
    assert {event.request_id for event in service.attempts.queue} == {"request-1"}
    timestamp = record.pop("timestamp")
    assert timestamp.endswith("Z")
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": "request-1",
            "functionArn": f"{FUNCTION_ARN}:live",
            "condition": "Success",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"a": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "7"},
        "responsePayload": "fine",
    }


def test_an_event_that_keeps_failing_ends_at_the_failure_destination() -> None:
    # given
    service = Service([failed(), failed(), failed()], Handling(on_failure=FAILURES))

    # when
    with queueing(service) as invocations:
        invocations.accept("service", None, b"{}", "request-1")
        arn, record = service.sent.get(timeout=SECONDS)

    # then
    assert arn == FAILURES
    assert record["requestContext"] == {
        "requestId": "request-1",
        "functionArn": f"{FUNCTION_ARN}:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "7",
        "functionError": "Unhandled",
    }
    assert record["responsePayload"]["errorType"] == "ValueError"


def test_no_retries_means_one_attempt() -> None:
    # given
    service = Service([failed()], Handling(retries=0, on_failure=FAILURES))

    # when
    with queueing(service) as invocations:
        invocations.accept("service", None, b"{}", "request-1")
        _, record = service.sent.get(timeout=SECONDS)

    # then
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert service.plan == []


def test_an_event_that_would_be_too_old_for_its_next_attempt_is_given_up() -> None:
    # given
    service = Service([failed(), succeeded()], Handling(age_seconds=60, on_failure=FAILURES))

    # when
    with queueing(service, retry_delays=(61.0, 120.0)) as invocations:
        invocations.accept("service", None, b"{}", "request-1")
        _, record = service.sent.get(timeout=SECONDS)

    # then
    assert record["requestContext"]["condition"] == "EventAgeExceeded"


def test_a_throttled_event_waits_and_costs_no_attempt() -> None:
    # given
    throttled = AwsError("TooManyRequestsException", "Rate Exceeded.", 429)
    service = Service([throttled, succeeded()], Handling(retries=0, on_success=SUCCESSES))

    # when
    with queueing(service) as invocations:
        invocations.accept("service", None, b"{}", "request-1")
        _, record = service.sent.get(timeout=SECONDS)

    # then
    assert record["requestContext"]["approximateInvokeCount"] == 1


def test_an_event_for_a_function_that_is_gone_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    # given
    gone = AwsError("ResourceNotFoundException", "Function not found: service", 404)
    service = Service([gone, failed()], Handling(retries=0, on_failure=FAILURES))

    # when
    with queueing(service) as invocations:
        invocations.accept("service", None, b"{}", "gone")
        service.attempts.get(timeout=SECONDS)
        invocations.accept("service", None, b"{}", "next")
        _, record = service.sent.get(timeout=SECONDS)

    # then
    assert record["requestContext"]["requestId"] == "next"
    assert "an event for service is lost" in capsys.readouterr().err


def test_a_destination_that_cannot_be_reached_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    # given
    service = Service([failed(), succeeded()], Handling(retries=0, on_failure=FAILURES), may_send=False)

    # when
    with queueing(service) as invocations:
        invocations.accept("service", None, b"{}", "first")
        service.sent.get(timeout=SECONDS)
        service.handling = Handling(on_success=SUCCESSES)
        service.may_send = True
        invocations.accept("service", None, b"{}", "second")
        arn, _ = service.sent.get(timeout=SECONDS)

    # then
    assert arn == SUCCESSES
    assert f"could not deliver to {FAILURES}" in capsys.readouterr().err


def test_a_failing_event_ends_in_the_queue_its_functions_role_may_write_to(
    aws: Callable[[str], Any],
) -> None:
    # given
    name = f"failing-{uuid.uuid4()}"
    queue_arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    queue_url = aws("sqs").create_queue(QueueName=name)["QueueUrl"]
    role = aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue_arn}
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    aws("iam").put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(policy))
    functions = aws("lambda")
    functions.create_function(
        FunctionName=name,
        Role=role,
        Handler="app.handler",
        Runtime="python3.12",
        Timeout=30,
        Code={"ZipFile": zipped(app="def handler(event, context): raise ValueError(event['why'])")},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    functions.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": queue_arn}},
    )

    # when
    functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"why": "no"}')
    (message,) = aws("sqs").receive_message(QueueUrl=queue_url, WaitTimeSeconds=20)["Messages"]

    # then
    record = json.loads(message["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestPayload"] == {"why": "no"}
    assert record["responsePayload"]["errorMessage"] == "no"
