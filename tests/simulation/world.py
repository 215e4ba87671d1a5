"""The deployer, whole, in a world of its own: real core and controller, in-memory AWS, virtual time.

Each invocation of the deployer is a greenlet. Every call it makes through a port takes a moment on its way
there and a moment back, in which all others go on, and may go wrong as the plan says. Whatever waits stands
in one queue with its time, so the same plan always makes the same story. Time passes only in that queue.

A killed invocation does nothing any more: every call that its `finally` blocks still make is killed, too.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]  # it ships no types

from deployer.aws.record import BadRecord
from deployer.controller import Controller, Journal, Ports, Service
from deployer.model import (
    Alarm,
    Artifact,
    ArtifactKind,
    Asked,
    Book,
    Channel,
    Configuration,
    Deployment,
    Image,
    Limits,
    Message,
    Source,
    VersionState,
    deployment_id,
)
from deployer.orders import Senseless
from deployer.ports import Answer, LookAgain, Refused
from deployer.rollout import Step
from deployer.smoke import Check
from tests.fakes import (
    CLOCK_SKEW,
    HEALTHY,
    PLACE,
    PLACEHOLDER,
    REPOSITORY,
    START,
    TAG,
    UNHEALTHY,
    FakeAnnouncer,
    FakeClock,
    FakeFunction,
    FakeNotifier,
    FakeRegistry,
    image,
)
from tests.simulation import invariants
from tests.simulation.invariants import Violation
from tests.simulation.plan import BREAKS, Fault, Plan, Stimulus
from tests.simulation.record import READS, Call, Record
from tests.simulation.tampering import TAMPERINGS, Table

# Short, so that what never ends ends soon. The deployer's own are minutes.
LIMITS = Limits(free=40, update=60, checks=40, revert=60)
CRASHED = Answer(b'{"errorType": "Runtime.ExitError"}', "Unhandled", "", "1")
_CHECKS = (Check(json={"status": "ok"}),)
_UNFIT = {
    "an index": Artifact(ArtifactKind.INDEX, "application/vnd.oci.image.index.v1+json"),
    "for another processor": Artifact(
        ArtifactKind.IMAGE, "application/vnd.oci.image.manifest.v1+json", "arm64"
    ),
}
# Lambda tries an event whose invocation failed again after so many seconds, and then no more.
RETRIES = (60.0, 120.0)
MINUTE = 60.0
# Without anything left to do, the world is quiet long before.
MOST_SWEEPS = 60

Work = Callable[[Controller], object]


class Killed(BaseException):
    """This process is gone."""


class TrueTime(FakeClock):
    """What the clock on AWS's wall says."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


class OwnTime:
    """An invocation's clock: its own idea of the time, and what Lambda still grants it."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    def now(self) -> datetime:
        invocation = self._invocation
        return START + timedelta(seconds=invocation.world.clock.seconds + invocation.skew)

    def sleep(self, seconds: float) -> None:
        self._invocation.pass_time(seconds)

    def remaining(self) -> float:
        return self._invocation.ends - self._invocation.world.clock.seconds


class BrokenMail(OSError):
    """What nobody has thought of."""


class Mail(FakeNotifier):
    """People's mail, and their chat; what is broken raises what nobody has thought of."""

    def send(self, message: Message) -> None:
        if self.broken:
            raise BrokenMail("the mail is broken")
        super().send(message)

    def chat(self, message: Message) -> None:
        if self.chat_is_broken:
            raise RuntimeError("the chat is broken")
        super().chat(message)


class Door:
    """A port as an invocation has it: each call goes through `Invocation.call`."""

    def __init__(self, invocation: Invocation, port: object) -> None:
        self._invocation = invocation
        self._port = port

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self._invocation.call, name, getattr(self._port, name))


