"""What is live, and the way back, never expire from the registry: the tags `live` and `previous`."""

from __future__ import annotations

from datetime import timedelta

import pytest

from deployer.model import Alarm, Phase
from deployer.ports import LookAgain
from tests.fakes import PLACEHOLDER, START, UNHEALTHY, World, image


def marks(world: World) -> tuple[str | None, str | None]:
    return world.registry.tagged("live"), world.registry.tagged("previous")


def test_a_first_release_is_marked_as_live_and_the_placeholder_as_nothing() -> None:
    world = World()

    world.push("first")

    assert marks(world) == (image("first").digest, None)
    assert PLACEHOLDER.digest not in dict(world.registry.marked).values()


def test_each_release_hands_the_mark_of_previous_on() -> None:
    world = World()

    for name in ("one", "two", "three"):
        world.push(name)

    assert marks(world) == (image("three").digest, image("two").digest)


def test_a_reverted_release_leaves_the_marks_alone() -> None:
    world = World()
    world.push("one")
    world.push("two")
    world.answers("bad", UNHEALTHY)
    before = list(world.registry.marked)

    world.push("bad")

    assert world.registry.marked == before
    assert marks(world) == (image("two").digest, image("one").digest)


def test_at_no_moment_is_what_is_live_or_was_before_without_a_mark() -> None:
    world = World()
    world.push("one")
    world.push("two")
    protected = [{image("one").digest, image("two").digest}]
    put = world.registry.mark

    def watch(digest: str, tag: str) -> None:
        put(digest, tag)
        protected.append({digest for digest in marks(world) if digest})

    world.registry.mark = watch  # type: ignore[method-assign]  # a bystander
    world.push("three")

    assert all(image("two").digest in each for each in protected)
    assert image("three").digest in protected[-1]


def test_what_a_person_went_back_to_by_hand_is_marked_by_the_sweep_even_under_a_hold() -> None:
    world = World()
    world.push("one")
    world.push("two")
    world.push("three")
    world.controller().hold("alice", "incident 42")
    world.function.move_live("2")

    world.sweep()

    assert marks(world) == (image("one").digest, image("three").digest)


def test_an_idle_sweep_marks_nothing_and_takes_no_lease() -> None:
    world = World()
    world.push("one")
    marked, token = list(world.registry.marked), world.ledger.token

    world.sweep()

    assert world.registry.marked == marked
    assert world.ledger.token == token


def test_a_registry_that_refuses_the_marks_is_in_nobodys_way_and_is_told_of() -> None:
    world = World()
    world.registry.refuses_marks = "PutImage: AccessDeniedException"

    deployment = world.push("one")

    assert deployment.phase is Phase.SUCCEEDED
    assert "AccessDeniedException" in world.journal.left_unprotected[0]
    world.registry.refuses_marks = ""
    world.sweep()
    assert marks(world) == (image("one").digest, None)


def test_a_registry_that_does_not_answer_does_not_fail_the_sweep() -> None:
    world = World()
    world.push("one")
    tagged = world.registry.tagged

    def throttled(tag: str) -> str | None:
        if tag == "live":
            raise LookAgain("ThrottlingException")
        return tagged(tag)

    world.registry.tagged = throttled  # type: ignore[method-assign]  # for the marks only
    world.sweep()

    assert world.journal.left_unprotected == ["ThrottlingException"]


def test_an_alarm_is_told_next_to_the_last_release() -> None:
    world = World()
    world.push("one")
    world.push("two")
    world.answers("bad", UNHEALTHY)
    world.push("bad")

    world.controller().alarm(Alarm("errors", "12 errors", START + timedelta(minutes=5)))

    assert "alarm errors went red" in world.mail
    assert str(image("two")) in world.mail
    assert "--function-version 2" in world.mail


def test_an_alarm_that_cannot_be_told_is_left_to_lambdas_retry() -> None:
    world = World()
    world.notifier.broken = True

    with pytest.raises(ConnectionError):
        world.controller().alarm(Alarm("errors", "12 errors", START))
