"""Images are built from a Dockerfile as Docker would, pushed through ECR's own API, and unpacked safely."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.building.dockerfile import BuildError
from sandbox.building.images import (
    DOCKER_LAYER,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    Blob,
    BuiltImage,
    UnpackError,
    build,
    index,
    unpack,
    upload,
)
from tests.sandbox.registry import Registry, registry, sha256

SERVICE = """\
# syntax=docker/dockerfile:1
ARG BASE=public.ecr.aws/lambda/python:3.12
FROM ${BASE}
ARG REVISION
LABEL org.opencontainers.image.revision=$REVISION

COPY requirements.txt ${LAMBDA_TASK_ROOT}/
RUN pip install --no-cache-dir \\
    # a comment inside a continuation
    --requirement ${LAMBDA_TASK_ROOT}/requirements.txt \\
    && rm -rf /root/.cache

COPY app.py lambda_handler.py ${LAMBDA_TASK_ROOT}/
COPY chalicelib ${LAMBDA_TASK_ROOT}/chalicelib
ENV ENVIRONMENT="production" GREETING='good day'
CMD ["lambda_handler.handler"]
"""
FILES = {
    "Dockerfile": SERVICE,
    "requirements.txt": "chalice\n",
    "app.py": "print('one')\n",
    "lambda_handler.py": "def handler(event, context): ...\n",
    "chalicelib/__init__.py": "",
    "chalicelib/deep/er.py": "er = 1\n",
    "chalicelib/__pycache__/er.pyc": "junk",
    ".dockerignore": "**/__pycache__\n.venv\n",
    ".venv/big": "never",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service's folder, at a path with a space in it."""
    return written(tmp_path / "a service", FILES)


@pytest.fixture
def ecr() -> Iterator[Registry]:
    with registry() as found:
        yield found


def written(folder: Path, files: Mapping[str, str]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


def config(image: BuiltImage) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(image.blobs[0].content)
    return parsed


def reader(image: BuiltImage) -> dict[str, bytes]:
    return {blob.digest: blob.content for blob in image.blobs}


def files(image: BuiltImage, target: Path) -> dict[str, str]:
    """What is in the image, by absolute path."""
    unpack(image.manifest, reader(image).__getitem__, target)
    return {
        f"/{path.relative_to(target).as_posix()}": path.read_text()
        for path in sorted(target.rglob("*"))
        if path.is_file()
    }


def built(folder: Path, dockerfile: str, **options: Any) -> BuiltImage:
    (folder / "Dockerfile").write_text(dockerfile)
    return build(folder, **options)


# Building


def test_a_service_is_built_by_its_dockerfile(folder: Path, tmp_path: Path) -> None:
    # when
    image = build(folder, build_args={"REVISION": "abc123"})

    # then
    assert files(image, tmp_path / "root") == {
        "/var/task/requirements.txt": "chalice\n",
        "/var/task/app.py": "print('one')\n",
        "/var/task/lambda_handler.py": "def handler(event, context): ...\n",
        "/var/task/chalicelib/__init__.py": "",
        "/var/task/chalicelib/deep/er.py": "er = 1\n",
    }
    settings = config(image)["config"]
    assert settings["Cmd"] == ["lambda_handler.handler"]
    assert settings["Labels"] == {"org.opencontainers.image.revision": "abc123"}
    assert settings["WorkingDir"] == "/var/task"
    assert {"ENVIRONMENT=production", "GREETING=good day", "LAMBDA_TASK_ROOT=/var/task"} < set(
        settings["Env"]
    )


def test_digests_are_those_of_the_bytes(folder: Path) -> None:
    # when
    image = build(folder)

    # then
    manifest = json.loads(image.manifest)
    assert image.digest == sha256(image.manifest)
    for descriptor, blob in zip([manifest["config"], *manifest["layers"]], image.blobs, strict=True):
        assert descriptor["digest"] == sha256(blob.content)
        assert descriptor["size"] == len(blob.content)
    assert config(image)["rootfs"]["diff_ids"] == [
        sha256(gzip.decompress(layer.content)) for layer in image.blobs[1:]
    ]
    layered = [entry for entry in config(image)["history"] if not entry.get("empty_layer")]
    assert len(layered) == len(manifest["layers"]) == 3


def test_equal_files_are_equal_digests_whenever_and_wherever_they_were_written(
    folder: Path, tmp_path: Path
) -> None:
    # given
    first = build(folder)
    again = written(tmp_path / "again", dict(reversed(FILES.items())))
    os.utime(again / "app.py", (1, 1))
    (again / "app.py").chmod(0o600)

    # when
    second = build(again)

    # then
    assert second.digest == first.digest


def test_a_changed_file_is_a_new_digest_with_the_other_layers_kept(folder: Path) -> None:
    # given
    first = build(folder)

    # when
    second = build(folder, overrides={"app.py": b"1 / 0\n"})

    # then
    layers = [[blob.digest for blob in image.blobs[1:]] for image in (first, second)]
    assert [one == other for one, other in zip(*layers, strict=True)] == [True, False, True]


def test_every_layer_has_the_folders_above_its_files_and_no_owner_or_time(folder: Path) -> None:
    # when
    layer = build(folder).blobs[-1]

    # then
    with tarfile.open(fileobj=io.BytesIO(layer.content)) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == [
        "var",
        "var/task",
        "var/task/chalicelib",
        "var/task/chalicelib/__init__.py",
        "var/task/chalicelib/deep",
        "var/task/chalicelib/deep/er.py",
    ]
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members} == {(0, 0, "", 0)}
    assert {oct(member.mode) for member in members} == {"0o755", "0o644"}


