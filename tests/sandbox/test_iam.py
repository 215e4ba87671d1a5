"""Roles may do what their policies allow, and nothing else."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Signer
from moto.iam.models import iam_backends
from werkzeug.test import EnvironBuilder

from sandbox.account import ACCOUNT, REGION, AwsError, Credentials
from sandbox.door.calls import Operation, UnknownCallError, read_body, required_permissions
from sandbox.door.iam import Iam
from sandbox.door.policy import Call, CannotEvaluateError, Verdict, decide

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/ledger"

Statement = dict[str, Any]


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> Statement:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> Statement:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def verdict(
    *statements: Statement, action: str = "dynamodb:PutItem", resource: str = TABLE, **context: str
) -> Verdict:
    call = Call(action, resource, {key.replace("__", ":"): value for key, value in context.items()})
    return decide([{"Version": "2012-10-17", "Statement": list(statements)}], call)


@pytest.fixture
def make_role() -> Callable[..., str]:
    """Creates a role with these statements in moto's IAM, and gives its ARN."""

    def make(*statements: Statement) -> str:
        backend = iam_backends[ACCOUNT]["aws"]
        role = backend.create_role(f"role-{uuid.uuid4()}", "{}", "/", "", "", [], "3600")
        if statements:
            role.put_policy("inline", json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
        return str(role.arn)

    return make


def signed(
    service: str,
    credentials: Credentials | None = None,
    *,
    target: str = "",
    body: bytes = b"",
    token: str | None = None,
) -> dict[str, Any]:
    """The WSGI environment of a request that an SDK would send with these credentials."""
    key = credentials or Credentials("sandbox", "sandbox", "")
    request = AWSRequest("POST", "http://127.0.0.1/", data=body, headers={"X-Amz-Target": target})
    used_token = key.token if token is None else token
    SigV4Auth(Signer(key.access_key, key.secret_key, used_token or None), service, REGION).add_auth(request)
    builder = EnvironBuilder(method="POST", path="/", data=body, headers=list(request.headers.items()))
    return builder.get_environ()


# --- policies -------------------------------------------------------------------------------------


def test_what_no_statement_allows_is_refused() -> None:
    assert verdict(allow("dynamodb:GetItem", TABLE)) is Verdict.SILENT


def test_an_allow_needs_the_action_and_the_resource() -> None:
    # given
    statement = allow(["dynamodb:Get*", "dynamodb:PutItem"], [TABLE, f"{TABLE}/index/*"])

    # then
    assert verdict(statement) is Verdict.ALLOW
    assert verdict(statement, resource=f"{TABLE}/index/by-phase") is Verdict.ALLOW
    assert verdict(statement, resource=f"{TABLE}-of-another") is Verdict.SILENT
    assert verdict(statement, action="dynamodb:DeleteItem") is Verdict.SILENT


def test_an_explicit_deny_wins_over_every_allow() -> None:
    assert verdict(allow("*"), deny("dynamodb:Put*"), allow("dynamodb:PutItem", TABLE)) is Verdict.DENY


def test_actions_compare_without_case_and_resources_with_it() -> None:
    assert verdict(allow("DynamoDB:putitem", TABLE)) is Verdict.ALLOW
    assert verdict(allow("dynamodb:PutItem", TABLE.upper())) is Verdict.SILENT


def test_a_question_mark_is_exactly_one_character() -> None:
    assert verdict(allow("dynamodb:PutIte?", TABLE)) is Verdict.ALLOW
    assert verdict(allow("dynamodb:PutItem?", TABLE)) is Verdict.SILENT


def test_a_dot_or_bracket_in_a_resource_is_itself() -> None:
    # given
    statement = allow("s3:GetObject", "arn:aws:s3:::a.b/[x]*")

    # then
    assert verdict(statement, action="s3:GetObject", resource="arn:aws:s3:::a.b/[x]y") is Verdict.ALLOW
    assert verdict(statement, action="s3:GetObject", resource="arn:aws:s3:::aXb/[x]y") is Verdict.SILENT
    assert verdict(statement, action="s3:GetObject", resource="arn:aws:s3:::a.b/xy") is Verdict.SILENT


def test_not_action_and_not_resource_turn_the_match_around() -> None:
    everything_but = {"Effect": "Allow", "NotAction": "iam:*", "NotResource": TABLE}

    assert verdict(everything_but, resource="arn:other") is Verdict.ALLOW
    assert verdict(everything_but) is Verdict.SILENT
    assert verdict(everything_but, action="iam:CreateUser", resource="arn:other") is Verdict.SILENT


def test_one_statement_may_stand_without_a_list() -> None:
    assert decide([{"Statement": allow("sns:Publish", "*")}], Call("sns:Publish", "arn:x")) is Verdict.ALLOW


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "us-east-1"]}}, True),
        ({"StringEquals": {"AWS:requestedregion": "us-east-1"}}, True),
        ({"StringEquals": {"aws:RequestedRegion": "US-EAST-1"}}, False),
        ({"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}}, False),
        ({"StringLike": {"aws:RequestedRegion": "us-*"}}, True),
        ({"StringNotLike": {"aws:RequestedRegion": "us-*"}}, False),
        ({"StringEquals": {"aws:Absent": "x"}}, False),
        ({"StringNotEquals": {"aws:Absent": "x"}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"Bool": {"aws:SecureTransport": False}}, False),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:events:*:123456789012:rule/push*"}}, True),
        ({"ArnEquals": {"aws:SourceArn": "arn:aws:events:*:123456789012:rule/push*"}}, True),
        ({"ArnLike": {"aws:SourceArn": "arn:*:rule/push"}}, False),
        ({"ArnNotLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/push"}}, False),
        (
            {"StringEquals": {"aws:RequestedRegion": "us-east-1"}, "Bool": {"aws:SecureTransport": "no"}},
            False,
        ),
    ],
)
def test_a_condition_holds_or_not(condition: dict[str, Any], holds: bool) -> None:
    found = verdict(
        allow("dynamodb:PutItem", TABLE, Condition=condition),
        aws__RequestedRegion="us-east-1",
        aws__SecureTransport="true",
        aws__SourceArn="arn:aws:events:us-east-1:123456789012:rule/push",
    )
    assert found is (Verdict.ALLOW if holds else Verdict.SILENT)


