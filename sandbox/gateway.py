"""API Gateway in front of the service: HTTP in, a REST API's proxy event to `live`, HTTP out.

One API with one stage and a greedy `{proxy+}` resource, as in most REST APIs in front of one function.
Source of the event, the answer and the failures: API Gateway Developer Guide, "Lambda proxy integrations".
"""

import base64
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

from sandbox.account import ACCOUNT, AwsError
from sandbox.running.programs import Invocation

STAGE = "api"
API_ID = "sandbox0api"
RESOURCE_ID = "proxy0"

# API Gateway takes 10 MB; Lambda takes 6 MB of event, which is what is met first.
_MOST_BODY_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class NoFunctionError(Exception):
    """There is nothing to put behind the API yet; `why` says what is missing."""

    why: str


class Gateway:
    """The WSGI application below `/_sandbox/api/`.

    `invoke(payload)` runs the function behind the API synchronously. It raises AwsError when Lambda
    refuses, NoFunctionError when there is no function to run.
    """

    def __init__(self, invoke: Callable[[bytes], Invocation]) -> None:
        self._invoke = invoke

    def respond(self, request: Request, path: str) -> Response:
        """Answer one request for `path` (below the stage, with its leading slash)."""
        if request.content_length is not None and request.content_length > _MOST_BODY_BYTES:
            return _message(413, "Request Too Long")
        event = _proxy_event(request, path)
        try:
            invocation = self._invoke(json.dumps(event, ensure_ascii=False).encode())
        except NoFunctionError as missing:
            return _message(503, missing.why)
        except AwsError:
            # A refused integration call (throttled, no permission) is the API's own failure.
            return _message(500, "Internal server error")
        response = _bad_gateway() if invocation.function_error else _from_lambda(invocation.payload)
        # Not API Gateway's: says which version answered, so that a demo can count.
        response.headers["x-sandbox-version"] = invocation.executed_version
        return response


def _proxy_event(request: Request, path: str) -> dict[str, Any]:
    """The request as a REST API's Lambda proxy integration hands it over."""
    now = datetime.now(UTC)
    query = parse_qsl(request.query_string.decode("utf-8", "replace"), keep_blank_values=True)
    body = request.get_data(cache=False)
    text, is_base64 = _body(body)
    greedy = path.strip("/")
    resource = "/{proxy+}" if greedy else "/"
    identity = dict.fromkeys(
        (
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
    )
    return {
        "resource": resource,
        "path": path,
        "httpMethod": request.method,
        "headers": _last(request.headers.items()) or None,
        "multiValueHeaders": _all(request.headers.items()) or None,
        "queryStringParameters": _last(query) or None,
        "multiValueQueryStringParameters": _all(query) or None,
        "pathParameters": {"proxy": greedy} if greedy else None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": API_ID,
            "domainName": request.host,
            "domainPrefix": API_ID,
            "extendedRequestId": uuid.uuid4().hex[:16],
            "httpMethod": request.method,
            "identity": {
                **identity,
                "sourceIp": request.remote_addr,
                "userAgent": request.headers.get("User-Agent"),
            },
            "path": f"/{STAGE}{path}",
            "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
            "requestId": str(uuid.uuid4()),
            "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(now.timestamp() * 1000),
            "resourceId": RESOURCE_ID,
            "resourcePath": resource,
            "stage": STAGE,
        },
        "body": text,
        "isBase64Encoded": is_base64,
    }


def _body(body: bytes) -> tuple[str | None, bool]:
    """As with `*/*` among the API's binary media types, except that readable text stays text."""
    if not body:
        return None, False
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def _last(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return dict(pairs)


def _all(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _from_lambda(payload: bytes) -> Response:
    """The function's answer as HTTP; 502 when it has not the form that API Gateway requires."""
    try:
        answer = json.loads(payload)
        if not isinstance(answer, dict):
            return _bad_gateway()
        status = int(answer.get("statusCode", 200))
        body = answer.get("body") or ""
        headers = _headers(answer.get("headers") or {}, answer.get("multiValueHeaders") or {})
        if not 100 <= status <= 599 or not isinstance(body, str):
            return _bad_gateway()
        content = base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()
    except (ValueError, TypeError, AttributeError):
        return _bad_gateway()
    return Response(content, status, headers)


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


def _bad_gateway() -> Response:
    return _message(502, "Internal server error")


def _message(status: int, text: str) -> Response:
    return Response(json.dumps({"message": text}), status, content_type="application/json")
