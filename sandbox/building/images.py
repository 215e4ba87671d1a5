"""Container images without Docker: built from a service's Dockerfile, pushed, and unpacked to be run.

Images are in the OCI format, with one layer per COPY and true digests. What a build leaves out (RUN, base
images) is said in `BuiltImage.notes`; the sandbox's own interpreter stands for it when the image runs.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import posixpath
import shutil
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sandbox.building.context import Context, File
from sandbox.building.dockerfile import BuildError, parse
from sandbox.building.stages import Build, Stage

if TYPE_CHECKING:
    from mypy_boto3_ecr.client import ECRClient

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
IN_TOTO = "application/vnd.in-toto+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

PLATFORMS = {"x86_64": "amd64", "arm64": "arm64"}
"""Lambda's names of architectures, and images' own."""

EPOCH = "1970-01-01T00:00:00Z"
"""When every image was made: the same files are the same digest at any time."""

LARGEST_UNPACKED = 10 * 1024**3
"""Bytes of an unpacked image: Lambda's own limit."""

MOST_MEMBERS = 50_000
"""Files, folders and links of one layer."""


@dataclass(frozen=True)
class Blob:
    """A config or a layer, as it is stored."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        return _sha256(self.content)

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "size": len(self.content), "digest": self.digest}


@dataclass(frozen=True)
class BuiltImage:
    """An image of one architecture: its manifest's bytes, and the config and layers it names."""

    manifest: bytes
    blobs: tuple[Blob, ...]
    notes: tuple[str, ...] = ()
    media_type: str = OCI_MANIFEST

    @property
    def digest(self) -> str:
        return _sha256(self.manifest)


@dataclass(frozen=True)
class BuiltIndex:
    """An index of images, which Lambda refuses: what buildx pushes when it adds provenance."""

    manifest: bytes
    images: tuple[BuiltImage, ...]
    media_type: str = OCI_INDEX

    @property
    def digest(self) -> str:
        return _sha256(self.manifest)


class UnpackError(Exception):
    """An image that is damaged, or that would reach outside the folder it is unpacked to."""


# Building


def build(
    folder: Path,
    *,
    architecture: str = "x86_64",
    labels: Mapping[str, str] | None = None,
    build_args: Mapping[str, str] | None = None,
    overrides: Mapping[str, bytes] | None = None,
) -> BuiltImage:
    """The image of the folder's Dockerfile; `BuildError` says which line cannot be done here, and why.

    `architecture` is Lambda's name of it (x86_64, arm64); `labels` and `build_args` are as of `docker
    build`; `overrides` are files, by their path in the folder, that replace or join the folder's. Files are
    0755 or 0644 whatever the umask was, so that equal files give equal digests on every machine.
    """
    if architecture not in PLATFORMS:
        raise BuildError(f"architecture {architecture!r} is none of Lambda's: {', '.join(PLATFORMS)}")
    context = Context(folder, overrides or {})
    dockerfile = context.text("Dockerfile")
    if dockerfile is None:
        raise BuildError(f"{folder} has no Dockerfile; name the folder that holds the service's")
    steps = Build(context, build_args or {})
    stage = steps.run(parse(dockerfile))
    stage.labels.update(labels or {})
    tars = [_tar(step.layer) for step in stage.steps if step.layer is not None]
    if not tars:
        raise BuildError(f"{folder}/Dockerfile copies nothing into the image; COPY the service's code")
    layers = [Blob(OCI_LAYER, _gzip(tar)) for tar in tars]
    config = Blob(OCI_CONFIG, _json(_config(stage, PLATFORMS[architecture], [_sha256(tar) for tar in tars])))
    return _image(config, layers, notes=tuple(steps.notes))


def index(image: BuiltImage) -> BuiltIndex:
    """The index that buildx pushes for `image` with its default provenance.

    Its second entry is an attestation of the first, told by its annotations and platform unknown/unknown
    (docs.docker.com/build/metadata/attestations/attestation-storage).
    """
    predicate = "https://slsa.dev/provenance/v0.2"
    subject = {"name": "_", "digest": {"sha256": image.digest.removeprefix("sha256:")}}
    statement = Blob(
        IN_TOTO,
        _json(
            {
                "_type": "https://in-toto.io/Statement/v0.1",
                "predicateType": predicate,
                "subject": [subject],
                "predicate": {"buildType": "https://mobyproject.org/buildkit@v1"},
            }
        ),
    )
    unknown = {"architecture": "unknown", "os": "unknown"}
    config = {**unknown, "config": {}, "rootfs": {"type": "layers", "diff_ids": [statement.digest]}}
    attestation = _image(
        Blob(OCI_CONFIG, _json(config)),
        [statement],
        annotations={statement.digest: {"in-toto.io/predicate-type": predicate}},
    )
    image_config = json.loads(image.blobs[0].content)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                **Blob(image.media_type, image.manifest).descriptor,
                "platform": {"architecture": image_config["architecture"], "os": "linux"},
            },
            {
                **Blob(attestation.media_type, attestation.manifest).descriptor,
                "annotations": {
                    "vnd.docker.reference.digest": image.digest,
                    "vnd.docker.reference.type": "attestation-manifest",
                },
                "platform": unknown,
            },
        ],
    }
    return BuiltIndex(_json(manifest), (image, attestation))


