"""The protocol front speaks as AWS does to a real boto3 client, and trusts nothing that comes in."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from sandbox.account import AwsError
from sandbox.door.wire import application
from tests.sandbox.registry import client, serving

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

ARN = "arn:aws:lambda:us-east-1:123456789012:function:shop"


class Service:
    """A little of Lambda, ECR or CloudFormation, which remembers its requests and answers what it is told."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.checked: list[tuple[str, str]] = []
        self.answer: dict[str, Any] = {}
        self.refusal: Exception | None = None
        self.denied = False

    def resource(self, operation: str, request: dict[str, Any]) -> str:
        return f"{operation} of {request.get('FunctionName') or request.get('repositoryName')}"

    def authorize(self, environ: WSGIEnvironment, action: str, resource: str) -> None:
        self.checked.append((action, resource))
        if self.denied:
            raise AwsError("AccessDeniedException", "User: x is not authorized to perform: y", 403)

    def _answered(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        if self.refusal:
            raise self.refusal
        return self.answer

    invoke = list_tags = get_alias = delete_alias = update_alias = create_function = _answered
    put_function_event_invoke_config = list_functions = list_provisioned_concurrency_configs = _answered
    put_image = upload_layer_part = describe_images = batch_get_image = put_image_tag_mutability = _answered
    create_stack = execute_change_set = list_change_sets = _answered


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def lambda_(service: Service) -> Iterator[Any]:
    with serving(application("lambda", service, service.authorize)) as url:
        yield client("lambda", url)


@pytest.fixture
def ecr(service: Service) -> Iterator[Any]:
    with serving(application("ecr", service, service.authorize)) as url:
        yield client("ecr", url)


@pytest.fixture
def cloudformation(service: Service) -> Iterator[Any]:
    with serving(application("cloudformation", service, service.authorize)) as url:
        yield client("cloudformation", url)


def refused(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str, str]:
    response = error.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Code"],
        response["Error"]["Message"],
    )


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_path_query_header_and_payload_arrive_by_their_names_in_boto3(service: Service, lambda_: Any) -> None:
    # when
    lambda_.invoke(FunctionName=ARN, Qualifier="live", LogType="Tail", Payload=b"\x00 not JSON")

    # then
    assert service.requests == [
        {"FunctionName": ARN, "Qualifier": "live", "LogType": "Tail", "Payload": b"\x00 not JSON"}
    ]


def test_status_headers_and_payload_reach_the_caller(service: Service, lambda_: Any) -> None:
    # given
    service.answer = {
        "StatusCode": 202,
        "FunctionError": "Unhandled",
        "LogResult": "bG9n",
        "ExecutedVersion": "7",
        "Payload": b'{"errorType": "x"}',
    }

    # when
    answer = lambda_.invoke(FunctionName="shop")

    # then
    assert answer["Payload"].read() == b'{"errorType": "x"}'
    assert {
        name: answer[name] for name in ("StatusCode", "FunctionError", "LogResult", "ExecutedVersion")
    } == {
        "StatusCode": 202,
        "FunctionError": "Unhandled",
        "LogResult": "bG9n",
        "ExecutedVersion": "7",
    }


def test_nested_members_and_times_arrive_and_return(service: Service, lambda_: Any) -> None:
    # given
    modified = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    destinations = {"OnFailure": {"Destination": ARN}}
    service.answer = {"LastModified": modified, "DestinationConfig": destinations}

    # when
    answer = lambda_.put_function_event_invoke_config(
        FunctionName="shop", DestinationConfig=destinations, MaximumRetryAttempts=0
    )

    # then
    assert (answer["LastModified"], answer["DestinationConfig"]) == (modified, destinations)
    assert service.requests == [
        {"FunctionName": "shop", "DestinationConfig": destinations, "MaximumRetryAttempts": 0}
    ]


