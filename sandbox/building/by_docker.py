"""Images built and pushed by the ordinary `docker`, for a sandbox that has a registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.building.images import OCI_CONFIG, Blob, BuiltImage, index
from sandbox.ecr.data_plane import DataPlane
from sandbox.ecr.ecr import PASSWORD, USER
from sandbox.ecr.repository import sha256

_MOST_LINES = 10


class DockerFailedError(Exception):
    """`docker` did not do what it was told; the text is the end of what it said."""


class DockerClient:
    """Docker's client, with a configuration of its own.

    A context manager, which takes away what it has put into the engine.
    """

    def __init__(self) -> None:
        self._pushed: set[str] = set()

    def __enter__(self) -> Self:
        self._configuration = tempfile.TemporaryDirectory(prefix="docker-client-")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pushed:
            subprocess.run(["docker", "image", "rm", *self._pushed], capture_output=True, check=False)
        self._configuration.cleanup()

    def login(self, registry: DataPlane) -> None:
        """Log in to the registry that everything is pushed to. Raises DockerFailedError."""
        self._registry = registry
        self._docker("login", "--username", USER, "--password-stdin", registry.address, sent=PASSWORD)

    def build(
        self,
        folder: Path,
        name: str,
        *,
        build_args: Mapping[str, str] | None = None,
        overrides: Mapping[str, bytes] | None = None,
    ) -> str:
        """Build a folder's image as `repository:tag` of the registry; the whole name. For the rest see
        `images.build`. Raises DockerFailedError."""
        image = f"{self._registry.address}/{name}"
        arguments = [f"--build-arg={key}={value}" for key, value in (build_args or {}).items()]
        with tempfile.TemporaryDirectory(prefix="docker-context-") as temporary:
            context = Path(temporary) / "context"
            shutil.copytree(folder, context, ignore=shutil.ignore_patterns("__pycache__", ".chalice"))
            for path, content in (overrides or {}).items():
                (context / path).write_bytes(content)
            # The host's network: where an index is reached through something on this machine, so does RUN.
            self._docker("build", "--quiet", "--network", "host", *arguments, "--tag", image, str(context))
        self._pushed.add(image)
        return image

    def push(self, image: str) -> str:
        """Push what was built; its digest. Raises DockerFailedError."""
        self._docker("push", "--quiet", image)
        repository, _, tag = image.partition("/")[2].rpartition(":")
        digest = sha256(self._registry.manifest(repository, tag)[0])
        self._pushed.add(
            f"{self._registry.address}/{repository}@{digest}"
        )  # a name that pushing has given it
        return digest

    def push_index(self, image: str, tag: str) -> str:
        """Push what was built, and under `tag` an index of it with an attestation, as buildx does.

        The index's digest. Raises DockerFailedError, or RegistryError.
        """
        repository = image.partition("/")[2].rpartition(":")[0]
        manifest, media_type = self._registry.manifest(repository, self.push(image))
        built = BuiltImage(manifest, (self._config(repository, manifest),), media_type=media_type)
        whole = index(built)
        _, attestation = whole.images
        for blob in attestation.blobs:
            self._registry.upload(repository, blob.digest, blob.content)
        self._registry.put_manifest(
            repository, attestation.digest, attestation.manifest, attestation.media_type
        )
        self._registry.put_manifest(repository, tag, whole.manifest, whole.media_type)
        return whole.digest

    def _config(self, repository: str, manifest: bytes) -> Blob:
        return Blob(OCI_CONFIG, self._registry.config(repository, manifest))

    def _docker(self, *words: str, sent: str = "") -> None:
        # Where buildx is what builds: Lambda takes no attestations.
        environment = {
            **os.environ,
            "DOCKER_CONFIG": self._configuration.name,
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        }
        try:
            done = subprocess.run(
                ["docker", *words], input=sent, env=environment, capture_output=True, text=True, check=False
            )
        except OSError as problem:
            raise DockerFailedError(f"docker cannot be started: {problem}") from None
        if done.returncode:
            end = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_MOST_LINES:])
            raise DockerFailedError(f"docker {words[0]} failed:\n{end}")
