"""HTTP comes in, a REST API's proxy event goes to the function, its answer goes out as HTTP."""

import base64
import json
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from sandbox.account import AwsError
from sandbox.gateway import Gateway, NoFunctionError
from sandbox.running.programs import Invocation


class Service:
    """A function that remembers the last event and answers what it is told."""

    def __init__(self, answer: object = None, *, raw: bytes | None = None, error: str | None = None) -> None:
        self.event: dict[str, Any] = {}
        self.refusal: Exception | None = None
        self._payload = raw if raw is not None else json.dumps(answer).encode()
        self._error = error

    def invoke(self, payload: bytes) -> Invocation:
        if self.refusal:
            raise self.refusal
        self.event = json.loads(payload)
        return Invocation("r", 200, self._payload, "7", self._error)


OK = {"statusCode": 200, "body": "fine"}


def ask(service: Service, path: str = "/health", **request: Any) -> Response:
    environ = EnvironBuilder(path="/_sandbox/api" + path, **request).get_environ()
    return Gateway(service.invoke).respond(Request(environ), path)


def test_the_function_gets_a_rest_apis_proxy_event() -> None:
    # given
    service = Service(OK)

    # when
    ask(
        service,
        "/orders/7",
        method="POST",
        query_string="tag=a&tag=b&empty=",
        headers=[("X-Trace", "one"), ("X-Trace", "two"), ("User-Agent", "curl/8")],
        data='{"n": "Zoë"}'.encode(),
        content_type="application/json",
    )

    # then
    event = service.event
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/{proxy+}", "/orders/7", "POST")
    assert event["pathParameters"] == {"proxy": "orders/7"}
    assert event["queryStringParameters"] == {"tag": "b", "empty": ""}
    assert event["multiValueQueryStringParameters"] == {"tag": ["a", "b"], "empty": [""]}
    assert event["headers"]["Content-Type"] == "application/json"
    assert (event["body"], event["isBase64Encoded"]) == ('{"n": "Zoë"}', False)
    assert event["stageVariables"] is None
    context = event["requestContext"]
    assert (context["resourcePath"], context["httpMethod"], context["stage"]) == ("/{proxy+}", "POST", "api")
    assert context["path"] == "/api/orders/7"
    assert context["identity"]["userAgent"] == "curl/8"


def test_a_request_without_query_and_body_has_nulls_as_on_api_gateway() -> None:
    # given
    service = Service(OK)

    # when
    ask(service, "/")

    # then
    assert service.event["resource"] == "/"
    assert service.event["pathParameters"] is None
    assert service.event["queryStringParameters"] is None
    assert service.event["multiValueQueryStringParameters"] is None
    assert service.event["body"] is None


def test_a_binary_body_arrives_in_base64() -> None:
    # given
    service = Service(OK)

    # when
    ask(service, method="PUT", data=b"\xff\x00")

    # then
    assert service.event["isBase64Encoded"] is True
    assert base64.b64decode(service.event["body"]) == b"\xff\x00"


def test_the_answer_of_the_function_is_the_answer_of_the_api() -> None:
    # when
    response = ask(
        Service(
            {
                "statusCode": 201,
                "headers": {"X-One": "1", "Set-Cookie": "lost=1", "X-Flag": True},
                "multiValueHeaders": {"set-cookie": ["a=1", "b=2"]},
                "body": "créé",
            }
        )
    )

    # then
    assert response.status_code == 201
    assert response.get_data(as_text=True) == "créé"
    assert response.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert response.headers["X-Flag"] == "true"
    assert response.headers["Content-Type"] == "application/json"


def test_a_base64_answer_is_sent_as_the_bytes_it_means() -> None:
    body = base64.b64encode(b"\x89PNG").decode()
    assert ask(Service({"statusCode": 200, "body": body, "isBase64Encoded": True})).data == b"\x89PNG"


def test_an_error_status_of_the_service_is_passed_on() -> None:
    assert ask(Service({"statusCode": 503, "body": "{}"})).status_code == 503


@pytest.mark.parametrize(
    "service",
    [
        Service({"errorMessage": "boom"}, error="Unhandled"),
        Service("just text"),
        Service(None),
        Service([]),
        Service(raw=b"{not json"),
        Service({"statusCode": "many"}),
        Service({"statusCode": 42}),
        Service({"statusCode": 200, "body": {"not": "text"}}),
        Service({"statusCode": 200, "headers": ["x"]}),
        Service({"statusCode": 200, "headers": {"x": {}}}),
        Service({"statusCode": 200, "headers": {"x": "a\r\nSet-Cookie: b"}}),
        Service({"statusCode": 200, "body": "%%%", "isBase64Encoded": True}),
    ],
)
def test_a_failed_or_malformed_answer_is_a_bad_gateway(service: Service) -> None:
    # when
    response = ask(service)

    # then
    assert response.status_code == 502
    assert response.get_json() == {"message": "Internal server error"}


def test_every_answer_says_which_version_gave_it() -> None:
    assert ask(Service(OK)).headers["x-sandbox-version"] == "7"
    assert ask(Service({}, error="Unhandled")).headers["x-sandbox-version"] == "7"


def test_a_throttled_function_is_an_internal_error_of_the_api() -> None:
    # given
    service = Service(OK)
    service.refusal = AwsError("TooManyRequestsException", "Rate Exceeded.", 429)

    # then
    assert ask(service).status_code == 500


def test_without_a_function_the_api_says_what_is_missing() -> None:
    # given
    service = Service(OK)
    service.refusal = NoFunctionError("no function has an alias live")

    # when
    response = ask(service)

    # then
    assert response.status_code == 503
    assert "alias live" in response.get_json()["message"]


def test_a_body_over_api_gateways_limit_is_refused() -> None:
    assert ask(Service(OK), method="POST", data=b"x" * (10 * 1024 * 1024 + 1)).status_code == 413
