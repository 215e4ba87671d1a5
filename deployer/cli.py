"""The `deployer` command, for people and for CI. Nothing that runs on Lambda imports it.

One verb is one file in `deployer/commands/` with one function of the verb's name, hyphens apart. Only the
file of the verb that was asked for is loaded, and it imports what it needs when it runs: starting must not
cost a second.
"""

from __future__ import annotations

import signal
from importlib import import_module

import click

from deployer.commands.parts.target import Target, plain

# In the order in which help lists them.
VERBS = (
    "push",
    "wait",
    "checks",
    "dashboard",
    "status",
    "history",
    "show",
    "plan",
    "images",
    "stats",
    "dead-letters",
    "rollback",
    "hold",
    "resume",
    "retry",
    "abort",
    "deploy",
    "watch",
    "logs",
    "completion",
    "doctor",
)
INTERRUPTED, UNEXPECTED = 130, 2  # as a shell reports a program that Ctrl-C ended: 128 and SIGINT's number


class _Verbs(click.Group):
    """Finds a verb in its file."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """All verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  the same
        """The verb, loaded now; None if there is none of this name."""
        if cmd_name not in VERBS:
            return None
        name = cmd_name.replace("-", "_")
        verb: click.Command = getattr(import_module(f"deployer.commands.{name}"), name)
        return verb

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb. Ctrl-C, and a CI that cancels, end it with one line and nothing else.

        What nobody expected is no verdict about a release: it exits with 2, not with Python's 1.
        """
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the exit code must not say "reverted"
            told = plain(f"{type(error).__name__}: {error}")
            click.echo(f"deployer: something unexpected went wrong: {told}", err=True)
            ctx.exit(UNEXPECTED)
        except KeyboardInterrupt:
            click.echo("deployer: interrupted; a deployment that has been asked for goes on", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=_Verbs, context_settings={"show_default": True, "max_content_width": 100})
@click.option(
    "--stack",
    default="shuking",
    envvar="DEPLOYER_STACK",
    show_envvar=True,
    help="Name of the CloudFormation stack: everything else is found in its outputs.",
)
@click.option("--profile", help="A profile of the AWS configuration; without it, as AWS's own tools choose.")
@click.option("--region", help="The stack's Region; without it, as AWS's own tools choose.")
@click.pass_context
def main(ctx: click.Context, stack: str, profile: str | None, region: str | None) -> None:
    """Release a service that deploys itself, and see what became of it.

    AWS is found as AWS's own tools find it: environment, profiles, AWS_ENDPOINT_URL.
    """
    ctx.obj = Target(stack, profile, region)
