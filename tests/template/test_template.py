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
from deployer.announcement import SOURCE
from sandbox.cloudformation import stack
from sandbox.cloudformation.template import TemplateError, parameter_values

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
SERVICE = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${ServiceName}"
LOGS = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/lambda/${ServiceName}"
FUNCTION_TYPES = {"AWS::Lambda::Function", "AWS::Serverless::Function"}


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


def roles() -> list[str]:
    return sorted(resources("AWS::IAM::Role"))


def statements() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every statement that grants somebody something: of the roles, and of the policies for people."""
    for name, role in resources("AWS::IAM::Role").items():
        for policy in role["Properties"].get("Policies", []):
            yield from ((name, each) for each in policy["PolicyDocument"]["Statement"])
    for name, policy in resources("AWS::IAM::ManagedPolicy").items():
        yield from ((name, each) for each in policy["Properties"]["PolicyDocument"]["Statement"])


def test_cfn_lint_has_nothing_to_say() -> None:
    assert cfnlint.api.lint_file(TEMPLATE) == []


# Parameters

KEY = {"GeminiApiKey": "no-real-key"}  # the one that has no default


def test_every_parameter_is_described_and_bounded() -> None:
    for name, parameter in template()["Parameters"].items():
        assert len(parameter["Description"]) > 20, name
        assert parameter.keys() & {"AllowedValues", "AllowedPattern", "MaxLength", "MaxValue"}, name


def test_every_parameter_is_used() -> None:  # cfn-lint does not look where SAM transforms
    used = json.dumps([template()[section] for section in ("Conditions", "Resources", "Outputs")])

    for name in template()["Parameters"]:
        assert f'{{"Ref": "{name}"}}' in used or f"${{{name}}}" in used, name


def test_every_default_is_within_its_own_bounds() -> None:
    assert set(parameter_values(template(), KEY)) == set(template()["Parameters"])


def test_secrets_are_not_echoed_and_have_no_default() -> None:
    for name in ("DatabaseUrl", "GeminiApiKey"):
        assert template()["Parameters"][name]["NoEcho"] is True
        assert template()["Parameters"][name].get("Default") in (None, "none")


def test_the_placeholders_tag_cannot_be_the_release_tag() -> None:
    with pytest.raises(TemplateError, match="ReleaseTag"):
        parameter_values(template(), {**KEY, "ReleaseTag": placeholder.TAG})
    assert (
        parameter_values(template(), {**KEY, "ReleaseTag": "placeholder-2"})["ReleaseTag"] == "placeholder-2"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ServiceName", "has space"),
        ("ServiceName", "x" * 51),
        ("RepositoryName", "Upper"),
        ("RepositoryName", "a//b"),
        ("ReleaseTag", "-first"),
        ("ReleaseTag", "live"),
        ("ReleaseTag", "previous"),
        ("ReleaseTag", "buildcache"),
        ("ReleaseTag", "git-3f2a91"),
        ("MemorySize", "64"),
        ("Timeout", "900"),
        ("LogRetentionDays", "2"),
        ("ConnectionArn", "arn:aws:codeconnections:us-east-1:1:connection/x"),
        ("SourceRepository", "git@github.com:owner/name"),
        ("GitHubRepository", "https://github.com/owner/name"),
        ("GitHubRepository", "owner@1*/name"),
        ("CorsAllowOrigin", "https://app.example.com/"),
        ("CorsAllowOrigin", "app.example.com"),
        ("Checks", "{}"),
        ("Email", "nobody"),
    ],
)
def test_values_aws_would_choke_on_later_are_refused_at_once(name: str, value: str) -> None:
    with pytest.raises(TemplateError, match=name):
        parameter_values(template(), {**KEY, name: value})


# Permissions


def test_every_grant_is_an_allowance_with_a_name_of_its_own_and_actions_written_out() -> None:
    named_so = [(owner, each["Sid"]) for owner, each in statements()]

    assert len(named_so) > 30
    assert len(set(named_so)) == len(named_so)
    for owner, each in statements():
        assert each["Effect"] == "Allow", (owner, each["Sid"])
        assert not each.keys() & {"NotAction", "NotResource", "Principal", "NotPrincipal"}, (
            owner,
            each["Sid"],
        )
        assert all("*" not in action for action in as_list(each["Action"])), (owner, each["Sid"])


def test_what_is_granted_on_everything_is_what_aws_knows_no_narrower_resource_for() -> None:
    """Service Authorization Reference: these take no resource, or (DescribeAlarms) list all of them."""
    wide = {
        action
        for _, each in statements()
        if "*" in as_list(each["Resource"])
        for action in as_list(each["Action"])
    }

    assert wide == {
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
        "ecr:GetAuthorizationToken",
        "cloudwatch:GetMetricData",
        "cloudwatch:DescribeAlarms",
    }


def test_a_grant_on_everything_says_why_in_place() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")

    for line in text.splitlines():
        if 'Resource: "*"' in line:
            assert "# AWS offers nothing narrower" in line, line


def test_every_other_grant_is_on_something_of_this_stack() -> None:
    for owner, each in statements():
        for resource in as_list(each["Resource"]):
            if resource == "*":
                continue
            told = named(resource)
            if told.endswith(":event-bus/default"):
                continue  # the account's, and every entry's source is ours; see below
            of_the_stack = told.split(".")[0] in {*template()["Resources"], "ConnectionArn"}
            ours = "${ServiceName}" in told or "stack/${AWS::StackName}/" in told
            assert of_the_stack or ours, (owner, each["Sid"], told)
            assert told.count("*") <= 1, (owner, each["Sid"], told)
            assert not told.endswith("/*") or "stack/${AWS::StackName}/*" in told, (owner, each["Sid"], told)


def test_events_are_put_on_the_accounts_bus_in_the_deployers_name_only() -> None:
    [(owner, grant)] = [
        (owner, each) for owner, each in statements() if "events:PutEvents" in as_list(each["Action"])
    ]

    assert owner == "DeployerRole"
    assert grant["Condition"] == {"StringEquals": {"events:source": SOURCE}}
    assert as_list(grant["Action"]) == ["events:PutEvents"]


def test_functions_have_roles_of_their_own_and_no_policy_of_sams_making() -> None:
    given = [
        named(function["Properties"]["Role"]).removesuffix(".Arn")
        for function in resources(*FUNCTION_TYPES).values()
    ]

    assert len(set(given)) == len(given)
    assert set(given) <= set(roles())
    assert resources("AWS::IAM::Policy") == {}
    for name, function in resources(*FUNCTION_TYPES).items():
        assert not {"Policies", "Events"} & function["Properties"].keys(), name


def test_a_role_that_borrows_grants_borrows_the_stacks_own_or_api_gateways() -> None:
    borrowed = {
        role: [named(arn) for arn in properties(role)["ManagedPolicyArns"]]
        for role in roles()
        if "ManagedPolicyArns" in properties(role)
    }

    access_logs = "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
    assert borrowed == {
        "BuildRole": ["PusherPolicy"],
        "GitHubRole": ["PusherPolicy"],
        "ApiGatewayRole": [access_logs],
    }


def test_only_the_workflow_on_main_of_the_named_repository_is_let_in_from_github() -> None:
    [statement] = properties("GitHubRole")["AssumeRolePolicyDocument"]["Statement"]
    issuer = "token.actions.githubusercontent.com"

    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == {
        "StringEquals": {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": {"Fn::Sub": "repo:${GitHubRepository}:ref:refs/heads/main"},
        }
    }


def test_nobody_but_the_service_it_is_for_takes_a_role_on() -> None:
    principals = {
        role: [each["Principal"] for each in properties(role)["AssumeRolePolicyDocument"]["Statement"]]
        for role in roles()
        if role != "GitHubRole"
    }

    for role, [principal] in principals.items():
        [service] = principal.values()
        expected = {"BuildRole": "codebuild", "ApiGatewayRole": "apigateway"}.get(role, "lambda")
        assert service == f"{expected}.amazonaws.com", role


def test_the_viewer_may_not_see_what_shows_secrets() -> None:
    may = {
        action
        for owner, each in statements()
        if owner == "ViewerPolicy"
        for action in as_list(each["Action"])
    }

    # Each of these shows a function's environment.
    assert not may & {"lambda:GetFunction", "lambda:GetFunctionConfiguration", "lambda:ListFunctions"}


def test_who_only_looks_changes_nothing() -> None:
    writes = re.compile(r":(Put|Update|Create|Delete|Batch(Write|Delete)|Send|Publish|Set)")

    for owner in ("ViewerPolicy", "DashboardRole"):
        for _, each in (pair for pair in statements() if pair[0] == owner):
            if each["Sid"] not in ("WriteItsLog", "Trace"):
                assert not [action for action in as_list(each["Action"]) if writes.search(action)], each[
                    "Sid"
                ]


def test_every_grant_is_explained_in_place() -> None:
    grant = re.compile(r"^\s+- [a-z]+:[A-Z]\w+(?P<rest>.*)$", re.MULTILINE)
    grants = list(grant.finditer(TEMPLATE.read_text(encoding="utf-8")))

    assert len(grants) > 60
    assert [found[0].strip() for found in grants if not re.match(r" # .{8,}", found["rest"])] == []


def test_only_this_services_function_may_be_given_the_images() -> None:
    [statement] = properties("Repository")["RepositoryPolicyText"]["Statement"]

    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert set(statement["Action"]) == {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
    [(_, sources)] = statement["Condition"]["StringLike"].items()
    assert [named(source) for source in sources] == [SERVICE, f"{SERVICE}:*"]


def test_only_the_three_rules_may_start_the_deployer_and_only_the_api_invokes_live() -> None:
    permissions = [each["Properties"] for each in resources("AWS::Lambda::Permission").values()]
    let = {
        (each["Principal"], named(each["FunctionName"]), named(each["SourceArn"]).split(":")[-1])
        for each in permissions
    }

    assert let == {
        ("events.amazonaws.com", "Deployer", "PushRule.Arn"),
        ("events.amazonaws.com", "Deployer", "SweepSchedule.Arn"),
        ("events.amazonaws.com", "Deployer", "AlarmRule.Arn"),
        ("apigateway.amazonaws.com", "LiveAlias", "${Api}/*"),
    }


def test_only_the_rules_may_write_their_dead_letters() -> None:
    [statement] = properties("RuleDeadLettersPolicy")["PolicyDocument"]["Statement"]

    assert statement["Action"] == "sqs:SendMessage"
    assert named(statement["Resource"]) == "RuleDeadLetters.Arn"
    sources = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert [named(source) for source in sources] == ["PushRule.Arn", "AlarmRule.Arn"]


# Functions


def test_every_function_writes_to_a_log_group_of_its_own_that_forgets() -> None:
    groups = {
        name: named(function["Properties"]["LoggingConfig"]["LogGroup"])
        for name, function in resources(*FUNCTION_TYPES).items()
    }

    assert sorted([*groups.values(), "ApiLogs", "BuildLogs"]) == sorted(resources("AWS::Logs::LogGroup"))
    for name, group in groups.items():
        function = named(properties(name)["FunctionName"]).replace("${ServiceName}", "ServiceName")
        log_group = named(properties(group)["LogGroupName"]).replace("${ServiceName}", "ServiceName")
        assert log_group == f"/aws/lambda/{function}"


def test_every_log_forgets() -> None:
    for name, group in resources("AWS::Logs::LogGroup").items():
        days = group["Properties"]["RetentionInDays"]
        assert days == {"Ref": "LogRetentionDays"} or days <= 365, name


def test_the_functions_of_the_package_have_one_runtime_and_what_comes_with_it() -> None:
    package = resources("AWS::Serverless::Function")

    assert set(package) == {"Deployer", "DashboardFunction", "PlaceholderFunction"}
    assert {each["Properties"]["Runtime"] for each in package.values()} == {"python3.12"}
    for name, each in package.items():
        assert each["Metadata"]["BuildMethod"] == "makefile", name
        assert f"build-{name}" in (ROOT / "Makefile").read_text(), name
    assert properties("Deployer")["Tracing"] == properties("DashboardFunction")["Tracing"] == "Active"


def test_every_asynchronous_way_into_a_function_ends_in_a_queue_that_is_watched() -> None:
    rules = resources("AWS::Events::Rule").values()
    by_rules = {named(target["Arn"]) for rule in rules for target in rule["Properties"]["Targets"]}
    by_cloudformation = {
        named(each["Properties"]["ServiceToken"])
        for each in resources("AWS::CloudFormation::CustomResource").values()
    }
    kept = {
        f"{named(each['Properties']['FunctionName'])}.Arn": named(
            each["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]
        )
        for each in resources("AWS::Lambda::EventInvokeConfig").values()
    }
    watched = {
        named(dimension["Value"]).replace(".QueueName", ".Arn")
        for alarm in resources("AWS::CloudWatch::Alarm").values()
        for dimension in alarm["Properties"]["Dimensions"]
        if dimension["Name"] == "QueueName"
    }

    assert kept.keys() == by_rules | by_cloudformation
    assert set(kept.values()) <= watched
    for rule in rules:
        for target in rule["Properties"]["Targets"]:
            scheduled = "ScheduleExpression" in rule["Properties"]
            assert scheduled or named(target["DeadLetterConfig"]["Arn"]) in watched


def test_alarms_about_the_deployer_do_not_need_it_and_those_of_the_service_do() -> None:
    told_by_the_deployer = {
        named(arn).removesuffix(".Arn") for arn in properties("AlarmRule")["EventPattern"]["resources"]
    }

    for name, alarm in resources("AWS::CloudWatch::Alarm").items():
        actions = [named(action) for action in alarm["Properties"].get("AlarmActions", [])]
        assert actions == ([] if name in told_by_the_deployer else ["Topic"]), name
        assert "TreatMissingData" in alarm["Properties"], name


def test_an_alarm_about_dead_letters_names_the_command_that_lists_them() -> None:
    about_queues = [
        alarm["Properties"]
        for alarm in resources("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["Dimensions"][0]["Name"] == "QueueName"
    ]

    assert len(about_queues) == 2
    for alarm in about_queues:
        told = named(alarm["AlarmDescription"])
        assert told.endswith(": deployer --stack ${AWS::StackName} dead-letters")


def test_every_alarm_is_on_the_dashboard_which_is_json() -> None:
    body = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    shown = json.loads(re.sub(r"\$\{[^}]+\}", "x", body))

    assert {widget["type"] for widget in shown["widgets"]} == {"custom", "alarm", "metric"}
    for name in resources("AWS::CloudWatch::Alarm"):
        assert f"${{{name}.Arn}}" in body, name


def test_alarms_on_metrics_of_ours_name_metrics_that_the_deployer_counts() -> None:
    counts = (ROOT / "deployer/handler.py").read_text()

    ours = [
        each["Properties"]
        for each in resources("AWS::CloudWatch::Alarm").values()
        if each["Properties"]["Namespace"] == "SelfDeployingLambda"
    ]
    assert len(ours) == 3
    for alarm in ours:
        assert f'"{alarm["MetricName"]}"' in counts
        [dimension] = alarm["Dimensions"]
        assert dimension["Name"] == "service"
        variables = properties("Deployer")["Environment"]["Variables"]
        assert named(dimension["Value"]) == named(variables["POWERTOOLS_SERVICE_NAME"])


def test_no_function_reserves_concurrency_because_new_accounts_have_none_to_spare() -> None:
    for function in resources(*FUNCTION_TYPES).values():
        assert "ReservedConcurrentExecutions" not in function["Properties"]


class Watched(dict[str, str]):
    """An environment that remembers what was asked of it."""

    def __init__(self, *given: Any, **more: str) -> None:
        super().__init__(*given, **more)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


# Powertools reads these itself: its documentation, "Environment variables".
POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "LOG_LEVEL"}


def environment(function: str) -> Watched:
    """What a function's environment is when every parameter has its default."""
    values = parameter_values(template(), KEY)
    registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    attributes = {
        "Repository.RepositoryUri": f"{registry}/{values['RepositoryName']}",
        "PlaceholderImage.Digest": placeholder.image("x86_64").digest,
        "Ledger": "shuking-Ledger-1",
        "Deployer.Arn": f"arn:aws:lambda:eu-west-1:123456789012:function:{values['ServiceName']}-deployer",
        "Topic": "arn:aws:sns:eu-west-1:123456789012:shuking-Topic-1",
        "ChatTopic": "arn:aws:sns:eu-west-1:123456789012:shuking-ChatTopic-1",
        "${AWS::StackName}": "shuking",
        "${ServiceName}-deployer": f"{values['ServiceName']}-deployer",
        "${ServiceName}-dashboard": f"{values['ServiceName']}-dashboard",
    }
    variables = properties(function)["Environment"]["Variables"]
    return Watched(
        (name, value if isinstance(value, str) else {**values, **attributes}[named(value)])
        for name, value in variables.items()
    )


