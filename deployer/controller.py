"""Observe, decide, perform, look again: the shell around `rollout.decide`.

Nothing here decides what a deployment does. It reads the world, hands it to the core, writes down what the
core says, and performs one action. Whatever interrupts it, the next `settle` (Lambda's retry of the event,
the next event, the next sweep) goes on from what is really there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from deployer import rollout
from deployer.message import compose
from deployer.model import (
    Book,
    Deployment,
    Hold,
    Image,
    Limits,
    Notice,
    Phase,
    Source,
    View,
    deployment_id,
)
from deployer.ports import (
    Clock,
    Function,
    Lease,
    LeaseLost,
    Ledger,
    LookAgain,
    Notifier,
    Refused,
    Registry,
)
from deployer.rollout import Action, PointLive, Publish, RunChecks, Step, UpdateCode, Wait
from deployer.smoke import Check, run_checks

# Below this many seconds of Lambda time nothing new is begun; the next sweep goes on. One invocation of the
# service may take 90 s (`aws.clients`), and must be over and written down before Lambda's time is.
RESERVE_SECONDS = 100
# A lease outlives its holder by this much, so that a holder that is being stopped cannot meet its successor.
LEASE_MARGIN_SECONDS = 10


@dataclass(frozen=True)
class Service:
    """What is deployed, and how it is judged."""

    function: str  # the service function's name, as people read it
    deployer: str  # the Lambda function that takes commands
    repository: str
    release_tag: str
    checks: Sequence[Check]
    placeholder: str  # digest of the image the stack was created with
    limits: Limits


@dataclass(frozen=True)
class Ports:
    """The world."""

    function: Function
    registry: Registry
    ledger: Ledger
    notifier: Notifier
    clock: Clock


class Journal:
    """Is told what happens, for logs and metrics. This one does not listen."""

    def step(self, deployment: Deployment, step: Step) -> None:
        """The core decided this."""

    def ended(self, deployment: Deployment) -> None:
        """A deployment ended."""

    def note(self, message: str, deployment: Deployment | None = None) -> None:
        """Something else that somebody reading the log wants to know."""

    def undelivered(self, notice: Notice, error: Exception) -> None:
        """A message could not be delivered; it is kept and tried again by the sweep."""


class Controller:
    """Brings the service to what was pushed, one deployment at a time."""

    def __init__(self, service: Service, ports: Ports, holder: str, journal: Journal) -> None:
        self.service = service
        self.holder = holder
        self.journal = journal
        self.ports, self.ledger, self.clock = ports, ports.ledger, ports.clock

    # -- what can be asked of it ------------------------------------------------------------------------

    def push(self, deployment: Deployment) -> None:
        """Note a request and see to it that it ends. The same request again does no harm."""
        if not self.ledger.request(deployment):
            self.journal.note("this push was noted before", deployment)
        self.settle()

    def retry(self, image: Image, by: str, event_id: str) -> Deployment:
        """Lift the quarantine of an image and deploy it."""
        now = self.clock.now()
        deployment = Deployment(deployment_id(now, event_id), image, Source.RETRY, now)
        self.ledger.pardon(image.digest)
        self.journal.note(f"{by} lifted the quarantine of {image}", deployment)
        self.push(deployment)
        return self.ledger.find(deployment.id) or deployment

    def hold(self, by: str, because: str) -> Hold:
        """Freeze deployments. One that is under way ends first; no other begins."""
        hold = Hold(by, because, self.clock.now())
        self.ledger.hold(hold)
        self.journal.note(f"{by} holds deployments: {because}")
        return hold

    def resume(self, by: str) -> None:
        """Lift the hold, and take up what was pushed meanwhile."""
        self.ledger.hold(None)
        self.journal.note(f"{by} resumed deployments")
        self.settle()

    def settle(self) -> None:
        """Work until nothing is left to do, somebody else is doing it, or Lambda's time is nearly over."""
        while self._settle_under_lease() and self._waiting():
            pass

    # -- the loop -----------------------------------------------------------------------------------------

    def _settle_under_lease(self) -> bool:
        """True if it ran out of work rather than of time or of its lease."""
        now = self.clock.now()
        expires = now + timedelta(seconds=self.clock.remaining() + LEASE_MARGIN_SECONDS)
        lease = self.ledger.acquire(self.holder, now, expires)
        if lease is None:
            # The holder looks for new requests after it has released the lease, so ours will be seen.
            self.journal.note("another deployer is at work and will take this up")
            return False
        try:
            return _Turns(self.service, self.ports, self.journal, lease).run()
        except LeaseLost:
            self.journal.note("another deployer has taken over; leaving everything to it")
            return False
        finally:
            with suppress(LookAgain):  # a lease that cannot be given back expires by itself
                self.ledger.release(lease)

    def _waiting(self) -> bool:
        """Did a request arrive after the last look, from somebody who saw us at work and went away?"""
        return bool(self.ledger.look().open)


