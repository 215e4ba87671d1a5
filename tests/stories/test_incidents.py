"""What went wrong for others, and what must happen here. Each docstring names its source."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from deployer.model import (
    Artifact,
    ArtifactKind,
    Deployment,
    Image,
    Latest,
    Limits,
    Message,
    Phase,
    Source,
    UpdateStatus,
    Version,
    VersionState,
)
from deployer.orders import Senseless
from deployer.ports import Answer, Lease, LookAgain, Refused
from deployer.rollout import ENDED
from deployer.smoke import Check
from tests.fakes import HEALTHY, UNHEALTHY, World, image


class Killed(BaseException):
    """The deployer's process is gone; nothing that it would have done after this happens."""


def test_the_same_tag_with_a_new_image_deploys() -> None:
    """aws/aws-sam-cli#3870: same tag, new image, nothing deploys."""
    world = World()
    world.push("monday")

    deployment = world.push("tuesday")

    assert deployment.phase is Phase.SUCCEEDED
    assert world.function.live_image == image("tuesday")


def test_a_fix_deploys_while_what_users_are_on_is_broken() -> None:
    """aws/serverless-application-model#716: broken production blocks the fix."""
    world = World()
    world.push("good")
    world.answers("good", UNHEALTHY)
    world.answers("first try", UNHEALTHY)
    assert world.push("first try").phase is Phase.STUCK

    deployment = world.push("fix")

    assert deployment.phase is Phase.SUCCEEDED
    assert world.function.live_image == image("fix")


def test_the_newest_push_wins_and_nothing_is_wedged() -> None:
    """aws/serverless-application-model#291, #351: a second deployment wedges all after it."""
    world = World()
    world.push("zero")
    requests = [world.request(name) for name in ("one", "two", "three")]
    for name in ("one", "two", "three"):
        world.registry.put(image(name))
    for request in requests[:2]:
        world.ledger.request(request)

    world.deliver(requests[2])

    assert [world.outcome(request).phase for request in requests] == [
        Phase.SUPERSEDED,
        Phase.SUPERSEDED,
        Phase.SUCCEEDED,
    ]
    assert world.function.live_image == image("three")
    assert world.push("four").phase is Phase.SUCCEEDED


def test_a_push_during_a_deployment_supersedes_it_and_is_taken_up_when_it_ends() -> None:
    """aws/serverless-application-model#291, #351, in the middle of the first one's checks."""
    world = World()
    world.push("zero")
    late = world.request("late")

    def pushed_meanwhile() -> Answer:
        world.registry.put(image("late"))
        world.controller("second invocation").push(late)
        return UNHEALTHY

    world.function.answers[image("early")] = pushed_meanwhile

    early = world.push("early")

    assert early.phase is Phase.SUPERSEDED
    assert image("early").digest not in world.ledger.quarantined
    assert image("early") not in world.function.exposed
    assert world.outcome(late).phase is Phase.SUCCEEDED
    assert world.function.live_image == image("late")
    assert "another deployer is at work and will take this up" in world.journal.notes


def test_an_event_that_arrives_late_does_not_bring_the_old_image_back() -> None:
    """aws/serverless-application-model#291, #351: what the tag points at decides, not the last event."""
    world = World()
    world.registry.put(image("old"))
    late = world.request("old")
    world.push("new")

    world.deliver(late)

    assert world.outcome(late).phase is Phase.SUPERSEDED
    assert world.function.live_image == image("new")


def test_a_rollback_goes_to_the_last_good_version_past_failed_ones() -> None:
    """fujiwara/lambroll#366: rollback goes to the next lower version."""
    world = World()
    world.push("good")
    for bad in ("bad one", "bad two"):
        world.answers(bad, UNHEALTHY)
        world.push(bad)
    seen: list[int] = []

    def well_at_first() -> Answer:
        seen.append(1)
        return (
            UNHEALTHY
            if len(seen) > 1
            else Answer(b'{"statusCode": 200, "body": "{\\"status\\": \\"ok\\"}"}', None, "", "5")
        )

    world.function.answers[image("moody")] = well_at_first

    deployment = world.push("moody")

    assert deployment.phase is Phase.REVERTED
    assert deployment.version == "5"
    assert world.function.alias == "2"


