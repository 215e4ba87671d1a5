"""What is live, and the way back, never expire from the registry: the tags `live` and `previous`."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.model import Artifact, Book, Deployment, Image, Phase
from deployer.ports import Answer, LookAgain, Refused
from sandbox.cloudformation import stack
from sandbox.ecr import lifecycle
from tests.fakes import PLACEHOLDER, TAG, UNHEALTHY, FakeClock, FakeRegistry, World, image


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
    world.hold()
    world.function.move_live("2")

    world.sweep()

    assert marks(world) == (image("one").digest, image("three").digest)


def test_an_idle_sweep_marks_nothing_takes_no_lease_and_reads_the_ledger_once() -> None:
    world = World()
    world.push("one")
    marked, token = list(world.registry.marked), world.ledger.token
    looks: list[int] = []
    look = world.ledger.look

    def counted() -> Book:
        looks.append(1)
        return look()

    world.ledger.look = counted  # type: ignore[method-assign]  # every read costs
    world.sweep()

    assert world.registry.marked == marked
    assert world.ledger.token == token
    assert len(looks) == 1


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


# With the template's own lifecycle policy, applied after each push


@cache
def policy(others: int) -> list[lifecycle.Rule]:
    """The template's rules, which keep so few images that no tag protects, in place of a hundred."""
    properties = stack.read(stack.TEMPLATE)["Resources"]["Repository"]["Properties"]
    text = properties["LifecyclePolicy"]["LifecyclePolicyText"]["Fn::Sub"]
    document: dict[str, Any] = json.loads(text.replace("${ReleaseTag}", TAG))
    *_, last = document["rules"]
    assert last["selection"] == {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 100}
    last["selection"]["countNumber"] = others
    return lifecycle.parsed(json.dumps(document))


class ExpiringRegistry(FakeRegistry):
    """A repository with a lifecycle policy."""

    def __init__(self, rules: list[lifecycle.Rule], clock: FakeClock) -> None:
        super().__init__()
        self._rules, self._clock = rules, clock
        self._pushed_at: dict[str, datetime] = {}

    def put(self, pushed: Image, artifact: Artifact | None = None, tag: str = TAG) -> None:
        super().put(pushed, artifact, tag)
        self._pushed(pushed.digest)

    def put_untagged(self, pushed: Image) -> None:
        tags = dict(self.tags)
        self.put(pushed, tag="a tag for a moment")
        self.tags = {tag: digest for tag, digest in tags.items() if digest in self.artifacts}

    def _pushed(self, digest: str) -> None:
        self._pushed_at.setdefault(digest, self._clock.now())
        tags_of = {
            each: frozenset(tag for tag, tagged in self.tags.items() if tagged == each)
            for each in self._pushed_at
        }
        images = [lifecycle.Image(each, tags_of[each], at) for each, at in self._pushed_at.items()]
        for expired in lifecycle.expired(self._rules, images, self._clock.now()):
            del self.artifacts[expired], self._pushed_at[expired]
            self.tags = {tag: tagged for tag, tagged in self.tags.items() if tagged != expired}


def expiring(others: int) -> World:
    world = World()
    world.registry = world.function.registry = ExpiringRegistry(policy(others), world.clock)
    world.registry.put(PLACEHOLDER, tag="placeholder")
    return world


WELL, BAD = [f"well {number}" for number in range(5)], [f"bad {number}" for number in range(3)]
EVENTS = st.one_of(
    st.tuples(st.just("release"), st.sampled_from(WELL + BAD)),
    st.tuples(st.just("tag"), st.integers(0, 20).map("git-{}".format)),
    st.tuples(st.just("untagged"), st.integers(0, 20).map("untagged {}".format)),
    st.tuples(st.just("by hand"), st.integers(0, 20)),
)


@settings(max_examples=60)
@given(events=st.lists(EVENTS, min_size=5, max_size=30), others=st.integers(1, 3))
def test_whatever_is_pushed_and_wherever_a_person_moves_live_neither_it_nor_the_way_back_expires(
    events: list[tuple[str, Any]], others: int
) -> None:
    world = expiring(others)
    registry = world.registry
    assert isinstance(registry, ExpiringRegistry)
    for name in BAD:
        world.answers(name, UNHEALTHY)

    for kind, what in events:
        if kind == "release":
            world.push(what)
        elif kind == "tag":
            registry.put(image(what), tag=what)
        elif kind == "untagged":
            registry.put_untagged(image(what))
        else:
            # A person takes users to a version that can serve them.
            there = [v.number for v in world.function.versions.values() if registry.present(v.image.digest)]
            world.function.move_live(there[what % len(there)])
            world.sweep()

        assert registry.present(world.function.live_image.digest), "what is live"
        for tag, digest in dict(registry.marked).items():
            assert registry.tagged(tag) == digest, f"the image tagged {tag}"


def test_who_goes_back_to_the_release_before_is_at_no_moment_without_a_mark() -> None:
    world = World()
    world.push("one")
    world.push("two")
    world.function.move_live("2")
    put, protected = world.registry.mark, []

    def watch(digest: str, tag: str) -> None:
        put(digest, tag)
        protected.append(set(marks(world)))

    world.registry.mark = watch  # type: ignore[method-assign]  # a bystander
    world.sweep()
    world.push("three")

    assert all(image("one").digest in each for each in protected)
    assert marks(world) == (image("three").digest, image("one").digest)


def test_without_the_marks_the_same_policy_takes_what_is_live() -> None:
    world = expiring(others=1)
    world.push("one")
    del world.registry.tags["live"]
    world.answers("bad", UNHEALTHY)

    world.push("bad")

    assert not world.registry.present(image("one").digest)


def test_releases_back_to_back_leave_the_way_back_marked() -> None:
    """The next one is taken up in the same invocation that ended the first."""
    world = World()
    world.push("one")
    world.registry.put(image("two"))
    second = world.request("two")
    third: list[Deployment] = []
    confirm = world.function.invoke

    def and_another_is_pushed(qualifier: str, payload: bytes) -> Answer:
        if qualifier == "live" and image("two") == world.function.live_image and not third:
            world.registry.put(image("three"))
            third.append(world.request("three"))
            world.ledger.request(third[0])
        return confirm(qualifier, payload)

    world.function.invoke = and_another_is_pushed  # type: ignore[method-assign]  # a busy day
    world.deliver(second)

    assert world.outcome(third[0]).phase is Phase.SUCCEEDED
    assert marks(world) == (image("three").digest, image("two").digest)


def test_a_registry_that_shows_its_writes_late_is_not_written_to_again_and_again() -> None:
    world = World()
    seen = dict(world.registry.tags)
    world.registry.tagged = lambda tag: world.registry.tags.get(tag) if tag == "latest" else seen.get(tag)  # type: ignore[method-assign]  # of an hour ago

    world.push("one")

    assert world.registry.marked == [("live", image("one").digest)]


def test_one_mark_that_is_refused_does_not_keep_the_other_from_being_set() -> None:
    world = World()
    world.push("one")
    put = world.registry.mark

    def refuse_previous(digest: str, tag: str) -> None:
        if tag == "previous":
            raise Refused("PutImage: not this one")
        put(digest, tag)

    world.registry.mark = refuse_previous  # type: ignore[method-assign]  # a strange thing has the tag
    world.push("two")

    assert world.registry.tagged("live") == image("two").digest
    assert world.journal.left_unprotected == ["PutImage: not this one"]
