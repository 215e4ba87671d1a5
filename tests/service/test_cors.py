"""`CORS_ALLOW_ORIGIN`: which pages may read the answers."""

from collections.abc import Callable
from typing import Any

import pytest
from lambda_handler import handler

Event = Callable[[str], dict[str, Any]]
APP = "https://app.example.com"


def ask(origin: str | None, path: str = "/", method: str = "GET") -> dict[str, str]:
    headers = {} if origin is None else {"origin": origin}
    answered: dict[str, str] = handler({"httpMethod": method, "path": path, "headers": headers}, None)[
        "headers"
    ]
    return answered


def test_without_the_setting_no_other_origin_may_read() -> None:
    assert "Access-Control-Allow-Origin" not in ask(APP)


@pytest.mark.parametrize("allowed", [APP, f"https://other.example.com, {APP}/", f" ,{APP},"])
def test_an_origin_on_the_list_is_answered_with_itself(allowed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ALLOW_ORIGIN", allowed)

    answered = ask(APP)

    assert (answered["Access-Control-Allow-Origin"], answered["Vary"]) == (APP, "Origin")


@pytest.mark.parametrize(
    "origin", [None, "null", "https://app.example.com.evil.test", "http://app.example.com", ""]
)
def test_an_origin_off_the_list_gets_no_permission_and_caches_keep_it_apart(
    origin: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORS_ALLOW_ORIGIN", APP)

    answered = ask(origin)

    assert "Access-Control-Allow-Origin" not in answered
    assert answered["Vary"] == "Origin"


def test_a_star_lets_every_origin_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ALLOW_ORIGIN", "*")

    assert ask("https://anybody.example")["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("path", "method"),
    [("/health", "GET"), ("/no/such/place", "GET"), ("/health", "DELETE"), ("/greetings", "POST")],
)
def test_errors_can_be_read_by_the_page_as_well(
    path: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORS_ALLOW_ORIGIN", APP)

    assert ask(APP, path, method)["Access-Control-Allow-Origin"] == APP


def test_a_preflight_is_answered_behind_a_greedy_proxy(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ALLOW_ORIGIN", APP)

    answer = handler(event("options-preflight"), None)

    assert (answer["statusCode"], answer["body"]) == (204, "")
    assert answer["headers"]["Access-Control-Allow-Origin"] == APP
    assert answer["headers"]["Access-Control-Allow-Methods"] == "OPTIONS,POST"
    assert "Content-Type" in answer["headers"]["Access-Control-Allow-Headers"].split(",")


@pytest.mark.parametrize("path", ["/", "/health", "/greetings/Ada", "/no/such/place"])
def test_every_path_answers_a_preflight(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ALLOW_ORIGIN", APP)

    assert ask(APP, path, "OPTIONS")["Access-Control-Allow-Origin"] == APP


def test_a_preflight_from_an_origin_off_the_list_gets_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ALLOW_ORIGIN", APP)

    assert "Access-Control-Allow-Origin" not in ask("https://evil.example", "/greetings", "OPTIONS")
