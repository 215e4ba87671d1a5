"""The ledger on the sandbox's DynamoDB."""

from __future__ import annotations

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from deployer.aws.ledger import DynamoLedger


@pytest.fixture
def ledger(dynamodb: DynamoDBClient, table: str) -> DynamoLedger:
    return DynamoLedger(dynamodb, table, "shuking-prod")
