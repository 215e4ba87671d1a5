"""AWS::CloudFormation::CustomResource: a resource that one of the stack's own functions makes.

Source: CloudFormation User Guide, "Custom resource request objects" and "... response objects".
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from collections.abc import Mapping
from typing import Any

from moto.core.common_models import CloudFormationModel

from sandbox.account import AwsError
from sandbox.cloudformation.lambda_resources import settle
from sandbox.cloudformation.resource import Properties, Resource, account

_LARGEST_ANSWER = 4096
"""Bytes of an answer."""

_waiting_lock = threading.Lock()
_waiting: dict[str, bytes | None] = {}
"""Requests that are under way, by the token in their ResponseURL; None until answered."""


def answer(token: str, body: bytes) -> bool:
    """Take an answer that was PUT to `/_sandbox/custom-resources/<token>`.

    False when nobody waits for it: an unknown token, or one that was answered before.
    """
    with _waiting_lock:
        if token not in _waiting or _waiting[token] is not None:
            return False
        _waiting[token] = body
        return True


class CustomResource(Resource, CloudFormationModel):
    """A resource that a function of the stack creates.

    The function is invoked and its answer is due when it has returned. CloudFormation would wait for
    `ServiceTimeout` and Lambda would try twice more; here a function that ended without an answer
    fails the stack at once.
    """

    type_name = "AWS::CloudFormation::CustomResource"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:  # noqa: ARG003 - only the function knows its attributes
        return True

    def _require_known_properties(self) -> None:
        """All properties are the function's business."""

    def create(self) -> None:
        self._ask("Create", {})

    def change(self, old: Properties) -> None:
        if self.properties == old:
            return
        before = self.physical_resource_id
        self._ask("Update", {"PhysicalResourceId": before, "OldResourceProperties": _strings(old)})
        if self.physical_resource_id != before:
            # Another physical id says "replaced"; CloudFormation then has the old one deleted.
            self._ask("Delete", {"PhysicalResourceId": before, "ResourceProperties": _strings(old)})

    def remove(self) -> None:
        # moto deletes in no particular order, so the function or its role may be gone already.
        with contextlib.suppress(_UnansweredError):
            self._ask("Delete", {"PhysicalResourceId": self.physical_resource_id})

    def _ask(self, request_type: str, extra: Mapping[str, Any]) -> None:
        """Send the function a request and take its answer over. Raises AwsError without one, or if FAILED."""
        token = secrets.token_urlsafe(24)
        request = {
            "RequestType": request_type,
            "RequestId": secrets.token_hex(16),
            "ResponseURL": f"{account().url()}/_sandbox/custom-resources/{token}",
            "StackId": self.stack_id,
            "LogicalResourceId": self.logical_id,
            "ResourceType": self.type_name,
            "ResourceProperties": _strings(self.properties),
            **extra,
        }
        with _waiting_lock:
            _waiting[token] = None
        try:
            ended = self._invoke(request)
        finally:
            with _waiting_lock:
                body = _waiting.pop(token)
        if body is None:
            raise _UnansweredError(f"the function ended without an answer: {ended:.1000}")
        self._accept(_parse_answer(body, request), request_type)

    def _invoke(self, request: Mapping[str, Any]) -> str:
        """How the function ended, for people."""
        function = self.properties["ServiceToken"]
        try:
            settle(function)
            ended = account().functions.run(function, json.dumps(request).encode())
        except AwsError as error:
            return f"{error.code}: {error.message}"
        return f"{ended.function_error or 'no error'}, {ended.payload[:1000].decode(errors='replace')}"

    def _accept(self, body: Mapping[str, Any], request_type: str) -> None:
        if body["Status"] != "SUCCESS":
            raise AwsError(
                "CustomResourceFailed", f"{request_type}: {body.get('Reason') or 'no reason given'}"
            )
        if request_type != "Delete":
            self.physical_resource_id = body["PhysicalResourceId"]
            self.attributes = {name: str(value) for name, value in (body.get("Data") or {}).items()}


class _UnansweredError(AwsError):
    def __init__(self, message: str) -> None:
        super().__init__("CustomResourceUnanswered", message)


def _parse_answer(body: bytes, request: Mapping[str, Any]) -> dict[str, Any]:
    """A custom resource's answer, if it is one. Raises AwsError otherwise."""
    if len(body) > _LARGEST_ANSWER:
        raise AwsError(
            "InvalidAnswer", f"the answer has {len(body)} bytes; CloudFormation takes {_LARGEST_ANSWER}"
        )
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise AwsError("InvalidAnswer", "the answer is not JSON") from error
    if not isinstance(parsed, dict) or parsed.get("Status") not in {"SUCCESS", "FAILED"}:
        raise AwsError("InvalidAnswer", "the answer is no JSON object with the Status SUCCESS or FAILED")
    if not isinstance(parsed.get("PhysicalResourceId"), str) or not parsed["PhysicalResourceId"]:
        raise AwsError("InvalidAnswer", "the answer has no PhysicalResourceId")
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        if parsed.get(name) != request[name]:
            raise AwsError("InvalidAnswer", f"the answer's {name} is not the request's")
    return parsed


def _strings(value: Any) -> Any:
    """CloudFormation sends a custom resource's numbers and booleans as text."""
    match value:
        case Mapping():
            return {name: _strings(each) for name, each in value.items()}
        case list():
            return [_strings(each) for each in value]
        case bool():
            return str(value).lower()
        case _:
            return str(value)
