"""template.yaml: what it grants, to whom, and that nothing in it is left to chance."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cfnlint.api  # type: ignore[import-untyped]  # it has no types
import pytest
from moto.events.models import EventPattern

from deployer import placeholder, settings
from sandbox.cloudformation import stack

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
SERVICE = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${ServiceName}"
LOGS = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/lambda/${ServiceName}"
FUNCTION_TYPES = {"AWS::Lambda::Function", "AWS::Serverless::Function"}

GRANTED = {
    "ServiceRole": {f"{LOGS}:*": {"logs:CreateLogStream", "logs:PutLogEvents"}},
    "DeployerRole": {
        SERVICE: {
            "lambda:GetFunction",
            "lambda:GetAlias",
            "lambda:UpdateFunctionCode",
            "lambda:PublishVersion",
            "lambda:UpdateAlias",
        },
        f"{SERVICE}:*": {"lambda:GetFunction", "lambda:GetAlias", "lambda:InvokeFunction"},
        f"{SERVICE}:live": {"lambda:UpdateAlias"},
        "Repository.Arn": {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:DescribeImages"},
        "Ledger.Arn": {
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
            "dynamodb:ConditionCheckItem",
        },
        "Topic": {"sns:Publish"},
        "DeadLetters.Arn": {"sqs:SendMessage"},
        f"{LOGS}-deployer:*": {"logs:CreateLogStream", "logs:PutLogEvents"},
        "*": {"xray:PutTraceSegments", "xray:PutTelemetryRecords"},
    },
    "PlaceholderRole": {
        "Repository.Arn": {
            "ecr:InitiateLayerUpload",
            "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload",
            "ecr:PutImage",
        },
        f"{LOGS}-placeholder:*": {"logs:CreateLogStream", "logs:PutLogEvents"},
    },
}
"""Everything that the stack's roles may do: role -> resource -> actions. A new grant is a change here too."""


@cache
def template() -> dict[str, Any]:
    read: dict[str, Any] = stack.read(TEMPLATE)
    return read


def resources(*types: str) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in template()["Resources"].items() if each["Type"] in types}


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = template()["Resources"][name]["Properties"]
    return found


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def named(value: Any) -> str:
    """A resource in a policy, as short as it can be told from all others."""
    match value:
        case str():
            return value
        case {"Fn::Sub": str(text)}:
            return text
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Ref": str(name)}:
            return name
    raise AssertionError(f"not a resource: {value}")


def statements(role: str) -> Iterator[Mapping[str, Any]]:
    for policy in properties(role)["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def test_cfn_lint_has_nothing_to_say() -> None:
    assert cfnlint.api.lint_file(TEMPLATE) == []


# Parameters

KEY = {"GeminiApiKey": "no-real-key"}  # the one that has no default


def test_every_parameter_is_described_and_bounded() -> None:
    for name, parameter in template()["Parameters"].items():
        assert len(parameter["Description"]) > 20, name
        assert parameter.keys() & {"AllowedValues", "AllowedPattern", "MaxLength"}, name


def test_every_parameter_is_used() -> None:  # cfn-lint does not look where SAM transforms
    used = json.dumps([template()[section] for section in ("Conditions", "Resources", "Outputs")])

    for name in template()["Parameters"]:
        assert f'{{"Ref": "{name}"}}' in used or f"${{{name}}}" in used, name


def test_every_default_is_within_its_own_bounds() -> None:
    assert set(stack.parameter_values(template(), KEY)) == set(template()["Parameters"])


def test_secrets_are_not_echoed_and_have_no_default() -> None:
    for name in ("DatabaseUrl", "GeminiApiKey"):
        assert template()["Parameters"][name]["NoEcho"] is True
        assert not template()["Parameters"][name].get("Default")


def test_the_placeholders_tag_cannot_be_the_release_tag() -> None:
    with pytest.raises(stack.StackError, match="ReleaseTag"):
        stack.parameter_values(template(), {**KEY, "ReleaseTag": placeholder.TAG})
    assert (
        stack.parameter_values(template(), {**KEY, "ReleaseTag": "placeholder-2"})["ReleaseTag"]
        == "placeholder-2"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ServiceName", "has space"),
        ("ServiceName", "x" * 51),
        ("RepositoryName", "Upper"),
        ("RepositoryName", "a//b"),
        ("ReleaseTag", "-first"),
        ("CorsAllowOrigin", "https://app.example.com/"),
        ("CorsAllowOrigin", "app.example.com"),
        ("Checks", "{}"),
        ("Email", "nobody"),
    ],
)
def test_values_aws_would_choke_on_later_are_refused_at_once(name: str, value: str) -> None:
    with pytest.raises(stack.StackError, match=name):
        stack.parameter_values(template(), {**KEY, name: value})


