"""Stands in for the docker program: the same words in, the same words and exit codes out, and a state.

Builds and pushes as the sandbox does. How it misbehaves is said by files in its folder, see `Behaviour`;
what Docker says then was copied from Docker 28 where it could be seen, else from reports of others.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

FOLDER = "STAND_IN_DOCKER"
"""The environment variable that says where its state is."""


class Behaviour(StrEnum):
    """A file of this name in the folder makes it so."""

    NO_DAEMON = "no daemon"
    NO_BUILDX = "no buildx"
    LOGIN_REFUSED = "login refused"
    HELPER = "the credential helper logs in"
    FORGETS_LOGINS = "forgets logins"
    SAYS_NO_DIGEST = "says no digest"
    PUSHES_ELSEWHERE = "pushes elsewhere"


class Refusal(Exception):
    """What docker says on stderr, and its exit code."""

    def __init__(self, words: str, code: int = 1) -> None:
        super().__init__(words)
        self.code = code


class Engine:
    """The daemon, its images and what the client knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known = folder / "images.json"
        self.images: dict[str, dict[str, Any]] = (
            json.loads(self.known.read_text()) if self.known.exists() else {}
        )

    def misbehaves(self, how: Behaviour) -> bool:
        return (self.folder / how).exists()

    def version(self) -> None:
        if self.misbehaves(Behaviour.NO_DAEMON):
            raise Refusal(
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
                "Is the docker daemon running?"
            )
        _say("28.2.2")

    def buildx(self, words: list[str]) -> None:
        if self.misbehaves(Behaviour.NO_BUILDX):
            raise Refusal(
                "docker: unknown command: docker buildx\n\nRun 'docker --help' for more information"
            )
        if words == ["version"]:
            _say("github.com/docker/buildx v0.24.0")
        else:
            self.build(words[1:], new=True)

    def build(self, words: list[str], *, new: bool) -> None:
        parser = argparse.ArgumentParser(prog="docker build", exit_on_error=False)
        for option in ("--build-arg", "--label"):
            parser.add_argument(option, action="append", default=[])
        for option in ("--platform", "--tag"):
            parser.add_argument(option, required=True)
        if new:
            for option in ("--provenance", "--sbom"):
                parser.add_argument(option, default="true")
            parser.add_argument("--load", action="store_true")
        parser.add_argument("folder")
        given, unknown = parser.parse_known_args(words)
        if unknown:
            raise Refusal(f"unknown flag: {unknown[0].partition('=')[0]}", 125)
        loaded = not new or given.load
        _say(f"building {given.folder}")
        self._compile(vars(given))
        if loaded:
            self.images[given.tag] = vars(given)
            self.known.write_text(json.dumps(self.images))

    def login(self, words: list[str], password: str) -> None:
        if words[:3] != ["--username", "AWS", "--password-stdin"] or not password:
            raise Refusal("Error: Password Required")
        if self.misbehaves(Behaviour.LOGIN_REFUSED):
            raise Refusal(
                f"Error response from daemon: login attempt to https://{words[3]}/v2/ failed with status: "
                f"400 Bad Request (password {password})"
            )
        if not self.misbehaves(Behaviour.FORGETS_LOGINS):
            (self.folder / f"login {words[3]}").touch()
        if self.misbehaves(Behaviour.HELPER):
            raise Refusal(
                "Error saving credentials: error storing credentials - err: exit status 1, "
                "out: `not implemented`"
            )
        _say("Login Succeeded")

    def push(self, reference: str) -> None:
        repository, _, tag = reference.rpartition(":")
        registry, _, name = repository.partition("/")
        _say(f"The push refers to repository [{repository}]")
        if reference not in self.images:
            raise Refusal(f"An image does not exist locally with the tag: {repository}")
        if not (self.folder / f"login {registry}").exists():
            raise Refusal("no basic auth credentials")
        digest = self._upload(reference, name, tag)
        if self.misbehaves(Behaviour.PUSHES_ELSEWHERE):
            digest = f"sha256:{'e' * 64}"
        self.images[reference]["digests"] = [f"{repository}@{digest}"]
        self.known.write_text(json.dumps(self.images))
        _say("3d2f1a: Pushed")
        if not self.misbehaves(Behaviour.SAYS_NO_DIGEST):
            _say(f"{tag}: digest: {digest} size: 1784")

    def inspect(self, reference: str) -> None:
        _say(json.dumps(self.images[reference].get("digests", [])))

    def _compile(self, given: dict[str, Any]) -> Any:
        from sandbox.building import images  # noqa: PLC0415  most of what docker is asked needs no build
        from sandbox.building.dockerfile import BuildError  # noqa: PLC0415

        architectures = {f"linux/{platform}": name for name, platform in images.PLATFORMS.items()}
        pairs = {
            option: dict(each.split("=", 1) for each in given[option]) for option in ("label", "build_arg")
        }
        try:
            return images.build(
                Path(given["folder"]),
                architecture=architectures[given["platform"]],
                labels=pairs["label"],
                build_args=pairs["build_arg"],
            )
        except BuildError as error:
            raise Refusal(f"ERROR: failed to solve: {error}") from None

    def _upload(self, reference: str, name: str, tag: str) -> str:
        import boto3  # noqa: PLC0415  the same
        from botocore.exceptions import ClientError  # noqa: PLC0415

        from sandbox.building import images  # noqa: PLC0415

        try:
            return images.upload(self._compile(self.images[reference]), boto3.client("ecr"), name, tag)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ImageTagAlreadyExistsException":
                raise
            raise Refusal(f"tag invalid: {error.response['Error']['Message']}") from None


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()  # before what comes on stderr, as from docker itself


def _do(engine: Engine, words: list[str], given: str) -> None:
    match words:
        case ["version", *_]:
            engine.version()
        case ["buildx", *rest]:
            engine.buildx(rest)
        case ["build", *rest]:
            engine.build(rest, new=False)
        case ["login", *rest]:
            engine.login(rest, given)
        case ["push", reference]:
            engine.push(reference)
        case ["image", "inspect", "--format", "{{json .RepoDigests}}", reference]:
            engine.inspect(reference)
        case _:
            raise Refusal(f"the stand-in does not know `docker {' '.join(words)}`", 125)


def main(words: list[str]) -> int:
    folder = Path(os.environ[FOLDER])
    given = sys.stdin.read() if "--password-stdin" in words else ""
    call = {"words": words, "stdin": given, "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT")}
    with (folder / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(call) + "\n")
    try:
        _do(Engine(folder), words, given)
    except Refusal as refusal:
        sys.stderr.write(f"{refusal}\n")
        return refusal.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
