"""Alarms reach people: the service's through the deployer, the deployer's own without it."""

from __future__ import annotations

import json

import pytest

from deployer.cli import VERBS
from tests.whole.team import Mailbox, Team


def ring(team: Team, alarm: str, state: str = "ALARM") -> None:
    """Set an alarm's state, as its metric does."""
    team.sandbox.client("cloudwatch").set_alarm_state(
        AlarmName=f"{team.function}-{alarm}", StateValue=state, StateReason=f"{alarm}: 12 datapoints"
    )


@pytest.fixture
def mailbox(team: Team) -> Mailbox:
    return Mailbox(team)


def test_an_alarm_of_the_service_is_told_once_with_the_last_release_and_the_way_back(
    team: Team, mailbox: Mailbox
) -> None:
    team.release(team.build("before the alarm"))
    released = team.release(team.build("blamed by an alarm"))

    ring(team, "errors")
    told = mailbox.wait("went red")
    ring(team, "errors", "OK")
    ring(team, "server-errors")
    mailbox.wait("server-errors went red")

    # Events are delivered in order: whatever else the first two had to tell would have come before the last.
    assert [each["Subject"] for each in mailbox.about("went red")] == [
        f"{team.function}: alarm {team.function}-errors went red",
        f"{team.function}: alarm {team.function}-server-errors went red",
    ]
    text = told["Message"]
    assert "errors: 12 datapoints" in text
    assert f"Users are on release blamed by an alarm ({released.image}), version {released.version}" in text
    stack = f"deployer --stack {team.name} --region us-east-1"
    assert f"{stack} rollback --reason 'alarm {team.function}-errors' --request {released.id}-back" in text
    ring(team, "server-errors", "OK")


@pytest.mark.skipif("rollback" not in VERBS, reason="the verb that the message names is not there yet")
def test_the_way_back_that_an_alarms_message_names_leads_there(team: Team, mailbox: Mailbox) -> None:
    before = team.release(team.build("to go back to"))
    released = team.release(team.build("to go back from"))
    ring(team, "throttles")
    lines = mailbox.wait("throttles went red")["Message"].splitlines()
    [back] = [line.strip() for line in lines if " rollback " in line]

    team.shell(f"{back} --yes")

    assert team.live() == before.version != released.version
    assert team.ledger.look().hold
    team.command({"command": "resume", "by": "the story"})
    ring(team, "throttles", "OK")


def test_an_alarm_of_the_deployer_comes_from_cloudwatch_itself(team: Team, mailbox: Mailbox) -> None:
    ring(team, "sweeps-missing")

    [told] = mailbox.about("sweeps-missing")

    assert told["Subject"] == f'ALARM: "{team.function}-sweeps-missing" in US East (N. Virginia)'
    message = json.loads(told["Message"])
    assert message["NewStateValue"] == "ALARM"
    assert "not started for a quarter of an hour" in message["AlarmDescription"]
    ring(team, "sweeps-missing", "OK")
    assert mailbox.about("sweeps-missing") == [told]
