"""The sandbox as a user and as a function meets it: over HTTP, through boto3 and the AWS CLI."""

import base64
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from sandbox.account import ACCOUNT, REGION, Credentials
from sandbox.cli import main
from sandbox.clients import client
from sandbox.gateway import definition
from sandbox.server import Sandbox, SandboxStartError
from sandbox.waiting import until
from tests.listening import listen

ROOT = Path(__file__).parents[2]

Aws = Callable[[str], Any]

ECHO = """
import json

def handler(event, context):
    print("saw", event["path"])
    body = {"path": event["path"]}
    if event["path"] == "/who":
        import boto3
        body["arn"] = boto3.client("sts").get_caller_identity()["Arn"]
    status = (event["queryStringParameters"] or {}).get("status", 200)
    return {"statusCode": int(status), "body": json.dumps(body)}
"""


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def role(aws: Aws, name: str) -> str:
    """The ARN of a role without any permission."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    created = aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    return str(created["Role"]["Arn"])


def log_of(function: str) -> str:
    """What a template's policy names: everything in the function's log group."""
    return f"arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/{function}:*"


def grant(
    aws: Aws, role: str, action: str | list[str], resource: str, condition: dict[str, Any] | None = None
) -> None:
    """Let a role do this, and nothing that it was let do before."""
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition or {}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws("iam").put_role_policy(RoleName=role.rpartition("/")[2], PolicyName="p", PolicyDocument=document)


def as_role(sandbox: Sandbox, credentials: Credentials, service: str) -> Any:
    session = boto3.session.Session(credentials.access_key, credentials.secret_key, credentials.token, REGION)
    config = Config(retries={"total_max_attempts": 1})
    return session.client(service, endpoint_url=sandbox.url, config=config)  # type: ignore[call-overload]


def get(sandbox: Sandbox, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=30)
    try:
        connection.request(
            method, path, headers={key.replace("_", "-"): value for key, value in headers.items()}
        )
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def table(aws: Aws, name: str) -> str:
    created = aws("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )
    return str(created["TableDescription"]["TableArn"])


# --- the door -------------------------------------------------------------------------------------


def test_it_says_when_it_is_ready(sandbox: Sandbox) -> None:
    assert get(sandbox, "/_sandbox/ready") == (200, "ready\n")


def test_a_service_has_one_client_for_all_who_ask(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(sandbox.client, ["sqs"] * 16))

    assert len({id(client) for client in clients}) == 1
    assert clients[0] is not sandbox.client("sns")


def test_an_unknown_path_of_its_own_names_the_known_ones(sandbox: Sandbox) -> None:
    status, text = get(sandbox, "/_sandbox/nothing")
    assert status == 404
    assert "/_sandbox/ready" in text


def test_an_unsigned_request_is_told_how_to_ask(sandbox: Sandbox) -> None:
    status, text = get(sandbox, "/")
    assert status == 403
    assert json.loads(text)["message"] == "Missing Authentication Token"
    assert "AWS_ENDPOINT_URL" in text


SIGNED = "AWS4-HMAC-SHA256 Credential=sandbox/20260101/us-east-1/lambda/aws4_request, Signature=x"


def test_a_web_page_cannot_drive_the_sandbox(sandbox: Sandbox) -> None:
    # given: what any program may do
    assert get(sandbox, "/2015-03-31/functions/", Authorization=SIGNED)[0] == 200

    # then: but no page in a browser, by any name of this machine
    for headers in (
        {"Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
    ):
        assert get(sandbox, "/2015-03-31/functions/", Authorization=SIGNED, **headers)[0] == 403
    assert get(sandbox, "/2015-03-31/functions/", Authorization=SIGNED, Host="evil.example")[0] == 421
    assert get(sandbox, "/_sandbox/api/health", Host="evil.example:80")[0] == 421


def test_motos_own_switches_are_out_of_reach(sandbox: Sandbox) -> None:
    assert get(sandbox, "/moto-api/reset", "POST")[0] == 403


def test_a_second_sandbox_in_a_process_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxStartError, match="runs a sandbox already"):
        Sandbox().start()
    assert get(sandbox, "/_sandbox/ready")[0] == 200


# --- services -------------------------------------------------------------------------------------


def test_the_registry_and_the_functions_are_the_strict_ones(aws: Aws, name: str) -> None:
    # given
    aws("ecr").create_repository(repositoryName=name)

    # when
    with pytest.raises(ClientError) as refusal:
        aws("ecr").put_image(repositoryName=name, imageManifest='{"schemaVersion": 2}')

    # then: moto would have taken it
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        aws("lambda").get_function(FunctionName=name)


def test_a_conditional_write_is_won_by_one(aws: Aws, name: str) -> None:
    # given
    table(aws, name)

    # when
    def take(owner: int) -> bool:
        try:
            aws("dynamodb").put_item(
                TableName=name,
                Item={"pk": {"S": "lease"}, "owner": {"N": str(owner)}},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except aws("dynamodb").exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(take, range(24)))

    # then
    assert won.count(True) == 1


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("dynamodb", lambda c: c.scan(TableName="t"), "AccessDeniedException"),
        ("sns", lambda c: c.publish(TopicArn="arn:aws:sns:us-east-1:1:t", Message="m"), "AuthorizationError"),
        ("sqs", lambda c: c.send_message(QueueUrl="http://x/1/q", MessageBody="m"), "AccessDenied"),
        ("s3", lambda c: c.put_object(Bucket="b", Key="k", Body=b"x"), "AccessDenied"),
        (
            "sts",
            lambda c: c.assume_role(RoleArn="arn:aws:iam::1:role/another", RoleSessionName="session"),
            "AccessDenied",
        ),
        ("logs", lambda c: c.create_log_group(logGroupName="g"), "AccessDeniedException"),
        ("secretsmanager", lambda c: c.get_secret_value(SecretId="s"), "AccessDeniedException"),
        ("xray", lambda c: c.put_trace_segments(TraceSegmentDocuments=["{}"]), "AccessDeniedException"),
        ("lambda", lambda c: c.list_functions(), "AccessDeniedException"),
        ("ecr", lambda c: c.get_authorization_token(), "AccessDeniedException"),
        ("cloudformation", lambda c: c.describe_stacks(StackName="s"), "AccessDenied"),
        ("cloudwatch", lambda c: c.describe_alarms(), "AccessDenied"),
        ("ssm", lambda c: c.get_parameter(Name="p"), "AccessDeniedException"),
    ],
)
def test_a_role_without_permission_is_refused_by_every_service_in_its_own_way(
    sandbox: Sandbox, role: str, service: str, call: Callable[[Any], Any], code: str
) -> None:
    # given
    client = as_role(sandbox, sandbox.iam.session(role), service)

    # when
    with pytest.raises(ClientError) as refusal:
        call(client)

    # then
    assert refusal.value.response["Error"]["Code"] == code
    assert "is not authorized to perform" in refusal.value.response["Error"]["Message"]


def test_a_role_reaches_its_own_table_and_no_other(sandbox: Sandbox, aws: Aws, role: str, name: str) -> None:
    # given
    grant(aws, role, "dynamodb:PutItem", table(aws, name))
    table(aws, f"{name}-other")
    client = as_role(sandbox, sandbox.iam.session(role, "shop"), "dynamodb")

    # then
    client.put_item(TableName=name, Item={"pk": {"S": "a"}})
    with pytest.raises(ClientError, match=rf"assumed-role/{name}/shop .*:table/{name}-other because"):
        client.put_item(TableName=f"{name}-other", Item={"pk": {"S": "a"}})


def test_a_role_sets_no_image_that_it_may_not_pull(sandbox: Sandbox, aws: Aws, role: str, name: str) -> None:
    # given
    function = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
    grant(aws, role, "lambda:UpdateFunctionCode", function)
    client = as_role(sandbox, sandbox.iam.session(role, "deployer"), "lambda")
    uri = aws("ecr").create_repository(repositoryName=name)["repository"]["repositoryUri"]

    # when
    with pytest.raises(ClientError) as refused:
        client.update_function_code(FunctionName=name, ImageUri=f"{uri}:v1")
    with pytest.raises(ClientError) as passed:
        aws("lambda").update_function_code(FunctionName=name, ImageUri=f"{uri}:v1")

    # then: the administrator comes as far as the function, which is not there
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert f"{role.rpartition('/')[2]}/deployer is not authorized to perform: ecr:BatchGetImage" in str(
        refused.value
    )
    assert passed.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_what_a_program_puts_on_the_bus_reaches_whoever_has_a_rule_for_it(aws: Aws, name: str) -> None:
    # given
    url = listen(aws("sqs"), aws("events"), name, {"source": [name], "detail": {"phase": ["REVERTED"]}})
    entry = {"Source": name, "DetailType": "Order", "Resources": ["arn:aws:x"]}

    # when
    put = aws("events").put_events(
        Entries=[
            {**entry, "Detail": '{"phase": "SUCCEEDED"}'},
            {**entry, "Detail": '{"phase": "REVERTED"}', "Time": datetime(2026, 3, 1, 3, tzinfo=UTC)},
        ]
    )

    # then
    assert put["FailedEntryCount"] == 0
    [message] = until(lambda: aws("sqs").receive_message(QueueUrl=url).get("Messages"), "the event")
    event = json.loads(message["Body"])
    assert event["id"] == put["Entries"][1]["EventId"]
    assert (event["source"], event["detail-type"], event["time"]) == (name, "Order", "2026-03-01T03:00:00Z")
    assert (event["resources"], event["detail"]) == (["arn:aws:x"], {"phase": "REVERTED"})


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"Source": ""}, "InvalidArgument"),
        ({"Detail": "no"}, "MalformedDetail"),
        ({"Detail": "[]"}, "MalformedDetail"),
        ({"Source": "aws.ecr"}, "NotAuthorizedForSourceException"),
        ({"EventBusName": "another"}, "InvalidArgument"),
    ],
)
def test_an_entry_that_is_none_is_told_beside_those_that_are(
    aws: Aws, wrong: dict[str, str], code: str
) -> None:
    good = {"Source": "shop", "DetailType": "Order", "Detail": "{}"}

    put = aws("events").put_events(Entries=[{**good, **wrong}, good])

    assert put["FailedEntryCount"] == 1
    assert [entry.get("ErrorCode") for entry in put["Entries"]] == [code, None]


def test_more_than_the_bus_takes_at_once_is_refused(aws: Aws) -> None:
    detail = json.dumps({"long": "x" * 256 * 1024})

    with pytest.raises(ClientError, match="over the limit"):
        aws("events").put_events(Entries=[{"Source": "shop", "DetailType": "Order", "Detail": detail}])


def test_a_role_puts_events_in_no_other_name_than_it_is_granted(
    sandbox: Sandbox, aws: Aws, role: str, name: str
) -> None:
    # given
    bus = "arn:aws:events:us-east-1:123456789012:event-bus/default"
    grant(aws, role, "events:PutEvents", bus, {"StringEquals": {"events:source": "shop"}})
    events = client("events", sandbox.environment_as(role, "alice"))
    entry = {"DetailType": "Order", "Detail": "{}"}

    # then
    assert events.put_events(Entries=[{"Source": "shop", **entry}])["FailedEntryCount"] == 0
    for others in ([{"Source": "bank", **entry}], [{"Source": "shop", **entry}, {"Source": "bank", **entry}]):
        with pytest.raises(ClientError, match="AccessDenied"):
            events.put_events(Entries=others)
    elsewhere = {"Source": "shop", "EventBusName": "another", **entry}
    with pytest.raises(ClientError, match="AccessDenied"):
        events.put_events(Entries=[elsewhere])


def test_the_aws_cli_acts_as_a_role(sandbox: Sandbox, aws: Aws, role: str, name: str) -> None:
    # given
    arn = table(aws, name)
    grant(aws, role, "dynamodb:DescribeTable", arn)
    environment = sandbox.environment_as(role, "alice")

    # then
    described = aws_cli(environment, "dynamodb", "describe-table", "--table-name", name)
    assert json.loads(described)["Table"]["TableArn"] == arn
    who = aws_cli(environment, "sts", "get-caller-identity")
    assert json.loads(who)["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/alice"
    with pytest.raises(ClientError, match="AccessDenied"):
        client("dynamodb", environment).scan(TableName=name)


def test_an_api_that_would_lead_nowhere_is_refused(aws: Aws, name: str) -> None:
    with pytest.raises(ClientError, match="from stacks only"):
        aws("apigateway").create_rest_api(name=name)


# --- a function, from HTTP to its log -------------------------------------------------------------


@pytest.fixture
def live_function(sandbox: Sandbox, aws: Aws, role: str, name: str) -> Iterator[str]:
    """A function with an alias `live`, behind the newest API's stage `api`. It may write its log."""
    grant(aws, role, ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], log_of(name))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("echo.py", ECHO)
    aws("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=role,
        Handler="echo.handler",
        Code={"ZipFile": content.getvalue()},
    )
    version = aws("lambda").publish_version(FunctionName=name)["Version"]
    alias = aws("lambda").create_alias(FunctionName=name, Name="live", FunctionVersion=version)["AliasArn"]
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{alias}/invocations"
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri}
    method = {"x-amazon-apigateway-any-method": {"x-amazon-apigateway-integration": integration}}
    api = sandbox.apis.create_api(definition.read({"openapi": "3.0.1", "paths": {"/{proxy+}": method}}))
    sandbox.apis.create_deployment(api, "api")
    aws("lambda").add_permission(
        FunctionName=alias,
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/*",
    )
    yield name
    sandbox.apis.delete_api(api)
    aws("lambda").delete_function(FunctionName=name)


def test_the_api_answers_with_what_live_says(sandbox: Sandbox, live_function: str) -> None:
    status, body = get(sandbox, "/_sandbox/api/orders/7?status=418")
    assert status == 418
    assert json.loads(body)["path"] == "/orders/7"


def test_an_api_is_reached_by_its_own_address_and_gets_paths_as_they_were_sent(
    sandbox: Sandbox, live_function: str
) -> None:
    # given
    newest = sandbox.apis.newest_with("api")

    # then
    _, body = get(sandbox, f"/_sandbox/apis/{newest}/api/greetings/%E4%B8%96%20%2F?x=1")
    assert json.loads(body)["path"] == "/greetings/%E4%B8%96%20%2F"
    assert get(sandbox, f"/_sandbox/apis/{newest}/prod/orders")[0] == 403
    assert get(sandbox, "/_sandbox/apis/")[0] == 403


def test_a_function_calls_aws_in_its_roles_name(sandbox: Sandbox, live_function: str) -> None:
    _, body = get(sandbox, "/_sandbox/api/who")
    expected = f"arn:aws:sts::123456789012:assumed-role/{live_function}/{live_function}"
    assert json.loads(body)["arn"] == expected


def test_the_aws_cli_follows_the_function_and_its_log(sandbox: Sandbox, live_function: str) -> None:
    # given
    assert get(sandbox, "/_sandbox/api/unforgettable")[0] == 200

    # then
    alias = json.loads(
        aws_cli(
            sandbox.environment, "lambda", "get-alias", "--function-name", live_function, "--name", "live"
        )
    )
    assert alias["FunctionVersion"] == "1"
    # `aws logs tail` of version 2 asks for the same
    group = f"/aws/lambda/{live_function}"
    log = aws_cli(
        sandbox.environment, "logs", "filter-log-events", "--log-group-name", group, "--interleaved"
    )
    assert "saw /unforgettable" in log


def logged(aws: Aws, function: str) -> str:
    """What is in a function's log group, each invocation's report included."""
    events = aws("logs").filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
    return "\n".join(event["message"] for event in events)


def invoked(aws: Aws, function: str, path: str) -> str:
    """Invoke, wait for the answer, and give the log tail."""
    event = json.dumps({"path": path, "queryStringParameters": None})
    answer = aws("lambda").invoke(FunctionName=function, LogType="Tail", Payload=event)
    return base64.b64decode(answer["LogResult"]).decode()


@pytest.mark.parametrize(
    "allowed",
    [
        [],
        ["logs:CreateLogGroup", "logs:CreateLogStream"],
        ["logs:CreateLogGroup", "logs:PutLogEvents"],
    ],
)
def test_a_log_is_written_only_with_the_rights_of_the_role(
    aws: Aws, role: str, live_function: str, allowed: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    # given
    aws("logs").create_log_group(logGroupName=f"/aws/lambda/{live_function}")
    grant(aws, role, allowed or ["sns:Publish"], log_of(live_function))

    # when
    tail = invoked(aws, live_function, "/lost")

    # then: the caller has what was written, Logs has not, and the sandbox says why
    assert "saw /lost" in tail
    assert logged(aws, live_function) == ""
    assert f"do not let {role} do logs:" in capfd.readouterr().err


def test_a_missing_log_group_is_created_only_by_a_role_that_may(
    aws: Aws, role: str, live_function: str
) -> None:
    # given
    grant(aws, role, ["logs:CreateLogStream", "logs:PutLogEvents"], log_of(live_function))

    # when
    invoked(aws, live_function, "/lost")
    there = aws("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{live_function}")["logGroups"]
    aws("logs").create_log_group(logGroupName=f"/aws/lambda/{live_function}")
    invoked(aws, live_function, "/kept")

    # then
    assert there == []
    assert "saw /kept" in logged(aws, live_function)


def test_a_right_that_is_taken_away_ends_the_log_at_once(aws: Aws, role: str, live_function: str) -> None:
    # given a worker that has written already
    invoked(aws, live_function, "/first")

    # when
    grant(aws, role, ["logs:CreateLogGroup", "logs:CreateLogStream"], log_of(live_function))
    invoked(aws, live_function, "/second")

    # then
    assert "saw /first" in logged(aws, live_function)
    assert "saw /second" not in logged(aws, live_function)


def test_a_function_writes_into_the_group_its_configuration_names_and_no_other(
    aws: Aws, role: str, live_function: str
) -> None:
    # given a role whose rights are about another group
    group = f"/shared/{live_function}"
    aws("logs").create_log_group(logGroupName=group)
    aws("lambda").update_function_configuration(FunctionName=live_function, LoggingConfig={"LogGroup": group})
    aws("lambda").get_waiter("function_updated_v2").wait(FunctionName=live_function)

    # when
    invoked(aws, live_function, "/lost")
    before = aws("logs").filter_log_events(logGroupName=group)["events"]
    grant(
        aws,
        role,
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        f"arn:aws:logs:us-east-1:123456789012:log-group:{group}:*",
    )
    invoked(aws, live_function, "/kept")

    # then
    assert before == []
    after = aws("logs").filter_log_events(logGroupName=group)["events"]
    assert any("saw /kept" in event["message"] for event in after)


def aws_cli(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "awscli", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the command ----------------------------------------------------------------------------------


def command(*arguments: str, **environment: str) -> Result:
    return CliRunner(env={"AWS_ENDPOINT_URL": None, "SANDBOX_PORT": None, **environment}).invoke(
        main, arguments
    )


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A folder with the smallest service that can be pushed."""
    (tmp_path / "app.py").write_text("def handler(event, context): return {}\n")
    (tmp_path / "Dockerfile").write_text(
        'FROM public.ecr.aws/lambda/python:3.12\nCOPY app.py ${LAMBDA_TASK_ROOT}/\nCMD ["app.handler"]\n'
    )
    return tmp_path


@pytest.fixture
def closed_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_push_builds_uploads_and_prints_the_digest(
    sandbox: Sandbox, aws: Aws, service: Path, name: str
) -> None:
    # given
    aws("ecr").create_repository(repositoryName=name)

    # when
    pushed = command("push", str(service), "--tag", "v1", "--repository", name, AWS_ENDPOINT_URL=sandbox.url)

    # then
    assert pushed.exit_code == 0, pushed.output
    digest = pushed.output.splitlines()[-1]
    (image,) = aws("ecr").describe_images(repositoryName=name)["imageDetails"]
    assert (image["imageDigest"], image["imageTags"]) == (digest, ["v1"])


def test_a_push_without_a_running_sandbox_says_how_to_start_one(service: Path, closed_port: int) -> None:
    # when
    pushed = command("push", str(service), "--tag", "v1", "--port", str(closed_port))

    # then
    assert pushed.exit_code == 1
    assert f"No sandbox answers at http://127.0.0.1:{closed_port}" in pushed.output
    assert "make sandbox" in pushed.output


def test_a_push_to_an_endpoint_that_is_no_url_names_it(service: Path) -> None:
    pushed = command("push", str(service), "--tag", "v1", AWS_ENDPOINT_URL="localhost 4599")
    assert pushed.exit_code == 1
    assert "'localhost 4599', which is no URL" in pushed.output


def test_a_push_of_a_folder_without_a_dockerfile_names_the_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    pushed = command("push", str(tmp_path), "--tag", "v1", AWS_ENDPOINT_URL=sandbox.url)
    assert pushed.exit_code == 1
    assert f"{tmp_path} has no Dockerfile" in pushed.output


def test_a_push_asks_which_repository_when_there_are_several(
    sandbox: Sandbox, aws: Aws, service: Path, name: str
) -> None:
    # given
    for repository in (f"{name}-a", f"{name}-b"):
        aws("ecr").create_repository(repositoryName=repository)

    # when
    pushed = command("push", str(service), "--tag", "v1", AWS_ENDPOINT_URL=sandbox.url)

    # then
    assert pushed.exit_code == 1
    assert "Add --repository with one of: " in pushed.output
    assert f"{name}-a, {name}-b" in pushed.output


def test_a_push_to_a_repository_that_is_not_there_gives_ecrs_reason(sandbox: Sandbox, service: Path) -> None:
    pushed = command(
        "push", str(service), "--tag", "v1", "--repository", "missing", AWS_ENDPOINT_URL=sandbox.url
    )
    assert pushed.exit_code == 1
    assert "RepositoryNotFoundException" in pushed.output


def test_a_taken_port_is_named_with_the_way_out() -> None:
    # given
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])

        # when: in a process of its own, for this one may run a sandbox already
        started = subprocess.run(
            [sys.executable, "-m", "sandbox", "up", "--port", port],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            timeout=60,
        )

    # then
    assert started.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use" in started.stderr
    assert "SANDBOX_PORT" in started.stderr


@pytest.fixture
def running_up() -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`sandbox up` in a process of its own, and what it has printed once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "up", "--port", "0", "--update-seconds", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if "Ctrl-C ends it" in line:
            break
    yield process, printed
    process.kill()
    process.wait()


def test_up_prints_what_to_paste_and_ends_cleanly(running_up: tuple["subprocess.Popen[str]", str]) -> None:
    # given
    process, printed = running_up
    exports = dict(re.findall(r"export (\w+)=(\S+)", printed))
    lambda_ = client("lambda", exports)

    # then: what is printed works
    (alias_command,) = re.findall(r"aws lambda get-alias --function-name (\S+) --name live", printed)
    assert lambda_.get_alias(FunctionName=alias_command, Name="live")["FunctionVersion"] == "1"

    # when: it is told to end while a function's worker is there
    (deployer,) = re.findall(r"aws logs tail /aws/lambda/(\S+)", printed)
    lambda_.invoke(FunctionName=deployer, Payload=b"{}")
    workers = children(process.pid)
    assert workers
    process.send_signal(signal.SIGTERM)

    # then
    assert process.wait(30) == 0
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_an_empty_account_has_no_stack_and_says_how_to_get_one() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "up", "--port", "0", "--empty"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None

    printed = "".join(iter(process.stdout.readline, "Ctrl-C ends it; nothing is kept.\n"))
    exports = dict(re.findall(r"export (\w+)=(\S+)", printed))
    stacks = client("cloudformation", exports).describe_stacks()["Stacks"]
    process.kill()
    process.wait()

    assert "sam build && sam deploy --guided" in printed
    assert stacks == []


def children(pid: int) -> list[int]:
    """The child processes of a process, whichever of its threads started them."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]
