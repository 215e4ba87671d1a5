"""How the service's function stands, for people who may not ask Lambda themselves: GetFunction shows the
environment, with its secrets. Given away are states, digests and names of variables, never values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployer.aws.errors import translated
from deployer.ports import LookAgain, Refused
from deployer.text import line

if TYPE_CHECKING:  # stubs are no dependency of the deployed package
    from mypy_boto3_lambda import LambdaClient

# What template.yaml gives the service. An empty one is told by its name, one that is missing, too.
EXPECTED = ("ENVIRONMENT", "GEMINI_API_KEY", "DATABASE_URL", "CORS_ALLOW_ORIGIN")
LIVE = "live"
_WORDS = 600  # bytes of AWS's words that are passed on
_NAME = 100  # bytes of a variable's name


def inspect(client: LambdaClient, function: str) -> dict[str, object]:
    """`latest` and `live`, each with what Lambda says of it, or with `error` and why it cannot be read; and
    `unset`, the names of variables that are empty or missing in `$LATEST`, sorted: the next version is made
    from that. Null when it cannot be told.
    """
    latest = _configuration(client, FunctionName=function)
    live = _configuration(client, FunctionName=function, Qualifier=LIVE)
    return {"latest": _told(latest), "live": _told(live), "unset": _unset(latest)}


def _configuration(client: LambdaClient, **which: str) -> Mapping[str, Any] | str:
    """The configuration, or why it cannot be read."""
    try:
        with translated():
            return {**client.get_function(**which)["Configuration"]}
    except (LookAgain, Refused) as error:
        return line(str(error), _WORDS)


def _told(configuration: Mapping[str, Any] | str) -> dict[str, object]:
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
