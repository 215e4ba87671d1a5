"""A Lambda proxy integration: the request as an event, and the function's answer as HTTP.

Source: API Gateway Developer Guide, "Lambda proxy integrations" and "Binary media types".
"""

import base64
import json
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

from sandbox.account import ACCOUNT
from sandbox.gateway.definition import Resource

_NULL_IDENTITY = (
    "accessKey",
    "accountId",
    "apiKey",
    "apiKeyId",
    "caller",
    "clientCert",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "user",
    "userArn",
)


class MalformedAnswerError(Exception):
    """A function's answer has not the form that API Gateway requires."""


@dataclass(frozen=True)
class Arrival:
    """A request, and where it arrived. `path` is what follows the stage, as it was sent."""

    request: Request
    api_id: str
    stage: str
    path: str
    request_id: str
    at: datetime

    @staticmethod
    def of(request: Request, api_id: str, stage: str, path: str) -> "Arrival":
        return Arrival(request, api_id, stage, path, str(uuid.uuid4()), datetime.now(UTC))

    def context(self, resource: Resource | None) -> dict[str, Any]:
        """The event's `requestContext`; access logs speak of the same."""
        request = self.request
        return {
            "accountId": ACCOUNT,
            "apiId": self.api_id,
            "domainName": request.host,
            "domainPrefix": self.api_id,
            "extendedRequestId": base64.b64encode(uuid.UUID(self.request_id).bytes[:11]).decode(),
            "httpMethod": request.method,
            "identity": {
                **dict.fromkeys(_NULL_IDENTITY),
                "sourceIp": request.remote_addr,
                "userAgent": request.headers.get("User-Agent"),
            },
            "path": f"/{self.stage}{self.path}",
            "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
            "requestId": self.request_id,
            "requestTime": self.at.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(self.at.timestamp() * 1000),
            "resourceId": resource.id if resource else None,
            "resourcePath": resource.path if resource else None,
            "stage": self.stage,
        }


def event(
    arrival: Arrival,
    resource: Resource,
    parameters: Mapping[str, str],
    variables: Mapping[str, str],
    binary_types: Collection[str],
) -> dict[str, Any]:
    """What the function gets."""
    request = arrival.request
    query = parse_qsl(request.query_string.decode("utf-8", "replace"), keep_blank_values=True)
    text, is_base64 = _body(request.get_data(cache=False), request.mimetype, binary_types)
    return {
        "resource": resource.path,
        "path": arrival.path,
        "httpMethod": request.method,
        "headers": _last(request.headers.items()) or None,
        "multiValueHeaders": _all(request.headers.items()) or None,
        "queryStringParameters": _last(query) or None,
        "multiValueQueryStringParameters": _all(query) or None,
        "pathParameters": dict(parameters) or None,
        "stageVariables": dict(variables) or None,
        "requestContext": arrival.context(resource),
        "body": text,
        "isBase64Encoded": is_base64,
    }


def answer(payload: bytes, accept: str, binary_types: Collection[str]) -> Response:
    """The function's answer as HTTP. `accept` is the request's header: it decides whether bytes are sent.

    Raises MalformedAnswerError.
    """
    try:
        given = json.loads(payload)
        if not isinstance(given, dict):
            raise MalformedAnswerError("it is no JSON object")
        status = int(given.get("statusCode", 200))
        body = given.get("body") or ""
        if not 100 <= status <= 599 or not isinstance(body, str):
            raise MalformedAnswerError("its statusCode is no HTTP status, or its body no text")
        headers = _headers(given.get("headers") or {}, given.get("multiValueHeaders") or {})
        is_bytes = given.get("isBase64Encoded") and _is_binary(_first_type(accept), binary_types)
        content = base64.b64decode(body, validate=True) if is_bytes else body.encode()
    except (ValueError, TypeError, AttributeError) as problem:
        raise MalformedAnswerError(str(problem)) from None
    return Response(content, status, headers)


def _body(body: bytes, media_type: str, binary_types: Collection[str]) -> tuple[str | None, bool]:
    """What the API does not call binary arrives as text, whatever becomes of its bytes."""
    if not body:
        return None, False
    if _is_binary(media_type, binary_types):
        return base64.b64encode(body).decode(), True
    return body.decode("utf-8", "replace"), False


def _is_binary(media_type: str, binary_types: Collection[str]) -> bool:
    return "*/*" in binary_types or media_type in binary_types


def _first_type(accept: str) -> str:
    """API Gateway looks at the first type of the list only."""
    return accept.partition(",")[0].partition(";")[0].strip().lower()


def _last(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return dict(pairs)


def _all(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _headers(single: Mapping[str, Any], multiple: Mapping[str, Any]) -> Headers:
    """Both maps together; a name in both counts with the values of `multiValueHeaders`."""
    headers = Headers()
    for name, value in single.items():
        if name.lower() not in {other.lower() for other in multiple}:
            headers.add(name, _header_value(value))
    for name, values in multiple.items():
        for value in values:
            headers.add(name, _header_value(value))
    # The server sets the length of what is really sent.
    headers.remove("Content-Length")
    if "Content-Type" not in headers:
        headers["Content-Type"] = "application/json"
    return headers


def _header_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError(f"a header's value is {type(value).__name__}")
