"""What a registry says and keeps: in memory, and in the sandbox's ECR through the real adapter.

What cannot agree: the in-memory registry reads no manifests. It gives back what was put there, so damaged
manifests and configs are in tests/adapters/test_registry.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Protocol

import pytest

from deployer.aws.registry import EcrRegistry
from deployer.model import Artifact, ArtifactKind, Image, Origin
from deployer.ports import Refused
from deployer.ports import Registry as Port
from sandbox.ecr.repository import OCI_MANIFEST
from tests.fakes import FakeRegistry, image
from tests.sandbox.registry import Registry, registry

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
NEVER_PUSHED = "sha256:" + "00" * 32


class Hands(Protocol):
    """A registry, and whoever else uses it."""

    @property
    def registry(self) -> Port:
        """The port."""

    def push(self, name: str, tag: str | None, *, architecture: str = "x86_64", revision: str = "") -> str:
        """Push an image, and return its digest."""

    def push_index(self, tag: str) -> str:
        """Push a list of images, and return its digest."""

    def delete(self, digest: str) -> None:
        """Delete an image by its digest."""

    def forbid(self) -> None:
        """Somebody forbids that tags move."""


class Memory:
    """The in-memory registry."""

    def __init__(self) -> None:
        self.registry = FakeRegistry()

    def push(self, name: str, tag: str | None, *, architecture: str = "x86_64", revision: str = "") -> str:
        artifact = Artifact(ArtifactKind.IMAGE, OCI_MANIFEST, architecture, 1000, Origin(revision or None))
        self.registry.put(image(name), artifact, tag or "for a moment")
        self.registry.tags.pop("for a moment", None)
        return image(name).digest

    def push_index(self, tag: str) -> str:
        self.registry.put(image("a list"), Artifact(ArtifactKind.INDEX, OCI_INDEX), tag)
        return image("a list").digest

    def delete(self, digest: str) -> None:
        self.registry.delete(Image("shuking-lambda", digest))

    def forbid(self) -> None:
        self.registry.refuses_marks = "PutImage: ImageTagAlreadyExistsException: the repository is immutable"


class Sandbox:
    """The repository `app` of an ECR of its own."""

    def __init__(self, ecr: Registry) -> None:
        self.ecr = ecr
        self.layer = cache(ecr.layer)  # a layer is uploaded once
        self.registry = EcrRegistry(ecr.aws, "app")

    def push(self, name: str, tag: str | None, *, architecture: str = "x86_64", revision: str = "") -> str:
        labels = {"org.opencontainers.image.revision": revision} if revision else {}
        config = {
            "architecture": {"x86_64": "amd64"}.get(architecture, architecture),
            "os": "linux",
            "config": {"Labels": labels},
        }
        blob = {**self.layer(json.dumps(config).encode()), "mediaType": OCI_CONFIG}
        layers = [self.layer(name.ljust(1000).encode())]
        return self._put({"mediaType": OCI_MANIFEST, "config": blob, "layers": layers}, tag)

    def push_index(self, tag: str) -> str:
        child = self.push("a child", None)
        listed = {
            "mediaType": OCI_MANIFEST,
            "digest": child,
            "size": 1,
            "platform": {"architecture": "amd64", "os": "linux"},
        }
        return self._put({"mediaType": OCI_INDEX, "manifests": [listed]}, tag)

    def delete(self, digest: str) -> None:
        self.ecr.aws.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": digest}])

    def forbid(self) -> None:
        self.ecr.aws.put_image_tag_mutability(repositoryName="app", imageTagMutability="IMMUTABLE")

    def _put(self, manifest: dict[str, object], tag: str | None) -> str:
        tagged = {"imageTag": tag} if tag else {}
        answer = self.ecr.aws.put_image(
            repositoryName="app",
            imageManifest=json.dumps({"schemaVersion": 2, **manifest}),
            **tagged,
        )
        return answer["image"]["imageId"]["imageDigest"]


@pytest.fixture(params=["memory", "sandbox"])
def there(request: pytest.FixtureRequest) -> Iterator[Hands]:
    if request.param == "memory":
        yield Memory()
        return
    with registry() as ecr:
        yield Sandbox(ecr)


def test_an_empty_registry_knows_nothing(there: Hands) -> None:
    assert there.registry.tagged("latest") is None
    assert there.registry.artifact(NEVER_PUSHED) is None
    assert not there.registry.present(NEVER_PUSHED)


def test_a_tag_points_at_what_was_pushed_under_it_last(there: Hands) -> None:
    first = there.push("one", "latest")
    assert there.registry.tagged("latest") == first
    second = there.push("two", "latest")
    assert there.registry.tagged("latest") == second
    assert there.registry.tagged("another") is None
    assert there.registry.present(first)


def test_a_tag_that_goes_back_points_at_the_older_image(there: Hands) -> None:
    first = there.push("one", "latest")
    there.push("two", "latest")
    assert there.push("one", "latest") == first
    assert there.registry.tagged("latest") == first


def test_an_image_without_a_tag_is_there(there: Hands) -> None:
    digest = there.push("one", None)
    assert there.registry.present(digest)
    assert there.registry.artifact(digest)


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_an_image_says_what_it_is(there: Hands, architecture: str) -> None:
    digest = there.push("one", "latest", architecture=architecture, revision="4f2a9c1")
    found = there.registry.artifact(digest)
    assert found == Artifact(ArtifactKind.IMAGE, OCI_MANIFEST, architecture, 1000, Origin("4f2a9c1"))


def test_an_image_need_not_say_its_revision(there: Hands) -> None:
    found = there.registry.artifact(there.push("one", "latest"))
    assert found
    assert found.origin == Origin()


def test_a_list_of_images_is_told_apart(there: Hands) -> None:
    digest = there.push_index("latest")
    assert there.registry.tagged("latest") == digest
    assert there.registry.artifact(digest) == Artifact(ArtifactKind.INDEX, OCI_INDEX)
    assert there.registry.present(digest)


def test_an_image_that_was_deleted_is_gone_with_its_tags(there: Hands) -> None:
    first, second = there.push("one", "latest"), there.push("two", "another")
    there.registry.mark(first, "live")

    there.delete(first)

    assert not there.registry.present(first)
    assert there.registry.artifact(first) is None
    assert there.registry.tagged("latest") is None
    assert there.registry.tagged("live") is None
    assert there.registry.tagged("another") == second


def test_a_mark_is_put_on_an_image_beside_its_tags(there: Hands) -> None:
    digest = there.push("one", "latest")
    there.registry.mark(digest, "live")
    assert there.registry.tagged("live") == digest
    assert there.registry.tagged("latest") == digest


def test_a_mark_goes_from_one_image_to_another_and_takes_no_other_tag_along(there: Hands) -> None:
    first, second = there.push("one", "git-1"), there.push("two", "git-2")
    there.registry.mark(first, "live")
    there.registry.mark(second, "live")
    assert there.registry.tagged("live") == second
    assert (there.registry.tagged("git-1"), there.registry.tagged("git-2")) == (first, second)


def test_marking_twice_is_marking_once(there: Hands) -> None:
    digest = there.push("one", "latest")
    for _ in range(2):
        there.registry.mark(digest, "live")
    assert there.registry.tagged("live") == digest


def test_a_list_of_images_can_be_marked(there: Hands) -> None:
    digest = there.push_index("latest")
    there.registry.mark(digest, "live")
    assert there.registry.tagged("live") == digest


def test_what_is_gone_cannot_be_marked_and_the_mark_stays_where_it_is(there: Hands) -> None:
    first, second = there.push("one", None), there.push("two", None)
    there.registry.mark(first, "live")
    there.delete(second)
    for gone in (second, NEVER_PUSHED):
        with pytest.raises(Refused, match=f"{gone} cannot be tagged live"):
            there.registry.mark(gone, "live")
    assert there.registry.tagged("live") == first


def test_where_tags_may_not_move_a_mark_is_refused_and_stays_where_it_is(there: Hands) -> None:
    first, second = there.push("one", None), there.push("two", None)
    there.registry.mark(first, "live")
    there.forbid()
    with pytest.raises(Refused, match="PutImage: ImageTagAlreadyExistsException"):
        there.registry.mark(second, "live")
    assert there.registry.tagged("live") == first
