"""What was pushed, read with distrust. Ordinary images come from the sandbox, odd ones from a Stubber.

What every registry does is in tests/contracts/test_registry.py.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.stub import ANY, Stubber
from hypothesis import given
from hypothesis import strategies as st

from deployer.aws.registry import MAXIMUM_CONFIG, MAXIMUM_MANIFEST, EcrRegistry
from deployer.model import Artifact, ArtifactKind, Origin
from deployer.ports import LookAgain, Refused
from sandbox.building import images

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DIGEST = "sha256:" + "ab" * 32


# -- a registry that behaves


@dataclass(frozen=True)
class Pushed:
    """A repository of the sandbox's, and images to push there."""

    client: Any
    name: str
    folder: Path

    @property
    def registry(self) -> EcrRegistry:
        return EcrRegistry(self.client, self.name)

    def image(self, **how: Any) -> images.BuiltImage:
        return images.build(self.folder, **how)

    def push(self, built: images.BuiltImage | images.BuiltIndex, tag: str | None = None) -> str:
        return images.upload(built, self.client, self.name, tag)


@pytest.fixture
def pushed(aws: Callable[[str], Any], tmp_path: Path) -> Pushed:
    (tmp_path / "app.py").write_text("def handler(event, context): ...\n")
    (tmp_path / "Dockerfile").write_text(
        'FROM public.ecr.aws/lambda/python:3.12\nCOPY app.py .\nCMD ["app.handler"]\n'
    )
    name = f"service-{uuid4()}"
    aws("ecr").create_repository(repositoryName=name)
    return Pushed(aws("ecr"), name, tmp_path)


def test_an_image_tells_its_architecture_size_and_revision(pushed: Pushed) -> None:
    built = pushed.image(architecture="arm64", labels={"org.opencontainers.image.revision": "4f2a9c1"})
    found = pushed.registry.artifact(pushed.push(built))
    layers = json.loads(built.manifest)["layers"]
    assert found == Artifact(
        ArtifactKind.IMAGE, OCI_IMAGE, "arm64", sum(layer["size"] for layer in layers), Origin("4f2a9c1")
    )
    assert found.size > 0


def test_what_buildx_pushes_with_provenance_is_an_index_with_an_attestation_in_it(pushed: Pushed) -> None:
    index = images.index(pushed.image())
    digest = pushed.push(index, "latest")
    attestation = json.loads(index.manifest)["manifests"][1]["digest"]
    assert pushed.registry.artifact(digest) == Artifact(ArtifactKind.INDEX, OCI_INDEX)
    assert pushed.registry.artifact(attestation) == Artifact(
        ArtifactKind.OTHER, "application/vnd.in-toto+json"
    )


def test_a_repository_that_is_not_there_is_said_to_be_missing(aws: Callable[[str], Any]) -> None:
    registry = EcrRegistry(aws("ecr"), "no-such-repository")
    for ask in (
        lambda: registry.tagged("latest"),
        lambda: registry.present(DIGEST),
        lambda: registry.artifact(DIGEST),
    ):
        with pytest.raises(Refused, match=r"RepositoryNotFoundException: .*no-such-repository"):
            ask()


# -- a registry that has been given anything


@dataclass
class Blobs:
    """A web server that answers what a test wants."""

    url: str
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def serve(self, content: bytes, status: int = 200) -> str:
        path = f"/{uuid4()}"
        self.answers[path] = (status, content)
        return self.url + path


