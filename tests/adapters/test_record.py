"""Deployments survive the table: they come back as they went in, whatever is in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from deployer.aws.record import (
    BadRecord,
    deployment_from,
    deployment_item,
    errors_item,
    hold_from,
    hold_item,
    notice_from,
    quarantine_from,
    quarantine_item,
)
from deployer.model import (
    Channel,
    CheckResult,
    Deployment,
    Hold,
    Image,
    Moment,
    Notice,
    Origin,
    Phase,
    Quarantine,
    Source,
    Verdict,
    Version,
    VersionState,
)

DIGEST = "sha256:" + "ab" * 32
AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
DEPLOYMENT = Deployment("20260301T030000Z-0123abcd", Image("shuking-lambda", DIGEST), Source.PUSH, AT)


RESULT = {"name": "", "passed": True, "expected": "", "actual": "", "seconds": 1, "tries": 1}


def through_the_table(item: dict[str, Any]) -> dict[str, Any]:
    """As DynamoDB gives back what was put there."""
    serializer, deserializer = TypeSerializer(), TypeDeserializer()
    wire = {name: serializer.serialize(value) for name, value in item.items()}
    return {name: deserializer.deserialize(value) for name, value in wire.items()}


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
moments = st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001  hypothesis wants bounds without a zone and adds it
    datetime(2100, 1, 1),  # noqa: DTZ001  same
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)
images = st.builds(
    Image, words, st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda hexes: f"sha256:{hexes}")
)
versions = st.builds(Version, words, images, st.sampled_from(VersionState), words)
results = st.builds(
    CheckResult,
    name=words,
    passed=st.booleans(),
    expected=words,
    actual=words,
    seconds=st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000),
    tries=st.integers(0, 10),
)
verdicts = st.builds(Verdict, st.lists(results, max_size=5).map(tuple), words)
timelines = st.lists(st.builds(Moment, moments, st.sampled_from(Phase), words), max_size=8)
origins = st.builds(
    Origin,
    revision=st.none() | words,
    url=st.none() | words,
    committed_at=st.none() | moments,
    built_by=st.none() | words,
)
deployments = st.builds(
    Deployment,
    id=words,
    image=images,
    source=st.sampled_from(Source),
    requested_at=moments,
    phase=st.sampled_from(Phase),
    timeline=timelines.map(tuple),
    previous=st.none() | versions,
    version=st.none() | words,
    origin=origins,
    before=origins,
    ending=st.none() | st.sampled_from(Phase),
    updates=st.integers(0, 100),
    blamed=st.booleans(),
    live=st.none() | versions,
    no_way_back=st.booleans(),
    warnings=st.lists(words, max_size=3).map(tuple),
    verification=st.none() | verdicts,
    confirmation=st.none() | verdicts,
    restoration=st.none() | verdicts,
)


@given(deployments)
def test_a_deployment_comes_back_as_it_went_in(deployment: Deployment) -> None:
    assert deployment_from(through_the_table(deployment_item(deployment))) == deployment


@given(st.builds(Hold, words, words, moments), st.builds(Quarantine, words, words, words))
def test_holds_and_quarantines_come_back_as_they_went_in(hold: Hold, quarantine: Quarantine) -> None:
    assert hold_from(through_the_table(hold_item(hold))) == hold
    assert quarantine_from(through_the_table(quarantine_item(quarantine))) == quarantine


def test_times_are_written_in_utc_whatever_zone_they_came_in() -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    item = deployment_item(replace(DEPLOYMENT, requested_at=AT.astimezone(kathmandu)))
    assert item["requested_at"] == "2026-03-01T03:00:00+00:00"


def test_a_field_of_a_later_deployer_is_ignored() -> None:
    item = {**deployment_item(DEPLOYMENT), "baked_for": 300, "pk": "shuking-prod#now", "sk": "deployment#1"}
    assert deployment_from(item) == DEPLOYMENT


def test_a_field_of_a_later_deployer_may_be_missing() -> None:
    needed = ("id", "image", "source", "requested_at", "phase")
    item = {name: value for name, value in deployment_item(DEPLOYMENT).items() if name in needed}
    assert deployment_from(item) == DEPLOYMENT


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"schema": 2}, "newer deployer"),
        ({"phase": "WATCHING"}, "WATCHING"),
        ({"image": {"repository": "r", "digest": "latest"}}, "not an image digest"),
        ({"image": "r@sha256"}, "cannot be read"),
        ({"requested_at": "2026-03-01T03:00:00"}, "without a zone"),
        ({"requested_at": 7}, "cannot be read"),
        ({"verification": {"results": [7]}}, "cannot be read"),
        ({"timeline": 7}, "cannot be read"),
        ({"updates": Decimal("1E+125")}, "not a count"),
        ({"updates": -1}, "not a count"),
        (
            {"verification": {"results": [{**RESULT, "seconds": "inf"}]}},
            "not a number of seconds: inf",
        ),
    ],
)
def test_an_item_that_cannot_be_read_says_which_and_why(wrong: dict[str, Any], told: str) -> None:
    item = {**deployment_item(DEPLOYMENT), "pk": "shuking-prod#now", "sk": "deployment#7", **wrong}
    with pytest.raises(BadRecord, match=told) as refused:
        deployment_from(item)
    assert "shuking-prod#now / deployment#7" in str(refused.value)


def test_a_message_that_could_never_be_tried_again_in_time_cannot_be_read() -> None:
    """The wait doubles with each try, and the table holds numbers of 126 digits."""
    with pytest.raises(BadRecord, match="not a count from 0 to"):
        notice_from({**deployment_item(DEPLOYMENT), "tries": Decimal("1E+125")})


def test_a_notice_from_before_there_were_channels_is_owed_everywhere() -> None:
    assert notice_from(deployment_item(DEPLOYMENT)).owed == tuple(Channel)


def test_a_channel_that_only_a_newer_deployer_has_is_no_reason_to_stop() -> None:
    notice = notice_from(
        {**deployment_item(DEPLOYMENT), "done": {"mail", "pager"}, "errors": {"pager": "?", "chat": "no"}}
    )

    assert notice.owed == (Channel.CHAT, Channel.EVENT)
    assert notice.errors == ((Channel.CHAT, "no"),)


@pytest.mark.parametrize("wrong", [{"done": 7}, {"done": "mail"}, {"errors": 7}, {"errors": ["chat"]}])
def test_a_notice_that_does_not_say_where_it_is_done_cannot_be_read(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRecord, match="cannot be read"):
        notice_from({**deployment_item(DEPLOYMENT), **wrong})


def test_why_something_was_not_delivered_is_bounded() -> None:
    kept = errors_item(Notice(DEPLOYMENT, errors=((Channel.CHAT, "東" * 9999),)))

    assert len(kept["chat"].encode()) <= 500


@pytest.mark.parametrize("odd", [None, "frozen", 7, ["by"], {}])
def test_a_hold_that_somebody_wrote_by_hand_says_what_is_wrong_with_it(odd: Any) -> None:
    with pytest.raises(BadRecord, match="cannot be read"):
        hold_from(odd)


def test_what_an_item_says_about_itself_is_one_harmless_line() -> None:
    with pytest.raises(BadRecord) as refused:
        deployment_from({"pk": "\x1b[2J\n" * 9999, "schema": "\u202e"})
    assert str(refused.value).isprintable()
    assert len(str(refused.value).encode()) <= 1000


def test_a_hold_or_a_quarantine_that_cannot_be_read_says_so() -> None:
    with pytest.raises(BadRecord, match="KeyError: 'because'"):
        hold_from({"by": "ana"})
    with pytest.raises(BadRecord, match="newer deployer"):
        quarantine_from({**quarantine_item(Quarantine(DIGEST, "7", "503")), "schema": 2})


def test_an_item_stays_far_below_what_dynamodb_takes_and_no_verdict_turns() -> None:
    # given: answers that went mad, two hundred of them, and the last one failed
    long = "東" * 100_000
    failed = [CheckResult(long, number < 199, long, long, 1.0, 2) for number in range(200)]
    mad = Verdict(tuple(failed), "first\n" + long + "last line")
    deployment = replace(
        DEPLOYMENT,
        previous=Version("7", DEPLOYMENT.image, VersionState.FAILED, long),
        timeline=tuple(Moment(AT, Phase.REVERTING, long) for _ in range(8)),
        warnings=(long, long),
        verification=mad,
        confirmation=mad,
        restoration=mad,
    )

    # when
    wire = TypeSerializer().serialize(deployment_item(deployment))
    found = deployment_from(TypeDeserializer().deserialize(wire))

    # then
    assert len(repr(wire).encode()) < 390 * 1024  # DynamoDB counts less than Python's way to write it
    assert found.verification is not None
    assert len(found.verification.results) == 200
    assert not found.verification.healthy
    assert found.verification.log_tail.endswith("last line")
    assert found.timeline[0].because.endswith("…")
