"""Watching the door: what processes of functions ask AWS for, call by call, and where one of them dies.

For tests of what a crash leaves behind. Whoever watches sees a call twice, when it comes in and when it is
done, and may have the process that made it killed there: before AWS has heard of the call, or when its effect
is there and its answer is still on its way.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request

from sandbox.account import AwsError
from sandbox.door import wire
from sandbox.door.calls import UnknownCallError, read_body, read_operation, signing_scope

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

UNREADABLE = "?"
"""The operation of a request that no service would understand."""


@dataclass(frozen=True)
class FunctionCall:
    """A call to AWS by a function's process; `parameters` as boto3 names them."""

    function: str
    service: str
    operation: str
    parameters: Mapping[str, Any]


Watch = Callable[[FunctionCall, bool], bool]
"""Called in the request's own thread with a call, and whether it is done; True kills the calling process."""


def read_call(environ: WSGIEnvironment, function: str) -> FunctionCall:
    """The call that a request makes. Whoever reads the request after this finds it whole."""
    _, service = signing_scope(environ)
    body = read_body(environ)
    try:
        operation = read_operation(environ, service)
        return FunctionCall(function, service, operation.name, operation.parameters)
    except UnknownCallError:
        pass  # a service that tells its operations by their paths
    try:
        request = Request({**environ, "wsgi.input": io.BytesIO(body)})
        name, parameters = wire.read(service, request, body)
    except (AwsError, ValueError):
        return FunctionCall(function, service, UNREADABLE, {})
    return FunctionCall(function, service, name, parameters)
