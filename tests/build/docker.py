"""A stand-in for Docker, with state: builds and runs images without one, and pushes them through ECR's API.

    python -m tests.build.docker STATE ARGUMENTS...

takes `docker ARGUMENTS`, as far as scripts/release uses it, and strictly: a flag that it does not know is an
error. Images and containers are kept in the folder STATE; the registry is the ECR that the environment leads
to. As with Docker, a push needs a login, and a cache in a registry another builder than the default one.

STATE/failures.json, which a test writes, says what fails: `{"push": "denied"}` makes `docker push` fail with
that message. A push that fails may have happened all the same: `{"after_push": "connection reset"}`.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import boto3

from sandbox.building import images
from sandbox.waiting import until

ARCHITECTURES = {f"linux/{platform}": name for name, platform in images.PLATFORMS.items()}


class DockerError(Exception):
    """What docker would write to stderr."""


class Docker:
    """The commands, one method each."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def login(self, given: argparse.Namespace) -> None:
        if not sys.stdin.read().strip():
            raise DockerError("Error: Password Required")
        (self.state / "login").write_text(given.registry)

    def buildx_inspect(self, given: argparse.Namespace) -> None:
        if not self._builder(given.name).exists():
            raise DockerError(f'ERROR: no builder "{given.name}" found')

    def buildx_create(self, given: argparse.Namespace) -> None:
        if self._builder(given.name).exists():
            raise DockerError(f'ERROR: existing instance for "{given.name}" but no append mode')
        self._builder(given.name).write_text(given.driver)

    def buildx_rm(self, given: argparse.Namespace) -> None:
        self.buildx_inspect(given)
        self._builder(given.name).unlink()

    def buildx_build(self, given: argparse.Namespace) -> None:
        if given.builder:
            self.buildx_inspect(argparse.Namespace(name=given.builder))
        if given.cache_to and (
            not given.builder or self._builder(given.builder).read_text() != "docker-container"
        ):
            raise DockerError("ERROR: Cache export is not supported for the docker driver.")
        if given.provenance != "false" or given.sbom != "false":
            raise DockerError("ERROR: docker exporter does not currently support exporting manifest lists")
        built = images.build(
            Path(given.context),
            architecture=ARCHITECTURES[given.platform],
            labels=dict(label.split("=", 1) for label in given.label),
            build_args=dict(argument.split("=", 1) for argument in given.build_arg),
        )
        self._image(given.tag).write_bytes(pickle.dumps(built))

    def run(self, given: argparse.Namespace) -> None:
        if not given.detach or given.publish != "127.0.0.1::8080":
            raise DockerError(
                "docker: this stand-in runs detached, and publishes 8080 on a port of this machine"
            )
        container = f"{len(list(self.state.glob('*.container'))):064x}"
        folder = self.state / f"{container}.container"
        folder.mkdir()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.build.container", str(self._image(given.image)), str(folder)],
                env=dict(os.environ, **dict(pair.split("=", 1) for pair in given.env)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (folder / "pid").write_text(str(process.pid))
        until(lambda: (folder / "port").exists() or process.poll() is not None, "the container's port")
        sys.stdout.write(f"{container}\n")

    def port(self, given: argparse.Namespace) -> None:
        folder = self._running(given.container)
        if given.port != "8080" or not (folder / "port").exists():
            raise DockerError(f"Error: No public port '{given.port}' published for {given.container}")
        sys.stdout.write(f"127.0.0.1:{(folder / 'port').read_text()}\n")

    def logs(self, given: argparse.Namespace) -> None:
        sys.stderr.write((self._running(given.container) / "log").read_text())

    def rm(self, given: argparse.Namespace) -> None:
        folder = self._running(given.container)
        with suppress(ProcessLookupError):  # it may have died by itself
            os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
        (folder / "pid").unlink()

    def push(self, given: argparse.Namespace) -> None:
        uri, _, tag = given.image.rpartition(":")
        registry, _, repository = uri.partition("/")
        login = self.state / "login"
        if not login.exists() or login.read_text() != registry:
            raise DockerError("no basic auth credentials")
        # boto3 takes as long to import as all else here, and most commands need none.

        built: images.BuiltImage = pickle.loads(self._image(given.image).read_bytes())
        ecr = boto3.client("ecr")
        try:
            images.upload(built, ecr, repository, tag)
        except ecr.exceptions.ImageTagAlreadyExistsException as error:
            raise DockerError(f"tag invalid: {error}") from None

    def _builder(self, name: str) -> Path:
        return self.state / f"{quote(name, safe='')}.builder"

    def _image(self, name: str) -> Path:
        return self.state / f"{quote(name, safe='')}.image"

    def _running(self, container: str) -> Path:
        folder = self.state / f"{container}.container"
        if not (folder / "pid").exists():
            raise DockerError(f"Error response from daemon: No such container: {container}")
        return folder


def running(state: Path) -> list[str]:
    """The containers that nobody has removed."""
    return [pid.parent.name.removesuffix(".container") for pid in state.glob("*.container/pid")]


def remove_all(state: Path) -> list[str]:
    """Remove the containers that nobody has removed, and say which."""
    left = running(state)
    for container in left:
        Docker(state).rm(argparse.Namespace(container=container))
    return left


def arguments(words: list[str]) -> argparse.Namespace:
    """The command line, with what to call as `command`. An unknown flag ends the program."""
    parser = argparse.ArgumentParser(prog="docker", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)

    login = commands.add_parser("login", allow_abbrev=False)
    login.add_argument("--username", choices=["AWS"], required=True)
    login.add_argument("--password-stdin", action="store_true", required=True)
    login.add_argument("registry")

    for name in ("buildx_inspect", "buildx_rm"):
        commands.add_parser(name, allow_abbrev=False).add_argument("name")
    create = commands.add_parser("buildx_create", allow_abbrev=False)
    create.add_argument("--name", required=True)
    create.add_argument("--driver", required=True)
    create.add_argument("--bootstrap", action="store_true")
    build = commands.add_parser("buildx_build", allow_abbrev=False)
    for name in ("--platform", "--provenance", "--sbom", "--tag"):
        build.add_argument(name, required=True)
    for name in ("--builder", "--cache-from", "--cache-to"):
        build.add_argument(name)
    for name in ("--label", "--build-arg"):
        build.add_argument(name, action="append", default=[])
    build.add_argument("--load", action="store_true", required=True)
    build.add_argument("context")

    run = commands.add_parser("run", allow_abbrev=False)
    run.add_argument("--detach", action="store_true")
    run.add_argument("--platform", choices=ARCHITECTURES, required=True)
    run.add_argument("--publish", required=True)
    run.add_argument("--env", action="append", default=[])
    run.add_argument("image")
    for name in ("port", "logs", "rm"):
        commands.add_parser(name, allow_abbrev=False).add_argument("container")
    commands.choices["port"].add_argument("port")
    commands.choices["rm"].add_argument("--force", action="store_true", required=True)
    commands.add_parser("push", allow_abbrev=False).add_argument("image")

    if words[:1] == ["buildx"]:
        words = ["_".join(words[:2]), *words[2:]]
    return parser.parse_args(words)


def failure(state: Path, what: str) -> str | None:
    """What a test wants this to fail with."""
    failures = state / "failures.json"
    wanted: dict[str, str] = json.loads(failures.read_text()) if failures.exists() else {}
    return wanted.get(what)


def perform(state: Path, given: argparse.Namespace) -> None:
    if wanted := failure(state, given.command):
        raise DockerError(wanted)
    getattr(Docker(state), given.command)(given)
    if wanted := failure(state, f"after_{given.command}"):
        raise DockerError(wanted)


def main(state: Path, words: list[str]) -> int:
    state.mkdir(parents=True, exist_ok=True)
    try:
        perform(state, arguments(words))
    except DockerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