def test_what_cannot_exist_here_is_noted_in_one_line_each(folder: Path) -> None:
    # when
    notes = build(folder).notes

    # then
    assert notes == (
        "line 3, FROM ${BASE}: not fetched; the sandbox's own Python stands for it",
        "line 5, LABEL org.opencontainers.image.revision=$REVISION: not set, so empty: REVISION",
        "line 8, RUN pip install --no-cache-dir --requirement ${LAMBDA_TASK_ROOT}/requirements...: "
        "not executed; the sandbox's own packages stand for what it installs",
    )


@pytest.mark.parametrize(("architecture", "platform"), [("x86_64", "amd64"), ("arm64", "arm64")])
def test_the_architecture_is_in_the_configuration(folder: Path, architecture: str, platform: str) -> None:
    # when
    image = build(folder, architecture=architecture)

    # then
    assert (config(image)["architecture"], config(image)["os"]) == (platform, "linux")


def test_labels_given_to_the_build_come_last(folder: Path) -> None:
    # when
    image = build(folder, build_args={"REVISION": "a"}, labels={"org.opencontainers.image.revision": "b"})

    # then
    assert config(image)["config"]["Labels"] == {"org.opencontainers.image.revision": "b"}


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("COPY app.py /srv/new.py", "/srv/new.py"),
        ("COPY app.py /srv/new/", "/srv/new/app.py"),
        ("COPY app.py /opt", "/opt/app.py"),
        ("COPY app.py .", "/var/task/app.py"),
        ("COPY ./app.py ./x/", "/var/task/x/app.py"),
        ("COPY /app.py new.py", "/var/task/new.py"),
        ('COPY ["app.py", "/srv/with space.py"]', "/srv/with space.py"),
        ("COPY a*.py /srv/", "/srv/app.py"),
        ("COPY chalicelib/deep /srv", "/srv/er.py"),
        ("COPY chalicelib/deep/ /srv/lib", "/srv/lib/er.py"),
        ("WORKDIR /a\nWORKDIR b\nCOPY app.py .", "/a/b/app.py"),
        ("ARG where=/srv\nCOPY app.py ${where}/", "/srv/app.py"),
        ("COPY app.py ${nowhere:-/srv}/", "/srv/app.py"),
        ("ENV root=/srv\nENV root=/opt here=$root\nCOPY app.py ${here}/", "/srv/app.py"),
        ("copy app.py \\\n\n  /srv/", "/srv/app.py"),
        ("RUN --mount=type=cache,target=/root/.cache pip install x\nCOPY app.py .", "/var/task/app.py"),
    ],
)
def test_files_go_where_docker_puts_them(folder: Path, tmp_path: Path, line: str, path: str) -> None:
    # when
    image = built(folder, f"FROM public.ecr.aws/lambda/python:3.12\n{line}\n")

    # then
    assert list(files(image, tmp_path / "root")) == [path]


