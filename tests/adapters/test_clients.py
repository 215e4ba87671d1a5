"""How AWS is called."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from deployer.aws import clients


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def test_a_client_is_made_once_and_keeps_its_connections() -> None:
    assert clients.client("dynamodb") is clients.client("dynamodb")


def options(service: Literal["dynamodb", "ecr", "lambda", "sns"]) -> Any:
    """The client's configuration; botocore sets its options by name, so types know none of them."""
    return clients.client(service).meta.config


def test_a_call_that_hangs_is_cut() -> None:
    for config in (options("dynamodb"), options("ecr"), options("sns"), options("lambda")):
        assert (config.connect_timeout, config.read_timeout) == (3, 10)
        assert config.retries == {"mode": "standard", "total_max_attempts": 2}


def test_an_invocation_may_take_as_long_as_a_slow_check_and_is_not_repeated() -> None:
    config: Any = clients.invoker().meta.config
    assert config.connect_timeout == 3
    assert 60 < config.read_timeout < 120
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}


def test_aws_can_tell_who_calls() -> None:
    assert "self-deploying-lambda" in options("sns").user_agent
