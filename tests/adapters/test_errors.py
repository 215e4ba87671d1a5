"""What AWS's refusals mean to us."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from deployer.aws.errors import translated
from deployer.ports import LookAgain, Refused


def refusal(code: str, status: int, message: str = "No.") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]  # a real one has more
        "UpdateFunctionCode",
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("TooManyRequestsException", 429),
        ("ThrottlingException", 400),
        ("KMSThrottling", 400),
        ("ProvisionedThroughputExceededException", 400),
        ("RequestLimitExceeded", 400),
        ("ServiceException", 500),
        ("InternalServerError", 500),
        ("ResourceNotReadyException", 502),
        ("ResourceConflictException", 409),
        ("CodeArtifactUserPendingException", 409),
        ("PreconditionFailedException", 412),
        ("TransactionConflictException", 400),
        ("ExpiredTokenException", 400),
        ("LimitExceededException", 400),
    ],
)
def test_what_passes_means_look_again(code: str, status: int) -> None:
    with pytest.raises(LookAgain, match=f"UpdateFunctionCode: {code}: No."), translated():
        raise refusal(code, status)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDeniedException", 403),
        ("AccessDenied", 403),
        ("KMSAccessDeniedException", 502),
        ("InvalidParameterValueException", 400),
        ("ResourceNotFoundException", 404),
        ("ValidationException", 400),
        ("CodeStorageExceededException", 400),
        ("AnErrorThatAwsAddsNextYear", 400),
    ],
)
def test_what_stays_is_refused_in_awss_words(code: str, status: int) -> None:
    with pytest.raises(Refused, match=f"UpdateFunctionCode: {code}: No."), translated():
        raise refusal(code, status)


def test_a_network_that_fails_means_look_again() -> None:
    for trouble in (
        EndpointConnectionError(endpoint_url="https://lambda.example"),
        ReadTimeoutError(endpoint_url="https://lambda.example"),
    ):
        with pytest.raises(LookAgain, match=r"lambda\.example"), translated():
            raise trouble


def test_a_long_message_of_many_lines_becomes_one_bounded_line() -> None:
    with pytest.raises(Refused) as refused, translated():
        raise refusal("ValidationException", 400, "first\n" + "ß" * 100_000)
    assert str(refused.value).startswith("UpdateFunctionCode: ValidationException: first ß")
    assert len(str(refused.value).encode()) <= 600


def test_the_session_token_that_aws_quotes_is_not_passed_on() -> None:
    """SignatureDoesNotMatch tells the whole canonical request, with the caller's token in it."""
    with pytest.raises(Refused) as refused, translated():
        raise refusal("InvalidSignatureException", 403, "should be\n'POST\n/\nx-amz-security-token:canary\n'")
    assert "canary" not in str(refused.value)


def test_an_address_with_a_password_or_a_signature_is_not_passed_on() -> None:
    with pytest.raises(LookAgain) as again, translated():
        raise EndpointConnectionError(endpoint_url="https://me:canary@aws.example/x?X-Amz-Signature=canary")
    assert "canary" not in str(again.value)
    assert "https://…@aws.example/x?…" in str(again.value)


def test_what_is_wrong_with_ourselves_is_not_translated() -> None:
    with pytest.raises(NoCredentialsError), translated():
        raise NoCredentialsError