def test_an_update_longer_than_a_lambda_lives_is_carried_on_by_the_next_invocation() -> None:
    """fujiwara/lambroll#313: gives up while a 4 GB image is still InProgress."""
    world = World()
    world.push("zero")
    world.function.update_seconds = 700

    pushed = world.push("huge")
    phases = [pushed.phase]
    for _ in range(3):
        world.sweep()
        phases.append(world.outcome(pushed).phase)

    assert phases == [Phase.UPDATING, Phase.UPDATING, Phase.UPDATING, Phase.SUCCEEDED]
    assert world.function.calls.count("UpdateFunctionCode") == 2


def test_an_update_that_never_ends_is_given_up_and_reverted_when_the_function_is_free() -> None:
    """fujiwara/lambroll#313, the other way round: it must not be waited for without end."""
    world = World(limits=Limits(update=100))
    world.push("zero")
    world.function.update_seconds = 150

    world.push("endless")
    world.function.update_seconds = 2
    world.sweep()

    ended = world.ledger.history(1)[0]
    assert ended.phase is Phase.REVERTED
    assert "was not ready after 100 s" in str(ended.failure)
    assert world.function.latest().image == image("zero")


def test_a_revert_whose_target_is_gone_says_stuck_and_leaves_live_alone() -> None:
    """METR/hawk#950: a lifecycle rule deleted the running digest, and every call was answered 502."""
    world = World()
    world.push("good")
    seen: list[int] = []

    def answer() -> Answer:
        seen.append(1)
        if len(seen) > 1:
            world.registry.artifacts.pop(image("good").digest, None)
            return UNHEALTHY
        return Answer(b'{"statusCode": 200, "body": "{\\"status\\": \\"ok\\"}"}', None, "", "3")

    world.function.answers[image("moody")] = answer

    deployment = world.push("moody")

    assert deployment.phase is Phase.STUCK
    assert world.function.live_image == image("moody")
    assert "its image is gone from the registry" in world.mail


def test_a_deleted_previous_image_does_not_stop_a_deployment_but_is_warned_of() -> None:
    """aws-actions/aws-lambda-deploy#68: cannot deploy because the previous image was deleted."""
    world = World()
    world.push("good")
    del world.registry.artifacts[image("good").digest]

    deployment = world.push("next")

    assert deployment.phase is Phase.SUCCEEDED
    assert "there is no way back" in deployment.warnings[0]
    assert "there is no way back" in world.mail


def test_a_hold_holds_until_it_is_lifted_and_then_the_newest_push_is_taken_up() -> None:
    """argoproj-labs/argocd-image-updater#1249, #464: automation undoes what a person decided."""
    world = World()
    world.push("good")
    world.hold()

    held = world.push("next")
    world.sweep()

    assert held.phase is Phase.REJECTED
    assert "held by alice (incident 42)" in held.because
    assert world.function.live_image == image("good")
    assert len(world.ledger.ended) == 2

    world.clock.new_invocation()
    world.resume()

    assert world.function.live_image == image("next")


def test_a_failing_notification_is_in_nobodys_way_and_is_sent_by_the_sweep() -> None:
    """keel-hq/keel#822: a failing notification stops the next deployment."""
    world = World()
    world.notifier.broken = True

    assert world.push("one").phase is Phase.SUCCEEDED
    assert world.push("two").phase is Phase.SUCCEEDED
    assert [notice.tries for notice in world.ledger.book.notices] == [1, 1]

    world.notifier.broken = False
    world.sweep()
    assert world.notifier.sent == []

    world.clock.sleep(60)
    world.sweep()

    assert len(world.notifier.sent) == 2
    assert world.ledger.book.notices == ()


