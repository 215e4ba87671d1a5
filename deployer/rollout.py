"""The decision: what does a deployment do next? Everything that affects phases and moves is here.

How to read it. A deployment is always in one *phase*. Each turn of the controller's loop observes the
world (`View`), asks `decide` for one `Step`, writes the step's phase down, performs its action, and looks
again. `decide` is pure: the same view gives the same step, so a crash between any two calls needs no
recovery code. The next turn, in this process or another, sees what is really there and goes on.

Two rules make that safe:

* **The phase is written before the action.** A phase says what we *intend*; what is *done* is only ever
  read off the function itself. A crash after the write repeats the action, which is harmless (updating to
  a digest that is there already is skipped, publishing an unchanged version returns the same one, moving
  the alias is guarded by its RevisionId). A crash before the write repeats the decision.
* **`live` moves to a version only out of a healthy verdict on that very version** (PROMOTING can only be
  entered from VERIFYING), **or back to `previous`**.

`MOVES` is the table of all moves; the diagram in ARCHITECTURE.md is drawn from it. A move that is not in
it raises `IllegalMove`, which names the deployment, where it is and where it was told to go.

WATCHING (bake time with alarms) will stand between CONFIRMING and SUCCEEDED.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from deployer.model import (
    Artifact,
    ArtifactKind,
    Book,
    Deployment,
    Image,
    Latest,
    Limits,
    Moment,
    Phase,
    Source,
    UpdateStatus,
    Verdict,
    Version,
    VersionState,
    View,
    short,
)

# -- the table ---------------------------------------------------------------------------------------

MOVES: dict[Phase, dict[Phase, str]] = {
    Phase.REQUESTED: {
        Phase.UPDATING: "preflight passed",
        Phase.SUCCEEDED: "already live",
        Phase.REJECTED: "preflight failed; function never touched",
        Phase.SUPERSEDED: "newer push",
    },
    Phase.UPDATING: {
        Phase.VERIFYING: "version ready",
        Phase.REVERTING: "failed, too long, or newer push",
    },
    Phase.VERIFYING: {
        Phase.PROMOTING: "healthy",
        Phase.REVERTING: "unhealthy, or newer push",
    },
    Phase.PROMOTING: {
        Phase.CONFIRMING: "live moved",
        Phase.REVERTING: "live cannot be moved",
    },
    Phase.CONFIRMING: {
        Phase.SUCCEEDED: "healthy",
        Phase.REVERTING: "unhealthy",
    },
    Phase.REVERTING: {
        Phase.REVERTED: "restored and healthy",
        Phase.SUPERSEDED: "restored for a newer push",
        Phase.STUCK: "cannot restore",
    },
    Phase.SUCCEEDED: {},
    Phase.REJECTED: {},
    Phase.SUPERSEDED: {},
    Phase.REVERTED: {},
    Phase.STUCK: {},
}

# https://docs.aws.amazon.com/lambda/latest/dg/images-create.html: 10 GB uncompressed, all layers.
MAXIMUM_IMAGE_BYTES = 10 * 1024**3

ENDED = frozenset(phase for phase, moves in MOVES.items() if not moves)

# -- actions: data, performed by the controller ---------------------------------------------------------


@dataclass(frozen=True)
class UpdateCode:
    """Put `$LATEST` on an image. The one write to code."""

    image: Image
    architecture: str
    revision: str


@dataclass(frozen=True)
class Publish:
    """Make a version of `$LATEST`, if it still holds this image."""

    image: Image
    revision: str


@dataclass(frozen=True)
class RunChecks:
    """Run the checks against a version by its number, or against `live`."""

    qualifier: str


@dataclass(frozen=True)
class PointLive:
    """Move the alias `live`, if nobody touched it since `revision` was read."""

    version: str
    revision: str


@dataclass(frozen=True)
class Wait:
    """Look again in a while."""

    seconds: float


Action = UpdateCode | Publish | RunChecks | PointLive | Wait


@dataclass(frozen=True)
class Step:
    """What to do next: be in `phase` (the same or a new one) for this reason, then do `action`."""

    phase: Phase
    because: str
    action: Action | None = None
    ending: Phase | None = None  # entering REVERTING: what it will end as
    warning: str | None = None  # something on-call should know although the deployment goes on


class IllegalMove(RuntimeError):
    """A step that `MOVES` does not know: a mistake in this file, never in the world."""


# -- taking up requests ---------------------------------------------------------------------------------


def triage(requests: Iterable[Deployment], tagged: str | None) -> tuple[Deployment | None, list[Deployment]]:
    """Of the requests that wait, which is taken up next, and which end here, superseded?

    Events come late, twice and out of order, so the release tag itself decides: a request for the digest
    that the tag points at now is taken up, whatever the time on it, and a push that the tag has left is
    superseded even when nothing else waits. (The event for what the tag points at now is on its way, and if
    it is lost, the sweep finds it.) What a person asked for by digest has nothing to do with the tag: it is
    taken up first and supersedes nobody.
    """
    waiting = sorted(
        (request for request in requests if request.phase is Phase.REQUESTED),
        key=lambda request: (request.requested_at, request.id),
    )
    asked = [request for request in waiting if request.source is Source.RETRY]
    if asked:
        return asked[0], []
    wanted = [request for request in waiting if request.image.digest == tagged]
    newest = wanted[-1] if wanted else None
    return newest, [request for request in waiting if request is not newest]


def newer(deployment: Deployment, requests: Iterable[Deployment], tagged: str | None) -> Deployment | None:
    """The waiting push, if there is one, that makes going on with `deployment` pointless.

    What a person asked for is carried through; the push waits for it to end.
    """
    if deployment.source is Source.RETRY:
        return None
    pushed = (r for r in requests if r.source is not Source.RETRY and r.id != deployment.id)
    chosen, _ = triage(pushed, tagged)
    return chosen if chosen and chosen.image != deployment.image else None


def supersede(by: Deployment | None, tagged: str | None) -> Step:
    """The end of a request that was not taken up."""
    if by:
        return Step(Phase.SUPERSEDED, _superseded_by(by))
    return Step(Phase.SUPERSEDED, f"the release tag points at {short(tagged) if tagged else 'nothing'} now")


def underway(book: Book) -> Deployment | None:
    """The deployment that has begun to touch the function and has not ended, if there is one."""
    return next((d for d in book.open if d.phase is not Phase.REQUESTED), None)


def sweep_finds(book: Book, tagged: str | None) -> bool:
    """Does the release tag point at something that nobody has told us about?"""
    return tagged is not None and tagged != book.settled and book.hold is None and not book.open


# -- the decision ---------------------------------------------------------------------------------------


def decide(view: View, limits: Limits) -> Step:
    """The next step of `view.deployment`. Raises `IllegalMove` if it has ended already."""
    try:
        phase = _PHASES[view.deployment.phase]
    except KeyError:
        raise IllegalMove(
            f"{view.deployment.id}: asked for the next step, but it ended {view.deployment.phase}"
        ) from None
    return phase(view, limits)


def _requested(view: View, limits: Limits) -> Step:
    """Preflight: everything that can be known to be wrong is found before the function is touched."""
    candidate, latest = view.deployment.image, view.latest
    if view.newer:
        return Step(Phase.SUPERSEDED, _superseded_by(view.newer))
    if view.hold:
        return Step(
            Phase.REJECTED,
            f"deployments are held by {view.hold.by} ({view.hold.because}); "
            "what the release tag points at is taken up when the hold is lifted",
        )
    if view.quarantine and view.deployment.source is not Source.RETRY:
        return Step(
            Phase.REJECTED,
            f"{candidate} is in quarantine since deployment {view.quarantine.deployment}: "
            f"{view.quarantine.because}",
        )
    problem = _unfit(view.artifact, latest.architecture)
    if problem:
        return Step(Phase.REJECTED, f"{candidate} cannot run here: {problem}")
    if latest.status is UpdateStatus.IN_PROGRESS:
        if _seconds_in_phase(view) > limits.free:
            return Step(
                Phase.REJECTED,
                f"somebody else's update of the function was still in progress after {limits.free:.0f} s; "
                "push again, or retry, when it is done",
            )
        return _stay(view, "the function is busy with an update that is not ours")
    if candidate == view.live.image and latest.image == candidate:
        return Step(Phase.SUCCEEDED, f"{candidate} is live already, as version {view.live.number}")
    warning = None
    if view.live.image.digest == view.placeholder:
        warning = "no release was live before: if this one fails there is nothing to go back to"
    elif not view.way_back:
        warning = (
            f"the image that is live ({view.live.image}) is gone from the registry: "
            "there is no way back from here"
        )
    return Step(
        Phase.UPDATING,
        f"preflight passed; users are on version {view.live.number} ({view.live.image})",
        _put_latest_on(candidate, latest),
        warning=warning,
    )


def _updating(view: View, limits: Limits) -> Step:
    """Bring `$LATEST` to the candidate, publish it, wait until the version is ready."""
    candidate, latest, version = view.deployment.image, view.latest, view.candidate
    if view.refused:
        return _revert(f"AWS refused {candidate}: {view.refused}")
    if view.newer:
        return _make_way(view.newer)
    if _seconds_in_phase(view) > limits.update:
        return _revert(f"{candidate} was not ready after {limits.update:.0f} s")
    if version:
        if version.state is VersionState.FAILED:
            return _revert(f"version {version.number} did not become active: {version.reason}")
        if version.state is VersionState.PENDING:
            return _stay(view, f"version {version.number} is being made ready")
        return Step(Phase.VERIFYING, f"version {version.number} is ready", RunChecks(version.number))
    if latest.status is UpdateStatus.IN_PROGRESS:
        return _stay(view, "the update is in progress")
    if latest.status is UpdateStatus.FAILED and view.deployment.updates >= limits.tries:
        return _revert(f"the update to {candidate} failed: {latest.reason}")
    update = _put_latest_on(candidate, latest)
    if update:
        return Step(Phase.UPDATING, f"$LATEST is on {latest.image} ({latest.status})", update)
    return Step(Phase.UPDATING, "$LATEST is on the candidate", Publish(candidate, latest.revision))


def _verifying(view: View, limits: Limits) -> Step:
    """Users are on `previous`; only we talk to the candidate."""
    verdict, version = view.deployment.verification, view.deployment.version
    previous = view.deployment.previous
    if version is None or previous is None:
        raise IllegalMove(f"{view.deployment.id}: VERIFYING without a version or a previous one")
    if view.newer:
        return _make_way(view.newer)
    if view.refused:
        return _revert(f"version {version} could not be checked: {view.refused}")
    if verdict is None:
        if _seconds_in_phase(view) > limits.checks:
            return _revert(f"the checks of version {version} did not end within {limits.checks:.0f} s")
        return Step(Phase.VERIFYING, f"version {version} has no verdict yet", RunChecks(version))
    if not verdict.healthy:
        return _revert(str(verdict))
    if view.live.number != previous.number:
        return _somebody_moved_live(previous.number, view.live)
    return Step(Phase.PROMOTING, str(verdict), _move_live(view, version))


def _promoting(view: View, limits: Limits) -> Step:
    """The candidate passed. Move `live` to it, unless somebody else has moved it meanwhile."""
    version, previous = view.deployment.version, view.deployment.previous
    if version is None or previous is None:
        raise IllegalMove(f"{view.deployment.id}: PROMOTING without a version or a previous one")
    if view.live.number == version:
        return Step(Phase.CONFIRMING, f"live points at version {version}", RunChecks("live"))
    if view.refused:
        return _revert(f"AWS refused to move live to version {version}: {view.refused}")
    if view.live.number != previous.number:
        return _somebody_moved_live(previous.number, view.live)
    if _seconds_in_phase(view) > limits.checks:
        return _revert(f"live could not be moved to version {version} within {limits.checks:.0f} s")
    return Step(Phase.PROMOTING, f"live is still on version {previous.number}", _move_live(view, version))


def _confirming(view: View, limits: Limits) -> Step:
    """Users are on the candidate. See it answer through the alias, as they do."""
    verdict, version = view.deployment.confirmation, view.deployment.version
    if view.live.number != version:
        return _somebody_moved_live(str(version), view.live)
    if view.refused:
        return _revert(f"live could not be checked: {view.refused}")
    if verdict is None:
        if _seconds_in_phase(view) > limits.checks:
            return _revert(f"the checks through live did not end within {limits.checks:.0f} s")
        return Step(Phase.CONFIRMING, "live has no verdict yet", RunChecks("live"))
    if not verdict.healthy:
        return _revert(f"through live: {verdict}")
    return Step(Phase.SUCCEEDED, f"live is version {version}: {verdict}")


def _reverting(view: View, limits: Limits) -> Step:
    """Users back on `previous` first, then `$LATEST`, then see that it is well. One try; no flapping."""
    deployment, live, previous = view.deployment, view.live, view.deployment.previous
    if previous is None or deployment.ending is None:
        raise IllegalMove(f"{deployment.id}: REVERTING without knowing where to or what for")
    if view.refused:
        return _stuck(view, f"AWS refused the revert: {view.refused}")
    late = _seconds_in_phase(view) > limits.revert
    if live.number == deployment.version != previous.number:
        # Pointing live at a version that cannot answer would turn a failing service into a dead one.
        if previous.image.digest == view.placeholder:
            return _stuck(view, "no release was live before this one, so there is nothing to go back to")
        if not view.way_back:
            return _stuck(
                view, f"version {previous.number} is no way back: its image is gone from the registry"
            )
        if not late:
            return Step(
                Phase.REVERTING,
                f"live is on the failing version {live.number}",
                _move_live(view, previous.number),
            )
    if late:
        return _stuck(view, f"the revert did not end within {limits.revert:.0f} s")
    return _putting_latest_back(view, limits)


def _putting_latest_back(view: View, limits: Limits) -> Step:
    """Users are where they should be; now `$LATEST`, so that the next update starts from what is live."""
    deployment, latest, live = view.deployment, view.latest, view.live
    if latest.status is UpdateStatus.IN_PROGRESS:
        return _stay(view, "an update of $LATEST is in progress")
    if latest.status is UpdateStatus.FAILED and deployment.updates >= limits.tries:
        return _stuck(view, f"putting $LATEST back on {live.image} failed: {latest.reason}")
    update = _put_latest_on(live.image, latest)
    if update and not view.way_back:
        return _stuck(view, f"$LATEST cannot go back to {live.image}: the image is gone from the registry")
    if update:
        return Step(Phase.REVERTING, f"$LATEST is on {latest.image} ({latest.status})", update)
    return _restored(view)


def _restored(view: View) -> Step:
    """`live` and `$LATEST` are back. Is what users are on well?"""
    deployment, live = view.deployment, view.live
    if deployment.ending is Phase.SUPERSEDED:
        return Step(Phase.SUPERSEDED, f"users stayed on version {live.number} ({live.image})")
    if live.image.digest == view.placeholder:
        # The placeholder passes no check, and never did: nobody has lost anything.
        return Step(Phase.REVERTED, "no release was live before this one, so there is nothing to go back to")
    verdict = deployment.restoration
    if verdict is None:
        return Step(Phase.REVERTING, f"live is on version {live.number} ({live.image})", RunChecks("live"))
    if not verdict.healthy:
        # Halt: both images fail, so the cause is elsewhere; another revert would only alternate them.
        return _stuck(
            view, f"what users are on fails as well, so the new image is not the only cause: {verdict}"
        )
    return Step(Phase.REVERTED, f"users are on version {live.number} ({live.image}): {verdict}")


_PHASES: dict[Phase, Callable[[View, Limits], Step]] = {
    Phase.REQUESTED: _requested,
    Phase.UPDATING: _updating,
    Phase.VERIFYING: _verifying,
    Phase.PROMOTING: _promoting,
    Phase.CONFIRMING: _confirming,
    Phase.REVERTING: _reverting,
}

# -- what a step does to the record -----------------------------------------------------------------------


def advance(view: View, step: Step) -> Deployment:
    """The deployment after `step`: what is written down before the step's action is performed."""
    deployment = view.deployment
    updates = 1 if isinstance(step.action, UpdateCode) else 0
    if step.phase is deployment.phase:
        return replace(deployment, updates=deployment.updates + updates)
    return move(
        replace(
            deployment,
            previous=view.live if step.phase is Phase.UPDATING else deployment.previous,
            version=view.candidate.number if view.candidate else deployment.version,
            revision=(view.artifact.revision if view.artifact else None) or deployment.revision,
            warnings=(*deployment.warnings, step.warning) if step.warning else deployment.warnings,
            ending=step.ending or deployment.ending,
            updates=updates,
        ),
        step,
        view.now,
    )