# Permissions


@pytest.mark.parametrize("role", sorted(GRANTED))
def test_a_role_may_do_exactly_this(role: str) -> None:
    granted: dict[str, set[str]] = {}
    for statement in statements(role):
        assert statement["Effect"] == "Allow"
        for resource in as_list(statement["Resource"]):
            granted.setdefault(named(resource), set()).update(as_list(statement["Action"]))

    assert granted == GRANTED[role]


def test_there_are_no_other_roles_and_no_other_policies() -> None:
    assert set(resources("AWS::IAM::Role")) == set(GRANTED)
    assert resources("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy") == {}
    for name, function in resources(*FUNCTION_TYPES).items():
        # SAM would make a role of its own for a function without one, and add its own grants to it.
        assert named(function["Properties"]["Role"]).removesuffix(".Arn") in GRANTED, name
        assert "Policies" not in function["Properties"]
    for role in GRANTED:
        assert "ManagedPolicyArns" not in properties(role)


def test_nothing_but_x_ray_is_granted_on_everything() -> None:
    for role in GRANTED:
        for statement in statements(role):
            wide = "*" in as_list(statement["Resource"])
            assert not wide or all(action.startswith("xray:") for action in statement["Action"])
            assert all("*" not in action for action in as_list(statement["Action"]))


def test_every_grant_is_explained_in_place() -> None:
    grant = re.compile(r"^\s+- (ecr|lambda|dynamodb|sns|sqs|logs|xray):\w+(?P<rest>.*)$", re.MULTILINE)
    grants = list(grant.finditer(TEMPLATE.read_text(encoding="utf-8")))

    assert len(grants) > 20
    assert [found[0].strip() for found in grants if not re.match(r" # .{8,}", found["rest"])] == []


