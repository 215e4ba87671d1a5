"""From template.yaml to a running stack: AWS's own SAM translation, then CloudFormation over HTTP.

moto's CloudFormation does not see for itself which conditions changed, in which order resources have
to be updated, and what a changed parameter reaches. The template is prepared here so that it does.

What the template asks for and the sandbox keeps but does not do: traces (X-Ray), encryption at rest,
backups, the expiry of items, log lines and messages after days, and e-mail.
"""

from __future__ import annotations

import graphlib
import hashlib
import io
import json
import logging
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.exceptions import ClientError
from samtranslator.model.exceptions import (  # type: ignore[import-untyped]  # as its siblings below: no types
    InvalidDocumentException,
)
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from sandbox.account import REGION
from sandbox.cloudformation.left_out import LEFT_OUT
from sandbox.cloudformation.resources import supported_types

Template = dict[str, Any]

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"
STACK_NAME = "shuking"
PACKAGES = "sandbox-packages"
"""The bucket that functions' packages are uploaded to."""

# It warns of features that only AWS itself can switch.
logging.getLogger("samtranslator.feature_toggle").setLevel(logging.ERROR)

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
    source = read(template)
    values = parameter_values(source, parameters or {})
    code = _upload(client("s3"), package(template.parent / "deployer"))
    body = json.dumps(prepare(_translate(source, values, code), values))
    cloudformation = client("cloudformation")
    _create_or_update(cloudformation, stack_name, body, values)
    [stack] = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


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


def parameter_values(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """The value of each of the template's parameters, each within its bounds, which moto does not check.

    Raises StackError; a NoEcho parameter's value is not in its text.
    """
    declared: dict[str, Mapping[str, Any]] = template.get("Parameters", {})
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise StackError(
            f"no such parameter: {', '.join(unknown)}. The template has: {', '.join(sorted(declared))}"
        )
    values = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.get("Default"))
        if value is None:
            raise StackError(f"the parameter {name} has no default, so it must be given")
        values[name] = str(value)
        problem = _violation(declaration, values[name])
        if problem:
            shown = "its value" if _is_true(declaration.get("NoEcho")) else f"{values[name]!r:.200}"
            hint = declaration.get("ConstraintDescription") or problem
            raise StackError(f"the parameter {name} cannot be {shown}: {hint}")
    return values


def prepare(template: Template, values: Mapping[str, str]) -> Template:
    """A CloudFormation template as moto needs it. `values` has a value for every parameter.

    Only the resources whose condition holds, dependencies first, each with a fingerprint of what
    reaches it: parameters, conditions, and the resources it refers to. Where the fingerprint changes,
    moto sees that the resource has to be updated.
    Raises StackError for resource types that a stack in the sandbox cannot have, for circles, and for
    values that one of the template's rules does not let pass.
    """
    _require_rules(template.get("Rules", {}), values)
    conditions = {name: _holds(template, name, values) for name in template.get("Conditions", {})}
    resources: dict[str, dict[str, Any]] = {
        name: _without_absent(resource, template["Resources"], conditions)
        for name, resource in template["Resources"].items()
        if _exists(resource, conditions)
    }
    _require_supported(resources)
    reaches: dict[str, Any] = {**values, **{f"Condition {name}": held for name, held in conditions.items()}}
    prepared = {}
    for name in _dependencies_first(resources):
        what = sorted((each, reaches[each]) for each in _references(resources[name]) if each in reaches)
        reaches[name] = hashlib.sha256(json.dumps([resources[name], what]).encode()).hexdigest()
        prepared[name] = {**resources[name], "Metadata": {"Fingerprint": reaches[name]}}
    return {**{name: part for name, part in template.items() if name != "Rules"}, "Resources": prepared}


