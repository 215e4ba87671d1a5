"""What the dashboard's function answers to programs: what is live, and what a push of an image would do.

Whoever may look may invoke that function, and may not read the service's function itself: GetFunction shows
its environment, and with it the secrets. So this answers with what may be seen, and changes nothing.

A plan is no second telling of the deployer's rules: `rollout` itself decides about a push that nobody made,
as things are now, and then about a world in which each of its actions went well, or the last check failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from deployer import facts, rollout
from deployer.aws.record import BadRecord
from deployer.model import (
    Artifact,
    BadDigest,
    Book,
    CheckResult,
    Deployment,
    Image,
    Latest,
    Limits,
    Phase,
    Quarantine,
    Source,
    UpdateStatus,
    Verdict,
    Version,
    View,
    deployment_id,
    require_digest,
)
from deployer.ports import LookAgain, Refused
from deployer.rollout import MOVES, Action, PointLive, Publish, RunChecks, Step, UpdateCode
from deployer.settings import BadSettings
from deployer.text import discreet, line, shown

Answer = dict[str, object]

_TOLD = 600  # bytes of an error
_MOST_STEPS = 30  # a way through the phases has about a dozen
NEW = "new"  # the number of a version that nobody has published yet
_IMAGINED = "imagined"  # a RevisionId, where nothing is written


class FunctionReader(Protocol):
    """What is asked of `ports.Function`."""

    def live(self) -> Version:
        """The version that the alias `live` points at."""

    def latest(self) -> Latest:
        """`$LATEST`."""


class RegistryReader(Protocol):
    """What is asked of `ports.Registry`."""

    def artifact(self, digest: str) -> Artifact | None:
        """What `digest` is, or None if it is gone."""

    def present(self, digest: str) -> bool:
        """Is `digest` still in the repository?"""


class LedgerReader(Protocol):
    """What is asked of `ports.Ledger`."""

    def look(self) -> Book:
        """What is going on now."""

    def quarantine(self, digest: str) -> Quarantine | None:
        """Why `digest` is in quarantine, or None."""


@dataclass(frozen=True)
class Sources:
    """What an answer is made from. `placeholders` are the digests that a stack begins with."""

    function: FunctionReader
    registry: RegistryReader
    ledger: LedgerReader
    repository: str
    placeholders: frozenset[str]


def answer(asked: Mapping[Any, object], sources: Callable[[], Sources], now: datetime) -> Answer:
    """What is asked for: `{"read": "state"}` or `{"read": "plan", "digest": "sha256:..."}`.

    Never raises for what somebody sent, or for what AWS does not let us read: then it is `{"error": why}`.
    """
    what = asked.get("read")
    try:
        if what == "state":
            return _state(sources())
        if what == "plan":
            digest = asked.get("digest")
            if not isinstance(digest, str):
                return {"error": f"digest must be an image digest, sha256:..., not {shown(digest)}"}
            return _facts_of(plan(sources(), require_digest(digest), now))
    except BadDigest as error:
        return _error(f"digest: {error}")
    except (LookAgain, Refused, BadRecord, BadSettings) as error:
        return _error(str(error))
    return {"error": f"read may be state or plan, not {shown(what)}"}


def _error(words: str) -> Answer:
    return {"error": line(discreet(words), _TOLD)}


def _state(sources: Sources) -> Answer:
    live, latest = sources.function.live(), sources.function.latest()
    return {
        "live": {
            **facts.of_version(live),
            "state": live.state.value,
            "reason": live.reason,
            "placeholder": live.image.digest in sources.placeholders,
        },
        "latest": {
            "digest": latest.image.digest,
            "architecture": latest.architecture,
            "status": latest.status.value,
            "reason": latest.reason,
        },
    }


# -- the plan --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Before:
    """A deployment that comes before the push."""

    deployment: Deployment
    makes_way: bool  # it is turned round, for this push or by a person
    because: str


@dataclass(frozen=True)
class Stage:
    """A phase on the way, with what is done in it, and where it leads: the expected phase first."""

    phase: Phase
    actions: tuple[Action, ...]
    leads: tuple[tuple[Phase, str], ...]  # the phase, and when


@dataclass(frozen=True)
class Plan:
    """What a push of an image would do, as things are now."""

    view: View  # of the moment at which it is taken up
    first: Step  # what is decided about it then
    before: tuple[Before, ...] = ()
    supersedes: tuple[tuple[Deployment, str], ...] = ()  # requests that wait, and why they end
    way: tuple[Stage, ...] = ()  # when all goes well
    way_back: tuple[Stage, ...] = ()  # when users have met it, and it fails
    ends_back: Step | None = None  # how that would end

    @property
    def would(self) -> str:
        """In a word or two: what would become of it."""
        match self.first.phase:
            case Phase.REQUESTED:
                return "wait"
            case Phase.SUCCEEDED:
                return "be live already"
            case Phase.UPDATING:
                return "be deployed"
            case ended:
                return f"be {ended.lower()}"


def plan(sources: Sources, digest: str, now: datetime) -> Plan:
    """What a push of `digest` would do now. Reads only; may raise `LookAgain`, `Refused` and `BadRecord`."""
    book = sources.ledger.look()
    image = Image(sources.repository, digest)
    push = Deployment(deployment_id(now, digest), image, Source.PUSH, now)
    live, latest = sources.function.live(), sources.function.latest()
    limits = Limits()
    before: list[Before] = []
    going = rollout.underway(book)
    if going:
        view = View(now=now, deployment=going, latest=latest, live=live)
        told, live = _after(view, push, book)
        # However it ends, `$LATEST` is put where users are, and no update is in progress then.
        latest = replace(latest, image=live.image, status=UpdateStatus.SUCCESSFUL, reason="")
        before.append(told)
    ahead, superseded, overtaken = _queue(book, push)
    before += ahead
    view = View(
        now=now,
        deployment=push,
        latest=latest,
        live=live,
        hold=book.hold,
        artifact=sources.registry.artifact(digest),
        quarantine=sources.ledger.quarantine(digest),
        way_back=sources.registry.present(live.image.digest),
        placeholders=sources.placeholders,
    )
    first = overtaken or rollout.decide(view, limits)
    made = Plan(view, first, tuple(before), tuple(superseded))
    if first.phase is not Phase.UPDATING:
        return made
    well = _walk(view, limits, stays=True)
    badly = _walk(view, limits, stays=False)
    back = [step for step in badly if step.phase not in {each.phase for each in well}]
    return replace(made, way=_stages(well), way_back=_stages(back), ends_back=back[-1])


def _after(view: View, push: Deployment, book: Book) -> tuple[Before, Version]:
    """What becomes of the deployment that is under way, and what users are on then: as if it came out right,
    unless it turns round for this push, was aborted, or is on its way back already."""
    going, live = view.deployment, view.live
    turns = _turns(view, push, book)
    if turns or going.phase is Phase.REVERTING:
        moved = going.previous is not None and live.number == going.version
        because = turns.because if turns else going.because
        return Before(going, makes_way=True, because=because), (going.previous if moved else None) or live
    return Before(going, makes_way=False, because=going.because), Version(going.version or NEW, going.image)


def _turns(view: View, push: Deployment, book: Book) -> Step | None:
    """The step in which it turns round for the push, or because it was aborted. All else is not looked at."""
    going = view.deployment
    abort = next((each for each in book.aborts if each.deployment == going.id), None)
    newer = rollout.newer(going, [*book.open, push], push.image.digest)
    looks = going.phase in (Phase.UPDATING, Phase.VERIFYING)
    if going.phase is Phase.REVERTING or (abort is None and not (newer and looks)):
        return None
    return rollout.decide(replace(view, newer=newer, abort=abort), Limits())


def _queue(book: Book, push: Deployment) -> tuple[list[Before], list[tuple[Deployment, str]], Step | None]:
    """What is taken up before the push, and what it supersedes; and the end of the push itself, if another
    request is for both."""
    digest = push.image.digest
    ahead: list[Before] = []
    waiting = [each for each in book.open if each.phase is Phase.REQUESTED]
    while True:
        chosen, superseded = rollout.triage([*waiting, push], digest)
        if chosen is None or chosen.id == push.id:
            ends = [(each, rollout.supersede(each, chosen, digest).because) for each in superseded]
            return ahead, ends, None
        if push in superseded:
            return ahead, [], rollout.supersede(push, chosen, digest)
        asked = f"asked for by {chosen.by}: {chosen.why}" if chosen.by else chosen.because
        ahead.append(Before(chosen, makes_way=False, because=asked))
        waiting = [each for each in waiting if each.id != chosen.id]


def _walk(view: View, limits: Limits, *, stays: bool) -> list[Step]:
    """All steps to the end, in a world in which every action comes out right; but with `stays` False, the
    checks through live do not."""
    steps: list[Step] = []
    while view.deployment.phase not in rollout.ENDED and len(steps) < _MOST_STEPS:
        step = rollout.decide(view, limits)
        steps.append(step)
        after = rollout.advance(view, step)
        view = replace(view, deployment=after, previous=after.previous, live_revision=_IMAGINED)
        view = _imagine(view, step.action, stays=stays)
    return steps


def _imagine(view: View, action: Action | None, *, stays: bool) -> View:
    """The world after an action."""
    deployment = view.deployment
    match action:
        case UpdateCode(image):
            latest = replace(view.latest, image=image, status=UpdateStatus.SUCCESSFUL, reason="")
            return replace(view, latest=latest, deployment=rollout.record_update(deployment, view.now))
        case Publish(image):
            published = replace(deployment, version=NEW)
            return replace(view, candidate=Version(NEW, image), deployment=published)
        case RunChecks():
            right = stays or deployment.phase is not Phase.CONFIRMING
            return replace(view, deployment=rollout.record_verdict(deployment, _verdict(right=right)))
        case PointLive(version):
            target = view.candidate if version == NEW else deployment.previous
            return replace(view, live=target or view.live)
        case _:
            return view


def _verdict(*, right: bool) -> Verdict:
    actual = "as it should" if right else "otherwise than it should"
    return Verdict((CheckResult("each check" if right else "a check", right, "", actual, 0, 1),))


def _stages(steps: Sequence[Step]) -> tuple[Stage, ...]:
    """The steps by phase, with where the table of moves leads from each."""
    phases = list(dict.fromkeys(step.phase for step in steps))
    stages: list[Stage] = []
    for phase, expected in zip(phases, [*phases[1:], None], strict=True):
        actions = tuple(step.action for step in steps if step.phase is phase and step.action)
        leads = sorted(MOVES[phase].items(), key=lambda move: move[0] is not expected)
        stages.append(Stage(phase, actions, tuple(leads)))
    return tuple(stages)


def told(action: Action) -> str:
    """An action in words."""
    match action:
        case UpdateCode(image, architecture):
            return f"put $LATEST on {image} ({architecture})"
        case Publish(image):
            return f"publish a version of {image}"
        case RunChecks(version, through_live=True):
            return f"run the checks through live, on {_version(version)}"
        case RunChecks(version):
            return f"run the checks on {_version(version)}"
        case PointLive(version):
            return f"move live to {_version(version)}"
        case other:
            return f"wait {other.seconds:.1f} s"


def _version(number: str) -> str:
    return "the new version" if number == NEW else f"version {number}"


# -- the plan as JSON --------------------------------------------------------------------------------------


def _facts_of(made: Plan) -> Answer:
    view, first = made.view, made.first
    artifact, quarantine = view.artifact, view.quarantine
    return {
        "digest": view.deployment.image.digest,
        "would": made.would,
        "because": first.because,
        "warning": first.warning,
        "revision": artifact.origin.revision if artifact else None,
        "is_live": view.live.image == view.deployment.image,
        "live": facts.of_version(view.live),
        "hold": facts.of_hold(view.hold),
        "quarantine": {"deployment": quarantine.deployment, "because": quarantine.because}
        if quarantine
        else None,
        "before": [_before(each) for each in made.before],
        "supersedes": [
            {"deployment": each.id, "digest": each.image.digest, "because": because}
            for each, because in made.supersedes
        ],
        "way": _stage_facts(made.way),
        "way_back": _stage_facts(made.way_back),
        "way_back_ends": {"phase": made.ends_back.phase.value, "because": made.ends_back.because}
        if made.ends_back
        else None,
    }


def _before(before: Before) -> Answer:
    deployment = before.deployment
    return {
        "deployment": deployment.id,
        "digest": deployment.image.digest,
        "phase": deployment.phase.value,
        "source": deployment.source.value,
        "makes_way": before.makes_way,
        "because": before.because,
    }


def _stage_facts(stages: Iterable[Stage]) -> list[Answer]:
    return [
        {
            "phase": stage.phase.value,
            "actions": [_action(action) for action in stage.actions],
            "leads_to": [{"phase": phase.value, "when": when} for phase, when in stage.leads],
        }
        for stage in stages
    ]


def _action(action: Action) -> Answer:
    fields = {name: value for name, value in asdict(action).items() if name != "revision"}
    return {"action": type(action).__name__, **fields, "told": told(action)}
