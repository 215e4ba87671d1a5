"""`deployer dashboard`: the dashboard's page on this machine, for who would rather not open the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from deployer.commands.parts import options
from deployer.commands.parts.target import Stack, Target, Unusable, understood

if TYPE_CHECKING:
    from deployer.commands.parts.console.server import Doors

_LOOK_SECONDS = 130.0  # the dashboard's function may take 120


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="The port on 127.0.0.1; 0 is any free one.",
)
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
@options.as_json
@click.pass_context
def dashboard(ctx: click.Context, port: int, opens: bool, as_json: bool) -> None:
    """Serve the dashboard's page on this machine, with working buttons, until Ctrl-C.

    Does: reads the stack's outputs and who you are; prints an address with a key in it; draws the page by
    invoking the dashboard's function; sends a button's command to the deployer's, after asking.

    Does not: change anything by itself, listen on any network, or give what your own policies do not: looking
    takes the viewer's, a button the operator's.

    \b
    Example:
      deployer dashboard --open

    \b
    Exit codes:
      2  usage or configuration is wrong
      130  interrupted by Ctrl-C, which is how it ends
    """
    import json
    import secrets
    import webbrowser

    from deployer.commands.parts.console.server import Console

    target: Target = ctx.obj
    doors = _doors(target.find())
    try:
        console = Console(doors, secrets.token_urlsafe(24), port)
    except OSError as error:
        raise Unusable(f"port {port} of 127.0.0.1 cannot be listened on: {error.strerror}") from error
    with console:
        told = {"url": console.url, "service": doors.service}
        click.echo(json.dumps(told) if as_json else f"{doors.service}: {console.url}")
        click.echo("Keep the address to yourself: it acts as you. Ctrl-C ends it.", err=True)
        if opens:
            webbrowser.open(console.url)
        console.serve_forever()


def _doors(stack: Stack) -> Doors:
    """The two functions, invoked with the person's own credentials."""
    from botocore.config import Config

    from deployer.aws.deployer import DeployerFunction, Died
    from deployer.commands.parts.console.server import Doors
    from deployer.commands.parts.target import plain

    def asked(doing: str, door: DeployerFunction, event: Mapping[str, object]) -> object:
        with understood(doing):
            try:
                return door.ask(event)
            except Died as error:
                raise Unusable(f"{doing}: it died: {plain(str(error))}") from error

    patience = Config(connect_timeout=5, read_timeout=_LOOK_SECONDS, retries={"total_max_attempts": 2})
    page = DeployerFunction(
        stack.session.client("lambda", config=patience), stack.output("DashboardFunctionName")
    )
    deployer = stack.deployer()
    with understood("asking AWS who you are"):
        by = stack.caller().arn()
    return Doors(
        look=lambda event: asked("asking the dashboard's function", page, event),
        act=lambda event: asked("commanding the deployer", deployer, event),
        deployer=stack.output("DeployerName"),
        service=stack.output("ServiceFunctionName"),
        by=by,
    )
