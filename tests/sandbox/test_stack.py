"""Stacks in the sandbox: template.yaml as it is, and what CloudFormation does with changes and failures."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from deployer import placeholder
from sandbox.cloudformation import stack
from sandbox.cloudformation.template import TemplateError, parameter_values, prepare
from sandbox.server import Sandbox

Aws = Callable[[str], Any]


class Stack:
    """template.yaml under names that nobody else uses."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.name = f"stack-{uuid.uuid4().hex[:10]}"
        self.outputs: dict[str, str] = {}

    def deploy(self, template: Path = stack.TEMPLATE, **parameters: str) -> dict[str, str]:
        names = {"ServiceName": self.name, "RepositoryName": self.name, "GeminiApiKey": "no-real-key"}
        self.outputs = stack.deploy(self.aws, template, {**names, **parameters}, self.name)
        return self.outputs

    def delete(self) -> None:
        client = self.aws("cloudformation")
        client.delete_stack(StackName=self.name)
        client.get_waiter("stack_delete_complete").wait(StackName=self.name)

    def function(self, qualifier: str = "$LATEST") -> Any:
        return self.aws("lambda").get_function(FunctionName=self.name, Qualifier=qualifier)

    def live(self) -> str:
        alias = self.aws("lambda").get_alias(FunctionName=self.name, Name="live")
        return str(alias["FunctionVersion"])

    def ids(self) -> dict[str, str]:
        summaries = self.aws("cloudformation").list_stack_resources(StackName=self.name)
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in summaries["StackResourceSummaries"]
        }


def push_another_manifest(mine: Stack) -> str:
    """Something that Lambda takes and that is not the placeholder. Gives its digest."""
    manifest = placeholder.image("x86_64").manifest.decode() + "\n"
    pushed = mine.aws("ecr").put_image(
        repositoryName=mine.name, imageManifest=manifest, imageManifestMediaType=placeholder.MANIFEST_TYPE
    )
    return str(pushed["image"]["imageId"]["imageDigest"])


@pytest.fixture
def mine(aws: Aws) -> Iterator[Stack]:
    created = Stack(aws)
    yield created
    if created.outputs:
        created.delete()


# template.yaml


def test_live_begins_on_a_version_of_the_placeholder(mine: Stack) -> None:
    outputs = mine.deploy()

    digest = placeholder.image("x86_64").digest
    assert mine.live() == "1"
    assert mine.function("live")["Code"]["ResolvedImageUri"] == f"{outputs['RepositoryUri']}@{digest}"
    deployer = mine.aws("lambda").get_function_configuration(FunctionName=outputs["DeployerName"])
    assert deployer["Environment"]["Variables"]["PLACEHOLDER_DIGEST"] == digest
    assert deployer["Environment"]["Variables"]["HOLD_AFTER_REVERTS"] == "3"  # a Number, and a text in Lambda


BUILDS = {
    "ConnectionArn": "arn:aws:codeconnections:us-east-1:123456789012:connection/"
    + "0" * 8
    + "-0000-0000-0000-"
    + "0" * 12,
    "SourceRepository": "https://github.com/owner/name",
    "GitHubRepository": "owner/name",
    "Email": "on-call@example.com",
}


def test_every_resource_of_the_template_is_there_or_on_the_list_of_what_is_left_out(mine: Stack) -> None:
    mine.deploy(stack.TEMPLATE, **BUILDS)

    declared = set(stack.read(stack.TEMPLATE)["Resources"])
    left_out = [line.partition(" ")[0] for line in stack.left_out(mine.aws, mine.name)]
    assert declared <= set(mine.ids())
    # What SAM adds is the API's deployment and stage.
    assert {name[:7] for name in set(mine.ids()) - declared} == {"ApiDepl", "ApiapiS"}
    assert sorted(left_out) == ["BuildProject", "BuildReports", "Dashboard"]


