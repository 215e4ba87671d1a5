"""`deployer resume`: lift the hold."""

from __future__ import annotations

import click

from deployer.commands.parts import asking, options
from deployer.commands.parts.target import Target


@click.command()
@click.option("--reason", metavar="TEXT", help="Why, if there is anything to say.")
@options.request
@options.yes
@options.as_json
@click.pass_context
def resume(ctx: click.Context, *, reason: str | None, request: str | None, yes: bool, as_json: bool) -> None:
    """Lift the hold, and deploy what was pushed meanwhile.

    Does: lifts the hold that is there, whoever set it; what the release tag points at is taken up, if it was
    not tried yet. It answers when that has ended, or when the deployer's time is over.

    Does not: take up what a person asked for and was refused: that is asked again; resume while a rollback is
    under way.

    \b
    Example:
      deployer resume --reason "the database is where it belongs"

    \b
    Exit codes:
      0  resumed, whatever became of what was taken up
      1  refused, or the answer was no; stderr says why
      2  usage or configuration is wrong, nobody answered, or you may not command the deployer
      4  no answer came; stderr says how to give the very same command again
      130  interrupted by Ctrl-C
    """
    asking.require_somebody("resume", yes=yes)
    reason = asking.why(reason, "resume", needed=False)
    from deployer.commands.parts import present
    from deployer.commands.parts.acting import Manner, act, wished

    target: Target = ctx.obj
    stack = target.find()

    def announced() -> str:
        now = present.read(stack, stack.ledger())
        held = now.held or "Nobody holds deployments, so this will be refused."
        return now.sentences(
            f"{now.service}: the hold will be lifted, and what the release tag points at deployed, if it was "
            "not tried yet.",
            held,
            now.users,
        )

    ctx.exit(act(stack, wished("resume", reason, request), Manner(yes, as_json), announced))
