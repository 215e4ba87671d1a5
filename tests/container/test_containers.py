"""What `docker push` pushes runs as containers, shut in and failing as on Lambda; nothing of them is left."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import textwrap
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sandbox.waiting import until
from tests.container.conftest import Cloud, started

ABOUT_ITSELF = """
import os, resource

def refused(path):
    try:
        with open(path, "w"):
            return None
    except OSError as problem:
        return problem.strerror

def handler(event, context):
    print("said by the function")
    return {
        "user": os.getuid(),
        "written": {path: refused(path) for path in ("/var/task/x", "/x", "/tmp/x")},
        "environment": {name: os.environ.get(name) for name in event["names"]},
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "version": context.function_version,
    }
"""
GREEDY = """
def handler(event, context):
    held = []
    while True:
        held.append(bytearray(10_000_000))
"""
SLOW = """
import time

def handler(event, context):
    time.sleep(600)
"""


@pytest.fixture
def name() -> str:
    """Of a repository, a function and its role."""
    return f"fn-{uuid4().hex[:12]}"


def source(folder: Path, base: str, code: str) -> Path:
    """A folder whose Dockerfile makes a function's image of `code`."""
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(textwrap.dedent(code))
    lines = [f"FROM {base}", "COPY app.py /var/task/", "ENV FROM_IMAGE=yes", 'CMD ["app.handler"]']
    (folder / "Dockerfile").write_text("\n".join(lines))
    return folder


def invoked(cloud: Cloud, name: str, payload: dict[str, Any] | None = None) -> tuple[dict[str, Any], str]:
    """What a function answers, and the end of its log."""
    answer = cloud.client("lambda").invoke(
        FunctionName=name, Payload=json.dumps(payload or {}).encode(), LogType="Tail"
    )
    return json.loads(answer["Payload"].read()), base64.b64decode(answer["LogResult"]).decode()


def in_ecr(cloud: Cloud, name: str, digest: str) -> bool:
    images = cloud.client("ecr").list_images(repositoryName=name)["imageIds"]
    return any(image["imageDigest"] == digest for image in images)


def deployed(cloud: Cloud, name: str, folder: Path, base: str, code: str, **more: Any) -> str:
    """A function of `code`, whose image went the whole way; the image's digest."""
    digest = cloud.push(f"{cloud.repository(name)}:one", source(folder, base, code))
    until(lambda: in_ecr(cloud, name, digest), f"{digest} in ECR")
    cloud.function(name, name, digest, **more)
    return digest


def test_docker_logs_in_with_the_token_of_ecr_and_with_nothing_else(cloud: Cloud) -> None:
    assert cloud.login("another").returncode != 0
    assert cloud.login(cloud.token()).stdout.strip() == "Login Succeeded"


def test_what_docker_pushes_is_in_ecr_by_the_same_digest_and_its_event_is_emitted(
    cloud: Cloud, base: str, tmp_path: Path, name: str
) -> None:
    # given: somebody who listens
    events, sqs = cloud.client("events"), cloud.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    pattern = {"source": ["aws.ecr"], "detail": {"repository-name": [name]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])

    # when
    digest = cloud.push(f"{cloud.repository(name)}:latest", source(tmp_path, base, ABOUT_ITSELF))

    # then
    (message,) = until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"), "the event of the push")
    detail = json.loads(message["Body"])["detail"]
    assert (detail["action-type"], detail["image-tag"], detail["image-digest"]) == ("PUSH", "latest", digest)
    (image,) = cloud.client("ecr").describe_images(repositoryName=name)["imageDetails"]
    assert (image["imageDigest"], image["imageTags"]) == (digest, ["latest"])


