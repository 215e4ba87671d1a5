"""What users get, and the function behind it: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer import placeholder
from deployer.commands.parts.diagnosis import wanted
from deployer.commands.parts.diagnosis.finding import Finding, Mark, Unread, fail, ok, unknown, warning
from deployer.commands.parts.diagnosis.policies import CannotTell, Wish, allows
from deployer.commands.parts.diagnosis.reading import Seen
from deployer.model import Book, Phase, short

# What the service cannot do without: service/chalicelib/health.py.
_REQUIRED = frozenset({"ENVIRONMENT", "GEMINI_API_KEY"})
_NO_ALIAS = "there is no alias live: users get nothing but errors"


def live(seen: Seen) -> Finding:
    """Does the alias point at one version, and can that run?"""
    name, names, alias = "live", seen.names, seen.alias
    if isinstance(alias, Unread):
        return unknown(name, alias)
    if alias is None:
        return fail(name, _NO_ALIAS, *_new_alias(seen))
    number = str(alias["FunctionVersion"])
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    if weights:
        others = ", ".join(f"{share:.0%} of requests to version {which}" for which, share in weights.items())
        return fail(
            name,
            f"live is on version {number}, and somebody sends {others}",
            "send all to one; the next release does so, too",
            names.aws(
                *("lambda", "update-alias", "--function-name", names.service, "--name", "live"),
                *("--routing-config", "AdditionalVersionWeights={}"),
            ),
        )
    found = _part(seen, "live")
    if isinstance(found, Unread):
        return unknown(name, found)
    told = f"version {found.get('version')} ({short(str(found.get('digest')))}) is {found.get('state')}"
    reason = f": {found.get('state_reason')}" if found.get("state_reason") else ""
    if found.get("state") == "Failed":
        return fail(name, f"{told}{reason}", "take users to the last good version", names.command("rollback"))
    if found.get("state") == "Inactive":
        return warning(name, f"{told}: nobody asked for weeks", "the first request wakes it, and is slow")
    if found.get("state") != "Active":
        return warning(name, f"{told}{reason}", "wait, and look again")
    return ok(name, told)


def _new_alias(seen: Seen) -> tuple[str, ...]:
    """Words and commands that bring it back, on the version that was live last."""
    names, permit = seen.names, wanted.permit_api(seen.names)
    history = [] if isinstance(seen.history, Unread) else seen.history
    versions = [each.version for each in history if each.phase is Phase.SUCCEEDED and each.version]
    on = ("--function-name", names.service)
    if versions:
        new = names.aws("lambda", "create-alias", *on, "--name", "live", "--function-version", versions[0])
        return ("make it again, on the version that was live last, and let the API invoke it", new, permit)
    show = names.aws("lambda", "list-versions-by-function", *on)
    new = names.aws("lambda", "create-alias", *on, "--name", "live", "--function-version", "VERSION")
    return (
        "see which versions there are, make it again on one, and let the API invoke it",
        show,
        new,
        permit,
    )


def api(seen: Seen) -> Finding:
    """May API Gateway invoke the alias?"""
    name, names, policy = "API", seen.names, seen.alias_policy
    if isinstance(policy, Unread):
        return unknown(name, policy)
    try:
        allowed = allows(policy, Wish("apigateway.amazonaws.com", wanted.INVOKE, names.api_arn))
    except CannotTell as error:
        on = ("--function-name", names.service, "--qualifier", "live")
        show = names.aws("lambda", "get-policy", *on)
        told = f"the policy of live has {error}, which is not understood here"
        return Finding(name, Mark.UNKNOWN, told, "look at it by hand", (show,))
    if not allowed:
        told = "API Gateway may not invoke live: users get 500"
        if seen.alias is None:
            return fail(name, told, "make live again, as said above")
        return fail(name, told, "let the API invoke it", wanted.permit_api(names))
    return ok(name, "API Gateway may invoke live")


def kept(seen: Seen) -> Finding:
    """Is the image of what is live there, and does the tag `live` keep it from expiring?"""
    name, names, tagged, found = "live is kept", seen.names, seen.tags["live"], _part(seen, "live")
    if isinstance(tagged, Unread):
        return unknown(name, tagged)
    if isinstance(found, Unread):
        return unknown(name, found)
    digest = str(found.get("digest"))
    if tagged is not None and tagged.get("imageStatus", "ACTIVE") != "ACTIVE":
        return fail(
            name,
            f"the image with the tag live is {tagged['imageStatus']}: Lambda cannot fetch it any more",
            "release anew, so that what is live can be fetched",
            names.command("push"),
        )
    if digest in placeholder.digests():
        return ok(name, "users are on the placeholder, which has a tag of its own: nothing was released yet")
    if tagged is None or tagged["imageDigest"] != digest:
        if isinstance(seen.book, Book) and seen.book.open:
            return warning(name, "a deployment is under way", "the tag live follows when it has ended")
        where = f"on {short(str(tagged['imageDigest']))}" if tagged else "on no image"
        return fail(
            name,
            f"the tag live is {where}, and users are on {short(digest)}: ECR may expire what is live",
            "the next sweep puts it right, within a minute. If it does not, the deployer's log says why; an "
            "image that is gone has to be pushed again",
            names.command("logs", "--of", "deployer"),
        )
    return ok(name, f"the tag live is on {short(digest)}, which users are on")


def way_back(seen: Seen) -> Finding:
    """Is there something to go back to?"""
    name, tagged = "way back", seen.tags["previous"]
    if isinstance(tagged, Unread):
        return unknown(name, tagged)
    if tagged is None:
        return warning(
            name,
            "no image has the tag previous: there is nothing to go back to",
            "true until the second release is live; after that the deployer's log says why",
            seen.names.command("logs", "--of", "deployer"),
        )
    return ok(name, f"the tag previous is on {short(str(tagged['imageDigest']))}")


def function(seen: Seen) -> Finding:
    """Can `$LATEST` be updated?"""
    name, names, found = "function", seen.names, _part(seen, "latest")
    if isinstance(found, Unread):
        return unknown(name, found)
    state, update = found.get("state"), found.get("last_update")
    reasons = [str(found.get(each)) for each in ("last_update_reason", "state_reason") if found.get(each)]
    told = f"$LATEST ({short(str(found.get('digest')))}) is {state}, its last update {update}"
    told += f": {'; '.join(reasons)}" if reasons else ""
    if update == "Failed" or state == "Failed":
        return fail(name, told, "the next release overwrites it: push a fix", names.command("push"))
    if update != "Successful" or state == "Pending":
        return warning(name, told, "an update is under way: wait, and look again")
    return ok(name, told)


def architecture(seen: Seen) -> Finding:
    """Is the function made for what the stack's images are built for?"""
    name, names, found = "architecture", seen.names, _part(seen, "latest")
    if isinstance(found, Unread):
        return unknown(name, found)
    has = str(found.get("architecture"))
    if has != names.architecture:
        live = _part(seen, "live")
        which = f":{names.release_tag}" if isinstance(live, Unread) else f"@{live.get('digest')}"
        image = names.outputs["RepositoryUri"] + which
        return fail(
            name,
            f"the function is {has}, the stack's images are built for {names.architecture}",
            "somebody changed the function; put it back, with what is live",
            names.aws(
                *("lambda", "update-function-code", "--function-name", names.service),
                *("--architectures", names.architecture, "--image-uri", image),
            ),
        )
    return ok(name, f"{has}, as the stack's images")


