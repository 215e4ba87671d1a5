"""What really happened, as the world itself saw it. The invariants are judged by this, never by what the
deployer says of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployer.model import Book, Channel, Command, Deployment, Image, Phase, Source
from deployer.ports import Answer, Lease
from deployer.rollout import ENDED, underway
from deployer.smoke import Check, judge
from tests.fakes import START, TAG, FakeFunction, FakeLedger, FakeRegistry, image
from tests.simulation.plan import Plan, Stimulus

if TYPE_CHECKING:
    from tests.simulation.world import Invocation, TrueTime

# Calls that change nothing. Whatever is not named here is taken for a write, and checked.
READS = frozenset(
    {
        "look",
        "tagged",
        "artifact",
        "present",
        "latest",
        "version",
        "live",
        "live_revision",
        "quarantine",
        "quarantines",
        "history",
        "beginning",
        "find",
        "invoke",
        "command",
    }
)
_CHECK = Check(json={"status": "ok"})
NEVER = -1.0
WELL = ("healthy", "slow to wake")


@dataclass
class Call:
    """One call through a port."""

    invocation: Invocation
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        words = (_brief(each) for each in (*self.args, *self.kwargs.values()))
        return f"{self.name}({', '.join(word for word in words if word)})"


def _brief(given: object) -> str:
    match given:
        case Deployment():
            return f"{given.id[-8:]} {given.phase}"
        case Lease():
            return f"lease {given.token}"
        case str() | Image():
            return str(given)
        case _:
            return ""


@dataclass(frozen=True)
class Read:
    """A RevisionId that somebody has read: what had been written by then, and under which lease."""

    writes: int
    superseded: bool


@dataclass(frozen=True)
class End:
    """A deployment that ended."""

    deployment: Deployment
    at: float
    held: bool  # deployments were held then, and nothing else spoke against it


@dataclass
class Begun:
    """A deployment that began to touch the function."""

    deployment: Deployment
    at: float  # when it looked where live was, just before
    live: str  # the version that was live then


class Record:
    """The world's own record of one schedule, and how the world was before the call that is judged."""

    def __init__(
        self,
        function: FakeFunction,
        registry: FakeRegistry,
        ledger: FakeLedger,
        clock: TrueTime,
        plan: Plan,
    ) -> None:
        self.function, self.registry, self.clock, self.plan = function, registry, clock, plan
        self.ledger: FakeLedger = ledger
        self.calls = self.checks = self.writes = 0
        self.in_flight = 0  # writes that were under way when their writer's lease was superseded
        self.stimuli: dict[str, Stimulus] = {}  # by the invocation that they led to
        # Deployments
        self.begun: dict[str, Begun] = {}
        self.ended: dict[str, End] = {}
        self.last_begun = 0.0  # of all that ever began; `begun` forgets one whose end somebody deleted
        self.told: dict[Channel, set[str]] = {channel: set() for channel in Channel}  # of which ends
        self.known_told: dict[tuple[str, Channel], float] = {}  # of an end, where: since when it is on record
        self.rung: set[str] = set()  # requests of alarms that people were told of
        self.given_up: set[str] = set()  # requests that Lambda tries no more: dead letters
        self.followed: set[str] = set()  # requests of commands
        self.aborted: dict[str, float] = {}  # by deployment: when a person wanted it turned round
        self.looked: dict[str, float] = {}  # by invocation: when it read the ledger last
        self.reverts = 0  # deployments in a row that did not stay
        self.answers: dict[tuple[str, str], tuple[float, bool]] = {}  # by invocation and version number
        self.carried: dict[str, str] = {}  # by invocation: the deployment it has written down last
        self.tags_seen: set[tuple[str, str | None]] = set()  # by invocation: where it saw the release tag
        self.lives_seen: dict[str, tuple[float, str]] = {}  # by invocation: when it saw live, and where
        # Leases and revisions
        self.tokens: dict[str, int] = {}  # by invocation: the lease it has
        self.holders: dict[int, Invocation] = {}
        self.alias_writes = self.code_writes = 0
        self.reads: dict[tuple[str, str, str], Read] = {}  # by invocation, "alias" or "code", and RevisionId
        # What a person did to the ledger
        self.taken_out: set[str] = set()  # deployments that were deleted while they were open
        self.orphans: dict[str, Begun] = {}  # those of them that were under way
        self.gone: set[Image] = set()  # of deployments that were deleted
        self.not_to_tell: set[str] = set()  # deployments whose notice was deleted
        self.put_away: dict[str, float] = {}  # by digest: when its quarantine was
        self.settled_by_hand: set[str] = set()  # digests
        self.versions: dict[str, str | None] = {}  # by deployment: its candidate, as written down last
        # What is nobody's promise
        self.hand_on_live = self.hand_on_code = self.stale_on_live = self.stale_on_code = NEVER
        self.refused_at = self.stalled_at = self.held_at = NEVER
        self.deleted: set[str] = set()
        self.arrived: dict[str, float] = {}  # by digest: when it came into the registry
        self.broken: set[Image] = set()
        self.look()

    @property
    def now(self) -> float:
        return self.clock.seconds

    def look(self) -> None:
        """Keep how the world is now, for the judgement of the next call."""
        self.live: str = self.function.alias
        self.code: Image = self.function.code
        self.book: Book = self.ledger.book
        self.token: int = self.ledger.token
        self.lease: Lease | None = self.ledger.held_lease
        self.bad = frozenset(self.ledger.quarantined)
        self.tag: str | None = self.registry.tags.get(TAG)

    def by_hand(self, *, live: bool = False, code: bool = False) -> None:
        """A person has changed the function."""
        if live:
            self.hand_on_live = self.now
            self.alias_writes += 1
        if code:
            self.hand_on_code = self.now
            self.code_writes += 1

    def take_out(self, deployment: Deployment) -> None:
        """A person has deleted it from what is open. Where it was going, nobody brings it now."""
        self.taken_out.add(deployment.id)
        self.gone.add(deployment.image)
        begun = self.begun.pop(deployment.id, None)
        if begun:
            self.orphans[deployment.id] = begun
            self.hand_on_live = self.hand_on_code = self.now

    def refused(self, invocation: Invocation) -> None:
        """AWS said no, for good."""
        self.refused_at = self.now

    def superseded(self, invocation: Invocation) -> bool:
        """Has somebody else the lease now?"""
        return self.tokens.get(invocation.name, self.ledger.token) < self.ledger.token

    def read(self, call: Call, answer: Any) -> None:
        """Somebody has read something."""
        who = call.invocation
        if call.name == "look":
            self.looked[who.name] = self.now
        elif call.name == "live":
            self.lives_seen[who.name] = (self.now, answer.number)
        elif call.name == "latest":
            self.reads[who.name, "code", answer.revision] = Read(self.code_writes, self.superseded(who))
        elif call.name == "live_revision":
            self.reads[who.name, "alias", answer] = Read(self.alias_writes, self.superseded(who))
        elif call.name == "tagged" and call.args[0] == TAG:
            self.tags_seen.add((who.name, answer))
        elif call.name == "invoke" and isinstance(answer, Answer):
            right, _ = judge(_CHECK, answer, 0)
            if call.args[0] != "live":
                self.answers[who.name, call.args[0]] = (self.now, right)

    def wrote(self, call: Call, answer: Any) -> None:
        """Somebody has written something."""
        if self.book.hold or self.ledger.book.hold:
            self.held_at = self.now
        who = call.invocation
        if call.name not in ("acquire", "release"):
            self.writes += 1
        self._changed(call.name, who)
        match call.name:
            case "acquire" if answer:
                self.tokens[who.name] = answer.token
                self.holders[answer.token] = who
            case "release":
                self.tokens.pop(who.name, None)
            case "record":
                self._recorded(who, call.args[1])
            case "end":
                self._ended(call.args[1].deployment)
            case "ask" | "hold" | "resume" | "abort" if answer:
                self._followed(call.name, call.args[0])
            case "request" if answer:
                self._noted(call.args[0])
            case "send" if who.alarm:
                self.rung.add(who.holder)
            case "chat" if who.alarm:
                pass
            case "unsent" | "send" | "chat" | "announce":
                self._told(call.name, call.args[0])
        self.look()

    def _told(self, name: str, about: Any) -> None:
        match name:
            case "unsent":
                for channel in about.done:
                    self.known_told.setdefault((about.deployment.id, channel), self.now)
            case "send":
                self.told[Channel.MAIL].add(about.thread)
            case "chat":
                self.told[Channel.CHAT].add(about.thread)
            case "announce":
                self.told[Channel.EVENT].add(json.loads(about.detail)["deployment"])

    def _changed(self, name: str, who: Invocation) -> None:
        if name == "update_code":
            self.code_writes += 1
            if self.superseded(who):
                self.stale_on_code = self.now
        if name == "point_live":
            self.alias_writes += 1
            if self.superseded(who):
                self.stale_on_live = self.now

    def _noted(self, deployment: Deployment) -> None:
        """A new one; also one that was there before, if a person has deleted what was known of it."""
        self.taken_out.discard(deployment.id)
        self.begun.pop(deployment.id, None)
        self.ended.pop(deployment.id, None)
        if not any(abort.deployment == deployment.id for abort in self.ledger.book.aborts):
            self.aborted.pop(deployment.id, None)

    def _recorded(self, who: Invocation, deployment: Deployment) -> None:
        self.carried[who.name] = deployment.id
        self.versions[deployment.id] = deployment.version
        if deployment.phase is not Phase.REQUESTED and deployment.id not in self.begun:
            at, live = self.lives_seen.get(who.name, (self.now, self.function.alias))
            self.begun[deployment.id] = Begun(deployment, at, live)
            self.last_begun = max(self.last_begun, at)

    def _followed(self, verb: str, command: Command) -> None:
        self.followed.add(command.asked.request)
        if verb == "resume":
            self.reverts = 0
        if command.wish:
            self._noted(command.wish)
        if verb == "abort" and command.deployment:
            self.aborted[command.deployment] = self.now

    def _ended(self, deployment: Deployment) -> None:
        if deployment.phase in ENDED and deployment.id not in self.ended:
            self.reverts = self.in_a_row(deployment)
            held = self.ledger.book.hold is not None and not self._speaks_against(deployment)
            self.ended[deployment.id] = End(deployment, self.now, held)
            for channel, told in self.told.items():  # what was told of an end that somebody deleted
                told.discard(deployment.id)
                self.known_told.pop((deployment.id, channel), None)

    def _speaks_against(self, deployment: Deployment) -> bool:
        """Is there another cause than a hold to turn it away?"""
        return (
            self.behaviour(deployment.image) not in WELL
            or deployment.image.digest in self.bad
            or self.arrived.get(deployment.image.digest, self.now) >= self.asked(deployment)
            or max(self.refused_at, self.stalled_at) >= self.asked(deployment)
        )

    # -- questions

    def mover(self, invocation: Invocation) -> Begun | None:
        """The deployment that an invocation works for, if it has begun."""
        carried = self.carried.get(invocation.name, "")
        return self.begun.get(carried) or self.orphans.get(carried)

    def in_a_row(self, ended: Deployment) -> int:
        """How many deployments in a row did not stay, with this one that ends. What a person turned round
        says nothing, nor does a rollback, nor a deployment that never began."""
        if ended.source is Source.ROLLBACK or ended.id in self.aborted or ended.id not in self.begun:
            return self.reverts
        if ended.phase is Phase.SUCCEEDED:
            return 0
        return self.reverts + 1 if ended.phase in (Phase.REVERTED, Phase.STUCK) else self.reverts

    def under_way(self) -> Deployment | None:
        """Before this call."""
        return underway(self.book)

    def verified(self, version: str, since: float) -> bool:
        """Has somebody got a right answer from this version, by its number, as the last of his tries?"""
        return any(
            number == version and right and at >= since for (_, number), (at, right) in self.answers.items()
        )

    def behaviour(self, of: Image) -> str:
        """How it was made to behave, or "broken" since somebody broke or deleted it."""
        if of in self.broken or of.digest in self.deleted:
            return "broken"
        named = (behaviour for name, behaviour in self.plan.images.items() if image(name) == of)
        return next(named, "healthy")

    def asked(self, deployment: Deployment) -> float:
        """When it was asked for, at the earliest: clocks differ."""
        return (deployment.requested_at - START).total_seconds() - 5

    def hands_since(self, at: float) -> bool:
        """Has a person changed the function? Or a request that was in flight when its lease was lost?"""
        return max(self.hand_on_live, self.hand_on_code, self.stale_on_live, self.stale_on_code) >= at
