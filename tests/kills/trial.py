"""A trial: a release is pushed, the deployer is killed at a call, and what came of it is looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import Any

from deployer.model import Phase
from sandbox.account import Settings
from sandbox.bus import default_bus_rules
from sandbox.door.watching import FunctionCall
from sandbox.server import Sandbox
from sandbox.waiting import until
from tests.kills.naming import name
from tests.whole.team import Mailbox, Team

# As fast as it goes: updates are done at once, and a retry follows right after the failure.
FAST = Settings(update_seconds=0.0, retry_delays=(0.05, 0.05), throttled_seconds=0.05)
# One try, so that an unhealthy image costs no pause. What is tried here is the deployer, not the checks.
CHECKS = '[{"path": "/health", "json": {"status": "ok"}, "tries": 1}]'
ATTEMPTS = 3
"""How often Lambda runs an event that fails."""

DEAD_LETTERS = ("DeployerDeadLettersUrl", "RuleDeadLettersUrl")


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
    calls: tuple[FunctionCall, ...]
    """All that came to the door, of all processes."""
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


def dead_letters(team: Team, sqs: Any) -> int:
    """How many events the deployer, or EventBridge before it, gave up."""
    asked = "ApproximateNumberOfMessages"
    found = [
        sqs.get_queue_attributes(QueueUrl=team.outputs[queue], AttributeNames=[asked])["Attributes"][asked]
        for queue in DEAD_LETTERS
    ]
    return sum(int(number) for number in found)


class Trials:
    """A stack in which releases are pushed and the deployer is killed. Sweeps come when asked for."""

    def __init__(self, sandbox: Sandbox, stack: str) -> None:
        self._sandbox = sandbox
        # Trials fail on purpose, one after the other: the deployer must not hold itself for that.
        self.team = Team(sandbox, stack, Checks=CHECKS, HoldAfterReverts="0")
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
            self.calls(Kind.HEALTHY)

    def run(self, kind: Kind, *kills: Kill) -> Outcome:
        """Push a release of this kind, and kill the process of each attempt as planned."""
        revision = f"trial-{next(self._numbers)}"
        before, _ = self.team.where()
        image = self.team.build(revision, service(kind))
        gives_up = len(kills) >= ATTEMPTS
        letters = self._dead_letters() + gives_up
        release = _Release(kind, revision, before, image.digest, letters)
        self.deployer.plan(kills)
        began = time.monotonic()
        self.team.upload(image)
        self._wait("the deployer to take up the push and be done")
        calls = list(self.deployer.calls)
        completed_by = "a retry" if kills else "itself"
        wrong = self._wrong(release, calls)
        if wrong and gives_up:
            completed_by = "a sweep"
            calls += self._sweep()
            if self._lease():
                # It outlives its holder until Lambda would have ended that one; before, no sweep can help.
                self._let_the_lease_run_out()
                calls += self._sweep()
        elif wrong:
            completed_by = "a sweep"
            calls += self._sweep()
        seconds = time.monotonic() - began
        wrong = wrong and self._wrong(release, calls)
        if self.deployer.kills:
            wrong.append(f"it never came to {self.deployer.kills[0]}")
        return Outcome(
            kind,
            kills,
            tuple(calls),
            tuple(self.deployer.killed_at),
            completed_by,
            seconds,
            tuple(wrong),
        )

    def calls(self, kind: Kind) -> list[FunctionCall]:
        """What a release of this kind calls. Raises AssertionError if it comes out wrong undisturbed."""
        outcome = self.run(kind)
        if outcome.wrong:
            raise AssertionError(f"an undisturbed release, {kind}: {'; '.join(outcome.wrong)}")
        return list(outcome.calls)

    def sweep(self) -> list[FunctionCall]:
        """What a sweep calls."""
        self.deployer.plan(())
        return self._sweep()

    # -- looking

    def _wrong(self, release: _Release, calls: Sequence[FunctionCall]) -> list[str]:
        """What is not as it must be, in sentences."""
        digest, kind = release.digest, release.kind
        book, last = self.team.ledger.look(), self.team.ledger.history(5)
        ended = [deployment for deployment in last if deployment.image.digest == digest]
        live = digest if kind is Kind.HEALTHY else release.before
        marked, where = self._marked(), self.team.where()
        may_have_served = {release.before} | (set() if kind is Kind.UNHEALTHY else {digest})
        served = {self._digest(call) for call in calls if call.operation == "UpdateAlias"}
        facts = {
            f"{len(book.open)} are still open": not book.open,
            f"{len(ended)} deployments ended": len(ended) == 1,
            f"it ended {[each.phase for each in ended]}": [each.phase for each in ended] == [kind.ends],
            f"live and $LATEST are on {where}, not on {live}": where == (live, live),
            "an image that failed its checks served users": served <= may_have_served,
            f"the lease is held: {self._lease()}": not self._lease(),
            "a message still waits": not book.notices,
            "nobody was told": bool(self._mailbox.about(f"release {release.revision} ")),
            f"the mark live is on {marked}": marked == live,
            "the quarantine is wrong": bool(self.team.ledger.quarantine(digest))
            is (kind is not Kind.HEALTHY),
            "the event was given up, or was not": self._dead_letters() == release.letters,
        }
        return [problem for problem, right in facts.items() if not right]

    def _marked(self) -> str:
        """The digest of the mark `live`, which is there from the first release on."""
        found = self.team.ecr.describe_images(
            repositoryName=self.team.repository, imageIds=[{"imageTag": "live"}]
        )
        return str(found["imageDetails"][0]["imageDigest"])

    def _dead_letters(self) -> int:
        return dead_letters(self.team, self._sqs)

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
    letters: int
    """How many dead letters there are to be: one more than before, if every attempt dies."""


@contextmanager
def trials(stack: str) -> Iterator[Trials]:
    """In a sandbox of their own."""
    with Sandbox(settings=FAST) as sandbox:
        yield Trials(sandbox, stack)
