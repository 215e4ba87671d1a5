"""The sandbox's own `sam deploy`: from template.yaml to a running stack, over HTTP like everybody else."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from sandbox.cloudformation.left_out import LEFT_OUT
from sandbox.cloudformation.template import Template, TemplateError, parse

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"
STACK_NAME = "shuking"
PACKAGES = "sandbox-packages"
"""The bucket that templates and functions' packages are uploaded to."""

_SERVERLESS_FUNCTION = "AWS::Serverless::Function"


class StackError(Exception):
    """The stack cannot be created or updated; the text says why."""


def deploy(
    client: Callable[[str], Any],
    template: Path = TEMPLATE,
    parameters: Mapping[str, str] | None = None,
    stack_name: str = STACK_NAME,
) -> dict[str, str]:
    """Create the stack, or update it when it exists, and return its outputs. Nothing changed is fine.

    `client` makes a boto3 client for a service's name: `Sandbox.client`, or `boto3.client` where
    AWS_ENDPOINT_URL leads to a sandbox. The functions' package is made of the folder `deployer/`
    beside the template, without dependencies: the sandbox's own interpreter has them.
    Parameters that are not given have their default, in an update too. Raises StackError.
    """
    source, s3 = read(template), client("s3")
    s3.create_bucket(Bucket=PACKAGES)
    code = {"Bucket": PACKAGES, "Key": _upload(s3, package(template.parent / "deployer"), "zip")}
    for resource in source["Resources"].values():
        if resource["Type"] == _SERVERLESS_FUNCTION and "ImageUri" not in resource["Properties"]:
            resource["Properties"]["CodeUri"] = code
    key = _upload(s3, json.dumps(source).encode(), "template")
    return _create_or_update(
        client("cloudformation"),
        {
            "StackName": stack_name,
            "TemplateURL": f"{s3.meta.endpoint_url}/{PACKAGES}/{key}",
            "Parameters": [
                {"ParameterKey": name, "ParameterValue": value} for name, value in (parameters or {}).items()
            ],
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        },
    )


def left_out(client: Callable[[str], Any], stack_name: str = STACK_NAME) -> list[str]:
    """What the stack has and the sandbox does not do, a line for each: what it is, and why.

    Raises StackError when there is no such stack.
    """
    try:
        pages = client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack_name)
        resources = [each for page in pages for each in page["StackResourceSummaries"]]
    except ClientError as error:
        raise StackError(_message(error)) from error
    return sorted(
        f"{each['LogicalResourceId']} ({each['ResourceType']}): {LEFT_OUT[each['ResourceType']]}"
        for each in resources
        if each["ResourceType"] in LEFT_OUT
    )


def package(folder: Path) -> bytes:
    """A Lambda package with one Python package in it. The same files always make the same bytes.

    Raises StackError when there is no such folder.
    """
    if not folder.is_dir():
        raise StackError(f"{folder} is missing: it holds the functions' code and belongs beside the template")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                entry = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix())  # dated 1980, always
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read(template: Path) -> Template:
    """A template file, with `!Ref` and its like in their long form. Raises StackError."""
    try:
        return parse(template.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, TemplateError) as error:
        raise StackError(f"{template} cannot be read: {error}") from error


def _upload(s3: Any, content: bytes, kind: str) -> str:
    """Its key in the bucket, which is its content's hash: the same code is no change for CloudFormation."""
    key = f"{hashlib.sha256(content).hexdigest()}.{kind}"
    s3.put_object(Bucket=PACKAGES, Key=key, Body=content)
    return key


def _create_or_update(cloudformation: Any, request: Mapping[str, Any]) -> dict[str, str]:
    """The stack's outputs, once it is what it is to be."""
    name = request["StackName"]
    exists = _describe(cloudformation, name) is not None
    problem = f"the stack {name} cannot be {'updated' if exists else 'created'}"
    try:
        (cloudformation.update_stack if exists else cloudformation.create_stack)(**request)
    except ClientError as error:
        if not exists or "No updates are to be performed" not in _message(error):
            raise StackError(f"{problem}: {_message(error)}") from error
    stack = _describe(cloudformation, name) or {}
    if stack.get("StackStatus") not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        why = _failure(cloudformation, name)
        if not exists:
            cloudformation.delete_stack(StackName=name)  # nothing else can be done with it any more
        raise StackError(f"{problem}: {why}")
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _describe(cloudformation: Any, name: str) -> Mapping[str, Any] | None:
    """None when there is no such stack."""
    try:
        [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in _message(error):
            return None
        raise StackError(_message(error)) from error
    found: Mapping[str, Any] = stack
    return found


def _failure(cloudformation: Any, name: str) -> str:
    """What failed first in a stack's last creation or update. A stack's events come newest first."""
    why = "its events do not say why"
    for event in cloudformation.describe_stack_events(StackName=name)["StackEvents"]:
        status, of = event["ResourceStatus"], f"{event['LogicalResourceId']} ({event['ResourceType']})"
        if event["PhysicalResourceId"] == event["StackId"] and status in {
            "CREATE_IN_PROGRESS",
            "UPDATE_IN_PROGRESS",
        }:
            break
        if "ResourceStatusReason" in event:
            why = f"{of}: {event['ResourceStatusReason']}"
    return why


def _message(error: ClientError) -> str:
    return str(error.response["Error"].get("Message", error))