def _image(
    config: Blob,
    layers: list[Blob],
    *,
    notes: tuple[str, ...] = (),
    annotations: Mapping[str, dict[str, str]] | None = None,
) -> BuiltImage:
    """`annotations` are of layers, by digest."""
    noted = annotations or {}
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.descriptor,
        "layers": [
            {**layer.descriptor, **({"annotations": noted[layer.digest]} if layer.digest in noted else {})}
            for layer in layers
        ],
    }
    return BuiltImage(_json(manifest), (config, *layers), notes)


def _config(stage: Stage, platform: str, diff_ids: list[str]) -> dict[str, Any]:
    """The image configuration (github.com/opencontainers/image-spec, config.md)."""
    settings = {
        "Env": [f"{name}={value}" for name, value in stage.env.items()],
        "Entrypoint": stage.entrypoint,
        "Cmd": stage.command,
        "WorkingDir": stage.workdir,
        "Labels": stage.labels,
    }
    return {
        "created": EPOCH,
        "architecture": platform,
        **({"variant": "v8"} if platform == "arm64" else {}),
        "os": "linux",
        "config": {name: value for name, value in settings.items() if value},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [
            {
                "created": EPOCH,
                "created_by": step.created_by,
                **({"empty_layer": True} if step.layer is None else {}),
            }
            for step in stage.steps
        ],
    }


def _tar(layer: Mapping[str, File]) -> bytes:
    """A layer's files and the folders above them, sorted, so that equal layers are equal bytes."""
    folders = {parent for path in layer for parent in _folders_above(path)}
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted({*layer, *folders}):
            member = tarfile.TarInfo(path.lstrip("/"))
            if path in folders:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
                continue
            file = layer[path]
            member.mode = 0o755 if file.executable else 0o644
            if file.target is not None:
                member.type, member.linkname, member.mode = tarfile.SYMTYPE, file.target, 0o777
            member.size = len(file.content)
            archive.addfile(member, io.BytesIO(file.content))
    return output.getvalue()


def _folders_above(path: str) -> list[str]:
    parts = path.strip("/").split("/")
    return ["/" + "/".join(parts[:depth]) for depth in range(1, len(parts))]


def _gzip(content: bytes) -> bytes:
    """Without name and time. Not `gzip.compress`, whose header differs between Python versions."""
    output = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=output, mtime=0) as file:
        file.write(content)
    return output.getvalue()


# Pushing


def upload(built: BuiltImage | BuiltIndex, ecr: ECRClient, repository: str, tag: str | None = None) -> str:
    """Push through ECR's layer API, and return the digest. What is there already is not pushed again.

    Raises botocore's ClientError where ECR refuses (an immutable tag, no such repository).
    """
    if isinstance(built, BuiltIndex):
        for image in built.images:
            upload(image, ecr, repository)
    else:
        _upload_blobs(built.blobs, ecr, repository)
    put = partial(
        ecr.put_image,
        repositoryName=repository,
        imageManifest=built.manifest.decode(),
        imageManifestMediaType=built.media_type,
    )
    with suppress(ecr.exceptions.ImageAlreadyExistsException):  # the same digest, and the same tag or none
        if tag is None:
            put()
        else:
            put(imageTag=tag)
    return built.digest


def _upload_blobs(blobs: tuple[Blob, ...], ecr: ECRClient, repository: str) -> None:
    missing = {blob.digest: blob for blob in blobs}
    for start in range(0, len(blobs), 100):  # as many as BatchCheckLayerAvailability takes
        digests = [blob.digest for blob in blobs[start : start + 100]]
        checked = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=digests)
        for layer in checked["layers"]:
            if layer.get("layerAvailability") == "AVAILABLE":
                missing.pop(layer.get("layerDigest", ""), None)
    for blob in missing.values():
        started = ecr.initiate_layer_upload(repositoryName=repository)
        upload_id, size = started["uploadId"], started["partSize"]
        for first in range(0, len(blob.content), size):
            part = blob.content[first : first + size]
            ecr.upload_layer_part(
                repositoryName=repository,
                uploadId=upload_id,
                partFirstByte=first,
                partLastByte=first + len(part) - 1,
                layerPartBlob=part,
            )
        with suppress(ecr.exceptions.LayerAlreadyExistsException):  # somebody else pushed it meanwhile
            ecr.complete_layer_upload(
                repositoryName=repository, uploadId=upload_id, layerDigests=[blob.digest]
            )


