"""From a request with a template, SAM's too, to what a stack is to become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sandbox.account import AwsError
from sandbox.cloudformation.template import (
    Template,
    TemplateError,
    needed_capabilities,
    parameter_values,
    parse,
    prepare,
    transform,
)

LONGEST_BODY = 51_200
"""Bytes of a TemplateBody; a longer one has to come by TemplateURL (User Guide, "CloudFormation quotas")."""

Fetch = Callable[[str, str, "str | None"], bytes]
"""The object in a bucket, by its key and, unless that is None, its version. Raises AwsError."""

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class Asked:
    """A request's template, which can be read, and its parameters, which are within their bounds."""

    text: str
    source: Template
    values: Mapping[str, str]
    tags: Mapping[str, str]
    capabilities: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """What a stack is to become, or is: `prepared` is for moto, `text` is the template as it was given."""

    text: str
    prepared: Template
    values: Mapping[str, str]
    tags: Mapping[str, str]


def read_request(request: Mapping[str, Any], fetch: Fetch, before: Plan | None) -> Asked:
    """What a request asks for; `before` is what the stack is. Raises AwsError for what is out of bounds."""
    text = template_text(request, fetch, before)
    given = {}
    for each in request.get("Parameters", []):
        key = each["ParameterKey"]
        if not each.get("UsePreviousValue"):
            given[key] = each.get("ParameterValue", "")
        elif before is not None and key in before.values:
            given[key] = before.values[key]
        else:
            raise AwsError(
                "ValidationError",
                f"Invalid input for parameter key {key}. Cannot specify usePreviousValue as true for a "
                "parameter key not in the previous template",
            )
    try:
        source = parse(text)
        values = parameter_values(source, given)
    except TemplateError as error:
        raise AwsError("ValidationError", str(error)) from error
    # As on AWS, tags that are not given stay as they are.
    tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])} or (before.tags if before else {})
    return Asked(text, source, values, tags, frozenset(request.get("Capabilities", [])))


def make_plan(asked: Asked, *, reviewed: bool) -> Plan:
    """What the template comes to, with its `Transform`, rules and conditions.

    `reviewed`: by way of a change set, where nobody has to acknowledge that a transform adds resources.
    Raises AwsError.
    """
    expands = "Transform" in asked.source
    if expands and not reviewed and "CAPABILITY_AUTO_EXPAND" not in asked.capabilities:
        raise _insufficient("CAPABILITY_AUTO_EXPAND")
    try:
        transformed = transform(asked.source, asked.values)
        prepared = prepare(transformed, asked.values)
    except TemplateError as error:
        raise AwsError("ValidationError", str(error)) from error
    needed = needed_capabilities(transformed)
    if needed and not needed & asked.capabilities:
        raise _insufficient(min(needed))
    return Plan(asked.text, prepared, asked.values, asked.tags)


def _insufficient(capability: str) -> AwsError:
    return AwsError("InsufficientCapabilitiesException", f"Requires capabilities : [{capability}]")


def summary_of(text: str) -> dict[str, Any]:
    """What GetTemplateSummary says of a template. Raises AwsError."""
    try:
        source = parse(text)
    except TemplateError as error:
        raise AwsError("ValidationError", str(error)) from error
    told = {
        "Parameters": [_declared(name, each) for name, each in source.get("Parameters", {}).items()],
        "ResourceTypes": sorted({each["Type"] for each in source["Resources"].values()}),
        "Description": source.get("Description"),
        "Version": source.get("AWSTemplateFormatVersion"),
        "DeclaredTransforms": [source["Transform"]] if "Transform" in source else [],
    }
    return {name: value for name, value in told.items() if value is not None}


def _declared(name: str, declaration: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        "ParameterKey": name,
        "ParameterType": declaration["Type"],
        "NoEcho": str(declaration.get("NoEcho")).lower() == "true",
        "Description": declaration.get("Description"),
        "ParameterConstraints": {
            "AllowedValues": [str(each) for each in declaration.get("AllowedValues", [])]
        },
    }
    if "Default" in declaration:
        told["DefaultValue"] = str(declaration["Default"])
    return {key: value for key, value in told.items() if value is not None}


def template_text(request: Mapping[str, Any], fetch: Fetch, before: Plan | None) -> str:
    """The one template that a request gives, in whichever way. Raises AwsError."""
    body, url = request.get("TemplateBody"), request.get("TemplateURL")
    previous = bool(request.get("UsePreviousTemplate"))
    if sum((body is not None, url is not None, previous)) != 1:
        raise AwsError("ValidationError", "Give one of TemplateBody, TemplateURL and UsePreviousTemplate.")
    if url is not None:
        return _fetched(url, fetch)
    if previous:
        if before is None:
            raise AwsError("ValidationError", "There is no previous template.")
        return before.text
    if len(str(body).encode()) > LONGEST_BODY:
        raise AwsError(
            "ValidationError",
            "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: "
            f"Member must have length less than or equal to {LONGEST_BODY}",
        )
    return str(body)


def _fetched(url: str, fetch: Fetch) -> str:
    """The template at an address in S3, whose host the sandbox itself may be. Keys may be quoted."""
    parts = urlsplit(url)
    host, path = parts.hostname or "", unquote(parts.path).lstrip("/")
    in_path = host in _LOOPBACK or host.startswith(("s3.", "s3-"))
    bucket, _, key = path.partition("/") if in_path else (host.partition(".s3")[0], "", path)
    if not bucket or not key or not (in_path or host.endswith(".amazonaws.com")):
        raise AwsError("ValidationError", "TemplateURL must be a supported URL.")
    try:
        content = fetch(bucket, key, parse_qs(parts.query).get("versionId", [None])[0])
    except AwsError as error:
        raise AwsError("ValidationError", f"S3 error: {error.message}") from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise AwsError("ValidationError", f"the template at {url} is no text in UTF-8") from error