def test_what_was_not_asked_for_is_not_there(mine: Stack) -> None:
    mine.deploy()

    declared = set(stack.read(stack.TEMPLATE)["Resources"])
    assert declared - set(mine.ids()) == {
        "TopicEmail",
        "BuildProject",
        "BuildReports",
        "BuildLogs",
        "BuildRole",
        "GitHubRole",
    }


@pytest.mark.parametrize("alone", ["ConnectionArn", "SourceRepository"])
def test_a_connection_without_a_repository_or_the_other_way_round_is_refused(mine: Stack, alone: str) -> None:
    with pytest.raises(stack.StackError, match="Give both, or neither"):
        mine.deploy(stack.TEMPLATE, **{alone: BUILDS[alone]})


def test_deploying_again_with_nothing_changed_changes_nothing(mine: Stack) -> None:
    first, ids = mine.deploy(), mine.ids()
    revision = mine.function()["Configuration"]["RevisionId"]

    second = mine.deploy()

    assert second == first
    assert mine.ids() == ids
    assert mine.function()["Configuration"]["RevisionId"] == revision


def test_a_changed_parameter_reaches_what_uses_it_and_nothing_is_replaced(mine: Stack) -> None:
    mine.deploy()
    ids = mine.ids()

    outputs = mine.deploy(ReleaseTag="stable", CorsAllowOrigin="https://app.example.com")

    assert mine.ids() == ids
    rule = mine.aws("events").describe_rule(Name=ids["PushRule"])
    assert json.loads(rule["EventPattern"])["detail"]["image-tag"] == ["stable"]
    deployer = mine.aws("lambda").get_function_configuration(FunctionName=outputs["DeployerName"])
    assert deployer["Environment"]["Variables"]["RELEASE_TAG"] == "stable"
    service = mine.function()["Configuration"]
    assert service["Environment"]["Variables"]["CORS_ALLOW_ORIGIN"] == "https://app.example.com"
    repository = mine.aws("ecr").describe_repositories(repositoryNames=[mine.name])["repositories"][0]
    moving = {each["filter"] for each in repository["imageTagMutabilityExclusionFilters"]}
    assert moving == {"stable", "live", "previous", "buildcache"}


def test_an_update_leaves_live_and_the_code_where_a_deployment_put_them(mine: Stack) -> None:
    # given a release: another digest, published and live
    outputs = mine.deploy()
    digest = push_another_manifest(mine)
    client = mine.aws("lambda")
    client.update_function_code(FunctionName=mine.name, ImageUri=f"{outputs['RepositoryUri']}@{digest}")
    version = client.publish_version(FunctionName=mine.name)["Version"]
    client.update_alias(FunctionName=mine.name, Name="live", FunctionVersion=version)

    # when the function's configuration is changed in the template
    mine.deploy(Environment="staging")

    # then only that has changed
    assert mine.live() == version
    assert mine.function()["Code"]["ResolvedImageUri"].endswith(digest)
    assert mine.function()["Configuration"]["Environment"]["Variables"]["ENVIRONMENT"] == "staging"


def test_another_architecture_brings_its_placeholder(mine: Stack) -> None:
    mine.deploy()

    outputs = mine.deploy(Architecture="arm64")

    digest = placeholder.image("arm64").digest
    assert mine.function()["Configuration"]["Architectures"] == ["arm64"]
    assert mine.function()["Code"]["ResolvedImageUri"].endswith(digest)
    deployer = mine.aws("lambda").get_function_configuration(FunctionName=outputs["DeployerName"])
    assert deployer["Environment"]["Variables"]["PLACEHOLDER_DIGEST"] == digest


