"""`deployer deploy`: deploy an image by its digest."""

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
def deploy(
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
    """Deploy an image by its digest.

    Does: has the deployer verify the image and make it live, or put everything back; waits for the end.
    DIGEST may be the beginning of one that is remembered, eight digits at least. --past-hold names the hold
    that it may pass.

    Does not: move the release tag; pass a quarantine (`deployer retry` does), or a hold that is not named.

    \b
    Example:
      deployer deploy sha256:4f6c20ab --reason "the hotfix" --past-hold 20260301T031500Z-1f0c9a7e

    \b
    Exit codes:
      0  live
      1  refused, it ended badly, or the answer was no; stderr says why
      2  usage or configuration is wrong, nobody answered, or you may not command the deployer
      3  superseded by a newer push
      4  not ended in time, or no answer came; stderr says which
      130  interrupted by Ctrl-C
    """
    asking.require_somebody("deploy", yes=yes)
    reason = asking.why(reason, "deploy")
    from deployer.commands.parts.acting import Manner
    from deployer.commands.parts.deploying import Asked, ask_to_deploy

    target: Target = ctx.obj
    manner = Manner(yes, as_json, timeout)
    ctx.exit(ask_to_deploy(target, Asked("deploy", digest, reason, past_hold, request), manner))