def test_a_version_runs_as_a_container_of_its_digest_shut_in_as_on_lambda(
    cloud: Cloud, base: str, tmp_path: Path, name: str
) -> None:
    # given
    settings = {"Environment": {"Variables": {"OWN": "value"}}, "MemorySize": 256}
    digest = deployed(cloud, name, tmp_path, base, ABOUT_ITSELF, **settings)
    names = ["OWN", "FROM_IMAGE", "_HANDLER", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION", "LAMBDA_TASK_ROOT"]

    # when
    answer, log = invoked(cloud, name, {"names": names})

    # then
    assert answer == {
        "user": 993,
        "written": {"/var/task/x": "Read-only file system", "/x": "Read-only file system", "/tmp/x": None},
        "environment": dict(
            zip(names, ["value", "yes", "app.handler", name, "us-east-1", "/var/task"], strict=True)
        ),
        "files": 1024,
        "version": "$LATEST",
    }
    assert "said by the function" in log
    image = f"{cloud.registry}/{name}@{digest}"
    (container,) = cloud.containers("--quiet", "--filter", f"ancestor={image}")
    (facts,) = json.loads(cloud.docker("inspect", container).stdout)
    assert facts["Config"]["Image"] == image
    assert facts["HostConfig"]["Memory"] == facts["HostConfig"]["MemorySwap"] == 256 * 1024 * 1024


def test_a_container_over_its_memory_ends_as_a_function_does(
    cloud: Cloud, base: str, tmp_path: Path, name: str
) -> None:
    deployed(cloud, name, tmp_path, base, GREEDY, MemorySize=128)

    answer, log = invoked(cloud, name)

    assert answer["errorType"] == "Runtime.ExitError"
    assert "signal: killed" in answer["errorMessage"]
    assert "Max Memory Used: 128 MB" in log


def test_code_that_cannot_be_imported_says_so_and_the_log_has_why(
    cloud: Cloud, base: str, tmp_path: Path, name: str
) -> None:
    deployed(cloud, name, tmp_path, base, "import a_module_that_nobody_installed\n")

    answer, log = invoked(cloud, name)

    assert answer["errorType"] == "Runtime.ImportModuleError"
    assert "a_module_that_nobody_installed" in log


def test_an_image_without_a_command_cannot_be_started(cloud: Cloud, tmp_path: Path, name: str) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    digest = cloud.push(f"{cloud.repository(name)}:one", tmp_path)
    until(lambda: in_ecr(cloud, name, digest), f"{digest} in ECR")
    cloud.function(name, name, digest)

    answer, _ = invoked(cloud, name)

    assert answer["errorType"] == "Runtime.InvalidEntrypoint"
    assert "No command specified" in answer["errorMessage"]


def test_an_image_that_came_by_ecrs_own_api_runs_too(
    cloud: Cloud, base: str, tmp_path: Path, name: str
) -> None:
    # given: it is in a repository of ECR that the registry knows nothing of
    digest = deployed(cloud, name, tmp_path, base, ABOUT_ITSELF)
    other, ecr = f"{name}-copy", cloud.client("ecr")
    cloud.repository(other)
    (image,) = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": digest}])["images"]
    manifest = json.loads(image["imageManifest"])
    for blob in (manifest["config"], *manifest["layers"]):
        url = ecr.get_download_url_for_layer(repositoryName=name, layerDigest=blob["digest"])["downloadUrl"]
        content = subprocess.run(["curl", "-sf", url], capture_output=True, check=True).stdout
        upload = ecr.initiate_layer_upload(repositoryName=other)
        for first in range(0, len(content), upload["partSize"]):
            part = content[first : first + upload["partSize"]]
            ecr.upload_layer_part(
                repositoryName=other,
                uploadId=upload["uploadId"],
                partFirstByte=first,
                partLastByte=first + len(part) - 1,
                layerPartBlob=part,
            )
        ecr.complete_layer_upload(
            repositoryName=other, uploadId=upload["uploadId"], layerDigests=[blob["digest"]]
        )
    ecr.put_image(repositoryName=other, imageManifest=image["imageManifest"], imageTag="one")

    # when
    cloud.function(other, other, digest)
    answer, _ = invoked(cloud, other, {"names": []})

    # then
    assert answer["user"] == 993


def test_a_push_that_ecr_would_refuse_is_told_by_the_sandbox(
    cloud: Cloud, base: str, tmp_path: Path, name: str
) -> None:
    cloud.push(f"{cloud.registry}/{name}:latest", source(tmp_path, base, ABOUT_ITSELF))

    refusal = f"ECR refuses what was pushed as {name}:latest: RepositoryNotFoundException"
    until(lambda: refusal in cloud.said, refusal)


def test_a_sandbox_that_ends_leaves_no_container_and_none_that_is_killed(
    base: str, tmp_path: Path, name: str
) -> None:
    # given: a sandbox whose function is busy
    with started(tmp_path / "killed") as killed:
        killed.login(killed.token())
        deployed(killed, name, tmp_path / "slow", base, SLOW, Timeout=600)
        killed.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
        running = ("--quiet", "--filter", "status=running")
        (container,) = until(lambda: killed.containers(*running), "the container")

        # when
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()

    # and when: the next one starts
    with started(tmp_path / "next") as following:
        # then
        assert following.docker("inspect", container).returncode != 0

        # and when: it ends by itself
        following.login(following.token())
        deployed(following, name, tmp_path / "next-code", base, ABOUT_ITSELF)
        invoked(following, name, {"names": []})
        (container,) = following.containers("--quiet")
        following.process.send_signal(signal.SIGTERM)
        assert following.process.wait(60) == 0
        assert following.docker("inspect", container).returncode != 0