def test_a_subscription_comes_and_goes_with_its_parameter(mine: Stack) -> None:
    def endpoints() -> list[str]:
        topic = mine.outputs["TopicArn"]
        found = mine.aws("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        return [subscription["Endpoint"] for subscription in found]

    mine.deploy()
    before = endpoints()
    mine.deploy(Email="on-call@example.com")
    during = endpoints()
    mine.deploy()

    assert (before, during, endpoints()) == ([], ["on-call@example.com"], [])


def test_what_is_deleted_with_the_stack_is_all_but_what_is_kept_on_purpose(mine: Stack) -> None:
    outputs = mine.deploy()
    ids = mine.ids()
    release = push_another_manifest(mine)

    mine.delete()

    # kept: the history, the releases, and the account's way to write access logs
    assert outputs["LedgerName"] in mine.aws("dynamodb").list_tables()["TableNames"]
    images = mine.aws("ecr").list_images(repositoryName=mine.name)["imageIds"]
    assert [image["imageDigest"] for image in images] == [release]
    roles = {role["RoleName"] for role in mine.aws("iam").list_roles()["Roles"]}
    assert roles & set(ids.values()) == {ids["ApiGatewayRole"]}
    # gone: everything else
    functions = [each["FunctionName"] for each in mine.aws("lambda").list_functions()["Functions"]]
    assert not [name for name in functions if name.startswith(mine.name)]
    rules = {rule["Name"] for rule in mine.aws("events").list_rules()["Rules"]}
    assert not rules & set(ids.values())
    groups = [group["logGroupName"] for group in mine.aws("logs").describe_log_groups()["logGroups"]]
    assert not [name for name in groups if mine.name in name]
    topics = [topic["TopicArn"] for topic in mine.aws("sns").list_topics()["Topics"]]
    assert not [arn for arn in topics if arn in ids.values()]
    queues = mine.aws("sqs").list_queues().get("QueueUrls", [])
    assert not [url for url in queues if url in ids.values()]
    alarms = mine.aws("cloudwatch").describe_alarms(AlarmNamePrefix=f"{mine.name}-")["MetricAlarms"]
    assert alarms == []
    policies = {policy["Arn"] for policy in mine.aws("iam").list_policies(Scope="Local")["Policies"]}
    assert not policies & set(ids.values())


def test_a_stack_whose_creation_fails_leaves_nothing_in_the_way_of_the_next_try(
    mine: Stack, tmp_path: Path
) -> None:
    text = stack.TEMPLATE.read_text()
    alias = "FunctionVersion: !GetAtt ServiceVersion.Version"
    assert alias in text
    broken = tmp_path / "template.yaml"
    broken.write_text(text.replace(alias, 'FunctionVersion: "999"'))
    (tmp_path / "deployer").symlink_to(stack.TEMPLATE.parent / "deployer")

    with pytest.raises(stack.StackError, match="cannot be created"):
        mine.deploy(broken)

    assert mine.deploy()["RepositoryUri"]


def test_the_ledger_forgets_what_has_expired_and_can_be_restored(mine: Stack) -> None:
    table = mine.deploy()["LedgerName"]

    client = mine.aws("dynamodb")
    ttl = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    backups = client.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "expires_at")
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def copy_of_the_template(folder: Path, old: str, new: str) -> Path:
    """template.yaml with a change, and the deployer beside it, in a folder with a space in its name."""
    home = folder / "my project"
    home.mkdir()
    (home / "deployer").symlink_to(stack.TEMPLATE.parent / "deployer")
    text = stack.TEMPLATE.read_text(encoding="utf-8")
    assert old in text
    (home / "template.yaml").write_text(text.replace(old, new), encoding="utf-8")
    return home / "template.yaml"


def test_a_missing_grant_fails_the_stack_says_which_and_leaves_nothing_in_the_way(
    mine: Stack, tmp_path: Path
) -> None:
    # given a template in which the placeholder's function may not put its image
    template = copy_of_the_template(tmp_path, "- ecr:PutImage # the manifest", "- ecr:DescribeImages")

    # when it is deployed
    with pytest.raises(stack.StackError) as failure:
        mine.deploy(template)

    # then the error names resource and action, and the right template can be deployed afterwards
    assert "PlaceholderImage" in str(failure.value)
    assert "ecr:PutImage" in str(failure.value)
    assert mine.deploy()["ServiceFunctionName"] == mine.name