class _Turns:
    """The turns of the loop under one lease."""

    def __init__(self, service: Service, ports: Ports, journal: Journal, lease: Lease) -> None:
        self.service, self.ports, self.journal, self.lease = service, ports, journal, lease
        self.function, self.registry = ports.function, ports.registry
        self.ledger, self.clock = ports.ledger, ports.clock
        self.refused: str | None = None  # what AWS said to the last action, if it said no
        self.misses = 0  # turns in a row in which the world said "not now"

    def run(self) -> bool:
        """Turn until there is nothing left to do (True) or the time is nearly over (False)."""
        for notice in self.ledger.look().notices:
            self._tell(notice)
        while self.clock.remaining() > RESERVE_SECONDS:
            try:
                if not self._turn():
                    return True
            except LookAgain as reason:
                self.misses += 1
                self.journal.note(f"looking again: {reason}")
                self.clock.sleep(min(5.0, 0.1 * 2**self.misses))
            else:
                self.misses = 0
        self.journal.note("out of time; the next sweep goes on from here")
        return False

    def _turn(self) -> bool:
        """One step of the deployment that is under way, or take up the next. False: nothing to do."""
        book = self.ledger.look()
        deployment = rollout.underway(book)
        if deployment is None:
            tagged = self.registry.tagged(self.service.release_tag)
            deployment, superseded = rollout.triage(book.open, tagged)
            for request in superseded:
                self._supersede(request, deployment, tagged, book)
            if deployment is None:
                return bool(superseded) or self._sweep(book, tagged)
        self._advance(deployment, book)
        return True

    def _sweep(self, book: Book, tagged: str | None) -> bool:
        """Take up what the release tag points at, if no event ever told us."""
        if tagged is None or not rollout.sweep_finds(book, tagged):
            return False
        now = self.clock.now()
        image = Image(self.service.repository, tagged)
        deployment = Deployment(deployment_id(now, tagged), image, Source.SWEEP, now)
        self.journal.note(f"{self.service.release_tag} points at {image}, and no event said so", deployment)
        return self.ledger.request(deployment)

    def _supersede(self, request: Deployment, by: Deployment | None, tagged: str | None, book: Book) -> None:
        step = rollout.supersede(by, tagged)
        self.journal.step(request, step)
        self._end(rollout.move(request, step, self.clock.now()), book)

    def _advance(self, deployment: Deployment, book: Book) -> None:
        view = self._observe(deployment, book)
        step = rollout.decide(view, self.service.limits)
        self.refused = None
        self.journal.step(deployment, step)
        after = rollout.advance(view, step)
        if after.phase in rollout.ENDED:
            self._end(after, book)
            return
        if after != deployment:
            self.ledger.record(self.lease, after)
        try:
            done = self._perform(step.action, after)
        except Refused as error:
            self.refused = str(error)
            self.journal.note(f"AWS refused: {error}", after)
            return
        if done != after:
            self.ledger.record(self.lease, done)

    def _end(self, deployment: Deployment, book: Book) -> None:
        self.ledger.end(
            self.lease,
            deployment,
            settles=rollout.settles(deployment, held=book.hold is not None),
            quarantine=rollout.quarantines(deployment),
        )
        self.journal.ended(deployment)
        self._tell(Notice(deployment))

    def _tell(self, notice: Notice) -> None:
        """Deliver a message. Failing to is in nobody's way: the notice stays, and the sweep tries again."""
        message = compose(notice.deployment, service=self.service.function, deployer=self.service.deployer)
        try:
            self.ports.notifier.send(message.subject, message.body)
        except Exception as error:  # noqa: BLE001 - whatever a notifier does wrong, deployments go on
            self.journal.undelivered(notice, error)
            self.ledger.unsent(notice)
        else:
            self.ledger.sent(notice)

    # -- observe: reads only --------------------------------------------------------------------------------

    def _observe(self, deployment: Deployment, book: Book) -> View:
        """The world, as far as this phase wants to know it."""
        phase, digest = deployment.phase, deployment.image.digest
        live = self.function.live()
        moving = phase in (Phase.VERIFYING, Phase.PROMOTING, Phase.REVERTING)
        view = View(
            now=self.clock.now(),
            deployment=deployment,
            latest=self.function.latest(),
            live=live,
            newer=self._newer(deployment, book),
            hold=book.hold,
            live_revision=self.function.live_revision(live.number) if moving else None,
            refused=self.refused,
            placeholder=self.service.placeholder,
        )
        if phase is Phase.REQUESTED:
            return replace(
                view,
                artifact=self.registry.artifact(digest),
                quarantine=self.ledger.quarantine(digest),
                way_back=self.registry.present(live.image.digest),
            )
        if phase is Phase.UPDATING and deployment.version:
            return replace(view, candidate=self.function.version(deployment.version))
        if phase is Phase.REVERTING:
            back_to = rollout.way_back(deployment, live)
            return replace(view, way_back=self.registry.present(back_to.digest))
        return view

    def _newer(self, deployment: Deployment, book: Book) -> Deployment | None:
        """A request that makes going on with `deployment` pointless. The tag is read only if one waits."""
        if not any(request.phase is Phase.REQUESTED and request != deployment for request in book.open):
            return None
        return rollout.newer(deployment, book.open, self.registry.tagged(self.service.release_tag))

    # -- perform: one write ----------------------------------------------------------------------------------

    def _perform(self, action: Action | None, deployment: Deployment) -> Deployment:
        """Do it, and give back the deployment with what came of it."""
        match action:
            case UpdateCode(image, architecture, revision):
                self.function.update_code(image, architecture, revision)
            case Publish(image, revision):
                return replace(deployment, version=self.function.publish(image, revision).number)
            case RunChecks(qualifier):
                verdict = run_checks(
                    self.service.checks, partial(self.function.invoke, qualifier), self.clock
                )
                return rollout.record_verdict(deployment, verdict)
            case PointLive(version, revision):
                self.function.point_live(version, revision)
            case Wait(seconds):
                self.clock.sleep(seconds)
            case None:
                pass
        return deployment
