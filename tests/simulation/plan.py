"""A schedule as data: what happens to the deployer, and when. Drawn from one integer, shrunk piece by piece.

Nothing in a plan shifts when a piece is taken out: a stimulus has its own moment, and a fault names the
invocation, and which of its calls.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from deployer.model import Channel
from deployer.ports import Announcer, Function, Ledger, Notifier, Registry

# How an image behaves once it is pushed. `world.py` makes the function behave so.
HEALTHY = "healthy"
BEHAVIOURS = {
    HEALTHY: 40,
    "unhealthy": 10,  # /health answers 503
    "crashing": 5,  # the code dies
    "slow to wake": 6,  # the first answer of each version is wrong, the second is right
    "moody": 8,  # right at first, so that it is promoted, and then wrong
    "fails to update": 5,  # AWS accepts the update and then fails it
    "never finishes": 2,  # the update is InProgress for ever
    "fails to start": 6,  # its version goes from Pending to Failed
    "refused": 4,  # AWS refuses the update
    "an index": 4,  # Lambda refuses such an image, and preflight finds it
    "for another processor": 2,
}

# What can go wrong with one call. In the words of the story that a failure tells.
FAULTS = {
    "killed before": 14,  # the process is gone, and nothing happened
    "killed after": 14,  # it happened, and nobody got the answer
    "killed on the way": 6,  # the process is gone, and it happens some seconds later
    "throttled": 14,  # LookAgain, and nothing happened
    "answer lost": 12,  # LookAgain, although it happened
    "refused": 5,  # no, and asking again would not help
    "slow": 10,  # it happens only after a while
    "slow to answer": 8,  # it happens at once, and the answer takes a while
    "frozen": 6,  # the process stands still, outlives Lambda's patience and its lease, and goes on
}
_SECONDS = {"killed on the way": (0.5, 8), "slow": (1, 80), "slow to answer": (1, 80), "frozen": (5, 420)}

# The calls that may go wrong: every one that the deployer can make, and those that users notice more often.
_PORTS = (Function, Registry, Ledger, Notifier, Announcer)
_OFTEN = {
    "update_code": 4,
    "publish": 4,
    "point_live": 9,
    "invoke": 9,
    "request": 4,
    "acquire": 4,
    "record": 4,
    "end": 4,
}
CALLS = {name: _OFTEN.get(name, 1) for port in _PORTS for name in vars(port) if not name.startswith("_")}

COMMANDS = {
    "hold": 5,
    "resume": 2,
    "retry": 3,
    "deploy": 2,
    "deploy past the hold": 2,
    "abort": 3,
    "rollback": 3,  # to the last good version
    "rollback to the first": 1,  # to a version by its number
}

# What people, AWS and the registry do besides: done by hand, so exempt from what the deployer promises.
HANDS = {
    "moves live back": 6,
    "updates $LATEST": 6,
    "deletes an image": 4,
    "forgets a version": 3,  # idle for weeks: Inactive
    "changes a setting": 5,
    "takes the tag back": 4,  # retags an older image, and no event comes of it
    "breaks what is live": 4,  # what users are on begins to fail
}

# What people do to the ledger. `tampering.py` does it, and says what is demanded after each. Whoever finds
# nothing to do it to waits until there is something.
TAMPERINGS = {
    "deletes an open deployment": 8,
    "deletes an end from history": 3,
    "deletes a notice": 3,
    "deletes the hold": 3,
    "puts a quarantine away": 3,
    "forgets what is settled": 4,
    "settles the tag": 2,
    "deletes the lease": 8,
    "forgets a command": 2,
    "forgets the reverts": 2,
    "writes what cannot be read": 4,
}

# What cannot be told there for a while.
BREAKS = {f"{channel} breaks": channel for channel in Channel}


@dataclass(frozen=True)
class Stimulus:
    """One thing that happens, `at` so many seconds from the start."""

    name: str
    at: float
    does: str  # "push", "event", "alarm", one of COMMANDS, of HANDS, of TAMPERINGS or of BREAKS
    image: str = ""
    id: str = ""  # of an event: EventBridge's; the same when it is delivered again
    request: str = ""  # of an invocation: Lambda's id; the same when Lambda delivers it twice
    pushed: float = 0.0  # of an event: when the push was
    until: float = 0.0


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the `nth` call of this name that an invocation makes."""

    invocation: str
    call: str
    nth: int
    what: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A schedule. `seed` is left for what has no pieces: how long each call takes, and the clocks' skew."""

    seed: int
    stimuli: tuple[Stimulus, ...]
    faults: tuple[Fault, ...] = ()
    images: dict[str, str] = field(default_factory=dict)  # name to behaviour; HEALTHY if it is not named
    begins_with: str = "base"  # what is live at first; "placeholder": nothing was ever released
    first_sweep: float = 30.0
    lifetime: float = 300.0  # Lambda's time-out


