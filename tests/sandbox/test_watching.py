"""Watching the door: every call of a function's process is told twice, and the process may die at either."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Signer
from werkzeug.test import EnvironBuilder

from sandbox.account import REGION
from sandbox.door.watching import UNREADABLE, FunctionCall, read_call
from sandbox.server import Sandbox
from sandbox.waiting import until
from tests.sandbox.lambdas import zipped

Aws = Callable[[str], Any]

# It counts its own invocations in a variable of its process, and writes down each in two calls.
CODE = """
import os
import boto3

DYNAMODB = boto3.client("dynamodb")
COUNT = 0

def handler(event, context):
    global COUNT
    COUNT += 1
    for moment in ("first", "second"):
        key = {"S": event["run"] + " " + moment}
        DYNAMODB.put_item(TableName=os.environ["TABLE"], Item={"pk": key})
    return {"process": os.getpid(), "count": COUNT}
"""


@dataclass
class Watcher:
    """Notes all that it is told, and kills at the moments that it is given: the n-th call, done or not."""

    function: str
    kills: list[tuple[int, bool]] = field(default_factory=list)
    told: list[tuple[str, str, bool]] = field(default_factory=list)
    _calls: int = 0

    def __call__(self, call: FunctionCall, done: bool) -> bool:
        if call.function != self.function:
            return False
        self._calls += not done
        self.told.append((call.operation, call.parameters["Item"]["pk"]["S"], done))
        if (self._calls, done) in self.kills:
            self.kills.remove((self._calls, done))
            return True
        return False


@dataclass
class Counting:
    """The function of CODE, and its table."""

    name: str
    sandbox: Sandbox
    lambda_: Any
    dynamodb: Any

    def run(self, run: str) -> dict[str, Any]:
        """Invoke it and wait: its answer, with `FunctionError` if it had none."""
        answer = self.lambda_.invoke(FunctionName=self.name, Payload=json.dumps({"run": run}))
        told: dict[str, Any] = json.loads(answer["Payload"].read())
        return told | {"FunctionError": answer.get("FunctionError")}

    def accept(self, run: str) -> None:
        """Invoke it as an event."""
        event = json.dumps({"run": run})
        self.lambda_.invoke(FunctionName=self.name, InvocationType="Event", Payload=event)

    def written(self, run: str) -> set[str]:
        found = self.dynamodb.scan(TableName=self.name, ConsistentRead=True)["Items"]
        keys = [item["pk"]["S"].split() for item in found]
        return {moment for of, moment in keys if of == run}

    def watched(self, *kills: tuple[int, bool]) -> Watcher:
        watcher = Watcher(self.name, list(kills))
        self.sandbox.watch(watcher)
        return watcher


@pytest.fixture(scope="module")
def made(sandbox: Sandbox, aws: Aws) -> Counting:
    name = f"watched-{uuid.uuid4().hex[:8]}"
    table = aws("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )["TableDescription"]["TableArn"]
    role = aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": table}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    aws("iam").put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy)
    aws("lambda").create_function(
        FunctionName=name,
        Role=role,
        Handler="app.handler",
        Runtime="python3.12",
        Timeout=60,
        Environment={"Variables": {"TABLE": name}},
        Code={"ZipFile": zipped(app=CODE)},
    )
    aws("lambda").get_waiter("function_active_v2").wait(FunctionName=name)
    return Counting(name, sandbox, aws("lambda"), aws("dynamodb"))


@pytest.fixture
def counting(made: Counting) -> Iterator[Counting]:
    yield made
    made.sandbox.watch(None)


# -- what is told


def test_every_call_is_told_when_it_comes_and_when_it_is_done(counting: Counting) -> None:
    watcher = counting.watched()

    counting.run("told")

    assert watcher.told == [
        ("PutItem", "told first", False),
        ("PutItem", "told first", True),
        ("PutItem", "told second", False),
        ("PutItem", "told second", True),
    ]


def test_nobody_is_told_of_what_no_functions_process_asks(counting: Counting) -> None:
    calls: list[FunctionCall] = []

    def note(call: FunctionCall, done: bool) -> bool:
        calls.append(call)
        return True

    counting.sandbox.watch(note)
    counting.dynamodb.put_item(TableName=counting.name, Item={"pk": {"S": "by-hand first"}})

    assert calls == []
    assert counting.written("by-hand") == {"first"}


def test_who_has_stopped_watching_is_told_of_nothing(counting: Counting) -> None:
    watcher = counting.watched((1, False))
    counting.sandbox.watch(None)

    answer = counting.run("unwatched")

    assert answer["FunctionError"] is None
    assert watcher.told == []


# -- where it dies


def test_killed_before_a_call_the_call_has_no_effect(counting: Counting) -> None:
    watcher = counting.watched((2, False))

    answer = counting.run("before")

    assert answer["FunctionError"] == "Unhandled"
    assert "Runtime.ExitError" in str(answer)
    assert counting.written("before") == {"first"}
    assert watcher.told[-1] == ("PutItem", "before second", False)


def test_killed_after_a_call_the_call_has_its_effect_and_nobody_its_answer(counting: Counting) -> None:
    watcher = counting.watched((1, True))

    answer = counting.run("after")

    assert answer["FunctionError"] == "Unhandled"
    assert counting.written("after") == {"first"}
    assert watcher.told[-1] == ("PutItem", "after first", True)


def test_the_invocation_after_a_kill_is_in_a_new_process_and_otherwise_it_is_in_the_same(
    counting: Counting,
) -> None:
    before, same = counting.run("one"), counting.run("two")
    counting.watched((1, False))
    counting.run("killed")
    after = counting.run("three")

    assert same["process"] == before["process"]
    assert same["count"] == before["count"] + 1
    assert after["process"] != same["process"]
    assert after["count"] == 1


def test_an_event_whose_process_dies_is_tried_again_and_completed(counting: Counting) -> None:
    watcher = counting.watched((2, False))

    counting.accept("event")
    until(lambda: counting.sandbox.functions.events_under_way == 0, "the event to end")

    assert counting.written("event") == {"first", "second"}
    assert [key for _, key, done in watcher.told if not done] == [
        "event first",
        "event second",  # killed
        "event first",
        "event second",
    ]


@pytest.mark.parametrize("kills", [0, 3], ids=["that succeeds", "that is killed at every attempt"])
def test_an_event_is_under_way_until_its_end(counting: Counting, kills: int) -> None:
    arrived, goes_on = threading.Event(), threading.Event()
    left = [True] * kills

    def watch(call: FunctionCall, done: bool) -> bool:
        if call.function != counting.name:
            return False
        arrived.set()
        goes_on.wait(30)
        return bool(left and left.pop())

    counting.sandbox.watch(watch)
    counting.accept(f"under-way-{kills}")
    assert arrived.wait(30)
    during = counting.sandbox.functions.events_under_way
    goes_on.set()
    until(lambda: counting.sandbox.functions.events_under_way == 0, "the event to end")

    assert during == 1
    assert left == []
    assert counting.written(f"under-way-{kills}") == (set() if kills else {"first", "second"})


# -- what a request says


def request(service: str, method: str, path: str, body: bytes, **headers: str) -> dict[str, Any]:
    """A request's environment, signed for `service` as an SDK does it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    signed = AWSRequest(method, f"http://127.0.0.1{path}", data=body, headers=named)
    SigV4Auth(Signer("key", "secret"), service, REGION).add_auth(signed)
    path, _, query = path.partition("?")
    builder = EnvironBuilder(
        method=method, path=path, query_string=query, data=body, headers=list(signed.headers.items())
    )
    return builder.get_environ()