class Listening(Journal):
    """Adds what the deployer decides to the story."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    def step(self, deployment: Deployment, step: Step) -> None:
        if step.phase is not deployment.phase:
            self._invocation.say(f"{deployment.phase} -> {step.phase}: {step.because}")

    def note(self, message: str, deployment: Deployment | None = None) -> None:
        self._invocation.say(f"({message})")


class Invocation:
    """One run of the deployer's Lambda function."""

    def __init__(
        self, world: World, name: str, holder: str, work: Work, tries: int, *, alarm: bool = False
    ) -> None:
        self.world, self.name, self.holder, self.work = world, name, holder, work
        self.alarm = alarm  # is it about an alarm?
        self.tries = tries  # how often Lambda may still try it again
        self.rng = Random(f"{world.plan.seed} {name}")
        self.skew = self.rng.uniform(-2.4, 2.4)  # any two differ by less than ledger.CLOCK_SKEW
        self.ends = world.clock.seconds + world.plan.lifetime
        self.faults = world.faults.get(name, {})
        self.calls: Counter[str] = Counter()
        self.dead = False
        self.frozen = False  # it stands, or stood, still: Lambda has forgotten it, and it may go on
        self.greenlet = greenlet(self._run, parent=world.hub)

    def say(self, words: str) -> None:
        self.world.say(self.name, words)

    def start(self) -> None:
        self.greenlet.switch()

    def _run(self) -> None:
        door = partial(Door, self)
        world = self.world
        ports = Ports(
            door(world.function),
            door(world.registry),
            door(world.ledger),
            door(world.notifier),
            door(world.announcer),
            OwnTime(self),
        )
        journal = Listening(self) if world.tell else Journal()
        try:
            self.work(Controller(world.service, ports, self.holder, journal))
        except Killed:
            end = "killed"
        except Senseless as error:
            self.say(f"answers: {error}")
            end = "done"
        except (LookAgain, Refused, BadRecord) as error:
            self.say(f"fails: {type(error).__name__}: {error}")
            end = "failed"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is found
            if not (self.alarm and isinstance(error, BrokenMail)):
                world.violated(Violation("Crash", f"{self.name} raised {type(error).__name__}: {error}"))
            end = "failed"
        else:
            end = "done"
        self.dead = True
        world.over(self, end)

    # -- time

    def pass_time(self, seconds: float) -> None:
        """Let others go on for so long; or until Lambda's time is over, and with it this invocation."""
        if self.dead:
            raise Killed
        world = self.world
        wakes = world.clock.seconds + seconds
        times_out = wakes > self.ends and not self.frozen
        if times_out:
            wakes = self.ends
        if world.queue and world.queue[0][0] <= wakes:
            world.at(wakes, self.greenlet.switch)
            world.hub.switch()
        else:
            world.clock.seconds = wakes
        if times_out:
            self.die("killed by Lambda: its time is over")

    def die(self, how: str) -> None:
        self.say(how)
        self.dead = True
        self.world.counts["kills"] += 1
        raise Killed

    # -- calls

    def call(self, name: str, effect: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.dead:
            raise Killed
        fault = None
        if self.faults:
            self.calls[name] += 1
            fault = self.faults.get((name, self.calls[name]))
        self.pass_time(0.002 + 0.03 * self.rng.random())
        call = Call(self, name, args, kwargs)
        perform = partial(self.world.perform, call, effect)
        if fault is None:
            answer = perform()
        else:
            self.world.counts["faults"] += 1
            if self.world.tell:
                seconds = f" ({fault.seconds:g} s)" if fault.seconds else ""
                self.say(f"{call}: {fault.what}{seconds}")
            answer = self._go_wrong(fault, perform)
        self.pass_time(0.002 + 0.03 * self.rng.random())
        return answer

    def _go_wrong(self, fault: Fault, perform: Callable[[], Any]) -> Any:
        if fault.seconds:
            self.world.record.stalled_at = self.world.clock.seconds + fault.seconds
        match fault.what:
            case "killed before":
                self.die("killed")
            case "killed on the way":
                self.world.at(self.world.clock.seconds + fault.seconds, partial(_late, perform))
                self.die("killed")
            case "throttled":
                raise LookAgain("ThrottlingException")
            case "refused":
                self.world.record.refused(self)
                raise Refused("AccessDeniedException")
            case "frozen":
                self.frozen = True
                if self.world.clock.seconds + fault.seconds > self.ends:
                    self.world.forgotten(self)
                self.pass_time(fault.seconds)
            case "slow":
                self.pass_time(fault.seconds)
        answer = perform()
        match fault.what:
            case "killed after":
                self.die("killed")
            case "answer lost":
                raise LookAgain("the answer did not come")
            case "slow to answer":
                self.pass_time(fault.seconds)
        return answer


def _late(perform: Callable[[], Any]) -> None:
    """The request of a dead process arrives; its answer reaches nobody."""
    with suppress(Killed, Exception):
        perform()


@dataclass
class Outcome:
    """What came of a plan."""

    violation: Violation | None
    counts: Counter[str] = field(
        default_factory=Counter
    )  # calls, checks, faults, kills, commands, ends by phase


class World:
    """One schedule."""

    def __init__(self, plan: Plan, tell: Callable[[str], None] | None = None) -> None:
        self.plan, self.tell = plan, tell
        self.hub = getcurrent()
        self.queue: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = 0
        self.clock = TrueTime()
        self.registry = FakeRegistry()
        self.function = FakeFunction(self.clock, self.registry)
        self.ledger = Table()
        self.notifier = Mail()
        self.announcer = FakeAnnouncer()
        self.service = Service(
            "shuking-prod",
            "deployer",
            REPOSITORY,
            TAG,
            _CHECKS,
            frozenset({PLACEHOLDER.digest}),
            LIMITS,
            PLACE,
        )
        self.faults: dict[str, dict[tuple[str, int], Fault]] = {}
        for fault in plan.faults:
            self.faults.setdefault(fault.invocation, {})[fault.call, fault.nth] = fault
        self.counts: Counter[str] = Counter()
        self.violation: Violation | None = None
        self.alive: list[Invocation] = []
        self.waiting: list[Stimulus] = []  # whoever wants to do something to the ledger, and finds nothing
        self.retries = 0  # that Lambda has yet to start
        self.sweeps = 0
        self.last_end = ""
        self.calm = max((max(s.at, s.until) for s in plan.stimuli), default=0.0)
        self._begin()
        self.record = Record(self.function, self.registry, self.ledger, self.clock, plan)

    def _begin(self) -> None:
        self.registry.put(PLACEHOLDER, tag="placeholder")
        self._behave(image("base"), "healthy")
        for name, behaviour in self.plan.images.items():
            self._behave(image(name), behaviour)
        if self.plan.begins_with == "base":
            self._release(image("base"))

    def _release(self, first: Image) -> None:
        """It was live before this story begins."""
        self.registry.put(first)
        self.registry.tags["live"] = first.digest
        self.clock.seconds = -60.0
        self.function.update_by_hand(first)
        self.clock.seconds = -30.0
        version = self.function.publish(first, self.function.latest().revision)
        self.clock.seconds = 0.0
        self.function.move_live(self.function.version(version.number).number)
        self.ledger.book = replace(self.ledger.book, settled=first.digest)

    def _behave(self, pushed: Image, behaviour: str) -> None:
        function = self.function
        match behaviour:
            case "unhealthy":
                function.answers[pushed] = lambda: UNHEALTHY
            case "crashing":
                function.answers[pushed] = lambda: CRASHED
            case "slow to wake":
                function.answers[pushed] = _after(1, UNHEALTHY, HEALTHY)
            case "moody":
                function.answers[pushed] = _after(1, HEALTHY, UNHEALTHY)
            case "fails to update":
                function.fails_to_update[pushed] = "InvalidImage: it cannot be unpacked"
            case "never finishes":
                function.never_updates.add(pushed)
            case "fails to start":
                function.fails_to_start[pushed] = "FunctionError.InitError: it does not start"
            case "refused":
                function.refuses[pushed] = "InvalidParameterValueException: not this one"

    # -- the queue

    def at(self, when: float, what: Callable[[], object]) -> None:
        self._numbers += 1
        heapq.heappush(self.queue, (when, self._numbers, what))

    def run(self) -> Outcome:
        for stimulus in self.plan.stimuli:
            self.at(stimulus.at, partial(self._happen, stimulus))
        self.at(self.plan.first_sweep, self._sweep)
        while self.queue and self.violation is None:
            when, _, what = heapq.heappop(self.queue)
            self.clock.seconds = max(self.clock.seconds, when)
            what()
        for invocation in list(self.alive):
            invocation.dead = True
            invocation.greenlet.throw(Killed)
        if self.violation is None:
            self.violation = invariants.at_quiescence(self.record)
            self.say("", "quiet")
        self.counts["calls"] += self.record.calls
        self.counts["checks"] += self.record.checks
        self.counts["in flight"] += self.record.in_flight
        for deployment in self.ledger.ended.values():
            self.counts[f"ended {deployment.phase}"] += 1
        return Outcome(self.violation, self.counts)

    def violated(self, violation: Violation) -> None:
        self.violation = self.violation or violation
        self.say("", f"VIOLATION {violation}")

    def say(self, who: str, words: str) -> None:
        if self.tell:
            self.tell(f"{self.clock.seconds:8.2f}  {who:<16}  {words}")

    # -- what happens

    def _happen(self, stimulus: Stimulus) -> None:
        if stimulus.request:
            if stimulus.does != "event":
                self.counts["commands"] += 1
            work = partial(INVOCATIONS[stimulus.does], self, stimulus)
            tries = len(RETRIES) if stimulus.does in ("event", "alarm") else 0
            self._invoke(stimulus.name, stimulus.request, work, tries, stimulus)
            return
        if stimulus.does in TAMPERINGS:
            self._tamper(stimulus)
            return
        self.say("", f"{stimulus.name} {stimulus.image}")
        DEEDS[stimulus.does](self, stimulus)
        self.record.look()

    def _tamper(self, stimulus: Stimulus) -> None:
        """Somebody changes the ledger, if there is what they want to change; else they wait for it."""
        hand = TAMPERINGS[stimulus.does]
        found = hand.finds(self.record)
        if not found:
            self.waiting.append(stimulus)
            return
        thing = Random(f"{self.plan.seed} {stimulus.name}").choice(found)
        self.say("", f"{stimulus.name} {getattr(thing, 'id', '')}")
        self.counts["tampering"] += 1
        hand.does(self.record, thing)
        self.record.look()

    def _see_whether_it_is_there(self) -> None:
        """After a write: whoever waits for something in the ledger comes a moment later, or some seconds."""
        for stimulus in [each for each in self.waiting if TAMPERINGS[each.does].finds(self.record)]:
            self.waiting.remove(stimulus)
            rng = Random(f"{self.plan.seed} {stimulus.name} {self.record.calls}")
            pause = rng.choice((rng.uniform(0, 0.1), rng.uniform(0, 8)))
            self.at(self.clock.seconds + pause, partial(self._tamper, stimulus))

    def _invoke(
        self, name: str, holder: str, work: Work, tries: int, stimulus: Stimulus | None = None
    ) -> None:
        alarm = stimulus is not None and stimulus.does == "alarm"
        invocation = Invocation(self, name, holder, work, tries, alarm=alarm)
        if stimulus:
            self.record.stimuli[name] = stimulus
        self.alive.append(invocation)
        self.say(name, f"begins as {holder}" + (f", about {stimulus.image}" if stimulus else ""))
        invocation.start()

    def over(self, invocation: Invocation, end: str) -> None:
        """An invocation has ended: Lambda tries an event that was not done again."""
        if end != "killed":
            invocation.say(end)
        self.last_end = end
        if invocation in self.alive:
            self.alive.remove(invocation)
        if self.violation:
            return
        if end == "done":
            violation = invariants.when_done(self.record, invocation)
            if violation:
                self.violated(violation)
        elif not invocation.frozen or self.clock.seconds < invocation.ends:
            self.forgotten(invocation)

    def forgotten(self, invocation: Invocation) -> None:
        """Lambda takes this invocation for dead. Of an event there is another try, or a dead letter."""
        if not invocation.tries:
            self.record.given_up.add(invocation.holder)
            return
        self.retries += 1
        base, _, number = invocation.name.partition(", try ")
        name = f"{base}, try {int(number or 1) + 1}"
        pause = RETRIES[-invocation.tries]

        def again() -> None:
            self.retries -= 1
            self._invoke(
                name,
                invocation.holder,
                invocation.work,
                invocation.tries - 1,
                self.record.stimuli.get(invocation.name),
            )

        # Of a process that is gone Lambda knows at once; of one that stands still, when its time is over.
        self.at((invocation.ends if invocation.frozen else self.clock.seconds) + pause, again)

    def _sweep(self) -> None:
        writes = self.record.writes
        self.sweeps += 1
        quiet = self.clock.seconds > self.calm
        self._invoke(f"sweep {self.sweeps}", f"sweep {self.sweeps}", lambda controller: controller.sweep(), 0)
        if self.violation:
            return
        book = self.ledger.book
        lease = self.ledger.held_lease
        # By a dead one: it is in the way until every clock, its own and the next holder's, is past it.
        left = lease is not None and lease.expires + 2 * CLOCK_SKEW > self.clock.now()
        at_rest = not self.alive and not self.retries and not self.queue and not left
        undisturbed = self.last_end == "done" and f"sweep {self.sweeps}" not in self.faults
        idle = at_rest and undisturbed and writes == self.record.writes
        if quiet and idle and not book.open and not book.notices:
            return
        if self.sweeps > MOST_SWEEPS:
            self.violated(
                Violation("L1", f"after {MOST_SWEEPS} sweeps the world is not quiet: {_waiting(book)}")
            )
            return
        pause = MINUTE
        if quiet and idle and not book.open:
            # Only notices wait, and say until when: the sweeps in between would do nothing.
            due = min(((n.again_at - START).total_seconds() for n in book.notices if n.again_at), default=0.0)
            pause += MINUTE * max(0, (due - self.clock.seconds) // MINUTE)
        self.at(self.clock.seconds + pause, self._sweep)

    # -- an effect

    def perform(self, call: Call, effect: Callable[..., Any]) -> Any:
        """Do it, and look at once whether what must hold still holds."""
        record = self.record
        record.calls += 1
        try:
            answer = effect(*call.args, **call.kwargs)
        except Refused:
            record.refused(call.invocation)
            raise
        if call.name in READS:
            record.read(call, answer)
            return answer
        if self.tell:
            call.invocation.say(f"{call}{_outcome(answer)}")
        violation = invariants.after(record, call, answer)
        record.wrote(call, answer)
        if self.waiting:
            self._see_whether_it_is_there()
        if violation:
            self.violated(violation)
            call.invocation.dead = True
            raise Killed
        return answer


def _waiting(book: Book) -> str:
    found = (
        *(f"{d.id} is {d.phase}" for d in book.open),
        *(f"a notice of {n.deployment.id}" for n in book.notices),
    )
    return ", ".join(found[:3]) or "sweeps still write"


def _outcome(answer: object) -> str:
    return "" if answer is None else f": {getattr(answer, 'token', getattr(answer, 'number', answer))}"


def _after(times: int, at_first: Answer, then: Answer) -> Callable[[], Answer]:
    asked = iter(range(times))
    return lambda: then if next(asked, None) is None else at_first


def run(plan: Plan, tell: Callable[[str], None] | None = None) -> Outcome:
    """Run a plan. `tell` gets the story, line by line."""
    return World(plan, tell).run()


# -- invocations: a new command is a line here and a word in plan.COMMANDS


def _event(world: World, stimulus: Stimulus, controller: Controller) -> None:
    pushed = START + timedelta(seconds=stimulus.pushed)
    request = Deployment(deployment_id(pushed, stimulus.id), image(stimulus.image), Source.PUSH, pushed)
    controller.push(request)


def _alarm(world: World, stimulus: Stimulus, controller: Controller) -> None:
    controller.alarm(Alarm("too many errors", "Threshold Crossed", START + timedelta(seconds=stimulus.at)))


def _asked(stimulus: Stimulus) -> Asked:
    return Asked(stimulus.request, "alice", "an incident")


def _deploy(source: Source, *, past: bool = False) -> Callable[[World, Stimulus, Controller], object]:
    def work(world: World, stimulus: Stimulus, controller: Controller) -> None:
        hold = world.ledger.book.hold if past else None  # as the person saw it
        controller.deploy(_asked(stimulus), image(stimulus.image), source, hold.id if hold else None)

    return work


INVOCATIONS: dict[str, Callable[[World, Stimulus, Controller], object]] = {
    "event": _event,
    "alarm": _alarm,
    "hold": lambda _, stimulus, controller: controller.hold(_asked(stimulus)),
    "resume": lambda _, stimulus, controller: controller.resume(_asked(stimulus)),
    "retry": _deploy(Source.RETRY),
    "deploy": _deploy(Source.DEPLOY),
    "deploy past the hold": _deploy(Source.DEPLOY, past=True),
    "abort": lambda _, stimulus, controller: controller.abort(_asked(stimulus), None),
    "rollback": lambda _, stimulus, controller: controller.rollback(_asked(stimulus), None),
    "rollback to the first": lambda world, stimulus, controller: controller.rollback(
        _asked(stimulus), next((number for number in world.function.versions if number != "1"), "1")
    ),
}

# -- deeds: what people and AWS do


def _push(world: World, stimulus: Stimulus) -> None:
    if image(stimulus.image).digest not in world.registry.artifacts:
        world.record.arrived[image(stimulus.image).digest] = world.clock.seconds
    world.registry.put(image(stimulus.image), _UNFIT.get(world.plan.images.get(stimulus.image, "")))


def _breaks(channel: Channel) -> Callable[[World, Stimulus], None]:
    def works(world: World, does: bool) -> None:
        match channel:
            case Channel.MAIL:
                world.notifier.broken = not does
            case Channel.CHAT:
                world.notifier.chat_is_broken = not does
            case Channel.EVENT:
                world.announcer.broken = not does

    def deed(world: World, stimulus: Stimulus) -> None:
        works(world, False)
        world.at(stimulus.until, partial(works, world, True))

    return deed


def _moves_live_back(world: World, stimulus: Stimulus) -> None:
    numbers = sorted(
        (number for number in world.function.versions if number != world.function.alias), key=int
    )
    if numbers:
        world.function.move_live(numbers[-1])
        world.record.by_hand(live=True)


def _updates_latest(world: World, stimulus: Stimulus) -> None:
    try:
        world.function.update_by_hand(image(stimulus.image))
    except (LookAgain, Refused):
        return
    world.record.by_hand(code=True)


def _deletes_an_image(world: World, stimulus: Stimulus) -> None:
    if image(stimulus.image).digest in world.registry.artifacts:
        world.registry.delete(image(stimulus.image))
        world.record.deleted.add(image(stimulus.image).digest)


def _forgets_a_version(world: World, stimulus: Stimulus) -> None:
    world.function.set_state(world.function.alias, VersionState.INACTIVE)


def _changes_a_setting(world: World, stimulus: Stimulus) -> None:
    try:
        world.function.configure(Configuration((("Environment", stimulus.name + stimulus.image),)))
    except LookAgain:
        return
    world.record.code_writes += 1


def _takes_the_tag_back(world: World, stimulus: Stimulus) -> None:
    digest = image(stimulus.image).digest
    if digest in world.registry.artifacts:
        world.registry.tags[TAG] = digest


def _breaks_what_is_live(world: World, stimulus: Stimulus) -> None:
    world.function.answers[world.function.live_image] = lambda: UNHEALTHY
    world.record.broken.add(world.function.live_image)


def _writes_what_cannot_be_read(world: World, stimulus: Stimulus) -> None:
    def mend() -> None:
        world.ledger.unreadable -= 1

    world.counts["tampering"] += 1
    world.ledger.unreadable += 1
    world.at(stimulus.until, mend)


DEEDS: dict[str, Callable[[World, Stimulus], None]] = {
    "push": _push,
    **{what: _breaks(channel) for what, channel in BREAKS.items()},
    "moves live back": _moves_live_back,
    "updates $LATEST": _updates_latest,
    "deletes an image": _deletes_an_image,
    "forgets a version": _forgets_a_version,
    "changes a setting": _changes_a_setting,
    "takes the tag back": _takes_the_tag_back,
    "breaks what is live": _breaks_what_is_live,
    "writes what cannot be read": _writes_what_cannot_be_read,
}