# Unpacking


def unpack(
    manifest: bytes,
    blob_reader: Callable[[str], bytes],
    target: Path,
    *,
    largest: int = LARGEST_UNPACKED,
) -> None:
    """Write the image's filesystem below `target`, a folder of its own: `/var/task` is target/var/task.

    `blob_reader` gives a layer's bytes for its digest. Nothing is written outside `target`, whatever the
    layers hold; owners are left out. Raises `UnpackError` for layers that are damaged, larger than `largest`
    bytes together, or that try to leave.
    """
    target.mkdir(parents=True, exist_ok=True)
    room = largest
    for layer in json.loads(manifest)["layers"]:
        digest, media_type = layer["digest"], layer["mediaType"]
        if media_type not in {OCI_LAYER, DOCKER_LAYER}:
            raise UnpackError(
                f"layer {digest} has media type {media_type}; only gzipped tar layers are unpacked"
            )
        content = blob_reader(digest)
        if _sha256(content) != digest:
            raise UnpackError(f"layer {digest} has other bytes than its digest says")
        try:
            room = _unpack_layer(content, target, room)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise UnpackError(f"layer {digest} cannot be unpacked: {error}") from error


def _unpack_layer(content: bytes, target: Path, room: int) -> int:
    """Unpack one layer over those below it, and return how many bytes may still follow."""
    stream = _Bounded(gzip.GzipFile(fileobj=io.BytesIO(content)), room)
    added: set[Path] = set()
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for number, member in enumerate(archive):
            if number >= MOST_MEMBERS:
                raise UnpackError(f"a layer has more than {MOST_MEMBERS} members")
            path = _inside(target, member.name)
            if path.name == ".wh..wh..opq":
                for below in path.parent.iterdir():
                    if below not in added:
                        _remove(below)
            elif path.name.startswith(".wh."):
                name = path.name.removeprefix(".wh.")
                if name in {"", ".", ".."}:
                    raise UnpackError(f"{member.name!r} takes nothing away")
                _remove(path.with_name(name))
            elif path != target:
                _write(archive, member, path, target)
                added.update({path, *path.parents})
    return stream.room


def _inside(target: Path, name: str) -> Path:
    """Where a member goes; `UnpackError` if that is outside `target`, or behind a link."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in name:
        raise UnpackError(f"{name!r} leaves the image")
    path = target
    for part in parts[:-1]:
        path /= part
        if path.is_symlink():
            raise UnpackError(
                f"{name!r} is behind the link {path.relative_to(target)}; images here have none"
            )
    path.mkdir(parents=True, exist_ok=True)
    return path / parts[-1] if parts else target


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, target: Path) -> None:
    if member.isdir():
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            _remove(path)
        path.mkdir(exist_ok=True)
        return
    _remove(path)
    if member.isreg() and not member.issparse():  # a sparse file would be larger than what is read for it
        source = archive.extractfile(member)
        with path.open("xb") as file:
            if source is not None:
                shutil.copyfileobj(source, file)
        path.chmod(0o755 if member.mode & 0o100 else 0o644)
    elif member.issym():
        # An absolute link means the image's root, which here is `target`; so does one that climbs above it.
        destination = posixpath.normpath(
            posixpath.join("/", path.parent.relative_to(target).as_posix(), member.linkname)
        )
        path.symlink_to(os.path.relpath(f"{target}{destination}", path.parent))
    elif member.islnk():
        original = _inside(target, member.linkname)
        if original.is_symlink() or not original.is_file():
            raise UnpackError(f"{member.name!r} is a hard link to {member.linkname!r}, which is no file")
        path.hardlink_to(original)
    else:
        raise UnpackError(f"{member.name!r} is a device, pipe or sparse file; a function needs none")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Bounded(io.RawIOBase):
    """A stream that gives at most `room` bytes, so that a small layer cannot fill the disk."""

    def __init__(self, source: IO[bytes] | gzip.GzipFile, room: int) -> None:
        self._source = source
        self.room = room

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._source.read(size)
        self.room -= len(content)
        if self.room < 0:
            raise UnpackError("the image is larger than may be unpacked")
        return content


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
