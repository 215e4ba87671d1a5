"""How an end is told: by mail, in the chat, as an event; each for itself, and in nobody's way."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from deployer.model import Artifact, ArtifactKind, Channel, Origin, Phase, Source
from tests.fakes import UNHEALTHY, World, image


def told(world: World) -> dict[Channel, int]:
    """How many ends were told where."""
    return {
        Channel.MAIL: len(world.notifier.sent),
        Channel.CHAT: len(world.notifier.chatted),
        Channel.EVENT: len(world.announcer.announced),
    }


def breaks(world: World, *channels: Channel) -> None:
    """Only these do not work from now on."""
    world.notifier.broken = Channel.MAIL in channels
    world.notifier.chat_is_broken = Channel.CHAT in channels
    world.announcer.broken = Channel.EVENT in channels


def wait(world: World, **time: int) -> None:
    world.clock.sleep(timedelta(**time).total_seconds())
    world.sweep()


def test_every_end_is_told_once_in_every_form_with_the_same_facts() -> None:
    world = World()

    world.push("one")
    wait(world, hours=1)

    assert set(told(world).values()) == {1}
    [message], [event] = world.notifier.chatted, world.announcer.announced
    detail = json.loads(event.detail)
    assert event.detail_type == "Deployment Succeeded"
    assert world.mail.splitlines()[1] == message.body.splitlines()[0] == detail["headline"]
    assert message.thread == detail["deployment"]


@pytest.mark.parametrize("broken", Channel)
def test_a_channel_that_fails_keeps_nothing_from_the_others_and_is_told_alone_later(broken: Channel) -> None:
    # given
    world = World()
    breaks(world, broken)

    # when
    deployment = world.push("one")

    # then
    assert deployment.phase is Phase.SUCCEEDED
    assert told(world) == {channel: int(channel is not broken) for channel in Channel}
    [notice] = world.ledger.book.notices
    assert notice.owed == (broken,)
    assert [channel for channel, _ in notice.errors] == [broken]
    assert "cannot be reached" in notice.errors[0][1]
    assert world.journal.failed == [broken]

    # when
    breaks(world)
    wait(world, minutes=1)

    # then
    assert set(told(world).values()) == {1}
    assert world.ledger.book.notices == ()


def test_chat_and_event_bus_are_given_up_after_a_day_and_counted_once() -> None:
    world = World()
    breaks(world, Channel.CHAT, Channel.EVENT)
    world.push("one")

    for _ in range(30):
        wait(world, hours=1)

    assert world.ledger.book.notices == ()
    assert world.journal.gave_up == [Channel.CHAT, Channel.EVENT]
    assert told(world) == {Channel.MAIL: 1, Channel.CHAT: 0, Channel.EVENT: 0}


def test_people_are_told_however_long_it_takes_and_what_was_given_up_is_not_tried_again() -> None:
    world = World()
    breaks(world, *Channel)
    world.push("one")
    for _ in range(30):
        wait(world, hours=1)
    tries = len(world.journal.failed)
    assert [notice.owed for notice in world.ledger.book.notices] == [(Channel.MAIL,)]
    assert world.journal.gave_up == [Channel.CHAT, Channel.EVENT]

    wait(world, hours=1)
    assert world.journal.failed[tries:] == [Channel.MAIL]
    breaks(world)
    wait(world, hours=1)

    assert told(world) == {Channel.MAIL: 1, Channel.CHAT: 0, Channel.EVENT: 0}
    assert world.ledger.book.notices == ()


def test_what_was_never_tried_is_tried_once_however_late() -> None:
    world = World()
    breaks(world, Channel.CHAT)
    world.push("one")
    breaks(world)

    wait(world, days=3)

    assert set(told(world).values()) == {1}


# -- where images come from


def made(revision: str, by: str = "alice") -> Artifact:
    """An image that says where it comes from."""
    origin = Origin(revision, "https://github.com/acme/shop", built_by=by)
    return Artifact(ArtifactKind.IMAGE, "application/vnd.oci.image.manifest.v1+json", "x86_64", 1000, origin)


def test_a_deployment_keeps_where_its_image_and_the_one_before_it_come_from() -> None:
    world = World()
    world.push("first", made("a" * 40))
    world.answers("second", UNHEALTHY)

    deployment = world.push("second", made("b" * 40, "bob"))

    assert (deployment.origin.revision, deployment.before.revision) == ("b" * 40, "a" * 40)
    assert "built by bob" in world.mail
    assert f"https://github.com/acme/shop/compare/{'a' * 40}...{'b' * 40}" in world.mail


def test_a_registry_that_does_not_tell_where_live_comes_from_is_in_no_deployments_way() -> None:
    world = World()
    world.push("first", made("a" * 40))
    world.registry.unreadable.add(image("first").digest)

    deployment = world.push("second", made("b" * 40))

    assert deployment.phase is Phase.SUCCEEDED
    assert deployment.before == Origin()
    assert deployment.origin.revision == "b" * 40
    assert any("does not say where" in note for note in world.journal.notes)


def test_an_image_that_is_live_and_gone_from_the_registry_is_in_no_deployments_way() -> None:
    world = World()
    world.push("first", made("a" * 40))
    world.registry.delete(image("first"))

    deployment = world.push("second", made("b" * 40))

    assert deployment.before == Origin()
    assert deployment.origin.revision == "b" * 40


def test_a_rollback_says_where_its_target_comes_from_by_the_history_alone() -> None:
    world = World()
    for number, name in enumerate(("first", "second", "third")):
        world.push(name, made(str(number) * 40))
    world.registry.unreadable |= {image(name).digest for name in ("first", "second", "third")}
    world.clock.new_invocation()

    deployment = world.rollback()

    assert deployment.source is Source.ROLLBACK
    assert (deployment.origin.revision, deployment.before.revision) == ("1" * 40, "2" * 40)
    assert "rollback to version 3 (111111111111) is live" in world.mail
    assert not any("does not say where" in note for note in world.journal.notes)


def test_a_rollback_to_what_the_history_has_forgotten_asks_the_registry() -> None:
    world = World()
    for number, name in enumerate(("first", "second", "third")):
        world.push(name, made(str(number) * 40))
    world.ledger.ended.clear()
    world.clock.new_invocation()

    deployment = world.rollback("3")

    assert (deployment.origin.revision, deployment.before.revision) == ("1" * 40, "2" * 40)


def test_a_registry_that_does_not_tell_is_in_no_rollbacks_way() -> None:
    world = World()
    for name in ("first", "second", "third"):
        world.push(name)
    world.registry.unreadable |= {image(name).digest for name in ("first", "second", "third")}
    world.registry.silent = True
    world.clock.new_invocation()

    deployment = world.rollback()

    assert deployment.phase is Phase.SUCCEEDED
    assert (deployment.origin, deployment.before) == (Origin(), Origin())
    assert world.function.live_image == image("second")
