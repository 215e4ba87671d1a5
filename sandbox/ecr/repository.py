"""A repository of the sandbox's ECR: what it holds, what it demands of a push, and how it refuses.

Messages follow ECR's where they are known from its documentation or from reports of real refusals.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.account import ACCOUNT, REGION, AwsError

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
MANIFESTS = frozenset({DOCKER_MANIFEST, OCI_MANIFEST})
INDEXES = frozenset({DOCKER_LIST, OCI_INDEX})


TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

RepositoryName = str
Digest = str


@dataclass(frozen=True)
class StoredImage:
    """An image (or an index of images) as it was pushed."""

    digest: Digest
    manifest: bytes
    media_type: str
    pushed_at: datetime

    def parsed(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self.manifest)
        return manifest

    @property
    def children(self) -> tuple[Digest, ...]:
        """The digests of the images an index lists; none for an image."""
        if self.media_type not in INDEXES:
            return ()
        return tuple(child["digest"] for child in self.parsed()["manifests"])

    @property
    def artifact_media_type(self) -> str | None:
        """What kind of thing this is (`application/vnd.oci.image.config.v1+json`); None for an index."""
        if self.media_type in INDEXES:
            return None
        manifest = self.parsed()
        return str(manifest.get("artifactType") or manifest["config"]["mediaType"])


@dataclass
class Repository:
    name: RepositoryName
    created_at: datetime
    mutability: str = "MUTABLE"
    exclusions: list[dict[str, str]] = field(default_factory=list)
    scan_on_push: bool = False
    encryption: dict[str, str] = field(default_factory=lambda: {"encryptionType": "AES256"})
    policy: str | None = None
    lifecycle_policy: str | None = None
    resource_tags: dict[str, str] = field(default_factory=dict)
    layers: dict[Digest, bytes] = field(default_factory=dict)
    images: dict[Digest, StoredImage] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)
    uploads: dict[str, list[bytes]] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{self.name}"

    @property
    def uri(self) -> str:
        return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{self.name}"

    def tags_of(self, digest: Digest) -> list[str]:
        return sorted(tag for tag, tagged in self.tags.items() if tagged == digest)

    def is_immutable(self, tag: str) -> bool:
        excluded = any(fnmatch.fnmatchcase(tag, exclusion["filter"]) for exclusion in self.exclusions)
        return self.mutability.startswith("IMMUTABLE") != excluded

    def find(self, digest: Digest | None, tag: str | None) -> StoredImage | None:
        """The image with this digest, or this tag, or both."""
        found = digest if digest is not None else self.tags.get(tag or "")
        if tag is not None and self.tags.get(tag) != found:
            return None
        return self.images.get(found or "")

    def size(self, image: StoredImage) -> int:
        """Bytes of config and layers as stored; of an index, its largest image's (ImageDetail)."""
        if image.media_type in INDEXES:
            return max((self.size(self.images[child]) for child in image.children), default=0)
        return sum(blob["size"] for blob in blobs(image.parsed()))


# What PutImage demands


def checked_media_type(manifest: str, requested: str | None) -> str:
    """The manifest's media type; `AwsError` for anything that is not an image or index of today."""
    try:
        manifest.encode()  # JSON can smuggle in half a surrogate pair, which is no text
        parsed = json.loads(manifest)
    except (ValueError, RecursionError) as error:
        raise invalid("ImageManifest", "Invalid JSON syntax") from error
    if not isinstance(parsed, dict) or parsed.get("schemaVersion") != 2:
        raise invalid("ImageManifest", "must be a JSON object with schemaVersion 2")
    stated = parsed.get("mediaType", requested)
    if stated is None:
        raise invalid("ImageManifest", "image manifest mediatype not provided in manifest or parameter")
    if requested is not None and requested != stated:
        raise invalid("imageManifestMediaType", f"differs from the manifest's own mediaType {stated!r}")
    if not isinstance(stated, str) or stated not in MANIFESTS | INDEXES:
        raise invalid("imageManifestMediaType", f"Unsupported media type {stated!r}")
    try:
        descriptors = parsed["manifests"] if stated in INDEXES else blobs(parsed)
        well_formed = all(
            isinstance(each["mediaType"], str)
            and isinstance(each["size"], int)
            and DIGEST.fullmatch(each["digest"])
            for each in descriptors
        )
    except (KeyError, TypeError):
        well_formed = False
    if not well_formed:
        raise invalid("ImageManifest", "must hold descriptors with mediaType, size and sha256 digest")
    return stated