# Parameters and templates that cannot be deployed


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(TemplateError, match="no such parameter: ReleaseTags"):
        parameter_values({"Parameters": {"ReleaseTag": {}}}, {"ReleaseTags": "latest"})


def test_a_secret_out_of_bounds_is_not_shown() -> None:
    template = {"Parameters": {"Key": {"Type": "String", "NoEcho": True, "MaxLength": 3}}}

    with pytest.raises(TemplateError) as refusal:
        parameter_values(template, {"Key": "hunter2"})

    assert "hunter2" not in str(refusal.value)
    assert "0 to 3 characters" in str(refusal.value)


def test_a_parameter_without_default_has_to_be_given() -> None:
    with pytest.raises(TemplateError, match="Key has no default"):
        parameter_values({"Parameters": {"Key": {"Type": "String"}}}, {})


def test_a_type_the_sandbox_does_not_have_is_refused_by_name() -> None:
    template = {"Resources": {"Hall": {"Type": "AWS::QuantumHall::Effect"}}}

    with pytest.raises(TemplateError, match=r"Hall \(AWS::QuantumHall::Effect\)"):
        prepare(template, {})


def test_resources_that_need_each_other_are_refused() -> None:
    template = {
        "Resources": {
            "Hen": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Egg"}}},
            "Egg": {"Type": "AWS::SNS::Topic", "DependsOn": "Hen"},
        }
    }

    with pytest.raises(TemplateError, match="circle"):
        prepare(template, {})


def test_what_a_condition_left_out_is_nothing_to_wait_for() -> None:
    template = {
        "Parameters": {"Loud": {"Type": "String"}},
        "Conditions": {"IsLoud": {"Fn::Equals": [{"Ref": "Loud"}, "yes"]}},
        "Resources": {
            "Bell": {"Type": "AWS::SNS::Topic", "Condition": "IsLoud"},
            "Door": {"Type": "AWS::SNS::Topic", "DependsOn": ["Bell", "House"]},
            "House": {"Type": "AWS::SNS::Topic"},
        },
    }

    quiet = prepare(template, {"Loud": "no"})["Resources"]
    loud = prepare(template, {"Loud": "yes"})["Resources"]

    assert quiet["Door"]["DependsOn"] == ["House"]
    assert loud["Door"]["DependsOn"] == ["Bell", "House"]


def test_waiting_for_what_the_template_does_not_have_is_refused() -> None:
    template = {"Resources": {"Door": {"Type": "AWS::SNS::Topic", "DependsOn": "Bell"}}}

    with pytest.raises(TemplateError, match="DependsOn names Bell"):
        prepare(template, {})


def with_rule(**rule: Any) -> dict[str, Any]:
    """A template whose two parameters a rule is about."""
    return {
        "Parameters": {"Stage": {"Type": "String"}, "Email": {"Type": "String"}},
        "Rules": {"Somebody": rule},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    }


IS_PROD = {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}
IS_TEST = {"Fn::Equals": [{"Ref": "Stage"}, "test"]}
HAS_EMAIL = {"Fn::Not": [{"Fn::Equals": [{"Ref": "Email"}, ""]}]}


@pytest.mark.parametrize(
    ("rule", "stage", "passes"),
    [
        ({"RuleCondition": IS_PROD, "Assertions": [{"Assert": HAS_EMAIL}]}, "prod", False),
        ({"RuleCondition": IS_PROD, "Assertions": [{"Assert": HAS_EMAIL}]}, "test", True),
        ({"Assertions": [{"Assert": {"Fn::Or": [IS_PROD, IS_TEST]}}]}, "test", True),
        ({"Assertions": [{"Assert": {"Fn::Or": [IS_PROD, IS_TEST]}}]}, "dev", False),
        ({"Assertions": [{"Assert": {"Fn::And": [IS_PROD, HAS_EMAIL]}}]}, "prod", False),
        ({"Assertions": [{"Assert": IS_PROD}, {"Assert": HAS_EMAIL}]}, "prod", False),
    ],
)
def test_a_rule_refuses_values_before_anything_is_made(
    rule: dict[str, Any], stage: str, passes: bool
) -> None:
    values = {"Stage": stage, "Email": ""}
    for assertion in rule["Assertions"]:
        assertion["AssertDescription"] = "somebody must be told"

    if passes:
        assert "Rules" not in prepare(with_rule(**rule), values)
    else:
        with pytest.raises(TemplateError, match=r"^somebody must be told\Z"):
            prepare(with_rule(**rule), values)


