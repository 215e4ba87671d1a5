"""`ports.Registry` on Amazon ECR.

Everything it reads was pushed by somebody: sizes are bounded, types are checked, and what cannot be read
becomes `Artifact.problem`, a sentence's middle, instead of an exception.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deployer import web
from deployer.aws.errors import translated
from deployer.model import Artifact, ArtifactKind, BadDigest, Origin, require_digest
from deployer.ports import LookAgain, Refused
from deployer.text import discreet, line

if TYPE_CHECKING:  # stubs are no dependency of the deployed package
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageDetailTypeDef, ImageIdentifierTypeDef

MAXIMUM_MANIFEST = 4 * 1024**2
MAXIMUM_CONFIG = 1024**2
# https://github.com/opencontainers/image-spec/blob/main/annotations.md; what it has no word for is ours.
REVISION_LABEL = "org.opencontainers.image.revision"
SOURCE_LABEL = "org.opencontainers.image.source"
COMMITTED_LABEL = "self-deploying-lambda.committed-at"
BUILT_BY_LABEL = "self-deploying-lambda.built-by"

_IMAGES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
    }
)
_INDEXES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.index.v1+json",
    }
)
# A manifest may carry anything, a Helm chart or a signature too. Its config's type tells.
_CONFIGS = frozenset(
    {
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.oci.image.config.v1+json",
    }
)
_ATTESTATION = "application/vnd.in-toto+json"
_LAMBDA_NAMES = {"amd64": "x86_64", "arm64": "arm64"}  # Go's name: Lambda's
_FETCH_SECONDS = 10.0
_WORD = 200  # bytes of a foreign word that are kept


class _Unreadable(Exception):
    """Why a manifest or config could not be read, as the middle of a sentence."""


class EcrRegistry:
    """The image repository `repository` (its name, as in ``shuking-lambda``)."""

    def __init__(self, client: ECRClient, repository: str) -> None:
        self._client = client
        self._repository = repository

    def tagged(self, tag: str) -> str | None:
        """The digest that `tag` points at now, or None."""
        detail = self._describe({"imageTag": tag})
        return detail.get("imageDigest") if detail else None

    def present(self, digest: str) -> bool:
        """Can Lambda still fetch `digest`? An archived image is as good as gone."""
        detail = self._describe({"imageDigest": digest})
        return detail is not None and detail.get("imageStatus", "ACTIVE") == "ACTIVE"

    def mark(self, digest: str, tag: str) -> None:
        """Put `tag` on `digest`: ECR moves a tag by a second PutImage of the same manifest.

        Raises `Refused` if the image is gone.
        https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-retag.html
        """
        with translated():
            response = self._client.batch_get_image(
                repositoryName=self._repository,
                imageIds=[{"imageDigest": digest}],
                acceptedMediaTypes=sorted(_IMAGES | _INDEXES),  # whatever somebody put a mark on
            )
            if not response["images"]:
                raise Refused(
                    f"{digest} cannot be tagged {tag}: it is not in the repository {self._repository}"
                )
            image = response["images"][0]
            with suppress(self._client.exceptions.ImageAlreadyExistsException):  # it has the tag already
                self._client.put_image(
                    repositoryName=self._repository,
                    imageManifest=image["imageManifest"],
                    imageManifestMediaType=image["imageManifestMediaType"],
                    imageTag=tag,
                    imageDigest=digest,
                )

    def artifact(self, digest: str) -> Artifact | None:
        """What `digest` is, read from its manifest and config, or None if it is gone."""
        with translated():
            response = self._client.batch_get_image(
                repositoryName=self._repository,
                imageIds=[{"imageDigest": digest}],
                acceptedMediaTypes=sorted(_IMAGES | _INDEXES),
            )
        if response["images"]:
            image = response["images"][0]
            return self._read(image.get("imageManifest", ""), image.get("imageManifestMediaType", ""))
        failure = response["failures"][0] if response["failures"] else {}
        code, reason = failure.get("failureCode", ""), failure.get("failureReason", "")
        if code in ("", "ImageNotFound"):
            return self._unaccepted(digest)
        if code in ("UpstreamTooManyRequests", "UpstreamUnavailable"):
            raise LookAgain(f"BatchGetImage: {code}: {line(reason, _WORD)}")
        told = line(f"{code}: {reason}", _WORD)
        return Artifact(ArtifactKind.OTHER, "unknown", problem=f"the registry does not give it away ({told})")

    def _unaccepted(self, digest: str) -> Artifact | None:
        """Not found may also mean: there, but of a media type that was not asked for. Then say which."""
        detail = self._describe({"imageDigest": digest})
        if detail is None:
            return None
        return Artifact(ArtifactKind.OTHER, line(detail.get("imageManifestMediaType", "unknown"), _WORD))

    def _describe(self, image: ImageIdentifierTypeDef) -> ImageDetailTypeDef | None:
        with translated():
            try:
                response = self._client.describe_images(repositoryName=self._repository, imageIds=[image])
            except self._client.exceptions.ImageNotFoundException:
                return None
        return response["imageDetails"][0] if response["imageDetails"] else None

    def _read(self, text: str, media_type: str) -> Artifact:
        media_type = line(media_type, _WORD)
        try:
            manifest = _Manifest.read(text, media_type)
        except _Unreadable as error:
            return Artifact(ArtifactKind.IMAGE, media_type or "unknown", problem=f"its manifest {error}")
        if manifest.kind is not ArtifactKind.IMAGE:
            return Artifact(manifest.kind, manifest.media_type)
        try:
            config = _Config.read(self._blob(manifest.config))
        except _Unreadable as error:
            return Artifact(
                ArtifactKind.IMAGE, manifest.media_type, size=manifest.size, problem=f"its config {error}"
            )
        return Artifact(
            ArtifactKind.IMAGE,
            manifest.media_type,
            architecture=config.architecture,
            size=manifest.size,
            origin=config.origin,
            problem=config.problem,
        )

    def _blob(self, digest: str) -> bytes:
        """A small blob, by the link that the registry gives for it."""
        with translated():
            try:
                link = self._client.get_download_url_for_layer(
                    repositoryName=self._repository, layerDigest=digest
                )
            except (
                self._client.exceptions.LayersNotFoundException,
                self._client.exceptions.LayerInaccessibleException,
            ) as error:
                raise _Unreadable("is not in the registry") from error
        blob = _fetch(link["downloadUrl"])
        if f"sha256:{hashlib.sha256(blob).hexdigest()}" != digest:
            raise _Unreadable("is not what the manifest says it is: its digest differs")
        return blob


def _fetch(url: str) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise _Unreadable("has a link that is not one to a web server")
    try:
        with urllib.request.urlopen(url, timeout=_FETCH_SECONDS) as answer:  # noqa: S310  scheme checked above
            blob = web.read(answer, MAXIMUM_CONFIG + 1, _FETCH_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 429 or error.code >= 500:
            raise LookAgain(f"the config blob's link answered HTTP {error.code}") from error
        raise _Unreadable(f"could not be fetched (HTTP {error.code})") from error
    except (http.client.InvalidURL, ValueError) as error:
        # The link is signed, and these errors quote it.
        raise _Unreadable(f"has a link that cannot be asked ({type(error).__name__})") from None
    except (OSError, http.client.HTTPException) as error:  # no connection, or one that broke
        told = line(discreet(str(error)), _WORD) or type(error).__name__
        raise LookAgain(f"the config blob could not be fetched: {told}") from error
    if len(blob) > MAXIMUM_CONFIG:
        raise _Unreadable(f"is larger than {MAXIMUM_CONFIG} bytes")
    return blob


@dataclass(frozen=True)
class _Manifest:
    """What is used of an image's manifest.

    https://github.com/opencontainers/image-spec/blob/main/manifest.md
    """

    kind: ArtifactKind
    media_type: str  # what makes it that kind
    config: str = ""  # digest of the config blob
    size: int = 0

    @classmethod
    def read(cls, text: str, media_type: str) -> _Manifest:
        if len(text) > MAXIMUM_MANIFEST:
            raise _Unreadable(f"is larger than {MAXIMUM_MANIFEST} bytes")
        media_type = media_type or _Part.parse(text).word("mediaType") or "unknown"
        if media_type in _INDEXES:
            return cls(ArtifactKind.INDEX, media_type)
        if media_type not in _IMAGES:
            return cls(ArtifactKind.OTHER, media_type)
        document = _Part.parse(text)
        config, layers = document.part("config"), document.parts("layers")
        if config.word("mediaType") not in _CONFIGS:
            return cls(ArtifactKind.OTHER, config.word("mediaType") or "unknown")
        if any(layer.word("mediaType") == _ATTESTATION for layer in layers):
            return cls(ArtifactKind.OTHER, _ATTESTATION)
        try:
            digest = require_digest(config.word("digest") or "")
        except BadDigest as error:
            raise _Unreadable("names no config blob") from error
        return cls(ArtifactKind.IMAGE, media_type, digest, sum(layer.size("size") for layer in layers))


@dataclass(frozen=True)
class _Config:
    """What is used of an image's config.

    https://github.com/opencontainers/image-spec/blob/main/config.md
    """

    architecture: str | None
    origin: Origin
    problem: str | None

    @classmethod
    def read(cls, blob: bytes) -> _Config:
        document = _Part.parse(blob)
        architecture, system = document.word("architecture"), document.word("os")
        return cls(
            architecture=_LAMBDA_NAMES.get(architecture, architecture) if architecture else None,
            origin=_origin(document.part("config").part("Labels")),
            problem=None if system in (None, "linux") else f"it is built for {system}, and Lambda runs linux",
        )


def _origin(labels: _Part) -> Origin:
    """What the labels say. A time that cannot be read is no reason to refuse an image."""
    committed_at = None
    with suppress(ValueError, OverflowError):
        time = datetime.fromisoformat(labels.word(COMMITTED_LABEL) or "")
        committed_at = time.astimezone(UTC) if time.tzinfo else None
    return Origin(
        labels.word(REVISION_LABEL), labels.word(SOURCE_LABEL), committed_at, labels.word(BUILT_BY_LABEL)
    )


@dataclass(frozen=True)
class _Part:
    """An object in somebody's JSON. What is absent or null reads as empty; a wrong type is refused."""

    name: str
    fields: dict[str, object]

    @classmethod
    def parse(cls, text: str | bytes) -> _Part:
        try:
            return cls._of("", json.loads(text))
        except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
            raise _Unreadable("is not JSON") from error

    @classmethod
    def _of(cls, name: str, value: object) -> _Part:
        if not isinstance(value, dict):
            raise _Unreadable(f"has no object where {name or 'the document'} should be one")
        return cls(name, value)

    def part(self, name: str) -> _Part:
        value = self.fields.get(name)
        return self._of(name, {} if value is None else value)

    def parts(self, name: str) -> list[_Part]:
        value = self.fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise _Unreadable(f"has no list where {name} should be one")
        return [self._of(name, item) for item in value]

    def word(self, name: str) -> str | None:
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise _Unreadable(f"has no text where {name} should be text")
        return line(value, _WORD)

    def size(self, name: str) -> int:
        value = self.fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
            raise _Unreadable(f"has no number of bytes where {name} should be one")
        return value