def test_maps_arrive_whole(service: Service, lambda_: Any) -> None:
    # when
    weights = {"AdditionalVersionWeights": {"8": 0.25}}
    lambda_.update_alias(FunctionName="shop", Name="live", RoutingConfig=weights)

    # then
    assert service.requests == [{"FunctionName": "shop", "Name": "live", "RoutingConfig": weights}]


def test_a_query_literal_in_the_model_tells_two_operations_apart(service: Service, lambda_: Any) -> None:
    # when
    lambda_.list_provisioned_concurrency_configs(FunctionName="shop")

    # then
    assert service.checked == [
        ("lambda:ListProvisionedConcurrencyConfigs", "ListProvisionedConcurrencyConfigs of shop")
    ]


def test_an_answer_without_content_has_no_body(service: Service, lambda_: Any) -> None:
    # when
    answer = lambda_.delete_alias(FunctionName="shop", Name="live")

    # then
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_blobs_of_the_json_protocol_arrive_as_bytes(service: Service, ecr: Any) -> None:
    # when
    upload = "00000000-0000-0000-0000-000000000000"
    ecr.upload_layer_part(
        repositoryName="app", uploadId=upload, partFirstByte=0, partLastByte=2, layerPartBlob=b"\xff\x00\x01"
    )

    # then
    assert service.requests[0]["layerPartBlob"] == b"\xff\x00\x01"


def test_the_caller_is_checked_against_the_action_and_resource_before_anything_is_done(
    service: Service, lambda_: Any
) -> None:
    # given
    service.denied = True

    # when
    with pytest.raises(ClientError) as error:
        lambda_.invoke(FunctionName="shop")

    # then
    assert refused(error) == (403, "AccessDeniedException", "User: x is not authorized to perform: y")
    assert service.checked == [("lambda:InvokeFunction", "Invoke of shop")]
    assert service.requests == []


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (AwsError("ResourceNotFoundException", "gone"), (404, "ResourceNotFoundException", "gone")),
        (AwsError("ResourceConflictException", "busy"), (409, "ResourceConflictException", "busy")),
        (AwsError("PreconditionFailedException", "stale"), (412, "PreconditionFailedException", "stale")),
        (
            AwsError("ImageNotFoundException", "not Lambda's own"),
            (400, "ImageNotFoundException", "not Lambda's own"),
        ),
        (AwsError("ServiceException", "sorry", 503), (503, "ServiceException", "sorry")),
    ],
)
def test_a_refusal_has_the_status_its_model_gives_unless_told_otherwise(
    service: Service, lambda_: Any, refusal: AwsError, expected: tuple[int, str, str]
) -> None:
    # given
    service.refusal = refusal

    # when
    with pytest.raises(ClientError) as error:
        lambda_.get_alias(FunctionName="shop", Name="live")

    # then
    assert refused(error) == expected


def test_further_members_of_an_error_go_where_its_model_says(service: Service, lambda_: Any) -> None:
    # given
    fields = {"retryAfterSeconds": "3", "Reason": "ConcurrentInvocationLimitExceeded"}
    service.refusal = AwsError("TooManyRequestsException", "Rate Exceeded.", fields=fields)

    # when
    with pytest.raises(ClientError) as error:
        lambda_.invoke(FunctionName="shop")

    # then
    response = error.value.response
    assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "3"
    assert response["Reason"] == "ConcurrentInvocationLimitExceeded"  # type: ignore[typeddict-item] # modelled
    assert response["Type"] == "User"  # type: ignore[typeddict-item] # modelled


def test_a_missing_member_is_refused_in_ecrs_words(service: Service, ecr: Any) -> None:
    # when
    with pytest.raises(ClientError) as error:
        ecr.put_image(repositoryName="app")

    # then
    assert refused(error) == (
        400,
        "InvalidParameterException",
        "Invalid parameter at 'imageManifest' failed to satisfy constraint: 'Member must not be null'",
    )
    assert service.checked == []
    assert service.requests == []


