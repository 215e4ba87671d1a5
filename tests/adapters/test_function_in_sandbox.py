"""The service function in an account that refuses what AWS refuses, and whose images run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deployer.aws.function import LambdaFunction
from deployer.model import Image, UpdateStatus, VersionState
from deployer.ports import LookAgain, Refused
from sandbox.building import images

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
PULL = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }
    ],
}


@dataclass(frozen=True)
class Service:
    """A function with an alias `live`, and images for it."""

    aws: Callable[[str], Any]
    name: str
    repository: str
    uri: str
    folder: Path

    @property
    def function(self) -> LambdaFunction:
        return LambdaFunction(self.aws("lambda"), self.aws("lambda"), self.name, self.uri)

    def push(self, answer: str) -> Image:
        code = f"def handler(event, context):\n    print('asked')\n    {answer}\n"
        built = images.build(self.folder, overrides={"app.py": code.encode()})
        return Image(self.repository, images.upload(built, self.aws("ecr"), self.repository, None))

    def update(self, image: Image) -> None:
        self.function.update_code(image, "x86_64", self.function.latest().revision)

    def publish(self, image: Image) -> str:
        self.update(image)
        return self.function.publish(image, self.function.latest().revision).number


@pytest.fixture
def service(aws: Callable[[str], Any], tmp_path: Path) -> Service:
    name, repository = f"shuking-{uuid4()}", f"team/{uuid4()}"
    (tmp_path / "app.py").write_text("def handler(event, context): return 'placeholder'\n")
    (tmp_path / "Dockerfile").write_text(
        'FROM public.ecr.aws/lambda/python:3.12\nCOPY app.py ${LAMBDA_TASK_ROOT}/\nCMD ["app.handler"]\n'
    )
    uri = aws("ecr").create_repository(repositoryName=repository)["repository"]["repositoryUri"]
    aws("ecr").set_repository_policy(repositoryName=repository, policyText=json.dumps(PULL))
    role = aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    digest = images.upload(images.build(tmp_path), aws("ecr"), repository, None)
    aws("lambda").create_function(
        FunctionName=name, PackageType="Image", Role=role, Code={"ImageUri": f"{uri}@{digest}"}, Publish=True
    )
    aws("lambda").create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return Service(aws, name, repository, uri, tmp_path)


def test_a_release_goes_live_by_its_digest(service: Service) -> None:
    # given
    function, before = service.function, service.function.live()
    candidate = service.push("return {'statusCode': 200}")

    # when
    service.update(candidate)
    latest = function.latest()
    version = function.publish(candidate, latest.revision)
    again = function.publish(candidate, function.latest().revision)

    # then: users see nothing of it yet
    assert (latest.image, latest.status, latest.architecture) == (
        candidate,
        UpdateStatus.SUCCESSFUL,
        "x86_64",
    )
    assert (version.image, version.number) == (candidate, "2")
    assert again.number == version.number
    assert function.live() == before

    # when
    function.point_live(version.number, function.live_revision("1"))

    # then
    assert function.live().number == "2"
    assert function.live().image == candidate
    assert function.version("2").state is VersionState.ACTIVE
    with pytest.raises(LookAgain, match="live moved from version 1 to 2"):
        function.live_revision("1")


def test_a_stale_revision_changes_nothing(service: Service) -> None:
    # given: what was true before somebody else's update
    function, first, second = service.function, service.push("return 1"), service.push("return 2")
    stale, stale_alias = function.latest().revision, function.live_revision("1")
    service.publish(first)
    function.point_live("2", stale_alias)

    # then
    for write in (
        lambda: function.update_code(second, "x86_64", stale),
        lambda: function.publish(first, stale),
        lambda: function.point_live("1", stale_alias),
    ):
        with pytest.raises(LookAgain, match="PreconditionFailedException"):
            write()
    assert (function.latest().image, function.live().number) == (first, "2")


def test_a_version_is_never_made_of_an_image_that_somebody_slipped_in(service: Service) -> None:
    meant, slipped_in = service.push("return 1"), service.push("return 2")
    service.update(meant)
    service.update(slipped_in)
    with pytest.raises(LookAgain, match="somebody changed it"):
        service.function.publish(meant, service.function.latest().revision)


def test_moving_live_ends_a_traffic_split_that_somebody_left(service: Service) -> None:
    # given
    version = service.publish(service.push("return 1"))
    service.aws("lambda").update_alias(
        FunctionName=service.name, Name="live", RoutingConfig={"AdditionalVersionWeights": {version: 0.5}}
    )

    # when
    service.function.point_live(version, service.function.live_revision("1"))

    # then
    alias = service.aws("lambda").get_alias(FunctionName=service.name, Name="live")
    assert alias["FunctionVersion"] == version
    assert not alias.get("RoutingConfig", {}).get("AdditionalVersionWeights")


def test_an_image_that_is_gone_is_refused(service: Service) -> None:
    gone = Image(service.repository, "sha256:" + "00" * 32)
    with pytest.raises(Refused, match="UpdateFunctionCode: InvalidParameterValueException"):
        service.update(gone)


def test_an_index_is_refused_in_awss_words(service: Service) -> None:
    digest = images.upload(
        images.index(images.build(service.folder)), service.aws("ecr"), service.repository, None
    )
    with pytest.raises(Refused, match="media type"):
        service.update(Image(service.repository, digest))


def test_a_version_answers_before_any_user_can_reach_it(service: Service) -> None:
    version = service.publish(service.push("return {'statusCode': 200, 'body': event['path']}"))
    answer = service.function.invoke(version, b'{"path": "/health"}')
    assert json.loads(answer.payload) == {"statusCode": 200, "body": "/health"}
    assert (answer.function_error, answer.executed_version) == (None, version)
    assert "asked" in answer.log_tail


def test_code_that_dies_brings_its_error_and_its_log(service: Service) -> None:
    version = service.publish(service.push("raise RuntimeError('no database')"))
    answer = service.function.invoke(version, b"{}")
    assert answer.function_error == "Unhandled"
    assert json.loads(answer.payload)["errorType"] == "RuntimeError"
    assert "no database" in answer.log_tail


def test_a_function_that_is_not_there_is_refused(aws: Callable[[str], Any]) -> None:
    function = LambdaFunction(
        aws("lambda"), aws("lambda"), "no-such-function", "123456789012.dkr.ecr.us-east-1.amazonaws.com/app"
    )
    with pytest.raises(Refused, match=r"GetFunction: ResourceNotFoundException: .*no-such-function"):
        function.latest()
