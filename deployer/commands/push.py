"""`deployer push`: the whole way from a folder to live, for people with Docker."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deployer.commands.parts import options
from deployer.commands.parts.target import Stack, Target, Unusable, understood

if TYPE_CHECKING:
    from deployer.commands.parts.docker import Docker

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_RESERVED = frozenset({"live", "previous", "placeholder", "buildcache"})
# ECR may answer a first look before the push is everywhere.
_LOOKS = 3
_LABEL = "org.opencontainers.image"


def _tag(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    if text is not None and not _TAG.fullmatch(text):
        raise click.BadParameter(f"not an image tag: {text[:80]!r}")
    if text in _RESERVED:
        raise click.BadParameter(f"{text} is a tag that the stack itself keeps where it belongs")
    return text


@click.command()
@click.argument(
    "folder",
    metavar="[DIR]",
    default="service",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--tag", callback=_tag, help="Another tag than the release tag. It is pushed and not deployed.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the end: the digest is all that is printed.")
@click.option(
    "--timeout",
    type=click.IntRange(min=0),
    default=1800,
    metavar="SECONDS",
    help="How long to wait for the end, from the push. The deployment goes on after it.",
)
@options.as_json
@click.pass_context
def push(
    ctx: click.Context, *, folder: Path, tag: str | None, no_wait: bool, timeout: int, as_json: bool
) -> None:
    """Build an image, push it, and wait for the end.

    Does: builds DIR (default: service), one plain image for the stack's architecture, labelled with its git
    revision and who builds it; logs Docker in to the stack's repository; pushes under the release tag;
    prints the digest; waits until the release has ended, as `deployer wait` does.

    Does not: deploy by itself (the push does, through the deployer), stop a deployment when it is
    interrupted, or log Docker out: the login lasts 12 hours.

    \b
    Exit codes:
      0  live; or pushed, with --no-wait or a --tag that is not the release tag
      1  it ended badly: reverted, rejected or stuck; stderr says why
      2  usage, configuration, the build or the push failed; stderr says which
      3  superseded by a newer push
      4  not ended in time; stderr says whether it goes on or was never seen
      130  interrupted by Ctrl-C
    """
    import json

    from deployer.commands.parts.clock import WallClock
    from deployer.commands.parts.docker import Docker
    from deployer.commands.parts.following import follow_to_the_end

    target: Target = ctx.obj
    if not (folder / "Dockerfile").is_file():
        raise Unusable(
            f"{folder} has no Dockerfile. Name the folder that holds the service's: deployer push DIR"
        )
    docker = Docker()
    stack = target.find()
    release_tag, repository = stack.output("ReleaseTag"), stack.output("RepositoryUri")
    reference = f"{repository}:{tag or release_tag}"
    # Before the build, which takes longest: a login that fails should do so at once.
    docker.login(repository.partition("/")[0], stack.docker_password())
    _build(docker, stack, folder.resolve(), reference)
    since = datetime.now(UTC)
    clock = WallClock(timeout)
    click.echo(f"pushing {reference}", err=True)
    digest = docker.push(reference)
    _see(stack, digest, tag or release_tag)
    waits = not no_wait and tag in (None, release_tag)
    if not as_json:
        click.echo(digest)
    elif not waits:
        click.echo(json.dumps({"digest": digest, "pushed": reference}))
    if waits:
        ctx.exit(follow_to_the_end(stack, digest, since, clock, as_json=as_json))
    if tag not in (None, release_tag):
        click.echo(f"not deployed: only a push of the release tag {release_tag} is", err=True)


def _build(docker: Docker, stack: Stack, folder: Path, reference: str) -> None:
    from deployer.aws.registry import BUILT_BY_LABEL, COMMITTED_LABEL, REVISION_LABEL, SOURCE_LABEL
    from deployer.commands.parts.revision import built_by, committed_at, revision, source

    platform = stack.output("Platform")
    built_from, kept_at = revision(folder), source(folder)
    labels = {f"{_LABEL}.created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    if built_from:
        labels[REVISION_LABEL] = built_from
        labels[COMMITTED_LABEL] = committed_at(folder) or ""
    else:
        click.echo(f"note: {folder} is in no git checkout, so the image does not say its revision", err=True)
    if built_from and kept_at:
        labels[SOURCE_LABEL] = kept_at
    labels[BUILT_BY_LABEL] = built_by(folder) or ""
    labels = {label: value for label, value in labels.items() if value}
    click.echo(f"building {folder} for {platform}", err=True)
    build_args = {"REVISION": built_from} if built_from else {}
    docker.build(folder, reference, platform=platform, build_args=build_args, labels=labels)


def _see(stack: Stack, digest: str, tag: str) -> None:
    """Is it there, as ECR sees it, and is the tag on it? Raises `Unusable` if the digest is not there."""
    from deployer.commands.parts.clock import WallClock
    from deployer.model import short

    registry, clock = stack.registry(), WallClock(0)
    with understood("looking for the pushed image in ECR"):
        for look in range(_LOOKS):
            if registry.present(digest):
                break
            if look + 1 < _LOOKS:
                clock.sleep(1)
        else:
            raise Unusable(
                f"docker says that it pushed {digest}, and ECR has no such image in "
                f"{stack.output('RepositoryUri')}. Nothing will be deployed; push again"
            )
        tagged = registry.tagged(tag)
    if tagged != digest:
        now = short(tagged) if tagged else "nothing"
        click.echo(f"note: {tag} points at {now} by now: somebody pushed after you", err=True)