def test_a_value_outside_an_enum_is_refused_in_ecrs_words(ecr: Any) -> None:
    # when
    with pytest.raises(ClientError) as error:
        ecr.put_image_tag_mutability(repositoryName="app", imageTagMutability="SOMETIMES")

    # then
    assert refused(error)[2].startswith(
        "Invalid parameter at 'imageTagMutability' failed to satisfy constraint: "
        "'Member must satisfy enum value set: [MUTABLE, IMMUTABLE"
    )


def test_every_violation_is_named_in_lambdas_words(service: Service, lambda_: Any) -> None:
    # when
    with pytest.raises(ClientError) as error:
        lambda_.create_function(FunctionName="shop!", Code={}, Role="nobody", Timeout=0, PackageType="Tar")

    # then
    status, code, message = refused(error)
    assert (status, code) == (400, "ValidationException")
    assert message.startswith("4 validation errors detected: Value shop! at 'functionName' failed to satisfy")
    assert "Value nobody at 'role' failed to satisfy constraint: Member must satisfy regular" in message
    assert "Value 0 at 'timeout' failed to satisfy constraint: Member must have value greater than" in message
    assert "Value Tar at 'packageType' failed to satisfy constraint: Member must satisfy enum" in message
    assert service.requests == []


def test_places_inside_lists_are_named(ecr: Any) -> None:
    # when
    with pytest.raises(ClientError) as error:
        ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "a"}, {"imageTag": "x" * 301}])

    # then
    assert "at 'imageIds.2.member.imageTag' failed" in refused(error)[2]


def test_lists_and_numbers_have_bounds(ecr: Any) -> None:
    requests: list[dict[str, Any]] = [{"imageIds": []}, {"maxResults": 1001}, {"maxResults": 0}]
    for request in requests:
        with pytest.raises(ClientError, match="failed to satisfy constraint"):
            ecr.describe_images(repositoryName="app", **request)


def test_a_long_refused_value_is_not_repeated_whole(lambda_: Any) -> None:
    # when
    with pytest.raises(ClientError) as error:
        lambda_.create_function(FunctionName="x" * 100_000, Code={}, Role=ARN)

    # then
    assert len(refused(error)[2]) < 5_000


def test_an_operation_nobody_wrote_is_named(lambda_: Any) -> None:
    # when
    with pytest.raises(ClientError) as error:
        lambda_.list_layers()

    # then
    status, code, message = refused(error)
    assert (status, code) == (501, "NotImplementedException")
    assert message.startswith(
        "The sandbox does not implement lambda:ListLayers. It implements: CreateFunction"
    )


def test_a_bug_is_a_500_for_the_caller_and_a_traceback_for_us(
    service: Service, lambda_: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    service.refusal = ZeroDivisionError("a bug")

    # when
    with pytest.raises(ClientError) as error:
        lambda_.get_alias(FunctionName="shop", Name="live")

    # then
    assert refused(error)[:2] == (500, "ServiceException")
    assert "ZeroDivisionError: a bug" in capsys.readouterr().err


def test_an_answer_the_model_does_not_know_is_a_bug(
    service: Service, lambda_: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    service.answer = {"AliasArm": ARN}

    # when
    with pytest.raises(ClientError) as error:
        lambda_.get_alias(FunctionName="shop", Name="live")

    # then
    assert refused(error)[0] == 500
    assert "GetAlias answers no ['AliasArm']" in capsys.readouterr().err


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"null",
        b"[" * 100_000,
        b'{"repositoryName": ["app"], "imageManifest": "{}"}',
        b'{"repositoryName": {"a": 1}, "imageManifest": "{}"}',
        b'{"repositoryName": "app", "imageManifest": 7}',
    ],
)
def test_bodies_that_are_not_what_the_model_says_are_refused(service: Service, body: bytes) -> None:
    # given
    headers = {"X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.PutImage"}

    # when
    with serving(application("ecr", service, service.authorize)) as url:
        status, error = post(url, body, headers)

    # then
    assert status == 400
    assert error["__type"] in {"SerializationException", "InvalidParameterException"}
    assert service.requests == []


