"""`deployer images`: what is in the repository, and what of it is live."""

from __future__ import annotations

import json

import click

from deployer.commands.parts import options, situation, telling
from deployer.commands.parts.target import Target, Unusable, plain, understood
from deployer.model import short
from deployer.rollout import LIVE_TAG, PREVIOUS_TAG
from deployer.times import stamp

DEFAULT, MOST = 50, 1000
_MOST_QUARANTINES = 500
_MOST_TAGS = 10


@click.command()
@click.option("--limit", type=click.IntRange(1, MOST), default=DEFAULT, help="How many, at most.")
@options.as_json
@click.pass_context
def images(ctx: click.Context, limit: int, as_json: bool) -> None:
    """List the images in the repository.

    Does: lists the images that were pushed last, with tags, digest, size and time; marks what is live, what
    was live before, what is in quarantine, and the placeholder that the stack began with.

    Does not: change or delete anything, or look at more than 10,000 images.

    \b
    Example:
      deployer images --limit 10

    \b
    Exit codes:
      0  listed, also if there is nothing to list
      2  usage or configuration is wrong, or something cannot be read
      130  interrupted by Ctrl-C
    """
    from deployer import placeholder

    target: Target = ctx.obj
    stack = target.find()
    with understood("reading the repository"):
        found, complete = stack.images().newest(limit)
    with understood("reading the quarantine"):
        bad = {each.digest: each for each in stack.ledger().quarantines(_MOST_QUARANTINES)}
    try:
        live = situation.read_live(stack).version.image.digest
    except Unusable as error:
        # The tag says where the last sweep saw it.
        live = next((each.digest for each in found if LIVE_TAG in each.tags), "")
        click.echo(f"what is live is taken from the tag {LIVE_TAG}: {error.message}", err=True)
    placeholders = placeholder.digests()
    rows = []
    for each in found:
        marks = [
            *(["live"] if each.digest == live else []),
            *(["previous"] if PREVIOUS_TAG in each.tags and each.digest != live else []),
            *(["quarantined"] if each.digest in bad else []),
            *(["placeholder"] if each.digest in placeholders else []),
        ]
        rows.append((each, marks))
    if not complete:
        click.echo("there are more than 10,000 images: some were not looked at", err=True)
    if len(bad) == _MOST_QUARANTINES:
        click.echo(f"{_MOST_QUARANTINES} digests or more are in quarantine: a mark may be missing", err=True)
    if as_json:
        listed = [
            {
                "digest": each.digest,
                "tags": list(each.tags),
                "bytes": each.size,
                "pushed_at": each.pushed_at.isoformat() if each.pushed_at else None,
                "marks": marks,
                "quarantined_because": bad[each.digest].because if each.digest in bad else None,
            }
            for each, marks in rows
        ]
        click.echo(json.dumps({"images": listed, "complete": complete}))
        return
    if not rows:
        click.echo("no image is in the repository yet: deployer push")
        return
    tones = {"live": "good", "quarantined": "bad", "previous": "busy"}
    telling.table(
        ("pushed (UTC)", "digest", "size", "marks", "tags"),
        [
            (
                stamp(each.pushed_at) if each.pushed_at else "-",
                short(each.digest),
                _size(each.size),
                telling.Cell(", ".join(marks) or "-", next((tones[m] for m in marks if m in tones), "")),
                _tags(each.tags),
            )
            for each, marks in rows
        ],
    )


def _size(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB" if size >= 1024**2 else f"{size / 1024:.1f} KiB"


def _tags(tags: tuple[str, ...]) -> str:
    told = " ".join(plain(tag) for tag in tags[:_MOST_TAGS])
    return f"{told} and {len(tags) - _MOST_TAGS} more" if len(tags) > _MOST_TAGS else told or "-"
