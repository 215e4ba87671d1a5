"""A call of the deployer's in a few words: AWS's name for it, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.door.watching import FunctionCall


def name(call: FunctionCall) -> str:
    """The same for calls that do the same, whatever digest, version or deployment they are about."""
    what = _purpose(call.service, call.operation, call.parameters)
    return f"{call.operation}: {what}" if what else call.operation


def _purpose(service: str, operation: str, asked: Mapping[str, Any]) -> str:
    match service:
        case "lambda":
            return _of_lambda(operation, asked)
        case "dynamodb":
            return _of_the_ledger(operation, asked)
        case "ecr":
            image = next(iter(asked.get("imageIds", [])), asked)
            return f"tag {image['imageTag']}" if "imageTag" in image else ""
        case "events":
            return "programs"
        case "sns":
            return "chat" if "chat" in str(asked.get("TopicArn")).lower() else "people"
        case _:
            return service


def _of_lambda(operation: str, asked: Mapping[str, Any]) -> str:
    if operation not in {"GetFunction", "Invoke"}:
        return ""
    qualifier = str(asked.get("Qualifier", "$LATEST"))
    return "a version" if qualifier.isdigit() else qualifier


def _of_the_ledger(operation: str, asked: Mapping[str, Any]) -> str:
    match operation:
        case "Query":
            [partition] = (value["S"] for value in asked["ExpressionAttributeValues"].values())
            return "what goes on" if partition.endswith("#now") else "what ended"
        case "GetItem":
            return "quarantine" if asked["Key"]["pk"]["S"].endswith("#quarantine") else "a deployment"
        case "UpdateItem" if "lease_holder" in asked["UpdateExpression"]:
            return "the lease back" if asked["UpdateExpression"].startswith("REMOVE") else "the lease"
        case "DeleteItem":
            return "the notice is sent"
        case "TransactWriteItems":
            put = next(item["Put"]["Item"] for item in asked["TransactItems"] if "Put" in item)
            return str(put["phase"]["S"])
        case _:
            return ""
