"""Giving the deployer a command, and following what comes of it to the end.

The deployer decides, does it, and writes down who asked. It knows a command by the id of its request: the
same id again is the same wish, followed once. So a command whose answer was lost can be given again, by
people: here nothing is repeated.
"""

from __future__ import annotations

import json
import shlex
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import click

from deployer import facts
from deployer.aws.deployer import Died
from deployer.commands.parts.asking import agree
from deployer.commands.parts.clock import WallClock
from deployer.commands.parts.following import GOES_ON, POLL_SECONDS, Told, ended, follow_one, going_on
from deployer.commands.parts.standing import EXIT_CODES, Outcome, Standing, of
from deployer.commands.parts.target import Stack, Unusable, plain, understood
from deployer.model import Command, Deployment, Phase
from deployer.ports import Clock, LookAgain, Refused
from deployer.text import shown, who

REFUSED, LOST = 1, 4  # exit codes, as docs/commands.md has them
# After an answer that did not come, so long a command may take to be seen in the ledger.
_NOTED_SECONDS = 5


class Deployer(Protocol):
    """Takes commands; `aws.deployer.DeployerFunction` is one."""

    def ask(self, command: Mapping[str, object]) -> object:
        """Raises `LookAgain`, `Refused` or `Died`."""


class Ledger(Protocol):
    """What is read of `ports.Ledger`."""

    def command(self, request: str) -> Command | None:
        """The command with this request's id, if one was followed."""

    def find(self, deployment_id: str) -> Deployment | None:
        """A deployment by its id, open or ended."""


@dataclass(frozen=True)
class Wish:
    """What a person wants of the deployer. `about` has what the command takes beside who and why."""

    verb: str
    because: str
    about: Mapping[str, str]
    request: str

    def event(self, by: str) -> dict[str, object]:
        """As events.py reads it."""
        because = {"because": self.because} if self.because else {}
        return {"command": self.verb, "by": by, "request": self.request, **because, **self.about}


def wished(verb: str, because: str, request: str | None, about: Mapping[str, str] | None = None) -> Wish:
    """What a person wants, under a new id or under that of a request that was made before."""
    return Wish(verb, because, {} if about is None else about, request or str(uuid.uuid4()))


@dataclass(frozen=True)
class Given:
    """What came of giving a command: one of these."""

    deployment: str | None = None  # the id of what it is about
    hold: Mapping[str, object] | None = None  # that it has set or lifted
    refused: str = ""  # the deployer's reason
    failed: str = ""  # the deployer died, and the ledger knows nothing of the command
    lost: str = ""  # no answer came, and the ledger knows nothing of the command


def give(
    wish: Wish,
    by: str,
    *,
    deployer: Deployer,
    ledger: Ledger,
    clock: Clock,
    told: Told,
    tell: Callable[[str], None],
) -> Given:
    """Give the command, and tell of its deployment's moves while the deployer works.

    When no answer comes, the ledger says whether the command was taken. Raises `Refused` if Lambda does not
    let it through, `Unusable` if the answer cannot be understood.
    """
    call = _Call(deployer, wish.event(by))
    while not call.answered(POLL_SECONDS):
        _peek(wish, ledger, told)
    try:
        return _understood(call.answer())
    except Died as error:
        because, patience = f"the deployer died: {error}", 0
    except LookAgain as error:
        because, patience = f"no answer came from the deployer: {error}", _NOTED_SECONDS
    known = _noted(wish.request, ledger, clock, patience)
    if known is None:
        return Given(failed=because) if patience == 0 else Given(lost=because)
    tell(f"{plain(because)}. The ledger has the command, so it is followed")
    return Given(known.deployment, facts.of_hold(known.hold) if known.deployment is None else None)


