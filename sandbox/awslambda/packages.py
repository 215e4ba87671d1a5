"""What a function's code is: an image pinned to its digest, or a zip; and what Lambda refuses to take.

Sources: AWS Lambda Developer Guide, "Create a Lambda function using a container image"; recorded answers
of AWS for `UpdateFunctionCode`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.door.policy import Call, CannotEvaluateError, Verdict, decide

SUPPORTED_MANIFESTS = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
    }
)
SUPPORTED_CONFIGS = frozenset(
    {
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.oci.image.config.v1+json",
    }
)
PULL_ACTIONS = frozenset({"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"})
MOST_UNZIPPED_BYTES = 262_144_000
ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}

_IMAGE_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/"
    r"(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))"
)

_NO_ACCESS = "Lambda does not have permission to access the ECR image. Check the ECR permissions."


class StoredImage(Protocol):
    """An image as the registry keeps it."""

    @property
    def manifest(self) -> bytes: ...
    @property
    def media_type(self) -> str: ...
    @property
    def digest(self) -> str: ...


class Registry(Protocol):
    """What Lambda needs of ECR. All of it raises `AwsError` for what does not exist."""

    def find(self, repository: str, reference: str, /) -> StoredImage: ...
    def blob(self, repository: str, digest: str, /) -> bytes: ...
    def policy(self, repository: str, /) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True)
class ImageCode:
    """An image, resolved to its digest once and for all: Lambda never follows a tag."""

    uri: str
    repository: str
    digest: str
    manifest: bytes = field(repr=False)
    config: Mapping[str, Any] = field(repr=False)
    read_blob: Callable[[str], bytes] = field(repr=False, compare=False)

    @property
    def sha256(self) -> str:
        """`CodeSha256` of an image function: the digest's hexadecimal part."""
        return self.digest.removeprefix("sha256:")

    @property
    def resolved_uri(self) -> str:
        return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{self.repository}@{self.digest}"

    @property
    def architecture(self) -> str:
        """The image's own architecture in Lambda's words."""
        own = str(self.config.get("architecture", ""))
        return ARCHITECTURES.get(own, own)

    @property
    def size(self) -> int:
        return 0  # what AWS says for every image function


@dataclass(frozen=True)
class ZipCode:
    """A zip archive with the function's code at its top."""

    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return base64.b64encode(hashlib.sha256(self.content).digest()).decode()

    @property
    def size(self) -> int:
        return len(self.content)


Code = ImageCode | ZipCode


class Packages:
    """Turns what a request names (`ImageUri`, `ZipFile`, `S3Bucket` and `S3Key`) into code."""

    def __init__(self, registry: Registry, fetch_zip: Callable[[str, str], bytes]) -> None:
        self._registry = registry
        self._fetch_zip = fetch_zip

    def image(self, uri: str, function_arn: str) -> ImageCode:
        """The image `uri` names now. Raises `AwsError` for what Lambda does not take."""
        match = _IMAGE_URI.fullmatch(uri)
        if match is None:
            raise invalid(f"Source image {uri} is not valid. Provide a valid source image.")
        if match["account"] != ACCOUNT or match["region"] != REGION:
            raise invalid(
                f"Source image {uri} is not valid. "
                f"The repository must be in account {ACCOUNT} and region {REGION}."
            )
        repository = match["repository"]
        self._require_pull_permission(repository, function_arn, uri)
        try:
            stored = self._registry.find(repository, match["digest"] or match["tag"])
        except AwsError:
            raise invalid(f"Source image {uri} does not exist. Provide a valid source image.") from None
        config = self._config(repository, stored, uri)
        return ImageCode(
            uri=uri,
            repository=repository,
            digest=stored.digest,
            manifest=stored.manifest,
            config=config,
            read_blob=lambda digest: self._registry.blob(repository, digest),
        )

    def require_caller(self, uri: str, require: Callable[[str, str], None]) -> None:
        """Refuse, in Lambda's words, a caller that may not pull the image itself.

        `require` raises AwsError unless the caller may do an action on a resource. The Developer Guide
        ("Create a Lambda function using a container image", "Amazon ECR permissions") demands both pull
        actions of the user or role that creates the function. Reports differ about whether Lambda checks
        that where repository and function share an account; the sandbox keeps to the guide.
        """
        match = _IMAGE_URI.fullmatch(uri)
        if match is None:
            return  # which is refused for that
        for action in sorted(PULL_ACTIONS):
            try:
                require(action, _repository_arn(match["repository"]))
            except AwsError as refusal:
                raise AwsError("AccessDeniedException", f"{_NO_ACCESS} ({refusal.message})", 403) from None

    def zip_file(self, content: bytes) -> ZipCode:
        """A zip sent with the request."""
        if not content:
            raise invalid("Uploaded file must be a non-empty zip")
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                unzipped = sum(entry.file_size for entry in archive.infolist())
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise invalid(
                "Could not unzip uploaded file. Please check your file, then try to upload again."
            ) from None
        if unzipped >= MOST_UNZIPPED_BYTES:
            raise invalid(f"Unzipped size must be smaller than {MOST_UNZIPPED_BYTES} bytes")
        return ZipCode(content)

    def zip_in_s3(self, bucket: str, key: str) -> ZipCode:
        """A zip in a bucket."""
        try:
            content = self._fetch_zip(bucket, key)
        except AwsError as error:
            raise invalid(
                f"Error occurred while GetObject. S3 Error Code: {error.code}. "
                f"S3 Error Message: {error.message}"
            ) from None
        return self.zip_file(content)

    def still_exists(self, code: Code) -> bool:
        """Whether the registry still has an image function's image."""
        if isinstance(code, ZipCode):
            return True
        try:
            self._registry.find(code.repository, code.digest)
        except AwsError:
            return False
        return True

    def _config(self, repository: str, stored: StoredImage, uri: str) -> Mapping[str, Any]:
        unsupported = invalid(
            f"The image manifest, config or layer media type for the source image {uri} is not supported."
        )
        if stored.media_type not in SUPPORTED_MANIFESTS:
            raise unsupported
        try:
            descriptor = json.loads(stored.manifest)["config"]
            if descriptor["mediaType"] not in SUPPORTED_CONFIGS:
                raise unsupported
            config = json.loads(self._registry.blob(repository, descriptor["digest"]))
        except (ValueError, KeyError, TypeError):
            raise unsupported from None
        if not isinstance(config, dict):
            raise unsupported
        return config

    def _require_pull_permission(self, repository: str, function_arn: str, uri: str) -> None:
        """Lambda pulls in its own name, so the repository's own policy must let it."""
        try:
            policy = self._registry.policy(repository) or {}
        except AwsError:
            raise invalid(f"Source image {uri} does not exist. Provide a valid source image.") from None
        repository_arn = _repository_arn(repository)
        context = {"aws:SourceArn": function_arn, "aws:SourceAccount": ACCOUNT}
        try:
            verdicts = {
                decide([policy], Call(action, repository_arn, context, service="lambda.amazonaws.com"))
                for action in PULL_ACTIONS
            }
        except CannotEvaluateError as problem:
            raise AwsError("AccessDeniedException", f"{_NO_ACCESS} ({problem})", 403) from None
        if verdicts != {Verdict.ALLOW}:
            raise AwsError("AccessDeniedException", _NO_ACCESS, 403)


def _repository_arn(repository: str) -> str:
    return f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{repository}"


def invalid(message: str) -> AwsError:
    """Lambda's commonest refusal."""
    return AwsError("InvalidParameterValueException", message, 400)