JSON = "application/x-amz-json-1.0"
REQUESTS = {
    "dynamodb": request(
        "dynamodb",
        "POST",
        "/",
        b'{"TableName": "ledger", "Key": {"pk": {"S": "x"}}}',
        X_Amz_Target="DynamoDB_20120810.GetItem",
        Content_Type=JSON,
    ),
    "sns": request(
        "sns",
        "POST",
        "/",
        b"Action=Publish&TopicArn=arn&Message=it+is+live",
        Content_Type="application/x-www-form-urlencoded",
    ),
    "lambda": request(
        "lambda",
        "POST",
        "/2015-03-31/functions/service/invocations?Qualifier=live",
        b'{"path": "/health"}',
    ),
}


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("dynamodb", "GetItem", {"TableName": "ledger", "Key": {"pk": {"S": "x"}}}),
        ("sns", "Publish", {"TopicArn": "arn", "Message": "it is live"}),
        (
            "lambda",
            "Invoke",
            {"FunctionName": "service", "Qualifier": "live", "Payload": b'{"path": "/health"}'},
        ),
    ],
)
def test_a_call_has_the_names_that_boto3_gives_it_and_its_request_stays_whole(
    service: str, operation: str, parameters: dict[str, Any]
) -> None:
    environ = dict(REQUESTS[service])
    sent = environ["wsgi.input"].getvalue()

    call = read_call(environ, "deployer")

    assert (call.function, call.service, call.operation) == ("deployer", service, operation)
    assert parameters.items() <= call.parameters.items()
    assert sent
    assert environ["wsgi.input"].read() == sent


def test_a_request_that_no_service_understands_is_told_as_such_and_stays_whole() -> None:
    environ = request("lambda", "POST", "/no/such/path", b"anything")

    call = read_call(environ, "deployer")

    assert (call.operation, call.parameters) == (UNREADABLE, {})
    assert environ["wsgi.input"].read() == b"anything"
