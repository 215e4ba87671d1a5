"""Asking the person at the terminal. Without a terminal nobody is asked, and nothing is taken for granted."""

from __future__ import annotations

import sys

import click

from deployer.commands.parts.target import Unusable

# More would be cut by the deployer: events.py.
MOST_CHARACTERS = 200


def why(reason: str | None, verb: str, *, needed: bool = True) -> str:
    """The reason, asked for if it is needed and was not given. Raises `Unusable` without one."""
    if reason is None and not needed:
        return ""
    if reason is None and sys.stdin.isatty():
        reason = _line("Why? It stands in the history and in every message: ")
    reason = " ".join((reason or "").split())
    if not reason:
        raise Unusable(f'{verb} needs a reason, for whoever reads the history: --reason "..."')
    if len(reason) > MOST_CHARACTERS:
        raise Unusable(f"--reason has {len(reason)} characters; {MOST_CHARACTERS} are kept. Say it shorter")
    return reason


def require_somebody(verb: str, *, yes: bool) -> None:
    """Raises `Unusable` if a question will come and nobody is there to answer."""
    if not yes and not sys.stdin.isatty():
        raise Unusable(
            f"{verb} asks before it changes anything, and there is no terminal to ask at. "
            "--yes answers beforehand. Nothing was done"
        )


def agree(announced: str, question: str, *, yes: bool) -> None:
    """Say what will happen and ask, unless the answer was given. Raises ClickException, whose exit code is 1,
    at a no."""
    if yes:
        return
    click.echo(announced, err=True)
    if _line(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise click.ClickException("nothing was done")


def _line(question: str) -> str:
    click.echo(question, nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer:
        raise Unusable("nobody answered, so nothing was done. --yes answers beforehand")
    return answer