def test_each_variable_of_the_deployer_that_is_declared_is_read_and_each_that_is_read_is_declared() -> None:
    given = environment("Deployer")

    read = settings.read(given)

    assert given.asked == given.keys() - POWERTOOLS
    assert (read.function_name, read.repository) == (given["FUNCTION_NAME"], "shuking-lambda")
    assert read.release_tag == "latest"
    assert read.placeholder_digest == placeholder.image("x86_64").digest
    assert len(read.checks) == len(json.loads(given["CHECKS"]))


def test_each_variable_of_the_dashboard_that_is_declared_is_read_and_each_that_is_read_is_declared() -> None:
    given = environment("DashboardFunction")

    settings.read_dashboard(given)

    assert given.asked == given.keys() - POWERTOOLS


def test_the_service_is_told_what_its_code_reads() -> None:
    declared = properties("ServiceFunction")["Environment"]["Variables"].keys()
    code = "".join(path.read_text() for path in (ROOT / "service").rglob("*.py"))

    # REVISION comes with the image.
    assert declared | {"REVISION"} == set(
        re.findall(r"\b[A-Z]+_[A-Z_]+\b|\bENVIRONMENT\b|\bREVISION\b", code)
    ) & {
        *declared,
        "REVISION",
    }


def test_nothing_in_the_template_can_move_live() -> None:
    alias, version = properties("LiveAlias"), properties("ServiceVersion")

    # CloudFormation moves an alias when its properties change; these cannot, once the stack is there.
    assert alias["FunctionVersion"] == {"Fn::GetAtt": ["ServiceVersion", "Version"]}
    assert version == {"FunctionName": {"Ref": "ServiceFunction"}}
    assert not {"RoutingConfig", "ProvisionedConcurrencyConfig"} & alias.keys()
    for function in resources(*FUNCTION_TYPES).values():
        assert "AutoPublishAlias" not in function["Properties"]


