"""The image a new stack's service function starts with, until the first release is pushed.

A Lambda function made from an image cannot exist before its image, and the image cannot be pushed
before its repository exists. This custom resource closes the gap while the stack is created: it
pushes a tiny image that does nothing. Nobody is meant to invoke it; the first release replaces it.

It also reads the stack's `Checks`, if it is given them, as the deployer will: checks that cannot be read
stop the stack's creation or update, and not every deployment afterwards.

CloudFormation changes a function's code only when the template's `ImageUri` changes, so the digest
must never change by itself: the image's bytes depend on the architecture and on nothing else.
"""

import hashlib
import http.client
import io
import json
import logging
import re
import struct
import tarfile
import traceback
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from deployer.log import discreet_exceptions
from deployer.smoke import parse_checks
from deployer.text import discreet, shown

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

TAG = "placeholder"
"""The tag it is pushed with, so that no rule about untagged images removes it. Never a release tag."""

PHYSICAL_ID = "placeholder-image"
"""Constant: another physical id would tell CloudFormation that the image was replaced."""

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"

_PLATFORM = {"x86_64": "amd64", "arm64": "arm64"}  # Lambda's name -> the image's name
_ANSWER_SECONDS = 10.0
_WEB = ("https://", "http://")
# The whole answer may have 4096 bytes; 400 ASCII characters have at most 2400 as JSON, the ids 1200.
_REASON_CHARACTERS = 400
_ID = re.compile(r"[A-Za-z0-9:/._|-]{1,300}")  # an ARN of a stack has less
_TEXT = b"This function waits for its first release: push an image with the release tag.\n"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Placeholder:
    """A whole image, as bytes: what ECR stores and what the digest is made of."""

    manifest: bytes
    config: bytes
    layer: bytes

    @property
    def digest(self) -> str:
        """The image's identity: `sha256:` and the hash of the manifest's bytes."""
        return _digest(self.manifest)


def image(architecture: str) -> Placeholder:
    """The placeholder for a Lambda architecture (`x86_64` or `arm64`): the same bytes every time.

    Raises ValueError for any other architecture.
    """
    if architecture not in _PLATFORM:
        raise ValueError(f"Architecture must be one of {', '.join(_PLATFORM)}, not {shown(architecture, 60)}")
    tar = _tar()
    layer = _gzip_stored(tar)
    config = _json(
        {
            "architecture": _PLATFORM[architecture],
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Entrypoint": ["/var/task/placeholder"],
                "Cmd": ["placeholder"],
                "WorkingDir": "/var/task",
            },
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "placeholder"}],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "size": len(config), "digest": _digest(config)},
            "layers": [{"mediaType": LAYER_TYPE, "size": len(layer), "digest": _digest(layer)}],
        }
    )
    return Placeholder(manifest, config, layer)


def digests() -> list[str]:
    """The digests of the placeholders of every architecture."""
    return sorted(image(architecture).digest for architecture in _PLATFORM)


def push(placeholder: Placeholder, ecr: "ECRClient", repository: str) -> None:
    """Upload what the repository does not have yet. A second push of the same image changes nothing.

    Raises botocore's ClientError when ECR refuses.
    """
    for blob in (placeholder.layer, placeholder.config):
        _upload(blob, ecr, repository)
    put = {
        "repositoryName": repository,
        "imageManifest": placeholder.manifest.decode(),
        "imageManifestMediaType": MANIFEST_TYPE,
        "imageDigest": placeholder.digest,
    }
    try:
        ecr.put_image(**put, imageTag=TAG)
    except ecr.exceptions.ImageAlreadyExistsException:
        pass  # this image with this tag: pushed before
    except ecr.exceptions.ImageTagAlreadyExistsException:
        # Tags are immutable here and the other architecture's placeholder has ours. The digest is enough.
        with suppress(ecr.exceptions.ImageAlreadyExistsException):
            ecr.put_image(**put)


@discreet_exceptions()
def on_request(event: Mapping[str, Any], context: Any) -> None:
    """Lambda entry point: a CloudFormation custom resource request.

    Raises when CloudFormation could not be told the outcome; Lambda then tries the request again,
    which is safe because a push can be repeated.
    Source: CloudFormation User Guide, "Custom resource request objects" and "... response objects".
    """
    # Short, so that the function still has time to report a registry that does not answer.
    limits = Config(connect_timeout=3, read_timeout=8, retries={"mode": "standard", "total_max_attempts": 3})
    answer(event, boto3.client("ecr", config=limits), put_answer, log_stream=context.log_stream_name)