@pytest.fixture(scope="module")
def blobs() -> Iterator[Blobs]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = found.answers[self.path]
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Blobs(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def ecr(silent: Callable[[str], Any]) -> Any:
    return silent("ecr")


@pytest.fixture
def stub(ecr: Any) -> Iterator[Stubber]:
    with Stubber(ecr) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def manifest_of(blob: bytes = b"{}", **more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": DOCKER_IMAGE,
        "config": {"mediaType": DOCKER_CONFIG, "size": len(blob), "digest": sha256(blob)},
        "layers": [
            {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 10, "digest": DIGEST}
        ],
        **more,
    }


def gives_manifest(stub: Stubber, manifest: object, media_type: str | None = DOCKER_IMAGE) -> None:
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    image = {"imageManifest": text, **({"imageManifestMediaType": media_type} if media_type else {})}
    stub.add_response(
        "batch_get_image",
        {"images": [image], "failures": []},
        {"repositoryName": "app", "imageIds": [{"imageDigest": DIGEST}], "acceptedMediaTypes": ANY},
    )


def gives_config(stub: Stubber, url: str, digest: str | None = None) -> None:
    asked = {"repositoryName": "app", "layerDigest": digest or ANY}
    stub.add_response("get_download_url_for_layer", {"downloadUrl": url}, asked)


def read(stub: Stubber, ecr: Any, blobs: Blobs, config: object) -> Artifact:
    blob = config if isinstance(config, bytes) else json.dumps(config).encode()
    gives_manifest(stub, manifest_of(blob))
    gives_config(stub, blobs.serve(blob), sha256(blob))
    found = EcrRegistry(ecr, "app").artifact(DIGEST)
    assert found
    return found


def test_a_docker_image_reads_as_an_oci_image_does(stub: Stubber, ecr: Any, blobs: Blobs) -> None:
    labels = {"org.opencontainers.image.revision": "4f2a9c1"}
    config = {"architecture": "amd64", "os": "linux", "config": {"Labels": labels}}
    assert read(stub, ecr, blobs, config) == Artifact(
        ArtifactKind.IMAGE, DOCKER_IMAGE, "x86_64", 10, Origin("4f2a9c1")
    )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, (None, None, None)),
        ({"architecture": "riscv64"}, ("riscv64", None, None)),
        ({"architecture": "amd64", "config": {"Labels": None}}, ("x86_64", None, None)),
        ({"architecture": "amd64", "config": None}, ("x86_64", None, None)),
        (
            {"architecture": "amd64", "os": "windows"},
            ("x86_64", None, "it is built for windows, and Lambda runs linux"),
        ),
        ({"architecture": "x" * 9999}, ("x" * 197 + "…", None, None)),
        (
            {"config": {"Labels": {"org.opencontainers.image.revision": "4f2a9c1\nlive"}}},
            (None, "4f2a9c1 live", None),
        ),
    ],
)
def test_a_config_may_say_little(
    stub: Stubber, ecr: Any, blobs: Blobs, config: object, expected: tuple[str | None, str | None, str | None]
) -> None:
    found = read(stub, ecr, blobs, config)
    assert (found.architecture, found.origin.revision, found.problem) == expected


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (b"\xff\xfe", "its config is not JSON"),
        (b"[" * 100_000, "its config is not JSON"),
        (b"7", "its config has no object where the document should be one"),
        ({"architecture": 7}, "its config has no text where architecture should be text"),
        ({"config": {"Labels": ["a"]}}, "its config has no object where Labels should be one"),
        (
            {"config": {"Labels": {"org.opencontainers.image.revision": {}}}},
            "its config has no text where org.opencontainers.image.revision should be text",
        ),
        (b" " * (MAXIMUM_CONFIG + 1), "its config is larger than 1048576 bytes"),
    ],
)
def test_a_config_that_is_none_is_a_problem_not_an_exception(
    stub: Stubber, ecr: Any, blobs: Blobs, config: object, problem: str
) -> None:
    found = read(stub, ecr, blobs, config)
    assert found == Artifact(ArtifactKind.IMAGE, DOCKER_IMAGE, size=10, problem=problem)


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ("no JSON", "its manifest is not JSON"),
        ("[" * 100_000, "its manifest is not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "its manifest is not JSON"),
        ("[]", "its manifest has no object where the document should be one"),
        (" " * (MAXIMUM_MANIFEST + 1), "its manifest is larger than 4194304 bytes"),
        (manifest_of(layers={}), "its manifest has no list where layers should be one"),
        (manifest_of(layers=[7]), "its manifest has no object where layers should be one"),
        (manifest_of(layers=[{"size": -1}]), "its manifest has no number of bytes where size should be one"),
        (
            manifest_of(layers=[{"size": True}]),
            "its manifest has no number of bytes where size should be one",
        ),
        (
            manifest_of(layers=[{"size": 10**400}]),
            "its manifest has no number of bytes where size should be one",
        ),
        (manifest_of(config=[]), "its manifest has no object where config should be one"),
        (
            manifest_of(config={"mediaType": DOCKER_CONFIG, "digest": "../.."}),
            "its manifest names no config blob",
        ),
        (manifest_of(config={"mediaType": DOCKER_CONFIG}), "its manifest names no config blob"),
    ],
)
def test_a_manifest_that_is_none_is_a_problem_not_an_exception(
    stub: Stubber, ecr: Any, manifest: object, problem: str
) -> None:
    gives_manifest(stub, manifest)
    found = EcrRegistry(ecr, "app").artifact(DIGEST)
    assert found == Artifact(ArtifactKind.IMAGE, DOCKER_IMAGE, problem=problem)


