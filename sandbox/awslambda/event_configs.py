"""How a function is invoked asynchronously.

Sources: API reference of PutFunctionEventInvokeConfig; recorded answers of AWS; for the refusal of a
destination that the role may not send to, the reports in hashicorp/terraform-provider-aws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sandbox.awslambda.packages import invalid
from sandbox.awslambda.permissions import qualified
from sandbox.awslambda.versions import (
    LATEST,
    Catalog,
    EventConfig,
    Function,
    find_version,
    function_arn,
    not_found,
)

DELIVERY_ACTIONS = {"sqs": "sqs:SendMessage", "sns": "sns:Publish"}
"""Of AWS's services those the sandbox delivers to, and what a function's role needs for it."""


class EventConfigOperations:
    """Put, Get and DeleteFunctionEventInvokeConfig."""

    _catalog: Catalog
    _role_allows: Callable[[str, str, str], bool]

    def get_function_event_invoke_config(self, request: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = qualified(request)
        with self._existing(name) as function:
            return _describe(name, qualifier, _config(function, qualifier))

    def delete_function_event_invoke_config(self, request: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = qualified(request)
        with self._existing(name) as function:
            _config(function, qualifier)
            del function.event_configs[qualifier or LATEST]
        return {}

    def put_function_event_invoke_config(self, request: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = qualified(request)
        with self._existing(name) as function:
            version, _ = find_version(function, qualifier)
            if not request.keys() & {
                "MaximumRetryAttempts",
                "MaximumEventAgeInSeconds",
                "DestinationConfig",
            }:
                raise invalid("You must specify at least one of error handling or destination setting.")
            destinations = request.get("DestinationConfig", {})
            self._require_deliverable(destinations, version.members["Role"])
            config = EventConfig(
                self._catalog.clock(),
                request.get("MaximumRetryAttempts"),
                request.get("MaximumEventAgeInSeconds"),
                destinations,
            )
            function.event_configs[qualifier or LATEST] = config
            return _describe(name, qualifier, config)

    def _require_deliverable(self, destinations: dict[str, Any], role_arn: str) -> None:
        for condition in ("OnSuccess", "OnFailure"):
            arn = (destinations.get(condition) or {}).get("Destination")
            if not arn:
                continue
            action = DELIVERY_ACTIONS.get(arn.split(":")[2] if arn.count(":") >= 5 else "")
            if action is None:
                known = ", ".join(sorted(DELIVERY_ACTIONS))
                raise invalid(f"The destination ARN {arn} is invalid. The sandbox delivers to {known}.")
            if not self._role_allows(role_arn, action, arn):
                verb = action.partition(":")[2]
                raise invalid(
                    f"The function's execution role does not have permissions to call {verb} on {arn}"
                )

    @contextmanager
    def _existing(self, name: str) -> Iterator[Function]:
        with self._catalog.open() as functions:
            if name not in functions:
                raise not_found("The function doesn't exist.")
            yield functions[name]


def _config(function: Function, qualifier: str | None) -> EventConfig:
    config = function.event_configs.get(qualifier or LATEST)
    if config is None:
        arn = function_arn(function.name, qualifier or LATEST)
        raise not_found(f"The function {arn} doesn't have an EventInvokeConfig")
    return config


def _describe(name: str, qualifier: str | None, config: EventConfig) -> dict[str, Any]:
    described: dict[str, Any] = {
        "FunctionArn": function_arn(name, qualifier or LATEST),
        "LastModified": datetime.fromtimestamp(config.modified, UTC),
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}, **config.destinations},
    }
    if config.retries is not None:
        described["MaximumRetryAttempts"] = config.retries
    if config.age_seconds is not None:
        described["MaximumEventAgeInSeconds"] = config.age_seconds
    return described
