"""`deployer checks`: the deployer's own checks, on what is live, on any version, or on a container here."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict

import click

from deployer import facts
from deployer.commands.parts import options
from deployer.commands.parts.clock import WallClock
from deployer.commands.parts.target import Target, Unusable, plain
from deployer.model import CheckResult, Verdict, Version, short
from deployer.settings import DEFAULT_CHECKS
from deployer.text import printable

_LOOK_SECONDS = 0.2


@click.command()
@click.option("--version", type=click.IntRange(min=1), metavar="N", help="This version, not what is live.")
@click.option("--url", help="A container on this machine: where its emulator is, as http://localhost:9000.")
@click.option(
    "--checks",
    "given",
    metavar="JSON",
    envvar="CHECKS",
    show_envvar=True,
    default=DEFAULT_CHECKS,
    help="With --url, the stack's parameter Checks: a JSON list of requests and what they must answer.",
)
@click.option(
    "--wait",
    "patience",
    type=click.IntRange(min=0),
    default=30,
    metavar="SECONDS",
    help="With --url, how long to wait until the emulator answers at all.",
)
@options.as_json
@click.pass_context
def checks(
    ctx: click.Context,
    *,
    version: int | None,
    url: str | None,
    given: str,
    patience: int,
    as_json: bool,
) -> None:
    """Run the deployer's checks now: on what is live, a version, or a local container.

    Does: has the deployer send its checks to what is live, or to --version N, and judge the answers as it
    does in a deployment. With --url, sends the very same events to a container behind AWS's Lambda runtime
    interface emulator, from here. Stops at the first check that fails.

    Does not: change anything, move users, or write to the history, whatever comes of it; start the container.
    With --url it does not use AWS: neither credentials nor a stack are needed.

    \b
    Examples:
      deployer checks
      deployer checks --version 7
      deployer checks --url http://localhost:9000

    \b
    Exit codes:
      0  all checks passed
      1  a check failed, or came to no verdict
      2  usage is wrong, no emulator answers there, or you may not ask the deployer
      130  interrupted by Ctrl-C
    """
    if url is not None and version is not None:
        raise click.UsageError("--url and --version do not go together: a container has no versions")
    if url is not None:
        ctx.exit(_in_container(url, given, patience, as_json=as_json))
    target: Target = ctx.obj
    ctx.exit(_by_the_deployer(target, version, as_json=as_json))


def _by_the_deployer(target: Target, version: int | None, *, as_json: bool) -> int:
    from deployer.commands.parts.checking import check

    stack = target.find()
    checked = check(stack, None if version is None else str(version))
    which = facts.of_version(Version(checked.version, checked.image))
    if not as_json:
        live = "" if version else ", which is live"
        service = plain(stack.output("ServiceFunctionName"))
        click.echo(
            f"{service} version {plain(checked.version)} ({plain(short(checked.image.digest))}){live}:"
        )
    return _tell(checked.verdict, checked.not_run, which, as_json=as_json)


def _in_container(url: str, given: str, patience: int, *, as_json: bool) -> int:
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
    return _tell(verdict, not_run, {}, as_json=as_json)


def _tell(verdict: Verdict, not_run: Sequence[str], which: facts.Facts, *, as_json: bool) -> int:
    """The exit code."""
    if as_json:
        results = [asdict(result) for result in verdict.results]
        told = {**which, "healthy": verdict.healthy, "results": results, "not_run": list(not_run)}
        click.echo(json.dumps(told | ({"log_tail": verdict.log_tail} if which else {})))
        return 0 if verdict.healthy else 1
    for result in verdict.results:
        click.echo(_told(result))
    for name in not_run:
        click.echo(f"not run {plain(name)}")
    if verdict.log_tail:
        click.echo("the end of its log:")
        for line in printable(verdict.log_tail).rstrip().splitlines():
            click.echo(f"    {line}")
    return 0 if verdict.healthy else 1


def _told(result: CheckResult) -> str:
    word, tries = (
        "ok     " if result.passed else "FAILED ",
        "1 try" if result.tries == 1 else f"{result.tries} tries",
    )
    return f"{word} {plain(f'{result.name}: expected {result.expected}, got {result.actual}')} ({tries})"
