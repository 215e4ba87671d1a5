"""A trial: a release is pushed, the deployer's process is killed at a call; what came of it is looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count

from deployer.model import Phase
from sandbox.account import Settings
from sandbox.bus import default_bus_rules
from sandbox.door.watching import FunctionCall
from sandbox.server import Sandbox
from sandbox.waiting import until
from tests.kills.naming import name
from tests.whole.team import Mailbox, Team

# As fast as it goes: updates are done at once, and a retry follows right after the failure.
FAST = Settings(update_seconds=0.0, retry_delays=(0.05, 0.05))
# One try, so that an unhealthy image costs no pause. What is tried here is the deployer, not the checks.
CHECKS = '[{"path": "/health", "json": {"status": "ok"}, "tries": 1}]'
ATTEMPTS = 3
"""How often Lambda runs an event that fails."""


class Kind(StrEnum):
    """What becomes of a release that nobody disturbs."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    ONLY_THROUGH_LIVE = "unhealthy through live"

    @property
    def ends(self) -> Phase:
        return Phase.SUCCEEDED if self is Kind.HEALTHY else Phase.REVERTED


_IS_WELL = {
    Kind.HEALTHY: "True",
    Kind.UNHEALTHY: "False",
    Kind.ONLY_THROUGH_LIVE: "not context.invoked_function_arn.endswith(':live')",
}


def service(kind: Kind) -> dict[str, bytes]:
    """The service's handler, in a few lines that start at once."""
    code = f"""
def handler(event, context):
    if {_IS_WELL[kind]}:
        return {{"statusCode": 200, "body": '{{"status": "ok"}}'}}
    return {{"statusCode": 503, "body": '{{"status": "unwell"}}'}}
"""
    return {"lambda_handler.py": code.encode()}


@dataclass(frozen=True)
class Kill:
    """At the process's n-th call: before AWS hears of it, or when it is `done` and the answer gets lost."""

    number: int
    done: bool


@dataclass(frozen=True)
class Outcome:
    """What came of a trial."""

    kind: Kind
    kills: tuple[Kill, ...]
    calls: tuple[str, ...]
    """Names of all calls that came to the door, of all processes."""
    killed_at: tuple[str, ...]
    completed_by: str
    seconds: float
    wrong: tuple[str, ...] = ()
    """In sentences; empty when everything is as it must be."""


@dataclass
class Deployer:
    """The deployer's calls as they come to the door, and the kills that are planned for them."""

    function: str
    kills: list[Kill] = field(default_factory=list)
    calls: list[FunctionCall] = field(default_factory=list)
    killed_at: list[str] = field(default_factory=list)
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, kills: Sequence[Kill]) -> None:
        """Begin anew. Each kill counts the calls of the process that comes after the one before."""
        with self._lock:
            self.kills, self.calls, self.killed_at, self._number = list(kills), [], [], 0

    def passes(self, call: FunctionCall, done: bool) -> bool:
        """A `Watch`."""
        if call.function != self.function:
            return False
        with self._lock:
            if not done:
                self.calls.append(call)
                self._number += 1
            if self.kills[:1] != [Kill(self._number, done)]:
                return False
            del self.kills[0]
            self.killed_at.append(name(call))
            self._number = 0
            return True


