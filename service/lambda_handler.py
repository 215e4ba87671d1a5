"""What Lambda calls: `lambda_handler.handler`. Makes an API Gateway event whole and hands it to the app.

Chalice wants more of an event than a person writes (or a smoke test sends), and it routes by
`requestContext.resourcePath`, which behind a greedy `{proxy+}` resource says `/{proxy+}` for every path.
So this fills in what is missing, and puts the Chalice route and its path parameters where Chalice looks.

Events are those of a REST API (payload format 1.0):
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import json
import re
from collections.abc import Collection
from typing import Any, TypeVar

from app import app

# The app's own answer to paths that it does not know.
ELSEWHERE = "/{proxy+}"
PARAMETER = re.compile(r"\{([^{}]+?)\+?\}")
KINDS: dict[type, str] = {
    bool: "true or false",
    dict: "an object",
    list: "an array",
    str: "a string",
    type(None): "null",
}
T = TypeVar("T")


class BadEvent(Exception):
    """The event is not an API Gateway REST request. Says where and why, and quotes nothing of it."""


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Answer one API Gateway REST event, complete or not; the least is `httpMethod` and `path`.

    What is no such event is answered with 400 and a sentence that says why.
    """
    try:
        whole = complete(event, app.routes)
    except BadEvent as problem:
        app.log.error("event refused: %s", problem)
        return {
            "statusCode": 400,
            "headers": {"Content-Type": "application/json"},
            "multiValueHeaders": {},
            "body": json.dumps({"Code": "BadRequestError", "Message": str(problem)}),
        }
    answer: dict[str, Any] = app(whole, context)
    return answer


def complete(event: Any, routes: Collection[str]) -> dict[str, Any]:
    """`event` with everything Chalice needs, routed to one of `routes`. `event` itself stays as it is.

    Raises BadEvent when it is no object, has no method or path, or a field has another type than it should.
    """
    if not isinstance(event, dict):
        raise BadEvent(f"The event must be an API Gateway REST event, a JSON object, not {_kind(event)}")
    context = _field(event, "requestContext", dict) or {}
    method = _field(event, "httpMethod", str) or _field(context, "httpMethod", str)
    if not method:
        raise BadEvent('httpMethod is missing: send at least {"httpMethod": "GET", "path": "/health"}')

    route, parameters = resolve(path_of(event, context), routes)
    single_query = {name: [value] for name, value in _strings(event, "queryStringParameters").items()}
    query = single_query | _lists(event, "multiValueQueryStringParameters")
    headers = {name: values[-1] for name, values in _lists(event, "multiValueHeaders").items()}
    return {
        **event,
        "httpMethod": method,
        "resource": route,
        "requestContext": {**context, "httpMethod": method, "resourcePath": route},
        "headers": headers | _strings(event, "headers"),
        # None, not {}: what API Gateway says when there is no query, and Chalice's `query_params` repeats it.
        "multiValueQueryStringParameters": query or None,
        "pathParameters": parameters,
        "body": _field(event, "body", str),
        "isBase64Encoded": _field(event, "isBase64Encoded", bool) or False,
        "stageVariables": _strings(event, "stageVariables"),
    }


def path_of(event: dict[str, Any], context: dict[str, Any]) -> str:
    """The path below the API's root, percent-encoded as it came.

    When the event has the resource and its path parameters, they say it best: behind a custom domain, `path`
    may begin with the domain's base path, and nothing in the event tells. Otherwise it is `path`, without the
    stage where the event shows that it is there.
    """
    resource = _field(event, "resource", str) or _field(context, "resourcePath", str)
    parameters = _strings(event, "pathParameters")
    if resource and all(name in parameters for name in PARAMETER.findall(resource)):
        return PARAMETER.sub(lambda match: parameters[match[1]], resource)

    path = _field(event, "path", str) or _field(context, "path", str)
    if not path:
        raise BadEvent('path is missing: send at least {"httpMethod": "GET", "path": "/health"}')
    stage = _field(context, "stage", str)
    if stage and context.get("path") == path and f"{path}/".startswith(f"/{stage}/"):
        return path.removeprefix(f"/{stage}") or "/"
    return path


def resolve(path: str, routes: Collection[str]) -> tuple[str, dict[str, str]]:
    """The route that `path` belongs to, and its path parameters, percent-encoded as they came.

    A literal segment beats a parameter, left to right; a slash at the end means nothing, as with API Gateway.
    A path that no route has belongs to `/{proxy+}`.
    """
    segments = _segments(path)
    for route in sorted(set(routes) - {ELSEWHERE}, key=_literals_first):
        parameters = _match(_segments(route), segments)
        if parameters is not None:
            return route, parameters
    return ELSEWHERE, {"proxy": "/".join(segments)}


def _literals_first(route: str) -> tuple[list[bool], str]:
    return [part.startswith("{") for part in _segments(route)], route


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")


def _match(parts: list[str], segments: list[str]) -> dict[str, str] | None:
    if len(parts) != len(segments):
        return None
    parameters = {}
    for part, segment in zip(parts, segments, strict=True):
        if part.startswith("{") and segment:
            parameters[part[1:-1]] = segment
        elif part != segment:
            return None
    return parameters


def _field(source: dict[str, Any], name: str, kind: type[T]) -> T | None:
    value = source.get(name)
    if value is not None and not isinstance(value, kind):
        raise BadEvent(f"{name} must be {KINDS[kind]}, not {_kind(value)}")
    return value


def _strings(event: dict[str, Any], name: str) -> dict[str, str]:
    values = _field(event, name, dict) or {}
    if not all(isinstance(value, str) for value in values.values()):
        raise BadEvent(f"{name} must have strings as its values")
    return values


def _lists(event: dict[str, Any], name: str) -> dict[str, list[str]]:
    values = _field(event, name, dict) or {}
    if not all(
        isinstance(entry, list) and all(isinstance(value, str) for value in entry)
        for entry in values.values()
    ):
        raise BadEvent(f"{name} must have lists of strings as its values")
    return {key: entry for key, entry in values.items() if entry}


def _kind(value: object) -> str:
    return KINDS.get(type(value), "a number")
