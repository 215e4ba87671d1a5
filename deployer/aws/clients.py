"""boto3's clients, made once per process: a warm Lambda keeps its connections.

A call that hangs is cut, and tried again at most once by botocore. More would only hide trouble from the
controller, whose next turn starts from what is really there.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, overload

import boto3
from botocore.config import Config

from deployer.smoke import INVOCATION_SECONDS

if TYPE_CHECKING:  # stubs are no dependency of the deployed package
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sns import SNSClient

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0


@overload
def client(service: Literal["dynamodb"]) -> DynamoDBClient: ...
@overload
def client(service: Literal["ecr"]) -> ECRClient: ...
@overload
def client(service: Literal["events"]) -> EventBridgeClient: ...
@overload
def client(service: Literal["lambda"]) -> LambdaClient: ...
@overload
def client(service: Literal["sns"]) -> SNSClient: ...
def client(service: Literal["dynamodb", "ecr", "events", "lambda", "sns"]) -> Any:
    """The process's client of `service`; safe to share between threads, as all low-level clients are."""
    return _client(service)


@cache
def _session() -> boto3.Session:
    return boto3.Session()


def invoker() -> LambdaClient:
    """The client that waits for functions to answer. Everything else of Lambda answers at once."""
    return _client("lambda", waits=True)  # type: ignore[no-any-return]  # boto3 makes its clients at run time


@cache
def _client(service: Literal["dynamodb", "ecr", "events", "lambda", "sns"], *, waits: bool = False) -> Any:
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=INVOCATION_SECONDS if waits else READ_SECONDS,
        # An Invoke whose answer was lost is not repeated behind the checks' back: they count their tries.
        retries={"mode": "standard", "total_max_attempts": 1 if waits else 2},
        tcp_keepalive=True,  # a NAT gateway forgets a connection that is silent while a check runs
        user_agent_extra="self-deploying-lambda",
    )
    return _session().client(service, config=config)
