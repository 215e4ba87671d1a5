"""What a dead letter says, whoever wrote it."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.aws.queue import Message
from deployer.commands.parts import letters
from deployer.commands.parts.letters import Addressee, Letter, NoSuchLetter, Queue, choose, record, shown
from deployer.model import Image

EVENTS = Path(__file__).parent.parent / "events" / "eventbridge"
PUSH: dict[str, Any] = json.loads((EVENTS / "push.json").read_text())
ALARM: dict[str, Any] = json.loads((EVENTS / "alarm.json").read_text())
SWEEP: dict[str, Any] = json.loads((EVENTS / "sweep.json").read_text())
TO = Addressee("shuking-prod-deployer", "shuking-lambda", "123456789012", "latest")
DEPLOYER = "arn:aws:lambda:us-east-1:123456789012:function:shuking-prod-deployer"
REFUSED = {
    "RULE_ARN": "arn:aws:events:us-east-1:123456789012:rule/push",
    "TARGET_ARN": DEPLOYER,
    "ERROR_CODE": "NO_PERMISSIONS",
    "ERROR_MESSAGE": "not authorized",
    "RETRY_ATTEMPTS": "0",
}
NUL, ESCAPE, TURNED = "\x00", "\x1b[2J", "\u202e"


def message(body: str, attributes: dict[str, str] | None = None, id_: str = "3f2a91c0-aa") -> Message:
    return Message(id_, body, attributes or {}, 1_772_334_012_000, "receipt")


def from_rules(event: object, **attributes: str) -> Letter:
    return letters.read(message(json.dumps(event), REFUSED | attributes), Queue.RULES, TO)


def from_lambda(event: object, **changed: Any) -> Letter:
    """As in the guide's example, which failed three times."""
    written: dict[str, Any] = {
        "version": "1.0",
        "timestamp": "2026-03-01T03:03:12.568Z",
        "requestContext": {
            "requestId": "e4b46cbf-b738-4ff3-8880-a18cdf61200e",
            "functionArn": f"{DEPLOYER}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {
            "errorType": "Refused",
            "errorMessage": "PutItem: AccessDenied",
            "stackTrace": [],
        },
    }
    return letters.read(message(json.dumps(written | changed)), Queue.DEPLOYER, TO)


def unreadable_push() -> dict[str, Any]:
    event = deepcopy(PUSH)
    del event["detail"]["image-digest"]
    return event


def test_a_push_that_eventbridge_could_not_hand_over_says_what_and_why_and_can_be_replayed() -> None:
    letter = from_rules(PUSH)

    pushed = Image("shuking-lambda", PUSH["detail"]["image-digest"])
    assert letter.what == f"push of latest {pushed}, 2026-03-01 03:00:00 UTC"
    assert letter.why == "NO_PERMISSIONS: not authorized"
    assert letter.sent_at == datetime(2026, 3, 1, 3, 0, 12, tzinfo=UTC)
    assert letter.event == letter.message.body
    assert (letter.image, letter.pushed_at) == (pushed, datetime(2026, 3, 1, 3, 0, tzinfo=UTC))


def test_a_push_that_was_retried_to_the_end_says_so() -> None:
    letter = from_rules(
        PUSH,
        ERROR_CODE="ERROR_FROM_TARGET",
        RETRY_ATTEMPTS="185",
        EXHAUSTED_RETRY_CONDITION="MaximumRetryAttempts",
    )

    assert (
        letter.why
        == "ERROR_FROM_TARGET: not authorized (after 185 retries), until MaximumRetryAttempts was reached"
    )


def test_a_push_that_the_deployer_gave_up_says_with_which_error_and_can_be_replayed_as_it_was() -> None:
    letter = from_lambda(PUSH)

    assert letter.what.startswith("push of latest sha256:")
    assert letter.why == "Refused: PutItem: AccessDenied (RetriesExhausted, after 3 tries)"
    assert letter.event
    assert json.loads(letter.event) == PUSH


def test_an_event_that_grew_too_old_has_no_answer_and_still_a_reason() -> None:
    context = {"functionArn": DEPLOYER, "condition": "EventAgeExceeded", "approximateInvokeCount": 0}
    letter = from_lambda(PUSH, requestContext=context, responsePayload=None)

    assert letter.why == "(EventAgeExceeded, after 0 tries)"
    assert letter.event


@pytest.mark.parametrize(
    ("event", "what"),
    [
        (ALARM, f"alarm {ALARM['detail']['alarmName']}, "),
        (SWEEP, "a sweep"),
    ],
)
def test_an_alarm_and_a_sweep_are_named_and_can_be_replayed(event: object, what: str) -> None:
    letter = from_lambda(event)

    assert letter.what.startswith(what)
    assert letter.event


@pytest.mark.parametrize(
    ("event", "stays"),
    [
        (unreadable_push(), "the deployer cannot read it: the digest is missing"),
        (PUSH | {"account": "210987654321"}, "the deployer would ignore it: another account"),
        ({"command": "resume", "by": "alice"}, "it is a command, and was for then"),
        ({"command": 7}, "it is a command, and was for then"),
        ("text", "the deployer would ignore it: not an event but a str"),
        (None, "the deployer would ignore it: not an event but a NoneType"),
    ],
)
def test_what_would_do_nothing_or_harm_is_not_replayed_and_says_why(event: object, stays: str) -> None:
    for letter in (from_rules(event), from_lambda(event)):
        assert letter.event is None
        assert letter.stays_because.startswith(stays)
        assert letter.what


