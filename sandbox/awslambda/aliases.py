"""Lambda's alias operations.

Sources: API reference of CreateAlias and UpdateAlias; recorded answers of AWS.
"""

from __future__ import annotations

from typing import Any

from sandbox.account import AwsError
from sandbox.awslambda.packages import invalid
from sandbox.awslambda.versions import (
    LATEST,
    Alias,
    Catalog,
    Function,
    conflict,
    function_arn,
    new_revision,
    not_found,
    parse_name,
    require_revision,
)


class AliasOperations:
    """CreateAlias, GetAlias, UpdateAlias, DeleteAlias, ListAliases."""

    _catalog: Catalog

    def create_alias(self, request: dict[str, Any]) -> dict[str, Any]:
        name, _ = parse_name(request["FunctionName"])
        with self._catalog.function(name, request["FunctionVersion"]) as function:
            if request["Name"] in function.aliases:
                raise conflict(f"Alias already exists: {function_arn(name, request['Name'])}")
            version = request["FunctionVersion"]
            weights = _weights(request.get("RoutingConfig"))
            _require_target(function, version, weights)
            alias = Alias(request["Name"], version, request.get("Description", ""), weights)
            function.aliases[alias.name] = alias
            return describe_alias(name, alias)

    def get_alias(self, request: dict[str, Any]) -> dict[str, Any]:
        name, _ = parse_name(request["FunctionName"])
        with self._catalog.function(name) as function:
            return describe_alias(name, _alias(function, request["Name"]))

    def update_alias(self, request: dict[str, Any]) -> dict[str, Any]:
        name, _ = parse_name(request["FunctionName"])
        with self._catalog.function(name) as function:
            alias = _alias(function, request["Name"])
            require_revision(request.get("RevisionId"), alias.revision)
            version = request.get("FunctionVersion", alias.version)
            weights = _weights(request["RoutingConfig"]) if "RoutingConfig" in request else alias.weights
            _require_target(function, version, weights)
            alias.version = version
            alias.weights = weights
            alias.description = request.get("Description", alias.description)
            alias.revision = new_revision()
            return describe_alias(name, alias)

    def delete_alias(self, request: dict[str, Any]) -> dict[str, Any]:
        name, _ = parse_name(request["FunctionName"])
        with self._catalog.function(name) as function:
            function.aliases.pop(request["Name"], None)
            function.event_configs.pop(request["Name"], None)
            function.statements.pop(request["Name"], None)
        return {}

    def list_aliases(self, request: dict[str, Any]) -> dict[str, Any]:
        name, _ = parse_name(request["FunctionName"])
        with self._catalog.function(name) as function:
            wanted = request.get("FunctionVersion")
            aliases = [
                describe_alias(name, alias)
                for _, alias in sorted(function.aliases.items())
                if wanted in (None, alias.version, *alias.weights)
            ]
        return page("Aliases", aliases, request)


def page(member: str, items: list[dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    """One page of a list: `Marker` is the number of items before it, at most 50 come at once."""
    marker = request.get("Marker") or "0"
    if not marker.isdecimal():
        raise invalid(f"Invalid marker {marker[:100]!r}. Use the NextMarker of the page before.")
    start = int(marker)
    end = start + min(request.get("MaxItems", 50), 50)
    return {member: items[start:end], **({"NextMarker": str(end)} if end < len(items) else {})}


def describe_alias(function: str, alias: Alias) -> dict[str, Any]:
    """AliasConfiguration. RoutingConfig only shows with a weight in it."""
    routing = {"RoutingConfig": {"AdditionalVersionWeights": dict(alias.weights)}} if alias.weights else {}
    return {
        "AliasArn": function_arn(function, alias.name),
        "Name": alias.name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision,
        **routing,
    }


def _alias(function: Function, name: str) -> Alias:
    if name not in function.aliases:
        raise not_found(f"Cannot find alias arn: {function_arn(function.name, name)}")
    return function.aliases[name]


def _weights(routing: dict[str, Any] | None) -> dict[str, float]:
    return dict((routing or {}).get("AdditionalVersionWeights") or {})


def _require_target(function: Function, version: str, weights: dict[str, float]) -> None:
    if len(weights) > 1:
        raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    for number, weight in weights.items():
        if not 0.0 <= weight <= 1.0 or not number.isdecimal():
            raise AwsError(
                "ValidationException",
                f"1 validation error detected: Value '{{{number}={weight}}}' at "
                "'routingConfig.additionalVersionWeights' failed to satisfy constraint: "
                "versions are numbers, weights are from 0.0 to 1.0",
            )
    if version == LATEST:
        if weights:
            raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
        return
    if version in weights:
        raise invalid(
            f"Invalid function version {version}. "
            f"Function version {version} is already included in routing configuration."
        )
    for number in (version, *weights):
        if number not in function.versions:
            raise not_found(f"Function not found: {function_arn(function.name, number)}")