def test_an_unknown_condition_operator_is_named_instead_of_guessed() -> None:
    with pytest.raises(CannotEvaluateError, match="'NumericLessThan' is not known"):
        verdict(allow("dynamodb:PutItem", TABLE, Condition={"NumericLessThan": {"s3:max-keys": "10"}}))


def test_a_policy_variable_is_named_instead_of_taken_for_text() -> None:
    with pytest.raises(CannotEvaluateError, match="aws:username"):
        verdict(deny("dynamodb:*", "arn:aws:dynamodb:*:*:table/${aws:username}"))


def test_a_resource_policy_lets_only_the_service_it_names() -> None:
    # given
    document = {"Statement": [allow("sqs:SendMessage", Principal={"Service": "events.amazonaws.com"})]}

    # then
    assert decide([document], Call("sqs:SendMessage", "q", service="events.amazonaws.com")) is Verdict.ALLOW
    assert decide([document], Call("sqs:SendMessage", "q", service="sns.amazonaws.com")) is Verdict.SILENT


# --- what a request needs -------------------------------------------------------------------------


def needed(service: str, name: str, **parameters: Any) -> list[tuple[str, str]]:
    operation = Operation(service, name, parameters)
    return [(call.action, call.resource) for call in required_permissions(operation)]


def test_a_transaction_needs_the_permission_of_each_of_its_items() -> None:
    # when
    permissions = needed(
        "dynamodb",
        "TransactWriteItems",
        TransactItems=[
            {"Put": {"TableName": "ledger", "Item": {}}},
            {"ConditionCheck": {"TableName": "lease", "Key": {}}},
        ],
    )

    # then
    assert permissions == [
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:ConditionCheckItem", TABLE.replace("ledger", "lease")),
    ]


def test_a_query_on_an_index_is_about_the_index() -> None:
    assert needed("dynamodb", "Query", TableName="ledger") == [("dynamodb:Query", TABLE)]
    assert needed("dynamodb", "Query", TableName=TABLE, IndexName="by-phase") == [
        ("dynamodb:Query", f"{TABLE}/index/by-phase")
    ]


def test_a_batch_of_messages_needs_the_permission_to_send_one() -> None:
    url = "http://127.0.0.1:4599/123456789012/dead-letters"
    assert needed("sqs", "SendMessageBatch", QueueUrl=url) == [
        ("sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:dead-letters")
    ]


