"""What the dashboard's function answers to programs. A plan is tried out: what it says is what happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deployer import reading
from deployer.aws.record import BadRecord
from deployer.model import Artifact, ArtifactKind, Latest, Phase, Source, UpdateStatus, Version
from deployer.ports import LookAgain, Refused
from deployer.reading import NEW, Plan, Sources, answer
from deployer.rollout import ENDED, MOVES, Action, RunChecks, Wait
from deployer.settings import BadSettings
from tests.deployments import command
from tests.fakes import HEALTHY, REPOSITORY, UNHEALTHY, FakeFunction, World, image

INDEX = Artifact(ArtifactKind.INDEX, "application/vnd.oci.image.index.v1+json")


def sources(world: World) -> Sources:
    return Sources(world.function, world.registry, world.ledger, REPOSITORY, world.service.placeholders)


def ask(world: World, **asked: object) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(answer(asked, lambda: sources(world), world.clock.now())))
    return told


def plan(world: World, name: str, artifact: Artifact | None = None) -> Plan:
    """Of an image that is in the registry, under a tag that is not the release tag."""
    world.registry.put(image(name), artifact, tag="mine")
    return reading.plan(sources(world), image(name).digest, world.clock.now())


def live_on(*names: str) -> World:
    world = World()
    for name in names:
        assert world.push(name).phase is Phase.SUCCEEDED
    return world


# -- the state


def test_the_state_says_what_is_live_and_what_latest_is_on() -> None:
    world = live_on("one")
    world.function.code = image("by hand")

    told = ask(world, read="state")

    assert told["live"]["version"] == "2"
    assert told["live"]["image"] == {"repository": REPOSITORY, "digest": image("one").digest}
    assert (told["live"]["state"], told["live"]["placeholder"]) == ("Active", False)
    assert told["latest"]["digest"] == image("by hand").digest


def test_the_state_of_a_new_stack_is_its_placeholder() -> None:
    assert ask(World(), read="state")["live"]["placeholder"]


def test_the_state_has_no_settings_of_the_function_in_it() -> None:
    world = live_on("one")

    assert set(ask(world, read="state")) == {"live", "latest"}
    assert "configuration" not in json.dumps(ask(world, read="state"))


# -- who asks wrongly, and what cannot be read


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"read": "everything"}, "read may be state or plan, not 'everything'"),
        ({"read": None}, "read may be state or plan, not None"),
        ({"read": ["plan"]}, "read may be state or plan, not ['plan']"),
        ({"read": "plan"}, "digest must be an image digest, sha256:..., not None"),
        ({"read": "plan", "digest": {"a": 1}}, "digest must be an image digest, sha256:..., not {'a': 1}"),
        ({"read": "plan", "digest": "latest"}, "digest: not an image digest"),
        ({"read": "plan", "digest": "sha256:" + "A" * 64}, "digest: not an image digest"),
    ],
)
def test_what_cannot_be_understood_is_answered_with_what_can(asked: dict[str, object], why: str) -> None:
    told = ask(World(), **asked)

    assert list(told) == ["error"]
    assert why in told["error"]


def test_an_error_is_short_and_one_line_whatever_was_sent() -> None:
    told = ask(World(), read="plan", digest="\x1b[2J\n" * 100_000)

    assert len(told["error"]) < 700
    assert told["error"].isprintable()


@pytest.mark.parametrize("error", [LookAgain, Refused, BadRecord, BadSettings])
def test_what_cannot_be_read_is_an_error_with_no_secret_in_it(error: Callable[[str], Exception]) -> None:
    def fail() -> Sources:
        raise error("GetFunction: no https://user:secret@host/?signature=abc")

    for read in ("state", "plan"):
        told = answer({"read": read, "digest": image("one").digest}, fail, World().clock.now())

        assert list(told) == ["error"]
        assert "GetFunction" in str(told["error"])
        assert "secret" not in str(told["error"])
        assert "abc" not in str(told["error"])


# -- a plan is what happens


def tried(world: World, name: str) -> list[tuple[Phase, str]]:
    """The phases and actions of a push, as the deployer really takes them. It waits in between."""
    before = len(world.journal.steps)
    world.push(name)
    return [
        (step.phase, type(step.action).__name__)
        for _, step in world.journal.steps[before:]
        if step.action is not None and not isinstance(step.action, Wait)
    ]


def planned(stages: tuple[reading.Stage, ...]) -> list[tuple[Phase, str]]:
    return [(stage.phase, type(action).__name__) for stage in stages for action in stage.actions]


@pytest.mark.parametrize("first", [False, True])
def test_the_way_of_a_plan_is_the_way_a_healthy_image_takes(first: bool) -> None:
    world = World() if first else live_on("one")

    made = plan(world, "two")

    assert made.would == "be deployed"
    assert [stage.phase for stage in made.way] == [
        Phase.UPDATING,
        Phase.VERIFYING,
        Phase.PROMOTING,
        Phase.CONFIRMING,
        Phase.SUCCEEDED,
    ]
    assert planned(made.way) == tried(world, "two")


def test_the_way_back_of_a_plan_is_the_way_an_image_takes_that_fails_when_users_have_met_it() -> None:
    world = live_on("one")

    made = plan(world, "two")
    answers = iter([HEALTHY])
    world.function.answers[image("two")] = lambda: next(answers, UNHEALTHY)

    assert planned(made.way) + planned(made.way_back) == tried(world, "two")
    assert made.ends_back
    assert made.ends_back.phase is Phase.REVERTED


def test_a_first_release_that_fails_has_no_way_back_and_the_plan_says_so() -> None:
    made = plan(World(), "one")

    assert (
        made.first.warning == "no release was live before: if this one fails there is nothing to go back to"
    )
    assert made.ends_back
    assert made.ends_back.phase is Phase.STUCK
    assert "no release was live before this one" in made.ends_back.because


def test_a_stage_leads_first_where_it_is_meant_to_and_knows_every_move_of_the_table() -> None:
    made = plan(live_on("one"), "two")

    for stage, then in zip(made.way, made.way[1:], strict=False):
        assert stage.leads[0] == (then.phase, MOVES[stage.phase][then.phase])
    for stage in (*made.way, *made.way_back):
        assert dict(stage.leads) == MOVES[stage.phase]


def quarantined(world: World) -> None:
    world.answers("mine", UNHEALTHY)
    world.push("mine")


def held(world: World) -> None:
    world.hold()


@pytest.mark.parametrize(
    ("prepare", "artifact", "would", "because"),
    [
        (lambda world: None, INDEX, "be rejected", "--provenance=false"),
        (quarantined, None, "be rejected", "is in quarantine since deployment"),
        (held, None, "be rejected", "deployments are held by alice (incident 42)"),
        (lambda world: world.push("mine"), None, "be live already", "is live already, as version 3"),
    ],
    ids=["index", "quarantine", "hold", "live"],
)
def test_a_push_that_would_not_be_deployed_is_decided_and_said_as_it_then_is(
    prepare: Callable[[World], object], artifact: Artifact | None, would: str, because: str
) -> None:
    world = live_on("one")
    prepare(world)

    made = plan(world, "mine", artifact)
    happened = world.push("mine", artifact)

    assert made.would == would
    assert because in made.first.because
    assert (happened.phase, happened.because) == (made.first.phase, made.first.because)
    assert made.way == made.way_back == ()


def test_an_image_that_is_not_in_the_registry_would_be_rejected() -> None:
    made = reading.plan(sources(live_on("one")), image("nowhere").digest, World().clock.now())

    assert made.would == "be rejected"
    assert "it is not, or no longer, in the registry. Push it again" in made.first.because


class Busy(FakeFunction):
    """Somebody else updates it."""

    def latest(self) -> Latest:
        return replace(super().latest(), status=UpdateStatus.IN_PROGRESS)


def test_a_push_while_somebody_elses_update_is_in_progress_would_wait() -> None:
    world = live_on("one")
    there = sources(world)
    world.registry.put(image("two"), tag="mine")
    function = Busy(world.clock, world.registry)
    function.__dict__.update(world.function.__dict__)

    made = reading.plan(replace(there, function=function), image("two").digest, world.clock.now())

    assert (made.would, made.first.because) == (
        "wait",
        "the function is busy with an update that is not ours",
    )


# -- what comes before it


def open_in(world: World, name: str, phase: Phase, source: Source = Source.PUSH, **fields: Any) -> str:
    """A deployment stands in this phase, with users where they were."""
    request = replace(world.request(name), source=source, by="alice", why="a hotfix")
    live = world.function.live()
    going = replace(request, phase=phase, previous=live, version="9", **fields)
    if phase is Phase.REQUESTED:
        going = request
    world.ledger.book = replace(world.ledger.book, open=(*world.ledger.book.open, going))
    return going.id


@pytest.mark.parametrize("phase", [Phase.UPDATING, Phase.VERIFYING])
def test_a_push_that_is_on_its_way_makes_way_for_a_newer_one(phase: Phase) -> None:
    world = live_on("one")
    going = open_in(world, "two", phase)

    made = plan(world, "three")

    [before] = made.before
    assert (before.deployment.id, before.makes_way) == (going, True)
    assert before.because == f"a newer release was pushed: {image('three')}"
    assert (made.would, made.view.live.image) == ("be deployed", image("one"))


@pytest.mark.parametrize(
    ("phase", "source"),
    [(Phase.PROMOTING, Source.PUSH), (Phase.CONFIRMING, Source.PUSH), (Phase.UPDATING, Source.DEPLOY)],
)
def test_what_does_not_make_way_is_waited_for_as_if_it_came_out_right(phase: Phase, source: Source) -> None:
    world = live_on("one")
    open_in(world, "two", phase, source)

    made = plan(world, "three")

    assert [each.makes_way for each in made.before] == [False]
    assert made.view.live == Version("9", image("two"))
    assert made.would == "be deployed"


def test_a_push_of_what_is_under_way_already_would_be_live_by_then() -> None:
    world = live_on("one")
    open_in(world, "two", Phase.UPDATING)

    made = plan(world, "two")

    assert [each.makes_way for each in made.before] == [False]
    assert made.would == "be live already"


def test_what_is_on_its_way_back_leaves_users_where_they_were() -> None:
    world = live_on("one", "two")
    two = world.function.live()
    open_in(world, "three", Phase.REVERTING, ending=Phase.REVERTED)

    made = plan(world, "four")

    assert [each.makes_way for each in made.before] == [True]
    assert made.view.live.number == two.number


def test_what_was_aborted_is_on_its_way_back() -> None:
    world = live_on("one")
    open_in(world, "two", Phase.CONFIRMING)
    world.ledger.abort(command("abort", deployment=world.ledger.book.open[0].id))

    made = plan(world, "three")

    [before] = made.before
    assert before.makes_way
    assert before.because == "ana aborted it: a reason"


def test_what_a_person_asked_for_is_taken_up_first_and_older_pushes_are_superseded() -> None:
    world = live_on("one")
    older = open_in(world, "older", Phase.REQUESTED)
    asked = open_in(world, "asked", Phase.REQUESTED, Source.DEPLOY)

    made = plan(world, "mine")

    assert [(each.deployment.id, each.because) for each in made.before] == [
        (asked, "asked for by alice: a hotfix")
    ]
    assert [each.id for each, _ in made.supersedes] == [older]
    assert made.would == "be deployed"


def test_a_plan_changes_nothing() -> None:
    world = live_on("one")
    book, exposed = world.ledger.look(), list(world.function.exposed)

    plan(world, "two")

    assert world.ledger.look() == book
    assert world.function.exposed == exposed
    assert world.function.latest().image == world.function.live().image == image("one")


# -- the plan as JSON


def test_a_plan_as_json_has_every_decision_and_no_revision_id() -> None:
    world = live_on("one")
    open_in(world, "older", Phase.REQUESTED)
    open_in(world, "going", Phase.PROMOTING)
    world.registry.put(image("going"), tag="going")
    origin = replace(Artifact(ArtifactKind.IMAGE, "oci", "x86_64").origin, revision="git-1")
    world.registry.put(image("two"), Artifact(ArtifactKind.IMAGE, "oci", "x86_64", origin=origin), tag="mine")

    told = ask(world, read="plan", digest=image("two").digest)

    assert (told["would"], told["revision"], told["is_live"]) == ("be deployed", "git-1", False)
    assert (told["hold"], told["quarantine"]) == (None, None)
    assert [each["digest"] for each in told["before"]] == [image("going").digest]
    assert [each["digest"] for each in told["supersedes"]] == [image("older").digest]
    [update, publish] = told["way"][0]["actions"]
    assert (update["action"], update["image"]["digest"]) == ("UpdateCode", image("two").digest)
    assert update["told"] == f"put $LATEST on {image('two')} (x86_64)"
    assert (publish["action"], publish["told"]) == ("Publish", f"publish a version of {image('two')}")
    assert told["way"][2]["actions"][0]["told"] == "move live to the new version"
    assert told["way_back"][0]["actions"][0]["told"] == "move live to version 9"
    assert told["way_back_ends"]["phase"] == "REVERTED"
    assert "imagined" not in json.dumps(told)


def test_a_quarantine_is_told_with_its_deployment() -> None:
    world = live_on("one")
    quarantined(world)

    told = ask(world, read="plan", digest=image("mine").digest)

    assert told["quarantine"]["because"] == 'GET /health answered 503 after 0.0 s: {"status": "failing"}'


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (RunChecks(NEW), "run the checks on the new version"),
        (RunChecks("4", through_live=True), "run the checks through live, on version 4"),
        (Wait(1.25), "wait 1.2 s"),
    ],
)
def test_an_action_is_told_in_words(action: Action, words: str) -> None:
    assert reading.told(action) == words


def test_every_phase_that_is_no_end_is_on_the_way_or_the_way_back() -> None:
    made = plan(live_on("one"), "two")

    walked = {stage.phase for stage in (*made.way, *made.way_back)}
    assert set(MOVES) - ENDED - walked == {Phase.REQUESTED}
