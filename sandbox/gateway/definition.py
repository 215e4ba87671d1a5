"""What a REST API's OpenAPI body says: paths, the functions behind them, and the gateway's own answers.

What the sandbox does not do (authorizers, validators, mocks ...) is refused when the body is imported,
because ignoring it would let a template pass here that means something else on AWS.
Source: API Gateway Developer Guide, "OpenAPI extensions for API Gateway".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.account import AwsError

ANY = "ANY"
_ANY_METHOD = "x-amazon-apigateway-any-method"
_INTEGRATION = "x-amazon-apigateway-integration"
_RESPONSES = "x-amazon-apigateway-gateway-responses"
_BINARY_TYPES = "x-amazon-apigateway-binary-media-types"
_HEADER = "gatewayresponse.header."

_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", _ANY_METHOD}
# What only documents the API, and what the gateway acts on.
_OF_BODY = {"openapi", "info", "paths", "components", "tags", "servers", _RESPONSES, _BINARY_TYPES}
_OF_PATH = {"summary", "description", "parameters", *_METHODS}
_OF_METHOD = {
    "summary",
    "description",
    "operationId",
    "tags",
    "parameters",
    "requestBody",
    "responses",
    _INTEGRATION,
}
_OF_INTEGRATION = {"type", "httpMethod", "uri", "timeoutInMillis", "passthroughBehavior"}
_URI = re.compile(
    r"arn:[\w-]+:apigateway:[\w-]+:lambda:path/2015-03-31/functions/(arn:[\w-]+:lambda:[^/]+)/invocations"
)

LONGEST_WAIT_SECONDS = 29.0
"""How long a gateway waits for an integration, unless told less (quota "Integration timeout")."""


@dataclass(frozen=True)
class Integration:
    """The function behind a method, by an ARN that may name an alias."""

    function_arn: str
    timeout_seconds: float = LONGEST_WAIT_SECONDS


@dataclass(frozen=True)
class Resource:
    """A path of the body, `/{proxy+}` for example, with its methods."""

    path: str
    integrations: Mapping[str, Integration] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return hashlib.sha256(self.path.encode()).hexdigest()[:6]

    def integration(self, method: str) -> Integration | None:
        return self.integrations.get(method) or self.integrations.get(ANY)

    def match(self, path: str) -> Mapping[str, str] | None:
        """The path's parameters, as they were sent; None when this is another resource."""
        ours, theirs = _segments(self.path), _segments(path)
        parameters: dict[str, str] = {}
        for number, segment in enumerate(ours):
            if number >= len(theirs):
                return None
            name = segment[1:-1]
            if segment.endswith("+}"):
                return {**parameters, name[:-1]: "/".join(theirs[number:])}
            if _is_parameter(segment):
                parameters[name] = theirs[number]
            elif segment != theirs[number]:
                return None
        return parameters if len(ours) == len(theirs) else None

    @property
    def specificity(self) -> tuple[int, ...]:
        """Sorts what is named exactly before `{name}`, and that before `{name+}`."""
        return tuple(_is_parameter(each) + each.endswith("+}") for each in _segments(self.path))


@dataclass(frozen=True)
class GatewayResponse:
    """What an answer of the gateway's own carries: headers, and a template for its body."""

    headers: Mapping[str, str] = field(default_factory=dict)
    template: str = '{"message":$context.error.messageString}'


@dataclass(frozen=True)
class Definition:
    """An imported body."""

    resources: tuple[Resource, ...]
    responses: Mapping[str, GatewayResponse]
    binary_types: frozenset[str]

    def find(self, path: str) -> tuple[Resource, Mapping[str, str]] | None:
        """The resource that a path leads to, the most specific one, and the path's parameters."""
        for resource in sorted(self.resources, key=lambda each: each.specificity):
            parameters = resource.match(path)
            if parameters is not None:
                return resource, parameters
        return None

    def response(self, kind: str, status: int) -> GatewayResponse:
        """How the gateway itself answers with `status`; `kind` is its type, THROTTLED for example."""
        default = "DEFAULT_4XX" if status < 500 else "DEFAULT_5XX"
        return self.responses.get(kind) or self.responses.get(default) or GatewayResponse()