def move(deployment: Deployment, step: Step, at: datetime) -> Deployment:
    """Change the phase, or raise `IllegalMove`."""
    if step.phase not in MOVES[deployment.phase]:
        raise IllegalMove(f"{deployment.id}: {deployment.phase} -> {step.phase} ({step.because})")
    return replace(
        deployment,
        phase=step.phase,
        timeline=(*deployment.timeline, Moment(at, step.phase, step.because)),
    )


def record_verdict(deployment: Deployment, verdict: Verdict) -> Deployment:
    """Keep a verdict where the phase that asked for it will look."""
    match deployment.phase:
        case Phase.VERIFYING:
            return replace(deployment, verification=verdict)
        case Phase.CONFIRMING:
            return replace(deployment, confirmation=verdict)
        case Phase.REVERTING:
            return replace(deployment, restoration=verdict)
        case other:
            raise IllegalMove(f"{deployment.id}: a verdict in {other}, which asks for none")


def quarantines(deployment: Deployment) -> bool:
    """Is the digest of this ended deployment to be remembered as bad?"""
    return deployment.phase in (Phase.REVERTED, Phase.STUCK)


def settles(deployment: Deployment, held: bool) -> bool:
    """Is the release tag's digest dealt with, so that the sweep need not look at it again?

    Not if something newer came, nor if it was only turned away because deployments are held.
    """
    if deployment.source is Source.RETRY or deployment.phase is Phase.SUPERSEDED:
        return False
    return not (held and deployment.phase is Phase.REJECTED)