def test_putting_back_a_batch_of_messages_needs_the_permission_to_put_back_one() -> None:
    url = "http://127.0.0.1:4599/123456789012/dead-letters"
    assert needed("sqs", "ChangeMessageVisibilityBatch", QueueUrl=url) == [
        ("sqs:ChangeMessageVisibility", "arn:aws:sqs:us-east-1:123456789012:dead-letters")
    ]


def test_an_operation_outside_the_table_is_named() -> None:
    with pytest.raises(UnknownCallError, match="dynamodb:ExecuteStatement"):
        needed("dynamodb", "ExecuteStatement", Statement="DELETE FROM ledger")


def test_reading_a_body_leaves_it_for_the_next_reader() -> None:
    environ = EnvironBuilder(method="POST", data=b"hello").get_environ()

    assert read_body(environ) == b"hello"
    assert read_body(environ) == b"hello"


# --- callers --------------------------------------------------------------------------------------


def test_a_role_may_do_what_its_policy_allows(make_role: Callable[..., str]) -> None:
    # given
    iam = Iam()
    session = iam.session(make_role(allow("lambda:GetAlias", "arn:aws:lambda:*:*:function:shop")))

    # then
    iam.authorize(signed("lambda", session), "lambda:GetAlias", "arn:aws:lambda:us-east-1:1:function:shop")


def test_a_refusal_reads_as_on_aws(make_role: Callable[..., str]) -> None:
    # given
    iam = Iam()
    role = make_role(allow("dynamodb:GetItem", TABLE))
    session = iam.session(role, "deployer")
    environ = signed(
        "dynamodb", session, target="DynamoDB_20120810.PutItem", body=b'{"TableName": "ledger", "Item": {}}'
    )

    # when
    with pytest.raises(AwsError) as refusal:
        iam.authorize_request(environ)

    # then
    name = role.rpartition("/")[2]
    assert (refusal.value.code, refusal.value.status) == ("AccessDeniedException", 400)
    assert refusal.value.message == (
        f"User: arn:aws:sts::123456789012:assumed-role/{name}/deployer is not authorized to perform: "
        f"dynamodb:PutItem on resource: {TABLE} because no identity-based policy allows the "
        "dynamodb:PutItem action"
    )


def test_an_explicit_deny_is_named_in_the_refusal(make_role: Callable[..., str]) -> None:
    # given
    iam = Iam()
    session = iam.session(make_role(allow("*"), deny("ecr:PutImage")))

    # then
    with pytest.raises(AwsError, match="with an explicit deny in an identity-based policy"):
        iam.authorize(signed("ecr", session), "ecr:PutImage", "arn:aws:ecr:us-east-1:1:repository/shop")


def test_an_attached_policy_counts(make_role: Callable[..., str]) -> None:
    # given
    iam = Iam()
    role = make_role()
    backend = iam_backends[ACCOUNT]["aws"]
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("logs:PutLogEvents")]})
    policy = backend.create_policy("", "/", document, f"policy-{uuid.uuid4()}", [])
    backend.attach_role_policy(policy.arn, role.rpartition("/")[2])

    # then
    assert iam.role_allows(role, "logs:PutLogEvents", "arn:aws:logs:us-east-1:1:log-group:x")
    assert not iam.role_allows(role, "dynamodb:PutItem", TABLE)


def test_a_permission_that_is_taken_away_is_gone_at_once(make_role: Callable[..., str]) -> None:
    # given
    iam = Iam()
    role = make_role(allow("sns:Publish"))
    session = iam.session(role)
    iam.authorize(signed("sns", session), "sns:Publish", "arn:topic")

    # when
    iam_backends[ACCOUNT]["aws"].get_role_by_arn(role).delete_policy("inline")

    # then
    with pytest.raises(AwsError, match="no identity-based policy allows the sns:Publish action"):
        iam.authorize(signed("sns", session), "sns:Publish", "arn:topic")


def test_a_call_the_sandbox_does_not_know_is_refused_with_its_name(make_role: Callable[..., str]) -> None:
    # given
    iam = Iam()
    session = iam.session(make_role(allow("*")))

    # then
    with pytest.raises(AwsError, match=r"ssm:GetParameter .*add it to sandbox/door/calls\.py"):
        iam.authorize_request(signed("ssm", session, target="AmazonSSM.GetParameter", body=b"{}"))