def test_only_this_services_function_may_be_given_the_images() -> None:
    [statement] = properties("Repository")["RepositoryPolicyText"]["Statement"]

    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert set(statement["Action"]) == {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
    [(_, sources)] = statement["Condition"]["StringLike"].items()
    assert [named(source) for source in sources] == [SERVICE, f"{SERVICE}:*"]


def test_only_the_two_rules_may_start_the_deployer() -> None:
    permissions = [each["Properties"] for each in resources("AWS::Lambda::Permission").values()]

    assert [named(each["SourceArn"]) for each in permissions] == ["PushRule.Arn", "SweepSchedule.Arn"]
    assert {each["Principal"] for each in permissions} == {"events.amazonaws.com"}
    assert {named(each["FunctionName"]) for each in permissions} == {"Deployer"}


def test_only_the_push_rule_may_write_dead_letters() -> None:
    [statement] = properties("DeadLettersPolicy")["PolicyDocument"]["Statement"]

    assert statement["Action"] == "sqs:SendMessage"
    assert named(statement["Resource"]) == "DeadLetters.Arn"
    assert named(statement["Condition"]["ArnEquals"]["aws:SourceArn"]) == "PushRule.Arn"


# Functions


def test_every_function_writes_to_a_log_group_of_its_own_that_forgets() -> None:
    groups = {
        name: named(function["Properties"]["LoggingConfig"]["LogGroup"])
        for name, function in resources(*FUNCTION_TYPES).items()
    }

    assert sorted(groups.values()) == sorted(resources("AWS::Logs::LogGroup"))
    for name, group in groups.items():
        function = named(properties(name)["FunctionName"]).replace("${ServiceName}", "ServiceName")
        log_group = named(properties(group)["LogGroupName"]).replace("${ServiceName}", "ServiceName")
        assert log_group == f"/aws/lambda/{function}"
        assert properties(group)["RetentionInDays"] <= 365


def test_no_function_reserves_concurrency_because_new_accounts_have_none_to_spare() -> None:
    for function in resources(*FUNCTION_TYPES).values():
        assert "ReservedConcurrentExecutions" not in function["Properties"]


def test_the_deployers_environment_is_what_its_settings_read() -> None:
    values = stack.parameter_values(template(), KEY)
    registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    attributes = {
        "Repository.RepositoryUri": f"{registry}/{values['RepositoryName']}",
        "PlaceholderImage.Digest": placeholder.image("x86_64").digest,
        "Ledger": "shuking-Ledger-1",
        "Topic": "arn:aws:sns:eu-west-1:123456789012:shuking-Topic-1",
        "${ServiceName}-deployer": f"{values['ServiceName']}-deployer",
    }
    variables = properties("Deployer")["Environment"]["Variables"]
    environment = {
        name: value if isinstance(value, str) else {**values, **attributes}[named(value)]
        for name, value in variables.items()
    }

    read = settings.read(environment)

    assert (read.function_name, read.repository) == (values["ServiceName"], values["RepositoryName"])
    assert read.release_tag == values["ReleaseTag"]
    assert read.placeholder_digest == placeholder.image("x86_64").digest
    assert len(read.checks) == len(json.loads(values["Checks"]))


def test_nothing_in_the_template_can_move_live() -> None:
    alias, version = properties("LiveAlias"), properties("ServiceVersion")

    # CloudFormation moves an alias when its properties change; these cannot, once the stack is there.
    assert alias["FunctionVersion"] == {"Fn::GetAtt": ["ServiceVersion", "Version"]}
    assert version == {"FunctionName": {"Ref": "ServiceFunction"}}
    assert not {"RoutingConfig", "ProvisionedConcurrencyConfig"} & alias.keys()
    for function in resources(*FUNCTION_TYPES).values():
        assert "AutoPublishAlias" not in function["Properties"]


def test_the_services_code_in_the_template_is_the_placeholder_for_ever() -> None:
    assert properties("ServiceFunction")["Code"] == {
        "ImageUri": {"Fn::GetAtt": ["PlaceholderImage", "ImageUri"]}
    }


# What starts a deployment, and what is kept


def push(**detail: str) -> Any:
    event = json.loads((ROOT / "tests/events/eventbridge/push.json").read_text())
    event["detail"].update(detail)
    return event


def test_only_a_push_of_the_release_tag_to_the_repository_starts_a_deployment() -> None:
    pattern = json.loads(
        json.dumps(properties("PushRule")["EventPattern"])
        .replace('{"Ref": "RepositoryName"}', '"shuking-lambda"')
        .replace('{"Ref": "ReleaseTag"}', '"latest"')
    )
    rule = EventPattern.load(json.dumps(pattern))
    ours = {"repository-name": "shuking-lambda", "image-tag": "latest"}

    assert rule.matches_event(push(**ours))
    for other in (
        {"image-tag": "placeholder"},
        {"image-tag": ""},
        {"repository-name": "other"},
        {"action-type": "DELETE"},
        {"result": "FAILURE"},
    ):
        assert not rule.matches_event(push(**{**ours, **other})), other


def test_a_push_is_retried_for_a_day_and_then_kept() -> None:
    [target] = properties("PushRule")["Targets"]

    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400}
    assert named(target["DeadLetterConfig"]["Arn"]) == "DeadLetters.Arn"
    assert named(properties("DeployerRetries")["DestinationConfig"]["OnFailure"]["Destination"]) == (
        "DeadLetters.Arn"
    )
    assert properties("DeadLetters")["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert properties("DeadLetters")["SqsManagedSseEnabled"] is True


def test_the_ledger_outlives_the_stack_and_can_be_restored() -> None:
    ledger = template()["Resources"]["Ledger"]

    assert ledger["DeletionPolicy"] == ledger["UpdateReplacePolicy"] == "Retain"
    assert properties("Ledger")["BillingMode"] == "PAY_PER_REQUEST"
    assert properties("Ledger")["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties("Ledger")["SSESpecification"] == {"SSEEnabled": True}
    assert properties("Ledger")["TimeToLiveSpecification"] == {
        "AttributeName": "expires_at",
        "Enabled": True,
    }
    assert [(key["AttributeName"], key["KeyType"]) for key in properties("Ledger")["KeySchema"]] == [
        ("pk", "HASH"),
        ("sk", "RANGE"),
    ]


def test_each_check_of_checkov_that_is_skipped_has_its_reason() -> None:
    skipped = [
        (name, skip)
        for name, resource in template()["Resources"].items()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]

    assert skipped
    for name, skip in skipped:
        assert len(skip["comment"]) > 10, f"{name}: {skip}"


# The deployer's package


def pins(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """A requirements file's packages: version and hashes."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for block in re.split(r"\n(?=\S)", path.read_text(encoding="utf-8")):
        pinned = re.match(r"(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)", block)
        if pinned:
            hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
            found[pinned["name"]] = (pinned["version"], hashes)
    return found


def test_the_deployers_package_has_the_locked_versions() -> None:
    package, lock = pins(ROOT / "deployer/requirements.txt"), pins(ROOT / "requirements.lock")

    assert "aws-lambda-powertools" in package
    for name, (version, hashes) in package.items():
        assert version == lock[name][0], name
        assert hashes, name
        assert hashes <= lock[name][1], name


def test_the_deployers_package_leaves_to_the_runtime_what_the_runtime_has() -> None:
    provided = {"boto3", "botocore", "s3transfer", "urllib3", "jmespath", "python-dateutil", "six"}

    assert not provided & pins(ROOT / "deployer/requirements.txt").keys()
