"""Requests to the stages of REST APIs: HTTP in, a function behind it, HTTP out.

Source of the gateway's own answers: API Gateway Developer Guide, "Gateway response types".
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Request, Response

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.door.policy import Document, refusal_of_service
from sandbox.gateway import proxy
from sandbox.gateway.access_log import AccessLogs, filled
from sandbox.gateway.apis import Apis, Stage
from sandbox.gateway.definition import Definition, Integration, Resource
from sandbox.gateway.proxy import Arrival
from sandbox.running.programs import Invocation
from sandbox.telling import say

# API Gateway takes 10 MB; Lambda takes 6 MB of event, which is what is met first.
_MOST_BODY_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class _OwnAnswer(Exception):
    """The gateway answers itself: with a status, a text, and the type of the gateway response it is.

    `because` is for access logs only; callers never see what is wrong behind the gateway.
    """

    status: int
    text: str
    kind: str = ""
    because: str | None = None
    version: str | None = None


_INTERNAL = "Internal server error"


class Gateway:
    """Answers what is sent to a stage.

    `invoke(function_arn, payload)` runs a function synchronously, `policy(function_arn)` is the policy of
    that function or alias, None when it has none; both raise AwsError when Lambda refuses.
    """

    def __init__(
        self,
        apis: Apis,
        invoke: Callable[[str, bytes], Invocation],
        policy: Callable[[str], Document | None],
        access_logs: AccessLogs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._apis = apis
        self._invoke = invoke
        self._policy = policy
        self._access_logs = access_logs
        self._clock = clock

    def respond(self, request: Request, api_id: str, stage_name: str, path: str) -> Response:
        """Answer one request for `path`: what follows the stage, as it was sent, with its leading slash."""
        stage = self._apis.stage(api_id, stage_name)
        if stage is None:
            return _json(403, '{"message":"Forbidden"}')
        began = self._clock()
        arrival = Arrival.of(request, api_id, stage_name, path)
        found = stage.definition.find(path)
        resource = found[0] if found else None
        context = arrival.context(resource)
        try:
            response = self._ask_function(arrival, stage, found)
        except _OwnAnswer as own:
            context |= _error(own)
            response = _own(stage.definition, own, context)
        response.headers["x-amzn-RequestId"] = arrival.request_id
        context |= {
            "status": response.status_code,
            "responseLength": len(response.get_data()),
            "responseLatency": round((self._clock() - began) * 1000),
        }
        if stage.access_log:
            self._access_logs.write(stage.access_log, _stream(api_id, stage_name), context)
        return response

    def _ask_function(
        self, arrival: Arrival, stage: Stage, found: tuple[Resource, Mapping[str, str]] | None
    ) -> Response:
        request = arrival.request
        integration = found[0].integration(request.method) if found else None
        if found is None or integration is None:
            raise _OwnAnswer(403, "Missing Authentication Token", "MISSING_AUTHENTICATION_TOKEN")
        if request.content_length is not None and request.content_length > _MOST_BODY_BYTES:
            raise _OwnAnswer(413, "Request Too Long", "REQUEST_TOO_LARGE")
        if not stage.limit.take():
            raise _OwnAnswer(429, "Too Many Requests", "THROTTLED")
        binary_types = stage.definition.binary_types
        event = proxy.event(arrival, *found, stage.variables, binary_types)
        invocation = self._run(arrival, integration, event)
        version = invocation.executed_version
        if invocation.function_error:
            raise _OwnAnswer(502, _INTERNAL, because="Lambda execution failed", version=version)
        try:
            response = proxy.answer(invocation.payload, request.headers.get("Accept", ""), binary_types)
        except proxy.MalformedAnswerError as problem:
            because = f"Malformed Lambda proxy response: {problem}"
            raise _OwnAnswer(502, _INTERNAL, because=because, version=version) from None
        # Not API Gateway's: says which version answered, so that a demo can count.
        response.headers["x-sandbox-version"] = version
        return response

    def _run(self, arrival: Arrival, integration: Integration, event: Mapping[str, Any]) -> Invocation:
        began = self._clock()
        try:
            self._require_permission(arrival, integration.function_arn)
            payload = json.dumps(event, ensure_ascii=False).encode()
            invocation = self._invoke(integration.function_arn, payload)
        except AwsError as refusal:
            # A refused call (throttled, no permission, no function) is the API's own failure.
            say(f"API {arrival.api_id} got no answer of {integration.function_arn}: {refusal.message}")
            raise _OwnAnswer(500, _INTERNAL, "API_CONFIGURATION_ERROR", refusal.message) from None
        if self._clock() - began > integration.timeout_seconds:
            # AWS would not have waited for the function's end; to the caller it is the same, a little later.
            because = f"the function took more than {integration.timeout_seconds:g} s"
            version = invocation.executed_version
            raise _OwnAnswer(504, "Endpoint request timed out", "INTEGRATION_TIMEOUT", because, version)
        return invocation

    def _require_permission(self, arrival: Arrival, function_arn: str) -> None:
        where = f"{arrival.api_id}/{arrival.stage}/{arrival.request.method}{arrival.path}"
        source = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{where}"
        refusal = refusal_of_service(
            self._policy(function_arn),
            "apigateway.amazonaws.com",
            "lambda:InvokeFunction",
            function_arn,
            source,
        )
        if refusal:
            raise AwsError("AccessDeniedException", refusal, 403)


def _error(own: _OwnAnswer) -> dict[str, Any]:
    """What `$context` says of an answer of the gateway's own."""
    return {
        "error.message": own.text,
        "error.messageString": json.dumps(own.text),
        "integrationErrorMessage": own.because,
    }


def _own(definition: Definition, own: _OwnAnswer, context: Mapping[str, Any]) -> Response:
    gateway_response = definition.response(own.kind, own.status)
    response = _json(own.status, filled(gateway_response.template, context))
    response.headers.update(gateway_response.headers)
    if own.version:
        response.headers["x-sandbox-version"] = own.version
    return response


def _json(status: int, text: str) -> Response:
    return Response(text, status, content_type="application/json")


def _stream(api_id: str, stage: str) -> str:
    return hashlib.sha256(f"{api_id}/{stage}".encode()).hexdigest()[:32]
