"""`complete` and `resolve`: any event to one that Chalice understands, any path to its route."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from app import app
from hypothesis import given
from hypothesis import strategies as st
from lambda_handler import BadEvent, complete, handler, resolve

EVENTS = Path(__file__).parents[1] / "events/api-gateway"
REAL = [json.loads(file.read_text()) for file in sorted(EVENTS.glob("*.json"))]
WHAT_CHALICE_READS = {
    "requestContext",
    "headers",
    "multiValueQueryStringParameters",
    "pathParameters",
    "body",
    "stageVariables",
}

Event = Callable[[str], dict[str, Any]]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
segments = st.text(st.characters(exclude_characters="/{}", exclude_categories=["Cs"]), min_size=1, max_size=5)


@given(anything)
def test_whatever_json_comes_is_answered_with_a_status(event: Any) -> None:
    answer = handler(event, None)

    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["Code"] == "BadRequestError"


@given(st.sampled_from(REAL), st.data())
def test_any_field_may_hold_anything_and_is_accepted_or_refused_but_never_trips(
    real: dict[str, Any], data: st.DataObject
) -> None:
    given_event = {**real, data.draw(st.sampled_from(sorted(real))): data.draw(anything)}

    answer = handler(given_event, None)

    assert answer["statusCode"] in {200, 204, 400, 404, 405, 415}
    json.dumps(answer)


@given(st.sampled_from(REAL), st.sets(st.sampled_from(sorted(REAL[0]))))
def test_an_event_that_keeps_method_and_path_can_lose_anything_else(
    real: dict[str, Any], lost: set[str]
) -> None:
    # Which custom domain was asked is told by the path parameters alone.
    kept = (
        {"httpMethod", "path"}
        if real["path"] != "/shop/health"
        else {"httpMethod", "resource", "pathParameters"}
    )
    partial = {name: value for name, value in real.items() if name not in lost - kept}

    whole = complete(partial, app.routes)

    assert whole.keys() >= WHAT_CHALICE_READS
    assert whole["requestContext"]["httpMethod"] == real["httpMethod"]
    assert (
        whole["requestContext"]["resourcePath"]
        == complete(real, app.routes)["requestContext"]["resourcePath"]
    )


@given(st.sampled_from(REAL))
def test_completing_twice_changes_nothing_and_the_event_given_stays_as_it_was(real: dict[str, Any]) -> None:
    before = json.dumps(real)

    once = complete(real, app.routes)

    assert complete(once, app.routes) == once
    assert json.dumps(real) == before


@given(st.text(min_size=1))
def test_every_name_survives_the_way_through_the_url(name: str) -> None:
    answer = handler({"httpMethod": "GET", "path": f"/greetings/{quote(name, safe='')}"}, None)

    assert json.loads(answer["body"]) == {"message": f"Hello, {name}!"}


@given(st.lists(segments, min_size=1, max_size=4), st.data())
def test_a_literal_route_beats_every_parameter(path: list[str], data: st.DataObject) -> None:
    literal = "/" + "/".join(path)
    others = [
        "/"
        + "/".join(f"{{p{index}}}" if data.draw(st.booleans()) else part for index, part in enumerate(path))
        for _ in range(3)
    ]

    assert resolve(literal, data.draw(st.permutations([literal, *others]))) == (literal, {})


@given(st.lists(segments, min_size=1, max_size=4))
def test_a_path_fills_the_parameters_of_its_route_in_order(path: list[str]) -> None:
    route = "/" + "/".join(f"{{p{index}}}" for index, _ in enumerate(path))

    assert resolve("/" + "/".join(path), [route]) == (route, {f"p{i}": part for i, part in enumerate(path)})


@pytest.mark.parametrize(
    ("path", "route", "parameters"),
    [
        ("/", "/", {}),
        ("/users/me", "/users/me", {}),
        ("/users/me/", "/users/me", {}),
        ("/users/42", "/users/{id}", {"id": "42"}),
        ("/users/42/cars/a%2Fb", "/users/{id}/cars/{plate}", {"id": "42", "plate": "a%2Fb"}),
        ("/users/me/cars/7", "/users/me/cars/{plate}", {"plate": "7"}),
        ("/users", "/{proxy+}", {"proxy": "users"}),
        ("/users//cars/7", "/{proxy+}", {"proxy": "users//cars/7"}),
    ],
)
def test_a_path_belongs_to_its_most_literal_route(path: str, route: str, parameters: dict[str, str]) -> None:
    routes = [
        "/{proxy+}",
        "/users/{id}/cars/{plate}",
        "/users/me/cars/{plate}",
        "/users/{id}",
        "/users/me",
        "/",
    ]

    assert resolve(path, routes) == (route, parameters)


@pytest.mark.parametrize(
    ("path", "route"), [("/prod/health", "/health"), ("/prod", "/"), ("/production", "/{proxy+}")]
)
def test_the_stage_is_no_part_of_the_path(path: str, route: str) -> None:
    event = {"httpMethod": "GET", "path": path, "requestContext": {"path": path, "stage": "prod"}}

    assert complete(event, app.routes)["requestContext"]["resourcePath"] == route


def test_a_first_segment_that_is_called_like_the_stage_stays() -> None:
    event = {
        "httpMethod": "GET",
        "path": "/health",
        "requestContext": {"path": "/health/health", "stage": "health"},
    }

    assert complete(event, app.routes)["requestContext"]["resourcePath"] == "/health"


def test_headers_are_taken_from_the_multi_value_ones_when_there_are_no_others(event: Event) -> None:
    real = event("get-query-and-multi-value-headers")
    del real["headers"]

    headers = complete(real, app.routes)["headers"]

    assert (headers["Cookie"], headers["Origin"]) == ("b=2", "https://app.example.com")


def test_unknown_paths_do_not_pile_up_in_the_route_table() -> None:
    before = set(app.routes)

    for number in range(50):
        handler({"httpMethod": "GET", "path": f"/no/such/{number}"}, None)

    assert set(app.routes) == before


def test_a_bad_event_says_what_to_send_instead() -> None:
    with pytest.raises(BadEvent, match=r'send at least \{"httpMethod": "GET", "path": "/health"\}'):
        complete({"httpMethod": "GET"}, app.routes)