def draw(seed: int) -> Plan:
    """The schedule that `seed` stands for."""
    rng = Random(seed)
    stimuli: list[Stimulus] = []
    images: dict[str, str] = {}
    at = 1.0
    for number in range(1, rng.choice((1, 2, 2, 3, 3, 4)) + 1):
        name = _which_image(rng, images)
        stimuli += _push(rng, number, at, name)
        at += rng.choice((rng.uniform(0.1, 3), rng.uniform(0.1, 12), rng.uniform(10, 100)))
    for number in range(1, rng.choice((0, 0, 1, 1, 2, 3)) + 1):
        stimuli += _commands(rng, number, at, images)
    if rng.random() < 0.3:
        what = _chosen(rng, HANDS)
        stimuli.append(Stimulus(f"hand: {what}", rng.uniform(0.2, at + 8), what, _known(rng, images)))
    if rng.random() < 0.15:
        for what in rng.sample(list(BREAKS), rng.choice((1, 1, 2, 3))):
            begins = rng.uniform(0, at)
            stimuli.append(Stimulus(f"break: {what}", begins, what, until=begins + rng.uniform(5, 200)))
    plan = Plan(
        seed=seed,
        stimuli=(),
        faults=_faults(rng, stimuli),
        images=images,
        begins_with="placeholder" if rng.random() < 0.08 else "base",
        first_sweep=rng.uniform(2, 60),
        lifetime=rng.choice((300.0, 300.0, 160.0, 120.0)),
    )
    if rng.random() < 0.25:
        stimuli += _tampering(rng, at)
    alarms = _alarms(rng, at) if rng.random() < 0.12 else []
    return replace(
        plan,
        stimuli=tuple(sorted((*stimuli, *alarms), key=lambda stimulus: (stimulus.at, stimulus.name))),
        faults=(*plan.faults, *_faults_of_alarms(rng, alarms)),
    )


def _which_image(rng: Random, images: dict[str, str]) -> str:
    if images and rng.random() < 0.2:
        return _known(rng, images)
    name = "abcdef"[len(images)]
    images[name] = _chosen(rng, BEHAVIOURS)
    return name


def _known(rng: Random, images: dict[str, str]) -> str:
    return rng.choice([*images, "base"])


def _push(rng: Random, number: int, at: float, name: str) -> list[Stimulus]:
    """The tag moves, and an event of it comes: late, again, or never."""
    push = Stimulus(f"push {number}", at, "push", name)
    if rng.random() < 0.12:
        return [push]
    delay = rng.choice((rng.uniform(0.2, 2), rng.uniform(0.2, 2), rng.uniform(0.2, 2), rng.uniform(1, 150)))
    event = Stimulus(f"event {number}", at + delay, "event", name, f"id {number}", f"request {number}", at)
    found = [push, event]
    again = rng.random()
    if again < 0.25:
        # EventBridge delivers at least once (a new request), and so does Lambda's own queue (the same one).
        request = f"request {number}" if again < 0.13 else f"request {number} again"
        later = event.at + rng.choice((rng.uniform(0, 4), rng.uniform(0, 60)))
        found.append(Stimulus(f"event {number} again", later, "event", name, event.id, request, at))
    return found


def _commands(rng: Random, number: int, until: float, images: dict[str, str]) -> list[Stimulus]:
    verb, name = _chosen(rng, COMMANDS), f"command {number}"
    at = rng.uniform(0.2, until + rng.choice((0, 60)))
    found = [Stimulus(name, at, verb, _known(rng, images), request=name)]
    if rng.random() < 0.3:
        # Whoever gave it lost patience, or the network did: it is the same request.
        later = at + rng.choice((rng.uniform(0, 0.2), rng.uniform(0, 90)))
        found.append(replace(found[0], name=f"{name} again", at=later))
    if verb in ("hold", "rollback") and rng.random() < 0.8:
        # A hold that nobody lifts ends the story for everything that comes after it.
        name = f"command {number} undone"
        found.append(Stimulus(name, at + rng.uniform(1, 120), "resume", request=name))
    return found


