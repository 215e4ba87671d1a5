"""The deployer's function as people command it: what it answers, and how it dies."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from deployer.aws.deployer import ANSWER_SECONDS, DeployerFunction, Died
from sandbox.cloudformation import stack
from tests.cli.conftest import ROOT

COMMAND = {"command": "hold", "by": "alice", "because": "incident 42", "request": "request-1"}


def ask(silent: Callable[[str], Any], payload: bytes, **answer: str) -> object:
    client = silent("lambda")
    body = StreamingBody(io.BytesIO(payload), len(payload))
    with Stubber(client) as stub:
        expected = {"FunctionName": "shuking-deployer", "Payload": json.dumps(COMMAND).encode()}
        stub.add_response("invoke", {"Payload": body, **answer}, expected)
        return DeployerFunction(client, "shuking-deployer").ask(COMMAND)


def test_an_answer_is_json(silent: Callable[[str], Any]) -> None:
    assert ask(silent, b'{"held": {"id": "hold-1"}}') == {"held": {"id": "hold-1"}}
    assert ask(silent, b"no json") is None
    assert ask(silent, b"[" * 100_000) is None


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"errorMessage": "2026-03-01T03:00:00Z Task timed out after 300.00 seconds"}, "Task timed out"),
        ({"errorType": "BadSettings", "errorMessage": "TABLE_NAME is not set"}, "BadSettings: TABLE_NAME is"),
        ({"errorMessage": "at https://me:hunter2@db/x"}, "at https://…@db/x"),
        ({"errorMessage": ["odd"]}, "odd"),
        ("x" * 10_000, "xxx"),
    ],
)
def test_a_deployer_that_died_is_told_in_lambdas_words(
    silent: Callable[[str], Any], payload: object, told: str
) -> None:
    with pytest.raises(Died) as died:
        ask(silent, json.dumps(payload).encode(), FunctionError="Unhandled")

    assert told in str(died.value)
    assert len(str(died.value).encode()) <= 600


def test_an_answer_is_waited_for_longer_than_the_deployer_may_take() -> None:
    properties = stack.read(ROOT / "template.yaml")["Resources"]["Deployer"]["Properties"]

    assert properties["Timeout"] < ANSWER_SECONDS