def answer(
    event: Mapping[str, Any], ecr: "ECRClient", send: Callable[[str, bytes], None], *, log_stream: str
) -> None:
    """Do what the request asks and send the outcome, good or bad, to its `ResponseURL`.

    Raises ValueError when there is no such URL, and what `send` raises.
    """
    url = str(event.get("ResponseURL") or "")
    if not url.startswith(_WEB):
        raise ValueError("not a CloudFormation request: its ResponseURL is missing, or no web address")
    try:
        data = _perform(event, ecr)
        outcome: dict[str, Any] = {"Status": "SUCCESS", "Data": data}
        logger.info("placeholder: %s done", event.get("RequestType"))
    except Exception as error:  # noqa: BLE001 - an unanswered request holds the stack up until its timeout
        logger.error("placeholder: the request failed\n%s", discreet(traceback.format_exc()))
        told = discreet(f"{type(error).__name__}: {error}")
        reason = told[:_REASON_CHARACTERS].encode("ascii", "replace").decode()
        outcome = {"Status": "FAILED", "Reason": f"{reason} (log stream: {log_stream:.200})"}
    identity = {name: _id(event.get(name)) for name in ("StackId", "RequestId", "LogicalResourceId")}
    # On Update and Delete the id CloudFormation knows: a changed one would mean "replaced".
    physical_id = _id(event.get("PhysicalResourceId")) or PHYSICAL_ID
    send(url, _json({**outcome, **identity, "PhysicalResourceId": physical_id}))


def put_answer(url: str, body: bytes) -> None:
    """PUT the answer to CloudFormation's presigned URL. Raises ValueError or OSError."""
    if not url.startswith(_WEB):
        raise ValueError("the ResponseURL is not a web address")
    # An empty content type: the URL's signature covers that header, and urllib would add its own.
    request = urllib.request.Request(url, body, {"Content-Type": ""}, method="PUT")  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS):  # noqa: S310 - checked above
            pass
    except (http.client.InvalidURL, UnicodeError) as error:
        # The URL is signed, and these errors quote it.
        raise ValueError(f"the ResponseURL is not a web address ({type(error).__name__})") from None


def _id(value: object) -> str:
    """One of CloudFormation's names; whatever else it is has no place in an answer of 4096 bytes."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def _perform(event: Mapping[str, Any], ecr: "ECRClient") -> dict[str, str]:
    """The resource's attributes after the request."""
    if event["RequestType"] == "Delete":
        _remove(event, ecr)
        return {}
    wanted = event["ResourceProperties"]
    if "Checks" in wanted:
        parse_checks(wanted["Checks"])
    match event["RequestType"]:
        case "Create":
            pass
        case "Update" if _subject(wanted) == _subject(event["OldResourceProperties"]):
            return _attributes(wanted)
        case "Update":
            pass  # another repository or architecture: that placeholder has to be there
        case other:
            raise ValueError(f"RequestType must be Create, Update or Delete, not {shown(other, 60)}")
    push(image(wanted["Architecture"]), ecr, wanted["RepositoryName"])
    return _attributes(wanted)


def _remove(event: Mapping[str, Any], ecr: "ECRClient") -> None:
    """Delete the placeholders, so that a repository nobody pushed to can go when a stack's creation fails.

    The function that was made from one is gone by now: it depends on this resource. A placeholder that stays
    is no harm, so nothing here holds up the deletion of a stack.
    """
    try:
        ecr.batch_delete_image(
            repositoryName=event["ResourceProperties"]["RepositoryName"],
            imageIds=[{"imageDigest": digest} for digest in digests()],
        )
    except Exception:  # noqa: BLE001 - whatever it is, it is in the log, and the stack goes on
        logger.error(
            "placeholder: the image was left in its repository\n%s", discreet(traceback.format_exc())
        )


def _subject(properties: Mapping[str, Any]) -> tuple[Any, Any]:
    return properties.get("RepositoryName"), properties.get("Architecture")


def _attributes(properties: Mapping[str, Any]) -> dict[str, str]:
    digest = image(properties["Architecture"]).digest
    uri = _id(properties["RepositoryUri"])
    if not uri:
        raise ValueError(f"RepositoryUri is not a repository's, but {shown(properties['RepositoryUri'], 60)}")
    return {"ImageUri": f"{uri}@{digest}", "Digest": digest}


def _upload(blob: bytes, ecr: "ECRClient", repository: str) -> None:
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=repository,
        uploadId=upload,
        partFirstByte=0,
        partLastByte=len(blob) - 1,
        layerPartBlob=blob,
    )
    # It exists after a repeated request, or with the other architecture's placeholder: the layer is the same.
    with suppress(ecr.exceptions.LayerAlreadyExistsException):
        ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[_digest(blob)])


def _tar() -> bytes:
    """One file and the directories above it; all times, owners and modes fixed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("var", "var/task"):
            folder = tarfile.TarInfo(name)
            folder.type = tarfile.DIRTYPE
            folder.mode = 0o755
            tar.addfile(folder)
        file = tarfile.TarInfo("var/task/placeholder")
        file.mode = 0o755
        file.size = len(_TEXT)
        tar.addfile(file, io.BytesIO(_TEXT))
    return buffer.getvalue()


def _gzip_stored(data: bytes) -> bytes:
    """A gzip file of one stored (uncompressed) block, written by hand.

    gzip's header has a time and an operating system, and compressed bytes differ between builds of
    zlib; either would give the image another digest on another machine.
    Source: RFC 1952 (the file) and RFC 1951, 3.2.4 (the block).
    """
    header = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"  # no flags, no time, no system
    # A length is 16 bits: 64 KiB are the most one block can hold.
    block = struct.pack("<BHH", 1, len(data), len(data) ^ 0xFFFF) + data
    return header + block + struct.pack("<II", zlib.crc32(data), len(data))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
