"""How the service's function stands, as people are told who may not see its environment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from deployer.inspection import Inspected, answer
from deployer.model import Artifact, ArtifactKind
from deployer.ports import Refused
from deployer.settings import BadSettings
from tests.adapters.test_function import HEX, NAME, described

SECRET = "a value that nobody may see"
SET = {
    "ENVIRONMENT": "production",
    "GEMINI_API_KEY": SECRET,
    "DATABASE_URL": SECRET,
    "CORS_ALLOW_ORIGIN": "*",
}


@pytest.fixture(scope="module")
def client(silent: Callable[[str], Any]) -> Any:
    return silent("lambda")


@pytest.fixture
def stub(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


class Images:
    """A registry with one image, and one that it keeps to itself."""

    def artifact(self, digest: str) -> Artifact | None:
        if digest == HIDDEN:
            raise Refused("BatchGetImage: AccessDeniedException: no")
        return Artifact(ArtifactKind.IMAGE, "manifest", "arm64", 9) if digest == THERE else None


THERE, GONE, HIDDEN = (f"sha256:{each * 64}" for each in "abc")


def inspect(client: Any, digest: object = None) -> dict[str, Any]:
    asked = {"read": "function"} | ({} if digest is None else {"digest": digest})
    return answer(asked, lambda: Inspected(client, NAME, Images()))


def answers(stub: Stubber, latest: dict[str, Any], live: dict[str, Any] | None = None) -> None:
    stub.add_response("get_function", described(**latest), {"FunctionName": NAME})
    on_live = {"FunctionName": NAME, "Qualifier": "live"}
    if live is None:
        stub.add_client_error(
            "get_function", "ResourceNotFoundException", "Function not found", 404, expected_params=on_live
        )
    else:
        stub.add_response("get_function", described(**live), on_live)


def test_it_tells_states_and_digests_of_latest_and_live(client: Any, stub: Stubber) -> None:
    failed = {"LastUpdateStatus": "Failed", "LastUpdateStatusReasonCode": "ImageDeleted"}
    answers(
        stub,
        {**failed, "LastUpdateStatusReason": "it is gone", "Environment": {"Variables": SET}},
        {"Version": "7", "State": "Inactive", "StateReasonCode": "Idle", "StateReason": "idle for weeks"},
    )

    told = inspect(client)

    assert told["latest"] == {
        "version": "$LATEST",
        "state": "Active",
        "state_reason": "",
        "last_update": "Failed",
        "last_update_reason": "ImageDeleted: it is gone",
        "architecture": "arm64",
        "digest": f"sha256:{HEX}",
    }
    live = told["live"]
    assert isinstance(live, dict)
    assert (live["version"], live["state"], live["state_reason"]) == ("7", "Inactive", "Idle: idle for weeks")
    assert told["unset"] == []


def test_variables_are_told_by_their_names_and_only_when_they_are_empty(client: Any, stub: Stubber) -> None:
    variables = {**SET, "GEMINI_API_KEY": " ", "OTHER": ""}
    del variables["CORS_ALLOW_ORIGIN"]
    answers(stub, {"Environment": {"Variables": variables}}, {})

    told = inspect(client)

    assert told["unset"] == ["CORS_ALLOW_ORIGIN", "GEMINI_API_KEY", "OTHER"]
    assert SECRET not in json.dumps(told)


def test_a_function_without_variables_has_none_set(client: Any, stub: Stubber) -> None:
    answers(stub, {}, {})

    assert inspect(client)["unset"] == sorted(SET)


def test_an_environment_that_lambda_cannot_decrypt_is_not_said_to_be_empty(
    client: Any, stub: Stubber
) -> None:
    error = {"ErrorCode": "AccessDeniedException", "Message": "Lambda was unable to decrypt"}
    answers(stub, {"Environment": {"Error": error}}, {})

    assert inspect(client)["unset"] is None


def test_what_cannot_be_read_says_why_and_the_rest_is_told(client: Any, stub: Stubber) -> None:
    answers(stub, {"Environment": {"Variables": SET}})

    told = inspect(client)

    assert told["live"] == {"error": "GetFunction: ResourceNotFoundException: Function not found"}
    assert told["unset"] == []


@pytest.mark.parametrize(
    ("digest", "image"),
    [
        (None, None),
        (GONE, None),
        (HIDDEN, {"error": "BatchGetImage: AccessDeniedException: no"}),
        (
            THERE,
            {"kind": "image", "media_type": "manifest", "architecture": "arm64", "size": 9, "problem": None},
        ),
    ],
)
def test_an_image_is_told_of_when_it_is_asked_for(
    client: Any, stub: Stubber, digest: str | None, image: object
) -> None:
    answers(stub, {}, {})

    assert inspect(client, digest)["image"] == image


@pytest.mark.parametrize("digest", ["latest", 5, {}, ["x"], "sha256:\x1b"])
def test_what_is_no_digest_is_answered_with_an_error(client: Any, stub: Stubber, digest: object) -> None:
    answers(stub, {}, {})

    assert str(inspect(client, digest)["error"]).startswith("not an image digest")


def test_a_dashboard_that_cannot_start_answers_with_an_error() -> None:
    def broken() -> Inspected:
        raise BadSettings("the dashboard cannot start: TABLE_NAME is not set")

    told = answer({"read": "function"}, broken)

    assert told == {"error": "the dashboard cannot start: TABLE_NAME is not set"}
