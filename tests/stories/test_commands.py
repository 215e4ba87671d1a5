"""What a person asks for: hold, resume, abort, rollback, deploy, retry; and the hold that sets itself."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import timedelta

import pytest

from deployer.model import Asked, Configuration, Deployment, Image, Limits, Phase, Source, VersionState
from deployer.orders import Senseless
from tests.fakes import PLACEHOLDER, UNHEALTHY, World, image


def released(*names: str, limits: Limits | None = None) -> World:
    """A world in which these went live, one after the other."""
    world = World(limits)
    for name in names:
        assert world.push(name).phase is Phase.SUCCEEDED
    world.clock.new_invocation()
    return world


# -- rollback ------------------------------------------------------------------------------------------


def test_a_manual_rollback_holds_until_resumed() -> None:
    """argoproj-labs/argocd-image-updater#1249, #464: automation undid a manual rollback."""
    # given
    world = released("first", "second")

    # when
    back = world.rollback()
    world.sweep()
    pushed = world.push("third")

    # then
    assert back.phase is Phase.SUCCEEDED
    assert pushed.phase is Phase.REJECTED
    assert world.function.live_image == world.function.code == image("first")
    assert world.function.alias == "2"
    hold = world.ledger.book.hold
    assert hold
    assert hold.by == "alice"
    assert hold.because == "users complain"

    # and when
    world.resume()

    # then: what was pushed meanwhile is taken up
    assert world.function.live_image == image("third")


def test_a_resume_after_a_rollback_does_not_bring_back_what_was_left() -> None:
    world = released("first", "second")
    world.rollback()

    world.resume()
    world.sweep()

    assert world.function.live_image == image("first")


def test_a_second_rollback_goes_further_back_and_not_forward_again() -> None:
    world = released("first", "second", "third")

    world.rollback()
    world.clock.new_invocation()
    world.rollback()

    assert world.function.live_image == image("first")
    with pytest.raises(Senseless, match="what was live before version 2 is not known: say which version"):
        world.rollback()
    assert PLACEHOLDER not in world.function.exposed[1:]


def test_a_rollback_passes_over_what_is_in_quarantine() -> None:
    # given: second was live, and failed when it was pushed again
    world = released("first", "second", "third")
    world.answers("second", UNHEALTHY)
    assert world.push("second").phase is Phase.REVERTED
    world.clock.new_invocation()

    # when
    world.rollback()

    # then
    assert world.function.live_image == image("first")
    with pytest.raises(Senseless, match=r"version 3 is no good: .* is in quarantine since deployment"):
        world.rollback("3")


def test_a_rollback_can_name_a_version_or_an_image_that_was_live() -> None:
    world = released("first", "second", "third")

    world.rollback("2")
    assert world.function.live_image == image("first")
    world.clock.new_invocation()
    world.rollback(image("third"))
    assert world.function.live_image == image("third")

    senseless: list[tuple[str | Image, str]] = [
        ("99", "there is no version 99 to go back to"),
        (image("never"), "was not live in the last 100 deployments: deploy it instead"),
        ("4", "users are on version 4 already"),
    ]
    for to, because in senseless:
        with pytest.raises(Senseless, match=because):
            world.rollback(to)


def test_a_rollback_to_a_version_that_fails_its_checks_moves_no_user() -> None:
    world = released("first", "second")
    world.answers("first", UNHEALTHY)

    back = world.rollback()

    assert back.phase is Phase.REVERTED
    assert world.function.exposed[-1] == image("second")
    assert world.ledger.quarantined == {}
    assert world.ledger.book.hold


def test_a_rollback_to_a_version_that_cannot_run_is_rejected() -> None:
    world = released("first", "second")
    world.function.set_state("2", VersionState.FAILED, "ImageDeleted: gone")

    back = world.rollback()

    assert back.phase is Phase.REJECTED
    assert back.because == "version 2 cannot run (ImageDeleted: gone): go back to another version"