def blobs(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [manifest["config"], *manifest["layers"]]


def require_referenced(repository: Repository, image: StoredImage) -> None:
    into = f"required for pushing image into repository with name '{repository.name}' "
    missing = [child for child in image.children if child not in repository.images]
    if missing:
        raise AwsError(
            "ReferencedImagesNotFoundException",
            f"Images with digests '[{', '.join(missing)}]' {into}"
            f"in the registry with id '{ACCOUNT}' do not exist",
        )
    if image.media_type in MANIFESTS:
        digests = [blob["digest"] for blob in blobs(image.parsed()) if "urls" not in blob]
        missing = [digest for digest in digests if digest not in repository.layers]
    if missing:
        raise AwsError(
            "LayersNotFoundException",
            f"Layers with digests '[{', '.join(missing)}]' {into}"
            f"in the registry with id '{ACCOUNT}' do not exist",
        )


def require_change(repository: Repository, image: StoredImage, tag: str | None) -> None:
    where = f"'{repository.name}'"
    if tag in repository.tags and repository.is_immutable(tag):
        raise AwsError(
            "ImageTagAlreadyExistsException",
            f"The image tag '{tag}' already exists in the {where} repository "
            "and cannot be overwritten because the tag is immutable.",
        )
    if image.digest in repository.images and (tag is None or repository.tags.get(tag) == image.digest):
        raise AwsError(
            "ImageAlreadyExistsException",
            f"Image with digest '{image.digest}' and tag '{tag or 'null'}' already exists in the repository "
            f"with name {where} in registry with id '{ACCOUNT}'",
        )


# Look-ups inside a repository, and refusals


def find_image(repository: Repository, identifier: dict[str, str]) -> StoredImage:
    digest, tag = identifier.get("imageDigest"), identifier.get("imageTag")
    image = repository.find(digest, tag)
    if image is None:
        raise image_not_found(repository, digest, tag)
    return image


def find_layer(repository: Repository, digest: Digest) -> bytes:
    if digest not in repository.layers:
        raise AwsError(
            "LayersNotFoundException",
            f"The layer with digest '{digest}' does not exist in the repository with name "
            f"'{repository.name}' in the registry with id '{ACCOUNT}'",
        )
    return repository.layers[digest]


def find_upload(repository: Repository, upload_id: str) -> list[bytes]:
    if upload_id not in repository.uploads:
        raise AwsError(
            "UploadNotFoundException",
            f"Upload with id '{upload_id}' could not be found for the repository with name "
            f"'{repository.name}' in the registry with id '{ACCOUNT}'",
        )
    return repository.uploads[upload_id]


def checked_mutability(request: Mapping[str, Any]) -> tuple[str, list[dict[str, str]]]:
    mutability: str = request.get("imageTagMutability", "MUTABLE")
    exclusions: list[dict[str, str]] = request.get("imageTagMutabilityExclusionFilters", [])
    where = "imageTagMutabilityExclusionFilters"
    if mutability.endswith("_WITH_EXCLUSION") != bool(exclusions):
        word = "can't be null" if not exclusions else "must be null"
        raise invalid(where, f"{word} when imageTagMutability is set as {mutability}")
    if any(exclusion["filter"].count("*") > 2 for exclusion in exclusions):
        raise invalid(where, "a filter may hold at most two wildcards (*)")
    return mutability, exclusions


def require_json(text: str, member: str, where: str, must: str) -> None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(where, must) from error
    if not isinstance(document, dict) or member not in document:
        raise invalid(where, must)


def invalid(where: str, must: str) -> AwsError:
    message = f"Invalid parameter at '{where}' failed to satisfy constraint: '{must}'"
    return AwsError("InvalidParameterException", message)


def image_not_found(repository: Repository, digest: str | None, tag: str | None) -> AwsError:
    shown = f"{{imageDigest:'{digest or 'null'}', imageTag:'{tag or 'null'}'}}"
    return AwsError(
        "ImageNotFoundException",
        f"The image with imageId {shown} does not exist within the repository with name "
        f"'{repository.name}' in the registry with id '{ACCOUNT}'",
    )


def no_policy(kind: str, repository: Repository) -> AwsError:
    return AwsError(
        f"{kind}PolicyNotFoundException",
        f"{kind} policy does not exist for the repository with name '{repository.name}' "
        f"in the registry with id '{ACCOUNT}'",
    )


def sha256(content: bytes) -> Digest:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def identity(repository: Repository) -> dict[str, Any]:
    return {"registryId": ACCOUNT, "repositoryName": repository.name}
