"""The main job, told by the controller with the world in memory."""

from __future__ import annotations

import pytest

from deployer.model import Artifact, ArtifactKind, Phase, UpdateStatus
from deployer.orders import Senseless
from deployer.ports import Answer
from tests.fakes import PLACEHOLDER, UNHEALTHY, World, http, image


def test_a_first_release_is_verified_and_then_live() -> None:
    world = World()

    deployment = world.push("first")

    assert deployment.phase is Phase.SUCCEEDED
    assert world.function.live_image == image("first")
    assert world.function.invoked == [("2", image("first")), ("live", image("first"))]
    assert [moment.phase for moment in deployment.timeline] == [
        Phase.UPDATING,
        Phase.VERIFYING,
        Phase.PROMOTING,
        Phase.CONFIRMING,
        Phase.SUCCEEDED,
    ]


def test_a_healthy_deployment_needs_at_most_six_control_plane_calls() -> None:
    world = World()

    world.push("first")

    assert sorted(world.function.calls) == [
        "GetAlias",
        "GetAlias",
        "PublishVersion",
        "UpdateAlias",
        "UpdateFunctionCode",
    ]


def test_an_unhealthy_candidate_never_sees_a_user() -> None:
    world = World()
    world.push("good")
    world.answers("bad", UNHEALTHY)

    deployment = world.push("bad")

    assert deployment.phase is Phase.REVERTED
    assert image("bad") not in world.function.exposed
    assert world.function.live_image == image("good")
    assert world.function.latest().image == image("good")
    assert image("bad").digest in world.ledger.quarantined
    assert "GET /health answered 503" in world.mail
    assert "Users stayed on version 2" in world.mail


def test_a_candidate_that_dies_on_import_is_reverted_with_its_log() -> None:
    world = World()
    world.push("good")
    death = b'{"errorType": "Runtime.ImportModuleError", "errorMessage": "No module named \'nope\'"}'
    world.answers("dead", Answer(death, "Unhandled", "line 1\n[ERROR] no module named nope", "3"))

    deployment = world.push("dead")

    assert deployment.phase is Phase.REVERTED
    assert "Runtime.ImportModuleError: No module named 'nope'" in world.mail
    assert "    [ERROR] no module named nope" in world.mail


def test_a_version_that_fails_only_through_live_is_taken_back() -> None:
    world = World()
    world.push("good")
    seen: list[int] = []

    def well_at_first() -> Answer:
        seen.append(1)
        return http(200, {"status": "ok"}) if len(seen) == 1 else UNHEALTHY

    world.function.answers[image("moody")] = well_at_first

    deployment = world.push("moody")

    assert deployment.phase is Phase.REVERTED
    assert world.function.live_image == image("good")
    assert world.function.latest().image == image("good")
    assert "through live: GET /health answered 503" in world.mail
    assert "Some users may have met the new version between" in world.mail
    assert "now live is on version 2" in world.mail


def test_the_same_event_again_changes_nothing() -> None:
    world = World()
    world.registry.put(image("first"))
    request = world.request("first")
    world.deliver(request)
    calls = list(world.function.calls)

    world.deliver(request)

    assert world.function.calls == calls
    assert list(world.ledger.ended) == [request.id]
    assert "this push was noted before" in world.journal.notes
    assert len(world.notifier.sent) == 1


def test_a_release_that_is_live_already_is_left_alone() -> None:
    world = World()
    world.push("first")
    calls = list(world.function.calls)

    deployment = world.push("first")

    assert deployment.phase is Phase.SUCCEEDED
    assert "is live already" in deployment.because
    assert world.function.calls == calls


def test_the_image_that_is_live_is_put_back_on_latest_when_somebody_changed_that_by_hand() -> None:
    world = World()
    world.push("first")
    world.registry.put(image("by hand"), tag="by-hand")
    latest = world.function.latest()
    world.function.update_code(image("by hand"), latest.architecture, latest.revision)

    deployment = world.push("first")

    assert deployment.phase is Phase.SUCCEEDED
    assert world.function.live_image == image("first")
    assert world.function.latest().image == image("first")


def test_a_quarantined_digest_is_rejected_however_it_comes_back() -> None:
    world = World()
    world.push("good")
    world.answers("bad", UNHEALTHY)
    world.push("bad")
    world.function.answers.clear()

    again = world.push("bad")

    assert again.phase is Phase.REJECTED
    assert "in quarantine since deployment" in again.because
    assert world.function.live_image == image("good")


