"""The one account and region the sandbox stands for, and what AWS refuses with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ACCOUNT = "123456789012"
REGION = "us-east-1"


class AwsError(Exception):
    """A refusal, as AWS would word it.

    `code` is the error's name (`RepositoryNotFoundException`); `status` its HTTP status, or None
    for what the service's model says about that code (400 where it says nothing); `fields` are the
    error shape's further members by their names in boto3 (`lastValidByteReceived`, for example).
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields: dict[str, Any] = dict(fields or {})


@dataclass(frozen=True)
class Credentials:
    """Temporary credentials of a role's session, as STS hands them out."""

    access_key: str
    secret_key: str
    token: str


@dataclass(frozen=True)
class Settings:
    """How fast the sandbox imitates what takes AWS time."""

    update_seconds: float = 3.0
    """How long a function's update stays `InProgress`, in seconds; 0 finishes it at once."""

    retry_delays: tuple[float, float] = (60.0, 120.0)
    """Seconds before the first and the second retry of an asynchronous invocation."""

    throttled_seconds: float = 1.0
    """Seconds before a throttled asynchronous invocation is tried again; each time twice as long."""

    @property
    def publish_seconds(self) -> float:
        """How long a new version of an image stays `Pending`. The third is a guess; AWS states no time."""
        return self.update_seconds / 3
