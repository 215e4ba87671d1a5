"""Options that mean the same in every verb."""

from __future__ import annotations

import click

as_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on stdout; all else goes to stderr."
)
yes = click.option("--yes", is_flag=True, help="Do not ask first.")
