"""A strict Amazon ECR: it refuses what ECR refuses, and a digest is the SHA-256 of a manifest's bytes.

Images live in memory. `Ecr` is the implementation that `sandbox.door.wire` serves.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.ecr import lifecycle
from sandbox.ecr.repository import (
    DIGEST,
    TAG,
    Digest,
    Repository,
    RepositoryName,
    StoredImage,
    checked_media_type,
    checked_mutability,
    find_image,
    find_layer,
    find_upload,
    identity,
    image_not_found,
    invalid,
    no_policy,
    require_change,
    require_json,
    require_referenced,
    sha256,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SMALLEST_PART = 5 * 1024 * 1024
"""Bytes of every part of a layer but the last (LayerPartTooSmallException)."""

PART_SIZE = 10 * 1024 * 1024
"""Bytes that InitiateLayerUpload asks parts to have."""

LARGEST_LAYER = 512 * 1024 * 1024
"""Bytes of one layer. ECR takes 52,000 MiB; the sandbox keeps layers in memory."""

USER, PASSWORD = "AWS", "sandbox"
"""What GetAuthorizationToken's token consists of: `docker login --username AWS --password-stdin`."""

LAYERS = "/_sandbox/layers/"
"""Where GetDownloadUrlForLayer's URLs point to."""


