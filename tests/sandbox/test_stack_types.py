"""Resource types of stacks: REST APIs, managed policies, alarms, and what is accepted and not done."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.clients import client
from sandbox.cloudformation import stack
from sandbox.server import Sandbox

Aws = Callable[[str], Any]
Change = tuple[str, str]

ECHO = """
import json

def on_request(event, context):
    return {"statusCode": 200, "body": json.dumps([event["path"], context.invoked_function_arn])}
"""


class Team:
    """A stack of its own, from a template that is changed from deployment to deployment."""

    def __init__(self, sandbox: Sandbox, aws: Aws, folder: Path) -> None:
        self.sandbox, self.aws = sandbox, aws
        self.name = f"types-{uuid.uuid4().hex[:10]}"
        self._folder = folder
        (folder / "deployer").mkdir()
        (folder / "deployer" / "__init__.py").write_text("")
        (folder / "deployer" / "echo.py").write_text(ECHO)

    def deploy(self, template: str, *changes: Change) -> dict[str, str]:
        for old, new in changes:
            assert old in template
            template = template.replace(old, new)
        (self._folder / "template.yaml").write_text(template)
        return stack.deploy(self.aws, self._folder / "template.yaml", {}, self.name)

    def delete(self) -> None:
        client = self.aws("cloudformation")
        client.delete_stack(StackName=self.name)
        client.get_waiter("stack_delete_complete").wait(StackName=self.name)

    def ids(self) -> dict[str, str]:
        listed = self.aws("cloudformation").list_stack_resources(StackName=self.name)
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"] for each in listed["StackResourceSummaries"]
        }

    def get(self, path: str) -> tuple[int, Any]:
        """What the stack's API answers at its stage `api`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.sandbox.port, timeout=30)
        try:
            connection.request("GET", f"/_sandbox/apis/{self.ids()['Api']}/api{path}")
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


@pytest.fixture
def team(sandbox: Sandbox, aws: Aws, tmp_path: Path) -> Iterator[Team]:
    created = Team(sandbox, aws, tmp_path)
    yield created
    created.delete()


# --- REST APIs --------------------------------------------------------------------------------------

API = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: ./
      Handler: deployer.echo.on_request
      Runtime: python3.12
      Role: !GetAtt EchoRole.Arn
  EchoVersion:
    Type: AWS::Lambda::Version
    Properties: {FunctionName: !Ref Echo}
  LiveAlias:
    Type: AWS::Lambda::Alias
    Properties: {Name: live, FunctionName: !Ref Echo, FunctionVersion: !GetAtt EchoVersion.Version}
  ApiMayInvokeLive:
    Type: AWS::Lambda::Permission
    Properties:
      Action: lambda:InvokeFunction
      FunctionName: !Ref LiveAlias
      Principal: apigateway.amazonaws.com
      SourceArn: !Sub arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*
  EchoRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]
  LogsRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Principal: {Service: apigateway.amazonaws.com}, Action: "sts:AssumeRole"}]
      ManagedPolicyArns: ["arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"]
  ApiAccount:
    Type: AWS::ApiGateway::Account
    Properties: {CloudWatchRoleArn: !GetAtt LogsRole.Arn}
  AccessLogs:
    Type: AWS::Logs::LogGroup
  Api:
    Type: AWS::Serverless::Api
    DependsOn: ApiAccount
    Properties:
      Name: echo
      StageName: api
      TracingEnabled: true
      EndpointConfiguration: {Type: REGIONAL}
      BinaryMediaTypes: [image~1png]
      AccessLogSetting:
        DestinationArn: !GetAtt AccessLogs.Arn
        Format: '{"id":"$context.requestId","path":"$context.path","status":"$context.status"}'
      MethodSettings:
        - {ResourcePath: /*, HttpMethod: "*", ThrottlingBurstLimit: 50, ThrottlingRateLimit: 0}
      GatewayResponses:
        DEFAULT_5XX: {ResponseParameters: {Headers: {Access-Control-Allow-Origin: "'*'"}}}
      DefinitionBody:
        openapi: 3.0.1
        info: {title: echo, version: "1"}
        paths:
          /:
            x-amazon-apigateway-any-method: &live
              x-amazon-apigateway-integration:
                type: aws_proxy
                httpMethod: POST
                uri: !Sub >-
                  arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${LiveAlias}/invocations
          /{proxy+}:
            x-amazon-apigateway-any-method: *live
Outputs:
  Stage: {Value: !Ref Api.Stage}
  Alias: {Value: !Ref LiveAlias}
"""

WITHOUT_PERMISSION = (
    "ApiMayInvokeLive:\n    Type: AWS::Lambda::Permission",
    "ApiMayInvokeLive:\n    Condition: Never\n    Type: AWS::Lambda::Permission",
)
NEVER = ("Resources:\n  Echo:", 'Conditions: {Never: {"Fn::Equals": [a, b]}}\nResources:\n  Echo:')


def test_an_api_of_a_template_leads_to_the_alias_and_writes_its_access_log(team: Team, aws: Aws) -> None:
    # given
    outputs = team.deploy(API)

    # when
    status, answer = team.get("/orders/7")

    # then
    assert (status, answer) == (200, ["/orders/7", outputs["Alias"]])
    assert outputs["Stage"] == "api"
    events = aws("logs").filter_log_events(logGroupName=team.ids()["AccessLogs"])["events"]
    [line] = [json.loads(event["message"]) for event in events]
    assert (line["path"], line["status"]) == ("/api/orders/7", "200")


def test_without_the_permission_of_the_alias_the_api_answers_500(team: Team, aws: Aws) -> None:
    # given
    team.deploy(API, WITHOUT_PERMISSION, NEVER)
    refused = team.get("/")

    # when: a permission comes that is for the function, and not for the alias
    echo = team.ids()["Echo"]
    aws("lambda").add_permission(
        FunctionName=echo,
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )

    # then
    assert refused == (500, {"message": "Internal server error"})
    assert team.get("/")[0] == 500
    team.deploy(API)
    assert team.get("/")[0] == 200


def test_a_changed_body_comes_with_its_deployment_and_the_old_one_goes(team: Team) -> None:
    # given
    team.deploy(API)
    before = team.ids()

    # when
    team.deploy(API, ("          /{proxy+}:", "          /greetings/{proxy+}:"))

    # then
    after = team.ids()
    assert after["Api"] == before["Api"]
    assert len(after) == len(before)
    assert {name for name in before if "Deployment" in name}.isdisjoint(after)
    assert (team.get("/orders/7")[0], team.get("/greetings/you")[0]) == (403, 200)


def test_a_stage_changes_without_a_deployment(team: Team) -> None:
    # given
    team.deploy(API)
    assert team.get("/")[0] == 200

    # when
    team.deploy(API, ("ThrottlingBurstLimit: 50", "ThrottlingBurstLimit: 0"))

    # then
    assert team.get("/") == (429, {"message": "Too Many Requests"})


def test_a_deleted_stack_leaves_no_api_and_no_role_of_the_account(team: Team, sandbox: Sandbox) -> None:
    # given
    team.deploy(API)
    api = team.ids()["Api"]
    assert sandbox.apis.log_role

    # when
    team.delete()

    # then
    assert sandbox.apis.stage(api, "api") is None
    assert sandbox.apis.log_role is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("{CloudWatchRoleArn: !GetAtt LogsRole.Arn}", "{}"), "CloudWatch Logs role ARN must be set"),
        (("apigateway.amazonaws.com}, A", "lambda.amazonaws.com}, A"), "grant trust permission"),
        (("TracingEnabled: true", "CacheClusterEnabled: true"), "does not know CacheClusterEnabled"),
        (("ResourcePath: /*", "ResourcePath: /orders"), "MethodSettings of"),
        (("type: aws_proxy", "type: mock"), "not mock"),
    ],
)
def test_an_api_that_aws_refuses_or_the_sandbox_would_misread_fails_the_stack(
    team: Team, change: Change, reason: str
) -> None:
    with pytest.raises(stack.StackError, match=reason):
        team.deploy(API, change)


# --- managed policies -------------------------------------------------------------------------------

POLICIES = """
Resources:
  Reading:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Description: What on-call may read
      PolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Action: "dynamodb:Scan", Resource: "*"}]
  OnCall:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {Federated: "arn:aws:iam::123456789012:oidc-provider/login.example.com"}
            Action: sts:AssumeRoleWithWebIdentity
      ManagedPolicyArns: [!Ref Reading]
  Builder:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: {Service: codebuild.amazonaws.com}, Action: "sts:AssumeRole"}]
Outputs:
  OnCall: {Value: !GetAtt OnCall.Arn}
  Builder: {Value: !GetAtt Builder.Arn}
  Reading: {Value: !Ref Reading}
"""


def may_scan(sandbox: Sandbox, role: str) -> bool:
    """Whether a role may; a table that is not there is found missing after that."""
    try:
        client("dynamodb", sandbox.environment_as(role)).scan(TableName="nothing")
    except ClientError as refusal:
        return refusal.response["Error"]["Code"] == "ResourceNotFoundException"
    return True


def test_a_role_may_what_its_managed_policy_says_now(team: Team, sandbox: Sandbox) -> None:
    outputs = team.deploy(POLICIES)
    first = (may_scan(sandbox, outputs["OnCall"]), may_scan(sandbox, outputs["Builder"]))

    for resource in range(7):  # more often than a policy has versions
        again = team.deploy(POLICIES, ('Resource: "*"', f'Resource: "arn:aws:x:::{resource}"'))

    assert first == (True, False)
    assert again["Reading"] == outputs["Reading"]
    assert not may_scan(sandbox, outputs["OnCall"])


def test_policies_are_attached_and_detached_from_either_side(team: Team, sandbox: Sandbox) -> None:
    outputs = team.deploy(POLICIES)

    team.deploy(
        POLICIES,
        ("      ManagedPolicyArns: [!Ref Reading]\n", ""),
        ("      PolicyDocument:\n", "      Roles: [!Ref Builder]\n      PolicyDocument:\n"),
    )

    assert (may_scan(sandbox, outputs["OnCall"]), may_scan(sandbox, outputs["Builder"])) == (False, True)
    team.deploy(POLICIES)
    assert (may_scan(sandbox, outputs["OnCall"]), may_scan(sandbox, outputs["Builder"])) == (True, False)


def test_a_policy_that_is_removed_takes_its_rights_with_it(team: Team, sandbox: Sandbox, aws: Aws) -> None:
    outputs = team.deploy(POLICIES)
    declared = POLICIES[POLICIES.index("  Reading:\n    Type") : POLICIES.index("  OnCall:\n    Type")]

    team.deploy(
        POLICIES,
        (declared, ""),
        ("      ManagedPolicyArns: [!Ref Reading]\n", ""),
        ("  Reading: {Value: !Ref Reading}\n", ""),
    )

    assert not may_scan(sandbox, outputs["OnCall"])
    with pytest.raises(ClientError, match="NoSuchEntity"):
        aws("iam").get_policy(PolicyArn=outputs["Reading"])


def test_a_deleted_stack_leaves_neither_roles_nor_policies(team: Team, aws: Aws) -> None:
    outputs = team.deploy(POLICIES)

    team.delete()

    with pytest.raises(ClientError, match="NoSuchEntity"):
        aws("iam").get_policy(PolicyArn=outputs["Reading"])
    names = {role["RoleName"] for role in aws("iam").list_roles()["Roles"]}
    assert not names & {outputs["OnCall"].rpartition("/")[2], outputs["Builder"].rpartition("/")[2]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("[!Ref Reading]", "[arn:aws:iam::aws:policy/Imaginary]"), "does not exist or is not attachable"),
        (('Resource: "*"', f'Resource: "arn:aws:x:::{"a" * 6144}"'), "quota for PolicySize: 6144"),
        (("Description: What", "Groups: [x]\n      Description: What"), "does not know Groups"),
    ],
)
def test_a_policy_that_aws_refuses_fails_the_stack(team: Team, change: Change, reason: str) -> None:
    with pytest.raises(stack.StackError, match=reason):
        team.deploy(POLICIES, change)


# --- CloudWatch -------------------------------------------------------------------------------------

WATCHED = """
Resources:
  Topic: {Type: AWS::SNS::Topic}
  Errors:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmDescription: The service fails
      Namespace: AWS/Lambda
      MetricName: Errors
      Dimensions: [{Name: FunctionName, Value: service}, {Name: Resource, Value: "service:live"}]
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 3
      DatapointsToAlarm: 2
      Threshold: 5
      ComparisonOperator: GreaterThanOrEqualToThreshold
      TreatMissingData: notBreaching
      AlarmActions: [!Ref Topic]
  Share:
    Type: AWS::CloudWatch::Alarm
    Properties:
      ComparisonOperator: GreaterThanThreshold
      EvaluationPeriods: 1
      Threshold: 0.5
      Metrics:
        - {Id: share, Expression: errors / calls}
        - Id: errors
          ReturnData: false
          MetricStat:
            Metric: {Namespace: AWS/Lambda, MetricName: Errors, Dimensions: [{Name: FunctionName, Value: s}]}
            Period: 60
            Stat: Sum
  Board:
    Type: AWS::CloudWatch::Dashboard
    Properties: {DashboardBody: '{"widgets": []}'}
  Build:
    Type: AWS::CodeBuild::Project
    Properties: {Name: !Sub "${AWS::StackName}-build", Artifacts: {Type: NO_ARTIFACTS}}
  Reports:
    Type: AWS::CodeBuild::ReportGroup
    Properties: {Type: TEST, Name: !Sub "${AWS::StackName}-reports"}
Outputs:
  Alarm: {Value: !Ref Errors}
  AlarmArn: {Value: !GetAtt Errors.Arn}
  Board: {Value: !Ref Board}
  Build: {Value: !Ref Build}
  BuildArn: {Value: !GetAtt Build.Arn}
  Reports: {Value: !Ref Reports}
  ReportsArn: {Value: !GetAtt Reports.Arn}
"""


def alarm(aws: Aws, name: str) -> Any:
    [found] = aws("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return found


def test_an_alarm_is_described_as_the_template_has_it(team: Team, aws: Aws) -> None:
    outputs = team.deploy(WATCHED)

    found = alarm(aws, outputs["Alarm"])
    assert found["AlarmArn"] == outputs["AlarmArn"]
    assert (found["Period"], found["EvaluationPeriods"], found["DatapointsToAlarm"]) == (60, 3, 2)
    assert (found["Threshold"], found["TreatMissingData"]) == (5.0, "notBreaching")
    assert found["AlarmActions"] == [team.ids()["Topic"]]
    assert {each["Name"]: each["Value"] for each in found["Dimensions"]}["Resource"] == "service:live"
    assert found["StateValue"] == "INSUFFICIENT_DATA"


def test_an_alarm_on_an_expression_keeps_its_metrics(team: Team, aws: Aws) -> None:
    team.deploy(WATCHED)

    metrics = {each["Id"]: each for each in alarm(aws, team.ids()["Share"])["Metrics"]}
    assert metrics["share"]["Expression"] == "errors / calls"
    assert metrics["errors"]["ReturnData"] is False
    assert metrics["errors"]["MetricStat"]["Metric"]["MetricName"] == "Errors"


def test_a_changed_alarm_keeps_its_name_and_its_state(team: Team, aws: Aws) -> None:
    name = team.deploy(WATCHED)["Alarm"]
    aws("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="tried")

    assert team.deploy(WATCHED, ("Threshold: 5\n", "Threshold: 7\n"))["Alarm"] == name

    found = alarm(aws, name)
    assert (found["Threshold"], found["StateValue"]) == (7.0, "ALARM")


def test_what_cloudwatch_holds_goes_with_the_stack(team: Team, aws: Aws) -> None:
    outputs = team.deploy(WATCHED)

    team.delete()

    assert aws("cloudwatch").describe_alarms(AlarmNames=[outputs["Alarm"]])["MetricAlarms"] == []
    with pytest.raises(ClientError, match="Dashboard does not exist"):
        aws("cloudwatch").get_dashboard(DashboardName=outputs["Board"])


def test_a_dashboard_is_text_that_can_be_read_and_changed(team: Team, aws: Aws) -> None:
    name = team.deploy(WATCHED)["Board"]

    assert team.deploy(WATCHED, ('"widgets": []', '"start": "-PT1H", "widgets": []'))["Board"] == name

    body = aws("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"]
    assert json.loads(body) == {"start": "-PT1H", "widgets": []}


def test_a_dashboard_that_is_no_json_fails_the_stack(team: Team) -> None:
    with pytest.raises(stack.StackError, match="DashboardBody must be a valid JSON object"):
        team.deploy(WATCHED, ('{"widgets": []}', "{widgets"))


# --- what is left out -------------------------------------------------------------------------------


def test_what_the_sandbox_does_not_do_has_its_name_and_arn_and_is_told(team: Team, aws: Aws) -> None:
    outputs = team.deploy(WATCHED)

    codebuild = "arn:aws:codebuild:us-east-1:123456789012"
    assert outputs["Build"] == f"{team.name}-build"
    assert outputs["BuildArn"] == f"{codebuild}:project/{team.name}-build"
    assert outputs["Reports"] == outputs["ReportsArn"] == f"{codebuild}:report-group/{team.name}-reports"
    told = stack.left_out(aws, team.name)
    assert [line.partition(": ")[0] for line in told] == [
        "Board (AWS::CloudWatch::Dashboard)",
        "Build (AWS::CodeBuild::Project)",
        "Reports (AWS::CodeBuild::ReportGroup)",
    ]
    assert {"Build", "Reports"} <= team.ids().keys()


def test_what_is_left_out_is_updated_and_removed_like_everything_else(team: Team, aws: Aws) -> None:
    team.deploy(WATCHED)

    renamed = team.deploy(WATCHED, ("StackName}-build", "StackName}-builds"))
    build = WATCHED[WATCHED.index("  Build:\n") : WATCHED.index("  Reports:\n")]
    team.deploy(
        WATCHED,
        (build, ""),
        ("  Build: {Value: !Ref Build}\n", ""),
        ("  BuildArn: {Value: !GetAtt Build.Arn}\n", ""),
    )

    assert renamed["BuildArn"].endswith(f"project/{team.name}-builds")
    assert not [line for line in stack.left_out(aws, team.name) if line.startswith("Build ")]


def test_a_stack_that_is_not_there_has_no_list(aws: Aws) -> None:
    with pytest.raises(stack.StackError, match="no-such-stack"):
        stack.left_out(aws, "no-such-stack")