def test_an_event_that_cannot_be_read_is_named_by_what_it_says_it_is() -> None:
    letter = from_lambda(unreadable_push())

    assert letter.what.startswith('ECR Image Action of aws.ecr: {"')


def test_a_request_to_another_function_is_not_the_deployers() -> None:
    arn = DEPLOYER.replace("-deployer", "-placeholder") + ":$LATEST"
    letter = from_lambda({"RequestType": "Create"}, requestContext={"functionArn": arn})

    assert letter.what == "a request to shuking-prod-placeholder"
    assert (letter.event, letter.stays_because) == (None, "it was not for the deployer")


@pytest.mark.parametrize("queue", Queue)
@pytest.mark.parametrize(
    ("body", "stays"),
    [
        ("", "it is no JSON"),
        ("not { JSON", "it is no JSON"),
        ('{"requestPayload": NaN}', "it is no JSON"),
        ("9" * 5000, "it is no JSON"),
        ("[" * 100_000, "it is nested too deeply to be read"),
    ],
)
def test_a_letter_that_is_no_json_is_shown_as_what_it_is(queue: Queue, body: str, stays: str) -> None:
    letter = letters.read(message(body), queue, TO)

    assert (letter.event, letter.stays_because) == (None, stays)
    assert letter.what == (body if len(body) < 100 else body[:119] + "…")


@pytest.mark.parametrize("body", ["[]", "{}", json.dumps(PUSH)])
def test_what_is_no_record_of_lambdas_is_not_taken_for_one(body: str) -> None:
    letter = letters.read(message(body), Queue.DEPLOYER, TO)

    assert (letter.event, letter.stays_because) == (None, "it is no record of Lambda's")


def test_a_number_that_cannot_be_written_again_is_not_replayed_as_another() -> None:
    body = '{"requestPayload": ' + json.dumps(PUSH)[:-1] + ', "more": 1e999}}'

    letter = letters.read(message(body), Queue.DEPLOYER, TO)

    assert letter.event is None
    assert "too large" in letter.stays_because


@pytest.mark.parametrize("depth", [10, *range(900, 1000, 3)])
def test_no_depth_of_nesting_breaks_a_letter(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    for body in (
        f'{{"requestPayload": {nested}}}',
        f'{{"requestPayload": 1, "responsePayload": {{"errorMessage": {nested}}}}}',
        f'{{"source": {nested}, "detail-type": {nested}}}',
    ):
        for queue in Queue:
            assert letters.read(message(body), queue, TO).what


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)
PART = st.sampled_from(["requestPayload", "requestContext", "responsePayload", "source", "detail", "command"])
ATTRIBUTE = st.sampled_from([*REFUSED, "EXHAUSTED_RETRY_CONDITION"])
BODY = (
    st.text()
    | JSON.map(json.dumps)
    | st.dictionaries(PART, JSON).map(json.dumps)
    | st.dictionaries(PART, st.dictionaries(st.sampled_from(["functionArn", "errorType"]), JSON)).map(
        json.dumps
    )
)


@given(
    BODY,
    st.dictionaries(ATTRIBUTE, st.text() | st.sampled_from([NUL, ESCAPE, TURNED, DEPLOYER, "\ud800"])),
    st.none() | st.integers(),
    st.sampled_from(Queue),
)
def test_no_letter_whatever_breaks_its_reading(
    body: str, attributes: dict[str, str], sent_ms: int | None, queue: Queue
) -> None:
    letter = letters.read(Message("3f2a91c0", body, attributes, sent_ms, "receipt"), queue, TO)

    for text in (letter.what, letter.why, letter.stays_because):
        assert text.isprintable()
        assert len(text.encode()) <= 700
    assert letter.why
    assert (letter.event is None) == bool(letter.stays_because)
    assert json.loads(json.dumps(record(letter)))["body"] == body


def test_whole_ids_and_beginnings_choose_letters_each_once() -> None:
    one, two = written("3f2a91c0-aa"), written("3f2a91c0-bb")

    assert choose([one, two], ["3f2a91c0-a", "3f2a91c0-aa", "3f2a91c0-bb"]) == [one, two]


def test_an_id_that_is_the_beginning_of_another_is_itself() -> None:
    one, two = written("3f2a"), written("3f2a91c0")

    assert choose([one, two], ["3f2a"]) == [one]


@pytest.mark.parametrize(
    ("wanted", "because"),
    [
        ("3f2", "'3f2' is too short: give 4 characters of an id"),
        ("", "'' is too short"),
        ("9999", "there is no letter 9999"),
        ("3f2a", "3f2a begins the ids of 2 letters: 3f2a91c0-aa, 3f2a91c0-bb"),
    ],
)
def test_an_id_that_chooses_no_letter_is_an_error_that_says_so(wanted: str, because: str) -> None:
    both = [written("3f2a91c0-aa"), written("3f2a91c0-bb")]

    with pytest.raises(NoSuchLetter, match=because):
        choose(both, [wanted])


def test_an_id_is_shown_as_long_as_it_must_be() -> None:
    both = [written("3f2a91c0-aa"), written("3f2a91c0-bb")]

    assert [shown(letter, both) for letter in both] == ["3f2a91c0-a", "3f2a91c0-b"]
    assert shown(both[0], both[:1]) == "3f2a91c0"


def written(id_: str) -> Letter:
    return letters.read(message(json.dumps(PUSH), REFUSED, id_), Queue.RULES, TO)
