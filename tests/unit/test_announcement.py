"""The event about an end: what docs/events.md and its schema promise, of every event that is composed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # its stubs are a package of their own
from moto.events.models import EventPattern

from deployer.announcement import MAXIMUM_DETAIL, SOURCE, announcement
from deployer.message import compose
from deployer.model import (
    Announcement,
    CheckResult,
    Deployment,
    Image,
    Moment,
    Origin,
    Phase,
    Place,
    Source,
    Verdict,
    Version,
    VersionState,
)
from deployer.rollout import ENDED
from docs import draw_events
from docs.draw_events import SCHEMA, as_delivered
from tests.fakes import UNHEALTHY, World

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
PLACE = Place("shop", "eu-west-1", "123456789012", "team/shop")
LONG = '\x00\u6771"' * 400  # longer than anything that is read of somebody else
PAGE = draw_events.PAGE.read_text(encoding="utf-8")


def announced(deployment: Deployment, place: Place = PLACE) -> Announcement:
    return announcement(deployment, service="shop-prod", deployer="shop-prod-deployer", place=place)


def closed(schema: Any) -> Any:
    """The schema, which lets no field pass that it does not describe."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    return {**inner, "additionalProperties": False} if "properties" in schema else inner


STRICT = Draft202012Validator(closed(SCHEMA), format_checker=Draft202012Validator.FORMAT_CHECKER)


def wrong(event: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}"[:300] for error in STRICT.iter_errors(event)]


def stories() -> Iterator[Announcement]:
    """Everything that the stories' world announces in a busy hour."""
    world = World()
    world.push("first")
    world.push("second")
    world.answers("bad", UNHEALTHY)
    world.push("bad")
    world.push("bad")
    world.rollback()
    world.push("held")
    yield from world.announcer.announced


def monstrous(phase: Phase) -> Deployment:
    """Answers that went mad, two hundred of them; as long as nothing in the ledger can be."""
    results = tuple(CheckResult(LONG, number < 199, LONG, LONG, 1.0, 2) for number in range(200))
    mad = Verdict(results, LONG)
    bad = Image("r" * 256, "sha256:" + "c" * 64)
    return Deployment(
        "20260301T030000Z-1",
        bad,
        Source.RETRY,
        START,
        phase,
        tuple(Moment(START + timedelta(seconds=n), Phase.REVERTING, LONG) for n in range(40)),
        by=LONG,
        why=LONG,
        previous=Version("7", bad, VersionState.FAILED, LONG),
        version="8",
        origin=Origin(LONG, LONG, START, LONG),
        before=Origin(LONG, LONG, START, LONG),
        live=Version("7", bad),
        trips="hold-1",
        warnings=(LONG,) * 40,
        verification=mad,
        confirmation=mad,
        restoration=mad,
    )


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["source"]["const"] == SOURCE


def test_every_event_of_the_stories_is_what_the_schema_says() -> None:
    events = [as_delivered(each) for each in stories()]

    kinds = {event["detail"]["phase"] for event in events}
    assert {"SUCCEEDED", "REVERTED", "REJECTED"} <= kinds
    assert {event["detail"]["source"] for event in events} >= {"push", "rollback"}
    assert [found for event in events for found in wrong(event)] == []


@pytest.mark.parametrize("phase", sorted(ENDED))
def test_the_largest_end_still_fits_and_is_what_the_schema_says(phase: Phase) -> None:
    event = announced(monstrous(phase))

    told = as_delivered(event)
    assert len(event.detail.encode()) <= MAXIMUM_DETAIL
    assert wrong(told) == []
    assert told["detail"]["shortened"] is True
    assert told["detail"]["image"]["digest"] == "sha256:" + "c" * 64
    assert told["detail"]["links"][0]["url"].startswith("https://eu-west-1.console.aws.amazon.com/")
    assert told["detail-type"] == f"Deployment {phase.title()}"


def test_what_fits_is_not_cut() -> None:
    [event, *_] = stories()

    assert json.loads(event.detail)["shortened"] is False


def test_half_characters_do_not_keep_an_end_from_being_told() -> None:
    bare = Deployment("id", Image("r", "sha256:" + "c" * 64), Source.PUSH, START, Phase.REJECTED, by="\ud800")

    assert json.loads(announced(bare).detail)["by"] == "?"


def test_the_headline_is_the_first_line_of_the_mail() -> None:
    for event in stories():
        detail = json.loads(event.detail)
        assert len(detail["headline"].splitlines()) == 1
    deployment = monstrous(Phase.STUCK)
    mail = compose(deployment, service="shop-prod", deployer="shop-prod-deployer", place=PLACE)
    told = json.loads(announced(replace(deployment, verification=None, confirmation=None)).detail)
    assert mail.body.startswith(told["headline"].removesuffix("…")[:80])


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_the_function_is_named_by_its_arn_in_every_partition(partition: str) -> None:
    event = announced(monstrous(Phase.STUCK), replace(PLACE, partition=partition))

    assert event.resources == (f"arn:{partition}:lambda:eu-west-1:123456789012:function:shop-prod",)


# -- the page


def test_the_page_is_what_schema_and_code_say() -> None:
    assert draw_events.page(PAGE) == PAGE, "run `make docs`"


def test_every_field_on_the_page_has_its_meaning() -> None:
    described = list(draw_events.fields())

    assert len(described) > 50
    assert all(len(meaning) > 2 for _, _, meaning in described)
    assert len({path for path, _, _ in described}) == len(described)


def test_the_example_is_an_event_and_the_patterns_match_what_they_say() -> None:
    *patterns, example = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))

    assert wrong(example) == []
    assert example["detail"]["phase"] == "REVERTED"
    matches = [EventPattern.load(json.dumps(pattern)).matches_event(example) for pattern in patterns]
    assert matches == [True, False]  # it failed before users could see it
    example["detail"]["checks"]["through_live"] = {"healthy": False}
    assert EventPattern.load(json.dumps(patterns[1])).matches_event(example)
