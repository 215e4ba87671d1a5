"""Observe, decide, perform, look again: the shell around `rollout.decide`.

Nothing here decides what a deployment does. It reads the world, hands it to the core, writes down what the
core says, and performs one action. Whatever interrupts it, the next `settle` (Lambda's retry of the event,
the next event, the next sweep) goes on from what is really there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from deployer import orders, rollout
from deployer.announcement import announcement
from deployer.message import about_alarm, compose
from deployer.model import (
    Alarm,
    Asked,
    Book,
    Channel,
    Command,
    Deployment,
    Hold,
    Image,
    Limits,
    Marks,
    Notice,
    Origin,
    Phase,
    Place,
    Situation,
    Source,
    Version,
    View,
    deployment_id,
)
from deployer.orders import Senseless
from deployer.ports import (
    Announcer,
    Answer,
    AskedBefore,
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
from deployer.rollout import Action, MarkImage, PointLive, Publish, RunChecks, Step, UpdateCode, Wait
from deployer.smoke import INVOCATION_SECONDS, Check, run_checks
from deployer.text import line

# Below this many seconds of Lambda time nothing new is begun; the next sweep goes on. One invocation of the
# service must be over, and written down, before Lambda's time is.
RESERVE_SECONDS = INVOCATION_SECONDS + 10
# Among so many of the last deployments a late event looks for a sweep that was quicker.
_RECENT = 10
# Among so many a rollback looks for the last good version.
_REMEMBERED = 100
# So often a command is decided again when somebody changes what it is about.
_DECISIONS = 5
# So many undelivered messages are tried again in one invocation, after its work.
_MOST_NOTICES = 3
_ERROR = 500  # bytes of why something could not be told
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
    placeholders: frozenset[str]  # digests of the images that a stack begins with
    limits: Limits
    place: Place  # for what people and programs are told


@dataclass(frozen=True)
class Ports:
    """The world."""

    function: Function
    registry: Registry
    ledger: Ledger
    notifier: Notifier
    announcer: Announcer
    clock: Clock


class Journal:
    """Is told what happens, for logs and metrics. This one does not listen."""

    def step(self, deployment: Deployment, step: Step) -> None:
        """The core decided this."""

    def ended(self, deployment: Deployment) -> None:
        """A deployment ended."""

    def note(self, message: str, deployment: Deployment | None = None) -> None:
        """Something else that somebody reading the log wants to know."""

    def undelivered(self, notice: Notice, channel: Channel, error: Exception) -> None:
        """A try to tell of an end failed; the notice is kept, and the sweep tries again."""

    def given_up(self, notice: Notice, channel: Channel) -> None:
        """An end is not told there any more."""

    def unprotected(self, error: Exception) -> None:
        """What is live, or was before, has no tag that keeps it from expiring; the sweep tries again."""


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
        known = (*self.ledger.look().open, *self.ledger.history(_RECENT))
        if deployment.source is Source.PUSH and rollout.covered(deployment, known):
            self.journal.note("the sweep saw this push before its event came", deployment)
        elif not self.ledger.request(deployment):
            self.journal.note("this push was noted before", deployment)
        self.settle()

    def hold(self, asked: Asked) -> Hold:
        """Freeze deployments. One that is under way ends first; no other begins.

        All commands raise `Senseless` when they make no sense as things are, and are followed once however
        often the same request comes.
        """
        command = self._follow(
            "hold", asked, lambda book, now: orders.hold(asked, book, now), self.ledger.hold
        )
        return _hold_of(command)

    def resume(self, asked: Asked) -> Hold:
        """Lift the hold, and take up what was pushed meanwhile."""
        command = self._follow(
            "resume", asked, lambda book, now: orders.resume(asked, book, now), self.ledger.resume
        )
        self.sweep()
        return _hold_of(command)

    def abort(self, asked: Asked, deployment: str | None) -> Deployment:
        """Turn round the deployment that is under way, and see to it that it ends."""
        return self._see_to(
            self._follow(
                "abort",
                asked,
                lambda book, now: orders.abort(asked, book, now, deployment),
                self.ledger.abort,
            )
        )

    def deploy(self, asked: Asked, image: Image, source: Source, passes: str | None) -> Deployment:
        """Deploy an image by its digest: `source` is DEPLOY or RETRY. `passes` names the hold it may pass."""

        def decide(book: Book, now: datetime) -> Command:
            quarantine = self.ledger.quarantine(image.digest)
            return orders.deploy(asked, book, now, image, source, passes=passes, quarantine=quarantine)

        return self._see_to(self._follow(source.value, asked, decide, self.ledger.ask))

    def rollback(self, asked: Asked, to: str | Image | None) -> Deployment:
        """Take users back, and hold deployments. `to` is the number of a version, an image that was live, or
        None for the last version that was good."""

        def decide(book: Book, now: datetime) -> Command:
            live, history = self.ports.function.live(), self.ledger.history(_REMEMBERED)
            target = self._target(live, to, history)
            quarantine = self.ledger.quarantine(target.image.digest) if target and to else None
            named = to is not None
            command = orders.rollback(asked, book, now, live, target, quarantine=quarantine, named=named)
            return _with_origins(command, live, history)

        return self._see_to(self._follow("rollback", asked, decide, self.ledger.ask))

    def _target(self, live: Version, to: str | Image | None, history: Sequence[Deployment]) -> Version | None:
        if to is None:
            for version in orders.earlier(live, history):
                digest = version.image.digest
                if digest not in self.service.placeholders and self.ledger.quarantine(digest) is None:
                    return version
            return None
        number = orders.version_of(to.digest, history) if isinstance(to, Image) else to
        if number is None:
            raise Senseless(f"{to} was not live in the last {_REMEMBERED} deployments: deploy it instead")
        try:
            return self.ports.function.version(number)
        except Refused as error:
            raise Senseless(f"there is no version {number} to go back to: {error}") from error

    def _follow(
        self,
        verb: str,
        asked: Asked,
        decide: Callable[[Book, datetime], Command],
        write: Callable[[Command], bool],
    ) -> Command:
        """Decide a command and write it down, or find that its request was followed before."""
        for _ in range(_DECISIONS):
            known = self.ledger.command(asked.request)
            if known and known.verb != verb:
                raise Senseless(
                    f"request {asked.request} was to {known.verb}: give this command an id of its own"
                )
            if known:
                self.journal.note(f"request {asked.request} to {known.verb} was followed before")
                return known
            command = decide(self.ledger.look(), self.clock.now())
            with suppress(AskedBefore):
                if write(command):
                    self.journal.note(f"{asked.by} asks to {command.verb}: {asked.because}")
                    return command
        raise Senseless("things change faster than the command can be decided; look again, and ask again")

    def _see_to(self, command: Command) -> Deployment:
        self.settle()
        deployment = self.ledger.find(command.deployment) if command.deployment else None
        if deployment is None:
            raise Senseless(f"request {command.asked.request} was to {command.verb}, not about a deployment")
        return deployment

    def alarm(self, alarm: Alarm) -> None:
        """Tell people of an alarm of the service, next to the release that users are on.

        Raises if it cannot be told: then Lambda's retry tells it.
        """
        message = about_alarm(
            alarm,
            self._situation(),
            service=self.service.function,
            place=self.service.place,
            placeholders=self.service.placeholders,
        )
        self.ports.notifier.send(message)
        try:
            self.ports.notifier.chat(message)
        except Exception as error:  # noqa: BLE001 - people know; whatever is wrong with the chat, that is enough
            self.journal.note(f"the chat could not be told of the alarm {alarm.name}: {error}"[:500])

    def _situation(self) -> Situation | None:
        """What users are on and how it came to be, as far as it can be read."""
        try:
            live, book = self.ports.function.live(), self.ledger.look()
            known = (*book.open, *self.ledger.history(_RECENT))
        except Exception as error:  # noqa: BLE001 - an alarm is told, whatever cannot be read beside it
            self.journal.note(f"an alarm is told without what is live: {type(error).__name__}: {error}"[:500])
            return None
        return Situation(live, rollout.brought(live, known), book.hold)

    def settle(self) -> None:
        """Work until nothing is left to do, somebody else is doing it, or Lambda's time is nearly over."""
        while self._work_waits(self.ledger.look()) and self._settle_under_lease(sweeps=False):
            pass

    def sweep(self) -> None:
        """Settle, and look what no event has told: where the release tag is, where the marks are, and whether
        somebody changed the function's settings.

        Only a sweep asks the tag: whoever has just worked would see the next push before its event comes.
        """
        if self._something_waits():
            # Marks that cannot be set now are tried again by the next sweep, not here.
            while self._settle_under_lease(sweeps=True) and self._work_waits(self.ledger.look()):
                pass

    # -- the loop -----------------------------------------------------------------------------------------

    def _work_waits(self, book: Book) -> bool:
        """Is there a request or a notice? Asked again after a lease: somebody may have seen us and left.

        Or is the lease ours although we are not at work? The attempt before this one died with it, and the
        next push would have to wait until it expires.
        """
        return (
            bool(book.open)
            or any(rollout.due(notice, self.clock.now()) for notice in book.notices)
            or book.leased_to == self.holder
        )

    def _something_waits(self) -> bool:
        """Is there anything that only the lease can settle? Reads only: a quiet service's sweep ends here."""
        book = self.ledger.look()
        if self._work_waits(book):
            return True
        try:
            tagged = self.ports.registry.tagged(self.service.release_tag)
            latest, live = self.ports.function.latest(), self.ports.function.live()
        except Refused as error:
            self.journal.note(rollout.refusal(None, str(error)))
            return False
        except LookAgain as error:
            self.journal.note(f"looking again under the lease: {error}")
            return True
        return (
            rollout.sweep_finds(book, tagged)
            or bool(rollout.settings_due(book, latest, live, self.service.placeholders))
            or bool(_marks_due(self.service, self.ports, self.journal))
        )

    def _settle_under_lease(self, *, sweeps: bool) -> bool:
        """True if it ran out of work rather than of time or of its lease."""
        lease = self._acquire()
        if lease is None:
            # The holder looks for new requests after it has released the lease, so ours will be seen.
            self.journal.note("another deployer is at work and will take this up")
            return False
        try:
            return _Turns(self.service, self.ports, self.journal, lease, sweeps=sweeps).run()
        except LeaseLost:
            self.journal.note("another deployer has taken over; leaving everything to it")
            return False
        finally:
            with suppress(LookAgain):  # a lease that cannot be given back expires by itself
                self.ledger.release(lease)

    def _acquire(self) -> Lease | None:
        """The lease, or None. A holder's writes can be in the way for a moment; that is not "held"."""
        for pause in (0.1, 0.2, 0.4):
            with suppress(LookAgain):
                return self._try_to_acquire()
            self.clock.sleep(pause)
        return self._try_to_acquire()

    def _try_to_acquire(self) -> Lease | None:
        now = self.clock.now()
        expires = now + timedelta(seconds=self.clock.remaining() + LEASE_MARGIN_SECONDS)
        return self.ledger.acquire(self.holder, now, expires)


