"""An alarm of the service is told next to what users are on; see also tests/unit/test_message.py."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from deployer.model import Alarm, Deployment
from deployer.ports import LookAgain
from tests.fakes import START, UNHEALTHY, World, image

ALARM = Alarm("errors", "12 errors", START + timedelta(minutes=5))


def test_an_alarm_is_told_next_to_the_last_release_past_a_failed_one() -> None:
    world = World()
    world.push("one")
    world.push("two")
    world.answers("bad", UNHEALTHY)
    world.push("bad")

    world.controller().alarm(ALARM)

    assert "alarm errors went red" in world.mail
    assert str(image("two")) in world.mail
    assert " rollback --reason 'alarm errors' --request " in world.mail
    assert world.notifier.chatted[-1].subject == "shuking-prod: alarm errors went red"


def test_after_a_rollback_by_hand_nobody_is_sent_further_back() -> None:
    world = World()
    world.push("one")
    world.push("two")
    world.function.move_live("2")

    world.controller().alarm(ALARM)

    assert "Somebody moved live there by hand" in world.mail
    assert "rollback" not in world.mail


def test_an_alarm_that_cannot_be_told_is_left_to_lambdas_retry() -> None:
    world = World()
    world.notifier.broken = True

    with pytest.raises(LookAgain):
        world.controller().alarm(ALARM)


def test_an_alarm_is_told_although_the_history_cannot_be_read() -> None:
    world = World()
    world.push("one")

    def throttled(
        limit: int, since: datetime | None = None, until: datetime | None = None
    ) -> list[Deployment]:
        raise LookAgain("Query: ThrottlingException")

    world.ledger.history = throttled  # type: ignore[method-assign]  # from now on
    world.controller().alarm(ALARM)

    assert "What is live could not be read" in world.mail


def test_a_chat_that_fails_does_not_keep_an_alarm_from_people() -> None:
    world = World()
    world.notifier.chat_is_broken = True

    world.controller().alarm(ALARM)

    assert [subject for subject, _ in world.notifier.sent] == ["shuking-prod: alarm errors went red"]
    assert "the chat could not be told of the alarm errors" in "".join(world.journal.notes)
