"""What AWS says when it says no, in the three words of `ports`. All adapters translate with this.

AWS's own rule decides what is not named here: 5xx is its trouble and passes, 4xx is ours and stays.
https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    ClientError,
    ConnectionError,  # noqa: A004  botocore's own name; Python's is not meant anywhere here
    HTTPClientError,
    IncompleteReadError,
)

from deployer.ports import LookAgain, Refused
from deployer.text import discreet, line

# Busy, or somebody was faster: true now, and perhaps not in a second.
_PASSING = frozenset(
    {
        "CodeArtifactUserPendingException",  # Invoke: the version's image is still being made ready
        "PreconditionFailedException",  # the RevisionId is not the newest
        "ResourceConflictException",  # an update is in progress; or the version is Pending or Inactive
        # DynamoDB
        "ReplicatedWriteConflictException",
        "TransactionConflictException",
        "TransactionInProgressException",
        # Credentials that ran out while we used them: the next call or invocation has new ones.
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        # Throttles that have no "Throttl" in their names.
        "LimitExceededException",  # ECR
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "TooManyRequestsException",
    }
)
_PASSING_STATUSES = frozenset({408, 429})
_TOLD = 600  # bytes of AWS's message that are passed on


@contextmanager
def translated() -> Iterator[None]:
    """Around calls to AWS: raises `LookAgain` or `Refused` in place of botocore's errors."""
    try:
        yield
    except ClientError as error:
        raise translation(error) from error
    except (ConnectionError, HTTPClientError, IncompleteReadError) as error:
        raise LookAgain(line(discreet(str(error)), _TOLD)) from error


def translation(error: ClientError) -> LookAgain | Refused:
    """What `error` means to us. Its text names the call, AWS's code and AWS's message, in one line without
    the signatures and tokens that AWS quotes."""
    code = error.response.get("Error", {}).get("Code", "")
    message = error.response.get("Error", {}).get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    told = line(discreet(f"{error.operation_name}: {code}: {message}"), _TOLD)
    # First: Lambda says "AccessDenied" of KMS and EC2 with status 502, and it does not pass.
    if "AccessDenied" in code:
        return Refused(told)
    if code in _PASSING or "Throttl" in code or status in _PASSING_STATUSES or status >= 500:
        return LookAgain(told)
    return Refused(told)