def way_back(deployment: Deployment, live: Version) -> Image:
    """The image a revert would need: `previous` if `live` is on the candidate, else what `live` is on."""
    if deployment.previous and live.number == deployment.version:
        return deployment.previous.image
    return live.image


# -- words and small decisions that several phases share --------------------------------------------------


def _revert(because: str) -> Step:
    return Step(Phase.REVERTING, because, ending=Phase.REVERTED)


def _somebody_moved_live(expected: str, live: Version) -> Step:
    return _revert(
        f"somebody moved live from version {expected} to {live.number} during the deployment; "
        "it stays where they put it"
    )


def _superseded_by(newer: Deployment) -> str:
    return f"a newer release was pushed: {newer.image}"


def _make_way(newer: Deployment) -> Step:
    return Step(Phase.REVERTING, _superseded_by(newer), ending=Phase.SUPERSEDED)


def _put_latest_on(image: Image, latest: Latest) -> UpdateCode | None:
    if latest.image == image and latest.status is not UpdateStatus.FAILED:
        return None
    return UpdateCode(image, latest.architecture, latest.revision)


def _move_live(view: View, version: str) -> PointLive:
    if view.live_revision is None:
        raise IllegalMove(f"{view.deployment.id}: live is to move, but its revision was not read")
    return PointLive(version, view.live_revision)