def test_the_whole_folder_is_copied_without_what_is_ignored(folder: Path, tmp_path: Path) -> None:
    # given
    (folder / ".dockerignore").write_text("# all but the code\n*\n!*.py\n!chalicelib\n**/__pycache__\n")

    # when
    image = built(folder, "FROM public.ecr.aws/lambda/python:3.12\nCOPY . .\n")

    # then
    assert list(files(image, tmp_path / "root")) == [
        "/var/task/app.py",
        "/var/task/chalicelib/__init__.py",
        "/var/task/chalicelib/deep/er.py",
        "/var/task/lambda_handler.py",
    ]


@pytest.mark.parametrize(
    ("dockerfile", "error"),
    [
        ("", "no FROM"),
        ("COPY app.py .\n", "line 1: COPY before the first FROM"),
        ("FROM x\n\nCOPY nope.py .\n", "line 3: no file nope.py"),
        ("FROM x\nCOPY .venv/big .\n", "line 2: no file .venv/big"),
        ("FROM x\nCOPY ../secret .\n", "line 2: ../secret is outside the folder"),
        ("FROM x\nCOPY app.py\n", "line 2: COPY app.py needs a source and a destination"),
        ("FROM x\nCOPY app.py lambda_handler.py /srv/x\n", "line 2: several sources need a folder"),
        ("FROM x\nCOPY --exclude=a . .\n", "line 2: COPY --exclude cannot be done without Docker"),
        ("FROM x\nCOPY <<EOF /x\nhello\nEOF\n", "line 2: a heredoc cannot be read here"),
        ("FROM x\nRUN <<EOF\nnever ends\n", "line 2: a heredoc cannot be read here"),
        ("FROM x\nADD https://example.com/x /x\n", "line 2: ADD cannot be done without Docker"),
        ("FROM x\nONBUILD RUN true\n", "line 2: ONBUILD cannot be done without Docker"),
        ("FROM x\nFLY away\n", "line 2: FLY cannot be done without Docker"),
        ("FROM x\nENV A\n", "line 2: ENV needs key=value"),
        ("FROM x\nENV A=1 B\n", "line 2: 'B' is not key=value"),
        ('FROM x\nENV A="1\n', "line 2: cannot split"),
        ("FROM x\nCOPY app.py ${A%%b}\n", "line 2: ${A%%b} is not supported"),
        ("FROM x y\n", "line 1: FROM x y names no image"),
        ("FROM $nothing\n", "line 1: FROM $nothing names no image"),
        ("FROM --platform=linux/arm64 x\n", "line 1: FROM --platform cannot be done without Docker"),
        ("FROM x AS a\nCOPY app.py /\nFROM y\nCOPY app.py /\n", "line 3: several stages cannot be built"),
        ("FROM x\nCOPY --from=a /nope /\n", "line 2: COPY --from cannot be done without Docker"),
        ("FROM x\nCMD\n", "line 2: CMD has no arguments"),
        ('FROM x\nCMD ["a"]\n', "copies nothing into the image"),
        ("# escape=`\nFROM x\n", "line 1: only the escape character"),
    ],
)
def test_what_cannot_be_built_here_is_said_with_its_line(folder: Path, dockerfile: str, error: str) -> None:
    # when
    with pytest.raises(BuildError) as raised:
        built(folder, dockerfile)

    # then
    assert error in str(raised.value)


def test_an_override_that_nothing_copies_is_an_error(folder: Path) -> None:
    with pytest.raises(BuildError, match=r"no COPY takes these overrides into the image: other\.py"):
        build(folder, overrides={"other.py": b""})


def test_an_override_stays_inside_the_folder(folder: Path) -> None:
    with pytest.raises(BuildError, match="is not a path inside the folder"):
        build(folder, overrides={"../app.py": b""})


def test_a_folder_without_dockerfile_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="has no Dockerfile"):
        build(tmp_path)


def test_an_executable_and_a_link_stay_what_they_are(folder: Path, tmp_path: Path) -> None:
    # given
    (folder / "chalicelib" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "chalicelib" / "run.sh").chmod(0o700)
    (folder / "chalicelib" / "link").symlink_to("run.sh")

    # when
    image = build(folder)
    unpack(image.manifest, reader(image).__getitem__, tmp_path / "root")

    # then
    library = tmp_path / "root/var/task/chalicelib"
    assert oct((library / "run.sh").stat().st_mode & 0o777) == "0o755"
    assert (library / "link").readlink() == Path("run.sh")