def settings(seen: Seen) -> Finding:
    """Are the service's secrets set? Their names only; nobody sees a value."""
    name, found = "settings", seen.function
    if isinstance(found, Unread):
        return unknown(name, found)
    unset = found.get("unset")
    if not isinstance(unset, list):
        latest = _part(seen, "latest")
        why = latest.because if isinstance(latest, Unread) else "Lambda does not show its environment"
        return unknown(name, Unread(f"which variables are set cannot be told: {why}"))
    missing = sorted(_REQUIRED.intersection(map(str, unset)))
    if missing:
        parameter = {"GEMINI_API_KEY": 'GeminiApiKey="$KEY"', "ENVIRONMENT": "Environment=production"}
        return fail(
            name,
            f"{', '.join(missing)} is not set: /health answers 503, and nothing goes live",
            "set it, with the key in the variable KEY",
            "sam deploy --parameter-overrides " + " ".join(parameter[each] for each in missing),
        )
    if "DATABASE_URL" in unset:
        return ok(name, "GEMINI_API_KEY is set; DATABASE_URL is empty, so the service has no database")
    return ok(name, "GEMINI_API_KEY and DATABASE_URL are set")


def _part(seen: Seen, which: str) -> Mapping[str, Any] | Unread:
    """`latest` or `live` of what the dashboard's function says."""
    if isinstance(seen.function, Unread):
        return seen.function
    part = seen.function.get(which)
    if not isinstance(part, Mapping):
        return Unread("the dashboard's function says nothing of it")
    if "error" in part:
        return Unread(str(part["error"]))
    return part