def test_a_retry_that_goes_live_lifts_the_quarantine() -> None:
    world = World()
    world.push("good")
    world.answers("unlucky", UNHEALTHY)
    world.push("unlucky")
    world.function.answers.clear()
    world.clock.new_invocation()

    deployment = world.retry("unlucky", by="alice")

    assert deployment.phase is Phase.SUCCEEDED
    assert world.function.live_image == image("unlucky")
    assert world.ledger.quarantined == {}


def test_a_retry_that_is_turned_away_leaves_the_quarantine() -> None:
    world = World()
    world.push("good")
    world.answers("bad", UNHEALTHY)
    world.push("bad")
    world.hold()
    world.clock.new_invocation()

    with pytest.raises(Senseless, match="held by alice"):
        world.retry("bad", by="bob")

    assert image("bad").digest in world.ledger.quarantined


def test_a_lease_that_somebody_writes_beside_is_asked_for_again() -> None:
    world = World()
    world.ledger.busy = 3

    assert world.push("first").phase is Phase.SUCCEEDED


def test_an_idle_sweep_does_not_take_the_lease() -> None:
    world = World()
    world.push("first")
    token = world.ledger.token

    world.sweep()

    assert world.ledger.token == token


def test_a_wrong_architecture_is_rejected_with_the_command_that_fixes_it() -> None:
    world = World()

    deployment = world.push("arm", Artifact(ArtifactKind.IMAGE, "media", "arm64"))

    assert deployment.phase is Phase.REJECTED
    assert "built for arm64, the function runs on x86_64" in deployment.because
    assert "--platform linux/amd64" in deployment.because
    assert world.function.calls == []


def test_an_image_that_is_gone_when_its_turn_comes_is_rejected() -> None:
    world = World()
    world.registry.put(image("gone"))
    world.registry.artifacts.clear()
    request = world.request("gone")

    world.deliver(request)

    assert world.outcome(request).phase is Phase.REJECTED
    assert "not, or no longer, in the registry" in world.outcome(request).because


def test_an_update_that_aws_accepts_and_then_fails_is_tried_twice_and_reverted() -> None:
    world = World()
    world.push("good")
    world.function.fails_to_update[image("bad")] = "InvalidImage: the layer is broken"

    deployment = world.push("bad")

    assert deployment.phase is Phase.REVERTED
    assert "InvalidImage: the layer is broken" in world.mail
    assert world.function.latest().image == image("good")
    assert world.function.latest().status is UpdateStatus.SUCCESSFUL


def test_an_image_that_aws_refuses_is_reverted_in_its_own_words() -> None:
    world = World()
    world.push("good")
    world.function.refuses[image("bad")] = "InvalidParameterValueException: no permission to pull"

    deployment = world.push("bad")

    assert deployment.phase is Phase.REVERTED
    assert "InvalidParameterValueException: no permission to pull" in world.mail
    assert world.function.live_image == image("good")


def test_a_first_release_that_fails_says_that_there_is_nothing_to_go_back_to() -> None:
    world = World()
    world.answers("bad", UNHEALTHY)

    deployment = world.push("bad")

    assert deployment.phase is Phase.REVERTED
    assert "nothing to go back to" in world.mail
    assert world.function.latest().image == PLACEHOLDER


def test_the_placeholder_is_never_a_way_back() -> None:
    world = World()
    answers = iter([http(200, {"status": "ok"})])
    world.function.answers[image("moody")] = lambda: next(answers, UNHEALTHY)

    deployment = world.push("moody")

    assert deployment.phase is Phase.STUCK
    assert world.function.live_image == image("moody")
    assert "no release was live before this one" in world.mail


def test_when_what_users_are_on_fails_too_nothing_flaps() -> None:
    world = World()
    world.push("good")
    world.answers("bad", UNHEALTHY)
    world.answers("good", UNHEALTHY)
    moves = world.function.calls.count("UpdateAlias")

    deployment = world.push("bad")

    assert deployment.phase is Phase.STUCK
    assert "what users are on fails as well" in world.mail
    assert world.function.calls.count("UpdateAlias") == moves


def test_a_check_that_fails_once_and_then_passes_does_not_revert() -> None:
    world = World()
    answers = iter([UNHEALTHY])
    world.function.answers[image("slow starter")] = lambda: next(answers, http(200, {"status": "ok"}))

    deployment = world.push("slow starter")

    assert deployment.phase is Phase.SUCCEEDED
