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
  entered from VERIFYING), **or back to `previous`**. A rollback is no exception: the version it goes to is
  there already, so it begins with VERIFYING.

`MOVES` is the table of all moves; the diagram in ARCHITECTURE.md is drawn from it. A move that is not in
it raises `IllegalMove`, which names the deployment, where it is and where it was told to go.

WATCHING (bake time with alarms) will stand between CONFIRMING and SUCCEEDED.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from deployer.model import (
    Artifact,
    ArtifactKind,
    Book,
    Channel,
    Conclusion,
    Deployment,
    Hold,
    Image,
    Latest,
    Limits,
    Marks,
    Moment,
    Notice,
    Phase,
    Quarantine,
    Source,
    UpdateStatus,
    Verdict,
    Version,
    VersionState,
    View,
    short,
)
from deployer.text import who

# -- the table ---------------------------------------------------------------------------------------

MOVES: dict[Phase, dict[Phase, str]] = {
    Phase.REQUESTED: {
        Phase.UPDATING: "preflight passed",
        Phase.VERIFYING: "rollback",
        Phase.SUCCEEDED: "already live",
        Phase.REJECTED: "preflight failed; function never touched",
        Phase.SUPERSEDED: "newer push",
    },
    Phase.UPDATING: {
        Phase.VERIFYING: "version ready",
        Phase.REVERTING: "failed, too long, aborted, or newer push",
    },
    Phase.VERIFYING: {
        Phase.PROMOTING: "healthy",
        Phase.REVERTING: "unhealthy, no verdict, aborted, or newer push",
    },
    Phase.PROMOTING: {
        Phase.CONFIRMING: "live moved",
        Phase.REVERTING: "live cannot be, or was moved; aborted",
    },
    Phase.CONFIRMING: {
        Phase.SUCCEEDED: "healthy",
        Phase.REVERTING: "unhealthy, no verdict, or aborted",
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

# Tags that the repository's lifecycle policy never expires, and that no push rule listens to.
LIVE_TAG, PREVIOUS_TAG = "live", "previous"

ENDED = frozenset(phase for phase, moves in MOVES.items() if not moves)

# What a person asked for. It has nothing to do with where the release tag is.
GIVE_UP_AFTER = timedelta(days=1)  # chat and event bus: whoever listens there has moved on
ASKED = frozenset({Source.RETRY, Source.DEPLOY, Source.ROLLBACK})

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
    """Run the checks against a version, by its number or through `live`. Another version's answer is none."""

    version: str
    through_live: bool = False


@dataclass(frozen=True)
class PointLive:
    """Move the alias `live`, if nobody touched it since `revision` was read."""

    version: str
    revision: str


@dataclass(frozen=True)
class MarkImage:
    """Put one of the registry's protecting tags on an image. The one action between deployments."""

    digest: str
    tag: str


@dataclass(frozen=True)
class Wait:
    """Look again in a while."""

    seconds: float


Action = UpdateCode | Publish | RunChecks | PointLive | Wait


def refusal(action: Action | None, words: str) -> str:
    """What people are told when AWS refuses an action for good, with AWS's own words."""
    match action:
        case UpdateCode(image):
            what = f"to put $LATEST on {image}"
        case Publish(image):
            what = f"to publish {image}"
        case RunChecks(version):
            what = f"to invoke version {version}"
        case PointLive(version):
            what = f"to move live to version {version}"
        case _:
            what = "to be looked at"
    return f"AWS refused {what}: {words}"


@dataclass(frozen=True)
class Step:
    """What to do next: be in `phase` (the same or a new one) for this reason, then do `action`."""

    phase: Phase
    because: str
    action: Action | None = None
    ending: Phase | None = None  # entering REVERTING: what it will end as
    blames: bool = False  # entering REVERTING: the image itself was seen to fail
    warning: str | None = None  # something on-call should know although the deployment goes on
    no_way_back: bool = False  # `previous` was seen to be unable to serve


class IllegalMove(RuntimeError):
    """A step that `MOVES` does not know: a mistake in this file, never in the world."""


# -- taking up requests ---------------------------------------------------------------------------------


def triage(requests: Iterable[Deployment], tagged: str | None) -> tuple[Deployment | None, list[Deployment]]:
    """Of the requests that wait, which is taken up next, and which end here, superseded?

    Events come late, twice and out of order, so the release tag itself decides: a request for the digest
    that the tag points at now is taken up, whatever the time on it, and a push that the tag has left is
    superseded even when nothing else waits. (The event for what the tag points at now is on its way, and if
    it is lost, the sweep finds it.) What a person asked for has nothing to do with the tag: it is taken up
    first, a rollback before all, and supersedes nobody. A changed configuration goes live with the next
    push, and on its own if there is none.
    """
    waiting = sorted(
        (request for request in requests if request.phase is Phase.REQUESTED),
        key=lambda request: (request.requested_at, request.id),
    )
    asked = [request for request in waiting if request.source in ASKED]
    if asked:
        return min(asked, key=lambda request: request.source is not Source.ROLLBACK), []
    changed = [request for request in waiting if request.source is Source.CONFIGURATION]
    wanted = [request for request in waiting if request not in changed and request.image.digest == tagged]
    newest = next(reversed(wanted or changed), None)
    return newest, [request for request in waiting if request is not newest]


def newer(deployment: Deployment, requests: Iterable[Deployment], tagged: str | None) -> Deployment | None:
    """The waiting request, if there is one, that makes going on with `deployment` pointless.

    What a person asked for is carried through; a push waits for it to end. Only a rollback does not wait.
    """
    others = [request for request in requests if request.id != deployment.id]
    if deployment.source is not Source.ROLLBACK:
        for request in others:
            if request.source is Source.ROLLBACK and request.phase is Phase.REQUESTED:
                return request
    if deployment.source in ASKED:
        return None
    pushed = [request for request in others if request.source in (Source.PUSH, Source.SWEEP)]
    chosen, _ = triage(pushed, tagged)
    return chosen if chosen and chosen.image != deployment.image else None


def covered(push: Deployment, known: Iterable[Deployment]) -> bool:
    """Has the sweep seen to this push already? Then its event is late, and tells nothing new."""
    return any(
        other.source is Source.SWEEP
        and other.phase is not Phase.SUPERSEDED
        and other.image == push.image
        and other.requested_at >= push.requested_at
        for other in known
    )


def doubled(request: Deployment, known: Iterable[Deployment]) -> bool:
    """Is this waiting request about a push that another deployment is for already?

    The sweep and the push's own event may both note it, in the moment in which neither has seen the other's
    request. Then one of the two is for both: the sweep's, unless the event's has begun.
    """
    if request.source is Source.PUSH:
        return covered(request, known)
    return request.source is Source.SWEEP and any(
        other.source is Source.PUSH
        and other.image == request.image
        and other.phase not in (Phase.REQUESTED, Phase.SUPERSEDED)
        and (other.phase not in ENDED or other.since > request.requested_at)
        for other in known
    )


def due(notice: Notice, now: datetime) -> bool:
    """Is it time to try to deliver this?"""
    return notice.again_at is None or now >= notice.again_at


def try_again_at(notice: Notice, now: datetime) -> datetime:
    """When to try again what could not be delivered now: each time twice as long, up to an hour."""
    return now + timedelta(minutes=min(60, 2**notice.tries))


def gives_up(notice: Notice, channel: Channel, now: datetime) -> bool:
    """Is a channel that has just failed again not worth another try? Each notice that waits makes every look
    at the ledger longer, so only people are owed theirs for ever."""
    return channel is not Channel.MAIL and now - notice.deployment.since >= GIVE_UP_AFTER


def supersede(request: Deployment, by: Deployment | None, tagged: str | None) -> Step:
    """The end of a request that was not taken up."""
    if by and by.image == request.image:
        return Step(Phase.SUPERSEDED, f"the same image was pushed again: deployment {by.id} is for both")
    if by:
        return Step(Phase.SUPERSEDED, _superseded_by(by))
    return Step(Phase.SUPERSEDED, f"the release tag points at {short(tagged) if tagged else 'nothing'} now")


def underway(book: Book) -> Deployment | None:
    """The deployment that has begun to touch the function and has not ended, if there is one."""
    return next((d for d in book.open if d.phase is not Phase.REQUESTED), None)


def sweep_finds(book: Book, tagged: str | None) -> bool:
    """Does the release tag point at something that nobody has told us about?"""
    return tagged is not None and tagged != book.settled and book.hold is None and not book.open


def settings_due(book: Book, latest: Latest, live: Version, placeholders: frozenset[str]) -> list[str]:
    """The settings of `$LATEST` that users do not have yet, if it is time to bring them.

    A configuration that was tried once is left alone, however it ended, until it changes again.
    """
    if book.open or book.hold or live.image.digest in placeholders:
        return []
    if latest.image != live.image or latest.status is not UpdateStatus.SUCCESSFUL:
        return []
    if latest.configuration.fingerprint == book.configured:
        return []
    return latest.configuration.differences(live.configuration)


def brought(live: Version, known: Iterable[Deployment]) -> Deployment | None:
    """The deployment that put users on what they are on. None if it is not among the known ones, or if
    somebody has moved `live` by hand since."""
    took = [
        deployment
        for deployment in known
        if deployment.previous is not None
        and deployment.previous.number != deployment.version
        and (deployment.phase is Phase.SUCCEEDED or _is_on(deployment, live))
    ]
    # Two may have been asked for in the same second; they do not end in the same moment.
    newest = max(took, key=lambda deployment: (deployment.since, deployment.id), default=None)
    return newest if newest and _is_on(newest, live) else None


def _is_on(deployment: Deployment, live: Version) -> bool:
    """Did it take users to `live`, and not take them back?"""
    backwards = (Phase.REVERTED, Phase.SUPERSEDED)
    return deployment.version == live.number and deployment.phase not in backwards


def marks_due(live: Version, marks: Marks, placeholders: frozenset[str]) -> tuple[MarkImage, ...]:
    """Which images need a protecting tag now, in this order? Asked when no deployment is under way, and also
    under a hold: what a person went back to by hand must not expire either.

    The tag `previous` goes to what `live` marked so far *before* `live` moves on, so that at every moment, a
    crash between the two included, both the way here and the way back are protected. When a person went back
    to what has the tag `previous`, `live` moves first, for the same reason.
    """
    digest = live.image.digest
    if digest == marks.live or digest in placeholders:
        return ()
    here = MarkImage(digest, LIVE_TAG)
    if marks.live is None or marks.previous == marks.live:
        return (here,)
    back = MarkImage(marks.live, PREVIOUS_TAG)
    return (here, back) if marks.previous == digest else (back, here)


# -- the decision ---------------------------------------------------------------------------------------


def decide(view: View, limits: Limits) -> Step:
    """The next step of `view.deployment`. Raises `IllegalMove` if it has ended already."""
    try:
        phase = _PHASES[view.deployment.phase]
    except KeyError:
        raise IllegalMove(
            f"{view.deployment.id}: asked for the next step, but it ended {view.deployment.phase}"
        ) from None
    if view.abort and view.deployment.phase in _CAN_BE_ABORTED:
        asked = view.abort.asked
        return _revert(f"{who(asked.by)} aborted it: {asked.because}")
    return phase(view, limits)


def _requested(view: View, limits: Limits) -> Step:
    """Preflight: everything that can be known to be wrong is found before the function is touched."""
    candidate, latest = view.deployment.image, view.latest
    if view.newer:
        return Step(Phase.SUPERSEDED, _superseded_by(view.newer))
    turned_away = _turned_away(view)
    if turned_away:
        return _reject(view, turned_away)
    if view.deployment.source is Source.ROLLBACK:
        return _going_back(view)
    problem = unfit(view.artifact, latest.architecture)
    if problem:
        return _reject(view, f"{candidate} cannot run here: {problem}")
    if latest.status is UpdateStatus.IN_PROGRESS:
        # The first look begins the wait; before it, the request may have been on its way for long.
        if view.deployment.timeline and _seconds_in_phase(view) > limits.free:
            return _reject(
                view,
                f"somebody else's update of the function was still in progress after {limits.free:.0f} s; "
                "push again, or retry, when it is done",
            )
        return _stay(view, "the function is busy with an update that is not ours")
    if _is_live_and_well(view):
        return Step(Phase.SUCCEEDED, f"{candidate} is live already, as version {view.live.number}")
    warning = None
    if view.live.image.digest in view.placeholders:
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


def _reject(view: View, because: str) -> Step:
    """The function stays as it is. If an earlier deployment left `$LATEST` elsewhere, counting on this one to
    overwrite it, somebody has to be told."""
    latest, live = view.latest.image, view.live.image
    warning = (
        f"$LATEST is on {latest}, users are on {live}; the next release overwrites it"
        if latest != live
        else None
    )
    return Step(Phase.REJECTED, because, warning=warning)


def _turned_away(view: View) -> str | None:
    """Why a person has to speak first, if so."""
    source, hold = view.deployment.source, view.hold
    if hold and not passes(view.deployment, hold):
        then = "what the release tag points at then is taken up on resume"
        if source in ASKED:
            then = f"resume and ask again, or name the hold to pass it: {hold.id}"
        return f"deployments are held by {who(hold.by)} ({hold.because}); {then}"
    if view.quarantine and source is not Source.RETRY:
        return (
            f"{view.deployment.image} is in quarantine since deployment {view.quarantine.deployment}: "
            f"{view.quarantine.because}. Push a fixed image, or retry this one if it was not to blame"
        )
    return None


def _going_back(view: View) -> Step:
    """Preflight of a rollback. The version is there already: `$LATEST` has time until users are well."""
    version, leaving, live = view.candidate, view.deployment.leaving, view.live
    if version is None:
        raise IllegalMove(f"{view.deployment.id}: a rollback to a version that was not read")
    if live.number == version.number:
        return _reject(view, f"users are on version {version.number} already")
    if leaving and live.number != leaving:
        return _reject(
            view,
            f"it was asked for when users were on version {leaving}, and they are on {live.number} by now; "
            "look again, and ask again if it is still wanted",
        )
    if not view.way_back:
        return _reject(
            view,
            f"the image of version {version.number} is gone from the registry: go back to another version",
        )
    if version.state is VersionState.FAILED:
        return _reject(
            view,
            f"version {version.number} cannot run ({version.reason}): go back to another version",
        )
    return Step(
        Phase.VERIFYING,
        f"back from version {live.number} ({live.image}) to {version.number}",
        RunChecks(version.number),
    )


def _is_live_and_well(view: View) -> bool:
    """Nothing is left to do for a push of what is live. A person who asks for it wants to see it checked, and
    a changed configuration is what users do not have yet."""
    candidate, latest, live = view.deployment.image, view.latest, view.live
    source = view.deployment.source
    if source is Source.CONFIGURATION and latest.configuration != live.configuration:
        return False
    return (
        source not in ASKED
        and candidate == live.image == latest.image
        and latest.status is UpdateStatus.SUCCESSFUL
        and live.state is not VersionState.FAILED
    )


def _updating(view: View, limits: Limits) -> Step:
    """Bring `$LATEST` to the candidate, publish it, wait until the version is ready."""
    candidate, latest, version = view.deployment.image, view.latest, view.candidate
    if view.refused:
        return _revert(view.refused)
    if view.newer:
        return _make_way(view.newer)
    # What is there comes first: a version that became ready while nobody looked is ready.
    if version and version.state is VersionState.FAILED:
        return _revert(f"version {version.number} did not become active: {version.reason}", blames=True)
    if version and version.state is not VersionState.PENDING:
        return Step(Phase.VERIFYING, f"version {version.number} is ready", RunChecks(version.number))
    late = _seconds_in_phase(view) > limits.update
    if not version and latest.image == candidate and latest.status is UpdateStatus.SUCCESSFUL:
        if late and view.missed:
            return _revert(f"{candidate} could not be published: {view.missed}")
        return Step(Phase.UPDATING, "$LATEST is on the candidate", Publish(candidate, latest.revision))
    if latest.status is UpdateStatus.FAILED and view.deployment.updates >= limits.tries:
        return _revert(f"the update to {candidate} failed: {latest.reason}", blames=True)
    # Late is only too late for what only waits, or what was tried.
    waits = version is not None or latest.status is UpdateStatus.IN_PROGRESS
    if late and (waits or view.missed or view.deployment.updates):
        return _revert(f"{candidate} was not ready after {limits.update:.0f} s")
    if version:
        return _stay(view, f"version {version.number} is being made ready")
    if latest.status is UpdateStatus.IN_PROGRESS:
        return _stay(view, "the update is in progress")
    return Step(
        Phase.UPDATING, f"$LATEST is on {latest.image} ({latest.status})", _put_latest_on(candidate, latest)
    )


def _verifying(view: View, limits: Limits) -> Step:
    """Users are on `previous`; only we talk to the candidate."""
    verdict, version = view.deployment.verification, view.deployment.version
    previous = view.deployment.previous
    if version is None or previous is None:
        raise IllegalMove(f"{view.deployment.id}: VERIFYING without a version or a previous one")
    if view.newer:
        return _make_way(view.newer)
    if view.refused:
        return _revert(view.refused)
    if verdict is None:
        if _checks_are_hopeless(view, limits):
            return _revert(_no_verdict(f"the checks of version {version}", view, limits))
        return Step(Phase.VERIFYING, f"version {version} has no verdict yet", RunChecks(version))
    if not verdict.healthy:
        return _revert(str(verdict), blames=True)
    if view.live.number not in (previous.number, version):
        return _somebody_moved_live(previous.number, view.live)
    return Step(Phase.PROMOTING, str(verdict), _move_live(view, version))


def _promoting(view: View, limits: Limits) -> Step:
    """The candidate passed. Move `live` to it, unless somebody else has moved it meanwhile."""
    version, previous = view.deployment.version, view.deployment.previous
    if version is None or previous is None:
        raise IllegalMove(f"{view.deployment.id}: PROMOTING without a version or a previous one")
    if view.live.number == version:
        through_live = RunChecks(version, through_live=True)
        return Step(Phase.CONFIRMING, f"live points at version {version}", through_live)
    if view.refused:
        return _revert(view.refused)
    if view.live.number != previous.number:
        return _somebody_moved_live(previous.number, view.live)
    if view.missed and _seconds_in_phase(view) > limits.checks:
        return _revert(f"live could not be moved to version {version}: {view.missed}")
    return Step(Phase.PROMOTING, f"live is still on version {previous.number}", _move_live(view, version))


def _confirming(view: View, limits: Limits) -> Step:
    """Users are on the candidate. See it answer through the alias, as they do."""
    verdict, version = view.deployment.confirmation, view.deployment.version
    if version is None:
        raise IllegalMove(f"{view.deployment.id}: CONFIRMING without a version")
    if view.live.number != version:
        return _somebody_moved_live(version, view.live)
    if verdict and verdict.healthy:
        return _succeeding(view, limits, f"live is version {version}: {verdict}")
    if verdict:
        return _revert(f"through live: {verdict}", blames=True)
    if view.refused:
        return _revert(view.refused)
    if _checks_are_hopeless(view, limits):
        return _revert(_no_verdict("the checks through live", view, limits))
    return Step(Phase.CONFIRMING, "live has no verdict yet", RunChecks(version, through_live=True))


def _succeeding(view: View, limits: Limits, because: str) -> Step:
    """Users are well. `$LATEST` follows, if it can: after a rollback, or if somebody changed it meanwhile."""
    latest, tries = view.latest, view.deployment.updates
    update = _put_latest_on(view.deployment.image, latest)
    if update is None and latest.status is not UpdateStatus.IN_PROGRESS:
        return Step(Phase.SUCCEEDED, because)
    if view.refused or tries >= limits.tries or _seconds_in_phase(view) > limits.update:
        warning = f"$LATEST is not what users are on: it is on {latest.image} ({latest.status})"
        return Step(Phase.SUCCEEDED, because, warning=warning)
    if latest.status is UpdateStatus.IN_PROGRESS:
        return _stay(view, "an update of $LATEST is in progress")
    return Step(Phase.CONFIRMING, f"users are well; $LATEST is on {latest.image}", update)


def _reverting(view: View, limits: Limits) -> Step:
    """Users back on `previous` first, then `$LATEST`, then see that it is well. One way; no flapping."""
    deployment, live, previous = view.deployment, view.live, view.deployment.previous
    if previous is None or deployment.ending is None:
        raise IllegalMove(f"{deployment.id}: REVERTING without knowing where to or what for")
    if view.refused:
        return _cannot_restore(view, view.refused)
    late = _seconds_in_phase(view) > limits.revert
    if live.number == deployment.version != previous.number:
        # Pointing live at a version that cannot answer would turn a failing service into a dead one.
        if previous.image.digest in view.placeholders:
            return _lost(view, "no release was live before this one, so there is nothing to go back to")
        if not view.way_back:
            return _lost(
                view, f"version {previous.number} is no way back: its image is gone from the registry"
            )
        if view.previous and view.previous.state is VersionState.FAILED:
            return _lost(view, f"version {previous.number} is no way back: {view.previous.reason}")
        # However late: nothing else helps users, so it is given up only when it was tried and did not go.
        if late and view.missed:
            return _stuck(view, f"live could not be moved back: {view.missed}")
        return Step(
            Phase.REVERTING,
            f"live is on the failing version {live.number}",
            _move_live(view, previous.number),
        )
    return _putting_latest_back(view, limits, late=late)


def _putting_latest_back(view: View, limits: Limits, *, late: bool) -> Step:
    """Users are where they should be; now `$LATEST`, so that the next update starts from what is live."""
    deployment, latest, live = view.deployment, view.latest, view.live
    update = _put_latest_on(live.image, latest)
    if update is None and latest.status is UpdateStatus.SUCCESSFUL:
        return _restored(view, late=late)
    if latest.status is UpdateStatus.FAILED and deployment.updates >= limits.tries:
        return _cannot_restore(view, f"putting $LATEST back on {live.image} failed: {latest.reason}")
    # Late is only too late for what only waits, or what was tried.
    waits = latest.status is UpdateStatus.IN_PROGRESS
    if late and (waits or view.missed or deployment.updates):
        return _cannot_restore(view, f"$LATEST was not back on {live.image} after {limits.revert:.0f} s")
    if waits:
        return _stay(view, "an update of $LATEST is in progress")
    if not view.way_back:
        gone = f"$LATEST cannot go back to {live.image}: the image is gone from the registry"
        return _cannot_restore(view, gone)
    return Step(Phase.REVERTING, f"$LATEST is on {latest.image} ({latest.status})", update)


def _restored(view: View, *, late: bool) -> Step:
    """`live` and `$LATEST` are back. Is what users are on well?"""
    deployment, live = view.deployment, view.live
    if deployment.ending is Phase.SUPERSEDED:
        return Step(Phase.SUPERSEDED, f"users stayed on version {live.number} ({live.image})")
    if live.image.digest in view.placeholders:
        # The placeholder passes no check, and never did: nobody has lost anything.
        return Step(Phase.REVERTED, "no release was live before this one, so there is nothing to go back to")
    verdict = deployment.restoration
    if verdict is None:
        if late and view.missed:
            return _stuck(
                view, f"everything is back, but the checks through live got no answer: {view.missed}"
            )
        through_live = RunChecks(live.number, through_live=True)
        return Step(Phase.REVERTING, f"live is on version {live.number} ({live.image})", through_live)
    if not verdict.healthy:
        # Halt: both images fail, so the cause is elsewhere; another revert would only alternate them.
        return _stuck(
            view, f"what users are on fails as well, so the new image is not the only cause: {verdict}"
        )
    return Step(Phase.REVERTED, f"users are on version {live.number} ({live.image}): {verdict}")


_CAN_BE_ABORTED = frozenset({Phase.UPDATING, Phase.VERIFYING, Phase.PROMOTING, Phase.CONFIRMING})

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
    if step.phase is deployment.phase:
        if deployment.timeline:
            return deployment
        # A request that has to wait: from here on it is known since when.
        return replace(deployment, timeline=(Moment(view.now, step.phase, step.because),))
    return move(
        replace(
            deployment,
            live=view.live,
            previous=view.live if begins(deployment, step.phase) else deployment.previous,
            origin=view.artifact.origin if view.artifact else view.origin or deployment.origin,
            before=view.before or deployment.before,
            warnings=(*deployment.warnings, step.warning) if step.warning else deployment.warnings,
            ending=step.ending or deployment.ending,
            # Also when something else turned it round: an abort, a person who moved live.
            blamed=deployment.blamed or step.blames or bool(_failed_checks(deployment)),
            no_way_back=step.no_way_back,
            aborted=deployment.aborted or (view.abort is not None and deployment.phase in _CAN_BE_ABORTED),
            updates=0,
        ),
        step,
        view.now,
    )


def passes(deployment: Deployment, hold: Hold) -> bool:
    """May it begin under this hold?"""
    return deployment.passes_any_hold or deployment.passes == hold.id


def begins(deployment: Deployment, phase: Phase) -> bool:
    """Does a request that moves to `phase` begin to touch the function?"""
    return deployment.phase is Phase.REQUESTED and phase in (Phase.UPDATING, Phase.VERIFYING)


def blinded(deployment: Deployment, refusal: str, at: datetime) -> Deployment:
    """The deployment when AWS refuses to be looked at: there is no view, so nothing can be decided well.

    What has not begun is rejected; what has begun turns round, and if even that cannot be seen, says STUCK.
    """
    match deployment.phase:
        case Phase.REQUESTED:
            step = Step(Phase.REJECTED, f"{refusal}. Mend that, and push again or retry")
        case Phase.REVERTING:
            step = Step(Phase.STUCK, refusal)
        case _:
            step = _revert(refusal)
    return move(
        replace(
            deployment,
            ending=step.ending or deployment.ending,
            live=None,
            blamed=deployment.blamed or bool(_failed_checks(deployment)),
            updates=0,
        ),
        step,
        at,
    )


def _failed_checks(deployment: Deployment) -> list[Verdict]:
    """What the image itself was seen to answer wrongly."""
    verdicts = (deployment.verification, deployment.confirmation)
    return [verdict for verdict in verdicts if verdict is not None and not verdict.healthy]


def move(deployment: Deployment, step: Step, at: datetime) -> Deployment:
    """Change the phase, or raise `IllegalMove`."""
    if step.phase not in MOVES[deployment.phase]:
        raise IllegalMove(f"{deployment.id}: {deployment.phase} -> {step.phase} ({step.because})")
    return replace(
        deployment,
        phase=step.phase,
        timeline=(*deployment.timeline, Moment(at, step.phase, step.because)),
    )


def record_update(deployment: Deployment, at: datetime) -> Deployment:
    """Count a change of `$LATEST` that AWS has accepted. The first one of a revert begins its time anew: it
    may come late, after an outage, and then needs as long as any."""
    timeline = deployment.timeline
    if deployment.phase is Phase.REVERTING and deployment.updates == 0:
        timeline = (*timeline, Moment(at, deployment.phase, "$LATEST is being put back"))
    return replace(deployment, updates=deployment.updates + 1, timeline=timeline)


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


def conclude(deployment: Deployment, book: Book, limits: Limits, now: datetime) -> Conclusion:
    """What follows from the end of `deployment`."""
    succeeded = deployment.phase is Phase.SUCCEEDED
    reverts = _reverts(deployment, book)
    hold, held = None, book.hold is not None
    if 0 < limits.reverts <= reverts and not held and reverts > book.reverts:
        because = f"{reverts} deployments in a row did not stay, the last one of {deployment.image}"
        hold = Hold("the circuit breaker", because, now, id=f"breaker-{deployment.id}")
        deployment = replace(deployment, trips=hold.id)
    return Conclusion(
        deployment,
        settled=deployment.image.digest if _settles(deployment, held=held) else None,
        configured=deployment.configuration if _configures(deployment, held=held) else None,
        quarantine=_quarantine(deployment),
        pardoned=succeeded,
        reverts=reverts,
        hold=hold,
    )


# An image that was live has passed its checks. If it fails now, perhaps with other settings, it has no blame.
_JUDGE_NO_IMAGE = frozenset({Source.CONFIGURATION, Source.ROLLBACK})


def _quarantine(deployment: Deployment) -> Quarantine | None:
    """Only for an image that was seen to fail: in what it answered, or by what Lambda said of it."""
    if not _failed(deployment) or not deployment.blamed or deployment.source in _JUDGE_NO_IMAGE:
        return None
    answered = next((str(verdict) for verdict in _failed_checks(deployment)), None)
    because = answered or deployment.failure or deployment.because
    return Quarantine(deployment.image.digest, deployment.id, because)


def _failed(deployment: Deployment) -> bool:
    return deployment.phase in (Phase.REVERTED, Phase.STUCK)


def _reverts(deployment: Deployment, book: Book) -> int:
    """How many deployments in a row did not stay. What a person turned round says nothing, nor a rollback,
    nor a push of what is live anyway."""
    if deployment.source is Source.ROLLBACK or deployment.aborted:
        return book.reverts
    if deployment.phase is Phase.SUCCEEDED and deployment.previous:
        return 0
    return book.reverts + 1 if _failed(deployment) else book.reverts


def _settles(deployment: Deployment, *, held: bool) -> bool:
    """Is the release tag's digest dealt with, so that the sweep need not look at it again?

    Not if something newer came, nor if it was only turned away because deployments are held. What is asked
    for by a person, or for its settings, is not about the tag.
    """
    if deployment.source not in (Source.PUSH, Source.SWEEP) or deployment.phase is Phase.SUPERSEDED:
        return False
    return not (held and deployment.phase is Phase.REJECTED)


def _configures(deployment: Deployment, *, held: bool) -> bool:
    """Is its configuration dealt with? A push that fails says nothing about it."""
    if deployment.source is not Source.CONFIGURATION:
        return deployment.phase is Phase.SUCCEEDED
    return deployment.phase is not Phase.SUPERSEDED and not (held and deployment.phase is Phase.REJECTED)


def way_back(deployment: Deployment, live: Version) -> Image:
    """The image a revert would need: `previous` if `live` is on the candidate, else what `live` is on."""
    if deployment.previous and live.number == deployment.version:
        return deployment.previous.image
    return live.image


# -- words and small decisions that several phases share --------------------------------------------------


def _revert(because: str, *, blames: bool = False) -> Step:
    return Step(Phase.REVERTING, because, ending=Phase.REVERTED, blames=blames)


def _checks_are_hopeless(view: View, limits: Limits) -> bool:
    """Too late, and tried in vain; or so late that whatever keeps interrupting them will not stop."""
    seconds = _seconds_in_phase(view)
    return (seconds > limits.checks and view.missed is not None) or seconds > 3 * limits.checks


def _no_verdict(checks: str, view: View, limits: Limits) -> str:
    trouble = f": {view.missed}" if view.missed else ""
    return f"{checks} came to no verdict within {limits.checks:.0f} s{trouble}"


def _somebody_moved_live(expected: str, live: Version) -> Step:
    return _revert(
        f"somebody moved live from version {expected} to {live.number} during the deployment; "
        "it stays where they put it"
    )


def _superseded_by(newer: Deployment) -> str:
    if newer.source is Source.ROLLBACK:
        return f"{who(newer.by)} takes users back to version {newer.version}: {newer.why}"
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


def _cannot_restore(view: View, because: str) -> Step:
    """`$LATEST` is not what users are on. A newer push overwrites it next; without one a person is needed."""
    deployment = view.deployment
    if deployment.ending is Phase.SUPERSEDED and view.live.number != deployment.version:
        return Step(Phase.SUPERSEDED, because)
    return _stuck(view, because)


def _lost(view: View, because: str) -> Step:
    """Users are on a failing version, and there is no other."""
    return replace(_stuck(view, because), no_way_back=True)


def _stuck(view: View, because: str) -> Step:
    now = f"live is on version {view.live.number} ({view.live.image}), $LATEST on {view.latest.image}"
    return Step(Phase.STUCK, f"{because}. Now: {now}")


_BUILD = "`docker buildx build --provenance=false --sbom=false --platform linux/{platform} .`"
_PLATFORM = {"x86_64": "amd64", "arm64": "arm64"}


def unfit(artifact: Artifact | None, architecture: str) -> str | None:
    """Why Lambda could not run it, with the command that fixes the build; None if nothing speaks against."""
    build = _BUILD.format(platform=_PLATFORM.get(architecture, architecture))
    if artifact is None:
        return "it is not, or no longer, in the registry. Push it again"
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
