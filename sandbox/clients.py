"""How programs reach a sandbox: what to export, and boto3 clients. Quick to import, unlike the sandbox."""

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config

from sandbox.account import REGION

HOST = "127.0.0.1"
# A function may take 15 minutes; no answer of the sandbox takes longer.
_CLIENT_READ_SECONDS = 900


def environment(url: str) -> dict[str, str]:
    """What leads any AWS program to the sandbox at `url`. Any credentials are the administrator's."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_DEFAULT_REGION": REGION,
    }


def client(service: str, exports: Mapping[str, str]) -> Any:
    """A boto3 client for the sandbox that `exports` (`environment`, `Sandbox.environment_as`) lead to."""
    session = boto3.session.Session(
        aws_access_key_id=exports["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=exports["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=exports.get("AWS_SESSION_TOKEN"),
        region_name=exports["AWS_DEFAULT_REGION"],
    )
    config = Config(retries={"total_max_attempts": 1}, read_timeout=_CLIENT_READ_SECONDS)
    # The service's name is data here, which boto3-stubs' overloads per service cannot type.
    return session.client(service, endpoint_url=exports["AWS_ENDPOINT_URL"], config=config)  # type: ignore[call-overload]
