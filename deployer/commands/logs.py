"""`deployer logs`: what the service or the deployer has printed."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from deployer.commands.parts import times
from deployer.commands.parts.clock import WallClock
from deployer.commands.parts.target import Target, plain, understood

if TYPE_CHECKING:
    from deployer.aws.logs import LogLine


@click.command()
@click.option("--of", type=click.Choice(["service", "deployer"]), default="service", help="Whose log.")
@click.option("--follow", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option(
    "--since",
    metavar="TIME",
    default="10m",
    callback=times.past,
    help=f"From when on: {times.SAID}.",
)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=1000, metavar="N", help="Only the last N lines of it."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; all else goes to stderr.")
@click.pass_context
def logs(ctx: click.Context, *, of: str, follow: bool, since: datetime, limit: int, as_json: bool) -> None:
    """Show what the service or the deployer has printed.

    Does: reads the log in CloudWatch, all workers together, and prints each line with its time (UTC). The
    deployer's lines are JSON, and shown as level, message and the deployment they are about. What may be a
    secret in an address is left out.

    Does not: show lines younger than some seconds, which CloudWatch may not have yet; read more than a
    hundred pages: it says so when there is more.

    \b
    Examples:
      deployer logs --since 2h
      deployer logs --of deployer --follow

    \b
    Exit codes:
      0  shown, also when there is nothing
      2  usage or configuration is wrong, or you may not read the log
      130  interrupted by Ctrl-C
    """
    from deployer.commands.parts import log_reading

    target: Target = ctx.obj
    stack = target.find()
    function = stack.output("ServiceFunctionName") if of == "service" else stack.output("DeployerName")
    log, clock = stack.log(function), WallClock(math.inf)

    def tell(line: str) -> None:
        click.echo(line, err=True)

    with understood(f"reading the log of {plain(function)}"):
        lines, more = log_reading.recent(log, since, limit)
        if more:
            tell(f"there is more since {since:%Y-%m-%d %H:%M:%S} UTC; these are the last {len(lines)} lines")
        for each in lines:
            _show(each, as_json=as_json)
        if not lines and not follow:
            tell(f"nothing was printed since {since:%Y-%m-%d %H:%M:%S} UTC; --since looks further back")
        if follow:
            for each in log_reading.follow(log, lines, since, clock, tell):
                _show(each, as_json=as_json)


def _show(line: LogLine, *, as_json: bool) -> None:
    from deployer.commands.parts.loglines import told
    from deployer.text import discreet

    at = datetime.fromtimestamp(line.at_ms / 1000, UTC)
    if as_json:
        click.echo(
            json.dumps({"at": at.isoformat(), "stream": line.stream, "message": discreet(line.message)})
        )
    else:
        click.echo(told(at, line.message))