def test_a_rollback_does_not_need_the_registry_to_answer() -> None:
    world = released("first", "second")
    world.registry.silent = True

    assert world.rollback().phase is Phase.SUCCEEDED
    assert world.function.live_image == image("first")


def test_a_rollback_makes_what_is_under_way_give_way() -> None:
    # given: third hangs in its update, and its deployer has died
    world = released("first", "second")
    world.function.update_seconds = 1000
    world.registry.put(image("third"))
    pushed = world.request("third")
    world.deliver(pushed)
    assert world.outcome(pushed).phase is Phase.UPDATING
    world.clock.new_invocation(10_000)

    # when
    with pytest.raises(Senseless, match="is under way and in UPDATING: abort it, wait for its end, or say"):
        world.rollback()
    back = world.rollback("2")

    # then
    assert back.phase is Phase.SUCCEEDED
    assert world.outcome(pushed).phase is Phase.SUPERSEDED
    assert world.function.live_image == image("first")


def test_a_rollback_is_asked_for_once() -> None:
    world = released("first", "second", "third")
    asked = world.asked("alice", "users complain")

    first = world.controller().rollback(asked, None)
    again = world.controller().rollback(asked, None)

    assert first == again
    assert world.function.live_image == image("second")


def test_a_rollback_under_somebodys_hold_goes_on_and_leaves_the_hold() -> None:
    world = released("first", "second")
    hold = world.hold("bob", "the database is being moved")

    assert world.rollback().phase is Phase.SUCCEEDED
    assert world.ledger.book.hold == hold


def test_a_hold_that_comes_while_a_rollback_waits_is_not_in_its_way_and_nobody_resumes_under_it() -> None:
    # given: another deployer is at work
    world = released("first", "second")
    lease = world.ledger.acquire("another", world.clock.now(), world.clock.now() + timedelta(minutes=5))
    assert lease
    waits = world.rollback()
    assert waits.phase is Phase.REQUESTED

    # when
    with pytest.raises(Senseless, match="resume when it has ended"):
        world.resume("bob")
    world.ledger.release(lease)
    world.controller().settle()

    # then
    assert world.outcome(waits).phase is Phase.SUCCEEDED
    assert world.ledger.book.hold


def test_a_rollback_that_fails_tells_how_a_fix_gets_through() -> None:
    world = released("first", "second")
    world.answers("first", UNHEALTHY)

    world.rollback()

    assert "resume, for deployments are held" in world.mail
    assert " eu-west-1 resume\n" in world.mail


def test_the_rollback_in_an_alarms_message_takes_users_back_once_however_often_it_is_pasted() -> None:
    # given
    world = released("first", "second", "third")
    world.ring("shuking-prod-errors")
    [line] = [line for line in world.mail.splitlines() if " rollback --reason " in line]
    words = shlex.split(line)
    told = {word.removeprefix("--"): words[place + 1] for place, word in enumerate(words[:-1])}

    # when: two people do what they are told
    for by in ("alice", "bob"):
        world.clock.new_invocation()
        world.controller().rollback(Asked(told["request"], by, told["reason"]), None)

    # then
    assert world.function.live_image == image("second")


# -- hold and deploy -------------------------------------------------------------------------------------


def test_the_line_is_stopped_and_the_hotfix_let_through() -> None:
    """akuity/kargo#1422: stop the line, but let the hotfix through."""
    # given
    world = released("first")
    hold = world.hold()
    assert world.push("second").phase is Phase.REJECTED
    world.registry.put(image("hotfix"), tag="git-hotfix")
    world.clock.new_invocation()

    # when
    with pytest.raises(Senseless, match=rf"Resume first, or name the hold to pass it: {hold.id}"):
        world.deploy("hotfix")
    with pytest.raises(Senseless, match=rf"that hold is {hold.id}, not another"):
        world.deploy("hotfix", passes="another")
    hotfix = world.deploy("hotfix", passes=hold.id)

    # then
    assert hotfix.phase is Phase.SUCCEEDED
    assert hotfix.by == "alice"
    assert world.function.live_image == image("hotfix")
    assert world.ledger.book.hold == hold
    assert world.push("third").phase is Phase.REJECTED


