"""What an event means: ours, not ours, or not to be lost."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployer.events import (
    AbortAsked,
    AlarmRang,
    BadCommand,
    CheckAsked,
    DeployAsked,
    HoldAsked,
    Ignored,
    Meaning,
    PushSeen,
    ResumeAsked,
    RetryAsked,
    RollbackAsked,
    SweepDue,
    Unreadable,
    from_widget,
    parse,
)
from deployer.model import Alarm, Asked, Image

EVENTS = Path(__file__).parent.parent / "events" / "eventbridge"
PUSH: dict[str, Any] = json.loads((EVENTS / "push.json").read_text())
SWEEP: dict[str, Any] = json.loads((EVENTS / "sweep.json").read_text())
ALARM: dict[str, Any] = json.loads((EVENTS / "alarm.json").read_text())
DIGEST = "sha256:" + "d" * 64


def read(event: object) -> Meaning:
    return parse(
        event,
        repository="shuking-lambda",
        account="123456789012",
        release_tag="latest",
        request_id="request-1",
    )


def push(**detail: Any) -> dict[str, Any]:
    event = deepcopy(PUSH)
    event["detail"].update(detail)
    return event


def test_a_push_of_the_release_tag_is_seen() -> None:
    assert read(PUSH) == PushSeen(
        Image("shuking-lambda", PUSH["detail"]["image-digest"]),
        datetime(2026, 3, 1, 3, 0, tzinfo=UTC),
        PUSH["id"],
    )


def test_the_schedule_is_a_sweep() -> None:
    assert read(SWEEP) == SweepDue()


def alarm(**state: Any) -> dict[str, Any]:
    event = deepcopy(ALARM)
    event["detail"]["state"].update(state)
    return event


def test_an_alarm_that_went_red_rang() -> None:
    because = (
        "Threshold Crossed: 1 datapoint [12.0 (01/03/26 03:00:00)] was greater than the threshold (0.0)."
    )

    assert read(ALARM) == AlarmRang(
        Alarm("shuking-prod-errors", because, datetime(2026, 3, 1, 3, 2, 40, 987000, tzinfo=UTC))
    )


def test_an_alarm_without_a_reason_rang_all_the_same() -> None:
    meaning = read(alarm(reason=None))

    assert isinstance(meaning, AlarmRang)
    assert meaning.alarm.because == "no reason given"


def test_an_alarm_without_a_time_of_its_own_has_its_events() -> None:
    meaning = read(alarm(timestamp=None))

    assert isinstance(meaning, AlarmRang)
    assert meaning.alarm.since == datetime(2026, 3, 1, 3, 2, 41, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "because"),
    [
        ({**ALARM, "detail": None}, "no detail"),
        ({**ALARM, "detail": {"alarmName": "a"}}, "no state"),
        ({**ALARM, "detail": {"alarmName": "a", "state": "ALARM"}}, "no state"),
        ({**ALARM, "detail": {**ALARM["detail"], "alarmName": None}}, "the alarm has no name: None"),
        ({**ALARM, "detail": {**ALARM["detail"], "alarmName": "  "}}, "the alarm has no name"),
        (alarm(timestamp="yesterday"), "not ISO 8601"),
        (alarm(timestamp=12), "no time: 12"),
    ],
)
def test_an_alarm_that_cannot_be_read_is_not_lost_silently(event: object, because: str) -> None:
    with pytest.raises(Unreadable, match=because):
        read(event)


@pytest.mark.parametrize(
    ("event", "because"),
    [
        (alarm(value="OK"), "the alarm is not red: 'OK'"),
        ({**ALARM, "account": "999999999999"}, "another account: '999999999999'"),
        (None, "not an event but a NoneType"),
        ([PUSH], "not an event but a list"),
        ({}, "neither a push nor an alarm: source None, detail-type None"),
        ({**PUSH, "source": "aws.s3"}, "neither a push nor an alarm: source 'aws.s3'"),
        ({**PUSH, "detail-type": "ECR Image Scan"}, "detail-type 'ECR Image Scan'"),
        ({**SWEEP, "source": "custom"}, "neither a push nor an alarm: source 'custom'"),
        ({**SWEEP, "detail-type": "other"}, "neither a push nor an alarm: source 'aws.events'"),
        ({**PUSH, "account": "999999999999"}, "another account: '999999999999'"),
        (push(**{"repository-name": "other"}), "another repository: 'other'"),
        (push(**{"action-type": "DELETE"}), "not a successful push: action 'DELETE'"),
        (push(result="FAILURE"), "not a successful push: action 'PUSH', result 'FAILURE'"),
        (push(**{"image-tag": ""}), "an image without a tag"),
        (push(**{"image-tag": None}), "an image without a tag"),
        (push(**{"image-tag": "git-3f2a91"}), "tag git-3f2a91 is not the release tag latest"),
        ({**PUSH, "source": "x" * 100_000}, "neither a push nor an alarm: source 'xxx"),
    ],
)
def test_what_is_not_for_us_is_ignored_and_says_why(event: object, because: str) -> None:
    meaning = read(event)

    assert isinstance(meaning, Ignored)
    assert because in meaning.because
    assert len(meaning.because) < 300


def test_an_untagged_push_may_lack_the_tag_altogether() -> None:
    event = push()
    del event["detail"]["image-tag"]

    assert read(event) == Ignored("an image without a tag")


@pytest.mark.parametrize(
    ("event", "because"),
    [
        ({**PUSH, "detail": "text"}, "the registry's event has no detail"),
        (push(**{"image-tag": ["latest"]}), r"not an image tag: \['latest'\]"),
        (push(**{"image-tag": "latest\n"}), "not an image tag"),
        (push(**{"image-tag": "최신"}), "not an image tag: '최신'"),
        (push(**{"image-digest": "sha256:short"}), "not an image digest"),
        (push(**{"image-digest": DIGEST.upper()}), "not an image digest"),
        (push(**{"image-digest": 7}), "the digest is missing or not a text: 7"),
        (push(**{"image-digest": "sha256:" + "d" * 100_000}), "not an image digest"),
        ({**PUSH, "id": ""}, "the push event has no id"),
        ({**PUSH, "id": 7}, "the push event has no id: 7"),
        ({**PUSH, "id": "\ud800"}, "the push event has no id"),
        ({**PUSH, "time": None}, "the event has no time: None"),
        ({**PUSH, "time": "yesterday"}, "time is not ISO 8601: 'yesterday'"),
        ({**PUSH, "time": "2026-03-01T03:00:00"}, "time has no zone"),
        ({**PUSH, "time": "0001-01-01T00:00:00+14:00"}, "time is out of range"),
    ],
)
def test_what_may_have_been_a_push_is_not_lost(event: object, because: str) -> None:
    with pytest.raises(Unreadable, match=because) as caught:
        read(event)

    assert len(str(caught.value)) < 300


ALICE = Asked("request-1", "alice", "incident 42")
WANTED = Image("shuking-lambda", DIGEST)


@pytest.mark.parametrize(
    ("command", "meaning"),
    [
        ({"command": "hold"}, HoldAsked(ALICE)),
        ({"command": "resume"}, ResumeAsked(ALICE)),
        ({"command": "abort"}, AbortAsked(ALICE, None)),
        ({"command": "abort", "deployment": "2026-ab"}, AbortAsked(ALICE, "2026-ab")),
        ({"command": "rollback"}, RollbackAsked(ALICE, None)),
        ({"command": "rollback", "to": "17"}, RollbackAsked(ALICE, "17")),
        ({"command": "rollback", "to": DIGEST}, RollbackAsked(ALICE, WANTED)),
        ({"command": "deploy", "digest": DIGEST}, DeployAsked(ALICE, WANTED, None)),
        ({"command": "deploy", "digest": DIGEST, "hold": "hold-1"}, DeployAsked(ALICE, WANTED, "hold-1")),
        ({"command": "retry", "digest": DIGEST}, RetryAsked(ALICE, WANTED, None)),
        ({"command": "hold", "request": "mine-7"}, HoldAsked(replace(ALICE, request="mine-7"))),
    ],
)
def test_a_command_says_who_and_why_and_what(command: dict[str, str], meaning: object) -> None:
    assert read({"by": " alice ", "because": "incident\n42", **command}) == meaning


def test_why_is_not_asked_where_it_is_plain() -> None:
    assert read({"command": "resume", "by": "alice"}) == ResumeAsked(replace(ALICE, because=""))
    assert read({"command": "retry", "by": "alice", "digest": DIGEST}) == RetryAsked(
        replace(ALICE, because=""), WANTED, None
    )


@pytest.mark.parametrize(
    ("command", "because"),
    [
        (
            {"command": "destroy"},
            "unknown command 'destroy'; known are hold, resume, abort, rollback, deploy, retry, check$",
        ),
        ({"command": ["hold"]}, "unknown command"),
        ({"command": "hold", "because": "x"}, 'the command needs "by", a text: who does this'),
        ({"command": "hold", "by": "alice"}, 'the command needs "because", a text: why'),
        ({"command": "hold", "by": "alice", "because": "  "}, 'the command needs "because"'),
        ({"command": "resume", "by": 7}, 'the command needs "by"'),
        ({"command": "retry", "by": "alice"}, "the digest is missing"),
        ({"command": "retry", "by": "alice", "digest": "ab12"}, "not an image digest"),
        ({"command": "retry", "by": "alice", "because": 3, "digest": DIGEST}, 'the command needs "because"'),
        ({"command": "deploy", "by": "alice", "digest": DIGEST}, 'the command needs "because"'),
        ({"command": "rollback", "by": "a", "because": "b", "to": "$LATEST"}, '"to" is the number of a'),
        ({"command": "rollback", "by": "a", "because": "b", "to": 7}, '"to" is the number of a version'),
        ({"command": "rollback", "by": "a", "because": "b", "to": "sha256:7"}, "not an image digest"),
        ({"command": "rollback", "by": "a", "because": "b", "too": "7"}, "takes no 'too'; it takes because"),
        ({"command": "abort", "by": "a", "because": "b", "deployment": "x y"}, '"deployment" is an id'),
        ({"command": "check", "version": "live"}, '"version" is the number of a version, not .live.'),
        ({"command": "check", "version": 7}, '"version" is the number of a version, not 7'),
        ({"command": "check", "because": "b"}, "check takes no 'because'; it takes by, request, version"),
        ({"command": "hold", "by": "a", "because": "b", "request": 7}, '"request" is an id'),
        ({"command": "hold", "by": "a", "because": "b", "request": ""}, '"request" is an id'),
    ],
)
def test_a_command_that_cannot_be_followed_says_what_it_needs(command: object, because: str) -> None:
    with pytest.raises(BadCommand, match=because):
        read(command)


def test_what_a_person_writes_can_be_written_down() -> None:
    meaning = read({"command": "hold", "by": "a\ud800b", "because": "x"})

    assert meaning == HoldAsked(Asked("request-1", "a?b", "x"))


def test_what_a_person_writes_is_bounded() -> None:
    meaning = read({"command": "hold", "by": "a" * 10_000, "because": "b" * 10_000})

    assert meaning == HoldAsked(Asked("request-1", "a" * 200, "b" * 200))


def test_a_check_is_of_what_is_live_or_of_a_version() -> None:
    assert read({"command": "check"}) == CheckAsked(None, None)
    assert read({"command": "check", "version": "7", "by": "alice"}) == CheckAsked("7", "alice")


def test_an_arn_is_kept_whole_and_what_only_begins_like_one_is_not() -> None:
    arn = "arn:aws:iam::123456789012:user/" + "path/" * 100 + "alice"

    assert read({"command": "resume", "by": arn}) == ResumeAsked(Asked("request-1", arn, ""))
    for other in ("arn:" + "a" * 641, "arn:aws: with spaces " + "a" * 300, f"{arn}\n"):
        meaning = read({"command": "resume", "by": other})
        assert isinstance(meaning, ResumeAsked)
        assert len(meaning.asked.by) == 200


def from_form(all_fields: object, **command: object) -> dict[str, object]:
    """As a button on the dashboard sends it."""
    return {**command, "widgetContext": {"theme": "dark", "forms": {"all": all_fields}}}


def test_a_button_takes_who_and_why_from_the_form_beside_it() -> None:
    fields = {"by": " alice ", "because": "incident\n42", "request": "of the form", "to": "1"}

    assert read(from_form(fields, command="rollback", request="page-1")) == RollbackAsked(
        Asked("page-1", "alice", "incident 42"), None
    )


def test_what_a_button_says_itself_comes_before_the_form() -> None:
    fields = {"by": "mallory", "because": "other"}

    assert read(from_form(fields, command="hold", by="alice", because="incident 42")) == HoldAsked(ALICE)


def test_a_reason_that_nobody_has_to_give_may_be_left_empty_in_the_form() -> None:
    assert read(from_form({"by": "alice", "because": " "}, command="resume")) == ResumeAsked(
        replace(ALICE, because="")
    )


@pytest.mark.parametrize(
    ("fields", "because"),
    [
        ({"by": "alice", "because": ""}, "hold: fill in the field Why, and click again"),
        ({"by": "", "because": "x"}, "hold: fill in the field Who, and click again"),
        ({"by": "alice"}, "fill in the field Why"),
        ({}, "fill in the field Who"),
        (["alice"], "fill in the field Who"),
        (None, "fill in the field Who"),
        ({"by": ["alice"], "because": "x"}, 'the command needs "by", a text'),
        ({"by": "alice", "because": {"a": "b"}}, 'the command needs "because", a text'),
    ],
)
def test_a_form_that_was_not_filled_in_is_told_which_field(fields: object, because: str) -> None:
    with pytest.raises(BadCommand, match=because):
        read(from_form(fields, command="hold"))


@pytest.mark.parametrize("context", [None, 7, [], "x", {"forms": None}, {"forms": {"all": 7}}])
def test_a_context_that_is_none_is_an_empty_form(context: object) -> None:
    with pytest.raises(BadCommand, match="fill in the field Who"):
        read({"command": "resume", "widgetContext": context})


def test_a_form_is_bounded_like_any_other_text() -> None:
    meaning = read(from_form({"by": "a" * 10_000, "because": "b\u202e" * 10_000}, command="hold"))

    assert meaning == HoldAsked(Asked("request-1", "a" * 200, "b\ufffd" * 100))


def test_only_a_command_with_a_widgets_context_is_from_a_widget() -> None:
    assert from_widget({"command": "hold", "widgetContext": {}})
    assert not from_widget({"widgetContext": {}})
    assert not from_widget({"command": "hold"})
    assert not from_widget(["command", "widgetContext"])
