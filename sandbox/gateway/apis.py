"""The account's REST APIs: their bodies, the deployments that froze them, the stages that serve those.

One method per operation of API Gateway that CloudFormation needs, each with AWS's refusals.
Source: API Gateway API reference.
"""

from __future__ import annotations

import json
import re
import secrets
import string
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.account import AwsError
from sandbox.gateway.definition import Definition

# The account's own limits, where a stage sets none (quotas, "Throttle quota per account, per Region").
ACCOUNT_RATE = 10_000.0
ACCOUNT_BURST = 5_000

_NO_ROLE = "CloudWatch Logs role ARN must be set in account settings to enable logging"


@dataclass(frozen=True)
class AccessLog:
    """Where a stage writes a line for each request, and what."""

    group: str
    line: str
    """With `$context.name` in it."""

    def __post_init__(self) -> None:
        if "\n" in self.line.rstrip("\n"):
            raise _bad_request("Access log format must be single line, new line only at its end")
        if not re.search(r"\$context\.(requestId|extendedRequestId)\b", self.line):
            raise _bad_request(
                "Access log format must include $context.requestId or $context.extendedRequestId"
            )


class Bucket:
    """A token bucket: `rate` requests a second, and `burst` at once. Safe to use from several threads."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._at = float(burst), clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether one more request may pass now."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


@dataclass(frozen=True)
class Stage:
    """A deployment under a name, and how requests to it are treated."""

    name: str
    deployment_id: str
    definition: Definition
    limit: Bucket
    access_log: AccessLog | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Api:
    """A REST API. `deployments` are copies of what `definition` was when each was made."""

    id: str
    definition: Definition
    deployments: dict[str, Definition] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)


@dataclass(frozen=True)
class StageSettings:
    """What a stage is asked to be."""

    deployment_id: str
    access_log: AccessLog | None = None
    rate: float = ACCOUNT_RATE
    burst: int = ACCOUNT_BURST
    execution_logs: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


class Apis:
    """Every REST API of the account, in the order of their creation. Safe to use from several threads."""

    def __init__(
        self,
        trusts: Callable[[str, str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`trusts(role_arn, service)`: whether a service may take on a role."""
        self._trusts = trusts
        self._clock = clock
        self._lock = threading.RLock()
        self._apis: dict[str, Api] = {}
        self.log_role: str | None = None
        """The account's CloudWatch role: in its name, all stages of all APIs write their logs."""

    # --- requests -------------------------------------------------------------------------------------

    def stage(self, api_id: str, name: str) -> Stage | None:
        """What a request to a stage meets; None when there is no such stage."""
        with self._lock:
            api = self._apis.get(api_id)
            return api.stages.get(name) if api else None

    def newest_with(self, stage: str) -> str | None:
        """The id of the API that was created last among those with such a stage."""
        with self._lock:
            return next((api.id for api in reversed(self._apis.values()) if stage in api.stages), None)

    # --- the account ----------------------------------------------------------------------------------

    def set_log_role(self, role_arn: str | None) -> None:
        """UpdateAccount of `/cloudwatchRoleArn`."""
        if role_arn is not None and not self._trusts(role_arn, "apigateway.amazonaws.com"):
            raise _bad_request(
                "The role ARN does not have required permissions configured. Please grant trust permission "
                "for API Gateway and add the required role policy."
            )
        self.log_role = role_arn

    # --- APIs and their deployments -------------------------------------------------------------------

    def create_api(self, definition: Definition) -> str:
        """The new API's id."""
        with self._lock:
            api = Api(_new_id(10), definition)
            self._apis[api.id] = api
            return api.id

    def put_api(self, api_id: str, definition: Definition) -> None:
        """Replace the body. No stage shows it before a deployment."""
        with self._lock:
            self._api(api_id).definition = definition

    def delete_api(self, api_id: str) -> None:
        """With everything that belongs to it."""
        with self._lock:
            self._api(api_id)
            del self._apis[api_id]

    def create_deployment(self, api_id: str, stage: str | None = None) -> str:
        """Freeze the body as it is now; the deployment's id. `stage` is made of it, or moved to it."""
        with self._lock:
            api = self._api(api_id)
            deployment_id = _new_id(6)
            api.deployments[deployment_id] = api.definition
            if stage and stage in api.stages:
                api.stages[stage] = replace(
                    api.stages[stage], deployment_id=deployment_id, definition=api.definition
                )
            elif stage:
                self.create_stage(api_id, stage, StageSettings(deployment_id))
            return deployment_id

    def delete_deployment(self, api_id: str, deployment_id: str) -> None:
        with self._lock:
            api = self._api(api_id)
            _require_deployment(api, deployment_id)
            if any(stage.deployment_id == deployment_id for stage in api.stages.values()):
                raise _bad_request("Active stages pointing to this deployment must be moved or deleted")
            del api.deployments[deployment_id]

    # --- stages ---------------------------------------------------------------------------------------

    def create_stage(self, api_id: str, name: str, settings: StageSettings) -> None:
        with self._lock:
            api = self._api(api_id)
            if name in api.stages:
                raise AwsError("ConflictException", "Stage already exists", 409)
            api.stages[name] = self._stage(api, name, settings)

    def update_stage(self, api_id: str, name: str, settings: StageSettings) -> None:
        with self._lock:
            api = self._api(api_id)
            _require_stage(api, name)
            api.stages[name] = self._stage(api, name, settings)

    def delete_stage(self, api_id: str, name: str) -> None:
        with self._lock:
            api = self._api(api_id)
            _require_stage(api, name)
            del api.stages[name]

    def _stage(self, api: Api, name: str, settings: StageSettings) -> Stage:
        _require_deployment(api, settings.deployment_id)
        if (settings.access_log or settings.execution_logs) and self.log_role is None:
            raise _bad_request(_NO_ROLE)
        return Stage(
            name,
            settings.deployment_id,
            api.deployments[settings.deployment_id],
            Bucket(settings.rate, settings.burst, self._clock),
            settings.access_log,
            dict(settings.variables),
        )

    def _api(self, api_id: str) -> Api:
        if api_id not in self._apis:
            raise _not_found("Invalid API identifier specified", api_id)
        return self._apis[api_id]


def _require_deployment(api: Api, deployment_id: str) -> None:
    if deployment_id not in api.deployments:
        raise _not_found("Invalid Deployment identifier specified", deployment_id)


def _require_stage(api: Api, name: str) -> None:
    if name not in api.stages:
        raise _not_found("Invalid stage identifier specified", name)


def _new_id(length: int) -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(length))


def _not_found(message: str, what: Any) -> AwsError:
    return AwsError("NotFoundException", f"{message} {json.dumps(what)}", 404)


def _bad_request(message: str) -> AwsError:
    return AwsError("BadRequestException", message, 400)