def test_a_deploy_does_not_pass_a_quarantine_and_a_retry_does() -> None:
    world = released("first")
    world.answers("bad", UNHEALTHY)
    world.push("bad")
    world.clock.new_invocation()

    with pytest.raises(Senseless, match="Retry it if it was not to blame"):
        world.deploy("bad")
    assert world.retry("bad").phase is Phase.REVERTED


def test_a_second_wish_for_what_is_open_is_followed_with_the_first_and_never_again() -> None:
    # given
    world = released("first")
    world.answers("bad", UNHEALTHY)
    world.push("bad")
    lease = world.ledger.acquire("another", world.clock.now(), world.clock.now() + timedelta(minutes=5))
    assert lease
    first = world.retry("bad")
    asked = world.asked("bob", "")
    joined = world.controller().deploy(asked, image("bad"), Source.RETRY, None)
    world.ledger.release(lease)
    world.controller().settle()

    # when
    again = world.controller().deploy(asked, image("bad"), Source.RETRY, None)

    # then
    assert first.id == joined.id == again.id
    assert again.phase is Phase.REVERTED


def test_a_hold_that_is_asked_for_twice_by_the_same_request_is_one_and_stays_lifted() -> None:
    world = World()
    asked = world.asked("alice", "incident 42")

    hold = world.controller().hold(asked)
    world.resume()

    assert world.controller().hold(asked) == hold
    assert world.ledger.book.hold is None


def test_a_resume_that_comes_twice_does_not_lift_a_later_hold() -> None:
    world = World()
    world.hold()
    asked = world.asked("alice", "")
    world.controller().resume(asked)
    later = world.hold("bob", "another")

    world.controller().resume(asked)

    assert world.ledger.book.hold == later


def test_a_request_that_was_for_something_else_says_so() -> None:
    world = released("first", "second")
    asked = world.asked("alice", "incident 42")
    world.controller().hold(asked)

    with pytest.raises(Senseless, match="was to hold: give this command an id of its own"):
        world.controller().rollback(asked, None)


# -- abort -----------------------------------------------------------------------------------------------


def hanging(world: World) -> Deployment:
    """A push whose update takes long, and whose deployer has died."""
    world.function.update_seconds = 1000
    world.registry.put(image("slow"))
    pushed = world.request("slow")
    world.deliver(pushed)
    world.clock.new_invocation(10_000)
    return pushed


def test_an_abort_turns_round_what_is_under_way_and_the_sweep_leaves_it_alone() -> None:
    world = released("first")
    pushed = hanging(world)

    aborted = world.abort()
    world.sweep()

    assert aborted.id == pushed.id
    assert aborted.phase is Phase.REVERTED
    assert aborted.failure == "alice aborted it: wrong branch"
    assert world.function.live_image == world.function.code == image("first")
    assert world.ledger.quarantined == {}
    assert world.ledger.book.aborts == ()
    assert world.ledger.book.reverts == 0


def test_an_abort_of_another_deployment_than_the_one_under_way_is_refused() -> None:
    world = released("first")
    with pytest.raises(Senseless, match=r"no deployment is under way, so there is nothing to abort$"):
        world.abort()
    pushed = hanging(world)
    with pytest.raises(Senseless, match=rf"deployment 2025-ab is not under way; {pushed.id}"):
        world.abort("2025-ab")
    assert world.abort(pushed.id).phase is Phase.REVERTED


# -- the circuit breaker ---------------------------------------------------------------------------------


