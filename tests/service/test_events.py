"""Real API Gateway events through the handler, as Lambda calls it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from lambda_handler import handler

Event = Callable[[str], dict[str, Any]]


def body(answer: dict[str, Any]) -> Any:
    return json.loads(answer["body"])


def test_an_event_with_only_method_path_and_headers_is_enough() -> None:
    answer = handler({"httpMethod": "GET", "path": "/health", "headers": {}}, None)

    assert answer["statusCode"] == 200
    assert body(answer)["status"] == "ok"


@pytest.mark.parametrize("name", ["proxy-health", "proxy-trailing-slash", "custom-domain-base-path"])
def test_a_greedy_proxy_event_reaches_the_chalice_route(name: str, event: Event) -> None:
    answer = handler(event(name), None)

    assert answer["statusCode"] == 200
    assert body(answer)["service"] == "shuking"


def test_the_root_has_a_resource_of_its_own(event: Event) -> None:
    answer = handler(event("root"), None)

    assert body(answer) == {"name": "shuking", "version": "1.0.0"}


def test_the_last_of_several_query_values_counts(event: Event) -> None:
    answer = handler(event("get-query-and-multi-value-headers"), None)

    assert body(answer) == {"message": "Hallo, Ada!"}


def test_a_query_that_only_has_single_values_counts_too(event: Event) -> None:
    given = event("get-query-and-multi-value-headers")
    given["multiValueQueryStringParameters"] = None

    answer = handler(given, None)

    assert body(answer) == {"message": "Hallo, Ada!"}


@pytest.mark.parametrize("name", ["path-parameter-percent-encoded", "proxy-percent-encoded"])
def test_a_percent_encoded_path_parameter_means_the_same_on_every_resource(name: str, event: Event) -> None:
    answer = handler(event(name), None)

    assert body(answer) == {"message": "Hello, 世界 / Ada+1+2!"}  # a plus sign in a path is a plus sign


@pytest.mark.parametrize("name", ["post-json-body", "post-base64-body"])
def test_a_body_arrives_plain_or_in_base64(name: str, event: Event) -> None:
    answer = handler(event(name), None)

    assert body(answer) == {"message": "Hello, Zoë!"}


@pytest.mark.parametrize("sent", [None, "", "{", "[]", '{"name": ""}', '{"name": 1}', "\ud800"])
def test_a_body_without_a_name_is_a_bad_request(sent: str | None, event: Event) -> None:
    answer = handler(event("post-json-body") | {"body": sent}, None)

    assert answer["statusCode"] == 400


def test_a_body_that_is_not_base64_is_a_bad_request(event: Event) -> None:
    answer = handler(event("post-base64-body") | {"body": "not base64: é"}, None)

    assert answer["statusCode"] == 400


def test_an_unknown_language_is_a_bad_request_that_names_the_known_ones() -> None:
    answer = handler(
        {"httpMethod": "GET", "path": "/greetings/Ada", "queryStringParameters": {"language": "xx"}}, None
    )

    assert answer["statusCode"] == 400
    assert "en, de, fr, zh" in body(answer)["Message"]


def test_an_unknown_route_is_not_found(event: Event) -> None:
    answer = handler(event("unknown-route"), None)

    assert (answer["statusCode"], body(answer)["Code"]) == (404, "NotFoundError")


def test_a_wrong_method_is_not_allowed_and_says_which_is(event: Event) -> None:
    answer = handler(event("wrong-method"), None)

    assert (answer["statusCode"], answer["headers"]["Allow"]) == (405, "GET, OPTIONS")


@pytest.mark.parametrize(
    ("malformed", "because"),
    [
        (None, "not null"),
        ([], "not an array"),
        ("GET /health", "not a string"),
        (17, "not a number"),
        ({}, "httpMethod is missing"),
        ({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}, "httpMethod is missing"),
        ({"httpMethod": "GET"}, "path is missing"),
        ({"httpMethod": ["GET"], "path": "/"}, "httpMethod must be a string, not an array"),
        ({"httpMethod": "GET", "path": 1}, "path must be a string, not a number"),
        ({"httpMethod": "GET", "path": "/", "headers": "Accept"}, "headers must be an object, not a string"),
        ({"httpMethod": "GET", "path": "/", "headers": {"Accept": 1}}, "headers must have strings"),
        (
            {"httpMethod": "GET", "path": "/", "multiValueHeaders": {"Accept": "*"}},
            "must have lists of strings",
        ),
        ({"httpMethod": "GET", "path": "/", "requestContext": True}, "requestContext must be an object"),
        ({"httpMethod": "GET", "path": "/", "body": {}}, "body must be a string, not an object"),
        (
            {"httpMethod": "GET", "path": "/", "isBase64Encoded": "no"},
            "isBase64Encoded must be true or false",
        ),
    ],
)
def test_a_malformed_event_is_a_bad_request_that_says_why(malformed: object, because: str) -> None:
    answer = handler(malformed, None)

    assert answer["statusCode"] == 400
    assert because in body(answer)["Message"]


def test_what_a_malformed_event_holds_is_repeated_neither_to_the_sender_nor_in_the_log(
    logged: list[str],
) -> None:
    answer = handler({"httpMethod": "GET", "path": "/", "headers": ["Bearer hunter2"]}, None)

    assert [line for line in logged if "event refused" in line]
    assert "hunter2" not in answer["body"] + "".join(logged)
