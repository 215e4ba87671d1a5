"""Events and commands: whatever comes, a meaning or an error that says what is wrong, in one bounded line."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployer.events import Ignored, PushSeen, parse
from tests.fuzz import targets
from tests.fuzz.strategies import COMMANDS, deep, inputs, json_values, recorded


@given(inputs)
@example(json.dumps({"source": deep(900)}).encode())  # repr() of it was a RecursionError
def test_no_event_raises_anything_unexpected(data: bytes) -> None:
    targets.event(data)


@given(inputs)
def test_no_command_raises_anything_unexpected(data: bytes) -> None:
    targets.command(data)


@given(inputs)
@pytest.mark.filterwarnings("ignore:No application metrics to publish")
def test_no_invocation_ends_without_an_answer_or_without_log_lines_that_can_be_read(data: bytes) -> None:
    targets.invocation(data)


@given(json_values)
def test_no_json_is_a_push_by_chance(event: object) -> None:
    if not isinstance(event, dict) or "command" not in event:
        assert isinstance(
            parse(event, repository="r", account="123456789012", release_tag="latest", request_id="1"),
            Ignored,
        )


@given(st.sampled_from(["account", "time", "id", "source", "detail-type"]), json_values)
def test_a_push_in_which_one_thing_is_odd_is_that_push_or_none(place: str, odd: object) -> None:
    [push] = [event for event in recorded("eventbridge") if event.get("source") == "aws.ecr"]
    meant = {"repository": "shuking-lambda", "account": "123456789012", "release_tag": "latest"}
    good = parse(push, **meant, request_id="1")
    event = {**deepcopy(push), place: odd}
    try:
        meaning = parse(event, **meant, request_id="1")
    except ValueError:
        return
    assert isinstance(good, PushSeen)
    assert isinstance(meaning, Ignored) or (isinstance(meaning, PushSeen) and meaning.image == good.image)


def test_every_command_that_the_deployer_knows_is_tried() -> None:
    try:
        parse({"command": ""}, repository="r", account="1", release_tag="latest", request_id="1")
    except ValueError as error:
        known = str(error).partition("known are ")[2].replace(" and ", ", ").split(", ")
    assert known == [command["command"] for command in COMMANDS], "add it to COMMANDS in strategies.py"
