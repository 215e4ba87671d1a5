"""`--runtime docker`: a registry that takes `docker push`, and images that run as containers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sandbox.account import AwsError
from sandbox.awslambda.packages import ImageCode
from sandbox.ecr.data_plane import DataPlane, RegistryError
from sandbox.ecr.ecr import PASSWORD, USER, Ecr
from sandbox.running.containers import Containers, alive, owner
from sandbox.running.engine import Engine, EngineError
from sandbox.running.process import Start
from sandbox.running.programs import CannotRunError
from sandbox.telling import say

_OWNER = "owner"


class NoDockerError(Exception):
    """What containers need is not there; the text says what, and what to do."""


class Docker:
    """The engine and the registry of one sandbox."""

    def __init__(self, ecr: Ecr, state: Path, registry_port: int) -> None:
        """`state` is the sandbox's own folder below the machine's temporary one. Raises NoDockerError."""
        try:
            engine = Engine()
            engine.version()
        except EngineError as problem:
            raise NoDockerError(
                f"containers need a Docker engine: {problem}. Start it; `make sandbox RUNTIME=docker` does "
                "where nothing else does (as root)"
            ) from None
        self._state = state
        self.registry = DataPlane(ecr, state / "registry", registry_port)
        self._containers = Containers(engine, self._fetch, USER, PASSWORD)

    def start(self, url: str) -> None:
        """Begin to take images for the sandbox at `url`. Raises NoDockerError."""
        try:
            (self._state / _OWNER).write_text(owner(os.getpid()))
            _remove_folders(self._state)
            if left := self._containers.remove_leftovers():
                say(f"removed {left} containers of a sandbox that did not end by itself")
            self.registry.start(url)
        except (EngineError, RegistryError) as problem:
            raise NoDockerError(str(problem)) from None

    def run_image(self, code: ImageCode) -> Start:
        """What the runtime asks for each image. Raises CannotRunError."""
        return self._containers.image(code)

    def close(self) -> None:
        """End it, after the workers."""
        self._containers.close()
        self.registry.close()

    def _fetch(self, code: ImageCode) -> str:
        try:
            return self.registry.image(code.repository, code.digest)
        except (RegistryError, AwsError) as problem:
            raise CannotRunError("Runtime.InvalidImage", str(problem)) from None


def _remove_folders(state: Path) -> None:
    """Those of sandboxes that were killed: what was pushed to them is large."""
    for note in state.parent.glob(f"{state.name.partition('-')[0]}-*/{_OWNER}"):
        if not alive(note.read_text()):
            shutil.rmtree(note.parent, ignore_errors=True)