class _Call:
    """The invocation, in a thread of its own: it answers when the command has ended, which takes minutes.

    A daemon, so that Ctrl-C need not wait for it.
    """

    def __init__(self, deployer: Deployer, event: Mapping[str, object]) -> None:
        self._done = threading.Event()
        self._answer: object = None
        self._error: Exception | None = None
        threading.Thread(target=self._ask, args=(deployer, event), daemon=True).start()

    def _ask(self, deployer: Deployer, event: Mapping[str, object]) -> None:
        try:
            self._answer = deployer.ask(event)
        except Exception as error:  # noqa: BLE001 - it is raised where somebody can understand it
            self._error = error
        finally:
            self._done.set()

    def answered(self, seconds: float) -> bool:
        """Wait so long for the answer."""
        return self._done.wait(seconds)

    def answer(self) -> object:
        """The answer, or what was raised in its place."""
        if self._error:
            raise self._error
        return self._answer


def _peek(wish: Wish, ledger: Ledger, told: Told) -> None:
    """Tell what has come of it so far. What cannot be read now is read in a second."""
    try:
        known = ledger.command(wish.request)
        found = ledger.find(known.deployment) if known and known.deployment else None
    except (LookAgain, Refused):
        return
    if found:
        told.moves(of(found))


def _noted(request: str, ledger: Ledger, clock: Clock, seconds: float) -> Command | None:
    """The command, once the ledger has it. It is written early, but after what may have been lost."""
    until = clock.remaining() - seconds
    while True:
        try:
            known = ledger.command(request)
        except (LookAgain, Refused):
            known = None
        if known or clock.remaining() <= until:
            return known
        clock.sleep(POLL_SECONDS)


def _understood(answer: object) -> Given:
    match answer:
        case {"error": str(error)}:
            return Given(refused=error)
        case {"held": dict(hold)} | {"resumed": dict(hold)}:
            return Given(hold=hold)
        case {"deployment": str(deployment), "phase": str()}:
            return Given(deployment)
    raise Unusable(
        f"the deployer answered what this command does not understand: {shown(answer)}. "
        "Are both of the same release?"
    )


@dataclass(frozen=True)
class Manner:
    """How a person wants it done."""

    yes: bool
    as_json: bool
    timeout: int = 0  # seconds to wait for the end, once the deployer has answered


def act(
    stack: Stack,
    wish: Wish,
    manner: Manner,
    announced: Callable[[], str],
    next_: Callable[[], str] | None = None,
) -> int:
    """Ask, give the command, follow it to its end, and tell what became of it. The exit code.

    `announced` says what will happen, if somebody is to be asked; `next_`, what to do when it was refused.
    """
    service, name = stack.output("ServiceFunctionName"), stack.output("DeployerName")
    if not manner.yes:
        agree(announced(), f"{wish.verb.capitalize()}?", yes=False)
    with understood("asking AWS who you are"):
        by = stack.caller().arn()
    ledger, tell = stack.ledger(), lambda line: click.echo(line, err=manner.as_json)
    told = Told(tell)
    try:
        given = _permitted(
            stack,
            wish,
            lambda: give(
                wish,
                by,
                deployer=stack.deployer(),
                ledger=ledger,
                clock=WallClock(_NOTED_SECONDS),
                told=told,
                tell=tell,
            ),
        )
        if given.deployment is None:
            return _tell_given(service, wish, given, manner, next_)
        with understood("reading the ledger"):
            clock = WallClock(manner.timeout)
            standing = follow_one(ledger, given.deployment, clock, tell, told.moves)
    except KeyboardInterrupt:
        click.echo(f"deployer: {name} may have the command. {_again(wish)}", err=True)
        raise
    return _tell_end(stack, wish, standing, manner)


def _permitted(stack: Stack, wish: Wish, do: Callable[[], Given]) -> Given:
    """Raises `Unusable`, with the policy that is missing, if Lambda does not let the command through."""
    name = stack.output("DeployerName")
    with understood(f"giving {plain(name)} the command"):
        try:
            return do()
        except Refused as error:
            if "AccessDenied" not in str(error):
                raise
            raise Unusable(no_permission(stack, wish.verb, error)) from error