@pytest.mark.parametrize(
    "target", ["", "PutImage", "Other.PutImage", "AmazonEC2ContainerRegistry_V20150921.__init__"]
)
def test_an_operation_the_service_does_not_have_is_refused(service: Service, target: str) -> None:
    # when
    with serving(application("ecr", service, service.authorize)) as url:
        status, error = post(url, b"{}", {"X-Amz-Target": target})

    # then
    assert (status, error["__type"]) == (400, "UnknownOperationException")


def test_a_path_the_service_does_not_have_is_refused(service: Service) -> None:
    # when
    with serving(application("lambda", service, service.authorize)) as url:
        status, error = post(f"{url}/2015-03-31/elsewhere", b"{}", {})

    # then
    assert (status, error["message"]) == (404, "No operation at POST /2015-03-31/elsewhere.")


def test_a_body_larger_than_aws_takes_is_refused_unread(service: Service) -> None:
    # given
    headers = {"Content-Length": "70167212"}
    path = "/2015-03-31/functions/shop/invocations"

    # when
    with serving(application("lambda", service, service.authorize)) as url:
        status, error = post(url + path, b"the rest never comes", headers)

    # then
    assert (status, error["message"]) == (413, "Request must be smaller than 70167211 bytes")


# The query protocol: a form comes in, XML goes out


def test_lists_texts_and_switches_arrive_from_a_form(service: Service, cloudformation: Any) -> None:
    # when
    parameters = [
        {"ParameterKey": "Email", "ParameterValue": ""},
        {"ParameterKey": "x", "UsePreviousValue": True},
    ]
    cloudformation.create_stack(
        StackName="shop",
        TemplateBody="a & b = \u00fc\n",
        Parameters=parameters,
        Tags=[],
        DisableRollback=False,
    )

    # then
    assert service.requests == [
        {
            "StackName": "shop",
            "TemplateBody": "a & b = \u00fc\n",
            "Parameters": parameters,
            "Tags": [],
            "DisableRollback": False,
        }
    ]
    assert service.checked[0][0] == "cloudformation:CreateStack"


def test_lists_and_times_return_as_xml(service: Service, cloudformation: Any) -> None:
    # given
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    service.answer = {"Summaries": [{"ChangeSetName": "a<b>", "CreationTime": made}]}

    # when
    answered = cloudformation.list_change_sets(StackName="shop")

    # then
    assert answered["Summaries"] == [{"ChangeSetName": "a<b>", "CreationTime": made}]


def test_a_refusal_of_the_query_protocol_keeps_its_code_and_text(
    service: Service, cloudformation: Any
) -> None:
    # given
    service.refusal = AwsError("AlreadyExistsException", "Stack [<shop> & more] already exists")

    # when
    with pytest.raises(ClientError) as error:
        cloudformation.create_stack(StackName="shop")

    # then
    assert refused(error) == (400, "AlreadyExistsException", "Stack [<shop> & more] already exists")


def test_what_the_query_protocols_model_does_not_allow_is_refused(
    service: Service, cloudformation: Any
) -> None:
    # when
    with pytest.raises(ClientError) as error:
        cloudformation.execute_change_set(ChangeSetName="9 no name")

    # then
    status, code, message = refused(error)
    assert (status, code) == (400, "ValidationError")
    assert "'changeSetName' failed to satisfy constraint" in message
    assert service.requests == []


@pytest.mark.parametrize("body", [b"Action=CreateRocket", b"", b"\xff\x00", b'{"Action": "CreateStack"}'])
def test_a_form_without_an_operation_is_refused(service: Service, body: bytes) -> None:
    # when
    with serving(application("cloudformation", service, service.authorize)) as url:
        request = urllib.request.Request(url, body, {"Content-Type": "application/x-www-form-urlencoded"})
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request)

    # then
    assert error.value.code == 400
    assert b"<Code>InvalidAction</Code>" in error.value.read()
    assert service.requests == []
