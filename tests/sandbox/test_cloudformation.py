"""CloudFormation's operations on templates and stacks, as the AWS CLI and SAM use them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

Aws = Callable[[str], Any]
Template = dict[str, Any]

TRANSFORM = "AWS::Serverless-2016-10-31"
ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
}

POLICY = {
    "Type": "AWS::IAM::ManagedPolicy",
    "Properties": {
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "sns:Publish", "Resource": "*"}],
        }
    },
}


def bell(name: str = "bell", **more: Any) -> Template:
    """A template with a topic that a parameter names."""
    return {
        "Parameters": {
            "Loudness": {"Type": "Number", "Default": 3, "MaxValue": 10},
            "Secret": {"Type": "String", "NoEcho": True, "Default": "none"},
        },
        "Resources": {
            "Bell": {
                "Type": "AWS::SNS::Topic",
                "Properties": {"DisplayName": {"Fn::Sub": f"{name}-${{Loudness}}"}},
            },
            **more,
        },
        "Outputs": {"Bell": {"Value": {"Ref": "Bell"}}, "Loudness": {"Value": {"Ref": "Loudness"}}},
    }


def missing_alias() -> Template:
    """What cannot be created: the alias of a function that is not there."""
    properties = {"FunctionName": "nobody", "Name": "live", "FunctionVersion": "1"}
    return {"Type": "AWS::Lambda::Alias", "DependsOn": "Bell", "Properties": properties}


class Stack:
    """A stack's name, and what somebody does with it."""

    def __init__(self, aws: Aws) -> None:
        self.cloudformation, self.sns, self.s3 = aws("cloudformation"), aws("sns"), aws("s3")
        self.name = f"bells-{uuid.uuid4().hex[:8]}"

    def create(self, template: Template, **more: Any) -> Any:
        return self.cloudformation.create_stack(
            StackName=self.name, TemplateBody=json.dumps(template), **more
        )

    def update(self, template: Template, **more: Any) -> Any:
        return self.cloudformation.update_stack(
            StackName=self.name, TemplateBody=json.dumps(template), **more
        )

    def review(self, kind: str, template: Template, name: str = "change", **more: Any) -> Any:
        self.cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=name,
            ChangeSetType=kind,
            TemplateBody=json.dumps(template),
            **more,
        )
        return self.cloudformation.describe_change_set(StackName=self.name, ChangeSetName=name)

    def execute(self, name: str = "change") -> None:
        self.cloudformation.execute_change_set(StackName=self.name, ChangeSetName=name)

    def now(self) -> Any:
        [found] = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        return found

    def status(self) -> str:
        return str(self.now()["StackStatus"])

    def outputs(self) -> dict[str, str]:
        return {each["OutputKey"]: each["OutputValue"] for each in self.now()["Outputs"]}

    def events(self) -> list[tuple[str, str]]:
        """Oldest first."""
        told = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return [(each["LogicalResourceId"], each["ResourceStatus"]) for each in reversed(told)]

    def reasons(self) -> list[str]:
        told = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return [each["ResourceStatusReason"] for each in reversed(told) if "ResourceStatusReason" in each]

    def topics(self) -> list[str]:
        arns = [each["TopicArn"] for each in self.sns.list_topics()["Topics"]]
        return [arn for arn in arns if self.name in arn]

    def delete(self) -> None:
        self.cloudformation.delete_stack(StackName=self.name)


@pytest.fixture
def stack(aws: Aws) -> Iterator[Stack]:
    mine = Stack(aws)
    yield mine
    mine.delete()


def given(**values: str) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


# Reviewed first: what SAM and `aws cloudformation deploy` do


