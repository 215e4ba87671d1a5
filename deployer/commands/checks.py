"""`deployer checks`: the deployer's own checks, against a container on this machine."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import click

from deployer.commands.parts import options
from deployer.commands.parts.clock import WallClock
from deployer.commands.parts.target import Unusable, plain
from deployer.model import CheckResult
from deployer.settings import DEFAULT_CHECKS

_LOOK_SECONDS = 0.2


@click.command()
@click.option("--url", required=True, help="Where the emulator is, such as http://localhost:9000.")
@click.option(
    "--checks",
    "given",
    metavar="JSON",
    envvar="CHECKS",
    show_envvar=True,
    default=DEFAULT_CHECKS,
    help="The stack's parameter Checks: a JSON list of requests and what their answers must be.",
)
@click.option(
    "--wait",
    "patience",
    type=click.IntRange(min=0),
    default=30,
    metavar="SECONDS",
    help="How long to wait until the emulator answers at all.",
)
@options.as_json
@click.pass_context
def checks(ctx: click.Context, url: str, given: str, patience: int, as_json: bool) -> None:
    """Run the deployer's checks on a local container.

    Does: sends a container behind AWS's Lambda runtime interface emulator the very events that the deployer
    will send, judges the answers as it will, stops at the first check that fails.

    Does not: start the container, or use AWS: neither credentials nor a stack are needed.

    \b
    Exit codes:
      0  all checks passed
      1  a check failed, or came to no verdict
      2  usage is wrong, or no emulator answers there
      130  interrupted by Ctrl-C
    """
    from deployer.commands.parts.emulator import Emulator, NoEmulator
    from deployer.ports import LookAgain
    from deployer.smoke import BadChecks, parse_checks, run_checks

    try:
        wanted = parse_checks(given)
        emulator = Emulator(url)
    except BadChecks as error:
        raise Unusable(plain(str(error))) from None
    except ValueError as error:
        raise Unusable(f"--url is {plain(str(error))}") from None
    start = "Start the container first: docker run --rm -p 9000:8080 IMAGE"
    clock = WallClock(patience)
    while not emulator.answers():
        if clock.remaining() <= 0:
            raise Unusable(f"nothing answered at {plain(url)} within {patience} s. {start}")
        clock.sleep(_LOOK_SECONDS)
    try:
        verdict = run_checks(wanted, emulator.invoke, WallClock(math.inf))
    except NoEmulator as error:
        raise Unusable(f"what is at {plain(url)} is no emulator: it answered {error}. {start}") from None
    except LookAgain as error:
        raise click.ClickException(f"no verdict: {plain(str(error))}. Look at the container's log") from None
    not_run = [check.name for check in wanted[len(verdict.results) :]]
    if as_json:
        results = [asdict(result) for result in verdict.results]
        click.echo(json.dumps({"healthy": verdict.healthy, "results": results, "not_run": not_run}))
    else:
        for result in verdict.results:
            click.echo(_told(result))
        for name in not_run:
            click.echo(f"not run {plain(name)}")
    ctx.exit(0 if verdict.healthy else 1)


def _told(result: CheckResult) -> str:
    word, tries = (
        "ok     " if result.passed else "FAILED ",
        "1 try" if result.tries == 1 else f"{result.tries} tries",
    )
    return f"{word} {plain(f'{result.name}: expected {result.expected}, got {result.actual}')} ({tries})"
