"""`deployer plan`: what a push of an image would do, by the deployer's own rules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from deployer.commands.parts import options, telling
from deployer.commands.parts.situation import release
from deployer.commands.parts.target import Stack, Target, Unusable, plain, understood
from deployer.model import BadDigest, require_digest

_MOST = 20


@click.command()
@click.argument("image", required=False, metavar="[DIGEST|TAG]")
@options.as_json
@click.pass_context
def plan(ctx: click.Context, image: str | None, as_json: bool) -> None:
    """See what a push of an image would do.

    Does: has the deployer's own rules decide, as things are now, about a push of the image that DIGEST or TAG
    names, or that the release tag points at: rejected and why, superseded, waiting, live already, or
    deployed, and then through which phases, with where each leads when all is well and when it is not.

    Does not: change anything, run a check, or promise: what happens before the push may change it.

    \b
    Example:
      deployer plan
      deployer plan git-3f2a91c
      deployer plan sha256:4f6c...  (the whole digest)

    \b
    Exit codes:
      0  planned, whatever it would be
      2  usage or configuration is wrong, or something cannot be read
      130  interrupted by Ctrl-C
    """
    target: Target = ctx.obj
    stack = target.find()
    digest, tagged = _digest(stack, image)
    told = stack.read("plan", digest=digest)
    told["release_tag_is_on_it"] = tagged
    if as_json:
        click.echo(json.dumps(told))
        return
    try:
        _tell(told)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Unusable(
            f"the dashboard's function answered what is not known here: {plain(repr(error))}. "
            "Update the command, or the stack"
        ) from error


def _digest(stack: Stack, image: str | None) -> tuple[str, bool]:
    """The digest that is meant, and whether the release tag is on it."""
    release_tag = stack.output("ReleaseTag")
    with understood("reading the repository"):
        registry = stack.registry()
        released = registry.tagged(release_tag)
        if image is None or image == release_tag:
            if released is None:
                raise Unusable(
                    f"the release tag {plain(release_tag)} is on no image yet: deployer push, or name one"
                )
            return released, True
        if image.startswith("sha256:"):
            try:
                return require_digest(image), image == released
            except BadDigest as error:
                raise Unusable(plain(str(error))) from None
        found = registry.tagged(image)
    if found is None:
        raise Unusable(
            f"the tag {plain(image)} is on no image of the repository. `deployer images` lists them"
        )
    return found, found == released


def _tell(told: Mapping[str, Any]) -> None:
    tones = {"be deployed": "good", "be live already": "calm", "wait": "busy"}
    image = release(require_digest(told["digest"]), told["revision"])
    pairs: list[tuple[str, telling.Shown]] = [
        ("a push of", image),
        ("would", telling.Cell(plain(told["would"]), tones.get(told["would"], "care"))),
        ("because", plain(told["because"])),
    ]
    if told["warning"]:
        pairs.append(("note", telling.Cell(plain(told["warning"]), "care")))
    if told["release_tag_is_on_it"]:
        pairs.append(
            (
                "note",
                "the release tag is on it already: ECR tells nobody of a push that changes nothing, so it is "
                "deployed by a command, not by another push",
            )
        )
    live = told["live"]
    users = f"version {plain(live['version'])} ({release(require_digest(live['image']['digest']), None)})"
    pairs.append(("users are then on", f"{users}, which is this image" if told["is_live"] else users))
    pairs += _around(told)
    telling.facts(pairs)
    if told["way"]:
        telling.heading("If all is well")
        telling.table(*_way(told["way"]))
        telling.heading("If it fails when users have met it")
        telling.table(*_way(told["way_back"]))
        ends = told["way_back_ends"]
        click.echo(f"\nIt would end {plain(ends['phase'])}: {plain(ends['because'])}")


def _around(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    hold, quarantine = told["hold"], told["quarantine"]
    held = f"{plain(hold['by'])}: {plain(hold['because'])} (hold {plain(hold['id'])})" if hold else "nobody"
    yield "held by", held
    yield (
        "quarantine",
        f"since deployment {plain(quarantine['deployment'])}: {plain(quarantine['because'])}"
        if quarantine
        else "no",
    )
    for each in told["before"][:_MOST]:
        how = "makes way" if each["makes_way"] else "comes first"
        which = f"deployment {plain(each['deployment'])} ({plain(each['phase'])})"
        yield "before it", f"{which} {how}: {plain(each['because'])}"
    for each in told["supersedes"][:_MOST]:
        yield "supersedes", f"deployment {plain(each['deployment'])}"


def _way(stages: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = []
    for stage in stages:
        leads = [f"{plain(each['phase'])} ({plain(each['when'])})" for each in stage["leads_to"]]
        actions = "; ".join(plain(each["told"]) for each in stage["actions"])
        rows.append(
            (plain(stage["phase"]), actions or "-", leads[0] if leads else "-", ", ".join(leads[1:]) or "-")
        )
    return ("phase", "does", "if well", "if not"), rows