def test_a_change_set_makes_a_stack_with_its_outputs_and_tags(stack: Stack) -> None:
    reviewed = stack.review("CREATE", bell(), Tags=[{"Key": "team", "Value": "ringers"}])
    before = (stack.status(), stack.topics())

    stack.execute()

    assert (reviewed["Status"], reviewed["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert [each["ResourceChange"]["LogicalResourceId"] for each in reviewed["Changes"]] == ["Bell"]
    assert before == ("REVIEW_IN_PROGRESS", [])
    assert stack.status() == "CREATE_COMPLETE"
    assert stack.outputs() == {"Bell": stack.topics()[0], "Loudness": "3"}
    assert stack.now()["Tags"] == [{"Key": "team", "Value": "ringers"}]
    assert stack.events() == [
        (stack.name, "REVIEW_IN_PROGRESS"),
        (stack.name, "CREATE_IN_PROGRESS"),
        ("Bell", "CREATE_IN_PROGRESS"),
        ("Bell", "CREATE_COMPLETE"),
        (stack.name, "CREATE_COMPLETE"),
    ]


def test_values_and_templates_that_are_not_given_again_stay(stack: Stack) -> None:
    stack.create(bell(), Parameters=given(Loudness="7", Secret="hunter2"))

    stack.cloudformation.update_stack(
        StackName=stack.name,
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": "Secret", "UsePreviousValue": True}, *given(Loudness="8")],
    )

    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack.now()["Parameters"]}
    assert parameters == {"Loudness": "8", "Secret": "hunter2"}
    assert stack.outputs()["Loudness"] == "8"


def test_no_change_is_said_and_nothing_done(stack: Stack) -> None:
    stack.create(bell())

    reviewed = stack.review("UPDATE", bell(), Parameters=given(Loudness="3"))
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stack.update(bell())

    assert reviewed["Status"] == "FAILED"
    assert "didn't contain changes" in reviewed["StatusReason"]
    with pytest.raises(ClientError, match="InvalidChangeSetStatus"):
        stack.execute()


def test_a_change_set_names_what_is_added_changed_and_removed(stack: Stack) -> None:
    stack.create(bell(Door={"Type": "AWS::SNS::Topic"}))

    reviewed = stack.review("UPDATE", bell("gong", Gate={"Type": "AWS::SNS::Topic"}))
    stack.execute()

    changes = [each["ResourceChange"] for each in reviewed["Changes"]]
    told = {(each["Action"], each["LogicalResourceId"]) for each in changes}
    assert told == {("Add", "Gate"), ("Modify", "Bell"), ("Remove", "Door")}
    assert len(stack.topics()) == 2
    assert stack.status() == "UPDATE_COMPLETE"


def test_once_executed_other_reviews_are_gone(stack: Stack) -> None:
    stack.create(bell())
    stack.review("UPDATE", bell("gong"), "one")
    stack.review("UPDATE", bell("chime"), "other")
    listed = stack.cloudformation.list_change_sets(StackName=stack.name)["Summaries"]

    stack.execute("one")

    assert [each["ChangeSetName"] for each in listed] == ["one", "other"]
    with pytest.raises(ClientError, match="ChangeSetNotFound"):
        stack.execute("other")


def test_a_review_that_nobody_wants_can_be_deleted(stack: Stack) -> None:
    stack.create(bell())
    stack.review("UPDATE", bell("gong"))

    stack.cloudformation.delete_change_set(StackName=stack.name, ChangeSetName="change")

    assert stack.cloudformation.list_change_sets(StackName=stack.name)["Summaries"] == []


@pytest.mark.parametrize(("kind", "exists"), [("CREATE", True), ("UPDATE", False)])
def test_a_review_says_whether_it_creates_or_updates(stack: Stack, kind: str, exists: bool) -> None:
    if exists:
        stack.create(bell())

    with pytest.raises(ClientError, match="already exists" if exists else "does not exist"):
        stack.review(kind, bell())


# Templates


def test_the_template_comes_back_as_it_was_given(stack: Stack) -> None:
    template = {"Transform": TRANSFORM, **bell(Table={"Type": "AWS::Serverless::SimpleTable"})}
    stack.create(template, Capabilities=["CAPABILITY_AUTO_EXPAND"])

    text = stack.cloudformation.get_template(StackName=stack.name)["TemplateBody"]
    summary = stack.cloudformation.get_template_summary(StackName=stack.name)

    assert (text if isinstance(text, dict) else json.loads(text)) == template
    assert {each["ParameterKey"]: each["DefaultValue"] for each in summary["Parameters"]} == {
        "Loudness": "3",
        "Secret": "none",
    }
    assert summary["ResourceTypes"] == ["AWS::SNS::Topic", "AWS::Serverless::SimpleTable"]


@pytest.mark.parametrize(
    "url",
    [
        "{endpoint}/{bucket}/a%20folder/it?versionId={version}",
        "https://s3.amazonaws.com/{bucket}/a%20folder/it?versionId={version}",
        "https://s3.us-east-1.amazonaws.com/{bucket}/a%20folder/it?versionId={version}",
        "https://{bucket}.s3.us-east-1.amazonaws.com/a%20folder/it?versionId={version}",
    ],
)
def test_a_template_in_s3_is_found_in_the_version_that_is_named(stack: Stack, url: str) -> None:
    s3, bucket = stack.s3, f"{stack.name}-templates"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put = s3.put_object(Bucket=bucket, Key="a folder/it", Body=json.dumps(bell()))
    s3.put_object(Bucket=bucket, Key="a folder/it", Body="no template")

    stack.cloudformation.create_stack(
        StackName=stack.name,
        TemplateURL=url.format(endpoint=s3.meta.endpoint_url, bucket=bucket, version=put["VersionId"]),
    )

    assert stack.status() == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://s3.amazonaws.com/no-such-bucket-of-ours/key", "S3 error: The bucket"),
        ("https://example.com/bucket/key", "must be a supported URL"),
        ("http://127.0.0.1/only-a-bucket", "must be a supported URL"),
    ],
)
def test_a_template_that_is_not_there_is_refused(stack: Stack, url: str, why: str) -> None:
    with pytest.raises(ClientError, match=why):
        stack.cloudformation.create_stack(StackName=stack.name, TemplateURL=url)


