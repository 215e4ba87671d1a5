"""What a request to one of moto's services asks for, in IAM's terms.

Lambda and ECR name their own actions and resources (see wire.py). For everything else that a function
may call, the table at the end of this file says which action on which resource a request is. Source of
every row: Service Authorization Reference. What is not in the table, a role cannot do here: the
refusal names it, and it takes one row to add.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from sandbox.account import ACCOUNT, REGION
from sandbox.door.policy import Call

Environ = dict[str, Any]
Parameters = Mapping[str, Any]


class UnknownCallError(Exception):
    """The table has no row for this; the text is the action, as far as it could be told."""


@dataclass(frozen=True)
class Operation:
    """A request, read: the service's SigV4 name, the API operation and its parameters."""

    service: str
    name: str
    parameters: Parameters


def signing_scope(environ: Environ) -> tuple[str, str]:
    """(access key, service) from a request's SigV4 credential scope; empty strings when it is not signed.

    Presigned URLs carry the scope in the query, everything else in the Authorization header.
    """
    header = environ.get("HTTP_AUTHORIZATION", "")
    found = re.search(r"Credential=([^,\s]+)", header)
    scope = (
        found[1] if found else dict(parse_qsl(environ.get("QUERY_STRING", ""))).get("X-Amz-Credential", "")
    )
    parts = scope.split("/")
    return (parts[0], parts[3].lower()) if len(parts) == 5 else ("", "")


def read_body(environ: Environ) -> bytes:
    """The request's whole body; whoever reads after us finds it again."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    stream = environ["wsgi.input"]
    body: bytes = stream.read(length) if length else b""
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def read_operation(environ: Environ, service: str) -> Operation:
    """Which operation of `service` a request calls. Raises UnknownCallError when that cannot be told."""
    body = read_body(environ)
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return Operation(service, str(target).rpartition(".")[2], _json_object(body))
    form = dict(parse_qsl(body.decode("utf-8", "replace"))) or dict(
        parse_qsl(environ.get("QUERY_STRING", ""))
    )
    if action := form.get("Action"):
        return Operation(service, action, form)
    raise UnknownCallError(f"{service}:{environ.get('REQUEST_METHOD', '?')} {environ.get('PATH_INFO', '/')}")


def required_permissions(operation: Operation) -> list[Call]:
    """Everything the caller must be allowed for `operation`, and each of it.

    Raises UnknownCallError when the table does not know it.
    """
    row = _TABLE.get(f"{operation.service}:{operation.name}")
    if row is None:
        raise UnknownCallError(f"{operation.service}:{operation.name}")
    return list(row(operation))


def _json_object(body: bytes) -> Parameters:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


# --- the resources, as ARNs -----------------------------------------------------------------------

_Row = Callable[[Operation], Iterator[Call]]


def _arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


# Services whose actions do not begin with the name that requests to them are signed for.
_PREFIXES = {"monitoring": "cloudwatch"}


def _on(resource: Callable[[Parameters], str], action: str | None = None) -> _Row:
    """A row for an operation that needs one action (its own name, unless told) on one resource."""

    def calls(operation: Operation) -> Iterator[Call]:
        prefix = _PREFIXES.get(operation.service, operation.service)
        yield Call(f"{prefix}:{action or operation.name}", resource(operation.parameters))

    return calls


def _anything(parameters: Parameters) -> str:  # noqa: ARG001 - a row's signature
    """For actions that AWS offers no narrower resource for."""
    return "*"


def _table(parameters: Parameters) -> str:
    name = str(parameters.get("TableName", ""))
    return name if name.startswith("arn:") else _arn("dynamodb", f"table/{name}")


def _table_or_index(parameters: Parameters) -> str:
    index = parameters.get("IndexName")
    return f"{_table(parameters)}/index/{index}" if index else _table(parameters)


def _transaction(operation: Operation) -> Iterator[Call]:
    """A transaction needs each item's permission (DynamoDB guide, "Using IAM with transactions")."""
    actions = {
        "Put": "PutItem",
        "Update": "UpdateItem",
        "Delete": "DeleteItem",
        "ConditionCheck": "ConditionCheckItem",
        "Get": "GetItem",
    }
    for item in operation.parameters.get("TransactItems", []):
        for kind, parameters in item.items():
            if kind not in actions:
                raise UnknownCallError(f"dynamodb:{operation.name} ({kind})")
            yield Call(f"dynamodb:{actions[kind]}", _table(parameters))


def _entries(operation: Operation) -> Iterator[Call]:
    """Each entry needs the right to put it on its bus, in the name of its source (EventBridge User Guide,
    "Using IAM policy conditions": the keys of PutEvents)."""
    entries = operation.parameters.get("Entries")
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict):
            raise UnknownCallError(f"events:{operation.name} (an entry that is none)")
        bus = str(entry.get("EventBusName") or "default")
        names = {"events:source": "Source", "events:detail-type": "DetailType"}
        context = {key: str(entry[name]) for key, name in names.items() if name in entry}
        arn = bus if bus.startswith("arn:") else _arn("events", f"event-bus/{bus}")
        yield Call("events:PutEvents", arn, context)


