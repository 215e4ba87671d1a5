"""`deployer history`: what was deployed, and how it ended."""

from __future__ import annotations

import json
from datetime import datetime

import click

from deployer import facts
from deployer.commands.parts import options, telling, times
from deployer.commands.parts.target import Target, plain, understood
from deployer.message import reason
from deployer.model import short
from deployer.times import lasts, stamp

DEFAULT, MOST = 20, 500
_OUTCOMES = ("succeeded", "reverted", "rejected", "superseded", "stuck")


@click.command()
@click.option("--limit", type=click.IntRange(1, MOST), default=DEFAULT, help="How many, at most.")
@click.option(
    "--since", metavar="TIME", callback=times.past, help=f"Only what was asked for since then: {times.SAID}."
)
@click.option(
    "--outcome",
    type=click.Choice(_OUTCOMES, case_sensitive=False),
    multiple=True,
    help=f"Only what ended so, among the newest {MOST}; may be given several times.",
)
@options.as_json
@click.pass_context
def history(
    ctx: click.Context, limit: int, since: datetime | None, outcome: tuple[str, ...], as_json: bool
) -> None:
    """List the deployments that ended.

    Does: lists them, the newest first: when each was asked for, its id, how it ended, what was deployed, how
    long it took, and why it ended so.

    Does not: list what is under way (`deployer status` does), or read more of the ledger than it lists.

    \b
    Example:
      deployer history --since 7d --outcome reverted --outcome stuck

    \b
    Exit codes:
      0  listed, also if there is nothing to list
      2  usage or configuration is wrong, or the ledger cannot be read
      130  interrupted by Ctrl-C
    """
    target: Target = ctx.obj
    ledger = target.find().ledger()
    with understood("reading the history"):
        found = ledger.history(MOST if outcome else limit, since)
    wanted = {each.upper() for each in outcome}
    listed = [each for each in found if not wanted or each.phase.value in wanted][:limit]
    if as_json:
        click.echo(json.dumps({"deployments": [facts.of_deployment(each) for each in listed]}))
        return
    if not listed:
        narrowed = since is not None or outcome
        click.echo("no deployment that is like this" if narrowed else "no release yet: deployer push")
        return
    telling.table(
        ("asked for (UTC)", "id", "outcome", "revision", "digest", "took", "why"),
        [
            (
                stamp(each.requested_at),
                plain(each.id),
                telling.phase_cell(each.phase),
                plain(each.revision or "-"),
                short(each.image.digest),
                lasts(each.since - each.requested_at),
                plain(reason(each)),
            )
            for each in listed
        ],
    )
