"""The repository and what the release tag points at: pure."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from typing import Any

from deployer.commands.parts.diagnosis import wanted
from deployer.commands.parts.diagnosis.finding import Finding, Mark, Unread, fail, ok, unknown, warning
from deployer.commands.parts.diagnosis.policies import CannotTell, Wish, allows
from deployer.commands.parts.diagnosis.reading import Seen
from deployer.model import Artifact, ArtifactKind, short
from deployer.rollout import unfit

_BY_HAND = "look at it by hand"


def pull(seen: Seen) -> Finding:
    """May Lambda pull? It does so now and whenever it has to optimize an image again."""
    name, names, policy = "repository policy", seen.names, seen.repository_policy
    if isinstance(policy, Unread):
        return unknown(name, policy)
    arn = names.function_arn(names.service)
    wishes = [
        Wish("lambda.amazonaws.com", action, source) for action in wanted.PULL for source in (arn, f"{arn}:1")
    ]
    mend = wanted.put_repository_policy(names)
    try:
        refused = [wish for wish in wishes if not allows(policy, wish)]
    except CannotTell as error:
        show = names.aws("ecr", "get-repository-policy", "--repository-name", names.repository)
        return Finding(name, Mark.UNKNOWN, f"it has {error}, which is not understood here", _BY_HAND, (show,))
    if refused:
        why = "it has none" if policy is None else f"it does not let Lambda do {refused[0].action}"
        return fail(
            name,
            f"{why} for {names.service}: Lambda cannot pull images, and every release fails",
            "put the template's policy there; what else stands in it is replaced",
            mend,
        )
    return ok(name, f"Lambda may pull images for {names.service}")


def mutability(seen: Seen) -> Finding:
    """May the release tag, `live` and `previous` move?"""
    name, names, found = "tags may move", seen.names, seen.repository
    if isinstance(found, Unread):
        return unknown(name, found)
    if found is None:
        return fail(
            name,
            f"there is no repository {names.repository}",
            "it was deleted. A new one with the policies that follow, and a push, bring it back",
            names.aws("ecr", "create-repository", "--repository-name", names.repository),
            wanted.put_mutability(names),
            wanted.put_repository_policy(names),
        )
    stuck = [tag for tag in (names.release_tag, "live", "previous") if _immutable(found, tag)]
    if stuck:
        what = {names.release_tag: "the next push is refused", "live": "what is live may expire"}
        return fail(
            name,
            f"{', '.join(stuck)} cannot be moved once set: {what.get(stuck[0], 'the way back may expire')}",
            "except the tags that move, as the template does",
            wanted.put_mutability(names),
        )
    return ok(name, f"{names.release_tag}, live and previous may move")


def _immutable(repository: Mapping[str, Any], tag: str) -> bool:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html"""
    filters = repository.get("imageTagMutabilityExclusionFilters") or []
    excluded = any(fnmatch.fnmatchcase(tag, str(each.get("filter", ""))) for each in filters)
    return str(repository.get("imageTagMutability", "MUTABLE")).startswith("IMMUTABLE") != excluded


def lifecycle(seen: Seen) -> Finding:
    """Does a rule of its own, before all that expire others, keep each image that must stay?

    "An image that matches the tagging requirements of a rule cannot be expired by a rule with a lower
    priority" (ECR User Guide, "How lifecycle policies work").
    """
    name, policy, mend = "lifecycle policy", seen.lifecycle_policy, wanted.put_lifecycle_policy(seen.names)
    if isinstance(policy, Unread):
        return unknown(name, policy)
    if policy is None:
        return warning(
            name, "there is none: nothing expires, and old images cost money", "put it there", mend
        )
    try:
        rules = [dict(rule) for rule in json.loads(policy)["rules"]]
        rules.sort(key=lambda rule: int(rule["rulePriority"]))
        guarded = _guarded(rules)
    except (ValueError, TypeError, KeyError, RecursionError):
        return fail(name, "it cannot be read", "put the template's there", mend)
    exposed = [tag for tag in wanted.kept_tags(seen.names) if tag not in guarded]
    if exposed and len(guarded) < len(rules):
        return fail(
            name,
            f"it may expire the image with the tag {', '.join(exposed)}",
            "put the template's there; what else stands in it is replaced",
            mend,
        )
    return ok(name, "what is live, the way back and the newest release cannot expire")


def _guarded(rules: list[dict[str, Any]]) -> list[str]:
    """The tags that have a rule of their own, which expires nothing, before the first of another kind."""
    found = []
    for rule in rules:
        selection = rule["selection"]
        patterns = selection.get("tagPatternList") or []
        alone = selection.get("tagStatus") == "tagged" and len(patterns) == 1 and "*" not in patterns[0]
        if not (
            alone and selection.get("countType") == "imageCountMoreThan" and selection["countNumber"] >= 1
        ):
            break
        found.append(str(patterns[0]))
    return found


def release(seen: Seen) -> Finding:
    """What the release tag points at: can it run here, and would it be deployed?"""
    names = seen.names
    name, tagged = "release tag", seen.tags["release"]
    if isinstance(tagged, Unread):
        return unknown(name, tagged)
    if tagged is None:
        return warning(
            name, f"nothing was pushed as {names.release_tag} yet", "release something", names.command("push")
        )
    digest = str(tagged["imageDigest"])
    if isinstance(seen.function, Unread):
        return unknown(name, seen.function)
    image = seen.function.get("image")
    if isinstance(image, Mapping) and "error" in image:
        return unknown(name, Unread(str(image["error"])))
    problem = unfit(_artifact(image), names.architecture)
    told = f"{names.release_tag} is on {short(digest)}"
    if problem:
        return fail(
            name, f"{told}: {problem}", "build it for this stack, and push it again", names.command("push")
        )
    return ok(name, f"{told}, an image for {names.architecture}")


def _artifact(image: object) -> Artifact | None:
    """As deployer/inspection.py tells of it."""
    if not isinstance(image, Mapping):
        return None
    try:
        kind = ArtifactKind(str(image.get("kind")))
    except ValueError:
        kind = ArtifactKind.OTHER
    size, problem, architecture = image.get("size"), image.get("problem"), image.get("architecture")
    return Artifact(
        kind,
        str(image.get("media_type")),
        architecture=str(architecture) if architecture else None,
        size=size if isinstance(size, int) else 0,
        problem=str(problem) if problem else None,
    )


def quarantine(seen: Seen) -> Finding:
    """Is what the release tag points at in quarantine?"""
    name, names, tagged = "quarantine", seen.names, seen.tags["release"]
    found = seen.quarantine
    if isinstance(tagged, Unread):
        return unknown(name, tagged)
    if isinstance(found, Unread):
        return unknown(name, found)
    if tagged is None:
        return ok(name, f"nothing is tagged {names.release_tag}")
    digest = str(tagged["imageDigest"])
    if found is None:
        return ok(name, f"{short(digest)} ({names.release_tag}) is not in quarantine")
    return fail(
        name,
        f"{short(digest)} ({names.release_tag}) is, since deployment {found.deployment}: {found.because}",
        "push a fix; or, if the image was not to blame, have the same one tried again",
        names.command("retry", digest),
    )
