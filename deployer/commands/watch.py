"""`deployer watch`: a deployment while it goes on."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from deployer.commands.parts import options
from deployer.commands.parts.clock import WallClock
from deployer.commands.parts.target import Target, Unusable, plain, understood

if TYPE_CHECKING:
    from deployer.commands.parts.standing import Standing
    from deployer.commands.parts.target import Stack
    from deployer.commands.parts.watching import Ledger


@click.command()
@click.argument("deployment", required=False, callback=options.id_)
@click.option("--forever", is_flag=True, help="Go on to the next deployment, until Ctrl-C.")
@click.option(
    "--timeout",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="How long to watch. The deployment goes on after it.  [default: to the end]",
)
@options.as_json
@click.pass_context
def watch(
    ctx: click.Context, *, deployment: str | None, forever: bool, timeout: int | None, as_json: bool
) -> None:
    """Watch a deployment live, phase by phase.

    Does: follows the deployment with this id, or what is under way, or waits for the next one to begin; shows
    each phase with its reason and how long it takes: a table on a terminal, a line a phase elsewhere. Ends
    with the deployment, and tells how that was.

    Does not: change anything, or stop a deployment when it is interrupted. With --forever, --json is one
    object a line.

    \b
    Examples:
      deployer watch
      deployer watch 20260301T031500Z-1f0c9a7e

    \b
    Exit codes:
      0  live
      1  it ended badly: reverted, rejected or stuck; stderr says why
      2  usage or configuration is wrong, or there is no deployment with this id
      3  superseded by a newer push
      4  not ended in time, or none began
      130  interrupted by Ctrl-C
    """
    from deployer.commands.parts.following import follow_one
    from deployer.commands.parts.standing import EXIT_CODES, Outcome
    from deployer.commands.parts.watching import Watch

    if forever and deployment:
        raise click.UsageError("--forever goes on to the next deployment, and a DEPLOYMENT is one")
    target: Target = ctx.obj
    stack = target.find()
    ledger, clock = stack.ledger(), WallClock(math.inf if timeout is None else timeout)

    def tell(line: str) -> None:
        click.echo(line, err=True)

    with understood("reading the ledger"):
        watching = Watch(ledger)
        while True:
            followed = deployment or _next(watching.next(clock, tell))
            if followed is None:
                tell("no deployment began in time")
                ctx.exit(EXIT_CODES[Outcome.NEVER_SEEN])
            _require(ledger, followed)
            with _shown(clock, as_json=as_json) as show:
                standing = follow_one(ledger, followed, clock, tell, show)
            _tell(stack, standing, as_json=as_json)
            if not forever or clock.remaining() <= 0:
                ctx.exit(EXIT_CODES[standing.outcome])


def _next(found: object) -> str | None:
    from deployer.model import Deployment

    return found.id if isinstance(found, Deployment) else None


def _require(ledger: Ledger, deployment_id: str) -> None:
    if ledger.find(deployment_id) is None:
        raise Unusable(f"there is no deployment {plain(deployment_id)}. `deployer history` lists them")


@contextmanager
def _shown(clock: WallClock, *, as_json: bool) -> Iterator[Callable[[Standing], None]]:
    """Where each look is shown: a table that runs on a terminal, lines elsewhere."""
    from deployer.commands.parts.watching import Board, Lines

    if as_json or not sys.stdout.isatty():
        yield Lines(lambda line: click.echo(line, err=as_json)).show
        return
    from rich.console import Console
    from rich.live import Live

    board = Board(clock)
    with Live(board, console=Console(), refresh_per_second=4):
        yield board.show


def _tell(stack: Stack, standing: Standing, *, as_json: bool) -> None:
    from deployer import facts
    from deployer.commands.parts.following import GOES_ON, ended, going_on
    from deployer.commands.parts.standing import Outcome

    deployment = standing.deployment
    if as_json:
        told = facts.of_deployment(deployment) if deployment else {"deployment": None}
        click.echo(json.dumps({"outcome": standing.outcome, **told}))
    if deployment is None or (as_json and standing.outcome is Outcome.LIVE):
        return
    service, deployer = stack.output("ServiceFunctionName"), stack.output("DeployerName")
    if standing.ended:
        told_end = ended(deployment, service=service, deployer=deployer, place=stack.place())
        click.echo(told_end, err=as_json or standing.outcome is not Outcome.LIVE)
    else:
        click.echo(f"deployment {plain(deployment.id)} {going_on(deployment)} {GOES_ON}", err=True)