def read(template: Path) -> Template:
    """A template file, with `!Ref` and its like in their long form. Raises StackError."""
    try:
        source = yaml_parse(template.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StackError(f"{template} cannot be read: {error}") from error
    if not isinstance(source, dict) or not isinstance(source.get("Resources"), dict):
        raise StackError(f"{template} has no Resources")
    return source


def _upload(s3: Any, code: bytes) -> dict[str, str]:
    """Where the package is. Its name is its content's hash: the same code is no change for CloudFormation."""
    key = f"{hashlib.sha256(code).hexdigest()}.zip"
    s3.create_bucket(Bucket=PACKAGES)
    s3.put_object(Bucket=PACKAGES, Key=key, Body=code)
    return {"Bucket": PACKAGES, "Key": key}


def _translate(source: Template, values: Mapping[str, str], code: Mapping[str, str]) -> Template:
    """What CloudFormation makes of the template's `Transform`."""
    for resource in source["Resources"].values():
        if resource["Type"] == _SERVERLESS_FUNCTION and "ImageUri" not in resource["Properties"]:
            resource["Properties"]["CodeUri"] = dict(code)
    translator = Translator(None, Parser(), boto_session=boto3.Session(region_name=REGION))
    try:
        translated: Template = translator.translate(
            source, parameter_values=dict(values), get_managed_policy_map=dict
        )
        translator.metrics.publish()  # to nobody; it complains otherwise
    except InvalidDocumentException as error:
        raise StackError(
            f"AWS SAM refuses the template: {'; '.join(cause.message for cause in error.causes)}"
        ) from error
    return translated


def _create_or_update(cloudformation: Any, stack_name: str, body: str, values: Mapping[str, str]) -> None:
    request = {
        "StackName": stack_name,
        "TemplateBody": body,
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
        "Capabilities": ["CAPABILITY_IAM"],
    }
    status = _status(cloudformation, stack_name)
    if status is None:
        try:
            cloudformation.create_stack(**request)
        except ClientError as error:
            # CloudFormation would roll back, and then let nothing happen to the stack but its deletion.
            with suppress(ClientError):
                cloudformation.delete_stack(StackName=stack_name)
            raise StackError(f"the stack {stack_name} cannot be created: {_message(error)}") from error
        return
    if not status.endswith("_COMPLETE"):
        raise StackError(f"the stack {stack_name} is {status} since something failed: start a new sandbox")
    try:
        cloudformation.update_stack(**request)
    except ClientError as error:
        if "No updates are to be performed" not in _message(error):
            raise StackError(f"the stack {stack_name} cannot be updated: {_message(error)}") from error


def _status(cloudformation: Any, stack_name: str) -> str | None:
    """None when there is no such stack."""
    try:
        [stack] = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        if "does not exist" in _message(error):
            return None
        raise StackError(_message(error)) from error
    return str(stack["StackStatus"])


def _message(error: ClientError) -> str:
    return str(error.response["Error"].get("Message", error))


def _violation(declaration: Mapping[str, Any], value: str) -> str | None:
    """What is wrong with a value, in the declaration's own terms."""
    allowed = [str(each) for each in declaration.get("AllowedValues", [])]
    pattern = declaration.get("AllowedPattern")
    if allowed and value not in allowed:
        return f"it must be one of {', '.join(allowed)}"
    if pattern is not None and not re.fullmatch(pattern, value):
        return f"it must match {pattern}"
    if declaration["Type"] == "Number":
        return _number_violation(declaration, value)
    least, most = int(declaration.get("MinLength", 0)), int(declaration.get("MaxLength", 4096))
    if not least <= len(value) <= most:
        return f"it must have {least} to {most} characters"
    return None


def _number_violation(declaration: Mapping[str, Any], value: str) -> str | None:
    try:
        number = float(value)
    except ValueError:
        return "it must be a number"
    least, most = declaration.get("MinValue"), declaration.get("MaxValue")
    if (least is not None and number < float(least)) or (most is not None and number > float(most)):
        return f"it must be a number from {least} to {most}"
    return None


def _holds(template: Template, name: str, values: Mapping[str, str]) -> bool:
    """Whether one of the template's conditions is true."""
    expression = template["Conditions"][name]
    return _evaluate(expression, values, f"condition {name}", lambda other: _holds(template, other, values))


def _require_rules(rules: Mapping[str, Any], values: Mapping[str, str]) -> None:
    """What CloudFormation asks of parameters before it touches anything (User Guide, "Rules section")."""

    def no_condition(name: str) -> bool:
        raise StackError(f"a rule may not use the condition {name}: rules know parameters only")

    for name, rule in rules.items():
        where = f"rule {name}"
        if "RuleCondition" in rule and not _evaluate(rule["RuleCondition"], values, where, no_condition):
            continue
        for assertion in rule["Assertions"]:
            if not _evaluate(assertion["Assert"], values, where, no_condition):
                raise StackError(assertion.get("AssertDescription") or f"the {where} does not hold")


def _evaluate(
    expression: Any, values: Mapping[str, str], where: str, condition: Callable[[str], bool]
) -> bool:
    """Whether a condition's or a rule's expression is true; `condition` knows those of the template."""

    def evaluate(part: Any) -> Any:
        match part:
            case str():
                return part
            case {"Ref": str(parameter)} if parameter in values:
                return values[parameter]
            case {"Condition": str(other)}:
                return condition(other)
            case {"Fn::Equals": [left, right]}:
                return evaluate(left) == evaluate(right)
            case {"Fn::Not": [negated]}:
                return not evaluate(negated)
            case {"Fn::And": list(all_of)}:
                return all(map(evaluate, all_of))
            case {"Fn::Or": list(any_of)}:
                return any(map(evaluate, any_of))
            case _:
                raise StackError(f"the sandbox cannot evaluate the {where}: {json.dumps(part)}")

    return bool(evaluate(expression))


def _exists(resource: Mapping[str, Any], conditions: Mapping[str, bool]) -> bool:
    return conditions.get(resource.get("Condition", ""), True)


def _without_absent(
    resource: Mapping[str, Any], declared: Mapping[str, Any], conditions: Mapping[str, bool]
) -> dict[str, Any]:
    """A resource that waits for nothing that its condition has left out. CloudFormation ignores that, too."""
    if "DependsOn" not in resource:
        return dict(resource)
    given = resource["DependsOn"]
    names = [given] if isinstance(given, str) else given
    unknown = [name for name in names if name not in declared]
    if unknown:
        raise StackError(f"DependsOn names {', '.join(unknown)}, which the template does not have")
    return {**resource, "DependsOn": [name for name in names if _exists(declared[name], conditions)]}


def _dependencies_first(resources: Mapping[str, Any]) -> list[str]:
    graph = {name: sorted(_references(resource) & set(resources)) for name, resource in resources.items()}
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        raise StackError(f"resources refer to each other in a circle: {circle}") from error


def _require_supported(resources: Mapping[str, Mapping[str, Any]]) -> None:
    unsupported = sorted(
        f"{name} ({resource['Type']})"
        for name, resource in resources.items()
        if resource["Type"] not in supported_types()
    )
    if unsupported:
        raise StackError(
            f"the sandbox does not have {', '.join(unsupported)}. "
            "sandbox/cloudformation/resources.py says how to add"
        )


def _references(value: Any) -> set[str]:
    """The logical ids, parameters and (as "Condition X") conditions that a part of a template refers to."""
    return set(_each_reference(value))


def _each_reference(value: Any) -> Iterator[str]:
    match value:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::Sub": str(text)}:
            yield from _names_in(text)
        case {"Fn::Sub": [str(text), dict(local)]}:
            yield from _names_in(text) - set(local)
            yield from _each_reference(local)
        case {"Fn::If": [str(condition), *branches]}:
            yield f"Condition {condition}"
            yield from _each_reference(branches)
        case dict():
            depends_on = value.get("DependsOn", [])
            yield from [depends_on] if isinstance(depends_on, str) else depends_on
            for each in value.values():
                yield from _each_reference(each)
        case list():
            for each in value:
                yield from _each_reference(each)


def _names_in(text: str) -> set[str]:
    """`${Name}` and `${Name.Attribute}`, but not the literal `${!Name}`."""
    return set(re.findall(r"\$\{([A-Za-z0-9:]+)[^}]*\}", text))


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"