def test_an_index_is_rejected_before_the_function_is_touched() -> None:
    """docker/buildx#1533, aws/aws-lambda-roadmap#82: provenance makes an index that Lambda refuses."""
    world = World()
    world.push("good")
    calls = list(world.function.calls)

    index = Artifact(ArtifactKind.INDEX, "application/vnd.oci.image.index.v1+json")
    deployment = world.push("with provenance", index)

    assert deployment.phase is Phase.REJECTED
    assert "--provenance=false --sbom=false --platform linux/amd64" in world.mail
    assert world.function.calls == calls


@pytest.mark.parametrize(
    "call", ["update_code", "publish", "invoke", "point_live", "latest", "live", "live_revision"]
)
@pytest.mark.parametrize("effect", ["it happened", "it did not happen"])
def test_a_deployer_that_is_killed_at_any_call_is_carried_on_by_the_next_sweep(
    call: str, effect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cuppett/aws-lambda-publish: claims a digest before updating; a crash loses the deployment."""
    world = World()
    world.push("good")
    real = getattr(world.function, call)

    def killed(*arguments: object, **named: object) -> object:
        if effect == "it happened":
            real(*arguments, **named)
        raise Killed

    monkeypatch.setattr(world.function, call, killed)
    with pytest.raises(Killed):
        world.push("next")
    monkeypatch.undo()
    world.ledger.held_lease = None  # Lambda's time is over, and so is the lease's

    world.sweep()

    assert world.function.live_image == image("next")
    assert world.function.latest().image == image("next")
    assert world.ledger.history(1)[0].phase is Phase.SUCCEEDED
    assert world.ledger.book.open == ()


def test_an_exception_that_nobody_caught_in_the_function_fails_the_check() -> None:
    """buildkite-plugins/aws-lambda-deploy: an unhandled exception passes the smoke test."""
    world = World()
    world.push("good")
    world.answers("bad", Answer(b'{"statusCode": 200, "body": "{}"}', "Unhandled", "", "3"))

    assert world.push("bad").phase is Phase.REVERTED


def test_a_push_after_a_deployer_died_waits_for_lambdas_retry_and_no_longer() -> None:
    """A dead deployer's lease must not keep a hotfix out until it expires."""
    world = World()
    world.push("good")
    world.registry.put(image("dying"))
    dying = world.request("dying")
    real = world.function.publish

    def killed(pushed: Image, revision: str) -> Version:
        raise Killed

    world.function.publish = killed  # type: ignore[method-assign,assignment]  # out of memory, say
    world.clock.new_invocation()
    with pytest.raises(Killed):
        world.controller("invocation of dying").push(dying)
    world.function.publish = real  # type: ignore[method-assign]  # the next process is healthy
    world.ledger.held_lease = Lease("invocation of dying", 2, world.clock.now() + timedelta(seconds=300))

    hotfix = world.push("hotfix")
    world.clock.sleep(60)
    world.clock.new_invocation()
    world.controller("invocation of dying").push(dying)

    assert hotfix.phase is Phase.REQUESTED
    assert world.outcome(hotfix).phase is Phase.SUCCEEDED
    assert world.outcome(dying).phase is Phase.SUPERSEDED
    assert world.function.live_image == image("hotfix")


@pytest.mark.parametrize("work", ["a push", "a sweep"])
def test_a_deployer_that_dies_with_nothing_left_to_do_but_give_its_lease_back_keeps_nobody_waiting(
    work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make kills`: the retry of what died there found no work, and left the lease until it expired."""
    world = World()
    world.registry.put(image("good"))
    good = world.request("good")

    def invocation() -> None:
        world.clock.new_invocation()
        controller = world.controller("invocation of good")
        controller.push(good) if work == "a push" else controller.sweep()

    def killed(lease: Lease) -> None:
        raise Killed

    monkeypatch.setattr(world.ledger, "release", killed)
    with pytest.raises(Killed):
        invocation()
    monkeypatch.undo()
    invocation()  # Lambda tries it again

    world.registry.put(image("next"))
    following = world.request("next")
    world.clock.new_invocation()
    world.controller("invocation of next").push(following)

    assert world.outcome(following).phase is Phase.SUCCEEDED


def test_a_push_whose_event_was_lost_is_found_by_the_sweep() -> None:
    """ECR's events are best effort; the design's own incident."""
    world = World()
    world.push("good")
    world.registry.put(image("silent"))

    world.sweep()

    assert world.function.live_image == image("silent")


def test_an_idle_sweep_changes_nothing() -> None:
    world = World()
    world.push("good")
    calls, sent = list(world.function.calls), list(world.notifier.sent)

    world.sweep()

    assert world.function.calls == calls
    assert world.notifier.sent == sent


def test_a_live_alias_that_a_person_moves_during_a_deployment_stays_where_they_put_it() -> None:
    """argoproj-labs/argocd-image-updater#464: automation undoes a manual rollback, in the middle of it."""
    world = World()
    world.push("one")
    world.push("two")

    def somebody_rolls_back() -> Answer:
        world.function.move_live("2")
        return Answer(b'{"statusCode": 200, "body": "{\\"status\\": \\"ok\\"}"}', None, "", "4")

    world.function.answers[image("three")] = somebody_rolls_back

    deployment = world.push("three")

    assert deployment.phase is Phase.REVERTED
    assert "somebody moved live from version 3 to 2" in world.mail
    assert world.function.alias == "2"
    assert world.function.latest().image == image("one")


def test_an_image_that_fails_while_a_person_takes_users_off_it_is_in_quarantine_all_the_same() -> None:
    world = World()
    world.push("good")
    asked: list[str] = []

    def fails_on_users() -> Answer:
        asked.append("GET /health")
        if len(asked) < 3:
            return HEALTHY if len(asked) == 1 else UNHEALTHY
        world.function.move_live("2")
        return UNHEALTHY

    world.function.answers[image("bad")] = fails_on_users

    deployment = world.push("bad")

    assert deployment.phase is Phase.REVERTED
    assert image("bad").digest in world.ledger.quarantined
    assert "it stays where they put it" in world.mail


def test_a_version_that_does_not_become_active_is_reverted() -> None:
    world = World()
    world.push("good")
    real = world.function.publish

    def publish_badly(pushed: object, revision: str) -> object:
        version = real(pushed, revision)  # type: ignore[arg-type]  # the fake's own arguments, passed on
        world.function.set_state(version.number, VersionState.FAILED, "InvalidImage")
        return version

    world.function.publish = publish_badly  # type: ignore[assignment,method-assign]  # AWS in a bad mood

    deployment = world.push("bad")

    assert deployment.phase is Phase.REVERTED
    assert "version 3 did not become active: InvalidImage" in world.mail


def test_a_throttled_call_is_looked_at_again() -> None:
    world = World()
    real, tries = world.function.latest, []

    def throttled() -> object:
        tries.append(1)
        if len(tries) < 4:
            raise LookAgain("TooManyRequestsException: Rate exceeded")
        return real()

    world.function.latest = throttled  # type: ignore[method-assign,assignment]  # AWS is busy

    assert world.push("good").phase is Phase.SUCCEEDED


def test_a_revert_that_comes_late_still_takes_users_back() -> None:
    """A deployer that was away for an hour: the world has not moved on, so neither has what helps."""
    world = World()
    world.push("good")
    answers = iter([HEALTHY])
    world.function.answers[image("moody")] = lambda: next(answers, UNHEALTHY)
    real = world.function.point_live

    def killed_before_moving_back(version: str, revision: str) -> None:
        if version == "2":
            raise Killed
        real(version, revision)

    world.function.point_live = killed_before_moving_back  # type: ignore[method-assign]  # a kill
    with pytest.raises(Killed):
        world.push("moody")
    world.function.point_live = real  # type: ignore[method-assign]  # and what came after it
    world.ledger.held_lease = None
    world.clock.sleep(3600)

    world.sweep()

    assert world.ledger.history(1)[0].phase is Phase.REVERTED
    assert world.function.live_image == image("good")


@pytest.mark.parametrize("call", ["live", "latest", "update_code", "publish", "invoke", "live_revision"])
def test_a_call_that_aws_refuses_ends_the_deployment_and_the_next_push_is_taken_up(call: str) -> None:
    """L1: whatever the deployer may not do, every push ends, and people are told."""
    world = World()
    world.push("good")
    real = getattr(world.function, call)

    def refused(*_arguments: object, **_named: object) -> object:
        raise Refused("AccessDeniedException: not authorized")

    setattr(world.function, call, refused)
    ended = world.push("next")
    setattr(world.function, call, real)

    assert ended.phase in ENDED
    assert "AccessDeniedException: not authorized" in world.mail
    assert world.ledger.book.open == ()
    assert image("next").digest not in world.ledger.quarantined
    assert world.function.live_image == image("good")
    assert world.push("after it").phase is Phase.SUCCEEDED


def test_a_registry_that_aws_refuses_to_read_ends_what_waits() -> None:
    world = World()
    world.push("good")
    real = world.registry.tagged

    def refused(tag: str) -> str | None:
        raise Refused("AccessDeniedException: not authorized")

    world.registry.tagged = refused  # type: ignore[method-assign]  # a grant is missing
    ended = world.push("next")
    world.sweep()
    world.registry.tagged = real  # type: ignore[method-assign]  # and is back

    assert ended.phase is Phase.REJECTED
    assert "AWS refused to be looked at: AccessDeniedException" in ended.because
    assert world.ledger.book.open == ()


def test_a_registry_that_does_not_answer_does_not_keep_users_on_a_bad_version() -> None:
    world = World()
    world.push("good")
    answers = iter([HEALTHY])

    def busy(digest: str) -> bool:
        raise LookAgain("ServerException")

    def answer() -> Answer:
        world.registry.present = busy  # type: ignore[method-assign]  # ECR has a bad day from here on
        return next(answers, UNHEALTHY)

    world.function.answers[image("moody")] = answer

    assert world.push("moody").phase is Phase.REVERTED
    assert world.function.live_image == image("good")


def test_an_image_that_is_not_to_blame_is_not_quarantined() -> None:
    """A person moved live during the deployment: no reason never to deploy this image again."""
    world = World()
    world.push("one")
    world.push("two")

    def somebody_rolls_back() -> Answer:
        world.function.move_live("2")
        return HEALTHY

    world.function.answers[image("three")] = somebody_rolls_back
    world.push("three")
    world.function.answers.clear()

    assert world.push("three").phase is Phase.SUCCEEDED


def test_an_answer_of_another_version_is_no_verdict() -> None:
    """An alias that has just moved may be answered by the version it left, for a moment."""
    world = World()
    world.push("good")
    real = world.function.invoke
    stale: list[int] = []

    def invoke(qualifier: str, payload: bytes) -> Answer:
        answer = real(qualifier, payload)
        if qualifier == "live" and len(stale) < 2:
            stale.append(1)
            return replace(answer, executed_version="2")
        return answer

    world.function.invoke = invoke  # type: ignore[method-assign]  # the move is not everywhere yet

    assert world.push("next").phase is Phase.SUCCEEDED
    assert len(stale) == 2


def test_a_second_hold_does_not_replace_the_first() -> None:
    world = World()
    world.hold()

    with pytest.raises(Senseless, match=r"held already, by alice \(incident 42\)"):
        world.hold("bob", "lunch")

    assert world.ledger.book.hold
    assert world.ledger.book.hold.by == "alice"


def test_a_resume_without_a_hold_says_so() -> None:
    with pytest.raises(Senseless, match="nothing is held"):
        World().resume()


def test_a_hold_that_comes_during_preflight_holds() -> None:
    world = World()
    world.push("good")
    real = world.registry.artifact

    def hold_meanwhile(digest: str) -> Artifact | None:
        if not world.ledger.book.hold:
            world.hold()
        return real(digest)

    world.registry.artifact = hold_meanwhile  # type: ignore[method-assign]  # a person is quicker
    calls = list(world.function.calls)

    assert world.push("next").phase is Phase.REJECTED
    assert world.function.calls == calls


def test_a_push_that_the_sweep_saw_before_its_event_is_told_once() -> None:
    world = World()
    world.push("good")
    world.registry.put(image("next"))
    late = world.request("next")
    world.clock.sleep(1)
    world.sweep()
    told = len(world.notifier.sent)

    world.controller().push(late)

    assert world.function.live_image == image("next")
    assert len(world.notifier.sent) == told
    assert world.ledger.find(late.id) is None


def test_a_retry_that_comes_twice_is_one_deployment() -> None:
    world = World()
    world.push("good")
    world.answers("bad", UNHEALTHY)
    world.push("bad")
    world.ledger.request(
        Deployment("retry-1", image("bad"), Source.RETRY, world.clock.now())
    )  # from a caller who lost patience
    world.clock.new_invocation()

    deployment = world.retry("bad", by="alice")

    assert deployment.id == "retry-1"
    assert len(world.ledger.ended) == 3


def test_a_retry_of_what_is_live_is_checked() -> None:
    world = World()
    world.push("good")
    world.answers("good", UNHEALTHY)
    world.clock.new_invocation()

    deployment = world.retry("good", by="alice")

    assert deployment.phase is Phase.STUCK
    assert "GET /health answered 503" in world.mail


def test_checks_stop_before_lambdas_time_is_over() -> None:
    world = World(checks=(Check(json={"status": "ok"}, tries=10),))
    world.push("good")

    def slow() -> Answer:
        world.clock.sleep(30)
        return UNHEALTHY

    world.function.answers[image("slow")] = slow

    checked = world.push("slow")
    left = world.clock.remaining()
    world.function.answers.clear()
    world.sweep()

    assert left > 0
    assert checked.verification
    assert checked.verification.results[0].tries < 10
    assert world.outcome(checked).phase is Phase.REVERTED


def test_a_push_that_waits_does_not_keep_users_on_a_bad_version() -> None:
    """The tag cannot be read; but to take users back nobody needs the tag."""
    world = World()
    world.push("good")
    real = world.registry.tagged
    waiting = world.request("waiting")
    answers = iter([HEALTHY])

    def refused(tag: str) -> str | None:
        raise Refused("AccessDeniedException")

    def answer() -> Answer:
        verdict = next(answers, UNHEALTHY)
        if verdict is UNHEALTHY:
            world.ledger.request(waiting)
            world.registry.tagged = refused  # type: ignore[method-assign]  # from here on
        return verdict

    world.function.answers[image("moody")] = answer
    moody = world.push("moody")
    world.registry.tagged = real  # type: ignore[method-assign]  # so that the story can end

    assert moody.phase is Phase.REVERTED
    assert world.function.live_image == image("good")


def test_what_takes_users_back_is_tried_before_it_is_given_up_however_late() -> None:
    """A throttled look is not a tried move."""
    world = World()
    world.push("good")
    answers = iter([HEALTHY])
    world.function.answers[image("moody")] = lambda: next(answers, UNHEALTHY)
    real_move, real_look, looks = world.function.point_live, world.function.live, [1]

    def killed(version: str, revision: str) -> None:
        if version == "2":
            raise Killed
        real_move(version, revision)

    def throttled_once() -> Version:
        if looks:
            looks.pop()
            raise LookAgain("TooManyRequestsException")
        return real_look()

    world.function.point_live = killed  # type: ignore[method-assign]  # a kill
    with pytest.raises(Killed):
        world.push("moody")
    world.function.point_live = real_move  # type: ignore[method-assign]  # and what came after it
    world.function.live = throttled_once  # type: ignore[method-assign]  # AWS is busy
    world.ledger.held_lease = None
    world.clock.sleep(3600)

    world.sweep()

    assert world.function.live_image == image("good")


def test_an_undeliverable_message_is_tried_less_and_less_often() -> None:
    world = World()
    tries: list[int] = []

    def broken(message: Message) -> None:
        tries.append(1)
        raise ConnectionError("the topic is gone")

    world.notifier.send = broken  # type: ignore[method-assign]  # for good
    world.push("one")
    for _ in range(200):
        world.clock.sleep(60)
        world.sweep()

    assert 5 < len(tries) < 15


def test_a_hold_and_a_resume_within_a_second_take_up_what_was_held() -> None:
    world = World()
    world.push("good")
    world.registry.put(image("next"))
    world.clock.new_invocation()
    world.hold()
    world.controller().push(world.request("next"))

    world.resume()

    assert world.function.live_image == image("next")


def test_a_first_try_without_time_for_a_second_is_no_verdict() -> None:
    world = World()
    world.push("good")
    answers = iter([UNHEALTHY])

    def cold() -> Answer:
        world.clock.sleep(150)
        return next(answers, HEALTHY)

    world.function.answers[image("cold")] = cold

    pushed = world.push("cold")
    for _ in range(4):
        world.sweep()

    assert world.outcome(pushed).phase is Phase.SUCCEEDED


def test_old_messages_that_cannot_be_delivered_do_not_take_a_new_pushs_time() -> None:
    world = World()
    world.notifier.broken = True
    for number in range(6):
        world.push(f"release {number}")
    world.clock.sleep(3600)

    def hang(message: Message) -> None:
        world.clock.sleep(26)
        raise ConnectionError("the topic does not answer")

    world.notifier.send = hang  # type: ignore[method-assign]  # SNS hangs

    assert world.push("urgent").phase is Phase.SUCCEEDED
    assert world.clock.remaining() > 0


def test_an_invocation_that_lambda_delivered_twice_changes_nothing_once_the_other_has_the_lease() -> None:
    """Found by the simulation: polling writes nothing to the ledger, so nobody was told that it was lost."""
    world = World()
    world.push("zero")
    world.registry.put(image("one"))
    request = world.request("one")
    world.function.calls.clear()
    look = world.function.latest

    def taken_over_meanwhile() -> Latest:
        latest = look()
        if latest.image == image("one") and latest.status is UpdateStatus.SUCCESSFUL:
            now = world.clock.now()
            world.ledger.acquire("invocation-1", now, now + timedelta(minutes=5))
        return latest

    world.function.latest = taken_over_meanwhile  # type: ignore[method-assign]  # a bystander
    world.deliver(request)

    assert "UpdateFunctionCode" in world.function.calls
    assert "PublishVersion" not in world.function.calls
    assert "another deployer has taken over; leaving everything to it" in world.journal.notes


def test_of_200_pushes_the_newest_is_live_and_all_are_accounted_for() -> None:
    """`make burst` does it with real processes."""
    # given: all pushed, and noted, before the first deployer gets to work
    world = World()
    pushed = []
    for number in range(200):
        world.registry.put(image(f"push {number}"))
        pushed.append(world.request(f"push {number}"))
        world.ledger.request(pushed[-1])
        world.clock.sleep(0.02)

    # when: their events arrive, the last one first
    for request in reversed(pushed):
        world.deliver(request)

    # then
    ends = [world.outcome(request).phase for request in pushed]
    assert ends == [Phase.SUPERSEDED] * 199 + [Phase.SUCCEEDED]
    assert world.function.live_image == image("push 199")
    assert len(world.notifier.sent) == 200