@pytest.mark.parametrize(
    "unknown", [{"Fn::Contains": [["a"], "a"]}, {"Ref": "AWS::Region"}, {"Condition": "IsProd"}]
)
def test_a_rule_that_the_sandbox_cannot_evaluate_is_refused(unknown: dict[str, Any]) -> None:
    template = with_rule(Assertions=[{"Assert": unknown}])

    with pytest.raises(TemplateError, match="rule"):
        prepare(template, {"Stage": "prod", "Email": ""})


@pytest.mark.parametrize("text", ["", "Resources: [", "- a list", "Resources: 1"])
def test_a_file_that_is_no_template_is_refused(tmp_path: Path, text: str) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(text, encoding="utf-8")

    with pytest.raises(stack.StackError, match=r"template\.yaml"):
        stack.read(template)


def test_the_same_files_make_the_same_package(tmp_path: Path) -> None:
    folder = tmp_path / "deployer"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    first = stack.package(folder)

    (folder / "__pycache__" / "x.pyc").write_bytes(b"other")
    (folder / "__init__.py").touch()
    second = stack.package(folder)
    (folder / "__init__.py").write_text("changed = True")

    assert second == first
    assert stack.package(folder) != first


# Custom resources, with functions made for it

ANSWERS = """
import json, urllib.request

def put(event, **answer):
    identity = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    body = json.dumps({"PhysicalResourceId": "it", **identity, **answer}).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], body, method="PUT"), timeout=5)

def good(event, context):
    put(event, Status="SUCCESS", Data={"Seen": json.dumps(event["ResourceProperties"], sort_keys=True)})

def silent(event, context):
    return "nothing to say"

def failed(event, context):
    put(event, Status="FAILED", Reason="the moon is in the wrong house")

def forged(event, context):
    put(event, Status="SUCCESS", StackId="another stack")

def nameless(event, context):
    put(event, Status="SUCCESS", PhysicalResourceId="")

def twice(event, context):
    put(event, Status="SUCCESS", Data={"Seen": "first"})
    try:
        put(event, Status="SUCCESS", Data={"Seen": "second"})
    except OSError as error:
        print(error)
"""

CUSTOM = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]
      Policies:
        - PolicyName: it
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - {Effect: Allow, Action: "sqs:SendMessage", Resource: "arn:aws:sqs:us-east-1:123456789012:q"}
  Group:
    Type: AWS::Logs::LogGroup
    Properties: {RetentionInDays: 7}
  Maker:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: ./
      Handler: deployer.answers.HANDLER
      Runtime: python3.12
      Role: !GetAtt Role.Arn
  It:
    Type: AWS::CloudFormation::CustomResource
    Properties: {ServiceToken: !GetAtt Maker.Arn, Number: 1, Big: true}
Outputs:
  Seen: {Value: !GetAtt It.Seen}
"""


Change = tuple[str, str]


class CustomStack:
    """A stack with a custom resource, made by one of the functions above."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        self.aws = aws
        self.name = f"custom-{uuid.uuid4().hex[:10]}"
        self._folder = folder
        (folder / "deployer").mkdir()
        (folder / "deployer" / "__init__.py").write_text("")
        self.code(ANSWERS)

    def code(self, text: str) -> None:
        (self._folder / "deployer" / "answers.py").write_text(text)

    def deploy(self, handler: str = "good", change: Change = ("", "")) -> dict[str, str]:
        text = CUSTOM.replace("HANDLER", handler)
        assert change[0] in text
        (self._folder / "template.yaml").write_text(text.replace(*change) if change[0] else text)
        return stack.deploy(self.aws, self._folder / "template.yaml", {}, self.name)

    def id(self, logical_id: str) -> str:
        resource = self.aws("cloudformation").describe_stack_resources(
            StackName=self.name, LogicalResourceId=logical_id
        )
        return str(resource["StackResources"][0]["PhysicalResourceId"])


