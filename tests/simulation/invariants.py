"""What must hold, whatever crashes, repeats, races or arrives late. The letters are the design's.

Each rule is judged by the world's own record: where `live` was and when, what the service really answered,
who wrote under which lease. What a person did by hand is exempt; what the deployer did is not. What can be
demanded after a person has changed the ledger stands in `tampering.py`.

* **S1** `live` moves only while a deployment is under way, only from where that one found it or from its own
  candidate; and only to a version that has answered rightly, asked by its number, since that deployment
  began, or back to the version that was live when it began.
* **S2** When a deployment that touched the function ends, `$LATEST` holds the digest that `live` is on, or it
  says STUCK. One that makes way may leave `$LATEST` to the next, which overwrites it or, if it is turned
  away, says where `$LATEST` is.
* **S3** No deployment of a digest in quarantine begins or moves `live`, unless a person asked for it; and a
  digest that was seen to fail is in quarantine.
* **S4** Under a hold no deployment begins but one that a person asked for and that names it, or a rollback,
  which holds itself. (One that is under way ends.) A rollback holds; so does the third deployment in a row
  that did not stay. A deployment whose abort was seen does not succeed.
* **S5** A lease goes to another deployer only when its holder is dead, has given it back, or has stood still
  longer than Lambda lets it live; and only its holder gives it back. Nothing is written to the ledger for a
  deployment but under the newest lease. The function is changed only by who has a lease, and only as its
  writer has seen it: nobody has written between the RevisionId it read and its own write. And who has lost
  its lease acts on nothing that it reads afterwards: all that may still happen of its doing is the one write
  that was decided before, and in flight.
* **L1** No deployment begins that has not seen the release tag on its digest. Every push ends: whoever has
  handled an event leaves it on record, and when the world is quiet nothing is open, and what the release tag
  points at is live, or has ended otherwise while nothing was held.
* **L2** Every end is told at least once, by mail, in the chat and on the event bus. A try tells it wherever
  it still has to be told, unless that fails there: one channel's failure keeps it from no other. What is
  forgotten has been told everywhere; what was told once, and is known to be, is not told again. An
  alarm of the service is told, or kept as a dead letter.
* **Fair** A healthy image is turned away or round only for a cause that the world had: AWS refused, something
  took longer than allowed, a person changed what it is about.
* **Once** A command's request is followed once, however often it comes.
* **Crash** An invocation raises nothing but what AWS said: no mistake of its own, no failure of telling (but
  that of an alarm, which Lambda then tries again).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployer.controller import RESERVE_SECONDS
from deployer.model import Channel, Deployment, Limits, Notice, Phase, Source, UpdateStatus
from deployer.rollout import ASKED, ENDED
from tests.fakes import START, image
from tests.simulation.record import NEVER, WELL, Call, End, Record

if TYPE_CHECKING:
    from tests.simulation.world import Invocation

Broken = Iterator[str]
# An image that was live before is not judged by what happens to it now.
JUDGES_NO_IMAGE = frozenset({Source.CONFIGURATION, Source.ROLLBACK})
# What a healthy deployment never takes; the simulation's limits are not shorter.
LONG_SECONDS = 40.0
MOST_REVERTS = Limits().reverts


@dataclass(frozen=True)
class Violation:
    """What did not hold, and how."""

    invariant: str
    how: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.how}"


def after(record: Record, call: Call, answer: Any) -> Violation | None:
    """Judge one write, right after it happened. `record` still holds how the world was before."""
    rules = RULES.get(call.name, ())
    record.checks += len(rules)
    for invariant, rule in rules:
        for how in rule(record, call, answer):
            return Violation(invariant, how)
    return None


# -- live


def _live_moves_where_it_may(record: Record, call: Call, answer: Any) -> Broken:
    """S1."""
    to, came_from = record.function.alias, record.live
    if to == came_from:
        return
    begun = record.mover(call.invocation)
    if begun is None:
        yield f"live moved to version {to}, but its mover has begun no deployment"
        return
    candidate = record.versions.get(begun.deployment.id)
    if came_from not in (begun.live, candidate):
        yield f"live was taken from version {came_from}, where somebody else had put it"
    if to != begun.live and not record.verified(to, begun.at):
        yield f"live moved to version {to}, which has passed no check since the deployment began"


def _no_digest_in_quarantine_goes_live(record: Record, call: Call, answer: Any) -> Broken:
    """S3."""
    begun = record.mover(call.invocation)
    if begun is None or record.function.alias == begun.live or begun.deployment.source is Source.RETRY:
        return
    digest = record.function.live_image.digest
    if digest in record.bad and record.function.alias != record.live:
        yield f"{record.function.live_image} is live and in quarantine, and nobody asked for it"


# -- deployments


def _begins(record: Record, call: Call) -> Deployment | None:
    deployment: Deployment = call.args[1]
    if deployment.phase is Phase.REQUESTED or deployment.id in record.begun:
        return None
    return deployment


def _no_digest_in_quarantine_begins(record: Record, call: Call, answer: Any) -> Broken:
    """S3."""
    deployment = _begins(record, call)
    if deployment and deployment.image.digest in record.bad and deployment.source is not Source.RETRY:
        yield f"{deployment.id} begins with {deployment.image}, which is in quarantine"


def _nothing_begins_under_a_hold(record: Record, call: Call, answer: Any) -> Broken:
    """S4."""
    deployment = _begins(record, call)
    back = deployment and deployment.source is Source.ROLLBACK
    if deployment and not back and record.book.hold and record.book.hold.id != deployment.passes:
        yield f"{deployment.id} begins although {record.book.hold.by} holds deployments"


def _what_begins_is_what_the_tag_points_at(record: Record, call: Call, answer: Any) -> Broken:
    """L1."""
    deployment = _begins(record, call)
    if deployment is None or deployment.source not in (Source.PUSH, Source.SWEEP):
        return
    if (call.invocation.name, deployment.image.digest) not in record.tags_seen:
        yield f"{deployment.id} begins with {deployment.image}, and it has not seen the release tag there"


def _what_a_person_deleted_stays_deleted(record: Record, call: Call, answer: Any) -> Broken:
    """S5."""
    deployment: Deployment = call.args[1]
    if deployment.id in record.taken_out:
        yield f"{deployment.id} was deleted by hand and is written down again"


def _one_at_a_time(record: Record, call: Call, answer: Any) -> Broken:
    """S5."""
    deployment, other = _begins(record, call), record.under_way()
    if deployment and other and other.id != deployment.id:
        yield f"{deployment.id} begins while {other.id} is under way"


def _latest_is_live_at_an_end(record: Record, call: Call, answer: Any) -> Broken:
    """S2."""
    deployment: Deployment = call.args[1].deployment
    begun = record.begun.get(deployment.id)
    # Superseded, it may leave that to what comes next; whether it was done is looked at when all is quiet.
    if begun is None or deployment.phase in (Phase.STUCK, Phase.SUPERSEDED) or record.hands_since(begun.at):
        return
    if record.function.code != record.function.live_image and not _tells_of_latest(deployment):
        yield (
            f"{deployment.id} ended {deployment.phase} with $LATEST on {record.function.code} "
            f"and live on {record.function.live_image}"
        )


def _live_is_where_the_end_says(record: Record, call: Call, answer: Any) -> Broken:
    """S1."""
    deployment: Deployment = call.args[1].deployment
    begun = record.begun.get(deployment.id)
    if begun is None or deployment.phase is Phase.STUCK or record.hands_since(begun.at):
        return
    expected = deployment.version if deployment.phase is Phase.SUCCEEDED else begun.live
    if record.function.alias != expected:
        yield f"{deployment.id} ended {deployment.phase} with live on version {record.function.alias}"


def _what_was_seen_to_fail_is_in_quarantine(record: Record, call: Call, answer: Any) -> Broken:
    """S3."""
    deployment: Deployment = call.args[1].deployment
    if deployment.source in JUDGES_NO_IMAGE:
        return
    verdicts = (deployment.verification, deployment.confirmation)
    failed = any(verdict and not verdict.healthy for verdict in verdicts)
    if (
        failed
        and deployment.phase is Phase.REVERTED
        and deployment.image.digest not in record.ledger.quarantined
    ):
        yield f"{deployment.image} failed its checks, was reverted, and is not in quarantine"


def _nobody_is_turned_away_without_a_cause(record: Record, call: Call, answer: Any) -> Broken:
    """Fair."""
    deployment: Deployment = call.args[1].deployment
    begun = record.begun.get(deployment.id)
    first = deployment.timeline[0].at if deployment.timeline else deployment.requested_at
    asked = record.asked(deployment)
    if deployment.phase not in (Phase.REVERTED, Phase.REJECTED, Phase.STUCK):
        return
    if deployment.phase is Phase.REJECTED and deployment.source is Source.ROLLBACK:
        return  # because of where users are by now
    causes = (
        deployment.id in record.aborted,
        record.behaviour(deployment.image) not in WELL,
        record.behaviour(record.function.live_image) != "healthy" and deployment.phase is Phase.STUCK,
        max(record.refused_at, record.stalled_at) >= asked,
        "never finishes" in record.plan.images.values(),
        record.hands_since(begun.at if begun else asked),
        record.now - (begun.at if begun else (first - START).total_seconds()) >= LONG_SECONDS,
        deployment.phase is Phase.REJECTED
        and (record.held_at >= asked or deployment.image.digest in record.bad),
        record.arrived.get(deployment.image.digest, record.now) >= asked,
        record.put_away.get(deployment.image.digest, NEVER) >= asked,
    )
    if not any(causes):
        yield f"{deployment.id} ended {deployment.phase} without a cause: {deployment.because}"


def _an_abort_that_was_seen_turns_it_round(record: Record, call: Call, answer: Any) -> Broken:
    """S4."""
    deployment: Deployment = call.args[1].deployment
    aborted, looked = record.aborted.get(deployment.id), record.looked.get(call.invocation.name, 0)
    if deployment.id in record.orphans:
        return  # it was deleted, and begins anew
    if deployment.phase is Phase.SUCCEEDED and aborted is not None and aborted < looked:
        yield f"{deployment.id} ended SUCCEEDED, and a person had aborted it"


def _too_many_reverts_hold(record: Record, call: Call, answer: Any) -> Broken:
    """S4."""
    deployment: Deployment = call.args[1].deployment
    reverts = record.in_a_row(deployment)
    if 0 < MOST_REVERTS <= reverts and reverts > record.reverts and record.ledger.book.hold is None:
        yield f"{deployment.id} is the {reverts}th in a row that did not stay, and nothing is held"


# -- commands


def _followed_once(record: Record, call: Call, answer: Any) -> Broken:
    """Once."""
    if answer and call.args[0].asked.request in record.followed:
        yield f"{call.args[0].asked.request} was followed twice"


def _a_rollback_holds(record: Record, call: Call, answer: Any) -> Broken:
    """S4."""
    wish = call.args[0].wish
    if answer and wish and wish.source is Source.ROLLBACK and record.ledger.book.hold is None:
        yield f"{wish.id} takes users back, and nothing is held"


# -- what is told


def _a_try_tells_everywhere_it_can(record: Record, call: Call, answer: Any) -> Broken:
    """L2."""
    notice: Notice = call.args[0]
    if _of_an_end_that_was_deleted(record, notice):
        return
    failed = {channel for channel, _ in notice.errors}
    for channel in Channel:
        told = notice.deployment.id in record.told[channel]
        if channel in notice.done and not told:
            yield f"the end of {notice.deployment.id} counts as told by {channel}, and was not"
        out_of_time = call.invocation.ends - record.now < RESERVE_SECONDS
        if channel not in notice.done and channel not in failed and not out_of_time:
            yield f"a try to tell of {notice.deployment.id} passed over {channel}"


def _what_is_forgotten_was_told(record: Record, call: Call, answer: Any) -> Broken:
    """L2."""
    notice: Notice = call.args[0]
    if _of_an_end_that_was_deleted(record, notice):
        return
    for channel, told in record.told.items():
        if notice.deployment.id not in told | record.not_to_tell:
            yield f"the end of {notice.deployment.id} is forgotten, and was not told by {channel}"


def _of_an_end_that_was_deleted(record: Record, notice: Notice) -> bool:
    """A person deleted it, and the deployment has ended anew: the ledger takes no more of the first (a
    contract test holds it to that), so nothing of it counts."""
    ended = record.ended.get(notice.deployment.id)
    return ended is not None and ended.deployment.since != notice.deployment.since


def _what_was_told_is_not_told_again(channel: Channel) -> Callable[[Record, Call, Any], Broken]:
    def rule(record: Record, call: Call, answer: Any) -> Broken:
        """L2."""
        told = call.args[0]
        about = json.loads(told.detail)["deployment"] if channel is Channel.EVENT else told.thread
        known = None if call.invocation.alarm else record.known_told.get((about, channel))
        if known is not None and known < record.looked.get(call.invocation.name, 0):
            yield f"the end of {about} is told by {channel} again"

    return rule


# -- leases and revisions


def _a_lease_changes_hands_fairly(record: Record, call: Call, answer: Any) -> Broken:
    """S5."""
    if answer is None or record.lease is None or record.lease.holder == answer.holder:
        return
    holder = record.holders.get(record.lease.token)
    if holder and not holder.dead and not holder.frozen:
        yield f"{call.invocation.name} took the lease from {holder.name}, which is at work"


def _only_its_holder_gives_a_lease_back(record: Record, call: Call, answer: Any) -> Broken:
    """S5."""
    given = call.args[0].token
    if record.lease and record.ledger.held_lease is None and record.lease.token != given:
        yield f"{call.invocation.name} gave back lease {record.lease.token}, and had lease {given}"


def _only_the_newest_lease_writes(record: Record, call: Call, answer: Any) -> Broken:
    """S5."""
    if call.args[0].token != record.token:
        yield f"{call} was written under lease {call.args[0].token}; the newest is {record.token}"


def _written_as_seen(kind: str) -> Callable[[Record, Call, Any], Broken]:
    def rule(record: Record, call: Call, answer: Any) -> Broken:
        """S5."""
        name = call.invocation.name
        if name not in record.tokens:
            yield f"{name} changed the function without a lease: {call}"
            return
        read = record.reads.get((name, kind, call.args[-1]))
        writes = record.alias_writes if kind == "alias" else record.code_writes
        if read is None or read.writes != writes:
            yield f"{name}: {call} changed what somebody else has changed since it was read"
        elif read.superseded:
            yield f"{name}: {call} was decided by what was read after the lease had gone to somebody else"
        elif record.superseded(call.invocation):
            record.in_flight += 1

    return rule


# -- ends of invocations


def when_done(record: Record, invocation: Invocation) -> Violation | None:
    """Judge an invocation that is content with itself."""
    record.checks += 1
    stimulus = record.stimuli.get(invocation.name)
    if invocation.alarm and invocation.holder not in record.rung:
        return Violation("L2", f"{invocation.name} is done with an alarm, and nobody was told of it")
    if stimulus is None or stimulus.does != "event" or image(stimulus.image) in record.gone:
        return None
    on_record = any(
        deployment.image == image(stimulus.image)
        and (deployment.phase not in ENDED or _at(deployment) >= stimulus.pushed - 5)
        for deployment in (*record.book.open, *(end.deployment for end in record.ended.values()))
    )
    if on_record:
        return None
    return Violation(
        "L1", f"{invocation.name} has handled a push of {stimulus.image}, and nothing tells of it"
    )


def _at(deployment: Deployment) -> float:
    return (deployment.since - START).total_seconds()


# -- when the world is quiet


def at_quiescence(record: Record) -> Violation | None:
    """Judge what everything came to."""
    for invariant, rule in AT_REST:
        record.checks += 1
        for how in rule(record):
            return Violation(invariant, how)
    return None


def _nothing_is_open(record: Record) -> Broken:
    """L1."""
    for deployment in record.book.open:
        yield f"{deployment.id} is {deployment.phase} for ever"


def _all_is_told(record: Record) -> Broken:
    """L2."""
    for deployment in record.ended:
        for channel, told in record.told.items():
            if deployment not in told | record.not_to_tell:
                yield f"nobody was told of the end of {deployment} by {channel}"
    for notice in record.book.notices:
        yield f"the notice of {notice.deployment.id} waits for ever"


def _every_alarm_is_told_or_kept(record: Record) -> Broken:
    """L2."""
    for name, stimulus in record.stimuli.items():
        if stimulus.does == "alarm" and stimulus.request not in record.rung | record.given_up:
            yield f"nobody was told of {name}, and its event is not kept"


def _the_tag_is_dealt_with(record: Record) -> Broken:
    """L1."""
    tagged = record.tag
    if tagged is None or record.book.hold or record.function.live_image.digest == tagged:
        return
    if tagged in record.settled_by_hand:
        return
    ends = [
        end
        for end in record.ended.values()
        if end.deployment.image.digest == tagged
        and end.deployment.phase is not Phase.SUPERSEDED
        and not (end.held and end.deployment.phase is Phase.REJECTED)
    ]
    last = max(ends, key=lambda end: end.at, default=None)
    if last is None:
        was_live = record.plan.begins_with == "base" and tagged == image("base").digest
        if not (was_live and _taken_elsewhere(record, 0)):
            yield f"the release tag points at {tagged[:19]}…, and no deployment has dealt with it"
    elif last.deployment.phase is Phase.SUCCEEDED and not _taken_elsewhere(
        record, record.asked(last.deployment)
    ):
        yield f"the release tag points at {tagged[:19]}…, which was live once, and users are on another"


def _taken_elsewhere(record: Record, since: float) -> bool:
    """Has a person taken users to something that the tag does not know of?"""
    asked = any(end.deployment.source in ASKED and end.at > since for end in record.ended.values())
    return asked or record.hands_since(since)


def _latest_is_live(record: Record) -> Broken:
    """S2."""
    last = max(record.begun.values(), key=lambda begun: begun.at, default=None)
    if last is None or record.hands_since(last.at) or record.function.code == record.function.live_image:
        return
    ended = record.ended.get(last.deployment.id)
    if ended and (
        ended.deployment.phase is Phase.STUCK
        or _tells_of_latest(ended.deployment)
        or _told_of_latest(record, ended)
    ):
        return
    yield (
        f"$LATEST is on {record.function.code}, users are on {record.function.live_image}, "
        f"and {last.deployment.id} ended {ended.deployment.phase if ended else 'never'}"
    )


def _tells_of_latest(deployment: Deployment) -> bool:
    """Does it say that `$LATEST` is elsewhere?"""
    return any("$LATEST is " in warning for warning in deployment.warnings)


def _told_of_latest(record: Record, left: End) -> bool:
    """Superseded, it left `$LATEST` to what came next. Did that one say so when it was turned away? If the
    tag left that one, too, nobody says so: a gap that docs/testing.md names."""
    return any(
        end.at >= left.at
        and end.deployment.id not in record.begun
        and (end.deployment.phase is Phase.SUPERSEDED or _tells_of_latest(end.deployment))
        for end in record.ended.values()
    )


def _settings_are_dealt_with(record: Record) -> Broken:
    """L1."""
    latest, live, book = record.function.latest(), record.function.live(), record.book
    if record.plan.begins_with != "base" or book.hold or latest.image != live.image:
        return
    if latest.status is not UpdateStatus.SUCCESSFUL or latest.configuration == live.configuration:
        return
    if book.configured != latest.configuration.fingerprint:
        yield "somebody changed a setting, users do not have it, and no deployment has dealt with it"


def _users_are_on_nothing_that_was_taken_back(record: Record) -> Broken:
    """S1."""
    for end in record.ended.values():
        begun = record.begun.get(end.deployment.id)
        if begun is None or end.deployment.phase not in (Phase.REVERTED, Phase.SUPERSEDED):
            continue
        later = record.last_begun > end.at
        moved_since = max(record.hand_on_live, record.stale_on_live) >= begun.at
        if not later and record.function.alias != begun.live and not moved_since:
            yield f"{end.deployment.id} ended {end.deployment.phase}, and live is on {record.function.alias}"


Rule = Callable[[Record, Call, Any], Broken]

RULES: dict[str, tuple[tuple[str, Rule], ...]] = {
    "point_live": (
        ("S1", _live_moves_where_it_may),
        ("S3", _no_digest_in_quarantine_goes_live),
        ("S5", _written_as_seen("alias")),
    ),
    "update_code": (("S5", _written_as_seen("code")),),
    "publish": (("S5", _written_as_seen("code")),),
    "record": (
        ("S3", _no_digest_in_quarantine_begins),
        ("S4", _nothing_begins_under_a_hold),
        ("L1", _what_begins_is_what_the_tag_points_at),
        ("S5", _one_at_a_time),
        ("S5", _what_a_person_deleted_stays_deleted),
        ("S5", _only_the_newest_lease_writes),
    ),
    "forget": (("S5", _only_the_newest_lease_writes),),
    "end": (
        ("S5", _only_the_newest_lease_writes),
        ("S1", _live_is_where_the_end_says),
        ("S2", _latest_is_live_at_an_end),
        ("S3", _what_was_seen_to_fail_is_in_quarantine),
        ("S4", _an_abort_that_was_seen_turns_it_round),
        ("S4", _too_many_reverts_hold),
        ("Fair", _nobody_is_turned_away_without_a_cause),
    ),
    "ask": (("Once", _followed_once), ("S4", _a_rollback_holds)),
    "hold": (("Once", _followed_once),),
    "resume": (("Once", _followed_once),),
    "abort": (("Once", _followed_once),),
    "unsent": (("L2", _a_try_tells_everywhere_it_can),),
    "sent": (("L2", _what_is_forgotten_was_told),),
    "send": (("L2", _what_was_told_is_not_told_again(Channel.MAIL)),),
    "chat": (("L2", _what_was_told_is_not_told_again(Channel.CHAT)),),
    "announce": (("L2", _what_was_told_is_not_told_again(Channel.EVENT)),),
    "acquire": (("S5", _a_lease_changes_hands_fairly),),
    "release": (("S5", _only_its_holder_gives_a_lease_back),),
}

AT_REST: tuple[tuple[str, Callable[[Record], Broken]], ...] = (
    ("L1", _nothing_is_open),
    ("L2", _all_is_told),
    ("L2", _every_alarm_is_told_or_kept),
    ("L1", _the_tag_is_dealt_with),
    ("L1", _settings_are_dealt_with),
    ("S2", _latest_is_live),
    ("S1", _users_are_on_nothing_that_was_taken_back),
)
