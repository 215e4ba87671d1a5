"""AWS's wire protocols, from botocore's own service models, in front of a plain Python object.

An implementation has one method per operation it knows (`put_image` for PutImage). It gets the request and
gives the response as boto3 shows them, and refuses by raising `AwsError`. Everything about HTTP, JSON, XML,
required members, lengths, patterns and enums is done here, so that the implementation can trust its input.
"""

from __future__ import annotations

import binascii
import json
import re
import sys
import traceback
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore import xform_name
from botocore.model import StructureShape
from moto.core.loaders import create_loader
from moto.core.model import OperationModel, ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import get_serializer_class
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from sandbox.account import AwsError
from sandbox.door.constraints import shortened, violations

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Authorize = Callable[["WSGIEnvironment", str, str], None]
"""Called with the WSGI environment, the IAM action and the resource's ARN; raises `AwsError` to refuse."""

AuthorizeFurther = Callable[[str, dict[str, Any], Callable[[str, str], None]], None]
"""Called with the operation, its valid request and a function that raises `AwsError` unless the caller may do
an IAM action on a resource. For what an operation does with other services in its caller's name."""

LARGEST_REQUEST = 70_167_211
"""Bytes of a request's body: Lambda's own limit, which its error message names; no ECR part is larger."""

IAM_ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction"}
"""IAM actions whose name is not the operation's (Service Authorization Reference, AWS Lambda)."""


class Implementation(Protocol):
    """What `application` serves: this, and a snake_case method per operation."""

    def resource(self, operation: str, request: dict[str, Any], /) -> str:
        """The ARN that IAM checks `operation` (`PutImage`) with this valid request against."""


@dataclass(frozen=True)
class Call:
    operation: OperationModel
    path_parameters: dict[str, str]
    form: dict[str, str]
    """Of the query protocol: all of the request."""


def application(
    service_name: str,
    implementation: Implementation,
    authorize: Authorize,
    authorize_further: AuthorizeFurther | None = None,
) -> WSGIApplication:
    """A WSGI application that speaks `service_name`'s protocol (`json`, `rest-json` or `query`)."""
    model = _service_model(service_name)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = _answer(model, implementation, authorize, authorize_further, request)
        except AwsError as refusal:
            response = _refusal(model, refusal)
        except Exception:  # noqa: BLE001 - a bug of the sandbox must look like AWS's own 500, and be seen
            traceback.print_exc(file=sys.stderr)
            response = _refusal(
                model,
                AwsError(
                    "ServiceException", "The sandbox failed; its traceback is on the sandbox's stderr.", 500
                ),
            )
        response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
        return response(environ, start_response)

    return answer


def _answer(
    model: ServiceModel,
    implementation: Implementation,
    authorize: Authorize,
    authorize_further: AuthorizeFurther | None,
    http: Request,
) -> Response:
    body = _body(http)
    call = _route(model, http, body)
    name = call.operation.name
    operation: Callable[[dict[str, Any]], dict[str, Any] | None] | None = getattr(
        implementation, xform_name(name), None
    )
    if operation is None:
        raise AwsError(
            "NotImplementedException",
            f"The sandbox does not implement {model.service_name}:{name}. "
            f"It implements: {', '.join(operations(model.service_name, implementation))}.",
            501,
        )
    request = _parse(model, call, http, body)
    _validate(model, call.operation, request)
    action = f"{model.service_name}:{name}"
    authorize(http.environ, IAM_ACTIONS.get(action, action), implementation.resource(name, request))
    if authorize_further is not None:
        authorize_further(name, request, partial(authorize, http.environ))
    return _response(call.operation, operation(request) or {})


def operations(service_name: str, implementation: Implementation) -> list[str]:
    """The operations of `service_name` that `implementation` has a method for."""
    names = _service_model(service_name).operation_names
    return [name for name in names if hasattr(implementation, xform_name(name))]


def read(service_name: str, http: Request, body: bytes) -> tuple[str, dict[str, Any]]:
    """The operation that a request calls and its parameters, unchecked. Raises AwsError for what is none."""
    model = _service_model(service_name)
    call = _route(model, http, body)
    return call.operation.name, _parse(model, call, http, body)


# Requests


def _body(http: Request) -> bytes:
    """The request's body, read before anything can refuse it: closing on unread bytes resets connections."""
    http.max_content_length = LARGEST_REQUEST
    try:
        return http.get_data()
    except RequestEntityTooLarge as error:
        message = f"Request must be smaller than {LARGEST_REQUEST} bytes"
        raise AwsError("RequestEntityTooLargeException", message, 413) from error


@lru_cache
def _service_model(service_name: str) -> ServiceModel:
    description = create_loader().load_service_model(service_name, "service-2")
    return ServiceModel(description, service_name)


@lru_cache
def _routes(service_name: str) -> list[tuple[str, re.Pattern[str], dict[str, Any], OperationModel]]:
    """Method, path pattern, required query literals and operation; the most particular first."""
    model = _service_model(service_name)
    routes = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        http = operation.http_trait
        pattern = "".join(
            f"(?P<{part[1:-1].rstrip('+')}>{'.+' if part.endswith('+}') else '[^/]+'})"
            if part.startswith("{")
            else re.escape(part)
            for part in re.split(r"(\{[^}]+\})", http.path)
        )
        routes.append((http.method, re.compile(f"{pattern}/?"), http.query_args, operation))
    return sorted(routes, key=lambda route: len(route[2]), reverse=True)


