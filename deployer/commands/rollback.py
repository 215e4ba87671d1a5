"""`deployer rollback`: take users back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from deployer.commands.parts import asking, options
from deployer.commands.parts.target import Target, understood
from deployer.model import Book

if TYPE_CHECKING:
    from deployer.commands.parts.present import Present
    from deployer.ports import Ledger

_VERSION = re.compile(r"[1-9][0-9]{0,19}")


@click.command()
@click.option(
    "--to",
    metavar="VERSION|DIGEST",
    help="The number of a version; or a digest that was live, or its beginning (with sha256: before it, if it"
    " is of digits only).  [default: the last good version]",
)
@options.reason
@options.timeout
@options.request
@options.yes
@options.as_json
@click.pass_context
def rollback(
    ctx: click.Context,
    *,
    to: str | None,
    reason: str | None,
    timeout: int,
    request: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Take users back to the last good version, and hold.

    Does: checks that version first, moves users to it, and waits until that is done. Holds deployments, so
    that no push undoes it. Given again, it goes further back.

    Does not: go to a version that fails its checks now, or whose image is in quarantine; lift a hold.

    \b
    Examples:
      deployer rollback --reason "incident 42: payments fail"
      deployer rollback --to 17 --reason "incident 42: so does the one before"

    \b
    Exit codes:
      0  users are back
      1  refused, it ended badly, or the answer was no; stderr says why
      2  usage or configuration is wrong, nobody answered, or you may not command the deployer
      3  superseded
      4  not ended in time, or no answer came; stderr says which
      130  interrupted by Ctrl-C
    """
    asking.require_somebody("rollback", yes=yes)
    reason = asking.why(reason, "rollback")
    from deployer import rollout
    from deployer.commands.parts import present
    from deployer.commands.parts.acting import Manner, act, wished, words

    target: Target = ctx.obj
    stack = target.find()
    ledger = stack.ledger()
    about = {}
    if to is not None:
        about["to"] = to if _VERSION.fullmatch(to) else present.digest(stack, ledger, to, "--to")

    def announced() -> str:
        now = present.read(stack, ledger)
        with understood("reading the ledger"):
            goal = _goal(now, ledger, about.get("to"))
        stays = f"{now.held} That hold stays." if now.held else ""
        return now.sentences(
            f"{now.service}: {now.users} They will go to {goal}, once that has passed its checks, and "
            "deployments are held until somebody resumes.",
            now.under_way,
            stays,
        )

    def next_(book: Book) -> str:
        turn = words(stack, "abort", "--reason", "...")
        return f"What is under way is turned round so: {turn}" if rollout.underway(book) else ""

    refused = present.after_a_no(ledger, next_)
    manner = Manner(yes, as_json, timeout)
    ctx.exit(act(stack, wished("rollback", reason, request, about), manner, announced, refused))


def _goal(now: Present, ledger: Ledger, to: str | None) -> str:
    if to is None:
        back = now.way_back(ledger.quarantine)
        return now.version(back.number) if back else "the last good version that the deployer finds"
    if to.startswith("sha256:"):
        return f"the version that was live with {now.image(to)}"
    return now.version(to)
