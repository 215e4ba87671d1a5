"""What is live, as the dashboard's function says it, beside what the ledger remembers of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from deployer import rollout
from deployer.commands.parts.target import Stack, Unusable, plain
from deployer.model import BadDigest, Deployment, Image, Phase, Version, VersionState, short
from deployer.times import ago, stamp

# Among so many of the last deployments it is looked up how users came to what they are on.
RECENT = 50


@dataclass(frozen=True)
class Live:
    """What users are on."""

    version: Version
    placeholder: bool  # the image that the stack began with: nobody has released anything


def read_live(stack: Stack) -> Live:
    """What users are on. Raises `Unusable`."""
    told = stack.read("state")
    try:
        return live_from(told.get("live"))
    except (BadDigest, KeyError, TypeError, ValueError) as error:
        raise Unusable(
            f"the dashboard's function answered what is not known here: {plain(repr(error))}"
        ) from None


def live_from(told: object) -> Live:
    """As `reading` writes it. Raises KeyError, TypeError or ValueError for anything else."""
    if not isinstance(told, Mapping):
        raise TypeError("no object where live should be one")
    image = told["image"]
    version = Version(
        str(told["version"]),
        Image(str(image["repository"]), str(image["digest"])),
        VersionState(told["state"]),
        str(told["reason"]),
    )
    return Live(version, told["placeholder"] is True)


@dataclass(frozen=True)
class Since:
    """How users came to what they are on; None: it is not among the known deployments."""

    deployment: Deployment | None
    at: datetime | None
    revision: str | None


def since(live: Version, known: Iterable[Deployment]) -> Since:
    """Since when users are on `live`, and by which deployment."""
    known = list(known)
    revision = next((each.revision for each in known if each.image == live.image and each.revision), None)
    brought = rollout.brought(live, known)
    if brought is None:
        return Since(None, None, revision)
    moved = next((m.at for m in brought.timeline if m.phase is Phase.CONFIRMING), brought.since)
    return Since(brought, moved, brought.revision or revision)


def release(digest: str, revision: str | None) -> str:
    """An image as people know it."""
    return f"{plain(revision)} ({short(digest)})" if revision else short(digest)


def live_words(live: Live, how: Since, now: datetime) -> str:
    """What is live, in a line."""
    version = live.version
    if live.placeholder:
        return "no release yet, only the placeholder that the stack began with: deployer push"
    words = f"version {plain(version.number)}, {release(version.image.digest, how.revision)}"
    if how.deployment and how.at:
        came = f"since {stamp(how.at)} UTC ({ago(how.at, now)})"
        return f"{words}, {came}, by deployment {plain(how.deployment.id)}"
    return (
        f"{words}; how it came there is not in the last {RECENT} deployments, or somebody moved live by hand"
    )
