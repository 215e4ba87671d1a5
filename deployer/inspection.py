"""How the service's function stands, for people who may not ask Lambda themselves: GetFunction shows the
environment, with its secrets. Given away are states, digests and names of variables, never values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from deployer.aws.errors import translated
from deployer.model import Artifact, BadDigest, require_digest
from deployer.ports import LookAgain, Refused
from deployer.settings import BadSettings
from deployer.text import discreet, line

if TYPE_CHECKING:  # stubs are no dependency of the deployed package
    from mypy_boto3_lambda import LambdaClient

Answer = dict[str, object]

# What template.yaml gives the service. An empty one is told by its name, one that is missing, too.
EXPECTED = ("ENVIRONMENT", "GEMINI_API_KEY", "DATABASE_URL", "CORS_ALLOW_ORIGIN")
LIVE = "live"
_WORDS = 600  # bytes of AWS's words that are passed on
_NAME = 100  # bytes of a variable's name


class RegistryReader(Protocol):
    """What is asked of `ports.Registry`."""

    def artifact(self, digest: str) -> Artifact | None:
        """What `digest` is, or None if it is gone."""


@dataclass(frozen=True)
class Inspected:
    """What is looked at: the function by its name, and an image of its repository."""

    client: LambdaClient
    function: str
    registry: RegistryReader


def answer(asked: Mapping[Any, object], of: Callable[[], Inspected]) -> Answer:
    """What `{"read": "function"}` asks for, perhaps with the `digest` of an image.

    `latest` and `live`, each with what Lambda says of it, or with `error` and why it cannot be read; `unset`,
    the names of variables that are empty or missing in `$LATEST`, sorted (the next version is made of it),
    null when it cannot be told; `image`, what the digest is, null when it is gone or was not asked for.

    Never raises for what somebody sent, or for what AWS does not let us read: then it is `{"error": why}`.
    """
    digest = asked.get("digest")
    try:
        inspected = of()
        latest = _configuration(inspected)
        live = _configuration(inspected, Qualifier=LIVE)
        image = _image(inspected, require_digest(str(digest))) if digest is not None else None
    except (BadDigest, BadSettings) as error:
        return _error(error)
    return {"latest": _told(latest), "live": _told(live), "unset": _unset(latest), "image": image}


def _error(error: Exception) -> Answer:
    return {"error": line(discreet(str(error)), _WORDS)}


def _image(inspected: Inspected, digest: str) -> Answer | None:
    try:
        found = inspected.registry.artifact(digest)
    except (LookAgain, Refused) as error:
        return _error(error)
    if found is None:
        return None
    return {
        "kind": found.kind.value,
        "media_type": found.media_type,
        "architecture": found.architecture,
        "size": found.size,
        "problem": found.problem,
    }


def _configuration(inspected: Inspected, **which: str) -> Mapping[str, Any] | str:
    """The configuration, or why it cannot be read."""
    try:
        with translated():
            found = inspected.client.get_function(FunctionName=inspected.function, **which)
            return {**found["Configuration"]}
    except (LookAgain, Refused) as error:
        return line(str(error), _WORDS)


def _told(configuration: Mapping[str, Any] | str) -> Answer:
    if isinstance(configuration, str):
        return {"error": configuration}
    architectures = configuration.get("Architectures") or ["x86_64"]  # Lambda's default
    return {
        "version": configuration.get("Version"),
        "state": configuration.get("State", "Active"),
        "state_reason": _reason(configuration, "State"),
        "last_update": configuration.get("LastUpdateStatus", "Successful"),
        "last_update_reason": _reason(configuration, "LastUpdateStatus"),
        "architecture": architectures[0],
        "digest": f"sha256:{configuration.get('CodeSha256', '')}",
    }


def _reason(configuration: Mapping[str, Any], of: str) -> str:
    parts = (configuration.get(f"{of}ReasonCode"), configuration.get(f"{of}Reason"))
    return line(": ".join(part for part in parts if part), _WORDS)


def _unset(configuration: Mapping[str, Any] | str) -> list[str] | None:
    if isinstance(configuration, str):
        return None
    environment = configuration.get("Environment") or {}
    if "Error" in environment:  # AWS could not decrypt it
        return None
    variables: Mapping[str, str] = environment.get("Variables") or {}
    empty = {name for name, value in variables.items() if not value.strip()}
    return sorted(line(name, _NAME) for name in empty | (set(EXPECTED) - variables.keys()))
