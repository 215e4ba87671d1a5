"""Whose credentials are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.aws.errors import translated

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient


class Caller:
    """Who calls AWS with this client's credentials."""

    def __init__(self, client: STSClient) -> None:
        self._client = client

    def arn(self) -> str:
        """The ARN of the user, or of the role's session. It needs no permission, and no policy can deny it.

        https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
        """
        with translated():
            return self._client.get_caller_identity()["Arn"]
