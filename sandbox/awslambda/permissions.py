"""Lambda's resource policies.

Sources: API reference of AddPermission; recorded answers of AWS.
"""

from __future__ import annotations

import json
from typing import Any

from sandbox.awslambda.packages import invalid
from sandbox.awslambda.versions import (
    LATEST,
    Catalog,
    Function,
    conflict,
    find_version,
    new_revision,
    not_found,
    parse_name,
    require_revision,
)
from sandbox.door.policy import Document


def qualified(request: dict[str, Any]) -> tuple[str, str | None]:
    """Name and qualifier of a request that may give the qualifier in either place."""
    name, in_name = parse_name(request["FunctionName"])
    given = request.get("Qualifier")
    if in_name and given and in_name != given:
        raise invalid("The derived qualifier from the function name does not match the specified qualifier.")
    return name, given or in_name


class PermissionOperations:
    """AddPermission, RemovePermission, GetPolicy: each version, alias and the function has its own policy."""

    _catalog: Catalog

    def add_permission(self, request: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = qualified(request)
        with self._catalog.function(name) as function:
            _, arn = find_version(function, qualifier)
            if qualifier == LATEST:
                raise invalid("We currently do not support adding policies for $LATEST.")
            _require_policy_revision(function, qualifier, request)
            statements = function.statements.setdefault(qualifier, [])
            sid = request["StatementId"]
            if any(statement["Sid"] == sid for statement in statements):
                raise conflict(
                    f"The statement id ({sid}) provided already exists. "
                    "Please provide a new statement id, or remove the existing statement."
                )
            statement = _statement(request, arn)
            statements.append(statement)
            function.policy_revisions[qualifier] = new_revision()
        return {"Statement": json.dumps(statement)}

    def remove_permission(self, request: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = qualified(request)
        with self._catalog.function(name) as function:
            _require_policy_revision(function, qualifier, request)
            statements = function.statements.get(qualifier, [])
            remaining = [s for s in statements if s["Sid"] != request["StatementId"]]
            if len(remaining) == len(statements):
                raise not_found(f"Statement {request['StatementId']} is not found in resource policy.")
            function.statements[qualifier] = remaining
            function.policy_revisions[qualifier] = new_revision()
        return {}

    def get_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = qualified(request)
        with self._catalog.function(name) as function:
            find_version(function, qualifier)
            if not function.statements.get(qualifier):
                raise not_found("The resource you requested does not exist.")
            return {
                "Policy": json.dumps(_policy(function, qualifier)),
                "RevisionId": function.policy_revisions[qualifier],
            }

    def function_policy(self, arn: str) -> Document | None:
        """The resource policy of a function, version or alias, for services that want to invoke it."""
        name, qualifier = parse_name(arn)
        with self._catalog.function(name) as function:
            return _policy(function, qualifier) if function.statements.get(qualifier) else None


def _policy(function: Function, qualifier: str | None) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Id": "default", "Statement": function.statements[qualifier]}


def _require_policy_revision(function: Function, qualifier: str | None, request: dict[str, Any]) -> None:
    require_revision(request.get("RevisionId"), function.policy_revisions.get(qualifier, ""))


def _statement(request: dict[str, Any], arn: str) -> dict[str, Any]:
    """The policy statement a permission becomes."""
    principal = request["Principal"]
    if principal == "*":
        who: str | dict[str, str] = "*"
    elif principal.endswith(".amazonaws.com"):
        who = {"Service": principal}
    else:
        who = {"AWS": f"arn:aws:iam::{principal}:root" if principal.isdecimal() else principal}
    conditions: dict[str, dict[str, str]] = {}
    if "SourceAccount" in request:
        conditions["StringEquals"] = {"AWS:SourceAccount": request["SourceAccount"]}
    if "SourceArn" in request:
        conditions["ArnLike"] = {"AWS:SourceArn": request["SourceArn"]}
    return {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": who,
        "Action": request["Action"],
        "Resource": arn,
        **({"Condition": conditions} if conditions else {}),
    }