class _Turns:
    """The turns of the loop under one lease."""

    def __init__(
        self, service: Service, ports: Ports, journal: Journal, lease: Lease, *, sweeps: bool
    ) -> None:
        self.service, self.ports, self.journal, self.lease = service, ports, journal, lease
        self.sweeps = sweeps
        self.function, self.registry = ports.function, ports.registry
        self.ledger, self.clock = ports.ledger, ports.clock
        self.refused: str | None = None  # what AWS said to the last action, if it said no
        self.missed: str | None = None  # what AWS said to the last action, if it said "not now"
        self.misses = 0  # turns in a row in which any call was answered so
        self.marked: set[MarkImage] = set()  # under this lease

    def run(self) -> bool:
        """Turn until there is nothing left to do (True) or the time is nearly over (False)."""
        while self.clock.remaining() > RESERVE_SECONDS:
            try:
                if not self._turn():
                    self._tell_again()
                    return True
            except LookAgain as reason:
                self._look_again_because(reason)
            else:
                self.misses = 0
        self.journal.note("out of time; the next sweep goes on from here")
        return False

    def _look_again_because(self, reason: LookAgain) -> None:
        self.misses += 1
        self.journal.note(f"looking again: {reason}")
        self.clock.sleep(min(5.0, 0.1 * 2**self.misses))

    def _turn(self) -> bool:
        """One step of the deployment that is under way, or take up the next. False: nothing to do."""
        book = self.ledger.look()
        deployment = rollout.underway(book)
        if deployment:
            self._advance(deployment, book)
            return True
        # Before the next one is taken up: it would move `live` on, and the marks know only where they were.
        self._mark()
        if self._forget_doubles(book):
            return True
        if not book.open and not self.sweeps:
            return False
        try:
            tagged = self._tagged(book.open)
        except Refused as error:
            for request in book.open:
                self._end(rollout.blinded(request, self._refusal(None, error), self.clock.now()), book)
            return False
        deployment, superseded = rollout.triage(book.open, tagged)
        for request in superseded:
            self._supersede(request, deployment, tagged, book)
        if deployment:
            self._advance(deployment, book)
            return True
        return bool(superseded) or (self.sweeps and self._sweep(book, tagged))

    def _forget_doubles(self, book: Book) -> bool:
        """Drop requests for a push that another deployment is for. True if there was one: look again."""
        if not book.open:
            return False
        known = (*book.open, *self.ledger.history(_RECENT))
        doubles = [request for request in book.open if rollout.doubled(request, known)]
        for request in doubles:
            self.journal.note("another deployment is for this push, too", request)
            self.ledger.forget(self.lease, request)
        return bool(doubles)

    def _tagged(self, waiting: Sequence[Deployment]) -> str | None:
        """Where the release tag is. Not asked for what a person wants: a registry that does not answer must
        not be in a rollback's way."""
        if any(request.source in rollout.ASKED for request in waiting):
            return None
        return self.registry.tagged(self.service.release_tag)

    def _sweep(self, book: Book, tagged: str | None) -> bool:
        """Take up what the release tag points at, or settings that changed, if no event ever told us."""
        now = self.clock.now()
        if tagged and rollout.sweep_finds(book, tagged):
            image = Image(self.service.repository, tagged)
            found = Deployment(deployment_id(now, f"{tagged} {now}"), image, Source.SWEEP, now)
            self.journal.note(f"{self.service.release_tag} points at {image}, and no event said so", found)
            return self.ledger.request(found)
        try:
            latest, live = self.function.latest(), self.function.live()
        except Refused as error:
            self._refusal(None, error)
            return False
        settings = rollout.settings_due(book, latest, live, self.service.placeholders)
        if settings:
            fingerprint = latest.configuration.fingerprint
            found = replace(
                Deployment(deployment_id(now, f"{fingerprint} {now}"), live.image, Source.CONFIGURATION, now),
                why=f"changed: {', '.join(settings)}",
                configuration=fingerprint,
            )
            self.journal.note(f"somebody changed the function's {', '.join(settings)}", found)
            return self.ledger.request(found)
        return False

    def _mark(self) -> None:
        """Put the protecting tags where they are missing. Failing to is in nobody's way: a sweep will try."""
        for due in _marks_due(self.service, self.ports, self.journal):
            if due in self.marked:
                continue  # the registry may show it late
            self.marked.add(due)
            try:
                self.registry.mark(due.digest, due.tag)
            except (LookAgain, Refused) as error:
                self.journal.unprotected(error)

    def _supersede(self, request: Deployment, by: Deployment | None, tagged: str | None, book: Book) -> None:
        step = rollout.supersede(request, by, tagged)
        self.journal.step(request, step)
        self._end(rollout.move(request, step, self.clock.now()), book)

    def _advance(self, deployment: Deployment, book: Book) -> None:
        try:
            view = self._observe(deployment, book)
        except Refused as error:
            self._write_down(rollout.blinded(deployment, self._refusal(None, error), self.clock.now()), book)
            return
        step = rollout.decide(view, self.service.limits)
        self.refused = self.missed = None
        self.journal.step(deployment, step)
        after = rollout.advance(view, step)
        # A write that is tried again is fenced again, between what was read for it and itself: who has lost
        # the lease must not act on a world that its successor has changed meanwhile.
        if after != deployment or isinstance(step.action, UpdateCode | Publish | PointLive):
            self._write_down(after, book, begins=rollout.begins(deployment, after.phase))
        try:
            done = self._perform(step.action, after)
        except Refused as error:
            self.refused = self._refusal(step.action, error)
            return
        except LookAgain as error:
            self.missed = str(error)
            raise
        if done != after:
            self.ledger.record(self.lease, done)

    def _refusal(self, action: Action | None, error: Refused) -> str:
        words = rollout.refusal(action, str(error))
        self.journal.note(words)
        return words

    def _write_down(self, deployment: Deployment, book: Book, *, begins: bool = False) -> None:
        if deployment.phase in rollout.ENDED:
            self._end(deployment, book)
        else:
            self.ledger.record(self.lease, deployment, begins=begins)

    def _end(self, deployment: Deployment, book: Book) -> None:
        conclusion = rollout.conclude(deployment, book, self.service.limits, self.clock.now())
        self.ledger.end(self.lease, conclusion)
        self.journal.ended(conclusion.deployment)
        self._tell(Notice(conclusion.deployment))

    def _tell_again(self) -> None:
        """What could not be delivered before: some of it, now that the work is done, while there is time."""
        waiting = [notice for notice in self.ledger.look().notices if rollout.due(notice, self.clock.now())]
        for notice in waiting[:_MOST_NOTICES]:
            self._tell(notice)

    def _tell(self, notice: Notice) -> None:
        """Tell of an end wherever that is still owed. Failing to is in nobody's way, neither a deployment's
        nor another channel's: the notice stays, and a sweep tries again."""
        done, errors = set(notice.done), []
        for channel in notice.owed:
            if self.clock.remaining() < RESERVE_SECONDS:
                break
            try:
                self._deliver(channel, notice.deployment)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong with a message, deployments go on
                self.journal.undelivered(notice, channel, error)
                errors.append((channel, line(f"{type(error).__name__}: {error}", _ERROR)))
                if rollout.gives_up(notice, channel, self.clock.now()):
                    self.journal.given_up(notice, channel)
                    done.add(channel)
            else:
                done.add(channel)
        after = replace(notice, done=frozenset(done), errors=tuple(errors))
        if not after.owed:
            self.ledger.sent(after)
        elif errors or after.done != notice.done:
            self.ledger.unsent(after, rollout.try_again_at(notice, self.clock.now()))

    def _deliver(self, channel: Channel, deployment: Deployment) -> None:
        names = {"service": self.service.function, "deployer": self.service.deployer}
        match channel:
            case Channel.MAIL:
                self.ports.notifier.send(compose(deployment, **names, place=self.service.place))
            case Channel.CHAT:
                self.ports.notifier.chat(compose(deployment, **names, place=self.service.place))
            case Channel.EVENT:
                told = announcement(deployment, **names, place=self.service.place)
                self.ports.announcer.announce(told)

    # -- observe: reads only --------------------------------------------------------------------------------

    def _observe(self, deployment: Deployment, book: Book) -> View:
        """The world, as far as this phase wants to know it."""
        phase, digest = deployment.phase, deployment.image.digest
        live = self.function.live()
        leaving = phase is Phase.REVERTING and live.number == deployment.version
        moving = leaving or phase in (Phase.VERIFYING, Phase.PROMOTING)
        view = View(
            now=self.clock.now(),
            deployment=deployment,
            latest=self.function.latest(),
            live=live,
            newer=self._newer(deployment, book),
            hold=book.hold,
            abort=next((each for each in book.aborts if each.deployment == deployment.id), None),
            live_revision=self.function.live_revision(live.number) if moving else None,
            refused=self.refused,
            missed=self.missed,
            placeholders=self.service.placeholders,
        )
        if phase is Phase.REQUESTED and deployment.source is Source.ROLLBACK and deployment.version:
            return replace(
                view,
                origin=self._origin_unless_known(deployment.origin, deployment.image),
                before=self._origin_unless_known(deployment.before, live.image),
                quarantine=self.ledger.quarantine(digest),
                way_back=self._present(deployment.image),
                candidate=self.function.version(deployment.version),
            )
        if phase is Phase.REQUESTED:
            return replace(
                view,
                artifact=self.registry.artifact(digest),
                before=self._origin(live.image),
                quarantine=self.ledger.quarantine(digest),
                way_back=self._present(live.image),
            )
        if phase is Phase.UPDATING and deployment.version:
            return replace(view, candidate=self.function.version(deployment.version))
        if phase is Phase.REVERTING:
            previous = deployment.previous
            return replace(
                view,
                way_back=self._present(rollout.way_back(deployment, live)),
                previous=self.function.version(previous.number) if previous and leaving else None,
            )
        return view

    def _present(self, image: Image) -> bool:
        """A registry that does not answer must not keep users on a bad version: then Lambda will say."""
        try:
            return self.registry.present(image.digest)
        except (LookAgain, Refused) as error:
            self.journal.note(f"the registry does not say whether {image} is there: {error}")
            return True

    def _origin(self, image: Image) -> Origin | None:
        """For the message alone: what the registry does not tell is in no deployment's way."""
        try:
            artifact = self.registry.artifact(image.digest)
        except (LookAgain, Refused) as error:
            self.journal.note(f"the registry does not say where {image} comes from: {error}")
            return None
        return artifact.origin if artifact else None

    def _origin_unless_known(self, known: Origin, image: Image) -> Origin | None:
        """A rollback is urgent, and mostly the history has told already."""
        return known if known != Origin() else self._origin(image)

    def _newer(self, deployment: Deployment, book: Book) -> Deployment | None:
        """A request that makes going on with `deployment` pointless. The tag is read only if it matters."""
        if deployment.phase not in (Phase.REQUESTED, Phase.UPDATING, Phase.VERIFYING):
            return None
        waiting = [each for each in book.open if each.phase is Phase.REQUESTED and each != deployment]
        if not waiting:
            return None
        rollbacks = [each for each in waiting if each.source is Source.ROLLBACK]
        return rollout.newer(deployment, waiting, self._tagged([deployment, *rollbacks]))

    # -- perform: one write ----------------------------------------------------------------------------------

    def _perform(self, action: Action | None, deployment: Deployment) -> Deployment:
        """Do it, and give back the deployment with what came of it."""
        match action:
            case UpdateCode(image, architecture, revision):
                self.function.update_code(image, architecture, revision)
                return rollout.record_update(deployment, self.clock.now())
            case Publish(image, revision):
                version = self.function.publish(image, revision)
                fingerprint = version.configuration.fingerprint
                return replace(deployment, version=version.number, configuration=fingerprint)
            case RunChecks():
                verdict = run_checks(self.service.checks, partial(self._invoke, action), self.clock)
                return rollout.record_verdict(deployment, verdict)
            case PointLive(version, revision):
                self.function.point_live(version, revision)
            case Wait(seconds):
                self.clock.sleep(seconds)
            case None:
                pass
        return deployment

    def _invoke(self, checks: RunChecks, payload: bytes) -> Answer:
        """An alias that has just moved may be answered by the version it left: that is no answer of ours."""
        answer = self.function.invoke("live" if checks.through_live else checks.version, payload)
        if answer.executed_version != checks.version:
            raise LookAgain(f"version {answer.executed_version} answered instead of {checks.version}")
        return answer


def _with_origins(command: Command, live: Version, history: Sequence[Deployment]) -> Command:
    """The command, whose wish says where its image and what is live come from, if the history tells."""
    if command.wish is None:
        return command
    told = {deployment.image: deployment.origin for deployment in reversed(history)}
    origin, before = (told.get(image, Origin()) for image in (command.wish.image, live.image))
    return replace(command, wish=replace(command.wish, origin=origin, before=before))


def _hold_of(command: Command) -> Hold:
    if command.hold is None:
        raise Senseless(f"request {command.asked.request} was to {command.verb}, not about a hold")
    return command.hold


def _marks_due(service: Service, ports: Ports, journal: Journal) -> tuple[MarkImage, ...]:
    """The protecting tags that are missing, if the world lets them be seen."""
    try:
        marks = Marks(ports.registry.tagged(rollout.LIVE_TAG), ports.registry.tagged(rollout.PREVIOUS_TAG))
        return rollout.marks_due(ports.function.live(), marks, service.placeholders)
    except (LookAgain, Refused) as error:
        journal.unprotected(error)
        return ()