class Trials:
    """A stack in which releases are pushed and the deployer is killed. Sweeps come when asked for."""

    def __init__(self, sandbox: Sandbox, stack: str) -> None:
        self._sandbox = sandbox
        self.team = Team(sandbox, stack, Checks=CHECKS)
        self._dynamodb, self._sqs = sandbox.client("dynamodb"), sandbox.client("sqs")
        schedule = self.team.physical("SweepSchedule")
        sandbox.client("events").disable_rule(Name=schedule)
        [self._schedule] = [rule for rule in default_bus_rules() if rule.name == schedule]
        self._mailbox = Mailbox(self.team)
        self._numbers = count(1)
        self.deployer = Deployer(self.team.outputs["DeployerName"])
        sandbox.watch(self.deployer.passes)
        # From the third on, every healthy release finds both marks and a way back.
        for _ in range(2):
            outcome = self.run(Kind.HEALTHY)
            if outcome.wrong:
                raise AssertionError(f"an undisturbed release: {'; '.join(outcome.wrong)}")

    def run(self, kind: Kind, *kills: Kill) -> Outcome:
        """Push a release of this kind, and kill the process of each attempt as planned."""
        revision = f"trial-{next(self._numbers)}"
        before, _ = self.team.where()
        image = self.team.build(revision, service(kind))
        self.deployer.plan(kills)
        began = time.monotonic()
        self.team.upload(image)
        self._wait("the deployer to take up the push and be done")
        calls = list(self.deployer.calls)
        release = _Release(kind, revision, before, image.digest, gives_up=len(kills) >= ATTEMPTS)
        completed_by, sweeps = ("itself", "a retry")[bool(kills)], []
        wrong = self._wrong(release, calls)
        if release.gives_up:
            # The lease outlives its holder until the holder's time would have been over.
            sweeps, held = self._sweep(), self._lease()
            completed_by = "a sweep"
            if held:
                self._let_the_lease_run_out()
                sweeps += self._sweep()
        elif wrong:
            sweeps = self._sweep()
            completed_by = "a sweep"
        seconds = time.monotonic() - began
        calls += sweeps
        wrong = self._wrong(release, calls)
        if self.deployer.kills:
            wrong.append(f"it never came to {self.deployer.kills[0]}")
        return Outcome(
            kind,
            kills,
            tuple(name(call) for call in calls),
            tuple(self.deployer.killed_at),
            completed_by,
            seconds,
            tuple(wrong),
        )

    def sweep(self) -> list[str]:
        """The calls of a sweep."""
        self.deployer.plan(())
        return [name(call) for call in self._sweep()]

    # -- looking

    def _wrong(self, release: _Release, calls: Sequence[FunctionCall]) -> list[str]:
        """What is not as it must be, in sentences."""
        digest, kind = release.digest, release.kind
        book, ended = self.team.ledger.look(), self.team.all_ended(digest)
        live = digest if kind is Kind.HEALTHY else release.before
        tags, where = self.team.tags(), self.team.where()
        may_have_served = {release.before} | (set() if kind is Kind.UNHEALTHY else {digest})
        served = {self._digest(call) for call in calls if call.operation == "UpdateAlias"}
        facts = {
            f"it is still open: {book.open}": not book.open,
            f"{len(ended)} deployments ended": len(ended) == 1,
            f"it ended {[each.phase for each in ended]}": [each.phase for each in ended] == [kind.ends],
            f"live and $LATEST are on {where}, not on {live}": where == (live, live),
            "an image that failed its checks served users": served <= may_have_served,
            f"the lease is held: {self._lease()}": not self._lease(),
            "a message still waits": not book.notices,
            "nobody was told": bool(self._mailbox.about(f"release {release.revision} ")),
            f"the mark live is on {tags.get('live')}": tags.get("live") == live,
            "the quarantine is wrong": bool(self.team.ledger.quarantine(digest))
            is (kind is not Kind.HEALTHY),
        }
        return [problem for problem, right in facts.items() if not right] + self._given_up(release)

    def _given_up(self, release: _Release) -> list[str]:
        """Only an event whose every attempt died may wait in the dead-letter queue."""
        return ["the event was given up"] if self.dead_letters() and not release.gives_up else []

    def dead_letters(self) -> int:
        """How many events the deployer gave up, since this was asked last."""
        found = [
            message
            for queue in ("DeployerDeadLettersUrl", "RuleDeadLettersUrl")
            for message in self._sqs.receive_message(
                QueueUrl=self.team.outputs[queue], MaxNumberOfMessages=10, VisibilityTimeout=43_200
            ).get("Messages", [])
        ]
        return len(found)

    def _digest(self, call: FunctionCall) -> str:
        """What a version that `live` was pointed at is made of."""
        version = call.parameters["FunctionVersion"]
        found = self.team.lambda_.get_function(FunctionName=self.team.function, Qualifier=version)
        return f"sha256:{found['Configuration']['CodeSha256']}"

    # -- time

    def _wait(self, what: str) -> None:
        """Until it has called AWS and no event waits or runs."""
        until(lambda: self.deployer.calls and not self._sandbox.functions.events_under_way, what, 120)

    def _sweep(self) -> list[FunctionCall]:
        self.deployer.calls = []
        self._sandbox.bus.fire(self._schedule)
        self._wait("the sweep")
        return list(self.deployer.calls)

    def _state(self) -> dict[str, dict[str, str]]:
        return {"pk": {"S": f"{self.team.function}#now"}, "sk": {"S": "state"}}

    def _lease(self) -> str | None:
        """Who holds the lease."""
        item = self._dynamodb.get_item(
            TableName=self.team.outputs["LedgerName"], Key=self._state(), ConsistentRead=True
        ).get("Item", {})
        return str(item["lease_holder"]["S"]) if "lease_holder" in item else None

    def _let_the_lease_run_out(self) -> None:
        """It lasts as long as Lambda lets the deployer run, five minutes, which nobody waits for here."""
        ago = datetime.now(UTC) - timedelta(minutes=1)
        self._dynamodb.update_item(
            TableName=self.team.outputs["LedgerName"],
            Key=self._state(),
            UpdateExpression="SET lease_expires = :ago",
            ConditionExpression="attribute_exists(lease_holder)",
            ExpressionAttributeValues={":ago": {"N": str(int(ago.timestamp()))}},
        )


@dataclass(frozen=True)
class _Release:
    """What was pushed: `before` is the digest that was live."""

    kind: Kind
    revision: str
    before: str
    digest: str
    gives_up: bool


@contextmanager
def trials(stack: str) -> Iterator[Trials]:
    """In a sandbox of their own."""
    with Sandbox(settings=FAST) as sandbox:
        yield Trials(sandbox, stack)
