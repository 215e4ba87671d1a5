"""A template as CloudFormation reads it: its parameters and rules, its `Transform`, its resources in order.

moto's CloudFormation does not see for itself which conditions changed, in which order resources have
to be updated, and what a changed parameter reaches. The template is prepared here so that it does.

What the template asks for and the sandbox keeps but does not do: traces (X-Ray), encryption at rest,
backups, the expiry of items, log lines and messages after days, and e-mail.
"""

from __future__ import annotations

import graphlib
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import yaml
from samtranslator.model.exceptions import (  # type: ignore[import-untyped]  # as its siblings below: no types
    InvalidDocumentException,
)
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from sandbox.account import REGION
from sandbox.cloudformation.resources import supported_types

Template = dict[str, Any]

# It warns of features that only AWS itself can switch.
logging.getLogger("samtranslator.feature_toggle").setLevel(logging.ERROR)

SERVERLESS = "AWS::Serverless-2016-10-31"

_IAM = {
    "AWS::IAM::AccessKey": None,
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Policy": None,
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::UserToGroupAddition": None,
}
"""What has to be acknowledged, and the property that gives it a name of one's own."""


class TemplateError(Exception):
    """CloudFormation would not take the template, or not with these parameters; the text says why."""


def parse(text: str) -> Template:
    """A template's text (YAML or JSON), with `!Ref` and its like in their long form. Raises TemplateError."""
    try:
        # By way of JSON, because CloudFormation knows no dates, and YAML takes a policy's Version for one.
        source = json.loads(json.dumps(yaml_parse(text), default=str))
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise TemplateError(f"the template cannot be read: {error}") from error
    if not isinstance(source, dict) or not isinstance(source.get("Resources"), dict):
        raise TemplateError("the template has no Resources")
    for name, resource in source["Resources"].items():
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise TemplateError(f"the resource {name} has no Type")
    return source


def parameter_values(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """The value of each of the template's parameters, each within its bounds, which moto does not check.

    Raises TemplateError; a NoEcho parameter's value is not in its text.
    """
    declared: dict[str, Mapping[str, Any]] = template.get("Parameters", {})
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise TemplateError(
            f"no such parameter: {', '.join(unknown)}. The template has: {', '.join(sorted(declared))}"
        )
    values = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.get("Default"))
        if value is None:
            raise TemplateError(f"the parameter {name} has no default, so it must be given")
        values[name] = str(value)
        problem = _violation(declaration, values[name])
        if problem:
            shown = "its value" if _is_true(declaration.get("NoEcho")) else f"{values[name]!r:.200}"
            hint = declaration.get("ConstraintDescription") or problem
            raise TemplateError(f"the parameter {name} cannot be {shown}: {hint}")
    return values


def transform(source: Template, values: Mapping[str, str]) -> Template:
    """What the template's `Transform` makes of it, with AWS's own translator. Raises TemplateError."""
    declared = source.get("Transform", [])
    if declared in ([], {}):
        return source
    if declared not in (SERVERLESS, [SERVERLESS]):
        raise TemplateError(f"the sandbox knows no Transform but {SERVERLESS}, and this is {declared}")
    translator = Translator(None, Parser(), boto_session=boto3.Session(region_name=REGION))
    try:
        translated: Template = translator.translate(
            source, parameter_values=dict(values), get_managed_policy_map=dict
        )
        translator.metrics.publish()  # to nobody; it complains otherwise
    except InvalidDocumentException as error:
        raise TemplateError(
            f"AWS SAM refuses the template: {'; '.join(cause.message for cause in error.causes)}"
        ) from error
    return translated


def needed_capabilities(template: Template) -> set[str]:
    """What somebody has to acknowledge to have a stack of a (transformed) template, for its IAM resources.

    Any one of them is enough (API Reference, CreateStack, "Capabilities").
    """
    resources = [each for each in template["Resources"].values() if each["Type"] in _IAM]
    if any(_IAM[each["Type"]] in each.get("Properties", {}) for each in resources):
        return {"CAPABILITY_NAMED_IAM"}
    return {"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"} if resources else set()


def prepare(template: Template, values: Mapping[str, str]) -> Template:
    """A CloudFormation template as moto needs it. `values` has a value for every parameter.

    Only the resources whose condition holds, dependencies first, each with a fingerprint of what
    reaches it: parameters, conditions, and the resources it refers to. Where the fingerprint changes,
    moto sees that the resource has to be updated.
    Raises TemplateError for resource types that a stack in the sandbox cannot have, for circles, and for
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
        raise TemplateError(f"a rule may not use the condition {name}: rules know parameters only")

    for name, rule in rules.items():
        where = f"rule {name}"
        if "RuleCondition" in rule and not _evaluate(rule["RuleCondition"], values, where, no_condition):
            continue
        for assertion in rule["Assertions"]:
            if not _evaluate(assertion["Assert"], values, where, no_condition):
                raise TemplateError(assertion.get("AssertDescription") or f"the {where} does not hold")


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
                raise TemplateError(f"the sandbox cannot evaluate the {where}: {json.dumps(part)}")

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
        raise TemplateError(f"DependsOn names {', '.join(unknown)}, which the template does not have")
    return {**resource, "DependsOn": [name for name in names if _exists(declared[name], conditions)]}


def _dependencies_first(resources: Mapping[str, Any]) -> list[str]:
    graph = {name: sorted(_references(resource) & set(resources)) for name, resource in resources.items()}
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        raise TemplateError(f"resources refer to each other in a circle: {circle}") from error


def _require_supported(resources: Mapping[str, Mapping[str, Any]]) -> None:
    unsupported = sorted(
        f"{name} ({resource['Type']})"
        for name, resource in resources.items()
        if resource["Type"] not in supported_types()
    )
    if unsupported:
        raise TemplateError(
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
