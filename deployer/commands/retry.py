"""`deployer retry`: deploy an image although it failed."""

from __future__ import annotations

import click

from deployer.commands.parts import asking, options
from deployer.commands.parts.target import Target


@click.command()
@click.argument("digest")
@options.reason
@options.past_hold
@options.timeout
@options.request
@options.yes
@options.as_json
@click.pass_context
def retry(
    ctx: click.Context,
    *,
    digest: str,
    reason: str | None,
    past_hold: str | None,
    timeout: int,
    request: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Deploy an image although it is in quarantine.

    Does: what `deployer deploy` does, also with an image that was seen to fail; being live ends its
    quarantine. DIGEST may be the beginning of one that is remembered, eight digits at least.

    Does not: make an image live that fails its checks again; pass a hold that is not named.

    \b
    Example:
      deployer retry 4f6c20ab --reason "the database was down, it was not the image"

    \b
    Exit codes:
      0  live
      1  refused, it ended badly, or the answer was no; stderr says why
      2  usage or configuration is wrong, nobody answered, or you may not command the deployer
      3  superseded by a newer push
      4  not ended in time, or no answer came; stderr says which
      130  interrupted by Ctrl-C
    """
    asking.require_somebody("retry", yes=yes)
    reason = asking.why(reason, "retry")
    from deployer.commands.parts.acting import Manner
    from deployer.commands.parts.deploying import Asked, ask_to_deploy

    target: Target = ctx.obj
    manner = Manner(yes, as_json, timeout)
    ctx.exit(ask_to_deploy(target, Asked("retry", digest, reason, past_hold, request), manner))
