"""`deployer wait`: for CI, whose last step has to fail when the release did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from deployer.commands.parts import options, times
from deployer.commands.parts.clock import WallClock
from deployer.commands.parts.following import follow_to_the_end
from deployer.commands.parts.target import Target
from deployer.model import BadDigest, require_digest

# A push and the `wait` after it may be this far apart without saying when the push was.
SINCE = timedelta(minutes=10)


def _digest(_context: click.Context, _option: click.Parameter, text: str) -> str:
    try:
        return require_digest(text)
    except BadDigest as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option("--digest", required=True, callback=_digest, help="What was pushed: sha256:...")
@click.option(
    "--since",
    metavar="TIME",
    callback=times.past,
    help=f"When it was pushed, or somewhat before: {times.SAID}. Deployments that were asked"
    " for earlier are others; a minute between two clocks is allowed for.  [default: ten minutes ago]",
)
@click.option(
    "--timeout",
    type=click.IntRange(min=0),
    default=1800,
    metavar="SECONDS",
    help="How long to wait. The deployment goes on after it.",
)
@options.as_json
@click.pass_context
def wait(ctx: click.Context, digest: str, since: datetime | None, timeout: int, as_json: bool) -> None:
    """Wait for the end of a release, and exit with it.

    Does: reads the stack's outputs, and the ledger until the deployment of the digest has ended; prints each
    move when it happens, and the end.

    Does not: change anything, ask for a deployment, or stop one when it is interrupted.

    \b
    Exit codes:
      0  live
      1  it ended badly: reverted, rejected or stuck; stderr says why
      2  usage or configuration is wrong
      3  superseded by a newer push
      4  not ended in time; stderr says whether it goes on or was never seen
      130  interrupted by Ctrl-C
    """
    target: Target = ctx.obj
    since = since or datetime.now(UTC) - SINCE
    ctx.exit(follow_to_the_end(target.find(), digest, since, WallClock(timeout), as_json=as_json))