def test_after_three_reverts_in_a_row_deployments_hold_themselves_and_say_so() -> None:
    # given
    world = released("first")
    for name in ("bad-1", "bad-2", "bad-3"):
        world.answers(name, UNHEALTHY)

    # when
    for name in ("bad-1", "bad-2"):
        world.push(name)
        assert world.ledger.book.hold is None
    world.push("bad-3")

    # then
    assert world.ledger.book.hold
    assert world.ledger.book.hold.by == "the circuit breaker"
    assert "Deployments hold themselves now" in world.notifier.sent[-1][1]
    assert " eu-west-1 resume\n" in world.mail
    rejected = world.push("good")
    assert rejected.phase is Phase.REJECTED
    assert "held by the circuit breaker (3 deployments in a row did not stay" in rejected.because

    # and when
    world.clock.new_invocation()
    world.resume()

    # then
    assert world.function.live_image == image("good")
    assert world.ledger.book.reverts == 0


def test_a_release_that_stays_ends_the_row() -> None:
    world = World(Limits(reverts=2))
    world.answers("bad-1", UNHEALTHY)
    world.answers("bad-2", UNHEALTHY)
    for name in ("first", "bad-1", "second", "bad-2"):
        world.push(name)

    assert world.ledger.book.hold is None


# -- configuration ---------------------------------------------------------------------------------------

CHANGED = Configuration((("Environment", "1"),))


def reconfigure(world: World, configuration: Configuration) -> None:
    """Somebody changes the function's settings, and that is done."""
    world.function.configure(configuration)
    world.clock.sleep(60)


def test_a_changed_configuration_becomes_a_version_and_is_verified_like_an_image() -> None:
    """aws/serverless-application-model#1305: a changed environment variable never reached the alias."""
    # given
    world = released("first")

    # when
    reconfigure(world, CHANGED)
    world.sweep()

    # then
    assert world.function.alias == "3"
    assert world.function.live_image == image("first")
    assert world.function.live().configuration == CHANGED
    last = world.ledger.history(1)[0]
    assert (last.source, last.phase) == (Source.CONFIGURATION, Phase.SUCCEEDED)
    assert last.why == "changed: Environment"
    assert "new configuration of" in world.notifier.sent[-1][0]


def test_a_configuration_that_fails_reaches_nobody_and_is_tried_once() -> None:
    # given
    world = released("first")
    reconfigure(world, CHANGED)
    world.answers("first", UNHEALTHY)

    # when
    world.sweep()
    ended = len(world.ledger.ended)
    world.sweep()

    # then
    assert world.function.alias == "2"
    assert world.function.live().configuration == Configuration()
    assert len(world.ledger.ended) == ended
    assert world.ledger.quarantined == {}

    # and when: it is put right
    world.function.answers.clear()
    reconfigure(world, replace(CHANGED, settings=(("Environment", "2"),)))
    world.sweep()

    # then
    assert world.function.alias == "4"


def test_a_configuration_under_a_hold_waits_for_the_resume() -> None:
    world = released("first")
    world.hold()
    reconfigure(world, CHANGED)
    world.sweep()
    assert world.function.alias == "2"

    world.clock.new_invocation()
    world.resume()

    assert world.function.live().configuration == CHANGED


def test_a_release_brings_the_configuration_with_it_and_a_rollback_goes_back_to_the_one_before() -> None:
    world = released("first")
    reconfigure(world, CHANGED)
    world.push("second")
    world.sweep()
    assert world.function.live().configuration == CHANGED
    assert world.function.alias == "3"

    world.clock.new_invocation()
    world.rollback()
    world.resume()
    world.sweep()

    assert world.function.alias == "2"
    assert world.function.live().configuration == Configuration()


def test_a_fix_deploys_while_an_alarm_is_red() -> None:
    """aws/serverless-application-model#716: an alarm that was red on broken production blocked the fix."""
    world = released("first", "broken")
    world.answers("broken", UNHEALTHY)
    world.ring("shuking-prod-errors")

    assert world.push("fix").phase is Phase.SUCCEEDED
    assert world.function.live_image == image("fix")