# Pushing


def test_an_image_is_pushed_through_ecrs_layer_api(ecr: Registry, folder: Path) -> None:
    # given
    image = build(folder)

    # when
    digest = upload(image, ecr.aws, "app", "latest")

    # then
    assert digest == image.digest == ecr.ecr.find("app", "latest").digest
    assert [(event["image-digest"], event["image-tag"]) for event in ecr.events] == [(digest, "latest")]
    assert all(ecr.ecr.blob("app", blob.digest) == blob.content for blob in image.blobs)


def test_pushing_again_changes_nothing_and_emits_nothing(ecr: Registry, folder: Path) -> None:
    # given
    image = build(folder)
    upload(image, ecr.aws, "app", "latest")

    # when
    digest = upload(image, ecr.aws, "app", "latest")

    # then
    assert digest == image.digest
    assert len(ecr.events) == 1


def test_a_layer_larger_than_a_part_goes_up_in_parts(ecr: Registry, folder: Path) -> None:
    # given
    noise = random.Random(0).randbytes(10 * 1024 * 1024 + 1)

    # when
    image = build(folder, overrides={"app.py": noise})
    upload(image, ecr.aws, "app")

    # then
    largest = max(image.blobs, key=lambda blob: len(blob.content))
    assert len(largest.content) > 10 * 1024 * 1024
    assert ecr.ecr.blob("app", largest.digest) == largest.content


def test_an_immutable_tag_is_ecrs_to_refuse(ecr: Registry, folder: Path) -> None:
    # given
    ecr.aws.put_image_tag_mutability(repositoryName="app", imageTagMutability="IMMUTABLE")
    upload(build(folder), ecr.aws, "app", "v1")

    # when
    with pytest.raises(ClientError, match="ImageTagAlreadyExistsException"):
        upload(build(folder, overrides={"app.py": b"other"}), ecr.aws, "app", "v1")

    # then
    assert ecr.ecr.find("app", "v1").digest == build(folder).digest


def test_an_index_looks_as_buildx_makes_it(ecr: Registry, folder: Path) -> None:
    # given
    image = build(folder)

    # when
    digest = upload(index(image), ecr.aws, "app", "latest")

    # then
    stored = ecr.ecr.find("app", "latest")
    assert (stored.digest, stored.media_type) == (digest, OCI_INDEX)
    child, attestation = stored.parsed()["manifests"]
    assert (child["digest"], child["platform"]) == (image.digest, {"architecture": "amd64", "os": "linux"})
    assert attestation["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert attestation["annotations"] == {
        "vnd.docker.reference.digest": image.digest,
        "vnd.docker.reference.type": "attestation-manifest",
    }
    assert [(event["image-digest"], event["image-tag"]) for event in ecr.events] == [
        (image.digest, ""),
        (attestation["digest"], ""),
        (digest, "latest"),
    ]


# Unpacking


