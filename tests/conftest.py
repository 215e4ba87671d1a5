"""What every test may ask for: a running sandbox, and boto3 clients for it or for nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from sandbox.server import Sandbox

# How quickly examples come says how busy the machine is, and nothing about the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A started sandbox without a stack, shared by the tests of one process: name your own resources.

    As fast as it goes: updates are done at once, and a retry follows right after the failure.
    """
    # Here, because a sandbox takes a second to import, and most tests need none.
    from sandbox.account import Settings  # noqa: PLC0415
    from sandbox.server import Sandbox  # noqa: PLC0415

    fast = Settings(update_seconds=0.0, retry_delays=(0.05, 0.1), throttled_seconds=0.05)
    with Sandbox(settings=fast) as running:
        yield running


@pytest.fixture(scope="session")
def aws(sandbox: Sandbox) -> Callable[[str], Any]:
    """`aws("ecr")` is the administrator's boto3 client for the sandbox."""
    return sandbox.client


@pytest.fixture(scope="session")
def silent() -> Callable[[str], Any]:
    """`silent("ecr")` is a new client for a Stubber, which answers for AWS and checks what it is asked."""
    import boto3  # noqa: PLC0415  slow, too

    session = boto3.Session("nobody", "nothing", region_name="us-east-1")

    def client(service: str) -> Any:
        return session.client(service)  # type: ignore[call-overload]  # the stubs want a literal

    return client


@pytest.fixture
def dynamodb(aws: Callable[[str], Any]) -> DynamoDBClient:
    client: DynamoDBClient = aws("dynamodb")
    return client


@pytest.fixture
def table(dynamodb: DynamoDBClient) -> str:
    """A new table with the keys that template.yaml gives the ledger."""
    name = f"ledger-{uuid4()}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    )
    return name
