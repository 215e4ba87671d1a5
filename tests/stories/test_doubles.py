"""One push is one deployment and one message, whoever noted it first: its event, or a sweep."""

from __future__ import annotations

from deployer.model import Deployment, Phase, Source, deployment_id
from tests.fakes import UNHEALTHY, World, image


def seen_by_a_sweep(world: World, name: str) -> Deployment:
    """The request of a sweep that saw the tag before the event came."""
    now = world.clock.now()
    return Deployment(deployment_id(now, f"sweep {now}"), image(name), Source.SWEEP, now)


def test_a_push_noted_by_its_event_and_by_a_sweep_at_once_is_deployed_once() -> None:
    world = World()
    world.push("one")
    world.registry.put(image("two"))
    pushed = world.request("two")
    world.clock.sleep(1)
    world.ledger.request(seen_by_a_sweep(world, "two"))

    world.deliver(pushed)

    ended = [each for each in world.ledger.ended.values() if each.image == image("two")]
    assert [each.phase for each in ended] == [Phase.SUCCEEDED]
    assert len(world.notifier.sent) == 2


def test_a_bad_push_that_a_sweep_saw_too_is_told_of_once() -> None:
    world = World()
    world.push("one")
    world.answers("bad", UNHEALTHY)
    world.registry.put(image("bad"))
    pushed = world.request("bad")
    check = world.function.invoke

    def and_a_sweep_looks(qualifier: str, payload: bytes) -> object:
        world.clock.sleep(1)
        world.ledger.request(seen_by_a_sweep(world, "bad"))
        world.function.invoke = check  # type: ignore[method-assign]  # once
        return check(qualifier, payload)

    world.function.invoke = and_a_sweep_looks  # type: ignore[method-assign, assignment]  # in the middle
    world.deliver(pushed)

    ended = [each for each in world.ledger.ended.values() if each.image == image("bad")]
    assert [each.phase for each in ended] == [Phase.REVERTED]
    assert len(world.notifier.sent) == 2
    assert "another deployment is for this push, too" in world.journal.notes


def test_whoever_has_worked_leaves_the_next_push_to_its_own_event() -> None:
    world = World()
    world.push("one")
    answered = world.function.invoke

    def and_somebody_pushes(qualifier: str, payload: bytes) -> object:
        if qualifier == "live":
            world.registry.put(image("three"))
        return answered(qualifier, payload)

    world.function.invoke = and_somebody_pushes  # type: ignore[method-assign, assignment]  # the tag moves on
    world.push("two")

    assert image("three") not in {each.image for each in world.ledger.ended.values()}
    world.sweep()
    assert world.function.live_image == image("three")