def _route(model: ServiceModel, http: Request, body: bytes) -> Call:
    if model.protocol == "query":
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        action = form.get("Action", "")
        if action not in model.operation_names:
            raise AwsError("InvalidAction", f"Could not find operation {shortened(action)}.")
        return Call(model.operation_model(action), {}, form)
    if model.protocol == "json":
        target = http.headers.get("X-Amz-Target", "")
        prefix, _, name = target.rpartition(".")
        if prefix != model.metadata["targetPrefix"] or name not in model.operation_names:
            raise AwsError("UnknownOperationException", f"No operation {shortened(target)!r}.")
        return Call(model.operation_model(name), {}, {})
    for method, path, query, operation in _routes(model.service_name):
        match = path.fullmatch(http.path) if method == http.method else None
        if match and all(http.args.get(key) == value for key, value in query.items()):
            return Call(operation, match.groupdict(), {})
    raise AwsError("UnknownOperationException", f"No operation at {http.method} {shortened(http.path)}.", 404)


def _parse(model: ServiceModel, call: Call, http: Request, body: bytes) -> dict[str, Any]:
    shape = call.operation.input_shape
    if shape is None:
        return {}
    try:
        if "payload" not in shape.serialization and model.protocol != "query":
            _require_json_object(body)
        parser = PROTOCOL_PARSERS[model.protocol](call.operation)
        parsed: dict[str, Any] = parser.parse(
            {
                "body": body,
                "headers": http.headers,
                "method": http.method,
                "url_params": call.path_parameters,
                "url_path": http.path,
                "values": MultiDict(call.form) if call.form else http.args,
            }
        )
    # The parser follows the model without looking at the JSON's types, and stumbles in all these ways.
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        reason = shortened(str(error))
        if model.protocol == "query":
            raise AwsError("MalformedInput", f"Could not read the request: {reason}") from error
        if model.protocol == "json":
            raise AwsError("SerializationException", f"Could not read the request: {reason}") from error
        raise AwsError(
            "InvalidRequestContentException", f"Could not parse request body into json: {reason}"
        ) from error
    return {name: value for name, value in parsed.items() if value is not None}


def _require_json_object(body: bytes) -> None:
    """Raise ValueError or TypeError for what the parser would otherwise take for a text or a list."""
    if not isinstance(json.loads(body or b"{}"), dict):
        raise TypeError("the body is not a JSON object")


def _validate(model: ServiceModel, operation: OperationModel, request: dict[str, Any]) -> None:
    """Refuse what the model's constraints do not allow, in the service's own words."""
    if operation.input_shape is None:
        return
    found = list(violations(request, operation.input_shape))
    if not found:
        return
    if model.protocol == "json":
        raise AwsError(
            "InvalidParameterException",
            f"Invalid parameter at '{found[0].where}' failed to satisfy constraint: '{found[0].must}'",
        )
    raise AwsError(
        "ValidationError" if model.protocol == "query" else "ValidationException",
        f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: "
        + "; ".join(
            f"Value {violation.value} at '{violation.where}' failed to satisfy constraint: {violation.must}"
            for violation in found
        ),
    )


# Responses


def _response(operation: OperationModel, result: dict[str, Any]) -> Response:
    model, shape = operation.service_model, operation.output_shape
    members = shape.members if shape is not None else {}
    unknown = result.keys() - members.keys()
    if unknown:
        raise LookupError(f"{operation.name} answers no {sorted(unknown)}; it answers {sorted(members)}")
    serialized = get_serializer_class(model.service_name, model.protocol)(operation).serialize(result)
    status = serialized["status_code"]
    for name, member in members.items():
        if member.serialization.get("location") == "statusCode":
            status = int(result.get(name, status))
    body = b"" if status == HTTPStatus.NO_CONTENT else serialized["body"] or b""
    return Response(body, status, serialized["headers"])


def query_refusal(refusal: AwsError, status: int) -> Response:
    """A refusal in the query protocol's XML."""
    fault = "Sender" if status < 500 else "Receiver"
    error = (
        f"<Type>{fault}</Type><Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message>"
    )
    xml = f"<ErrorResponse><Error>{error}</Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    return Response(xml, status, content_type="text/xml")


def _refusal(model: ServiceModel, refusal: AwsError) -> Response:
    shape = next((error for error in model.error_shapes if error.name == refusal.code), None)
    members = shape.members if isinstance(shape, StructureShape) else {}
    modelled = shape.metadata.get("error", {}) if shape is not None else {}
    status = refusal.status or modelled.get("httpStatusCode", 400)
    if model.protocol == "query":
        return query_refusal(refusal, status)
    headers = {"x-amzn-ErrorType": refusal.code}
    # Errors of one service spell it `message` or `Message`; those outside its model, `message`.
    spelling = next((name for name in members if name.lower() == "message"), "message")
    body: dict[str, Any] = {spelling: refusal.message}
    if model.protocol == "json":
        body["__type"] = refusal.code
    else:
        body["Type"] = "User" if status < 500 else "Service"
    for name, value in refusal.fields.items():
        traits = members[name].serialization if name in members else {}
        if traits.get("location") == "header":
            headers[traits["name"]] = str(value)
        else:
            body[name] = value
    content_type = "application/x-amz-json-1.1" if model.protocol == "json" else "application/json"
    return Response(json.dumps(body), status, headers, content_type=content_type)