def test_a_long_template_has_to_come_from_s3(stack: Stack) -> None:
    with pytest.raises(ClientError, match="less than or equal to 51200"):
        stack.create({**bell(), "Description": "x" * 51_200})


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ({"Resources": {"Bell": "a topic"}}, "Bell has no Type"),
        ({"Description": "nothing else"}, "no Resources"),
        ({**bell(), "Transform": "Somebodys::Macro"}, "Somebodys::Macro"),
        ({**bell(Hall={"Type": "AWS::QuantumHall::Effect"})}, "QuantumHall"),
    ],
)
def test_a_template_that_is_no_good_is_refused_and_no_stack_is_left(
    stack: Stack, template: Template, why: str
) -> None:
    with pytest.raises(ClientError, match=why) as refusal:
        stack.create(template, Capabilities=["CAPABILITY_AUTO_EXPAND"])

    assert refusal.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="does not exist"):
        stack.now()


def test_a_parameter_out_of_bounds_is_refused_before_anything_is_there(stack: Stack) -> None:
    with pytest.raises(ClientError, match="Loudness cannot be '11'"):
        stack.review("CREATE", bell(), Parameters=given(Loudness="11"))

    with pytest.raises(ClientError, match="does not exist"):
        stack.now()


@pytest.mark.parametrize(
    "parameter", [{"RoleARN": "arn:aws:iam::123456789012:role/it"}, {"DisableRollback": True}]
)
def test_what_would_be_ignored_is_refused(stack: Stack, parameter: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match=next(iter(parameter))):
        stack.create(bell(), **parameter)


# What has to be acknowledged


NAMED_ROLE = {**ROLE, "Properties": {**ROLE["Properties"], "RoleName": "ringer"}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("role", "acknowledged", "missing"),
    [
        (ROLE, [], "CAPABILITY_IAM"),
        (ROLE, ["CAPABILITY_IAM"], None),
        (ROLE, ["CAPABILITY_NAMED_IAM"], None),
        (NAMED_ROLE, ["CAPABILITY_IAM"], "CAPABILITY_NAMED_IAM"),
        (NAMED_ROLE, ["CAPABILITY_NAMED_IAM"], None),
    ],
)
def test_roles_have_to_be_acknowledged(
    stack: Stack, role: Template, acknowledged: list[str], missing: str | None
) -> None:
    reviewed = stack.review("CREATE", bell(Ringer=role), Capabilities=acknowledged)

    assert reviewed.get("StatusReason") == (missing and f"Requires capabilities : [{missing}]")


