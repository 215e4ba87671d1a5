"""Options that mean the same in every verb."""

from __future__ import annotations

import re

import click

_ID = re.compile(r"[A-Za-z0-9-]{1,128}")  # as the deployer takes them: events.py

as_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on stdout; all else goes to stderr."
)
yes = click.option("--yes", is_flag=True, help="Do not ask first.")
reason = click.option(
    "--reason",
    metavar="TEXT",
    help="Why: it stands in the history and in every message. On a terminal it is asked for.",
)


def id_(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    """An id of the deployer's making, or of a person's; a callback of click's."""
    if text is not None and not _ID.fullmatch(text):
        raise click.BadParameter(f"an id is of letters, digits and hyphens, not {text[:80]!r}")
    return text


request = click.option(
    "--request",
    metavar="ID",
    callback=id_,
    help="The id of a command that was given before: the very same again, followed once. Else a new id.",
)
past_hold = click.option("--past-hold", metavar="HOLD-ID", callback=id_, help="Pass this hold, and no other.")
timeout = click.option(
    "--timeout",
    type=click.IntRange(min=0),
    default=1800,
    metavar="SECONDS",
    help="How long to wait for the end, once the deployer has answered. It goes on after it.",
)