@pytest.fixture
def custom(aws: Aws, tmp_path: Path) -> Iterator[CustomStack]:
    created = CustomStack(aws, tmp_path)
    yield created
    aws("cloudformation").delete_stack(StackName=created.name)


def test_a_custom_resource_gets_its_properties_as_text_and_gives_attributes(custom: CustomStack) -> None:
    seen = json.loads(custom.deploy()["Seen"])

    assert seen.pop("ServiceToken").startswith("arn:aws:lambda:")
    assert seen == {"Number": "1", "Big": "true"}
    assert custom.id("It") == "it"


def test_a_changed_custom_resource_is_asked_again(custom: CustomStack) -> None:
    custom.deploy()

    seen = custom.deploy(change=("Number: 1", "Number: 2"))["Seen"]

    assert json.loads(seen)["Number"] == "2"


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("silent", "ended without an answer: no error"),
        ("missing", "ended without an answer: Unhandled"),
        ("failed", "the moon is in the wrong house"),
        ("forged", "StackId is not the request's"),
        ("nameless", "no PhysicalResourceId"),
    ],
)
def test_a_custom_resource_without_a_good_answer_fails_the_stack(
    custom: CustomStack, handler: str, reason: str
) -> None:
    with pytest.raises(stack.StackError, match=reason) as failure:
        custom.deploy(handler)

    assert "It (AWS::CloudFormation::CustomResource)" in str(failure.value)


def test_only_the_first_answer_counts(custom: CustomStack) -> None:
    assert custom.deploy("twice")["Seen"] == "first"


def test_an_answer_nobody_waits_for_is_refused(sandbox: Sandbox) -> None:
    request = Request(f"{sandbox.url}/_sandbox/custom-resources/guess", b"{}", method="PUT")

    with pytest.raises(HTTPError, match="403"):
        build_opener(ProxyHandler({})).open(request)


def test_a_changed_policy_reaches_the_role(custom: CustomStack) -> None:
    def resource() -> str:
        policy = custom.aws("iam").get_role_policy(RoleName=role, PolicyName="it")["PolicyDocument"]
        return str(policy["Statement"][0]["Resource"])

    custom.deploy()
    role = custom.id("Role")
    before = resource()

    custom.deploy(change=("123456789012:q", "123456789012:other"))

    assert custom.id("Role") == role
    assert (before.rsplit(":", 1)[1], resource().rsplit(":", 1)[1]) == ("q", "other")


def test_a_changed_retention_reaches_the_log_group(custom: CustomStack) -> None:
    custom.deploy()

    custom.deploy(change=("RetentionInDays: 7", "RetentionInDays: 14"))

    [group] = custom.aws("logs").describe_log_groups(logGroupNamePrefix=custom.id("Group"))["logGroups"]
    assert group["retentionInDays"] == 14


def test_changed_code_reaches_the_function(custom: CustomStack) -> None:
    custom.deploy()
    maker = custom.id("Maker")
    before = custom.aws("lambda").get_function_configuration(FunctionName=maker)["CodeSha256"]

    custom.code(ANSWERS + "# changed")
    custom.deploy()

    assert custom.id("Maker") == maker
    assert custom.aws("lambda").get_function_configuration(FunctionName=maker)["CodeSha256"] != before


def test_what_the_sandbox_would_ignore_is_refused(custom: CustomStack) -> None:
    reserved = "Runtime: python3.12\n      ReservedConcurrentExecutions: 1"

    with pytest.raises(stack.StackError, match="Reserved"):
        custom.deploy(change=("Runtime: python3.12", reserved))
