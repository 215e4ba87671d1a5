"""The placeholder image: the same everywhere, pushed once, and CloudFormation always hears the outcome."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, cast
from urllib.error import HTTPError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer import placeholder

REPOSITORY = "team/shuking-lambda"
URI = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/{REPOSITORY}"
CREATE = {
    "RequestType": "Create",
    "ResponseURL": "https://cloudformation.example/answer?signature=secret",
    "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/shuking/1",
    "RequestId": "7e8f",
    "LogicalResourceId": "PlaceholderImage",
    "ResourceProperties": {"RepositoryName": REPOSITORY, "RepositoryUri": URI, "Architecture": "x86_64"},
}
UPDATE = {
    **CREATE,
    "RequestType": "Update",
    "PhysicalResourceId": "placeholder-image",
    "OldResourceProperties": CREATE["ResourceProperties"],
}
DELETE = {**CREATE, "RequestType": "Delete", "PhysicalResourceId": "placeholder-image"}


class FakeEcr:
    """One repository, as far as an upload goes: it keeps what it is given and counts the calls."""

    class exceptions:  # noqa: N801 - where boto3's clients have them
        class LayerAlreadyExistsException(Exception): ...

        class ImageAlreadyExistsException(Exception): ...

        class ImageTagAlreadyExistsException(Exception): ...

    def __init__(self, *, immutable: bool = False, problem: Exception | None = None) -> None:
        self.layers: dict[str, bytes] = {}
        self.images: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.calls = 0
        self._immutable = immutable
        self._problem = problem
        self._uploads: dict[str, bytes] = {}

    def initiate_layer_upload(self, *, repositoryName: str) -> dict[str, str]:  # noqa: N803 - boto3's names
        self.calls += 1
        if self._problem:
            raise self._problem
        assert repositoryName == REPOSITORY
        upload = f"upload-{self.calls}"
        self._uploads[upload] = b""
        return {"uploadId": upload}

    def batch_delete_image(self, *, repositoryName: str, imageIds: list[dict[str, str]]) -> None:  # noqa: N803
        if self._problem:
            raise self._problem
        assert repositoryName == REPOSITORY
        for each in imageIds:
            self.images.pop(each["imageDigest"], None)

    def upload_layer_part(
        self,
        *,
        repositoryName: str,  # noqa: N803 - boto3's names
        uploadId: str,  # noqa: N803 - boto3's names
        partFirstByte: int,  # noqa: N803 - boto3's names
        partLastByte: int,  # noqa: N803 - boto3's names
        layerPartBlob: bytes,  # noqa: N803 - boto3's names
    ) -> None:
        self.calls += 1
        assert (partFirstByte, partLastByte) == (0, len(layerPartBlob) - 1)
        self._uploads[uploadId] += layerPartBlob

    def complete_layer_upload(
        self,
        *,
        repositoryName: str,  # noqa: N803 - boto3's names
        uploadId: str,  # noqa: N803 - boto3's names
        layerDigests: list[str],  # noqa: N803 - boto3's names
    ) -> None:
        self.calls += 1
        content = self._uploads.pop(uploadId)
        assert layerDigests == [sha256(content)]
        if layerDigests[0] in self.layers:
            raise self.exceptions.LayerAlreadyExistsException
        self.layers[layerDigests[0]] = content

    def put_image(
        self,
        *,
        repositoryName: str,  # noqa: N803 - boto3's names
        imageManifest: str,  # noqa: N803 - boto3's names
        imageManifestMediaType: str,  # noqa: N803 - boto3's names
        imageDigest: str,  # noqa: N803 - boto3's names
        imageTag: str | None = None,  # noqa: N803 - boto3's names
    ) -> None:
        self.calls += 1
        manifest = json.loads(imageManifest)
        assert imageDigest == sha256(imageManifest.encode())
        assert manifest["mediaType"] == imageManifestMediaType
        assert {blob["digest"] for blob in [manifest["config"], *manifest["layers"]]} <= set(self.layers)
        if imageDigest in self.images and (imageTag is None or self.tags.get(imageTag) == imageDigest):
            raise self.exceptions.ImageAlreadyExistsException
        if imageTag and self._immutable and imageTag in self.tags:
            raise self.exceptions.ImageTagAlreadyExistsException
        self.images[imageDigest] = imageManifest
        if imageTag:
            self.tags[imageTag] = imageDigest


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def answer_to(event: dict[str, Any], ecr: FakeEcr) -> dict[str, Any]:
    """The one answer that CloudFormation gets."""
    sent: list[tuple[str, bytes]] = []
    placeholder.answer(
        event, cast("Any", ecr), lambda url, body: sent.append((url, body)), log_stream="2026/1[a]"
    )
    [(url, body)] = sent
    assert url == event["ResponseURL"]
    assert len(body) <= 4096
    parsed: dict[str, Any] = json.loads(body)
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        assert parsed[name] == event[name]
    return parsed


# The image


@pytest.mark.parametrize(
    ("architecture", "digest"),
    [
        ("x86_64", "sha256:2e0780aca5dcbfec90aaa80a4286ee39492860d5541668fbf824b617781ab9f7"),
        ("arm64", "sha256:751888a8afdbe4214f6bcbd13cf7d8aedfb73a9a8dcc4816538420402517aa78"),
    ],
)
def test_the_digest_is_the_same_on_every_machine(architecture: str, digest: str) -> None:
    # If this changes, a stack update would put every function's $LATEST back to the placeholder.
    assert placeholder.image(architecture).digest == digest


@pytest.mark.parametrize(("architecture", "platform"), [("x86_64", "amd64"), ("arm64", "arm64")])
def test_the_image_adds_up(architecture: str, platform: str) -> None:
    image = placeholder.image(architecture)

    manifest, config = json.loads(image.manifest), json.loads(image.config)
    assert (manifest["config"]["digest"], manifest["config"]["size"]) == (
        sha256(image.config),
        len(image.config),
    )
    [layer] = manifest["layers"]
    assert (layer["digest"], layer["size"]) == (sha256(image.layer), len(image.layer))
    assert (config["architecture"], config["os"]) == (platform, "linux")
    assert config["rootfs"]["diff_ids"] == [sha256(gzip.decompress(image.layer))]


def test_the_layer_holds_the_entrypoint_and_the_folders_above_it() -> None:
    image = placeholder.image("x86_64")

    with tarfile.open(fileobj=io.BytesIO(image.layer), mode="r:gz") as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == ["var", "var/task", "var/task/placeholder"]
    assert {member.mtime for member in members} == {0}
    [entrypoint] = json.loads(image.config)["config"]["Entrypoint"]
    assert entrypoint == f"/{members[-1].name}"


# Create, Update, Delete


def test_create_pushes_the_image_and_says_where_it_is() -> None:
    ecr = FakeEcr()

    answer = answer_to(CREATE, ecr)

    digest = placeholder.image("x86_64").digest
    assert answer["Status"] == "SUCCESS"
    assert answer["Data"] == {"ImageUri": f"{URI}@{digest}", "Digest": digest}
    assert set(ecr.images) == {digest}
    assert ecr.tags == {"placeholder": digest}


def test_a_repeated_create_changes_nothing() -> None:
    ecr = FakeEcr(immutable=True)
    first = answer_to(CREATE, ecr)
    before = (dict(ecr.layers), dict(ecr.images), dict(ecr.tags))

    second = answer_to(CREATE, ecr)

    assert second == first
    assert (ecr.layers, ecr.images, ecr.tags) == before


def test_an_immutable_tag_of_the_other_architecture_is_no_obstacle() -> None:
    ecr = FakeEcr(immutable=True)
    answer_to(CREATE, ecr)
    other = {
        **CREATE,
        "ResourceProperties": {**cast("Any", CREATE["ResourceProperties"]), "Architecture": "arm64"},
    }

    answers = [answer_to(other, ecr), answer_to(other, ecr)]

    assert [answer["Status"] for answer in answers] == ["SUCCESS", "SUCCESS"]
    assert set(ecr.images) == {placeholder.image(each).digest for each in ("x86_64", "arm64")}
    assert ecr.tags == {"placeholder": placeholder.image("x86_64").digest}


def test_an_update_that_is_not_about_the_image_touches_nothing() -> None:
    ecr = FakeEcr()
    created = answer_to(CREATE, FakeEcr())

    answer = answer_to(UPDATE, ecr)

    assert ecr.calls == 0
    assert answer == created


def test_an_update_to_another_architecture_brings_its_image_but_is_no_replacement() -> None:
    ecr = FakeEcr()
    answer_to(CREATE, ecr)
    properties = {**cast("Any", CREATE["ResourceProperties"]), "Architecture": "arm64"}

    answer = answer_to({**UPDATE, "ResourceProperties": properties}, ecr)

    assert answer["Data"]["Digest"] == placeholder.image("arm64").digest
    assert answer["Data"]["Digest"] in ecr.images
    assert answer["PhysicalResourceId"] == "placeholder-image"


def test_delete_takes_the_placeholders_of_both_architectures_away_and_nothing_else() -> None:
    ecr = FakeEcr()
    answer_to(CREATE, ecr)
    answer_to(
        {
            **CREATE,
            "ResourceProperties": {**cast("Any", CREATE["ResourceProperties"]), "Architecture": "arm64"},
        },
        ecr,
    )
    ecr.images["sha256:a-release"] = "somebody's"

    answer = answer_to({**DELETE, "PhysicalResourceId": "of-old"}, ecr)

    assert list(ecr.images) == ["sha256:a-release"]
    assert answer["Status"] == "SUCCESS"
    assert answer["PhysicalResourceId"] == "of-old"


def test_a_placeholder_that_cannot_be_deleted_does_not_hold_up_the_stacks_deletion() -> None:
    answer = answer_to(DELETE, FakeEcr(problem=PermissionError("ecr:BatchDeleteImage")))

    assert answer["Status"] == "SUCCESS"


# What goes wrong


def test_a_refusal_of_the_registry_is_reported_with_where_to_read_on() -> None:
    ecr = FakeEcr(problem=PermissionError("not authorized to perform: ecr:InitiateLayerUpload"))

    answer = answer_to(CREATE, ecr)

    assert answer["Status"] == "FAILED"
    assert "not authorized to perform: ecr:InitiateLayerUpload" in answer["Reason"]
    assert "2026/1[a]" in answer["Reason"]
    assert answer["PhysicalResourceId"] == "placeholder-image"


@pytest.mark.parametrize("text", ["x" * 100_000, "😀" * 5_000, '"\\' * 5_000, "\x00" * 5_000])
def test_a_reason_is_never_longer_than_cloudformation_reads(text: str) -> None:
    answer = answer_to(CREATE, FakeEcr(problem=RuntimeError(text)))  # looks at the length

    assert answer["Status"] == "FAILED"


@pytest.mark.parametrize("request_type", [CREATE, UPDATE])
def test_checks_that_cannot_be_read_stop_the_stack_and_nothing_is_pushed(
    request_type: dict[str, Any],
) -> None:
    ecr = FakeEcr()
    properties = {**cast("Any", CREATE["ResourceProperties"]), "Checks": "[/health]"}

    answer = answer_to({**request_type, "ResourceProperties": properties}, ecr)

    assert answer["Status"] == "FAILED"
    assert "CHECKS is not JSON" in answer["Reason"]
    assert ecr.calls == 0


def test_checks_that_can_be_read_change_nothing() -> None:
    properties = {**cast("Any", CREATE["ResourceProperties"]), "Checks": '[{"path": "/ready"}]'}

    assert answer_to({**UPDATE, "ResourceProperties": properties}, FakeEcr())["Status"] == "SUCCESS"


def test_an_architecture_lambda_does_not_have_is_named() -> None:
    properties = {**cast("Any", CREATE["ResourceProperties"]), "Architecture": "riscv64"}

    answer = answer_to({**CREATE, "ResourceProperties": properties}, FakeEcr())

    assert answer["Status"] == "FAILED"
    assert "x86_64, arm64, not 'riscv64'" in answer["Reason"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)


@given(kind=st.sampled_from(["Create", "Update", "Delete"]) | JSON, properties=JSON, old=JSON)
def test_whatever_is_asked_gets_an_answer(kind: Any, properties: Any, old: Any) -> None:
    event = {
        **CREATE,
        "RequestType": kind,
        "ResourceProperties": properties,
        "OldResourceProperties": old,
    }

    answer = answer_to(event, FakeEcr())

    assert answer["Status"] == ("SUCCESS" if kind == "Delete" else "FAILED")


def test_an_event_that_is_no_request_fails_the_invocation() -> None:
    with pytest.raises(ValueError, match="ResponseURL is missing"):
        placeholder.answer({}, cast("Any", FakeEcr()), lambda _url, _body: None, log_stream="")


# Telling CloudFormation


class Bucket:
    """What is behind CloudFormation's presigned URLs."""

    def __init__(self) -> None:
        bucket = self
        self.received: list[tuple[str, str | None, bytes]] = []
        self.status = 200

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                bucket.received.append((self.path, self.headers["Content-Type"], body))
                self.send_response(bucket.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/answers/1?signature=s"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("no_proxy", "*")  # a proxy of the machine that runs the tests is not asked
    running = Bucket()
    yield running
    running.close()


def test_the_answer_is_put_without_a_content_type(bucket: Bucket) -> None:
    placeholder.put_answer(bucket.url, b'{"Status": "SUCCESS"}')

    assert bucket.received == [("/answers/1?signature=s", "", b'{"Status": "SUCCESS"}')]


def test_an_answer_that_is_not_taken_fails_the_invocation_so_that_lambda_repeats_it(bucket: Bucket) -> None:
    bucket.status = 503

    with pytest.raises(HTTPError):
        placeholder.put_answer(bucket.url, b"{}")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.com/", "example.com"])
def test_an_answer_goes_to_web_addresses_only(url: str) -> None:
    with pytest.raises(ValueError, match="not a web address"):
        placeholder.put_answer(url, b"{}")


@pytest.mark.parametrize(
    "odd", ["http://bucket/a b", "http://bucket:port/", "http://[::1", "http://bucket/ä"]
)
def test_an_address_that_cannot_be_asked_is_refused_without_its_signature(odd: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as raised:
        placeholder.put_answer(f"{odd}?X-Amz-Signature=canary", b"{}")
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("odd", [7, None, ["x"], {"a": {"b": "c"}}, "x" * 9999, "\x00" * 300, "ü"])
def test_names_that_are_none_do_not_make_the_answer_longer_than_cloudformation_reads(odd: Any) -> None:
    sent: list[bytes] = []
    names = {"StackId": odd, "RequestId": odd, "LogicalResourceId": odd, "PhysicalResourceId": odd}
    event = {**CREATE, **names, "RequestType": "x" * 9999}

    placeholder.answer(
        event, cast("Any", FakeEcr()), lambda _url, body: sent.append(body), log_stream="s" * 999
    )

    assert len(sent[0]) <= 4096


def test_a_stack_may_begin_with_the_placeholder_of_either_architecture() -> None:
    assert set(placeholder.digests()) == {
        placeholder.image("x86_64").digest,
        placeholder.image("arm64").digest,
    }
