"""Following a pushed digest until its deployment has ended, and telling what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

import click

from deployer import facts
from deployer.commands.parts.standing import CLOCK_SKEW, EXIT_CODES, Outcome, Standing, of, stand
from deployer.commands.parts.target import Stack, plain, understood
from deployer.message import compose
from deployer.model import Book, Deployment, Place, short
from deployer.ports import Clock, LookAgain
from deployer.text import printable

POLL_SECONDS = 1.0
GOES_ON = "It goes on by itself; wait for it again."
# Among so many of the last deployments the digest's own is looked for.
RECENT = 50


class Ledger(Protocol):
    """What is read of `ports.Ledger`, by Query alone."""

    def look(self) -> Book:
        """What is going on now."""

    def history(self, limit: int) -> list[Deployment]:
        """The deployments that ended, newest first."""


def follow(
    ledger: Ledger, digest: str, since: datetime, clock: Clock, tell: Callable[[str], None]
) -> Standing:
    """Look until the deployment has ended or the clock's time is over, and tell each move once.

    What AWS does not answer now is asked again, and told when that begins.
    """
    told = Told(tell)
    standing = Standing(Outcome.NEVER_SEEN)
    while True:
        try:
            standing = _look(ledger, digest, since)
        except LookAgain as error:
            if not standing.trouble:
                tell(f"looking again: {plain(str(error))}")
            standing = replace(standing, trouble=plain(str(error)))
        told.moves(standing)
        if standing.ended or clock.remaining() <= 0:
            return standing
        clock.sleep(POLL_SECONDS)


class Finder(Protocol):
    """What is read of `ports.Ledger` to follow one deployment."""

    def find(self, deployment_id: str) -> Deployment | None:
        """A deployment by its id, open or ended."""


def follow_one(
    ledger: Finder,
    deployment_id: str,
    clock: Clock,
    tell: Callable[[str], None],
    see: Callable[[Standing], None] | None = None,
) -> Standing:
    """The same for one deployment, by its id. `see`, in place of `tell`, is shown every look."""
    show = see or Told(tell).moves
    standing = Standing(Outcome.NEVER_SEEN)
    while True:
        try:
            found = ledger.find(deployment_id)
            standing = of(found) if found else replace(standing, trouble="")
        except LookAgain as error:
            if not standing.trouble:
                tell(f"looking again: {plain(str(error))}")
            standing = replace(standing, trouble=plain(str(error)))
        show(standing)
        if standing.ended or clock.remaining() <= 0:
            return standing
        clock.sleep(POLL_SECONDS)


def _look(ledger: Ledger, digest: str, since: datetime) -> Standing:
    book = ledger.look()
    standing = stand(digest, since, book, ())
    # The history is long, and is read only when it can change the answer. After the book: see `stand`.
    return standing if standing.deployment else stand(digest, since, book, ledger.history(RECENT))


class Told:
    """How much has been told of each deployment's timeline."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._moves: dict[str, int] = {}

    def moves(self, standing: Standing) -> None:
        """Tell what is new."""
        deployment = standing.deployment
        if deployment is None:
            return
        if deployment.id not in self._moves:
            if standing.before:
                self._tell("nothing new was asked for; the digest was dealt with before, like this:")
            asked = f"{deployment.requested_at:%Y-%m-%d %H:%M:%S} UTC"
            self._tell(f"deployment {plain(deployment.id)}, asked for by {deployment.source}, {asked}")
        for moment in deployment.timeline[self._moves.get(deployment.id, 0) :]:
            self._tell(f"{moment.at:%H:%M:%S}  {moment.phase:<10}  {plain(moment.because)}")
        self._moves[deployment.id] = len(deployment.timeline)


def follow_to_the_end(stack: Stack, digest: str, since: datetime, clock: Clock, *, as_json: bool) -> int:
    """Follow the digest, tell what became of it, and give back the exit code for that.

    The moves and a good end go to stdout, any other end to stderr. With `as_json`, stdout has one JSON object
    and nothing else.
    """
    ledger = stack.ledger()
    service, deployer = stack.output("ServiceFunctionName"), stack.output("DeployerName")
    click.echo(f"waiting for the deployment of {short(digest)} in the stack {plain(stack.name)}", err=True)
    with understood("reading the ledger"):
        standing = follow(ledger, digest, since, clock, lambda line: click.echo(line, err=as_json))
    if as_json:
        click.echo(json.dumps(record(digest, standing)))
    live = standing.outcome is Outcome.LIVE
    if not (live and as_json):
        told = end(digest, since, standing, service=service, deployer=deployer, place=stack.place())
        click.echo(told, err=not live)
    return EXIT_CODES[standing.outcome]


def end(
    digest: str,
    since: datetime,
    standing: Standing,
    *,
    service: str,
    deployer: str,
    place: Place | None = None,
) -> str:
    """What became of the digest, for people. `service`, `deployer` and `place` as in `message.compose`."""
    deployment = standing.deployment
    trouble = f" The last look at the ledger failed: {standing.trouble}." if standing.trouble else ""
    if deployment is None:
        return (
            f"{service}: nothing was seen of a deployment of {digest} since "
            f"{since - CLOCK_SKEW:%Y-%m-%d %H:%M:%S} UTC.{trouble} Was it pushed under the release tag, to "
            "this stack's repository? If it was pushed earlier, say when with --since."
        )
    if standing.outcome is Outcome.GOING_ON:
        return f"{service}: the deployment of {digest} {going_on(deployment)}{trouble} {GOES_ON}"
    return ended(deployment, service=service, deployer=deployer, place=place)


def ended(deployment: Deployment, *, service: str, deployer: str, place: Place | None = None) -> str:
    """How a deployment ended, as its message says, for people who have been told of each move."""
    # Without its last part, the timeline.
    body = compose(deployment, service=service, deployer=deployer, place=place).body
    return printable(body.strip().rpartition("\n\n")[0])


def going_on(deployment: Deployment) -> str:
    """Where a deployment is that has not ended, as the rest of a sentence."""
    return (
        f"has not ended yet: it is {deployment.phase} since {deployment.since:%H:%M:%S} UTC "
        f"({plain(deployment.because) or 'it waits for its turn'})."
    )


def record(digest: str, standing: Standing) -> dict[str, object]:
    """What became of the digest, for programs."""
    told: dict[str, object] = {"digest": digest, "outcome": standing.outcome, "deployment": None}
    deployment = standing.deployment
    if deployment:
        told |= facts.of_deployment(deployment)
        told["dealt_with_before"] = standing.before
    return told
