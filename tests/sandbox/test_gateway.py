"""HTTP comes in, a REST API's proxy event goes to the function behind a stage, its answer goes out."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from sandbox.account import AwsError
from sandbox.door.policy import Document
from sandbox.gateway import definition
from sandbox.gateway.access_log import AccessLogs
from sandbox.gateway.apis import AccessLog, Apis, StageSettings
from sandbox.gateway.gateway import Gateway
from sandbox.running.programs import Invocation

LIVE = "arn:aws:lambda:us-east-1:123456789012:function:service:live"
ROLE = "arn:aws:iam::123456789012:role/writes-logs"
OK = {"statusCode": 200, "body": "fine"}
Body = dict[str, Any]


def proxy_to(function: str = LIVE, **more: Any) -> Body:
    """A method of an OpenAPI body, with a function behind it."""
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    return {
        "x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST", "uri": uri, **more}
    }


def anything(function: str = LIVE, **more: Any) -> Body:
    return {"x-amazon-apigateway-any-method": proxy_to(function, **more)}


def body(paths: Body | None = None, **more: Any) -> Body:
    return {"openapi": "3.0.1", "paths": paths or {"/": anything(), "/{proxy+}": anything()}, **more}


def binary(*types: str) -> Body:
    return {"x-amazon-apigateway-binary-media-types": list(types)}


def gateway_responses(**by_type: str) -> Body:
    """One header, with a text of its own for each type."""
    parameter = "gatewayresponse.header.Access-Control-Allow-Origin"
    return {
        "x-amazon-apigateway-gateway-responses": {
            kind: {"responseParameters": {parameter: f"'{text}'"}} for kind, text in by_type.items()
        }
    }


class World:
    """An account with one API and its stage `api`, in front of a function that remembers its last event."""

    def __init__(self, given: Body | None = None, **stage: Any) -> None:
        self.now = 1000.0
        self.seconds = 0.0  # how long the function takes
        self.event: dict[str, Any] = {}
        self.asked: list[str] = []
        self.refusal: Exception | None = None
        self.answers(OK)
        self.resource = LIVE  # of what the policy lets invoke, by whom
        self.allowed = "arn:aws:execute-api:us-east-1:123456789012:{api}/*"
        self.lines: list[tuple[str, str]] = []
        self.grants = {"logs:CreateLogStream", "logs:PutLogEvents"}
        self.apis = Apis(trusts=lambda role, service: role == ROLE, clock=lambda: self.now)
        self.apis.set_log_role(ROLE)
        self.api = self.apis.create_api(definition.read(given or body()))
        self.stage(**stage)
        logs = AccessLogs(lambda: self.apis.log_role, self._role_allows, self._put_line)
        self.gateway = Gateway(self.apis, self._invoke, self._policy, logs, clock=lambda: self.now)

    def stage(self, **settings: Any) -> None:
        deployment = self.apis.create_deployment(self.api)
        self.apis.create_stage(self.api, "api", StageSettings(deployment, **settings))

    def answers(self, answer: object = None, *, raw: bytes | None = None, error: str | None = None) -> None:
        payload = raw if raw is not None else json.dumps(answer).encode()
        self._invocation = Invocation("r", 200, payload, "7", error)

    def ask(self, path: str = "/health", stage: str = "api", **request: Any) -> Response:
        environ = EnvironBuilder(path="/", **request).get_environ()
        return self.gateway.respond(Request(environ), self.api, stage, path)

    def _invoke(self, function_arn: str, payload: bytes) -> Invocation:
        if self.refusal:
            raise self.refusal
        self.asked.append(function_arn)
        self.event = json.loads(payload)
        self.now += self.seconds
        return self._invocation

    def _policy(self, function_arn: str) -> Document:
        return {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "apigateway.amazonaws.com"},
                    "Action": "lambda:InvokeFunction",
                    "Resource": self.resource,
                    "Condition": {"ArnLike": {"AWS:SourceArn": self.allowed.replace("{api}", self.api)}},
                }
            ]
        }

    def _role_allows(self, role: str, action: str, resource: str) -> bool:
        prefix = "arn:aws:logs:us-east-1:123456789012:log-group:access:log-stream:"
        return role == ROLE and action in self.grants and resource.startswith(prefix)

    def _put_line(self, group: str, stream: str, line: str) -> None:
        self.lines.append((group, line))


# --- the event ------------------------------------------------------------------------------------


def test_the_function_gets_a_rest_apis_proxy_event() -> None:
    # given
    world = World(variables={"colour": "blue"})

    # when
    world.ask(
        "/orders/7",
        method="POST",
        query_string="tag=a&tag=b&empty=",
        headers=[("X-Trace", "one"), ("X-Trace", "two"), ("User-Agent", "curl/8")],
        data='{"n": "Zoë"}'.encode(),
        content_type="application/json",
    )

    # then
    event = world.event
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/{proxy+}", "/orders/7", "POST")
    assert event["pathParameters"] == {"proxy": "orders/7"}
    assert event["queryStringParameters"] == {"tag": "b", "empty": ""}
    assert event["multiValueQueryStringParameters"] == {"tag": ["a", "b"], "empty": [""]}
    assert event["headers"]["Content-Type"] == "application/json"
    assert (event["body"], event["isBase64Encoded"]) == ('{"n": "Zoë"}', False)
    assert event["stageVariables"] == {"colour": "blue"}
    context = event["requestContext"]
    assert (context["resourcePath"], context["httpMethod"], context["stage"]) == ("/{proxy+}", "POST", "api")
    assert (context["apiId"], context["path"]) == (world.api, "/api/orders/7")
    assert context["identity"]["userAgent"] == "curl/8"


def test_a_request_without_query_and_body_has_nulls_as_on_api_gateway() -> None:
    # given
    world = World()

    # when
    world.ask("/")

    # then
    assert world.event["resource"] == "/"
    assert world.event["pathParameters"] is None
    assert world.event["queryStringParameters"] is None
    assert world.event["multiValueQueryStringParameters"] is None
    assert world.event["stageVariables"] is None
    assert world.event["body"] is None


@pytest.mark.parametrize("binary_type", ["*/*", "image/png"])
def test_a_body_of_a_binary_type_arrives_in_base64(binary_type: str) -> None:
    # given
    world = World(body(**binary(binary_type)))

    # when
    world.ask(method="PUT", data=b"\xff\x00", content_type="image/png")

    # then
    assert world.event["isBase64Encoded"] is True
    assert base64.b64decode(world.event["body"]) == b"\xff\x00"


def test_bytes_of_a_type_that_the_api_does_not_call_binary_are_damaged_as_on_aws() -> None:
    # given
    world = World()

    # when
    world.ask(method="PUT", data=b"a\xff", content_type="image/png")

    # then
    assert (world.event["body"], world.event["isBase64Encoded"]) == ("a\N{REPLACEMENT CHARACTER}", False)


# --- the answer -----------------------------------------------------------------------------------


def test_the_answer_of_the_function_is_the_answer_of_the_api() -> None:
    # given
    world = World()
    world.answers(
        {
            "statusCode": 201,
            "headers": {"X-One": "1", "Set-Cookie": "lost=1", "X-Flag": True},
            "multiValueHeaders": {"set-cookie": ["a=1", "b=2"]},
            "body": "créé",
        }
    )

    # when
    response = world.ask()

    # then
    assert response.status_code == 201
    assert response.get_data(as_text=True) == "créé"
    assert response.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert response.headers["X-Flag"] == "true"
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("accept", "sent"),
    [
        ("image/png, */*", b"\x89PNG"),
        ("image/png;q=0.9", b"\x89PNG"),
        ("text/html, image/png", b"iVBORw=="),
        ("", b"iVBORw=="),
    ],
)
def test_a_base64_answer_becomes_bytes_for_whoever_accepts_a_binary_type_first(
    accept: str, sent: bytes
) -> None:
    # given
    world = World(body(**binary("image~1png")))
    world.answers({"statusCode": 200, "body": base64.b64encode(b"\x89PNG").decode(), "isBase64Encoded": True})

    # then
    assert world.ask(headers={"Accept": accept}).data == sent


def test_an_error_status_of_the_service_is_passed_on() -> None:
    # given
    world = World(body(**gateway_responses(DEFAULT_5XX="*")))
    world.answers({"statusCode": 503, "body": "{}"})

    # when
    response = world.ask()

    # then: it is the function's, so the gateway's own headers are not on it
    assert response.status_code == 503
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    "answer",
    [
        {"answer": {"errorMessage": "boom"}, "error": "Unhandled"},
        {"answer": "just text"},
        {"answer": None},
        {"answer": []},
        {"raw": b"{not json"},
        {"answer": {"statusCode": "many"}},
        {"answer": {"statusCode": 42}},
        {"answer": {"statusCode": 200, "body": {"not": "text"}}},
        {"answer": {"statusCode": 200, "headers": ["x"]}},
        {"answer": {"statusCode": 200, "headers": {"x": {}}}},
        {"answer": {"statusCode": 200, "headers": {"x": "a\r\nSet-Cookie: b"}}},
        {"answer": {"statusCode": 200, "body": "%%%", "isBase64Encoded": True}},
    ],
)
def test_a_failed_or_malformed_answer_is_a_bad_gateway(answer: Any) -> None:
    # given
    world = World(body(**binary("*/*")))
    world.answers(**answer)

    # when
    response = world.ask()

    # then
    assert response.status_code == 502
    assert response.get_json() == {"message": "Internal server error"}
    assert response.headers["x-sandbox-version"] == "7"


def test_every_answer_of_a_function_says_which_version_gave_it() -> None:
    assert World().ask().headers["x-sandbox-version"] == "7"


def test_a_function_that_takes_longer_than_its_integration_waits_is_a_time_out() -> None:
    # given
    world = World(body({"/{proxy+}": anything(timeoutInMillis=5000), "/slow": anything()}))
    world.seconds = 6

    # when
    response = world.ask("/health")

    # then
    assert response.status_code == 504
    assert response.get_json() == {"message": "Endpoint request timed out"}
    assert world.ask("/slow").status_code == 200


# --- which function -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "function", "parameters"),
    [
        ("GET", "/orders", "orders", None),
        ("GET", "/orders/", "orders", None),
        ("GET", "/orders/7", "one", {"id": "7"}),
        ("GET", "/orders/a%2Fb%20c", "one", {"id": "a%2Fb%20c"}),
        ("DELETE", "/orders/7", "delete", {"id": "7"}),
        ("GET", "/orders/new", "new", None),
        ("GET", "/orders/7/lines/1", "rest", {"proxy": "orders/7/lines/1"}),
    ],
)
def test_the_most_specific_path_and_method_wins(
    method: str, path: str, function: str, parameters: dict[str, str] | None
) -> None:
    # given
    world = World(
        body(
            {
                "/{proxy+}": anything("arn:aws:lambda:us-east-1:123456789012:function:rest"),
                "/orders": anything("arn:aws:lambda:us-east-1:123456789012:function:orders"),
                "/orders/{id}": {
                    **anything("arn:aws:lambda:us-east-1:123456789012:function:one"),
                    "delete": proxy_to("arn:aws:lambda:us-east-1:123456789012:function:delete"),
                },
                "/orders/new": anything("arn:aws:lambda:us-east-1:123456789012:function:new"),
            }
        )
    )
    world.resource = "*"

    # when
    world.ask(path, method=method)

    # then
    assert world.asked == [f"arn:aws:lambda:us-east-1:123456789012:function:{function}"]
    assert world.event["pathParameters"] == parameters


def test_what_the_body_does_not_have_is_answered_as_on_aws() -> None:
    # given
    world = World(body({"/orders": {"get": proxy_to()}}))

    # then
    assert world.ask("/orders").status_code == 200
    for path, method in (("/", "GET"), ("/orders/7", "GET"), ("/orders", "POST")):
        response = world.ask(path, method=method)
        assert (response.status_code, response.get_json()) == (
            403,
            {"message": "Missing Authentication Token"},
        )
    assert world.ask("/orders", stage="prod").get_json() == {"message": "Forbidden"}


def test_a_changed_body_reaches_a_stage_with_its_next_deployment() -> None:
    # given
    world = World(body({"/old": anything()}))

    # when
    world.apis.put_api(world.api, definition.read(body({"/new": anything()})))
    before = (world.ask("/old").status_code, world.ask("/new").status_code)
    deployment = world.apis.create_deployment(world.api)
    world.apis.update_stage(world.api, "api", StageSettings(deployment))

    # then
    assert before == (200, 403)
    assert (world.ask("/old").status_code, world.ask("/new").status_code) == (403, 200)


# --- permission -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        ("arn:aws:execute-api:us-east-1:123456789012:{api}/*", 200),
        ("arn:aws:execute-api:us-east-1:123456789012:{api}/api/GET/health", 200),
        ("arn:aws:execute-api:us-east-1:123456789012:{api}/api/POST/*", 500),
        ("arn:aws:execute-api:us-east-1:123456789012:{api}/prod/*", 500),
        ("arn:aws:execute-api:us-east-1:123456789012:another/*", 500),
        ("arn:aws:execute-api:eu-west-1:123456789012:{api}/*", 500),
    ],
)
def test_the_functions_own_policy_must_let_this_api_stage_method_and_path_invoke_it(
    allowed: str, status: int
) -> None:
    # given
    world = World()
    world.allowed = allowed

    # then
    assert world.ask("/health").status_code == status
    assert bool(world.asked) is (status == 200)


def test_a_missing_permission_is_told_to_nobody_but_whoever_runs_the_sandbox(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # given
    world = World()
    world.allowed = "arn:aws:execute-api:us-east-1:123456789012:another/*"

    # when
    response = world.ask("/health")

    # then
    assert response.get_json() == {"message": "Internal server error"}
    said = capsys.readouterr().err
    assert f"the policy of {LIVE} does not let apigateway.amazonaws.com do lambda:InvokeFunction" in said
    assert f"{world.api}/api/GET/health" in said


def test_a_throttled_function_is_an_internal_error_of_the_api() -> None:
    # given
    world = World()
    world.refusal = AwsError("TooManyRequestsException", "Rate Exceeded.", 429)

    # then
    assert world.ask().status_code == 500


# --- limits, and the gateway's own answers ----------------------------------------------------------


def test_a_body_over_api_gateways_limit_is_refused() -> None:
    assert World().ask(method="POST", data=b"x" * (10 * 1024 * 1024 + 1)).status_code == 413


def test_more_requests_than_the_stage_lets_pass_are_refused_until_time_has_passed() -> None:
    # given
    world = World(rate=2.0, burst=3)

    # when
    first = [world.ask().status_code for _ in range(5)]
    response = world.ask()
    world.now += 1.0
    later = [world.ask().status_code for _ in range(3)]

    # then
    assert first == [200, 200, 200, 429, 429]
    assert response.get_json() == {"message": "Too Many Requests"}
    assert later == [200, 200, 429]


def test_the_gateways_own_answers_carry_the_headers_of_its_responses() -> None:
    # given
    responses = gateway_responses(DEFAULT_4XX="for-4", DEFAULT_5XX="for-5", THROTTLED="slower")
    world = World(body({"/health": anything()}, **responses), rate=0.0, burst=2)
    name = "Access-Control-Allow-Origin"

    # when
    fine = world.ask("/health")
    world.allowed = "nobody"
    refused = world.ask("/health")

    # then
    assert name not in fine.headers
    assert (refused.status_code, refused.headers[name]) == (500, "for-5")
    assert (world.ask("/health").status_code, world.ask("/health").headers[name]) == (429, "slower")
    assert world.ask("/nowhere").headers[name] == "for-4"


def test_a_gateway_response_may_word_its_body() -> None:
    # given
    template = '{"error": $context.error.messageString, "id": "$context.requestId"}'
    responses = {"DEFAULT_4XX": {"responseTemplates": {"application/json": template}}}
    world = World(body({"/health": anything()}, **{"x-amazon-apigateway-gateway-responses": responses}))

    # when
    response = world.ask("/nowhere")

    # then
    assert response.get_json() == {
        "error": "Missing Authentication Token",
        "id": response.headers["x-amzn-RequestId"],
    }


# --- access logs ----------------------------------------------------------------------------------

FORMAT = json.dumps(
    {
        "id": "$context.requestId",
        "what": "$context.httpMethod $context.path by $context.resourcePath",
        "who": "$context.identity.sourceIp",
        "status": "$context.status",
        "length": "$context.responseLength",
        "latency": "$context.responseLatency",
        "error": "$context.error.message",
        "why": "$context.integrationErrorMessage",
        "nothing": "$context.authorizer.principalId",
    }
)


def test_every_request_is_a_line_in_the_access_log() -> None:
    # given
    world = World(access_log=AccessLog("access", FORMAT))
    world.seconds = 0.25

    # when
    response = world.ask('/say/"hi"', environ_base={"REMOTE_ADDR": "203.0.113.9"})

    # then
    [(group, line)] = world.lines
    assert group == "access"
    assert json.loads(line) == {
        "id": response.headers["x-amzn-RequestId"],
        "what": 'GET /api/say/"hi" by /{proxy+}',
        "who": "203.0.113.9",
        "status": "200",
        "length": "4",
        "latency": "250",
        "error": "-",
        "why": "-",
        "nothing": "-",
    }


def test_the_access_log_says_what_the_answer_does_not() -> None:
    # given
    world = World(access_log=AccessLog("access", FORMAT))
    world.answers({"errorMessage": "boom"}, error="Unhandled")

    # when
    world.ask()

    # then
    line = json.loads(world.lines[0][1])
    assert (line["status"], line["error"]) == ("502", "Internal server error")
    assert line["why"] == "Lambda execution failed"


@pytest.mark.parametrize("missing", ["logs:CreateLogStream", "logs:PutLogEvents"])
def test_a_role_that_may_not_write_the_access_log_is_said_once_and_answers_go_on(
    missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    world = World(access_log=AccessLog("access", FORMAT))
    world.grants.remove(missing)

    # when
    statuses = [world.ask().status_code for _ in range(2)]

    # then
    assert statuses == [200, 200]
    assert world.lines == []
    assert capsys.readouterr().err.count(f"{ROLE} may not {missing}") == 1


def test_a_stage_may_write_logs_only_for_an_account_with_a_role() -> None:
    # given
    world = World()
    world.apis.set_log_role(None)
    deployment = world.apis.create_deployment(world.api)

    # then
    for logs in ({"access_log": AccessLog("access", FORMAT)}, {"execution_logs": True}):
        with pytest.raises(AwsError, match="CloudWatch Logs role ARN must be set in account settings"):
            world.apis.create_stage(world.api, "logged", StageSettings(deployment, **logs))


def test_the_account_takes_only_a_role_that_api_gateway_may_assume() -> None:
    with pytest.raises(AwsError, match="grant trust permission for API Gateway"):
        World().apis.set_log_role("arn:aws:iam::123456789012:role/of-somebody-else")


@pytest.mark.parametrize("line", ['{"status": "$context.status"}', "$context.requestId\n$context.status"])
def test_a_format_that_aws_refuses_is_refused(line: str) -> None:
    with pytest.raises(AwsError, match="Access log format must"):
        AccessLog("access", line)


# --- deployments and bodies -------------------------------------------------------------------------


def test_a_deployment_that_a_stage_serves_cannot_be_deleted() -> None:
    # given
    world = World()
    [deployment] = {stage.deployment_id for stage in [world.apis.stage(world.api, "api")] if stage}

    # then
    with pytest.raises(AwsError, match="Active stages pointing to this deployment"):
        world.apis.delete_deployment(world.api, deployment)
    world.apis.delete_stage(world.api, "api")
    world.apis.delete_deployment(world.api, deployment)


def test_the_short_address_leads_to_the_newest_api_with_such_a_stage() -> None:
    # given
    world = World()

    # when: one without a stage follows
    world.apis.create_api(definition.read(body()))

    # then
    assert world.apis.newest_with("api") == world.api
    world.apis.delete_api(world.api)
    assert world.apis.newest_with("api") is None


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"swagger": "2.0", "paths": {"/": {}}}, "swagger"),
        ({"openapi": "2.0", "paths": {"/": {}}}, "openapi: 3"),
        ({"openapi": "3.0.1"}, "no paths"),
        (body({"/": {"get": {}}}), "no integration defined"),
        (body({"/": {"x-amazon-apigateway-any-method": {**proxy_to(), "security": []}}}), "security"),
        (body({"/": anything(type="mock")}), "not mock"),
        (body({"/": anything(httpMethod="GET")}), "must be POST"),
        (body({"/": anything(uri="https://example.com")}), "no Lambda function's invocation URI"),
        (body({"/": anything(timeoutInMillis=30_000)}), "between 50 ms and 29000 ms"),
        (body({"/": anything(credentials="arn:aws:iam::1:role/x")}), "credentials"),
        (body({"/{proxy+}/more": anything()}), "only its end may be greedy"),
        (body({"orders": anything()}), "begins with /"),
        (body(**gateway_responses(DEFAULT_4XX="'")), "quoted text"),
    ],
)
def test_a_body_that_the_sandbox_would_misread_is_refused(wrong: Body, why: str) -> None:
    with pytest.raises(AwsError, match=why):
        definition.read(wrong)