@pytest.mark.parametrize(
    ("manifest", "media_type", "expected"),
    [
        ("{", OCI_INDEX, Artifact(ArtifactKind.INDEX, OCI_INDEX)),
        ({"mediaType": OCI_INDEX}, None, Artifact(ArtifactKind.INDEX, OCI_INDEX)),
        ({}, None, Artifact(ArtifactKind.OTHER, "unknown")),
        ("{", "application/x-new", Artifact(ArtifactKind.OTHER, "application/x-new")),
        (
            manifest_of(config={"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": DIGEST}),
            OCI_IMAGE,
            Artifact(ArtifactKind.OTHER, "application/vnd.cncf.helm.config.v1+json"),
        ),
        (manifest_of(config=None), OCI_IMAGE, Artifact(ArtifactKind.OTHER, "unknown")),
    ],
)
def test_what_is_no_image_is_told_by_its_media_type(
    stub: Stubber, ecr: Any, manifest: object, media_type: str | None, expected: Artifact
) -> None:
    gives_manifest(stub, manifest, media_type)
    assert EcrRegistry(ecr, "app").artifact(DIGEST) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
manifest_values = st.dictionaries(
    st.sampled_from(["mediaType", "config", "layers"]), json_values
) | st.builds(
    lambda config, layer: {"mediaType": OCI_IMAGE, "config": config, "layers": [layer]},
    st.dictionaries(st.sampled_from(["mediaType", "digest"]), st.sampled_from([OCI_CONFIG, DIGEST, "", 7])),
    st.dictionaries(st.sampled_from(["mediaType", "size"]), json_values),
)


@given(manifest_values, st.sampled_from([OCI_IMAGE, DOCKER_IMAGE, None]), json_values)
def test_no_manifest_and_no_config_raise_anything_unexpected(
    ecr: Any, blobs: Blobs, manifest: Mapping[str, object], media_type: str | None, config: object
) -> None:
    with Stubber(ecr) as stub:
        gives_manifest(stub, manifest, media_type)
        gives_config(stub, blobs.serve(json.dumps(config).encode()))
        assert isinstance(EcrRegistry(ecr, "app").artifact(DIGEST), Artifact)


# -- the link to the config


def asked(stub: Stubber, ecr: Any, url: str, config: bytes = b"{}") -> Artifact | None:
    gives_manifest(stub, manifest_of(config))
    gives_config(stub, url)
    return EcrRegistry(ecr, "app").artifact(DIGEST)


def problem_of(artifact: Artifact | None) -> str | None:
    return artifact.problem if artifact else None


