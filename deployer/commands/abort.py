"""`deployer abort`: turn round the deployment that is under way."""

from __future__ import annotations

import click

from deployer.commands.parts import asking, options
from deployer.commands.parts.target import Target
from deployer.model import Book


@click.command()
@click.argument("deployment", required=False, callback=options.id_)
@options.reason
@options.timeout
@options.request
@options.yes
@options.as_json
@click.pass_context
def abort(
    ctx: click.Context,
    *,
    deployment: str | None,
    reason: str | None,
    timeout: int,
    request: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Turn round the deployment that is under way.

    Does: has users stay on, or go back to, what was live before it, and waits until that is done. With
    DEPLOYMENT, an id, only if it is that one; on a terminal, only if it is the one that was shown.

    Does not: put the image into quarantine, unless it had failed a check already; keep the next push from
    being deployed (`deployer hold` does); undo a deployment that has ended (`deployer rollback` does).

    \b
    Example:
      deployer abort --reason "wrong branch"

    \b
    Exit codes:
      0  turned round
      1  refused, it went live all the same, it is stuck, or the answer was no; stderr says why
      2  usage or configuration is wrong, nobody answered, or you may not command the deployer
      4  not ended in time, or no answer came; stderr says which
      130  interrupted by Ctrl-C
    """
    asking.require_somebody("abort", yes=yes)
    reason = asking.why(reason, "abort")
    from deployer import rollout
    from deployer.commands.parts import present
    from deployer.commands.parts.acting import Manner, act, wished, words

    target: Target = ctx.obj
    stack = target.find()
    ledger = stack.ledger()
    about = {"deployment": deployment} if deployment else {}

    def announced() -> str:
        now = present.read(stack, ledger)
        going = rollout.underway(now.book)
        if going is None:
            return f"{now.service}: no deployment is under way, so this will be refused. {now.users}"
        about.setdefault("deployment", going.id)  # what was shown is what is meant
        back = now.version(going.previous.number) if going.previous else "what was live before it"
        other = "" if about["deployment"] == going.id else "It is another one, so this will be refused."
        return now.sentences(
            f"{now.service}: {now.under_way}",
            other,
            f"It will be turned round: users stay on, or go back to, {back}.",
        )

    def next_(book: Book) -> str:
        undo = words(stack, "rollback", "--reason", "...")
        return "" if rollout.underway(book) else f"What has ended is undone so: {undo}"

    refused = present.after_a_no(ledger, next_)
    manner = Manner(yes, as_json, timeout)
    ctx.exit(act(stack, wished("abort", reason, request, about), manner, announced, refused))
