"""AWS at the other end of an adapter: the sandbox, or botocore's Stubber on a client that talks to nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import boto3
import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from deployer.aws.ledger import DynamoLedger


@pytest.fixture(scope="session")
def silent() -> Callable[[str], Any]:
    """`silent("ecr")` is a new client for a Stubber, which answers for AWS and checks what it is asked."""
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


@pytest.fixture
def ledger(dynamodb: DynamoDBClient, table: str) -> DynamoLedger:
    return DynamoLedger(dynamodb, table, "shuking-prod")
