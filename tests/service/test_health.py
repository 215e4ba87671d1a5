"""`/health`: what the deployer asks before users come, and what on-call asks at night."""

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from chalicelib import database
from lambda_handler import handler
from sqlalchemy.event import listens_for

SECRET = "hunter2"


def get_health() -> tuple[int, dict[str, Any]]:
    answer = handler({"httpMethod": "GET", "path": "/health"}, None)
    return answer["statusCode"], json.loads(answer["body"])


def test_health_says_status_version_and_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVISION", "4f2c9e1")

    assert get_health() == (
        200,
        {
            "status": "ok",
            "service": "shuking",
            "version": "1.0.0",
            "revision": "4f2c9e1",
            "checks": {"configuration": {"status": "ok"}},
        },
    )


def test_health_is_never_taken_from_a_cache() -> None:
    assert handler({"httpMethod": "GET", "path": "/health"}, None)["headers"]["Cache-Control"] == "no-store"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_variable_is_named_and_the_status_is_503(
    value: str | None, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    if value is not None:
        monkeypatch.setenv("GEMINI_API_KEY", value)

    status, health = get_health()

    assert (status, health["status"]) == (503, "failing")
    assert health["checks"]["configuration"] == {"status": "failing", "missing": ["GEMINI_API_KEY"]}
    assert any("GEMINI_API_KEY" in line for line in logged)


def test_without_an_environment_everything_required_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENVIRONMENT")
    monkeypatch.delenv("GEMINI_API_KEY")

    assert get_health()[1]["checks"]["configuration"]["missing"] == ["ENVIRONMENT", "GEMINI_API_KEY"]


@pytest.mark.parametrize("environment", ["local", "development", "Local"])
def test_a_laptop_needs_no_key(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", environment)
    monkeypatch.delenv("GEMINI_API_KEY")

    assert get_health()[0] == 200


def test_a_database_that_answers_is_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/service.db")

    status, health = get_health()

    assert (status, health["checks"]["database"]) == (200, {"status": "ok"})


def test_a_database_that_cannot_be_opened_fails_with_the_drivers_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/no/such/folder/{SECRET}.db")

    status, health = get_health()

    assert (status, health["checks"]["database"]) == (503, {"status": "failing", "error": "OperationalError"})


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_asked_through_its_real_driver(scheme: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port, and it refuses
        port = closed.getsockname()[1]

        assert database.failure(f"{scheme}://user:{SECRET}@127.0.0.1:{port}/shop") == "OperationalError"
    assert database.engine(f"{scheme}://user@127.0.0.1:1/shop").dialect.driver == "psycopg"


def test_a_server_that_accepts_and_says_nothing_fails_in_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        assert database.failure(f"postgresql://user:{SECRET}@127.0.0.1:{port}/shop") == "ConnectionTimeout"


def test_a_check_that_hangs_where_no_driver_has_a_timeout_is_given_up(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/held.db"
    released = threading.Event()
    engine = database.engine(url)

    @listens_for(engine, "do_connect")
    def hang(*_: object) -> None:
        released.wait(10)

    try:
        assert database.failure(url, seconds=0.05) == "TimeoutError"
    finally:
        released.set()


@pytest.mark.parametrize(
    "url",
    [
        SECRET,
        f"postgresql://user:{SECRET}@host:{SECRET}/shop",
        f"nosuchdatabase://user:{SECRET}@host/shop",
        f"postgresql+psycopg2://user:{SECRET}@127.0.0.1:1/shop",
        f"sqlite:////proc/{SECRET}/x.db",
    ],
)
def test_neither_the_answer_nor_the_log_holds_a_value(
    url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], logged: list[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    monkeypatch.setenv("ENVIRONMENT", f"env-{SECRET}")

    answer = handler({"httpMethod": "GET", "path": "/health"}, None)

    assert answer["statusCode"] == 503
    assert any("/health is failing" in line for line in logged)
    assert SECRET not in json.dumps(answer) + "".join(logged) + "".join(capfd.readouterr())


def test_a_connection_is_checked_before_each_use_and_replaced_when_it_died(tmp_path: Path) -> None:
    engine = database.engine(f"sqlite:///{tmp_path}/frozen.db")
    with engine.connect() as connection:
        first = connection.connection.dbapi_connection
        assert first is not None
    first.close()  # as a server does to a process that slept too long

    assert database.failure(f"sqlite:///{tmp_path}/frozen.db") is None