class Ecr:
    """The registry of the account. Thread-safe.

    `on_push` is called, outside the lock, with the `detail` of each "ECR Image Action" event, pushes and
    deletions alike. `url` gives the sandbox's own address, for download URLs.
    """

    def __init__(
        self,
        on_push: Callable[[dict[str, str]], None],
        url: Callable[[], str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._on_push = on_push
        self._url = url
        self._now = now
        self._lock = RLock()
        self._repositories: dict[RepositoryName, Repository] = {}

    # For the sandbox's Lambda

    def find(self, repository: RepositoryName, digest_or_tag: str) -> StoredImage:
        """The image; `AwsError` RepositoryNotFoundException or ImageNotFoundException if there is none."""
        with self._lock:
            found = self._repository({"repositoryName": repository})
            by_digest = digest_or_tag.startswith("sha256:")
            digest, tag = (digest_or_tag, None) if by_digest else (None, digest_or_tag)
            image = found.find(digest, tag)
            if image is None:
                raise image_not_found(found, digest, tag)
            return image

    def blob(self, repository: RepositoryName, digest: Digest) -> bytes:
        """The bytes of a layer or config; `AwsError` LayersNotFoundException if there is none."""
        with self._lock:
            found = self._repository({"repositoryName": repository})
            return find_layer(found, digest)

    def policy(self, repository: RepositoryName) -> dict[str, Any] | None:
        """The repository's policy document, which must let Lambda pull; None if it has none."""
        with self._lock:
            text = self._repository({"repositoryName": repository}).policy
            document: dict[str, Any] | None = None if text is None else json.loads(text)
            return document

    def expire_images(self, repository: RepositoryName) -> list[Digest]:
        """Do what the repository's lifecycle policy says now; the digests of the images it deleted.

        ECR does it within 24 hours; here every push of a tag and every new policy does, at once: what may
        happen to somebody shall happen in a test. No event is emitted: ECR tells CloudTrail
        (PolicyExecutionEvent), and whether it emits an "ECR Image Action" as well is not documented.
        """
        with self._lock:
            found = self._repository({"repositoryName": repository})
            if found.lifecycle_policy is None:
                return []
            images = [
                lifecycle.Image(
                    image.digest, frozenset(found.tags_of(image.digest)), image.pushed_at, image.children
                )
                for image in found.images.values()
            ]
            expired = lifecycle.expired(lifecycle.parsed(found.lifecycle_policy), images, self._now())
            for digest in expired:
                del found.images[digest]
            found.tags = {tag: digest for tag, digest in found.tags.items() if digest not in expired}
            return list(expired)

    # For sandbox.door.wire

    def resource(self, operation: str, request: dict[str, Any]) -> str:
        """The ARN of the repository a request is about; for all or several, of all repositories."""
        names = request.get("repositoryNames", [request.get("repositoryName", "*")])
        if operation == "GetAuthorizationToken":
            return "*"
        arn: str | None = request.get("resourceArn")
        name = names[0] if len(names) == 1 else "*"
        return arn or f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}"

    def layers(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI: the bytes behind a download URL. Like a presigned one, it needs no credentials."""
        repository, _, digest = Request(environ).path.removeprefix(LAYERS).rpartition("/")
        try:
            response = Response(self.blob(repository, digest), content_type="application/octet-stream")
        except AwsError as refusal:
            response = Response(f"{refusal.message}\n", 404)
        return response(environ, start_response)

    # Repositories

    def create_repository(self, request: dict[str, Any]) -> dict[str, Any]:
        mutability, exclusions = checked_mutability(request)
        with self._lock:
            name = request["repositoryName"]
            if name in self._repositories:
                message = (
                    f"The repository with name '{name}' already exists in the registry with id '{ACCOUNT}'"
                )
                raise AwsError("RepositoryAlreadyExistsException", message)
            repository = Repository(
                name=name,
                created_at=self._now(),
                mutability=mutability,
                exclusions=exclusions,
                scan_on_push=request.get("imageScanningConfiguration", {}).get("scanOnPush", False),
                resource_tags={tag["Key"]: tag["Value"] for tag in request.get("tags", [])},
            )
            repository.encryption.update(request.get("encryptionConfiguration", {}))
            self._repositories[name] = repository
            return {"repository": _repository_description(repository)}

    def describe_repositories(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            names = request.get("repositoryNames") or sorted(self._repositories)
            found = [self._repository({**request, "repositoryName": name}) for name in names]
            page, next_token = _page(found, request)
            return {"repositories": [_repository_description(each) for each in page], **next_token}

    def delete_repository(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            repository = self._repository(request)
            if repository.images and not request.get("force", False):
                raise AwsError(
                    "RepositoryNotEmptyException",
                    f"The repository with name '{repository.name}' in registry with id '{ACCOUNT}' "
                    "cannot be deleted because it still contains images",
                )
            del self._repositories[repository.name]
            return {"repository": _repository_description(repository)}

    def put_image_tag_mutability(self, request: dict[str, Any]) -> dict[str, Any]:
        mutability, exclusions = checked_mutability(request)
        with self._lock:
            repository = self._repository(request)
            repository.mutability, repository.exclusions = mutability, exclusions
            filters = {"imageTagMutabilityExclusionFilters": exclusions} if exclusions else {}
            return {**identity(repository), "imageTagMutability": mutability, **filters}

    def put_image_scanning_configuration(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            repository = self._repository(request)
            repository.scan_on_push = request["imageScanningConfiguration"].get("scanOnPush", False)
            return {
                **identity(repository),
                "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
            }

    def set_repository_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        require_json(request["policyText"], "Statement", "PolicyText", "Invalid repository policy provided")
        with self._lock:
            repository = self._repository(request)
            repository.policy = request["policyText"]
            return {**identity(repository), "policyText": repository.policy}

    def get_repository_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            repository = self._repository(request)
            if repository.policy is None:
                raise no_policy("Repository", repository)
            return {**identity(repository), "policyText": repository.policy}

    def delete_repository_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            answer = self.get_repository_policy(request)
            self._repository(request).policy = None
            return answer

    def put_lifecycle_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        text = request["lifecyclePolicyText"]
        lifecycle.parsed(text)
        with self._lock:
            repository = self._repository(request)
            repository.lifecycle_policy = text
            self.expire_images(repository.name)
            return {**identity(repository), "lifecyclePolicyText": text}

    def get_lifecycle_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            repository = self._repository(request)
            if repository.lifecycle_policy is None:
                raise no_policy("Lifecycle", repository)
            return {**identity(repository), "lifecyclePolicyText": repository.lifecycle_policy}

    def delete_lifecycle_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            answer = self.get_lifecycle_policy(request)
            self._repository(request).lifecycle_policy = None
            return answer

    def list_tags_for_resource(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            tags = self._by_arn(request).resource_tags
            return {"tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def tag_resource(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self._by_arn(request).resource_tags.update({tag["Key"]: tag["Value"] for tag in request["tags"]})
            return {}

    def untag_resource(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            tags = self._by_arn(request).resource_tags
            for key in request["tagKeys"]:
                tags.pop(key, None)
            return {}

    def get_authorization_token(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - same for all
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return {
            "authorizationData": [
                {
                    "authorizationToken": token,
                    "expiresAt": self._now() + timedelta(hours=12),
                    "proxyEndpoint": f"https://{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com",
                }
            ]
        }

    # Layers

    def batch_check_layer_availability(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            repository = self._repository(request)
            layers, failures = [], []
            for digest in request["layerDigests"]:
                if not DIGEST.fullmatch(digest):
                    reason = "Invalid request parameters: layer digest is invalid"
                    failures.append(_layer_failure(digest, "InvalidLayerDigest", reason))
                elif digest in repository.layers:
                    layers.append(_layer_description(digest, len(repository.layers[digest]), "AVAILABLE"))
                else:
                    layers.append(_layer_description(digest, 0, "UNAVAILABLE"))
            return {"layers": layers, "failures": failures}

    def initiate_layer_upload(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            upload_id = str(uuid.uuid4())
            self._repository(request).uploads[upload_id] = []
            return {"uploadId": upload_id, "partSize": PART_SIZE}

    def upload_layer_part(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            repository = self._repository(request)
            parts = find_upload(repository, request["uploadId"])
            first, last, part = request["partFirstByte"], request["partLastByte"], request["layerPartBlob"]
            received = sum(map(len, parts))
            if first != received or last != first + len(part) - 1:
                raise AwsError(
                    "InvalidLayerPartException",
                    f"Invalid layer part upload for upload with id '{request['uploadId']}' in the repository "
                    f"with name '{repository.name}' in the registry with id '{ACCOUNT}'",
                    fields={
                        **identity(repository),
                        "uploadId": request["uploadId"],
                        "lastValidByteReceived": received - 1,
                    },
                )
            if received + len(part) > LARGEST_LAYER:
                message = f"The sandbox keeps layers in memory, so none may exceed {LARGEST_LAYER} bytes"
                raise AwsError("LimitExceededException", message)
            parts.append(part)
            return {**identity(repository), "uploadId": request["uploadId"], "lastByteReceived": last}

    def complete_layer_upload(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            repository = self._repository(request)
            parts = find_upload(repository, request["uploadId"])
            upload = (
                f"upload with id '{request['uploadId']}' in the repository with name '{repository.name}' "
            )
            if not parts:
                raise AwsError(
                    "EmptyUploadException",
                    f"The {upload}in registry with id '{ACCOUNT}' cannot be completed "
                    "because it does not have any parts",
                )
            if any(len(part) < SMALLEST_PART for part in parts[:-1]):
                message = "All layer parts except the last part should be at least 5MB"
                raise AwsError("LayerPartTooSmallException", message)
            layer = b"".join(parts)
            digest = sha256(layer)
            if digest not in request["layerDigests"]:
                message = f"The {upload}has digest '{digest}', not '{request['layerDigests'][0]}'"
                raise AwsError("InvalidLayerException", message)
            del repository.uploads[request["uploadId"]]
            if digest in repository.layers:
                raise AwsError(
                    "LayerAlreadyExistsException",
                    f"Layer with digest '{digest}' already exists in the repository "
                    f"with name '{repository.name}' in registry with id '{ACCOUNT}'",
                )
            repository.layers[digest] = layer
            return {**identity(repository), "uploadId": request["uploadId"], "layerDigest": digest}

    def get_download_url_for_layer(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            repository, digest = self._repository(request), request["layerDigest"]
            find_layer(repository, digest)
            url = f"{self._url().rstrip('/')}{LAYERS}{repository.name}/{digest}"
            return {"downloadUrl": url, "layerDigest": digest}

    # Images

    def put_image(self, request: dict[str, Any]) -> dict[str, Any]:
        manifest: str = request["imageManifest"]
        tag: str | None = request.get("imageTag")
        if tag is not None and not TAG.fullmatch(tag):
            raise invalid("imageTag", f"must satisfy regular expression '{TAG.pattern}'")
        media_type = checked_media_type(manifest, request.get("imageManifestMediaType"))
        image = StoredImage(sha256(manifest.encode()), manifest.encode(), media_type, self._now())
        wanted = request.get("imageDigest", image.digest)
        if wanted != image.digest:
            message = f"The image manifest has digest '{image.digest}', not the requested digest '{wanted}'"
            raise AwsError("ImageDigestDoesNotMatchException", message)
        with self._lock:
            repository = self._repository(request)
            require_referenced(repository, image)
            require_change(repository, image, tag)
            image = repository.images.setdefault(image.digest, image)
            if tag is not None:
                repository.tags[tag] = image.digest
                # Not after an untagged push: those are the children of an index that is still to come.
                self.expire_images(repository.name)
        self._on_push(_event_detail("PUSH", repository, image, tag))
        return {"image": _image_description(repository, image, tag)}

    def batch_get_image(self, request: dict[str, Any]) -> dict[str, Any]:
        accepted = request.get("acceptedMediaTypes")
        with self._lock:
            repository = self._repository(request)
            images, failures = [], []
            for identifier in request["imageIds"]:
                digest, tag = identifier.get("imageDigest"), identifier.get("imageTag")
                image = repository.find(digest, tag)
                if image is None:
                    failures.append(_image_failure(repository, identifier))
                elif accepted is not None and image.media_type not in accepted:
                    reason = f"Requested image has media type {image.media_type}, which is not accepted"
                    failures.append(
                        {"imageId": identifier, "failureCode": "ImageNotFound", "failureReason": reason}
                    )
                else:
                    images.append(_image_description(repository, image, tag))
            return {"images": images, "failures": failures}

    def describe_images(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            repository = self._repository(request)
            if "imageIds" in request:
                if "maxResults" in request or "nextToken" in request:
                    raise invalid("imageIds", "cannot be used together with maxResults or nextToken")
                found = [find_image(repository, identifier) for identifier in request["imageIds"]]
                chosen = list({image.digest: image for image in found}.values())
            else:
                chosen = list(repository.images.values())
            wanted = request.get("filter", {}).get("tagStatus", "ANY")
            chosen = [image for image in chosen if _has_status(repository, image, wanted)]
            page, next_token = _page(chosen, request)
            return {"imageDetails": [_image_detail(repository, image) for image in page], **next_token}

    def list_images(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            repository = self._repository(request)
            wanted = request.get("filter", {}).get("tagStatus", "ANY")
            identifiers = [
                identifier
                for image in repository.images.values()
                if _has_status(repository, image, wanted)
                for identifier in _identifiers(repository, image)
            ]
            page, next_token = _page(identifiers, request)
            return {"imageIds": page, **next_token}

    def batch_delete_image(self, request: dict[str, Any]) -> dict[str, Any]:
        """A tag is taken off its image, which goes with its last tag; a digest goes with all its tags."""
        deleted: list[dict[str, str]] = []
        failures: list[dict[str, Any]] = []
        events: list[dict[str, str]] = []
        with self._lock:
            repository = self._repository(request)
            for identifier in request["imageIds"]:
                digest, tag = identifier.get("imageDigest"), identifier.get("imageTag")
                image = repository.find(digest, tag)
                if image is None:
                    failures.append(_image_failure(repository, identifier))
                    continue
                remaining = set(repository.tags_of(image.digest)) - {tag}
                whole = tag is None or not remaining
                parents = [
                    each.digest for each in repository.images.values() if image.digest in each.children
                ]
                if whole and parents:
                    reason = f"Requested image referenced by manifest list: [{', '.join(parents)}]"
                    code = "ImageReferencedByManifestList"
                    failures.append({"imageId": identifier, "failureCode": code, "failureReason": reason})
                    continue
                gone = _identifiers(repository, image) if tag is None else [_identifier(image, tag)]
                for each in gone:
                    repository.tags.pop(each.get("imageTag", ""), None)
                    events.append(_event_detail("DELETE", repository, image, each.get("imageTag")))
                if whole:
                    del repository.images[image.digest]
                deleted.extend(gone)
        for event in events:
            self._on_push(event)
        return {"imageIds": deleted, "failures": failures}

    # Look-ups; the caller holds the lock

    def _repository(self, request: Mapping[str, Any]) -> Repository:
        name, registry = request["repositoryName"], request.get("registryId", ACCOUNT)
        if registry != ACCOUNT or name not in self._repositories:
            message = f"The repository with name '{name}' does not exist in the registry with id '{registry}'"
            raise AwsError("RepositoryNotFoundException", message)
        return self._repositories[name]

    def _by_arn(self, request: Mapping[str, Any]) -> Repository:
        prefix = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/"
        arn: str = request["resourceArn"]
        if not arn.startswith(prefix):
            raise invalid("resourceArn", "Invalid ARN")
        return self._repository({"repositoryName": arn.removeprefix(prefix)})


def _event_detail(action: str, repository: Repository, image: StoredImage, tag: str | None) -> dict[str, str]:
    """The `detail` of an "ECR Image Action" event.

    Documented at docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html; the two media types
    and the empty tag of an untagged push are not, but occur in events seen on AWS.
    """
    artifact = image.artifact_media_type
    return {
        "result": "SUCCESS",
        "repository-name": repository.name,
        "image-digest": image.digest,
        "action-type": action,
        "image-tag": tag or "",
        "manifest-media-type": image.media_type,
        **({"artifact-media-type": artifact} if artifact else {}),
    }


# Descriptions


def _repository_description(repository: Repository) -> dict[str, Any]:
    exclusions = (
        {"imageTagMutabilityExclusionFilters": repository.exclusions} if repository.exclusions else {}
    )
    return {
        **identity(repository),
        "repositoryArn": repository.arn,
        "repositoryUri": repository.uri,
        "createdAt": repository.created_at,
        "imageTagMutability": repository.mutability,
        **exclusions,
        "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
        "encryptionConfiguration": repository.encryption,
    }


def _identifier(image: StoredImage, tag: str | None) -> dict[str, str]:
    return {"imageDigest": image.digest, **({"imageTag": tag} if tag is not None else {})}


def _identifiers(repository: Repository, image: StoredImage) -> list[dict[str, str]]:
    """One per tag; of an untagged image, its digest."""
    tags = repository.tags_of(image.digest)
    return [_identifier(image, tag) for tag in tags] or [_identifier(image, None)]


def _image_description(repository: Repository, image: StoredImage, tag: str | None) -> dict[str, Any]:
    return {
        **identity(repository),
        "imageId": _identifier(image, tag),
        "imageManifest": image.manifest.decode(),
        "imageManifestMediaType": image.media_type,
    }


def _image_detail(repository: Repository, image: StoredImage) -> dict[str, Any]:
    tags, artifact = repository.tags_of(image.digest), image.artifact_media_type
    return {
        **identity(repository),
        "imageDigest": image.digest,
        **({"imageTags": tags} if tags else {}),
        "imageSizeInBytes": repository.size(image),
        "imagePushedAt": image.pushed_at,
        "imageManifestMediaType": image.media_type,
        **({"artifactMediaType": artifact} if artifact else {}),
        "imageStatus": "ACTIVE",
    }


def _has_status(repository: Repository, image: StoredImage, wanted: str) -> bool:
    return wanted == "ANY" or (wanted == "TAGGED") == bool(repository.tags_of(image.digest))


def _layer_description(digest: Digest, size: int, availability: str) -> dict[str, Any]:
    return {"layerDigest": digest, "layerSize": size, "layerAvailability": availability}


def _layer_failure(digest: str, code: str, reason: str) -> dict[str, str]:
    return {"layerDigest": digest, "failureCode": code, "failureReason": reason}


def _image_failure(repository: Repository, identifier: dict[str, str]) -> dict[str, Any]:
    digest, tag = identifier.get("imageDigest"), identifier.get("imageTag")
    if digest is None and tag is None:
        reason = "Invalid request parameters: both tag and digest cannot be null"
        code = "MissingDigestAndTag"
    elif digest is not None and not DIGEST.fullmatch(digest):
        code, reason = "InvalidImageDigest", "Invalid request parameters: image digest is invalid"
    elif digest is not None and tag in repository.tags and digest in repository.images:
        code, reason = "ImageTagDoesNotMatchDigest", "Requested image tag does not match the requested digest"
    else:
        code, reason = "ImageNotFound", "Requested image not found"
    return {"imageId": identifier, "failureCode": code, "failureReason": reason}


def _page(items: list[Any], request: Mapping[str, Any]) -> tuple[list[Any], dict[str, str]]:
    """The page that `nextToken` and `maxResults` (default 100) ask for, and the next token if more follow."""
    try:
        start = int(base64.b64decode(request.get("nextToken", "MA=="), validate=True))
    except (binascii.Error, ValueError) as error:
        raise invalid("nextToken", "Invalid token") from error
    if start < 0:
        raise invalid("nextToken", "Invalid token")
    end = start + request.get("maxResults", 100)
    token = base64.b64encode(str(end).encode()).decode()
    return items[start:end], {"nextToken": token} if end < len(items) else {}
