"""The service function as Lambda's API tells of it. botocore's Stubber checks what Lambda is asked."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from deployer.aws.function import MAXIMUM_PAYLOAD, LambdaFunction
from deployer.model import Image, Latest, UpdateStatus, Version, VersionState
from deployer.ports import Answer, LookAgain, Refused

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
URI = f"{REGISTRY}/shuking-lambda"
HEX = "ab" * 32
IMAGE = Image("shuking-lambda", f"sha256:{HEX}")
NAME = "shuking-prod"


@pytest.fixture(scope="module")
def lambda_client(silent: Callable[[str], Any]) -> Any:
    return silent("lambda")


@pytest.fixture
def function(lambda_client: Any) -> LambdaFunction:
    return LambdaFunction(lambda_client, lambda_client, NAME, URI)


@pytest.fixture
def stub(lambda_client: Any) -> Iterator[Stubber]:
    with Stubber(lambda_client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def described(repository: str = URI, **configuration: Any) -> dict[str, Any]:
    return {
        "Configuration": {
            "FunctionName": NAME,
            "PackageType": "Image",
            "CodeSha256": HEX,
            "Version": "$LATEST",
            "RevisionId": "revision-1",
            "Architectures": ["arm64"],
            "State": "Active",
            "LastUpdateStatus": "Successful",
            **configuration,
        },
        "Code": {"RepositoryType": "ECR", "ResolvedImageUri": f"{repository}@sha256:{HEX}"},
    }


# -- reading


def test_latest_is_read_whole(function: LambdaFunction, stub: Stubber) -> None:
    stub.add_response("get_function", described(), {"FunctionName": NAME})
    assert function.latest() == Latest(IMAGE, UpdateStatus.SUCCESSFUL, "revision-1", "arm64")


@pytest.mark.parametrize(
    ("configuration", "status", "reason"),
    [
        ({"LastUpdateStatus": "InProgress"}, UpdateStatus.IN_PROGRESS, ""),
        ({"LastUpdateStatus": "AStatusOfNextYear"}, UpdateStatus.IN_PROGRESS, ""),
        ({"State": "Pending"}, UpdateStatus.IN_PROGRESS, ""),
        ({"State": "Inactive"}, UpdateStatus.SUCCESSFUL, ""),
        (
            {
                "LastUpdateStatus": "Failed",
                "LastUpdateStatusReasonCode": "ImageDeleted",
                "LastUpdateStatusReason": "The image is gone.",
            },
            UpdateStatus.FAILED,
            "ImageDeleted: The image is gone.",
        ),
        (
            {"State": "Failed", "StateReasonCode": "InvalidImage", "StateReason": "No."},
            UpdateStatus.FAILED,
            "InvalidImage: No.",
        ),
        ({"State": "Failed", "LastUpdateStatus": "InProgress"}, UpdateStatus.IN_PROGRESS, ""),
    ],
)
def test_latest_says_whether_it_can_be_updated(
    function: LambdaFunction, stub: Stubber, configuration: dict[str, str], status: UpdateStatus, reason: str
) -> None:
    stub.add_response("get_function", described(**configuration))
    latest = function.latest()
    assert (latest.status, latest.reason) == (status, reason)


@pytest.mark.parametrize(
    ("state", "known"),
    [
        ("Pending", VersionState.PENDING),
        ("Active", VersionState.ACTIVE),
        ("Inactive", VersionState.INACTIVE),
        ("Failed", VersionState.FAILED),
        ("ActiveNonInvocable", VersionState.PENDING),
    ],
)
def test_a_version_is_found_by_its_number(
    function: LambdaFunction, stub: Stubber, state: str, known: VersionState
) -> None:
    stub.add_response(
        "get_function", described(Version="7", State=state), {"FunctionName": NAME, "Qualifier": "7"}
    )
    assert function.version("7") == Version("7", IMAGE, known)


def test_live_is_the_version_that_the_alias_points_at(function: LambdaFunction, stub: Stubber) -> None:
    stub.add_response("get_function", described(Version="7"), {"FunctionName": NAME, "Qualifier": "live"})
    assert function.live() == Version("7", IMAGE)


def test_an_image_of_another_repository_keeps_its_name_and_the_way_back_to_it(
    function: LambdaFunction, stub: Stubber
) -> None:
    # given
    stub.add_response("get_function", described(f"{REGISTRY}/team/other"))
    other = function.latest().image
    assert other == Image("team/other", f"sha256:{HEX}")

    # then
    stub.add_response(
        "update_function_code",
        {},
        {
            "FunctionName": NAME,
            "ImageUri": f"{REGISTRY}/team/other@sha256:{HEX}",
            "Architectures": ["x86_64"],
            "RevisionId": "revision-1",
        },
    )
    function.update_code(other, "x86_64", "revision-1")


def test_a_function_that_is_a_zip_file_is_refused(function: LambdaFunction, stub: Stubber) -> None:
    stub.add_response("get_function", described(PackageType="Zip", CodeSha256="r6cm="))
    with pytest.raises(Refused, match="shuking-prod is not made from a container image"):
        function.latest()


def test_a_digest_that_is_none_is_refused(function: LambdaFunction, stub: Stubber) -> None:
    stub.add_response("get_function", described(CodeSha256="r6cm="))
    with pytest.raises(Refused, match="CodeSha256 is not the digest of an image"):
        function.latest()


def test_a_repository_uri_without_a_registry_is_refused_at_the_start(lambda_client: Any) -> None:
    with pytest.raises(ValueError, match="'shuking-lambda'"):
        LambdaFunction(lambda_client, lambda_client, NAME, "shuking-lambda")


def test_the_revision_of_live_belongs_to_the_version_that_was_seen(
    function: LambdaFunction, stub: Stubber
) -> None:
    alias = {"Name": "live", "FunctionVersion": "7", "RevisionId": "alias-1"}
    stub.add_response("get_alias", alias, {"FunctionName": NAME, "Name": "live"})
    assert function.live_revision("7") == "alias-1"
    stub.add_response("get_alias", alias, {"FunctionName": NAME, "Name": "live"})
    with pytest.raises(LookAgain, match="live moved from version 6 to 7"):
        function.live_revision("6")


# -- writing


def test_code_is_updated_by_digest_for_the_functions_architecture(
    function: LambdaFunction, stub: Stubber
) -> None:
    stub.add_response(
        "update_function_code",
        {},
        {
            "FunctionName": NAME,
            "ImageUri": f"{URI}@sha256:{HEX}",
            "Architectures": ["arm64"],
            "RevisionId": "revision-1",
        },
    )
    function.update_code(IMAGE, "arm64", "revision-1")


def test_an_architecture_that_nobody_knows_is_refused(function: LambdaFunction) -> None:
    with pytest.raises(Refused, match="riscv64"):
        function.update_code(IMAGE, "riscv64", "revision-1")


def test_a_version_is_published_only_of_the_image_that_was_meant(
    function: LambdaFunction, stub: Stubber
) -> None:
    stub.add_response(
        "publish_version",
        {"Version": "8", "CodeSha256": HEX, "State": "Pending"},
        {"FunctionName": NAME, "CodeSha256": HEX, "RevisionId": "revision-1"},
    )
    assert function.publish(IMAGE, "revision-1") == Version("8", IMAGE, VersionState.PENDING)


def test_publishing_what_somebody_has_changed_meanwhile_means_look_again(
    function: LambdaFunction, stub: Stubber
) -> None:
    stub.add_client_error(
        "publish_version",
        "InvalidParameterValueException",
        f"CodeSHA256 ({HEX}) is different from current CodeSHA256 in $LATEST ({'cd' * 32}). "
        "Please try again with the CodeSHA256 in $LATEST.",
        400,
    )
    with pytest.raises(LookAgain, match="somebody changed it"):
        function.publish(IMAGE, "revision-1")


def test_another_invalid_parameter_is_refused(function: LambdaFunction, stub: Stubber) -> None:
    stub.add_client_error("publish_version", "InvalidParameterValueException", "The role is gone.", 400)
    with pytest.raises(Refused, match=r"PublishVersion: InvalidParameterValueException: The role is gone\."):
        function.publish(IMAGE, "revision-1")


def test_live_moves_all_at_once_and_only_if_nobody_touched_it(
    function: LambdaFunction, stub: Stubber
) -> None:
    stub.add_response(
        "update_alias",
        {},
        {
            "FunctionName": NAME,
            "Name": "live",
            "FunctionVersion": "8",
            "RoutingConfig": {"AdditionalVersionWeights": {}},
            "RevisionId": "alias-1",
        },
    )
    function.point_live("8", "alias-1")


# -- invoking


class Body(io.BytesIO):
    """A payload that remembers how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        got = super().read(size)
        self.taken += len(got)
        return got