def layer_of(*members: tuple[str, bytes, Mapping[str, Any]]) -> bytes:
    """A gzipped layer of (name, content, TarInfo's other attributes)."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz") as archive:
        for name, content, attributes in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for attribute, value in attributes.items():
                setattr(member, attribute, value)
            archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


def image_of(*layers: bytes, media_type: str = OCI_LAYER) -> BuiltImage:
    blobs = [Blob(media_type, layer) for layer in layers]
    manifest = {"schemaVersion": 2, "layers": [blob.descriptor for blob in blobs]}
    return BuiltImage(json.dumps(manifest).encode(), (Blob(OCI_CONFIG, b"{}"), *blobs))


def test_a_later_layer_replaces_and_takes_away(tmp_path: Path) -> None:
    # given
    below = layer_of(
        ("app/a", b"1", {}),
        ("app/b", b"1", {}),
        ("lib/c", b"1", {}),
        ("lib/d/e", b"1", {}),
        ("gone/f", b"1", {}),
    )
    above = layer_of(
        ("app/a", b"2", {}),
        ("app/.wh.b", b"", {}),
        ("lib/new", b"2", {}),
        ("lib/.wh..wh..opq", b"", {}),
        (".wh.gone", b"", {}),
    )

    # when
    found = files(image_of(below, above, media_type=DOCKER_LAYER), tmp_path / "root")

    # then
    assert found == {"/app/a": "2", "/lib/new": "2"}


@pytest.mark.parametrize("to", ["/etc/passwd", "../../../../../../etc/passwd", "/", ".."])
def test_a_link_never_points_outside(tmp_path: Path, to: str) -> None:
    # given
    image = image_of(layer_of(("app/link", b"", {"type": tarfile.SYMTYPE, "linkname": to})))

    # when
    unpack(image.manifest, reader(image).__getitem__, tmp_path / "root")

    # then
    assert (tmp_path / "root/app/link").resolve().is_relative_to(tmp_path / "root")


@pytest.mark.parametrize(
    "members",
    [
        [("../outside", b"x", {})],
        [("a/../../outside", b"x", {})],
        [("link", b"", {"type": tarfile.SYMTYPE, "linkname": "/app"}), ("link/x", b"x", {})],
        [("hard", b"", {"type": tarfile.LNKTYPE, "linkname": "../outside"})],
        [("hard", b"", {"type": tarfile.LNKTYPE, "linkname": "not/there"})],
        [
            ("link", b"", {"type": tarfile.SYMTYPE, "linkname": "x"}),
            ("h", b"", {"type": b"1", "linkname": "link"}),
        ],
        [("null", b"", {"type": tarfile.CHRTYPE})],
        [("huge", b"x", {"pax_headers": {"GNU.sparse.map": "0,1", "GNU.sparse.size": "1000000000000"}})],
        [("pipe", b"", {"type": tarfile.FIFOTYPE})],
        [("a/.wh...", b"", {})],
        [("a/.wh..", b"", {})],
        [("file", b"x", {}), ("file/below", b"x", {})],
    ],
)
def test_layers_that_try_to_leave_or_make_no_sense_are_refused(
    tmp_path: Path, members: list[tuple[str, bytes, dict[str, Any]]]
) -> None:
    # given
    (tmp_path / "outside").write_text("mine")
    image = image_of(layer_of(*members))

    # when
    with pytest.raises(UnpackError):
        unpack(image.manifest, reader(image).__getitem__, tmp_path / "root")

    # then
    assert (tmp_path / "outside").read_text() == "mine"


def test_absolute_names_stay_below_the_target(tmp_path: Path) -> None:
    # when
    found = files(image_of(layer_of(("/var/task/app.py", b"x", {}))), tmp_path / "root")

    # then
    assert found == {"/var/task/app.py": "x"}


def test_a_small_layer_of_many_zeros_does_not_fill_the_disk(tmp_path: Path) -> None:
    # given
    image = image_of(layer_of(("zeros", bytes(3_000_000), {})))

    # when
    with pytest.raises(UnpackError, match="larger than may be unpacked"):
        unpack(image.manifest, reader(image).__getitem__, tmp_path / "root", largest=1_000_000)

    # then
    assert (tmp_path / "root/zeros").stat().st_size <= 1_000_000


def test_a_blob_that_is_not_what_its_digest_says_is_refused(tmp_path: Path) -> None:
    # given
    image = image_of(layer_of(("a", b"1", {})))
    other = layer_of(("a", b"2", {}))

    # when
    with pytest.raises(UnpackError, match="has other bytes than its digest says"):
        unpack(image.manifest, lambda _: other, tmp_path / "root")

    # then
    assert list((tmp_path / "root").iterdir()) == []


@pytest.mark.parametrize(
    "damaged",
    [b"", b"no gzip", gzip.compress(b"no tar" * 200, mtime=0), layer_of(("a", b"1" * 9999, {}))[:90]],
    ids=["empty", "no gzip", "no tar", "cut off"],
)
def test_a_damaged_layer_is_said_to_be(tmp_path: Path, damaged: bytes) -> None:
    # given
    image = image_of(damaged)

    # then
    with pytest.raises(UnpackError, match="cannot be unpacked"):
        unpack(image.manifest, reader(image).__getitem__, tmp_path / "root")


def test_a_layer_in_another_format_is_refused_by_name(tmp_path: Path) -> None:
    # given
    image = image_of(b"x", media_type="application/vnd.oci.image.layer.v1.tar+zstd")

    # then
    with pytest.raises(UnpackError, match=r"tar\+zstd; only gzipped tar layers"):
        unpack(image.manifest, reader(image).__getitem__, tmp_path / "root")