def read(body: Mapping[str, Any], binary_types: Collection[str] = ()) -> Definition:
    """Import a body. `binary_types` are those of the API itself; the body's come on top.

    Raises AwsError for what is malformed, and for what the sandbox's gateway does not do.
    """
    _require_known(body, _OF_BODY, "the body")
    if not str(body.get("openapi", "")).startswith("3."):
        raise _bad_request("the body says no `openapi: 3...`, and the sandbox reads no other format")
    paths = body.get("paths")
    if not isinstance(paths, Mapping) or not paths:
        raise _bad_request("the body has no paths")
    given = {*binary_types, *body.get(_BINARY_TYPES, [])}
    return Definition(
        resources=tuple(_resource(path, item) for path, item in paths.items()),
        responses={kind: _response(kind, each) for kind, each in body.get(_RESPONSES, {}).items()},
        # SAM and CloudFormation write `image~1png`, as JSON pointers escape a slash.
        binary_types=frozenset(each.replace("~1", "/") for each in given),
    )


def _resource(path: str, item: Mapping[str, Any]) -> Resource:
    _require_known(item, _OF_PATH, path)
    greedy = [number for number, each in enumerate(_segments(path)) if each.endswith("+}")]
    if not path.startswith("/") or greedy not in ([], [len(_segments(path)) - 1]):
        raise _bad_request(f"{path} is no resource path: it begins with / and only its end may be greedy")
    return Resource(path, dict(_integrations(path, item)))


def _integrations(path: str, item: Mapping[str, Any]) -> Iterator[tuple[str, Integration]]:
    for name in sorted(_METHODS & item.keys()):
        method = ANY if name == _ANY_METHOD else name.upper()
        where = f"{method} {path}"
        _require_known(item[name], _OF_METHOD, where)
        integration = item[name].get(_INTEGRATION)
        if integration is None:
            raise _bad_request(f"{where} has no {_INTEGRATION}: no integration defined for method")
        _require_known(integration, _OF_INTEGRATION, f"the integration of {where}")
        if str(integration.get("type")).lower() != "aws_proxy":
            raise _bad_request(
                f"{where}: the sandbox has aws_proxy integrations, not {integration.get('type')}"
            )
        if integration.get("httpMethod") != "POST":
            raise _bad_request(
                f"{where}: Lambda takes POST only, so the integration's httpMethod must be POST"
            )
        uri = _URI.fullmatch(str(integration.get("uri")))
        if uri is None:
            raise _bad_request(
                f"{where}: {integration.get('uri')!s:.300} is no Lambda function's invocation URI"
            )
        milliseconds = int(integration.get("timeoutInMillis", LONGEST_WAIT_SECONDS * 1000))
        if not 50 <= milliseconds <= LONGEST_WAIT_SECONDS * 1000:
            raise _bad_request(f"{where}: Timeout should be between 50 ms and 29000 ms")
        yield method, Integration(uri[1], milliseconds / 1000)


def _response(kind: str, given: Mapping[str, Any]) -> GatewayResponse:
    _require_known(given, {"responseParameters", "responseTemplates"}, kind)
    headers = {}
    for name, value in given.get("responseParameters", {}).items():
        literal = re.fullmatch(r"'([^']*)'", value)
        if not name.startswith(_HEADER) or literal is None:
            raise _bad_request(f"{kind}: the sandbox sets headers to 'quoted text', not {name} to {value}")
        headers[name.removeprefix(_HEADER)] = literal[1]
    templates = given.get("responseTemplates", {})
    _require_known(templates, {"application/json"}, f"responseTemplates of {kind}")
    return GatewayResponse(headers, templates.get("application/json", GatewayResponse.template))


def _require_known(given: Any, known: Collection[str], where: str) -> None:
    if not isinstance(given, Mapping):
        raise _bad_request(f"{where} must be an object")
    if unknown := sorted(set(map(str, given)) - set(known)):
        raise _bad_request(
            f"{where}: the sandbox's API Gateway does not do {', '.join(unknown)}; "
            "sandbox/gateway/definition.py is where to add it"
        )


def _segments(path: str) -> list[str]:
    return [segment for segment in path.strip("/").split("/") if segment]


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{")


def _bad_request(message: str) -> AwsError:
    return AwsError("BadRequestException", message, 400)