def answered(payload: bytes, **more: Any) -> dict[str, Any]:
    return {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(payload), len(payload)), **more}


def test_an_invocation_brings_back_the_payload_and_the_log(function: LambdaFunction, stub: Stubber) -> None:
    stub.add_response(
        "invoke",
        answered(
            b'{"statusCode": 200}',
            LogResult=base64.b64encode("START\nGrüße\nEND".encode()).decode(),
            ExecutedVersion="8",
        ),
        {"FunctionName": NAME, "Qualifier": "8", "Payload": b"{}", "LogType": "Tail"},
    )
    assert function.invoke("8", b"{}") == Answer(b'{"statusCode": 200}', None, "START\nGrüße\nEND", "8")


def test_code_that_died_is_an_answer_too(function: LambdaFunction, stub: Stubber) -> None:
    stub.add_response("invoke", answered(b'{"errorType": "Runtime.ExitError"}', FunctionError="Unhandled"))
    assert function.invoke("8", b"{}") == Answer(b'{"errorType": "Runtime.ExitError"}', "Unhandled", "", "")


def test_an_answer_without_end_is_cut(function: LambdaFunction, stub: Stubber) -> None:
    endless = Body(b"x" * (MAXIMUM_PAYLOAD + 1000))
    stub.add_response(
        "invoke", {"StatusCode": 200, "Payload": StreamingBody(endless, MAXIMUM_PAYLOAD + 1000)}
    )
    assert len(function.invoke("8", b"{}").payload) == MAXIMUM_PAYLOAD
    assert endless.taken <= MAXIMUM_PAYLOAD + 1


def test_an_answer_that_breaks_off_means_look_again(function: LambdaFunction, stub: Stubber) -> None:
    stub.add_response("invoke", {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(b'{"stat'), 1000)})
    with pytest.raises(LookAgain):
        function.invoke("8", b"{}")


def test_a_log_that_is_not_base64_is_no_log(function: LambdaFunction, stub: Stubber) -> None:
    stub.add_response("invoke", answered(b"{}", LogResult="not base64: ä"))
    assert function.invoke("8", b"{}").log_tail == ""


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ResourceConflictException", 409),  # Pending, or Inactive and being woken up
        ("CodeArtifactUserPendingException", 409),
        ("TooManyRequestsException", 429),
    ],
)
def test_a_version_that_cannot_be_invoked_yet_means_look_again(
    function: LambdaFunction, stub: Stubber, code: str, status: int
) -> None:
    stub.add_client_error("invoke", code, "The function is currently in the following state: Pending", status)
    with pytest.raises(LookAgain, match="Pending"):
        function.invoke("8", b"{}")
