"""Lambda's control plane, through a real boto3 client: what the deployer relies on, and what AWS refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.lambdas import (
    FUNCTION_ARN,
    INDEX,
    REPOSITORY_ARN,
    REPOSITORY_URI,
    ROLE,
    World,
    world,
    zipped,
)


@pytest.fixture
def there() -> Iterator[World]:
    with world() as made:
        yield made


def refusal(call: Any, **request: Any) -> tuple[int, str, str]:
    """Status, code and message of the error a call must end with."""
    with pytest.raises(ClientError) as error:
        call(**request)
    response = error.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Code"],
        response["Error"]["Message"],
    )


def configuration(there: World, **request: Any) -> Any:
    return there.aws.get_function(FunctionName="service", **request)["Configuration"]


def test_a_new_function_is_pending_and_then_active_with_another_revision(there: World) -> None:
    # given
    digest = there.images.push("v1")

    # when
    created = there.aws.create_function(
        FunctionName="service",
        PackageType="Image",
        Role=ROLE,
        Code={"ImageUri": f"{REPOSITORY_URI}@{digest}"},
    )
    there.wait(6)

    # then
    later = configuration(there)
    assert (created["State"], created["StateReasonCode"]) == ("Pending", "Creating")
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (later["State"], later["LastUpdateStatus"]) == ("Active", "Successful")
    assert later["RevisionId"] != created["RevisionId"]
    assert later["CodeSha256"] == digest.removeprefix("sha256:")


def test_an_update_is_in_progress_until_its_time_is_over(there: World) -> None:
    # given
    there.create("v1")
    before = configuration(there)["RevisionId"]

    # when
    started = there.update("v2")
    there.wait(5.9)
    during = configuration(there)
    there.wait(0.1)
    after = configuration(there)

    # then
    assert (during["LastUpdateStatus"], during["LastUpdateStatusReasonCode"]) == ("InProgress", "Creating")
    assert during["CodeSha256"] == there.images.tags["v2"].removeprefix("sha256:")
    assert after["LastUpdateStatus"] == "Successful"
    assert len({before, started["RevisionId"], after["RevisionId"]}) == 3
    assert started["RevisionId"] == during["RevisionId"]


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("update_function_code", {"ImageUri": f"{REPOSITORY_URI}:v1"}),
        ("update_function_configuration", {"Timeout": 5}),
        ("publish_version", {}),
    ],
)
def test_an_update_in_progress_refuses_a_second_change(
    there: World, operation: str, more: dict[str, Any]
) -> None:
    # given
    there.create("v1")
    there.update("v2")

    # when
    refused = refusal(getattr(there.aws, operation), FunctionName="service", **more)

    # then
    assert refused == (
        409,
        "ResourceConflictException",
        "The operation cannot be performed at this time. An update is in progress for resource: "
        f"{FUNCTION_ARN}",
    )


def test_the_old_code_serves_while_an_update_is_in_progress(there: World) -> None:
    # given
    there.create("v1")
    there.update("v2")

    # when
    during = json.loads(there.aws.invoke(FunctionName="service")["Payload"].read())
    there.wait(6)
    after = json.loads(there.aws.invoke(FunctionName="service")["Payload"].read())

    # then
    assert f"sha256:{during['code']}" == there.images.tags["v1"]
    assert f"sha256:{after['code']}" == there.images.tags["v2"]


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("update_function_code", {"ImageUri": f"{REPOSITORY_URI}:v1"}),
        ("update_function_configuration", {"Timeout": 5}),
        ("publish_version", {}),
    ],
)
def test_a_change_decided_on_an_older_state_is_refused(
    there: World, operation: str, more: dict[str, Any]
) -> None:
    # given
    there.create("v1")
    stale = configuration(there)["RevisionId"]
    there.update("v2")
    there.wait(6)

    # when
    refused = refusal(getattr(there.aws, operation), FunctionName="service", RevisionId=stale, **more)

    # then
    assert refused[:2] == (412, "PreconditionFailedException")
    assert configuration(there)["CodeSha256"] == there.images.tags["v2"].removeprefix("sha256:")


def test_the_revision_an_update_began_with_is_stale_once_it_is_done(there: World) -> None:
    # given
    there.create("v1")
    begun = there.update("v2")["RevisionId"]
    there.wait(6)

    # when
    refused = refusal(there.aws.publish_version, FunctionName="service", RevisionId=begun)
    published = there.aws.publish_version(
        FunctionName="service", RevisionId=configuration(there)["RevisionId"]
    )

    # then
    assert refused[0] == 412
    assert published["Version"] == "1"


def test_publishing_changes_the_revision_and_creating_an_alias_does_not(there: World) -> None:
    # given
    there.create("v1")
    first = configuration(there)["RevisionId"]

    # when
    there.aws.publish_version(FunctionName="service")
    published = configuration(there)["RevisionId"]
    there.wait(6)
    there.aws.create_alias(FunctionName="service", Name="live", FunctionVersion="1")

    # then
    assert published != first
    assert configuration(there)["RevisionId"] == published


def test_publishing_what_is_published_gives_the_same_version(there: World) -> None:
    # given
    there.create("v1")
    first = there.aws.publish_version(FunctionName="service")

    # when
    again = there.aws.publish_version(FunctionName="service", Description="again")

    # then
    assert (again["Version"], again["RevisionId"]) == (first["Version"], first["RevisionId"])
    assert again["ResponseMetadata"]["HTTPStatusCode"] == 201


def test_the_same_image_with_another_configuration_is_another_version(there: World) -> None:
    # given
    there.create("v1")
    there.aws.publish_version(FunctionName="service")

    # when
    there.aws.update_function_configuration(
        FunctionName="service", Environment={"Variables": {"COLOUR": "blue"}}
    )
    there.wait(6)
    published = there.aws.publish_version(FunctionName="service")

    # then
    assert published["Version"] == "2"
    assert "Environment" not in configuration(there, Qualifier="1")


def test_going_back_to_an_older_image_is_a_new_version_too(there: World) -> None:
    # given
    there.create("v1")
    there.aws.publish_version(FunctionName="service")
    there.publish("v2")

    # when
    there.aws.update_function_code(FunctionName="service", ImageUri=f"{REPOSITORY_URI}:v1")
    there.wait(6)
    published = there.aws.publish_version(FunctionName="service")

    # then
    assert published["Version"] == "3"


def test_publishing_another_digest_than_expected_is_refused(there: World) -> None:
    # given
    there.create("v1")
    actual = there.images.tags["v1"].removeprefix("sha256:")

    # when
    refused = refusal(there.aws.publish_version, FunctionName="service", CodeSha256="f" * 64)
    published = there.aws.publish_version(FunctionName="service", CodeSha256=actual)

    # then
    assert refused == (
        400,
        "InvalidParameterValueException",
        f"CodeSHA256 ({'f' * 64}) is different from current CodeSHA256 in $LATEST ({actual}). "
        "Please try again with the CodeSHA256 in $LATEST.",
    )
    assert published["Version"] == "1"


def test_a_version_of_an_image_is_pending_until_lambda_has_it_ready(there: World) -> None:
    # given
    there.create("v1")

    # when
    published = there.aws.publish_version(FunctionName="service")
    refused = refusal(there.aws.invoke, FunctionName="service", Qualifier="1")
    there.wait(2)

    # then
    assert published["State"] == "Pending"
    assert refused[:2] == (409, "ResourceConflictException")
    assert configuration(there, Qualifier="1")["State"] == "Active"
    assert there.aws.invoke(FunctionName="service", Qualifier="1")["ExecutedVersion"] == "1"


def test_updating_and_publishing_at_once_gives_the_version_and_an_update_in_progress(there: World) -> None:
    # given
    there.create("v1")

    # when
    published = there.update("v2", Publish=True)

    # then
    assert (published["Version"], published["State"]) == ("1", "Pending")
    assert published["FunctionArn"] == f"{FUNCTION_ARN}:1"
    assert configuration(there)["LastUpdateStatus"] == "InProgress"
    there.wait(6)
    assert configuration(there, Qualifier="1")["State"] == "Active"


def test_a_function_is_described_by_alias_by_version_and_by_its_name(there: World) -> None:
    # given
    there.create("v1")
    there.aws.publish_version(FunctionName="service")
    there.publish("v2")
    there.aws.create_alias(FunctionName="service", Name="live", FunctionVersion="1")

    # when
    by_alias = there.aws.get_function(FunctionName="service", Qualifier="live")
    by_number = there.aws.get_function(FunctionName=f"{FUNCTION_ARN}:1")
    by_name = there.aws.get_function(FunctionName="service")

    # then
    named = [
        (f["Configuration"]["FunctionArn"], f["Configuration"]["Version"]) for f in (by_alias, by_number)
    ]
    assert named == [(f"{FUNCTION_ARN}:live", "1"), (f"{FUNCTION_ARN}:1", "1")]
    assert by_alias["Code"] == {
        "RepositoryType": "ECR",
        "ImageUri": f"{REPOSITORY_URI}@{there.images.tags['v1']}",
        "ResolvedImageUri": f"{REPOSITORY_URI}@{there.images.tags['v1']}",
    }
    assert by_name["Configuration"]["FunctionArn"] == FUNCTION_ARN
    assert by_name["Configuration"]["Version"] == "$LATEST"
    assert by_name["Code"]["ResolvedImageUri"].endswith(there.images.tags["v2"])


def test_a_qualifier_that_is_nothing_is_not_found(there: World) -> None:
    # given
    there.create("v1")

    # when
    refused = refusal(there.aws.get_function, FunctionName="service", Qualifier="gone")

    # then
    assert refused == (404, "ResourceNotFoundException", f"Function not found: {FUNCTION_ARN}:gone")


def test_a_tag_is_resolved_once_and_never_followed(there: World) -> None:
    # given
    digest = there.images.push("latest")
    there.create(Code={"ImageUri": f"{REPOSITORY_URI}:latest"})

    # when
    there.images.push("other")
    there.images.tags["latest"] = there.images.tags["other"]

    # then
    code = there.aws.get_function(FunctionName="service")["Code"]
    assert code["ImageUri"] == f"{REPOSITORY_URI}:latest"
    assert code["ResolvedImageUri"] == f"{REPOSITORY_URI}@{digest}"


def test_an_image_index_is_refused_and_the_function_stays_as_it_was(there: World) -> None:
    # given
    there.create("v1")
    before = configuration(there)
    there.images.push("multi", media_type=INDEX)
    uri = f"{REPOSITORY_URI}:multi"

    # when
    refused = refusal(there.aws.update_function_code, FunctionName="service", ImageUri=uri)

    # then
    assert refused == (
        400,
        "InvalidParameterValueException",
        f"The image manifest, config or layer media type for the source image {uri} is not supported.",
    )
    assert configuration(there) == before


def test_an_image_that_is_not_there_is_refused(there: World) -> None:
    # given
    there.create("v1")
    uri = f"{REPOSITORY_URI}@sha256:{'0' * 64}"

    # when
    refused = refusal(there.aws.update_function_code, FunctionName="service", ImageUri=uri)

    # then
    assert refused[2] == f"Source image {uri} does not exist. Provide a valid source image."


@pytest.mark.parametrize(
    "policy",
    [
        None,
        {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "lambda.amazonaws.com"},
                    "Action": "ecr:BatchGetImage",
                }
            ]
        },
        {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "lambda.amazonaws.com"},
                    "Action": "ecr:*",
                    "Condition": {"StringLike": {"aws:sourceArn": "arn:aws:lambda:*:*:function:another"}},
                }
            ]
        },
    ],
    ids=["no policy", "half of what it takes", "another function only"],
)
def test_a_repository_that_does_not_let_lambda_pull_is_refused(
    there: World, policy: dict[str, Any] | None
) -> None:
    # given
    there.create("v1")
    there.images.pull_policy = policy

    # when
    refused = refusal(there.aws.update_function_code, FunctionName="service", ImageUri=f"{REPOSITORY_URI}:v1")

    # then
    assert refused == (
        403,
        "AccessDeniedException",
        "Lambda does not have permission to access the ECR image. Check the ECR permissions.",
    )


@pytest.mark.parametrize("missing", ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"])
def test_an_image_that_its_caller_may_not_pull_is_refused(there: World, missing: str) -> None:
    # given
    there.create("v1")
    digest = there.images.push("v2")
    there.denied_callers.add((missing, REPOSITORY_ARN))

    # when
    image = {"ImageUri": f"{REPOSITORY_URI}@{digest}"}
    updated = refusal(there.aws.update_function_code, FunctionName="service", **image)
    created = refusal(
        there.aws.create_function, FunctionName="another", PackageType="Image", Role=ROLE, Code=image
    )

    # then: the function is untouched, and the answer says which right is missing
    assert updated == created
    assert updated[:2] == (403, "AccessDeniedException")
    assert updated[2].startswith("Lambda does not have permission to access the ECR image.")
    assert f"{missing} on resource: {REPOSITORY_ARN}" in updated[2]
    assert configuration(there)["CodeSha256"] == there.images.tags["v1"].removeprefix("sha256:")


def test_active_tracing_needs_a_role_that_may_trace(there: World) -> None:
    # given
    there.create("v1")
    there.denied.add(("xray:PutTraceSegments", "*"))
    active = {"TracingConfig": {"Mode": "Active"}}

    # when
    created = refusal(there.create, FunctionName="another", **active)
    updated = refusal(there.aws.update_function_configuration, FunctionName="service", **active)
    there.aws.update_function_configuration(
        FunctionName="service", TracingConfig={"Mode": "PassThrough"}, Timeout=7
    )

    # then
    assert (
        created
        == updated
        == (
            400,
            "InvalidParameterValueException",
            "The provided execution role does not have permissions to call PutTraceSegments on XRAY",
        )
    )
    assert configuration(there)["TracingConfig"] == {"Mode": "PassThrough"}
    assert configuration(there)["Timeout"] == 7


def test_a_traced_function_needs_a_new_role_that_may_trace(there: World) -> None:
    # given
    there.create("v1", TracingConfig={"Mode": "Active"})
    there.denied.add(("xray:PutTraceSegments", "*"))

    # when
    refused = refusal(there.aws.update_function_configuration, FunctionName="service", Role=ROLE)

    # then
    assert refused[1] == "InvalidParameterValueException"
    there.aws.update_function_configuration(FunctionName="service", Timeout=7)


@pytest.mark.parametrize(
    ("arn", "action", "verb"),
    [
        ("arn:aws:sqs:us-east-1:123456789012:failed", "sqs:SendMessage", "SendMessage"),
        ("arn:aws:sns:us-east-1:123456789012:failed", "sns:Publish", "Publish"),
    ],
)
@pytest.mark.parametrize("condition", ["OnFailure", "OnSuccess"])
def test_a_destination_that_the_role_may_not_send_to_is_refused(
    there: World, condition: str, arn: str, action: str, verb: str
) -> None:
    # given
    there.create("v1")
    there.denied.add((action, arn))
    request = {"FunctionName": "service", "DestinationConfig": {condition: {"Destination": arn}}}

    # when
    refused = refusal(there.aws.put_function_event_invoke_config, **request)
    there.denied.clear()
    there.aws.put_function_event_invoke_config(**request)

    # then
    assert refused == (
        400,
        "InvalidParameterValueException",
        f"The function's execution role does not have permissions to call {verb} on {arn}",
    )
    kept = there.aws.get_function_event_invoke_config(FunctionName="service")["DestinationConfig"]
    assert kept[condition] == {"Destination": arn}


def test_a_function_whose_image_was_deleted_fails_until_it_gets_another(there: World) -> None:
    # given
    there.create("v1")
    del there.images.stored[there.images.tags["v1"]]

    # when
    broken = configuration(there)
    refused = refusal(there.aws.invoke, FunctionName="service")
    there.update("v2")
    there.wait(6)

    # then
    assert (broken["State"], broken["StateReasonCode"]) == ("Failed", "ImageDeleted")
    assert refused[0] == 409
    assert configuration(there)["State"] == "Active"


def test_an_update_whose_image_is_deleted_meanwhile_fails_and_the_old_code_serves_on(there: World) -> None:
    # given
    there.create("v1")
    there.update("v2")
    during = configuration(there)

    # when
    del there.images.stored[there.images.tags["v2"]]
    still = configuration(there)
    there.wait(6)
    failed = configuration(there)
    served = json.loads(there.aws.invoke(FunctionName="service")["Payload"].read())["code"]
    there.update("v3")
    there.wait(6)

    # then
    assert (still["State"], still["LastUpdateStatus"]) == ("Active", "InProgress")
    assert (failed["State"], failed["LastUpdateStatus"]) == ("Active", "Failed")
    assert failed["LastUpdateStatusReasonCode"] == "ImageDeleted"
    assert failed["RevisionId"] != during["RevisionId"]
    assert served == there.images.tags["v1"].removeprefix("sha256:")
    assert configuration(there)["LastUpdateStatus"] == "Successful"


def test_an_image_that_nobody_invoked_for_weeks_has_to_be_woken(there: World) -> None:
    # given
    there.create("v1", Publish=True)
    there.wait(20 * 86_400)
    asleep = configuration(there, Qualifier="1")

    # when
    refused = refusal(there.aws.invoke, FunctionName="service", Qualifier="1")
    waking = configuration(there, Qualifier="1")
    there.wait(2)

    # then
    assert (asleep["State"], asleep["StateReasonCode"]) == ("Inactive", "Idle")
    assert refused[:2] == (409, "ResourceConflictException")
    assert (waking["State"], waking["StateReasonCode"]) == ("Pending", "Restoring")
    assert configuration(there, Qualifier="1")["State"] == "Active"
    assert there.aws.invoke(FunctionName="service", Qualifier="1")["StatusCode"] == 200


def test_an_image_that_is_invoked_stays_awake(there: World) -> None:
    there.create("v1", Publish=True)
    for _ in range(4):
        there.wait(10 * 86_400)
        assert there.aws.invoke(FunctionName="service", Qualifier="1")["StatusCode"] == 200


def test_an_architecture_left_out_of_an_update_becomes_the_default(there: World) -> None:
    # given
    there.create("v1", Architectures=["arm64"])

    # when
    updated = there.update("v2")

    # then
    assert updated["Architectures"] == ["x86_64"]


def test_a_dry_run_changes_nothing(there: World) -> None:
    # given
    there.create("v1")
    before = configuration(there)

    # when
    answer = there.update("v2", DryRun=True)

    # then
    assert answer["CodeSha256"] == there.images.tags["v2"].removeprefix("sha256:")
    assert configuration(there) == before


def test_an_alias_moves_only_for_whoever_saw_its_last_state(there: World) -> None:
    # given
    there.create("v1")
    there.aws.publish_version(FunctionName="service")
    there.publish("v2")
    created = there.aws.create_alias(FunctionName="service", Name="live", FunctionVersion="1")

    # when
    flip = {"FunctionName": "service", "Name": "live", "FunctionVersion": "2"}
    moved = there.aws.update_alias(**flip, RevisionId=created["RevisionId"])
    refused = refusal(there.aws.update_alias, **flip, RevisionId=created["RevisionId"])

    # then
    assert (moved["FunctionVersion"], moved["AliasArn"]) == ("2", f"{FUNCTION_ARN}:live")
    assert refused[:2] == (412, "PreconditionFailedException")
    assert there.aws.get_alias(FunctionName="service", Name="live")["RevisionId"] == moved["RevisionId"]


def test_an_empty_routing_configuration_removes_the_second_version(there: World) -> None:
    # given
    there.create("v1")
    there.aws.publish_version(FunctionName="service")
    there.publish("v2")
    there.aws.create_alias(
        FunctionName="service",
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )

    # when
    moved = there.aws.update_alias(
        FunctionName="service",
        Name="live",
        FunctionVersion="2",
        RoutingConfig={"AdditionalVersionWeights": {}},
    )

    # then
    assert "RoutingConfig" not in moved


@pytest.mark.parametrize(
    ("version", "weights", "status", "code"),
    [
        ("9", {}, 404, "ResourceNotFoundException"),
        ("1", {"9": 0.5}, 404, "ResourceNotFoundException"),
        ("1", {"1": 0.5}, 400, "InvalidParameterValueException"),
        ("1", {"2": 0.5, "3": 0.1}, 400, "InvalidParameterValueException"),
        ("1", {"2": 1.5}, 400, "ValidationException"),
        ("1", {"$LATEST": 0.5}, 400, "ValidationException"),
        ("$LATEST", {"1": 0.5}, 400, "InvalidParameterValueException"),
    ],
)
def test_an_alias_takes_one_published_version_and_at_most_one_more(
    there: World, version: str, weights: dict[str, float], status: int, code: str
) -> None:
    # given
    there.create("v1")
    there.aws.publish_version(FunctionName="service")
    there.publish("v2")

    # when
    refused = refusal(
        there.aws.create_alias,
        FunctionName="service",
        Name="live",
        FunctionVersion=version,
        RoutingConfig={"AdditionalVersionWeights": weights},
    )

    # then
    assert refused[:2] == (status, code)


@pytest.mark.parametrize(("weight", "executed"), [(0.0, {"1"}), (1.0, {"2"}), (0.5, {"1", "2"})])
def test_an_aliass_weight_says_how_often_its_second_version_runs(
    there: World, weight: float, executed: set[str]
) -> None:
    # given
    there.create("v1")
    there.aws.publish_version(FunctionName="service")
    there.publish("v2")
    there.aws.create_alias(
        FunctionName="service",
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": weight}},
    )

    # when
    versions = {there.functions.run("service", b"{}", "live").executed_version for _ in range(60)}

    # then
    assert versions == executed


def test_an_invocation_says_which_version_ran_and_knows_the_arn_it_was_called_by(there: World) -> None:
    # given
    there.create("v1")
    there.aws.publish_version(FunctionName="service")
    there.wait(6)
    there.aws.create_alias(FunctionName="service", Name="live", FunctionVersion="1")

    # when
    answer = there.aws.invoke(FunctionName="service", Qualifier="live", LogType="Tail", Payload=b'{"a": 1}')

    # then
    assert answer["ExecutedVersion"] == "1"
    assert "FunctionError" not in answer
    assert answer["LogResult"] == "dGFpbA=="
    assert json.loads(answer["Payload"].read())["arn"] == f"{FUNCTION_ARN}:live"


@pytest.mark.parametrize(
    ("kind", "payload", "status", "code"),
    [
        ("RequestResponse", b"not json", 400, "InvalidRequestContentException"),
        ("RequestResponse", b'"' + b"x" * 6_291_456 + b'"', 413, "RequestTooLargeException"),
        ("Event", b'"' + b"x" * 1_048_576 + b'"', 413, "RequestTooLargeException"),
    ],
    ids=["not json", "too large", "too large for an event"],
)
def test_a_payload_lambda_does_not_take_is_refused(
    there: World, kind: str, payload: bytes, status: int, code: str
) -> None:
    # given
    there.create("v1")

    # when
    refused = refusal(there.aws.invoke, FunctionName="service", InvocationType=kind, Payload=payload)

    # then
    assert refused[:2] == (status, code)


def test_an_event_is_accepted_and_a_dry_run_runs_nothing(there: World) -> None:
    # given
    there.create("v1")

    # when
    event = there.aws.invoke(FunctionName="service", InvocationType="Event")
    dry = there.aws.invoke(FunctionName="service", InvocationType="DryRun")

    # then
    assert (event["StatusCode"], dry["StatusCode"]) == (202, 204)


def test_reserved_environment_variables_are_refused(there: World) -> None:
    # given
    there.create("v1")

    # when
    refused = refusal(
        there.aws.update_function_configuration,
        FunctionName="service",
        Environment={"Variables": {"AWS_REGION": "eu-west-1"}},
    )

    # then
    assert refused[1] == "InvalidParameterValueException"
    assert "Reserved keys used in this request: AWS_REGION" in refused[2]


def test_a_role_that_does_not_exist_is_refused(there: World) -> None:
    # given
    there.roles.clear()
    digest = there.images.push("v1")

    # when
    refused = refusal(
        there.aws.create_function,
        FunctionName="service",
        PackageType="Image",
        Role=ROLE,
        Code={"ImageUri": f"{REPOSITORY_URI}@{digest}"},
    )

    # then
    assert refused[2] == "The role defined for the function cannot be assumed by Lambda."


def test_a_zip_function_cannot_become_an_image_function(there: World) -> None:
    # given
    there.aws.create_function(
        FunctionName="service",
        Role=ROLE,
        Handler="app.handler",
        Runtime="python3.12",
        Code={"ZipFile": zipped(app="")},
    )
    there.wait(6)
    there.images.push("v1")

    # when
    refused = refusal(there.aws.update_function_code, FunctionName="service", ImageUri=f"{REPOSITORY_URI}:v1")

    # then
    assert refused[2] == "Please don't provide ImageUri when updating a function with packageType Zip."


def test_what_is_no_zip_is_refused(there: World) -> None:
    # when
    refused = refusal(
        there.aws.create_function,
        FunctionName="service",
        Role=ROLE,
        Handler="app.handler",
        Runtime="python3.12",
        Code={"ZipFile": b"no zip"},
    )

    # then
    assert refused[2] == "Could not unzip uploaded file. Please check your file, then try to upload again."


def test_a_version_an_alias_needs_cannot_be_deleted(there: World) -> None:
    # given
    there.create("v1")
    there.aws.publish_version(FunctionName="service")
    there.aws.create_alias(FunctionName="service", Name="live", FunctionVersion="1")

    # when
    refused = refusal(there.aws.delete_function, FunctionName="service", Qualifier="1")
    there.aws.delete_alias(FunctionName="service", Name="live")
    there.aws.delete_function(FunctionName="service", Qualifier="1")

    # then
    assert refused[:2] == (409, "ResourceConflictException")
    assert [
        v["Version"] for v in there.aws.list_versions_by_function(FunctionName="service")["Versions"]
    ] == ["$LATEST"]


def test_a_deleted_function_is_gone_with_everything(there: World) -> None:
    # given
    there.create("v1")

    # when
    deleted = there.aws.delete_function(FunctionName="service")

    # then
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(there.aws.get_function, FunctionName="service") == (
        404,
        "ResourceNotFoundException",
        f"Function not found: {FUNCTION_ARN}",
    )


def test_each_alias_has_a_policy_of_its_own(there: World) -> None:
    # given
    there.create("v1")
    there.aws.publish_version(FunctionName="service")
    there.aws.create_alias(FunctionName="service", Name="live", FunctionVersion="1")
    permission = {
        "FunctionName": "service",
        "StatementId": "api",
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": "arn:aws:execute-api:us-east-1:123456789012:api/*",
    }

    # when
    there.aws.add_permission(**permission, Qualifier="live")
    twice = refusal(there.aws.add_permission, **permission, Qualifier="live")
    on_function = refusal(there.aws.get_policy, FunctionName="service")

    # then
    policy = json.loads(there.aws.get_policy(FunctionName="service", Qualifier="live")["Policy"])
    assert policy["Statement"] == [
        {
            "Sid": "api",
            "Effect": "Allow",
            "Principal": {"Service": "apigateway.amazonaws.com"},
            "Action": "lambda:InvokeFunction",
            "Resource": f"{FUNCTION_ARN}:live",
            "Condition": {"ArnLike": {"AWS:SourceArn": permission["SourceArn"]}},
        }
    ]
    assert twice[:2] == (409, "ResourceConflictException")
    assert on_function[0] == 404


def test_a_list_comes_in_pages(there: World) -> None:
    # given
    there.create("v1")
    there.aws.publish_version(FunctionName="service")
    there.wait(6)
    there.publish("v2")

    # when
    first = there.aws.list_versions_by_function(FunctionName="service", MaxItems=2)
    second = there.aws.list_versions_by_function(FunctionName="service", Marker=first["NextMarker"])

    # then
    assert [v["Version"] for v in first["Versions"]] == ["$LATEST", "1"]
    assert [v["Version"] for v in second["Versions"]] == ["2"]
    assert "NextMarker" not in second
