"""`deployer completion`: what makes a shell complete verbs and options."""

from __future__ import annotations

import click

# Where each shell looks for it.
_PLACES = {
    "bash": "deployer completion bash > ~/.local/share/bash-completion/completions/deployer",
    "zsh": "deployer completion zsh > ~/.zfunc/_deployer   # fpath+=~/.zfunc before compinit in ~/.zshrc",
    "fish": "deployer completion fish > ~/.config/fish/completions/deployer.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(_PLACES)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete verbs and options.

    Does: prints a script for bash, zsh or fish on stdout, and on stderr where to put it.

    Does not: write a file, or use AWS, neither now nor when the shell completes.

    \b
    Example:
      deployer completion bash > ~/.local/share/bash-completion/completions/deployer

    \b
    Exit codes:
      0  printed
      2  usage is wrong
      130  interrupted by Ctrl-C
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:  # pragma: no cover - click knows all three
        raise click.UsageError(f"click does not know {shell}")
    source = found(ctx.find_root().command, {}, "deployer", "_DEPLOYER_COMPLETE").source()
    click.echo(source.strip())
    click.echo(f"Put it where {shell} looks for it, and open a new shell:\n    {_PLACES[shell]}", err=True)