def test_the_services_code_in_the_template_is_the_placeholder_for_ever() -> None:
    [uri] = properties("ServiceFunction")["Code"]["ImageUri"].values()

    assert uri.endswith("/${RepositoryName}@${PlaceholderImage.Digest}")


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
        {"image-tag": "live"},
        {"image-tag": "previous"},
        {"image-tag": ""},
        {"repository-name": "other"},
        {"action-type": "DELETE"},
        {"result": "FAILURE"},
    ):
        assert not rule.matches_event(push(**{**ours, **other})), other


def test_a_push_is_retried_for_a_day_and_then_kept() -> None:
    [target] = properties("PushRule")["Targets"]

    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400}
    assert named(target["DeadLetterConfig"]["Arn"]) == "RuleDeadLetters.Arn"
    for queue in resources("AWS::SQS::Queue").values():
        assert queue["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600
        assert queue["Properties"]["SqsManagedSseEnabled"] is True


def test_only_an_alarm_of_the_service_that_goes_red_starts_the_deployer() -> None:
    pattern = properties("AlarmRule")["EventPattern"]
    arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:shuking-prod-errors"
    rule = EventPattern.load(json.dumps({**pattern, "resources": [arn]}))
    rang: Any = json.loads((ROOT / "tests/events/eventbridge/alarm.json").read_text())

    def matches(**other: Any) -> bool:
        event: Any = {**rang, **other}
        return bool(rule.matches_event(event))

    assert matches()
    assert not matches(resources=[f"{arn}-of-others"])
    assert not matches(detail={**rang["detail"], "state": {"value": "OK"}})


def test_the_ledger_outlives_the_stack_and_can_be_restored() -> None:
    ledger = template()["Resources"]["Ledger"]

    assert ledger["DeletionPolicy"] == "RetainExceptOnCreate"
    assert ledger["UpdateReplacePolicy"] == "Retain"
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
