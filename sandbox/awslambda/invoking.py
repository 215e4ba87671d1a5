"""Lambda's Invoke, and the same for the rest of the sandbox.

Source: API reference of Invoke.
"""

from __future__ import annotations

import base64
import json
import random
import uuid
from collections.abc import Callable
from typing import Any

from sandbox.account import AwsError, Settings
from sandbox.awslambda.configuration import program
from sandbox.awslambda.event_configs import DELIVERY_ACTIONS
from sandbox.awslambda.invocations import DEFAULT_AGE_SECONDS, DEFAULT_RETRIES, Handling, Invocations, Queued
from sandbox.awslambda.packages import Packages
from sandbox.awslambda.permissions import qualified
from sandbox.awslambda.versions import LATEST, Catalog, conflict, find_version, parse_name
from sandbox.running.programs import Invocation, Program
from sandbox.running.runtime import Runtime

MOST_SYNC_BYTES = 6_291_456
MOST_ASYNC_BYTES = 1_048_576


class InvokeOperations:
    """Invoke (RequestResponse, Event, DryRun), and `run` and `submit` for the gateway and EventBridge."""

    _catalog: Catalog
    _packages: Packages
    _settings: Settings
    _runtime: Runtime
    _invocations: Invocations
    _role_allows: Callable[[str, str, str], bool]
    _send: Callable[[str, str], None]

    def invoke(self, request: dict[str, Any]) -> dict[str, Any]:
        """The operation. In the sandbox use `run` and `submit`."""
        name, qualifier = qualified(request)
        kind = request.get("InvocationType", "RequestResponse")
        payload = _payload(request.get("Payload"), MOST_ASYNC_BYTES if kind == "Event" else MOST_SYNC_BYTES)
        if kind == "DryRun":
            self._target(name, qualifier)
            return {"StatusCode": 204}
        if kind == "Event":
            self._submit(name, qualifier, payload)
            return {"StatusCode": 202, "Payload": b""}
        outcome = self._run(name, qualifier, payload)
        answer: dict[str, Any] = {
            "StatusCode": outcome.status,
            "ExecutedVersion": outcome.executed_version,
            "Payload": outcome.payload,
        }
        if outcome.function_error:
            answer["FunctionError"] = outcome.function_error
        if request.get("LogType") == "Tail":
            answer["LogResult"] = base64.b64encode(outcome.log_tail).decode()
        return answer

    def run(self, name_or_arn: str, payload: bytes, qualifier: str | None = None) -> Invocation:
        """Invoke synchronously. Raises AwsError when Lambda would refuse."""
        name, in_name = parse_name(name_or_arn)
        return self._run(name, qualifier or in_name, _payload(payload, MOST_SYNC_BYTES))

    def submit(self, name_or_arn: str, payload: bytes) -> str:
        """Invoke asynchronously: the request's id. Raises AwsError when Lambda would not take the event."""
        name, qualifier = parse_name(name_or_arn)
        return self._submit(name, qualifier, _payload(payload, MOST_ASYNC_BYTES))

    def _run(
        self, name: str, qualifier: str | None, payload: bytes, *, request_id: str | None = None
    ) -> Invocation:
        target, arn = self._target(name, qualifier)
        return self._runtime.invoke(target, payload, invoked_arn=arn, request_id=request_id)

    def _submit(self, name: str, qualifier: str | None, payload: bytes) -> str:
        with self._catalog.function(name, qualifier) as function:
            find_version(function, qualifier)
        request_id = str(uuid.uuid4())
        self._invocations.accept(name, qualifier, payload, request_id)
        return request_id

    def _target(self, name: str, qualifier: str | None) -> tuple[Program, str]:
        """What to run, and the ARN it is invoked by."""
        with self._catalog.function(name, qualifier) as function:
            version, arn = find_version(function, qualifier)
            alias = function.aliases.get(qualifier) if qualifier else None
            for number, weight in (alias.weights if alias else {}).items():
                if random.random() < weight:
                    version = function.versions[number]
            if version.under_way == "creating":
                raise conflict(
                    "The operation cannot be performed at this time. "
                    "The function is currently in the following state: Pending"
                )
            runs = function.serving if version.number == LATEST else version
            if version.asleep and self._packages.still_exists(runs.code):
                # Refused, but it wakes: Developer Guide, "Lambda function states".
                version.wake(self._catalog.clock() + self._settings.publish_seconds)
                raise conflict(
                    "The operation cannot be performed at this time. "
                    "The function is currently in the following state: Inactive"
                )
            if not self._packages.still_exists(runs.code):
                # AWS documents that every invocation fails then, not how; of its errors this one fits.
                raise AwsError(
                    "CodeArtifactUserFailedException",
                    f"Lambda can't invoke {arn}: its state is Failed (ImageDeleted). Update its code.",
                    409,
                )
            version.used = self._catalog.clock()
            return program(runs), arn

    # --- asynchronous ---------------------------------------------------------------------------------

    def _run_queued(self, event: Queued) -> Invocation:
        return self._run(event.function, event.qualifier, event.payload, request_id=event.request_id)

    def _handling(self, event: Queued) -> Handling:
        """How a queued event's function wants failures handled; the defaults when it is gone."""
        with self._catalog.open() as functions:
            function = functions.get(event.function)
            if function is None:
                return Handling()
            members = function.latest.members
            config = function.event_configs.get(event.qualifier or LATEST)
            if config is None:
                return Handling(role_arn=members["Role"])
            return Handling(
                retries=DEFAULT_RETRIES if config.retries is None else config.retries,
                age_seconds=config.age_seconds or DEFAULT_AGE_SECONDS,
                on_success=config.destinations.get("OnSuccess", {}).get("Destination"),
                on_failure=config.destinations.get("OnFailure", {}).get("Destination"),
                role_arn=members["Role"],
            )

    def _send_as_role(self, role_arn: str, arn: str, body: str) -> None:
        """Deliver a record as Lambda does it: in the name of the function's role."""
        action = DELIVERY_ACTIONS[arn.split(":")[2]]
        if not self._role_allows(role_arn, action, arn):
            raise AwsError(
                "AccessDeniedException",
                f"the role {role_arn} may not {action}; its policy must allow it",
                403,
            )
        self._send(arn, body)


def _payload(payload: bytes | None, most: int) -> bytes:
    """The event's bytes: JSON, and not too many of them."""
    payload = payload or b"{}"
    if len(payload) > most:
        raise AwsError(
            "RequestTooLargeException",
            f"Request must be smaller than {most} bytes for the InvokeFunction operation",
            413,
        )
    try:
        json.loads(payload)
    except (ValueError, RecursionError) as problem:
        raise AwsError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: {problem}",
            400,
        ) from None
    return payload