def test_only_web_servers_are_asked(stub: Stubber, ecr: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("{}")
    for url in (secret.as_uri(), "ftp://127.0.0.1/config", "data:,{}"):
        assert problem_of(asked(stub, ecr, url)) == "its config has a link that is not one to a web server"


@pytest.mark.parametrize(
    "odd", ["http://[::1", "https://bucket/\n", "http://bucket:port/", "http://bücket/ä"]
)
def test_a_link_that_cannot_be_asked_is_a_problem_and_its_signature_is_not_told(
    stub: Stubber, ecr: Any, odd: str
) -> None:
    told = problem_of(asked(stub, ecr, f"{odd}?X-Amz-Signature=canary"))
    assert str(told).startswith("its config has a link that cannot be asked (")
    assert "canary" not in str(told)


def test_a_config_that_is_another_one_is_a_problem(stub: Stubber, ecr: Any, blobs: Blobs) -> None:
    url = blobs.serve(b'{"architecture": "arm64"}')
    told = "its config is not what the manifest says it is: its digest differs"
    assert problem_of(asked(stub, ecr, url)) == told


def test_a_web_server_that_refuses_is_a_problem(stub: Stubber, ecr: Any, blobs: Blobs) -> None:
    assert problem_of(asked(stub, ecr, blobs.serve(b"", 403))) == "its config could not be fetched (HTTP 403)"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_web_server_in_trouble_means_look_again(stub: Stubber, ecr: Any, blobs: Blobs, status: int) -> None:
    with pytest.raises(LookAgain, match=f"HTTP {status}"):
        asked(stub, ecr, blobs.serve(b"", status))


def test_a_web_server_that_is_not_there_means_look_again(stub: Stubber, ecr: Any) -> None:
    with pytest.raises(LookAgain, match="could not be fetched"):
        asked(stub, ecr, "http://127.0.0.1:1/config")


@pytest.mark.parametrize("code", ["LayersNotFoundException", "LayerInaccessibleException"])
def test_a_config_that_is_not_there_is_a_problem(stub: Stubber, ecr: Any, code: str) -> None:
    gives_manifest(stub, manifest_of())
    stub.add_client_error("get_download_url_for_layer", code, "No.", 400)
    assert problem_of(EcrRegistry(ecr, "app").artifact(DIGEST)) == "its config is not in the registry"


# -- what ECR says


def fails(stub: Stubber, code: str) -> None:
    failure = {"failureCode": code, "failureReason": "A reason.", "imageId": {"imageDigest": DIGEST}}
    stub.add_response("batch_get_image", {"images": [], "failures": [failure]})


def test_what_is_there_but_of_a_type_nobody_asked_for_is_not_called_gone(stub: Stubber, ecr: Any) -> None:
    fails(stub, "ImageNotFound")
    old = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    stub.add_response("describe_images", {"imageDetails": [{"imageManifestMediaType": old}]})
    assert EcrRegistry(ecr, "app").artifact(DIGEST) == Artifact(ArtifactKind.OTHER, old)


def test_an_image_that_the_registry_does_not_give_away_is_a_problem(stub: Stubber, ecr: Any) -> None:
    fails(stub, "ImageInaccessible")
    told = "the registry does not give it away (ImageInaccessible: A reason.)"
    assert problem_of(EcrRegistry(ecr, "app").artifact(DIGEST)) == told


def test_an_upstream_that_is_away_means_look_again(stub: Stubber, ecr: Any) -> None:
    fails(stub, "UpstreamUnavailable")
    with pytest.raises(LookAgain, match=r"UpstreamUnavailable: A reason\."):
        EcrRegistry(ecr, "app").artifact(DIGEST)


def test_an_image_in_the_archive_is_no_way_back(stub: Stubber, ecr: Any) -> None:
    for status, present in (("ACTIVE", True), ("ARCHIVED", False), ("ACTIVATING", False)):
        stub.add_response(
            "describe_images", {"imageDetails": [{"imageDigest": DIGEST, "imageStatus": status}]}
        )
        assert EcrRegistry(ecr, "app").present(DIGEST) is present


def test_the_labels_say_where_an_image_comes_from(stub: Stubber, ecr: Any, blobs: Blobs) -> None:
    labels = {
        "org.opencontainers.image.revision": "4f2a9c1",
        "org.opencontainers.image.source": "https://github.com/example/shuking",
        "self-deploying-lambda.committed-at": "2026-03-01T12:00:00+09:00",
        "self-deploying-lambda.built-by": "build 17",
    }
    found = read(stub, ecr, blobs, {"config": {"Labels": labels}})
    assert found.origin == Origin(
        "4f2a9c1",
        "https://github.com/example/shuking",
        datetime(2026, 3, 1, 3, 0, tzinfo=UTC),
        "build 17",
    )


@pytest.mark.parametrize("time", ["yesterday", "2026-03-01T12:00:00", "9999-12-31T23:59:59-12:00", "\ud800"])
def test_a_time_that_cannot_be_read_is_no_reason_to_refuse_an_image(
    stub: Stubber, ecr: Any, blobs: Blobs, time: str
) -> None:
    found = read(stub, ecr, blobs, {"config": {"Labels": {"self-deploying-lambda.committed-at": time}}})
    assert (found.origin, found.problem) == (Origin(), None)
