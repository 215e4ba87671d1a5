"""The decision core: every phase, every way out of it, and the words it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployer.model import (
    Artifact,
    ArtifactKind,
    Asked,
    Book,
    Channel,
    CheckResult,
    Command,
    Conclusion,
    Configuration,
    Deployment,
    Hold,
    Image,
    Latest,
    Limits,
    Marks,
    Moment,
    Notice,
    Origin,
    Phase,
    Quarantine,
    Source,
    UpdateStatus,
    Verdict,
    Version,
    VersionState,
    View,
)
from deployer.rollout import (
    ENDED,
    MAXIMUM_IMAGE_BYTES,
    MOVES,
    Action,
    IllegalMove,
    MarkImage,
    PointLive,
    Publish,
    RunChecks,
    Step,
    UpdateCode,
    Wait,
    advance,
    begins,
    blinded,
    brought,
    conclude,
    covered,
    decide,
    doubled,
    due,
    gives_up,
    marks_due,
    move,
    newer,
    record_update,
    record_verdict,
    refusal,
    settings_due,
    supersede,
    sweep_finds,
    triage,
    try_again_at,
    underway,
    way_back,
)

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
LIMITS = Limits(free=60, update=120, checks=30, revert=240, tries=2)
CANDIDATE = Image("shuking-lambda", "sha256:" + "c" * 64)
PREVIOUS = Image("shuking-lambda", "sha256:" + "a" * 64)
OTHER = Image("shuking-lambda", "sha256:" + "0" * 64)
LIVE = Version("7", PREVIOUS)
NEW = Version("8", CANDIDATE)
FIT = Artifact(
    ArtifactKind.IMAGE, "application/vnd.oci.image.manifest.v1+json", "x86_64", 5, Origin("3f2a91")
)
WELL = Verdict((CheckResult("GET /health", True, "200", "200 after 0.1 s", 0.1, 1),))
ILL = Verdict((CheckResult("GET /health", False, "200", "503 after 0.2 s", 0.2, 2),), "a log line")
BUILD = "`docker buildx build --provenance=false --sbom=false --platform linux/amd64 .`"


def deployment(phase: Phase, *, seconds: float = 0, **facts: Any) -> Deployment:
    """A deployment that has been in `phase` for so many seconds, with the facts it has by then."""
    timeline: tuple[Moment, ...] = ()
    at = NOW - timedelta(seconds=seconds)
    if phase is not Phase.REQUESTED:
        timeline = (Moment(at, phase, "the reason"),)
        facts.setdefault("previous", LIVE)
    if phase in (Phase.VERIFYING, Phase.PROMOTING, Phase.CONFIRMING):
        facts.setdefault("version", "8")
    if phase is Phase.REVERTING:
        facts.setdefault("ending", Phase.REVERTED)
    return Deployment("id", CANDIDATE, facts.pop("source", Source.PUSH), at, phase, timeline, **facts)


def latest(
    image: Image = PREVIOUS, status: UpdateStatus = UpdateStatus.SUCCESSFUL, reason: str = ""
) -> Latest:
    return Latest(image, status, "rev-1", "x86_64", reason)


def view(of: Deployment, **facts: Any) -> View:
    facts.setdefault("artifact", FIT if of.phase is Phase.REQUESTED else None)
    facts.setdefault("live_revision", "alias-1")
    facts.setdefault("latest", latest())
    facts.setdefault("live", LIVE)
    return View(now=NOW, deployment=of, **facts)


def step(of: Deployment, **facts: Any) -> Step:
    return decide(view(of, **facts), LIMITS)


def outline(decided: Step) -> tuple[Phase, Action | None]:
    return decided.phase, decided.action


def waiting(name: str, seconds: float = 0, source: Source = Source.PUSH) -> Deployment:
    digest = "sha256:" + name * 64
    at = NOW + timedelta(seconds=seconds)
    return Deployment(f"{at:%H%M%S}-{name}-{source}", Image("shuking-lambda", digest), source, at)


# -- the table -----------------------------------------------------------------------------------------


def test_the_table_knows_every_phase_and_ends_where_nothing_follows() -> None:
    assert set(MOVES) == set(Phase)
    assert {
        Phase.SUCCEEDED,
        Phase.REJECTED,
        Phase.SUPERSEDED,
        Phase.REVERTED,
        Phase.STUCK,
    } == ENDED


def test_live_is_only_moved_on_out_of_a_verification() -> None:
    assert [phase for phase, moves in MOVES.items() if Phase.PROMOTING in moves] == [Phase.VERIFYING]
    assert [phase for phase, moves in MOVES.items() if Phase.CONFIRMING in moves] == [Phase.PROMOTING]


def test_only_a_function_that_was_never_touched_may_end_rejected() -> None:
    assert [phase for phase, moves in MOVES.items() if Phase.REJECTED in moves] == [Phase.REQUESTED]


def test_an_illegal_move_names_the_deployment_and_both_phases() -> None:
    with pytest.raises(IllegalMove, match=r"^id: REQUESTED -> PROMOTING \(why\)$"):
        move(deployment(Phase.REQUESTED), Step(Phase.PROMOTING, "why"), NOW)


@pytest.mark.parametrize("phase", sorted(ENDED))
def test_an_ended_deployment_has_no_next_step(phase: Phase) -> None:
    with pytest.raises(IllegalMove, match=f"^id: asked for the next step, but it ended {phase}$"):
        step(deployment(phase))


# -- taking up requests --------------------------------------------------------------------------------


def test_nothing_waits_nothing_is_taken_up() -> None:
    assert triage([], "sha256:" + "b" * 64) == (None, [])
    assert triage([deployment(Phase.VERIFYING)], CANDIDATE.digest) == (None, [])


def test_the_request_for_what_the_tag_points_at_is_taken_up_and_the_others_are_superseded() -> None:
    early, wanted, late = waiting("1", 0), waiting("2", 5), waiting("3", 9)

    assert triage([late, early, wanted], wanted.image.digest) == (wanted, [early, late])


def test_of_two_requests_for_the_same_digest_the_later_is_taken_up() -> None:
    first, second = waiting("1", 0), waiting("1", 5)

    assert triage([second, first], first.image.digest) == (second, [first])


def test_requests_that_the_tag_has_left_are_all_superseded() -> None:
    early, late = waiting("1", 0), waiting("2", 5)

    assert triage([late, early], OTHER.digest) == (None, [early, late])
    assert triage([late, early], None) == (None, [early, late])


def test_what_a_person_asked_for_goes_first_in_their_order_and_supersedes_nobody() -> None:
    pushed = waiting("1", 0)
    first, second = waiting("2", 3, Source.RETRY), waiting("3", 5, Source.RETRY)

    assert triage([second, pushed, first], pushed.image.digest) == (first, [])


def test_a_waiting_push_of_another_digest_makes_going_on_pointless() -> None:
    going, push = deployment(Phase.VERIFYING), waiting("1")

    assert newer(going, [going, push], push.image.digest) == push


def test_a_waiting_request_is_not_newer_if_it_is_the_same_image_or_the_tag_has_left_it() -> None:
    going = deployment(Phase.VERIFYING)
    same = replace(waiting("1"), image=CANDIDATE)

    assert newer(going, [going, same], CANDIDATE.digest) is None
    assert newer(going, [going, waiting("1")], OTHER.digest) is None
    assert newer(same, [same], CANDIDATE.digest) is None


def test_a_request_is_not_newer_than_itself() -> None:
    request = waiting("1")

    assert newer(request, [request, waiting("2", 5)], request.image.digest) is None


def test_what_a_person_asked_for_neither_makes_way_nor_drives_out() -> None:
    asked, push = waiting("1", 9, Source.RETRY), waiting("2", 10)

    assert newer(asked, [asked, push], push.image.digest) is None
    assert newer(push, [push, asked], push.image.digest) is None
    assert newer(deployment(Phase.UPDATING), [asked], asked.image.digest) is None


def test_a_superseded_request_says_by_what() -> None:
    by, twin, other = waiting("1", 5), waiting("1"), waiting("2")

    assert supersede(other, by, None) == Step(
        Phase.SUPERSEDED, "a newer release was pushed: sha256:111111111111…"
    )
    assert supersede(twin, by, None) == Step(
        Phase.SUPERSEDED, f"the same image was pushed again: deployment {by.id} is for both"
    )
    assert supersede(other, None, OTHER.digest) == Step(
        Phase.SUPERSEDED, "the release tag points at sha256:000000000000… now"
    )
    assert supersede(other, None, None) == Step(Phase.SUPERSEDED, "the release tag points at nothing now")


def test_underway_is_what_has_begun() -> None:
    going = deployment(Phase.UPDATING)

    assert underway(Book(open=(waiting("1"), going))) == going
    assert underway(Book(open=(waiting("1"),))) is None


def test_the_sweep_finds_a_tag_that_nobody_told_us_about() -> None:
    assert sweep_finds(Book(settled="one"), "two")
    assert sweep_finds(Book(), "two")


@pytest.mark.parametrize(
    ("book", "tagged"),
    [
        (Book(settled="one"), "one"),
        (Book(settled="one"), None),
        (Book(settled="one", hold=Hold("alice", "incident", NOW)), "two"),
        (Book(settled="one", open=(waiting("1"),)), "two"),
    ],
)
def test_the_sweep_finds_nothing_when_there_is_nothing_to_do(book: Book, tagged: str | None) -> None:
    assert not sweep_finds(book, tagged)


# -- REQUESTED -----------------------------------------------------------------------------------------


def test_a_fit_candidate_passes_preflight() -> None:
    assert step(deployment(Phase.REQUESTED)) == Step(
        Phase.UPDATING,
        "preflight passed; users are on version 7 (sha256:aaaaaaaaaaaa…)",
        UpdateCode(CANDIDATE, "x86_64", "rev-1"),
    )


def test_a_candidate_that_is_on_latest_already_is_not_put_there_again() -> None:
    decided = step(deployment(Phase.REQUESTED), latest=latest(CANDIDATE))

    assert outline(decided) == (Phase.UPDATING, None)


def test_a_candidate_whose_update_failed_before_is_put_on_latest_again() -> None:
    decided = step(deployment(Phase.REQUESTED), latest=latest(CANDIDATE, UpdateStatus.FAILED))

    assert outline(decided) == (Phase.UPDATING, UpdateCode(CANDIDATE, "x86_64", "rev-1"))


def test_a_newer_push_supersedes_a_request() -> None:
    decided = step(deployment(Phase.REQUESTED), newer=waiting("1"))

    assert decided == Step(Phase.SUPERSEDED, "a newer release was pushed: sha256:111111111111…")


def test_a_hold_rejects_and_says_whose_it_is() -> None:
    decided = step(deployment(Phase.REQUESTED), hold=Hold("alice", "incident 42", NOW))

    assert decided == Step(
        Phase.REJECTED,
        "deployments are held by alice (incident 42); "
        "what the release tag points at then is taken up on resume",
    )


def test_a_hold_tells_who_retries_to_resume_first() -> None:
    decided = step(deployment(Phase.REQUESTED, source=Source.RETRY), hold=Hold("alice", "incident 42", NOW))

    assert decided.because.startswith("deployments are held by alice (incident 42); resume and ask again, or")


def test_a_quarantined_digest_is_rejected_and_says_since_when() -> None:
    decided = step(
        deployment(Phase.REQUESTED),
        quarantine=Quarantine(CANDIDATE.digest, "id-1", "GET /health answered 503"),
    )

    assert decided == Step(
        Phase.REJECTED,
        "sha256:cccccccccccc… is in quarantine since deployment id-1: GET /health answered 503. "
        "Push a fixed image, or retry this one if it was not to blame",
    )


def test_a_quarantine_does_not_stop_a_retry() -> None:
    decided = step(
        deployment(Phase.REQUESTED, source=Source.RETRY), quarantine=Quarantine(CANDIDATE.digest, "id-1", "")
    )

    assert decided.phase is Phase.UPDATING


@pytest.mark.parametrize(
    ("artifact", "said"),
    [
        (None, "it is not, or no longer, in the registry. Push it again"),
        (
            Artifact(ArtifactKind.INDEX, "index"),
            "it is an image index, which Lambda refuses (buildx makes one when it attaches a provenance "
            f"attestation, or builds for several platforms). Build one plain image: {BUILD}",
        ),
        (
            replace(FIT, problem="its config is not JSON"),
            f"its config is not JSON. Build it again: {BUILD}",
        ),
        (
            Artifact(ArtifactKind.OTHER, "application/vnd.helm"),
            f"its media type application/vnd.helm is not a container image. Build one: {BUILD}",
        ),
        (
            replace(FIT, architecture="arm64"),
            f"it is built for arm64, the function runs on x86_64. Build it again: {BUILD}",
        ),
        (
            replace(FIT, size=MAXIMUM_IMAGE_BYTES * 2),
            "its layers are 20.0 GiB compressed, and Lambda takes 10 GiB uncompressed. Make it smaller",
        ),
    ],
)
def test_an_unfit_candidate_is_rejected_with_what_fixes_it(artifact: Artifact | None, said: str) -> None:
    decided = step(deployment(Phase.REQUESTED), artifact=artifact)

    assert decided == Step(Phase.REJECTED, f"sha256:cccccccccccc… cannot run here: {said}")


@pytest.mark.parametrize(
    "artifact",
    [replace(FIT, architecture=None), replace(FIT, size=MAXIMUM_IMAGE_BYTES)],
)
def test_what_is_not_known_to_be_wrong_is_tried(artifact: Artifact) -> None:
    assert step(deployment(Phase.REQUESTED), artifact=artifact).phase is Phase.UPDATING


def test_the_build_command_is_for_the_functions_own_architecture() -> None:
    arm = replace(latest(), architecture="arm64")
    odd = replace(latest(), architecture="riscv")

    assert "linux/arm64" in step(deployment(Phase.REQUESTED), latest=arm).because
    assert "linux/riscv" in step(deployment(Phase.REQUESTED), latest=odd).because


def test_a_busy_function_is_waited_for_and_not_for_ever() -> None:
    busy = latest(status=UpdateStatus.IN_PROGRESS)

    def waiting_for(seconds: float) -> Deployment:
        since = Moment(NOW - timedelta(seconds=seconds), Phase.REQUESTED, "busy")
        return replace(deployment(Phase.REQUESTED), timeline=(since,))

    assert step(waiting_for(20), latest=busy) == Step(
        Phase.REQUESTED, "the function is busy with an update that is not ours", Wait(2)
    )
    assert step(waiting_for(60), latest=busy).phase is Phase.REQUESTED
    assert step(waiting_for(61), latest=busy) == Step(
        Phase.REJECTED,
        "somebody else's update of the function was still in progress after 60 s; "
        "push again, or retry, when it is done",
    )


def test_a_request_that_was_long_on_its_way_waits_like_any_other() -> None:
    busy = latest(status=UpdateStatus.IN_PROGRESS)

    assert step(deployment(Phase.REQUESTED, seconds=3600), latest=busy).phase is Phase.REQUESTED


def test_what_is_live_already_is_done() -> None:
    decided = step(deployment(Phase.REQUESTED), live=NEW, latest=latest(CANDIDATE))

    assert decided == Step(Phase.SUCCEEDED, "sha256:cccccccccccc… is live already, as version 8")


@pytest.mark.parametrize(
    ("facts", "seen"),
    [
        ({}, {"latest": latest(OTHER)}),
        ({}, {"latest": latest(CANDIDATE, UpdateStatus.FAILED)}),
        ({}, {"live": replace(NEW, state=VersionState.FAILED)}),
        ({"source": Source.RETRY}, {}),
    ],
)
def test_what_is_live_but_not_known_to_be_well_is_deployed_again(facts: Any, seen: Any) -> None:
    decided = step(deployment(Phase.REQUESTED, **facts), **{"live": NEW, "latest": latest(CANDIDATE), **seen})

    assert decided.phase is Phase.UPDATING


def test_a_way_back_that_is_missing_is_warned_of() -> None:
    assert step(deployment(Phase.REQUESTED), way_back=False).warning == (
        "the image that is live (sha256:aaaaaaaaaaaa…) is gone from the registry: "
        "there is no way back from here"
    )
    assert step(
        deployment(Phase.REQUESTED), placeholders=frozenset({PREVIOUS.digest}), way_back=False
    ).warning == ("no release was live before: if this one fails there is nothing to go back to")
    assert step(deployment(Phase.REQUESTED), placeholders=frozenset({OTHER.digest})).warning is None


# -- UPDATING ------------------------------------------------------------------------------------------


def test_latest_is_brought_to_the_candidate() -> None:
    assert step(deployment(Phase.UPDATING)) == Step(
        Phase.UPDATING,
        "$LATEST is on sha256:aaaaaaaaaaaa… (Successful)",
        UpdateCode(CANDIDATE, "x86_64", "rev-1"),
    )


def test_an_update_in_progress_is_waited_for() -> None:
    decided = step(deployment(Phase.UPDATING, seconds=10), latest=latest(CANDIDATE, UpdateStatus.IN_PROGRESS))

    assert decided == Step(Phase.UPDATING, "the update is in progress", Wait(1))


@pytest.mark.parametrize(("seconds", "wait"), [(0, 0.2), (2, 0.2), (10, 1.0), (50, 5.0), (100, 5.0)])
def test_polls_are_frequent_at_first_and_seldom_later(seconds: float, wait: float) -> None:
    decided = step(
        deployment(Phase.UPDATING, seconds=seconds), latest=latest(CANDIDATE, UpdateStatus.IN_PROGRESS)
    )

    assert decided.action == Wait(wait)


def test_a_finished_update_is_published() -> None:
    assert step(deployment(Phase.UPDATING), latest=latest(CANDIDATE)) == Step(
        Phase.UPDATING, "$LATEST is on the candidate", Publish(CANDIDATE, "rev-1")
    )


def test_a_failed_update_is_tried_again_and_then_reverted() -> None:
    failed = latest(CANDIDATE, UpdateStatus.FAILED, "InvalidImage")

    assert outline(step(deployment(Phase.UPDATING, updates=1), latest=failed)) == (
        Phase.UPDATING,
        UpdateCode(CANDIDATE, "x86_64", "rev-1"),
    )
    assert step(deployment(Phase.UPDATING, updates=2), latest=failed) == Step(
        Phase.REVERTING,
        "the update to sha256:cccccccccccc… failed: InvalidImage",
        ending=Phase.REVERTED,
        blames=True,
    )


def test_latest_is_brought_to_the_candidate_however_often_somebody_else_takes_it_away() -> None:
    decided = step(deployment(Phase.UPDATING, updates=5), latest=latest(OTHER))

    assert outline(decided) == (Phase.UPDATING, UpdateCode(CANDIDATE, "x86_64", "rev-1"))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (VersionState.ACTIVE, Step(Phase.VERIFYING, "version 8 is ready", RunChecks("8"))),
        (VersionState.INACTIVE, Step(Phase.VERIFYING, "version 8 is ready", RunChecks("8"))),
        (VersionState.PENDING, Step(Phase.UPDATING, "version 8 is being made ready", Wait(0.2))),
        (
            VersionState.FAILED,
            Step(
                Phase.REVERTING,
                "version 8 did not become active: why",
                ending=Phase.REVERTED,
                blames=True,
            ),
        ),
    ],
)
def test_a_published_version_is_verified_when_it_is_ready(state: VersionState, expected: Step) -> None:
    candidate = Version("8", CANDIDATE, state, "why")

    assert step(deployment(Phase.UPDATING, version="8"), candidate=candidate) == expected


TOO_LATE = Step(Phase.REVERTING, "sha256:cccccccccccc… was not ready after 120 s", ending=Phase.REVERTED)


@pytest.mark.parametrize(
    "seen",
    [
        {"latest": latest(CANDIDATE, UpdateStatus.IN_PROGRESS)},
        {"latest": latest(OTHER), "missed": "throttled"},
        {"candidate": replace(NEW, state=VersionState.PENDING)},
    ],
)
def test_an_update_that_takes_too_long_is_reverted(seen: Any) -> None:
    assert step(deployment(Phase.UPDATING, seconds=120), **seen).phase is Phase.UPDATING
    assert step(deployment(Phase.UPDATING, seconds=121), **seen) == TOO_LATE


def test_an_update_that_was_never_tried_is_tried_however_late() -> None:
    decided = step(deployment(Phase.UPDATING, seconds=9999))

    assert decided.action == UpdateCode(CANDIDATE, "x86_64", "rev-1")
    assert step(deployment(Phase.UPDATING, seconds=9999, updates=1)) == TOO_LATE


def test_what_became_ready_while_nobody_looked_is_ready() -> None:
    late = deployment(Phase.UPDATING, seconds=9999)

    assert step(late, candidate=NEW).phase is Phase.VERIFYING
    assert step(late, latest=latest(CANDIDATE)).action == Publish(CANDIDATE, "rev-1")


def test_a_version_that_cannot_be_published_is_given_up_when_it_was_tried_late() -> None:
    busy: Any = {"latest": latest(CANDIDATE), "missed": "throttled"}

    assert step(deployment(Phase.UPDATING, seconds=120), **busy).phase is Phase.UPDATING
    assert step(deployment(Phase.UPDATING, seconds=121), **busy) == Step(
        Phase.REVERTING, "sha256:cccccccccccc… could not be published: throttled", ending=Phase.REVERTED
    )


@pytest.mark.parametrize("phase", [Phase.UPDATING, Phase.VERIFYING, Phase.PROMOTING, Phase.CONFIRMING])
def test_what_aws_refuses_is_turned_round_without_blaming_the_image(phase: Phase) -> None:
    live = NEW if phase is Phase.CONFIRMING else LIVE

    assert step(deployment(phase), refused="AWS refused it: no", live=live) == Step(
        Phase.REVERTING, "AWS refused it: no", ending=Phase.REVERTED
    )


@pytest.mark.parametrize("phase", [Phase.UPDATING, Phase.VERIFYING])
def test_a_newer_push_turns_a_deployment_round_before_users_are_on_it(phase: Phase) -> None:
    assert step(deployment(phase), newer=waiting("1")) == Step(
        Phase.REVERTING, "a newer release was pushed: sha256:111111111111…", ending=Phase.SUPERSEDED
    )


@pytest.mark.parametrize("phase", [Phase.PROMOTING, Phase.CONFIRMING])
def test_a_newer_push_waits_once_live_is_moving(phase: Phase) -> None:
    assert step(deployment(phase), newer=waiting("1"), live=NEW).phase is Phase.CONFIRMING


# -- VERIFYING -----------------------------------------------------------------------------------------


def test_a_version_without_a_verdict_is_checked() -> None:
    assert step(deployment(Phase.VERIFYING, seconds=30)) == Step(
        Phase.VERIFYING, "version 8 has no verdict yet", RunChecks("8")
    )


def test_checks_without_a_verdict_are_reverted() -> None:
    because = "the checks of version 8 came to no verdict within 30 s"

    assert step(deployment(Phase.VERIFYING, seconds=91)) == Step(
        Phase.REVERTING, because, ending=Phase.REVERTED
    )
    assert step(deployment(Phase.VERIFYING, seconds=31), missed="throttled") == Step(
        Phase.REVERTING, f"{because}: throttled", ending=Phase.REVERTED
    )


@pytest.mark.parametrize("phase", [Phase.VERIFYING, Phase.CONFIRMING])
def test_checks_that_nobody_has_tried_lately_are_tried(phase: Phase) -> None:
    live = NEW if phase is Phase.CONFIRMING else LIVE

    assert step(deployment(phase, seconds=90), live=live).phase is phase
    assert step(deployment(phase, seconds=30), live=live, missed="throttled").phase is phase


def test_a_healthy_version_is_promoted() -> None:
    assert step(deployment(Phase.VERIFYING, verification=WELL, seconds=99)) == Step(
        Phase.PROMOTING, "GET /health answered 200 after 0.1 s", PointLive("8", "alias-1")
    )


def test_an_unhealthy_version_is_reverted() -> None:
    assert step(deployment(Phase.VERIFYING, verification=ILL)) == Step(
        Phase.REVERTING, "GET /health answered 503 after 0.2 s", ending=Phase.REVERTED, blames=True
    )


def test_a_verdict_without_checks_is_not_healthy() -> None:
    assert step(deployment(Phase.VERIFYING, verification=Verdict(()))) == Step(
        Phase.REVERTING, "no check was run", ending=Phase.REVERTED, blames=True
    )


def test_somebody_who_moved_live_to_the_candidate_was_only_quicker() -> None:
    decided = step(deployment(Phase.VERIFYING, verification=WELL), live=NEW)

    assert decided.phase is Phase.PROMOTING


def test_a_live_alias_that_somebody_moved_is_left_where_it_is() -> None:
    elsewhere = Version("5", OTHER)

    for decided in (
        step(deployment(Phase.VERIFYING, verification=WELL), live=elsewhere),
        step(deployment(Phase.PROMOTING), live=elsewhere),
    ):
        assert decided == Step(
            Phase.REVERTING,
            "somebody moved live from version 7 to 5 during the deployment; it stays where they put it",
            ending=Phase.REVERTED,
        )


# -- PROMOTING and CONFIRMING --------------------------------------------------------------------------


def test_live_that_has_moved_is_confirmed() -> None:
    assert step(deployment(Phase.PROMOTING, seconds=99), live=NEW, refused="late") == Step(
        Phase.CONFIRMING, "live points at version 8", RunChecks("8", through_live=True)
    )


def test_live_that_has_not_moved_is_moved_and_given_up_when_it_was_tried_late() -> None:
    move_it = Step(Phase.PROMOTING, "live is still on version 7", PointLive("8", "alias-1"))

    assert step(deployment(Phase.PROMOTING, seconds=9999)) == move_it
    assert step(deployment(Phase.PROMOTING, seconds=30), missed="throttled") == move_it
    assert step(deployment(Phase.PROMOTING, seconds=31), missed="throttled") == Step(
        Phase.REVERTING, "live could not be moved to version 8: throttled", ending=Phase.REVERTED
    )


ON_CANDIDATE: dict[str, Any] = {"live": NEW, "latest": latest(CANDIDATE)}


def test_users_on_the_candidate_are_confirmed_to_be_well() -> None:
    assert step(deployment(Phase.CONFIRMING, seconds=30), **ON_CANDIDATE) == Step(
        Phase.CONFIRMING, "live has no verdict yet", RunChecks("8", through_live=True)
    )
    assert step(deployment(Phase.CONFIRMING, confirmation=WELL, seconds=99), **ON_CANDIDATE) == Step(
        Phase.SUCCEEDED, "live is version 8: GET /health answered 200 after 0.1 s"
    )


@pytest.mark.parametrize(
    ("facts", "seen", "because", "blames"),
    [
        ({"confirmation": ILL}, {}, "through live: GET /health answered 503 after 0.2 s", True),
        ({"seconds": 91}, {}, "the checks through live came to no verdict within 30 s", False),
        (
            {"confirmation": WELL},
            {"live": LIVE},
            "somebody moved live from version 8 to 7 during the deployment; it stays where they put it",
            False,
        ),
    ],
)
def test_what_is_not_confirmed_is_reverted(facts: Any, seen: Any, because: str, blames: bool) -> None:
    decided = step(deployment(Phase.CONFIRMING, **facts), **{**ON_CANDIDATE, **seen})

    assert decided == Step(Phase.REVERTING, because, ending=Phase.REVERTED, blames=blames)


def replace_since(of: Deployment, seconds: float) -> Deployment:
    return replace(of, timeline=(Moment(NOW - timedelta(seconds=seconds), of.phase, "the reason"),))


def test_latest_that_somebody_changed_is_put_on_what_is_live_before_it_ends() -> None:
    well = deployment(Phase.CONFIRMING, confirmation=WELL, seconds=20)

    assert step(well, live=NEW, latest=latest(OTHER)) == Step(
        Phase.CONFIRMING,
        "users are well; $LATEST is on sha256:000000000000…",
        UpdateCode(CANDIDATE, "x86_64", "rev-1"),
    )
    assert step(replace_since(well, 120), live=NEW, latest=latest(OTHER)).phase is Phase.CONFIRMING
    for image in (OTHER, CANDIDATE):
        assert step(well, live=NEW, latest=latest(image, UpdateStatus.IN_PROGRESS)) == Step(
            Phase.CONFIRMING, "an update of $LATEST is in progress", Wait(2)
        )


@pytest.mark.parametrize(
    ("facts", "seen"), [({"updates": 2}, {}), ({"seconds": 121}, {}), ({}, {"refused": "AccessDenied"})]
)
@pytest.mark.parametrize("status", [UpdateStatus.SUCCESSFUL, UpdateStatus.IN_PROGRESS])
def test_latest_that_cannot_be_put_back_is_warned_of(facts: Any, seen: Any, status: UpdateStatus) -> None:
    well = deployment(Phase.CONFIRMING, confirmation=WELL, **facts)

    assert step(well, live=NEW, latest=latest(OTHER, status), **seen) == Step(
        Phase.SUCCEEDED,
        "live is version 8: GET /health answered 200 after 0.1 s",
        warning=f"$LATEST is not what users are on: it is on sha256:000000000000… ({status})",
    )


# -- REVERTING -----------------------------------------------------------------------------------------


def test_users_go_back_first() -> None:
    decided = step(deployment(Phase.REVERTING, version="8", seconds=240), live=NEW, latest=latest(CANDIDATE))

    assert decided == Step(Phase.REVERTING, "live is on the failing version 8", PointLive("7", "alias-1"))


def test_users_go_back_however_late_it_is_unless_it_was_tried_in_vain() -> None:
    late = deployment(Phase.REVERTING, version="8", seconds=9999)

    assert outline(step(late, live=NEW)) == (Phase.REVERTING, PointLive("7", "alias-1"))
    early = deployment(Phase.REVERTING, version="8", seconds=240)
    assert outline(step(early, live=NEW, missed="no")) == (Phase.REVERTING, PointLive("7", "alias-1"))


def test_latest_goes_back_however_late_it_is() -> None:
    for facts in ({"seconds": 9999}, {"seconds": 240, "updates": 1}):
        decided = step(deployment(Phase.REVERTING, **facts), latest=latest(CANDIDATE))

        assert decided.action == UpdateCode(PREVIOUS, "x86_64", "rev-1")


def test_then_latest_goes_back() -> None:
    decided = step(deployment(Phase.REVERTING, version="8"), latest=latest(CANDIDATE))

    assert decided == Step(
        Phase.REVERTING,
        "$LATEST is on sha256:cccccccccccc… (Successful)",
        UpdateCode(PREVIOUS, "x86_64", "rev-1"),
    )


def test_latest_goes_to_what_live_is_on_even_if_a_person_put_it_there() -> None:
    decided = step(
        deployment(Phase.REVERTING, version="8"), live=Version("5", OTHER), latest=latest(CANDIDATE)
    )

    assert decided.action == UpdateCode(OTHER, "x86_64", "rev-1")


def test_a_candidate_that_was_published_as_the_version_that_is_live_has_nowhere_to_go_back_to() -> None:
    same = deployment(Phase.REVERTING, version="7")

    assert outline(step(same)) == (Phase.REVERTING, RunChecks("7", through_live=True))


def test_the_revert_waits_for_an_update_in_progress() -> None:
    decided = step(
        deployment(Phase.REVERTING, seconds=20), latest=latest(CANDIDATE, UpdateStatus.IN_PROGRESS)
    )

    assert decided == Step(Phase.REVERTING, "an update of $LATEST is in progress", Wait(2))


def test_a_revert_is_over_when_what_users_are_on_is_well() -> None:
    back = deployment(Phase.REVERTING)

    assert step(back) == Step(
        Phase.REVERTING, "live is on version 7 (sha256:aaaaaaaaaaaa…)", RunChecks("7", through_live=True)
    )
    assert step(replace(back, restoration=WELL)) == Step(
        Phase.REVERTED,
        "users are on version 7 (sha256:aaaaaaaaaaaa…): GET /health answered 200 after 0.1 s",
    )


def test_a_deployment_that_made_way_ends_superseded_without_a_check() -> None:
    assert step(deployment(Phase.REVERTING, ending=Phase.SUPERSEDED)) == Step(
        Phase.SUPERSEDED, "users stayed on version 7 (sha256:aaaaaaaaaaaa…)"
    )


def test_a_deployment_that_made_way_ends_superseded_even_if_latest_cannot_go_back() -> None:
    decided = step(
        deployment(Phase.REVERTING, ending=Phase.SUPERSEDED), latest=latest(CANDIDATE), way_back=False
    )

    assert decided == Step(
        Phase.SUPERSEDED,
        "$LATEST cannot go back to sha256:aaaaaaaaaaaa…: the image is gone from the registry",
    )


@pytest.mark.parametrize(
    ("facts", "seen"),
    [
        ({}, {"refused": "AccessDenied"}),
        ({"seconds": 241, "updates": 1}, {}),
        ({"updates": 2}, {"latest": latest(CANDIDATE, UpdateStatus.FAILED)}),
    ],
)
def test_a_deployment_that_made_way_needs_no_person(facts: Any, seen: Any) -> None:
    made_way = deployment(Phase.REVERTING, ending=Phase.SUPERSEDED, version="8", **facts)

    assert step(made_way, **{"latest": latest(CANDIDATE), **seen}).phase is Phase.SUPERSEDED


def test_a_deployment_that_made_way_and_left_users_on_it_needs_a_person() -> None:
    made_way = deployment(Phase.REVERTING, ending=Phase.SUPERSEDED, version="8")

    assert step(made_way, live=NEW, refused="AccessDenied").phase is Phase.STUCK


def test_a_failed_first_release_leaves_the_placeholder_and_asks_it_nothing() -> None:
    assert step(deployment(Phase.REVERTING), placeholders=frozenset({PREVIOUS.digest})) == Step(
        Phase.REVERTED, "no release was live before this one, so there is nothing to go back to"
    )


def test_a_failed_update_back_is_tried_twice() -> None:
    failed = latest(PREVIOUS, UpdateStatus.FAILED, "ImageDeleted")

    assert outline(step(deployment(Phase.REVERTING, updates=1), latest=failed)) == (
        Phase.REVERTING,
        UpdateCode(PREVIOUS, "x86_64", "rev-1"),
    )


NOW_ON = ". Now: live is on version 7 (sha256:aaaaaaaaaaaa…), $LATEST on sha256:cccccccccccc…"
NOT_BACK = f"$LATEST was not back on sha256:aaaaaaaaaaaa… after 240 s{NOW_ON}"
STILL_ON = ". Now: live is on version 8 (sha256:cccccccccccc…), $LATEST on sha256:cccccccccccc…"


@pytest.mark.parametrize(
    ("facts", "seen", "because"),
    [
        ({}, {"refused": "AWS refused it: no"}, f"AWS refused it: no{NOW_ON}"),
        ({"seconds": 241}, {"missed": "throttled"}, NOT_BACK),
        ({"seconds": 241, "updates": 1}, {}, NOT_BACK),
        ({"seconds": 241}, {"latest": latest(CANDIDATE, UpdateStatus.IN_PROGRESS)}, NOT_BACK),
        (
            {"seconds": 241},
            {"latest": latest(PREVIOUS), "missed": "throttled"},
            "everything is back, but the checks through live got no answer: throttled. "
            "Now: live is on version 7 (sha256:aaaaaaaaaaaa…), $LATEST on sha256:aaaaaaaaaaaa…",
        ),
        (
            {"version": "8"},
            {"live": NEW, "previous": replace(LIVE, state=VersionState.FAILED, reason="ImageDeleted")},
            f"version 7 is no way back: ImageDeleted{STILL_ON}",
        ),
        (
            {"updates": 2},
            {"latest": latest(CANDIDATE, UpdateStatus.FAILED, "ImageDeleted")},
            f"putting $LATEST back on sha256:aaaaaaaaaaaa… failed: ImageDeleted{NOW_ON}",
        ),
        (
            {},
            {"way_back": False},
            f"$LATEST cannot go back to sha256:aaaaaaaaaaaa…: the image is gone from the registry{NOW_ON}",
        ),
        (
            {"version": "8"},
            {"way_back": False, "live": NEW},
            f"version 7 is no way back: its image is gone from the registry{STILL_ON}",
        ),
        (
            {"version": "8"},
            {"placeholders": frozenset({PREVIOUS.digest}), "live": NEW},
            f"no release was live before this one, so there is nothing to go back to{STILL_ON}",
        ),
        (
            {"version": "8", "seconds": 241},
            {"live": NEW, "missed": "throttled"},
            f"live could not be moved back: throttled{STILL_ON}",
        ),
    ],
)
def test_a_revert_that_cannot_be_done_says_stuck_and_where_things_are(
    facts: Any, seen: Any, because: str
) -> None:
    decided = step(deployment(Phase.REVERTING, **facts), **{"latest": latest(CANDIDATE), **seen})

    lost = "is no way back" in because or "nothing to go back to" in because
    assert decided == Step(Phase.STUCK, because, no_way_back=lost)
    assert advance(view(deployment(Phase.REVERTING)), decided).no_way_back is lost


def test_when_what_users_are_on_fails_too_it_halts() -> None:
    assert step(deployment(Phase.REVERTING, restoration=ILL)) == Step(
        Phase.STUCK,
        "what users are on fails as well, so the new image is not the only cause: GET /health answered 503 "
        "after 0.2 s. Now: live is on version 7 (sha256:aaaaaaaaaaaa…), $LATEST on sha256:aaaaaaaaaaaa…",
    )


@pytest.mark.parametrize("seconds", [0, 9999])
def test_what_is_back_is_checked_whatever_else_is_missing_and_however_late(seconds: float) -> None:
    decided = step(deployment(Phase.REVERTING, seconds=seconds), way_back=False)

    assert step(deployment(Phase.REVERTING, seconds=240), missed="throttled").action == decided.action
    assert outline(decided) == (Phase.REVERTING, RunChecks("7", through_live=True))


def test_a_previous_version_that_is_well_is_a_way_back() -> None:
    decided = step(deployment(Phase.REVERTING, version="8"), live=NEW, previous=LIVE)

    assert decided.action == PointLive("7", "alias-1")


# -- records that cannot be ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (deployment(Phase.VERIFYING, version=None), "VERIFYING without a version or a previous one"),
        (deployment(Phase.VERIFYING, previous=None), "VERIFYING without a version or a previous one"),
        (deployment(Phase.PROMOTING, version=None), "PROMOTING without a version or a previous one"),
        (deployment(Phase.PROMOTING, previous=None), "PROMOTING without a version or a previous one"),
        (deployment(Phase.CONFIRMING, version=None), "CONFIRMING without a version"),
        (deployment(Phase.REVERTING, previous=None), "REVERTING without knowing where to or what for"),
        (deployment(Phase.REVERTING, ending=None), "REVERTING without knowing where to or what for"),
    ],
)
def test_a_record_that_cannot_be_is_not_acted_on(broken: Deployment, message: str) -> None:
    with pytest.raises(IllegalMove, match=f"^id: {message}$"):
        step(broken)


def test_live_is_not_moved_without_its_revision() -> None:
    with pytest.raises(IllegalMove, match=r"^id: live is to move, but its revision was not read$"):
        step(deployment(Phase.VERIFYING, verification=WELL), live_revision=None)


# -- what a step does to the record --------------------------------------------------------------------


def test_a_step_within_a_phase_leaves_the_timeline_alone() -> None:
    going = deployment(Phase.UPDATING, updates=1)

    assert advance(view(going), Step(Phase.UPDATING, "poll", Wait(1))) == going


def test_a_request_that_has_to_wait_remembers_since_when() -> None:
    after = advance(view(deployment(Phase.REQUESTED)), Step(Phase.REQUESTED, "busy", Wait(1)))

    assert after.timeline == (Moment(NOW, Phase.REQUESTED, "busy"),)
    assert advance(view(after), Step(Phase.REQUESTED, "still busy", Wait(1))) == after


def test_a_new_phase_counts_its_updates_anew() -> None:
    assert advance(view(deployment(Phase.UPDATING, updates=2)), Step(Phase.REVERTING, "back")).updates == 0


def test_an_accepted_update_is_counted_and_the_first_of_a_revert_begins_its_time_anew() -> None:
    updating = deployment(Phase.UPDATING, updates=1)
    reverting = deployment(Phase.REVERTING, seconds=9999)

    first = record_update(reverting, NOW)
    second = record_update(first, NOW + timedelta(seconds=5))

    assert record_update(updating, NOW) == replace(updating, updates=2)
    assert (first.updates, first.since) == (1, NOW)
    assert first.timeline[-1] == Moment(NOW, Phase.REVERTING, "$LATEST is being put back")
    assert (second.updates, second.since) == (2, NOW)
    assert first.failure == "the reason"


def test_every_move_remembers_what_users_are_on() -> None:
    after = advance(view(deployment(Phase.CONFIRMING), live=NEW), Step(Phase.SUCCEEDED, "well"))

    assert after.live == NEW


def test_beginning_remembers_what_was_live_and_what_is_deployed() -> None:
    began = view(deployment(Phase.REQUESTED), before=Origin("91bc"))
    after = advance(began, Step(Phase.UPDATING, "preflight passed", warning="no way back"))

    assert after.previous == LIVE
    assert (after.revision, after.before) == ("3f2a91", Origin("91bc"))
    assert after.warnings == ("no way back",)
    assert after.timeline == (Moment(NOW, Phase.UPDATING, "preflight passed"),)
    assert (after.phase, after.since, after.because) == (Phase.UPDATING, NOW, "preflight passed")


def test_going_on_keeps_what_is_known() -> None:
    going = deployment(
        Phase.UPDATING, version="8", origin=Origin("3f2a91"), before=Origin("91bc"), warnings=("one",)
    )
    elsewhere = Version("5", OTHER)

    after = advance(view(going, candidate=NEW, live=elsewhere), Step(Phase.VERIFYING, "ready"))

    assert (after.previous, after.version, after.revision) == (LIVE, "8", "3f2a91")
    assert after.before == Origin("91bc")
    assert after.warnings == ("one",)
    assert [moment.phase for moment in after.timeline] == [Phase.UPDATING, Phase.VERIFYING]


def test_turning_round_remembers_how_it_will_end() -> None:
    going = deployment(Phase.VERIFYING)

    after = advance(view(going), Step(Phase.REVERTING, "503", ending=Phase.SUPERSEDED))
    ended = advance(view(after), Step(Phase.SUPERSEDED, "done"))

    assert after.ending is Phase.SUPERSEDED
    assert not after.blamed
    assert after.failure == "503"
    assert after.version == "8"
    assert ended.ending is Phase.SUPERSEDED
    assert going.failure is None


@pytest.mark.parametrize("verdict", ["verification", "confirmation"])
def test_an_image_that_was_seen_to_fail_is_blamed_whatever_turns_it_round(verdict: str) -> None:
    ill: dict[str, Any] = {verdict: ILL}
    well: dict[str, Any] = {verdict: WELL}
    aborted = Step(Phase.REVERTING, "alice aborted it", ending=Phase.REVERTED)

    assert advance(view(deployment(Phase.CONFIRMING, **ill)), aborted).blamed
    assert not advance(view(deployment(Phase.CONFIRMING, **well)), aborted).blamed


def test_blame_stays_with_the_image() -> None:
    after = advance(view(deployment(Phase.VERIFYING)), Step(Phase.REVERTING, "503", blames=True))

    assert after.blamed
    assert advance(view(after), Step(Phase.REVERTED, "back")).blamed


@pytest.mark.parametrize(
    ("phase", "then", "because", "ending"),
    [
        (Phase.REQUESTED, Phase.REJECTED, "no. Mend that, and push again or retry", None),
        (Phase.UPDATING, Phase.REVERTING, "no", Phase.REVERTED),
        (Phase.VERIFYING, Phase.REVERTING, "no", Phase.REVERTED),
        (Phase.PROMOTING, Phase.REVERTING, "no", Phase.REVERTED),
        (Phase.CONFIRMING, Phase.REVERTING, "no", Phase.REVERTED),
        (Phase.REVERTING, Phase.STUCK, "no", Phase.SUPERSEDED),
    ],
)
def test_what_may_not_be_looked_at_ends_all_the_same(
    phase: Phase, then: Phase, because: str, ending: Phase | None
) -> None:
    before = deployment(phase, updates=2, live=LIVE)
    if phase is Phase.REVERTING:
        before = replace(before, ending=Phase.SUPERSEDED)

    after = blinded(before, "no", NOW)

    assert (after.phase, after.because, after.ending, after.updates) == (then, because, ending, 0)
    assert after.since == NOW
    assert after.live is None
    assert not after.blamed


@pytest.mark.parametrize("verdict", ["verification", "confirmation"])
def test_an_image_that_was_seen_to_fail_is_blamed_although_nothing_can_be_seen_any_more(verdict: str) -> None:
    ill, well = ({verdict: each} for each in (ILL, WELL))
    going = deployment(Phase.CONFIRMING)

    assert blinded(replace(going, **ill), "no", NOW).blamed  # type: ignore[arg-type]  # a Verdict by its name
    assert not blinded(replace(going, **well), "no", NOW).blamed  # type: ignore[arg-type]  # the same
    assert blinded(deployment(Phase.REVERTING, blamed=True), "no", NOW).blamed


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (UpdateCode(CANDIDATE, "x86_64", "1"), "AWS refused to put $LATEST on sha256:cccccccccccc…: no"),
        (Publish(CANDIDATE, "1"), "AWS refused to publish sha256:cccccccccccc…: no"),
        (RunChecks("8"), "AWS refused to invoke version 8: no"),
        (PointLive("8", "1"), "AWS refused to move live to version 8: no"),
        (None, "AWS refused to be looked at: no"),
    ],
)
def test_a_refusal_says_what_was_refused(action: Action | None, words: str) -> None:
    assert refusal(action, "no") == words


@pytest.mark.parametrize(("tries", "minutes"), [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (50, 60)])
def test_a_message_is_tried_again_less_and_less_often(tries: int, minutes: int) -> None:
    notice = Notice(deployment(Phase.STUCK), tries)

    assert try_again_at(notice, NOW) == NOW + timedelta(minutes=minutes)


def test_a_message_is_due_at_once_and_then_when_its_time_has_come() -> None:
    notice = Notice(deployment(Phase.STUCK), 1, NOW)

    assert due(Notice(deployment(Phase.STUCK)), NOW - timedelta(days=1))
    assert due(notice, NOW)
    assert not due(notice, NOW - timedelta(seconds=1))


def test_people_are_owed_their_message_for_ever_and_the_others_for_a_day() -> None:
    notice = Notice(replace(deployment(Phase.STUCK), timeline=(Moment(NOW, Phase.STUCK, "gone"),)), 20)
    day = NOW + timedelta(days=1)

    assert [channel for channel in Channel if gives_up(notice, channel, day)] == [
        Channel.CHAT,
        Channel.EVENT,
    ]
    assert not any(gives_up(notice, channel, day - timedelta(seconds=1)) for channel in Channel)


def test_a_push_that_the_sweep_saw_first_is_covered() -> None:
    push, sweep = waiting("1"), waiting("1", 9, Source.SWEEP)

    assert covered(push, [sweep])
    assert covered(waiting("1", 9), [sweep])
    assert not covered(waiting("1", 10), [sweep])
    assert not covered(waiting("2"), [sweep])
    assert not covered(push, [waiting("1", 9)])
    assert not covered(push, [replace(sweep, phase=Phase.SUPERSEDED)])


def test_a_verdict_is_kept_where_its_phase_looks_for_it() -> None:
    assert record_verdict(deployment(Phase.VERIFYING), WELL).verification == WELL
    assert record_verdict(deployment(Phase.CONFIRMING), ILL).confirmation == ILL
    assert record_verdict(deployment(Phase.REVERTING), WELL).restoration == WELL


def test_a_phase_that_asked_for_no_verdict_takes_none() -> None:
    with pytest.raises(IllegalMove, match=r"^id: a verdict in UPDATING, which asks for none$"):
        record_verdict(deployment(Phase.UPDATING), WELL)


HOLD = Hold("alice", "incident 42", NOW, "hold-1")


def concluded(phase: Phase, book: Book = Book(), **facts: Any) -> Conclusion:  # noqa: B008  frozen
    return conclude(deployment(phase, **facts), book, replace(LIMITS, reverts=0), NOW)


@pytest.mark.parametrize("phase", sorted(ENDED))
def test_what_was_seen_to_fail_is_quarantined(phase: Phase) -> None:
    assert bool(concluded(phase, blamed=True).quarantine) is (phase in (Phase.REVERTED, Phase.STUCK))
    assert not concluded(phase).quarantine


@pytest.mark.parametrize("source", [Source.CONFIGURATION, Source.ROLLBACK])
def test_an_image_that_was_live_is_not_quarantined_for_other_settings_or_for_going_back(
    source: Source,
) -> None:
    assert not concluded(Phase.REVERTED, blamed=True, source=source).quarantine


@pytest.mark.parametrize("phase", sorted(ENDED))
def test_what_is_live_is_pardoned(phase: Phase) -> None:
    assert concluded(phase).pardoned is (phase is Phase.SUCCEEDED)


@pytest.mark.parametrize("phase", sorted(ENDED))
@pytest.mark.parametrize("held", [True, False])
def test_an_end_settles_the_tag_unless_something_is_still_to_come(phase: Phase, held: bool) -> None:
    still_to_come = phase is Phase.SUPERSEDED or (held and phase is Phase.REJECTED)

    book = Book(hold=HOLD if held else None)
    assert (concluded(phase, book).settled == CANDIDATE.digest) is not still_to_come
    assert concluded(phase, book, source=Source.SWEEP).settled == concluded(phase, book).settled
    for other in (Source.RETRY, Source.DEPLOY, Source.ROLLBACK, Source.CONFIGURATION):
        assert concluded(phase, book, source=other).settled is None


@pytest.mark.parametrize("phase", sorted(ENDED))
@pytest.mark.parametrize("held", [True, False])
def test_a_configuration_is_dealt_with_when_it_is_live_or_was_tried_on_its_own(
    phase: Phase, held: bool
) -> None:
    book = Book(hold=HOLD if held else None)
    still_to_come = phase is Phase.SUPERSEDED or (held and phase is Phase.REJECTED)

    pushed = concluded(phase, book, configuration="abc")
    alone = concluded(phase, book, configuration="abc", source=Source.CONFIGURATION)

    assert pushed.configured == ("abc" if phase is Phase.SUCCEEDED else None)
    assert alone.configured == (None if still_to_come else "abc")


@pytest.mark.parametrize(
    ("phase", "facts", "reverts"),
    [
        (Phase.REVERTED, {}, 2),
        (Phase.STUCK, {}, 2),
        (Phase.REVERTED, {"source": Source.CONFIGURATION}, 2),
        (Phase.REVERTED, {"source": Source.ROLLBACK}, 1),
        (Phase.REVERTED, {"aborted": True}, 1),
        (Phase.SUPERSEDED, {}, 1),
        (Phase.REJECTED, {}, 1),
        (Phase.SUCCEEDED, {}, 0),
        (Phase.SUCCEEDED, {"source": Source.ROLLBACK}, 1),
        (Phase.SUCCEEDED, {"previous": None}, 1),  # it was live already
    ],
)
def test_reverts_in_a_row_are_counted(phase: Phase, facts: dict[str, Any], reverts: int) -> None:
    assert concluded(phase, Book(reverts=1), **facts).reverts == reverts


@pytest.mark.parametrize(
    ("book", "limit", "holds"),
    [
        (Book(reverts=1), 2, True),
        (Book(reverts=1), 3, False),
        (Book(reverts=7), 3, True),
        (Book(reverts=0), 1, True),
        (Book(reverts=1), 0, False),
        (Book(reverts=1, hold=Hold("alice", "incident 42", NOW)), 2, False),
    ],
)
def test_so_many_reverts_in_a_row_hold_deployments(book: Book, limit: int, holds: bool) -> None:
    end = conclude(deployment(Phase.REVERTED), book, replace(LIMITS, reverts=limit), NOW)

    assert (end.hold is not None) is holds
    assert (end.deployment.trips is not None) is holds


def test_a_hold_by_reverts_says_why() -> None:
    end = conclude(deployment(Phase.STUCK), Book(reverts=2), replace(LIMITS, reverts=3), NOW)

    because = f"3 deployments in a row did not stay, the last one of {CANDIDATE}"
    assert end.hold == Hold("the circuit breaker", because, NOW, "breaker-id")
    assert end.deployment == replace(deployment(Phase.STUCK), trips="breaker-id")


def test_what_is_no_revert_trips_nothing_however_many_there_were() -> None:
    for phase in (Phase.SUPERSEDED, Phase.REJECTED, Phase.SUCCEEDED):
        ended = deployment(phase, previous=None)
        assert conclude(ended, Book(reverts=9), replace(LIMITS, reverts=3), NOW).hold is None


CHANGED = Configuration((("MemorySize", "1"), ("Timeout", "2")))
UNCHANGED = Configuration((("MemorySize", "0"), ("Timeout", "2")))


def due_settings(book: Book = Book(), live: Version = LIVE, **facts: Any) -> list[str]:  # noqa: B008  frozen
    there = replace(latest(), configuration=CHANGED, **facts)
    return settings_due(book, there, replace(live, configuration=UNCHANGED), frozenset({OTHER.digest}))


def test_settings_that_users_do_not_have_yet_are_due() -> None:
    assert due_settings() == ["MemorySize"]
    assert due_settings(Book(configured=UNCHANGED.fingerprint)) == ["MemorySize"]


def test_settings_wait_for_their_turn() -> None:
    assert due_settings(Book(configured=CHANGED.fingerprint)) == []
    assert due_settings(Book(hold=Hold("alice", "incident 42", NOW))) == []
    assert due_settings(Book(open=(waiting("1"),))) == []
    assert due_settings(image=CANDIDATE) == []
    assert due_settings(status=UpdateStatus.IN_PROGRESS) == []
    assert due_settings(image=OTHER, live=Version("1", OTHER)) == []


# -- what a person asks for ------------------------------------------------------------------------------

BACK_TO = Version("5", CANDIDATE)


def rollback(**facts: Any) -> Deployment:
    facts = {
        "by": "alice",
        "why": "users complain",
        "leaving": "7",
        "version": "5",
    } | facts
    return deployment(Phase.REQUESTED, source=Source.ROLLBACK, **facts)


def test_a_rollback_checks_the_version_that_is_there_already_even_while_the_function_is_busy() -> None:
    busy = latest(OTHER, UpdateStatus.IN_PROGRESS)

    decided = step(rollback(), candidate=BACK_TO, hold=HOLD, latest=busy, artifact=None)

    assert outline(decided) == (Phase.VERIFYING, RunChecks("5"))
    assert decided.because == f"back from version 7 ({PREVIOUS}) to 5"
    assert advance(view(rollback(), candidate=BACK_TO), decided).previous == LIVE


@pytest.mark.parametrize(
    ("facts", "because"),
    [
        ({"live": Version("5", CANDIDATE)}, "users are on version 5 already"),
        (
            {"live": Version("6", OTHER)},
            "it was asked for when users were on version 7, and they are on 6 by now; "
            "look again, and ask again if it is still wanted",
        ),
        ({"way_back": False}, "the image of version 5 is gone from the registry: go back to another version"),
        (
            {"candidate": Version("5", CANDIDATE, VersionState.FAILED, "no disk")},
            "version 5 cannot run (no disk): go back to another version",
        ),
        (
            {"quarantine": Quarantine(CANDIDATE.digest, "id-0", "it fell over")},
            f"{CANDIDATE} is in quarantine since deployment id-0: it fell over. "
            "Push a fixed image, or retry this one if it was not to blame",
        ),
    ],
)
def test_a_rollback_that_leads_nowhere_is_rejected(facts: dict[str, Any], because: str) -> None:
    on_latest = latest(facts["live"].image) if "live" in facts else latest()
    facts = {"candidate": BACK_TO, "hold": HOLD, "latest": on_latest} | facts

    assert step(rollback(), **facts) == Step(Phase.REJECTED, because)


def test_no_hold_is_in_a_rollbacks_way() -> None:
    assert (
        step(rollback(), candidate=BACK_TO, hold=Hold("bob", "another", NOW, "hold-2")).phase
        is Phase.VERIFYING
    )


def test_what_is_in_quarantine_is_there_for_what_it_answered() -> None:
    said = moved_on(Phase.REVERTED, "alice aborted it: wrong branch")

    bad = conclude(replace(said, blamed=True, verification=ILL), Book(), LIMITS, NOW).quarantine
    silent = conclude(replace(said, blamed=True), Book(), LIMITS, NOW).quarantine

    assert bad == Quarantine(CANDIDATE.digest, "id", "GET /health answered 503 after 0.2 s")
    assert silent == Quarantine(CANDIDATE.digest, "id", "alice aborted it: wrong branch")


def moved_on(phase: Phase, failure: str) -> Deployment:
    """Ended, after it was turned round for this."""
    turned = Moment(NOW, Phase.REVERTING, failure)
    return replace(deployment(phase), timeline=(turned, Moment(NOW, phase, "everything is back")))


def test_a_rollback_to_a_named_version_does_not_mind_what_it_leaves() -> None:
    decided = step(rollback(leaving=None), candidate=BACK_TO, hold=HOLD, live=Version("6", OTHER))

    assert decided.phase is Phase.VERIFYING


def test_a_rollback_to_a_version_that_nobody_read_is_a_mistake() -> None:
    with pytest.raises(IllegalMove, match=r"^id: a rollback to a version that was not read$"):
        step(rollback(), candidate=None, hold=HOLD)


def test_what_names_the_hold_passes_it_and_what_names_another_does_not() -> None:
    named = deployment(Phase.REQUESTED, source=Source.DEPLOY, passes="hold-1")

    assert step(named, hold=HOLD).phase is Phase.UPDATING
    assert step(named, hold=replace(HOLD, id="hold-2")).phase is Phase.REJECTED
    assert step(replace(named, passes=None), hold=HOLD) == Step(
        Phase.REJECTED,
        "deployments are held by alice (incident 42); "
        "resume and ask again, or name the hold to pass it: hold-1",
    )


ABORT = Command("abort", Asked("request-1", "alice", "wrong branch"), NOW, deployment="id")


@pytest.mark.parametrize("phase", [Phase.UPDATING, Phase.VERIFYING, Phase.PROMOTING, Phase.CONFIRMING])
def test_an_abort_turns_round_what_is_under_way_and_blames_nobody(phase: Phase) -> None:
    going = view(deployment(phase, verification=WELL, confirmation=WELL), abort=ABORT)

    decided = decide(going, LIMITS)

    assert decided == Step(Phase.REVERTING, "alice aborted it: wrong branch", ending=Phase.REVERTED)
    after = advance(going, decided)
    assert after.aborted
    assert not after.blamed


def test_an_abort_that_comes_too_late_or_too_early_changes_nothing() -> None:
    waits = deployment(Phase.REQUESTED)
    back = deployment(Phase.REVERTING, version="8", ending=Phase.SUPERSEDED)

    for each in (waits, back):
        assert step(each, abort=ABORT) == step(each)
        assert not advance(view(each, abort=ABORT), step(each)).aborted


def test_only_an_abort_aborts() -> None:
    going = view(deployment(Phase.VERIFYING, verification=ILL))

    assert not advance(going, decide(going, LIMITS)).aborted


def test_a_changed_configuration_is_published_under_the_live_image() -> None:
    changed = deployment(Phase.REQUESTED, source=Source.CONFIGURATION)
    here = replace(latest(CANDIDATE), configuration=CHANGED)
    live = Version("7", CANDIDATE, configuration=UNCHANGED)

    assert outline(step(changed, live=live, latest=here)) == (Phase.UPDATING, None)
    assert step(replace(changed, source=Source.PUSH), live=live, latest=here).phase is Phase.SUCCEEDED
    undone = step(changed, live=live, latest=replace(here, configuration=UNCHANGED))
    assert undone.phase is Phase.SUCCEEDED


def test_a_rollback_is_taken_up_before_all_else_and_a_configuration_after_all_else() -> None:
    pushed, changed = waiting("1"), waiting("2", -9, Source.CONFIGURATION)
    wanted, back = waiting("3", 1, Source.DEPLOY), waiting("4", 2, Source.ROLLBACK)
    tagged = pushed.image.digest

    assert triage([pushed, changed, wanted, back], tagged) == (back, [])
    assert triage([pushed, changed, wanted], tagged) == (wanted, [])
    assert triage([pushed, changed], tagged) == (pushed, [changed])
    assert triage([pushed, changed], None) == (changed, [pushed])
    assert triage([changed], changed.image.digest) == (changed, [])
    assert triage([changed], None) == (changed, [])


def test_only_a_rollback_is_in_the_way_of_what_a_person_asked_for() -> None:
    pushed, back = waiting("1"), waiting("4", 2, Source.ROLLBACK)
    changed = waiting("2", 0, Source.CONFIGURATION)
    for source in (Source.RETRY, Source.DEPLOY):
        wanted = deployment(Phase.UPDATING, source=source)
        assert newer(wanted, [pushed], pushed.image.digest) is None
        assert newer(wanted, [pushed, back], pushed.image.digest) == back
    going = deployment(Phase.UPDATING)
    assert newer(going, [back], None) == back
    assert newer(going, [changed, waiting("3", 1, Source.DEPLOY)], None) is None
    assert (
        newer(replace(back, id="other", phase=Phase.VERIFYING), [back, pushed], pushed.image.digest) is None
    )
    assert newer(going, [replace(back, phase=Phase.VERIFYING)], None) is None
    assert newer(back, [back], None) is None


def test_who_makes_way_for_a_rollback_says_whose_it_is() -> None:
    back = replace(waiting("4", 0, Source.ROLLBACK), by="alice", why="users complain", version="5")

    decided = step(deployment(Phase.VERIFYING), newer=back)

    assert decided.because == "alice takes users back to version 5: users complain"
    assert decided.ending is Phase.SUPERSEDED


@pytest.mark.parametrize(
    ("phase", "begun"), [(Phase.UPDATING, True), (Phase.VERIFYING, True), (Phase.REJECTED, False)]
)
def test_a_request_begins_when_it_sets_out_to_touch_the_function(phase: Phase, begun: bool) -> None:
    assert begins(deployment(Phase.REQUESTED), phase) is begun
    assert begins(deployment(Phase.UPDATING), phase) is False


def test_the_way_back_is_previous_only_while_live_is_on_the_candidate() -> None:
    going = deployment(Phase.CONFIRMING)

    assert way_back(going, NEW) == PREVIOUS
    assert way_back(going, Version("5", OTHER)) == OTHER
    assert way_back(deployment(Phase.REQUESTED, version="7"), LIVE) == PREVIOUS
    assert way_back(deployment(Phase.REQUESTED), NEW) == CANDIDATE


HERE, BACK = MarkImage(PREVIOUS.digest, "live"), MarkImage(CANDIDATE.digest, "previous")


@pytest.mark.parametrize(
    ("live", "marks", "due"),
    [
        (LIVE, Marks(), (HERE,)),
        (LIVE, Marks(previous=OTHER.digest), (HERE,)),
        (LIVE, Marks(live=PREVIOUS.digest), ()),
        (LIVE, Marks(live=PREVIOUS.digest, previous=PREVIOUS.digest), ()),
        (LIVE, Marks(live=PREVIOUS.digest, previous=CANDIDATE.digest), ()),
        (LIVE, Marks(live=CANDIDATE.digest), (BACK, HERE)),
        (LIVE, Marks(live=CANDIDATE.digest, previous=OTHER.digest), (BACK, HERE)),
        (LIVE, Marks(live=CANDIDATE.digest, previous=CANDIDATE.digest), (HERE,)),
        (LIVE, Marks(live=CANDIDATE.digest, previous=PREVIOUS.digest), (HERE, BACK)),
    ],
)
def test_no_mark_leaves_what_users_are_on_or_can_go_back_to_before_another_is_there(
    live: Version, marks: Marks, due: tuple[MarkImage, ...]
) -> None:
    assert marks_due(live, marks, placeholders=frozenset({OTHER.digest})) == due


def test_the_placeholder_is_never_marked() -> None:
    assert marks_due(LIVE, Marks(), placeholders=frozenset({PREVIOUS.digest})) == ()
    assert marks_due(LIVE, Marks(live=OTHER.digest), placeholders=frozenset({PREVIOUS.digest})) == ()


@pytest.mark.parametrize(
    ("source", "phase", "ended", "forgotten"),
    [
        (Source.PUSH, Phase.UPDATING, 0, True),
        (Source.PUSH, Phase.REVERTED, 5, True),
        (Source.PUSH, Phase.REVERTED, 0, False),  # ended before the sweep asked: the tag came back
        (Source.PUSH, Phase.SUPERSEDED, 5, False),
        (Source.PUSH, Phase.REQUESTED, 0, False),  # the sweep's is for both, and this one is forgotten
        (Source.SWEEP, Phase.UPDATING, 0, False),
        (Source.RETRY, Phase.UPDATING, 0, False),
    ],
)
def test_a_sweep_does_not_ask_again_for_what_a_push_is_there_for(
    source: Source, phase: Phase, ended: float, forgotten: bool
) -> None:
    asked = waiting("c", source=Source.SWEEP)
    moment = Moment(NOW + timedelta(seconds=ended), phase, "the reason")
    other = replace(waiting("c", -1, source), phase=phase, timeline=(moment,))

    assert doubled(asked, [asked, other]) is forgotten
    assert doubled(asked, [asked, replace(other, image=OTHER)]) is False


def test_a_push_whose_event_comes_after_the_sweep_saw_it_is_a_double_and_a_retry_never() -> None:
    sweep = waiting("c", source=Source.SWEEP)

    assert doubled(waiting("c", -1), [sweep])
    assert not doubled(waiting("c", 1), [sweep])
    assert not doubled(waiting("c", -1, Source.RETRY), [sweep])


def took(
    id_: str, version: str, phase: Phase = Phase.SUCCEEDED, previous: Version | None = LIVE
) -> Deployment:
    return replace(deployment(Phase.VERIFYING), id=id_, version=version, phase=phase, previous=previous)


@pytest.mark.parametrize(
    ("known", "by"),
    [
        ([], None),
        ([took("1", "8")], "1"),
        ([took("2", "8"), took("1", "6")], "2"),
        ([took("1", "8"), took("2", "9")], None),  # somebody went back to 8 by hand
        ([took("1", "8"), took("2", "9", Phase.REVERTED)], "1"),
        ([took("1", "6"), took("2", "8", Phase.STUCK)], "2"),
        ([took("1", "6"), took("2", "8", Phase.CONFIRMING)], "2"),
        ([took("1", "6"), took("2", "8", Phase.REVERTED)], None),
        ([took("1", "8", Phase.SUPERSEDED)], None),
        ([took("1", "8", previous=None)], None),  # it was live already
        ([took("1", "8"), took("2", "8", previous=NEW)], "1"),  # deployed again, and nothing moved
        ([took("2", "8"), took("1", "8")], "2"),
    ],
)
def test_who_put_users_on_what_they_are_on(known: list[Deployment], by: str | None) -> None:
    found = brought(NEW, known)

    assert (found.id if found else None) == by


# -- what an earlier deployment left ---------------------------------------------------------------------


def test_who_is_turned_away_tells_of_a_latest_that_the_one_before_left_elsewhere() -> None:
    left = (
        "$LATEST is on sha256:000000000000…, users are on sha256:aaaaaaaaaaaa…; "
        "the next release overwrites it"
    )
    elsewhere = latest(OTHER)
    waited = replace_since(deployment(Phase.REQUESTED), LIMITS.free + 1)

    for facts in (
        {"hold": Hold("alice", "incident", NOW)},
        {"artifact": None},
        {"latest": latest(OTHER, UpdateStatus.IN_PROGRESS)},
    ):
        decided = step(waited, **{"latest": elsewhere, **facts})
        assert (decided.phase, decided.warning) == (Phase.REJECTED, left)
    assert step(waited, artifact=None).warning is None