@pytest.mark.parametrize("body", [b"", b"[]", b"{not json", b"\xff\xfe", b'{"TableName": 7}'])
def test_a_malformed_request_of_a_role_is_refused_and_never_a_crash(
    make_role: Callable[..., str], body: bytes
) -> None:
    # given
    iam = Iam()
    session = iam.session(make_role(allow("dynamodb:PutItem", TABLE)))

    # then
    with pytest.raises(AwsError, match="dynamodb:PutItem on resource"):
        iam.authorize_request(signed("dynamodb", session, target="DynamoDB_20120810.PutItem", body=body))


def test_a_wrong_token_is_refused(make_role: Callable[..., str]) -> None:
    # given
    iam = Iam()
    session = iam.session(make_role(allow("*")))

    # then
    for token in ("stale", ""):
        with pytest.raises(AwsError, match="security token included in the request is invalid"):
            iam.authorize(signed("lambda", session, token=token), "lambda:GetAlias", "arn:function")


def test_any_other_key_is_the_administrator() -> None:
    iam = Iam()
    iam.authorize(signed("lambda"), "lambda:DeleteFunction", "arn:function")
    iam.authorize_request(signed("ssm", target="AmazonSSM.GetParameter", body=b"{}"))


def test_anybody_may_ask_who_they_are(make_role: Callable[..., str]) -> None:
    iam = Iam()
    session = iam.session(make_role())
    environ = signed("sts", session, body=b"Action=GetCallerIdentity&Version=2011-06-15")
    iam.authorize_request(environ)


def test_there_is_no_session_for_a_role_that_does_not_exist() -> None:
    with pytest.raises(AwsError, match="cannot be found"):
        Iam().session("arn:aws:iam::123456789012:role/nobody")


# --- stacks and metrics -----------------------------------------------------------------------------


def test_a_stack_that_is_asked_for_by_its_name_needs_a_grant_on_every_id_of_that_name() -> None:
    arn = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/mine/00000000-0000-0000-0000-000000000000"

    def asked(**parameters: str) -> list[Call]:
        return required_permissions(Operation("cloudformation", "DescribeStacks", parameters))

    assert [call.resource for call in asked(StackName=arn)] == [arn]
    assert [call.resource for call in asked(StackName="mine")] == [arn.rpartition("/")[0] + "/*"]
    assert [call.resource for call in asked()] == ["*"]


def test_reading_cloudwatch_needs_what_it_reads() -> None:
    def asked(operation: str, **parameters: Any) -> list[tuple[str, str]]:
        calls = required_permissions(Operation("monitoring", operation, parameters))
        return [(call.action, call.resource) for call in calls]

    alarm = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm"
    dashboard = f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/service"
    assert asked("GetDashboard", DashboardName="service") == [("cloudwatch:GetDashboard", dashboard)]
    assert asked("DescribeAlarms") == [("cloudwatch:DescribeAlarms", f"{alarm}:*")]
    named = [("cloudwatch:DescribeAlarms", f"{alarm}:a"), ("cloudwatch:DescribeAlarms", f"{alarm}:b")]
    assert asked("DescribeAlarms", AlarmNames=["a", "b"]) == named
    assert asked("DescribeAlarms", **{"AlarmNames.member.1": "a", "AlarmNames.member.2": "b"}) == named
    assert asked("GetMetricData") == [("cloudwatch:GetMetricData", "*")]
    assert asked("ListMetrics") == [("cloudwatch:ListMetrics", "*")]


def test_looking_at_a_rule_needs_a_right_on_it() -> None:
    def asked(operation: str, **parameters: str) -> list[tuple[str, str]]:
        calls = required_permissions(Operation("events", operation, parameters))
        return [(call.action, call.resource) for call in calls]

    arn = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/mine"
    assert asked("DescribeRule", Name="mine") == [("events:DescribeRule", arn)]
    assert asked("ListTargetsByRule", Rule="mine", EventBusName="default") == [
        ("events:ListTargetsByRule", arn)
    ]
    with pytest.raises(UnknownCallError, match="the bus partners"):
        asked("DescribeRule", Name="mine", EventBusName="partners")


def test_looking_at_subscriptions_needs_a_right_on_the_topic() -> None:
    [call] = required_permissions(Operation("sns", "ListSubscriptionsByTopic", {"TopicArn": "arn:topic"}))

    assert (call.action, call.resource) == ("sns:ListSubscriptionsByTopic", "arn:topic")