def _tampering(rng: Random, until: float) -> list[Stimulus]:
    """Once or twice, by hand, in the ledger."""
    found = []
    for number in range(1, rng.choice((1, 1, 2)) + 1):
        what, at = _chosen(rng, TAMPERINGS), rng.uniform(0.2, until + 8)
        mended = at + rng.uniform(1, 200) if what == "writes what cannot be read" else 0.0
        found.append(Stimulus(f"ledger {number}: {what}", at, what, until=mended))
    return found


def _alarms(rng: Random, until: float) -> list[Stimulus]:
    """An alarm of the service goes red. Its event may come twice, too."""
    alarm = Stimulus("alarm", rng.uniform(0.2, until + 60), "alarm", request="alarm")
    if rng.random() < 0.8:
        return [alarm]
    return [alarm, replace(alarm, name="alarm again", at=alarm.at + rng.uniform(0, 4))]


def _faults_of_alarms(rng: Random, alarms: list[Stimulus]) -> tuple[Fault, ...]:
    faults: dict[tuple[str, str, int], Fault] = {}
    for _ in range(rng.choice((0, 1, 2, 4)) if alarms else 0):
        name, what = rng.choice(alarms).name, _chosen(rng, FAULTS)
        invocation = rng.choice((name, name, f"{name}, try 2", f"{name}, try 3"))
        call = rng.choice(("live", "look", "history", "send", "send", "chat"))
        seconds = rng.uniform(*_SECONDS[what]) if what in _SECONDS else 0.0
        faults[invocation, call, 1] = Fault(invocation, call, 1, what, round(seconds, 1))
    return tuple(faults.values())


def _faults(rng: Random, stimuli: list[Stimulus]) -> tuple[Fault, ...]:
    events = [stimulus.name for stimulus in stimuli if stimulus.request]
    later = [f"{name}, try 2" for name in events]
    sweeps = [f"sweep {number}" for number in range(1, 6)]
    # Most of the work is done by whoever comes first, so most faults are there.
    where = [*(3 * events), *later, *sweeps]
    faults: dict[tuple[str, str, int], Fault] = {}
    for _ in range(rng.choice((0, 2, 4, 6, 9, 12, 16, 24))):
        what = _chosen(rng, FAULTS)
        invocation, call = rng.choice(where), _chosen(rng, CALLS)
        nth = rng.choice((1, 1, 1, 2, 3, rng.randint(1, 12)))
        seconds = rng.uniform(*_SECONDS[what]) if what in _SECONDS else 0.0
        faults[invocation, call, nth] = Fault(invocation, call, nth, what, round(seconds, 1))
    return tuple(faults.values())


def _chosen(rng: Random, weights: dict[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def as_test(plan: Plan, name: str, violated: str) -> str:
    """A test in Python that runs this plan: for tests/simulation/test_found.py."""
    lines = [
        f"def test_{name}() -> None:",
        f'    """{violated.replace(chr(34), "")}"""',
        "    plan = Plan(",
        f"        seed={plan.seed},",
        "        stimuli=(",
        *(f"            {_source(stimulus)}," for stimulus in plan.stimuli),
        "        ),",
    ]
    if plan.faults:
        lines += [
            "        faults=(",
            *(f"            {_source(fault)}," for fault in plan.faults),
            "        ),",
        ]
    bare = Plan(plan.seed, ())
    for each in ("images", "begins_with", "first_sweep", "lifetime"):
        if getattr(plan, each) != getattr(bare, each):
            lines.append(f"        {each}={getattr(plan, each)!r},")
    return "\n".join([*lines, "    )", "", "    assert run(plan).violation is None", ""]).replace("'", '"')


def _source(piece: Stimulus | Fault) -> str:
    """A piece as it would be written: only what is not left at its default."""
    fields = {
        name: value
        for name, value in vars(piece).items()
        if name not in piece.__dataclass_fields__ or value != piece.__dataclass_fields__[name].default
    }
    return f"{type(piece).__name__}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"