def _topic(parameters: Parameters) -> str:
    # A message to a phone number has no topic and is a right on "*".
    return str(parameters.get("TopicArn") or parameters.get("TargetArn") or "*")


def _rule(parameters: Parameters) -> str:
    """A rule of the default bus, the only one here. Those of others have the bus's name in their ARNs."""
    bus = str(parameters.get("EventBusName") or "default")
    if bus not in ("default", _arn("events", "event-bus/default")):
        raise UnknownCallError(f"events: a rule of the bus {bus}")
    return _arn("events", f"rule/{parameters.get('Name') or parameters.get('Rule') or ''}")


def _queue(parameters: Parameters) -> str:
    return _arn(
        "sqs", str(parameters.get("QueueUrl") or "").rpartition("/")[2] or str(parameters.get("QueueName"))
    )


def _log_stream(parameters: Parameters) -> str:
    group, stream = parameters.get("logGroupName", ""), parameters.get("logStreamName", "")
    return _arn("logs", f"log-group:{group}:log-stream:{stream}")


def stack_arn(parameters: Parameters) -> str:
    """The ARN that a request about a stack is checked against.

    It ends in an id, which whoever asks by the name need not know. Which form AWS then checks has been
    reported both ways; this is the one that a grant on the stack's exact ARN does not cover.
    """
    asked = str(parameters.get("StackName") or "")
    if not asked:
        return "*"  # all of them
    return asked if asked.startswith("arn:") else _arn("cloudformation", f"stack/{asked}/*")


def _dashboard(parameters: Parameters) -> str:
    return f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{parameters.get('DashboardName', '')}"


def _alarms(operation: Operation) -> Iterator[Call]:
    """Each alarm that is named; to look at all of them is a right on all of them."""
    named = _list(operation.parameters, "AlarmNames")
    for name in named or ["*"]:
        yield Call("cloudwatch:DescribeAlarms", _arn("cloudwatch", f"alarm:{name}"))


def _list(parameters: Parameters, name: str) -> list[str]:
    """A list parameter: in the query protocol, each item is a parameter of its own."""
    items = parameters.get(name, [])
    numbered = [value for key, value in parameters.items() if key.startswith(f"{name}.member.")]
    return [str(item) for item in (items if isinstance(items, list) else [items])] + numbered


_TABLE: dict[str, _Row] = {
    "dynamodb:GetItem": _on(_table),
    "dynamodb:PutItem": _on(_table),
    "dynamodb:UpdateItem": _on(_table),
    "dynamodb:DeleteItem": _on(_table),
    "dynamodb:Query": _on(_table_or_index),
    "dynamodb:Scan": _on(_table_or_index),
    "dynamodb:DescribeTable": _on(_table),
    "dynamodb:DescribeTimeToLive": _on(_table),
    "dynamodb:TransactWriteItems": _transaction,
    "dynamodb:TransactGetItems": _transaction,
    "events:PutEvents": _entries,
    "sns:Publish": _on(_topic),
    "sns:PublishBatch": _on(_topic, "Publish"),
    "sns:GetTopicAttributes": _on(_topic),
    "sns:ListSubscriptionsByTopic": _on(_topic),
    "events:DescribeRule": _on(_rule),
    "events:ListTargetsByRule": _on(_rule),
    "sqs:SendMessage": _on(_queue),
    "sqs:SendMessageBatch": _on(_queue, "SendMessage"),
    "sqs:ReceiveMessage": _on(_queue),
    "sqs:DeleteMessage": _on(_queue),
    "sqs:DeleteMessageBatch": _on(_queue, "DeleteMessage"),
    "sqs:ChangeMessageVisibility": _on(_queue),
    "sqs:ChangeMessageVisibilityBatch": _on(_queue, "ChangeMessageVisibility"),
    "sqs:GetQueueAttributes": _on(_queue),
    "sqs:GetQueueUrl": _on(_queue),
    "logs:CreateLogGroup": _on(_log_stream),
    "logs:CreateLogStream": _on(_log_stream),
    "logs:PutLogEvents": _on(_log_stream),
    "logs:FilterLogEvents": _on(_log_stream),
    "logs:GetLogEvents": _on(_log_stream),
    "logs:DescribeLogStreams": _on(_log_stream),
    "cloudformation:DescribeStacks": _on(stack_arn),
    "monitoring:GetDashboard": _on(_dashboard),
    "monitoring:DescribeAlarms": _alarms,
    "monitoring:GetMetricData": _on(_anything),
    "monitoring:ListMetrics": _on(_anything),
}