def no_permission(stack: Stack, verb: str, error: Refused) -> str:
    """What to tell somebody who may look and not act."""
    policy = stack.outputs.get("OperatorPolicyArn", "the stack's OperatorPolicy")
    return (
        f"{verb} goes through {plain(stack.output('DeployerName'))}, and you may not invoke it. That takes "
        f"{plain(policy)} beside the viewer's policy. Nothing was done. AWS says: {plain(str(error))}"
    )


def _again(wish: Wish) -> str:
    return f"The very same command again, followed once however often: add --request {wish.request}"


def words(stack: Stack, *more: str) -> str:
    """A command to paste that is about the same stack."""
    return shlex.join(["deployer", "--stack", plain(stack.name), *more])


def _tell_given(
    service: str, wish: Wish, given: Given, manner: Manner, next_: Callable[[], str] | None
) -> int:
    """What came of a command that is about no deployment, or came to nothing."""
    outcome, code = {"hold": "held", "resume": "resumed"}.get(wish.verb, "done"), 0
    if given.refused:
        outcome, code = "refused", REFUSED
    elif given.failed or given.lost:
        outcome, code = ("failed", REFUSED) if given.failed else (Outcome.NEVER_SEEN.value, LOST)
    because = given.refused or given.failed or given.lost
    if manner.as_json:
        record = {"request": wish.request, "outcome": outcome, "hold": given.hold, "error": because or None}
        click.echo(json.dumps(record))
    if given.refused:
        told = f"Error: {service}: {wish.verb} was refused: {plain(because)}"
        click.echo("\n".join(part for part in (told, next_() if next_ else "") if part), err=True)
    elif because:
        click.echo(
            f"Error: {service}: {plain(because)}. As far as the ledger says, the command was not followed.\n"
            f"{_again(wish)}",
            err=True,
        )
    elif not manner.as_json:
        click.echo(f"{service}: {_hold(wish, given.hold or {})}")
    return code


def _hold(wish: Wish, hold: Mapping[str, object]) -> str:
    by, because, id_ = (plain(str(hold.get(key) or "")) for key in ("by", "because", "id"))
    if wish.verb == "hold":
        return f"deployments are held by {who(by)} ({because}), hold {id_}. `deployer resume` lifts it"
    return f"the hold of {who(by)} ({because}) is lifted; what the release tag points at is taken up"


def _tell_end(stack: Stack, wish: Wish, standing: Standing, manner: Manner) -> int:
    """What became of the deployment that the command is about."""
    code = exit_code(wish.verb, standing)
    if manner.as_json:
        facts_ = facts.of_deployment(standing.deployment) if standing.deployment else {"deployment": None}
        click.echo(json.dumps({"request": wish.request, "outcome": standing.outcome, **facts_}))
    if code != 0 or not manner.as_json:
        click.echo(_end(stack, standing), err=code != 0)
    return code


def _end(stack: Stack, standing: Standing) -> str:
    service, deployer = stack.output("ServiceFunctionName"), stack.output("DeployerName")
    trouble = f" The last look at the ledger failed: {standing.trouble}." if standing.trouble else ""
    if standing.deployment is None:
        return f"{service}: the ledger does not have the deployment (any more).{trouble}"
    if not standing.ended:
        told = going_on(standing.deployment)
        return f"{service}: the deployment {plain(standing.deployment.id)} {told}{trouble} {GOES_ON}"
    return ended(standing.deployment, service=service, deployer=deployer, place=stack.place())


def exit_code(verb: str, standing: Standing) -> int:
    """0: as wanted. An abort wants its deployment not to stay, and everybody else wants it to."""
    if verb != "abort" or standing.deployment is None or not standing.ended:
        return EXIT_CODES[standing.outcome]
    turned = (Phase.REVERTED, Phase.REJECTED, Phase.SUPERSEDED)
    return 0 if standing.deployment.phase in turned else REFUSED