def _seconds_in_phase(view: View) -> float:
    return (view.now - view.deployment.since).total_seconds()


def _stay(view: View, because: str) -> Step:
    """Poll often at first, for the update that takes a second, and seldom later, for the one that takes ten
    minutes: a tenth of the time waited so far, between 0.2 and 5 seconds."""
    return Step(view.deployment.phase, because, Wait(min(5.0, max(0.2, _seconds_in_phase(view) / 10))))


def _stuck(view: View, because: str) -> Step:
    now = f"live is on version {view.live.number} ({view.live.image}), $LATEST on {view.latest.image}"
    return Step(Phase.STUCK, f"{because}. Now: {now}")


_BUILD = "docker buildx build --provenance=false --sbom=false --platform linux/{platform} ."
_PLATFORM = {"x86_64": "amd64", "arm64": "arm64"}


def _unfit(artifact: Artifact | None, architecture: str) -> str | None:
    """Why Lambda could not run it, with the command that fixes the build; None if nothing speaks against."""
    build = _BUILD.format(platform=_PLATFORM.get(architecture, architecture))
    if artifact is None:
        return "it is no longer in the registry. Push it again"
    if artifact.kind is ArtifactKind.INDEX:
        return (
            "it is an image index, which Lambda refuses (buildx makes one when it attaches a provenance "
            f"attestation, or builds for several platforms). Build one plain image: {build}"
        )
    if artifact.problem:
        return f"{artifact.problem}. Build it again: {build}"
    if artifact.kind is ArtifactKind.OTHER:
        return f"its media type {artifact.media_type} is not a container image. Build one: {build}"
    if artifact.architecture not in (None, architecture):
        return (
            f"it is built for {artifact.architecture}, the function runs on {architecture}. "
            f"Build it again: {build}"
        )
    if artifact.size > MAXIMUM_IMAGE_BYTES:
        return (
            f"its layers are {artifact.size / 1024**3:.1f} GiB compressed, "
            "and Lambda takes 10 GiB uncompressed. Make it smaller"
        )
    return None
