"""`deployer hold`: freeze deployments."""

from __future__ import annotations

import click

from deployer.commands.parts import asking, options
from deployer.commands.parts.target import Target
from deployer.model import Book


@click.command()
@options.reason
@options.request
@options.yes
@options.as_json
@click.pass_context
def hold(ctx: click.Context, *, reason: str | None, request: str | None, yes: bool, as_json: bool) -> None:
    """Freeze deployments: none begins until somebody resumes.

    Does: sets the hold through the deployer, with who you are and why; says its id, by which `deploy` and
    `retry` can pass it. What is pushed meanwhile is rejected, so that `deployer wait` exits with 1.

    Does not: stop a deployment that is under way (`deployer abort` does); replace somebody's hold.

    \b
    Example:
      deployer hold --reason "incident 42: the database is being moved"

    \b
    Exit codes:
      0  held
      1  refused, or the answer was no; stderr says why
      2  usage or configuration is wrong, nobody answered, or you may not command the deployer
      4  no answer came; stderr says how to give the very same command again
      130  interrupted by Ctrl-C
    """
    asking.require_somebody("hold", yes=yes)
    reason = asking.why(reason, "hold")
    from deployer.commands.parts import present
    from deployer.commands.parts.acting import Manner, act, wished, words

    target: Target = ctx.obj
    stack = target.find()
    ledger = stack.ledger()

    def announced() -> str:
        now = present.read(stack, ledger)
        ends = f"{now.under_way} It goes on to its end." if now.under_way else ""
        held = f"{now.held} So this will be refused." if now.held else "Nobody holds them now."
        return now.sentences(
            f"{now.service}: no deployment will begin any more until somebody resumes, and what is pushed "
            "meanwhile is rejected.",
            held,
            now.users,
            ends,
        )

    def next_(book: Book) -> str:
        return f"Lift that hold: {words(stack, 'resume')}" if book.hold else ""

    refused = present.after_a_no(ledger, next_)
    ctx.exit(act(stack, wished("hold", reason, request), Manner(yes, as_json), announced, refused))