def test_a_transform_has_to_be_acknowledged_by_whoever_does_not_review(stack: Stack) -> None:
    template = {"Transform": TRANSFORM, **bell()}

    with pytest.raises(ClientError, match=r"InsufficientCapabilities.*CAPABILITY_AUTO_EXPAND"):
        stack.create(template)

    assert stack.review("CREATE", template)["Status"] == "CREATE_COMPLETE"


# What fails


def test_a_creation_that_fails_is_rolled_back_and_can_only_be_deleted(stack: Stack) -> None:
    stack.review("CREATE", bell(Alias=missing_alias()))
    stack.execute()

    assert stack.status() == "ROLLBACK_COMPLETE"
    assert stack.topics() == []
    assert stack.events()[2:] == [
        ("Bell", "CREATE_IN_PROGRESS"),
        ("Bell", "CREATE_COMPLETE"),
        ("Alias", "CREATE_IN_PROGRESS"),
        ("Alias", "CREATE_FAILED"),
        (stack.name, "ROLLBACK_IN_PROGRESS"),
        ("Bell", "DELETE_IN_PROGRESS"),
        ("Bell", "DELETE_COMPLETE"),
        (stack.name, "ROLLBACK_COMPLETE"),
    ]
    assert "ResourceNotFoundException" in stack.reasons()[-2]
    with pytest.raises(ClientError, match="ROLLBACK_COMPLETE state and can not be updated"):
        stack.review("UPDATE", bell())
    stack.delete()
    assert stack.create(bell())["StackId"]


def test_an_update_that_fails_stays_so_and_the_next_one_takes_it_up(stack: Stack) -> None:
    stack.create(bell())

    stack.update(bell("gong", Alias=missing_alias(), Door={"Type": "AWS::SNS::Topic", "DependsOn": "Alias"}))
    failed = stack.status()
    stack.update(bell("gong", Door={"Type": "AWS::SNS::Topic"}))

    assert failed == "UPDATE_FAILED"
    assert stack.status() == "UPDATE_COMPLETE"
    assert len(stack.topics()) == 2
    attributes = stack.sns.get_topic_attributes(TopicArn=stack.outputs()["Bell"])["Attributes"]
    assert attributes["DisplayName"] == "gong-3"


def test_a_deletion_that_fails_stays_so_until_it_can_be_done(stack: Stack, aws: Aws) -> None:
    # given: a policy that somebody outside of the stack has
    stack.create(bell(Policy=POLICY, Ringer=ROLE), Capabilities=["CAPABILITY_IAM"])
    iam, outsider = aws("iam"), f"{stack.name}-outsider"
    iam.create_role(RoleName=outsider, AssumeRolePolicyDocument="{}")
    [policy] = [
        each["Arn"] for each in iam.list_policies(Scope="Local")["Policies"] if stack.name in each["Arn"]
    ]
    iam.attach_role_policy(RoleName=outsider, PolicyArn=policy)

    stack.delete()
    failed, why = stack.status(), stack.reasons()[-1]
    iam.detach_role_policy(RoleName=outsider, PolicyArn=policy)
    stack.delete()

    assert failed == "DELETE_FAILED"
    assert "DeleteConflict" in why
    with pytest.raises(ClientError, match="does not exist"):
        stack.now()


def test_a_deleted_stack_is_still_found_by_its_id(stack: Stack) -> None:
    arn = stack.create(bell())["StackId"]

    stack.delete()

    [found] = stack.cloudformation.describe_stacks(StackName=arn)["Stacks"]
    assert found["StackStatus"] == "DELETE_COMPLETE"
    assert stack.topics() == []
