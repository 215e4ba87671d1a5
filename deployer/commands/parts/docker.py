"""Docker, as a program: build one plain image, log in to a registry, push.

Its own output goes to stderr while it comes. Nothing secret is in its words or its environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from deployer.commands.parts.target import Unusable, plain
from deployer.model import BadDigest, require_digest

_STDERR = 2
_LOGIN_SECONDS = 120
_ASK_SECONDS = 60
_KEPT_LINES = 20
_LINE_CHARACTERS = 4096  # what is longer is taken for several
_NO_ATTESTATIONS = ("--provenance=false", "--sbom=false", "--load")


class Docker:
    """The docker on PATH. Raises `Unusable` if there is none, or if its daemon does not answer."""

    def __init__(self) -> None:
        found = shutil.which("docker")
        if found is None:
            raise Unusable(
                "there is no docker on PATH. Install Docker, or push from where it is and use "
                "`deployer wait --digest sha256:...`"
            )
        self._docker = found
        answered = self._ask("version", "--format", "{{.Server.Version}}")
        if answered.returncode != 0:
            raise Unusable(
                f"docker does not work ({_last_words(answered.stderr)}). Start it, and see that you may use "
                "it: `docker version` must show a server"
            )

    def build(
        self,
        folder: Path,
        reference: str,
        *,
        platform: str,
        build_args: Mapping[str, str],
        labels: Mapping[str, str],
    ) -> None:
        """Build the folder's Dockerfile as `reference`: one image for `platform`, without attestations,
        because Lambda refuses the index that they make of it."""
        # Docker's old builder knows no attestations, nor the flags that keep them out.
        old = self._ask("buildx", "version").returncode != 0
        words = ["build"] if old else ["buildx", "build", *_NO_ATTESTATIONS]
        words += ["--platform", platform, "--tag", reference]
        for option, named in (("--build-arg", build_args), ("--label", labels)):
            for name, value in named.items():
                words += [option, f"{name}={value}"]
        built = subprocess.run(  # noqa: S603  no shell, and every foreign word is part of an option's value
            [self._docker, *words, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=_STDERR,
            env={**os.environ, "DOCKER_BUILDKIT": "0"} if old else None,
            check=False,
        )
        if built.returncode != 0:
            raise Unusable(
                f"{folder} could not be built (docker's exit code {built.returncode}; its words are above). "
                "Nothing was pushed"
            )

    def login(self, registry: str, password: str) -> None:
        """Log in as ECR wants it: as user AWS. The password goes through a pipe, and into no message."""
        answered = self._ask(
            "login", "--username", "AWS", "--password-stdin", registry, given=password, seconds=_LOGIN_SECONDS
        )
        # amazon-ecr-credential-helper logs in by itself and refuses to keep what somebody else got
        # (https://github.com/awslabs/amazon-ecr-credential-helper/issues/102).
        if answered.returncode != 0 and "not implemented" not in answered.stderr:
            words = _last_words(answered.stderr.replace(password, "(the password)"))
            raise Unusable(f"docker could not log in to {registry}: {words}. Nothing was pushed")

    def push(self, reference: str) -> str:
        """Push it, and give back the digest that the registry knows it by."""
        lines: list[str] = []
        with subprocess.Popen(  # noqa: S603  no shell; the reference begins with the registry's name
            [self._docker, "push", reference],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as pushing:
            assert pushing.stdout is not None  # noqa: S101  because it is a pipe
            try:
                for line in iter(partial(pushing.stdout.readline, _LINE_CHARACTERS), ""):
                    os.write(_STDERR, line.encode(errors="replace"))
                    lines = [*lines[1 - _KEPT_LINES :], line]
            except BaseException:  # Ctrl-C above all: Popen would leave docker at work
                pushing.kill()
                raise
        said = "".join(lines)
        if pushing.returncode != 0:
            raise Unusable(f"{reference} was not pushed: {_last_words(said)}. {_what_next(said)}")
        return _digest_in(said, reference) or self._digest_of(reference)

    def _digest_of(self, reference: str) -> str:
        """By the image itself, where `docker push` does not say (podman's docker is one)."""
        repository = reference.rpartition(":")[0]
        answered = self._ask("image", "inspect", "--format", "{{json .RepoDigests}}", reference)
        with suppress(ValueError):  # also BadDigest
            known = json.loads(answered.stdout) or []
            [digest] = [each.partition("@")[2] for each in known if str(each).startswith(f"{repository}@")]
            return require_digest(digest)
        raise Unusable(
            f"{reference} was pushed, but docker does not say its digest. See it with "
            "`aws ecr describe-images`, then `deployer wait --digest sha256:...`"
        )

    def _ask(
        self, *words: str, given: str = "", seconds: float = _ASK_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603  no shell; the words are ours
                [self._docker, *words],
                input=given,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unusable(
                f"`docker {words[0]}` did not answer within {seconds:g} s. Is its daemon well?"
            ) from None
        except OSError as error:
            raise Unusable(f"{self._docker} cannot be run: {error.strerror}") from None


def _digest_in(said: str, reference: str) -> str | None:
    """The line ``<tag>: digest: sha256:... size: 1234``, which both of Docker's image stores write."""
    tag = re.escape(reference.rpartition(":")[2])
    found = re.findall(rf"^{tag}: digest: (\S+) size: \d+\s*$", said, flags=re.MULTILINE)
    try:
        return require_digest(found[-1]) if found else None
    except BadDigest:
        return None


def _what_next(said: str) -> str:
    """What to do about a push that was refused, by the registry's own words."""
    words = said.lower()
    if "immutable" in words:
        return "The repository moves no tag: push another one with --tag, or make its tags mutable"
    if any(
        each in words
        for each in ("no basic auth", "authorization token", "unauthorized", "denied", "forbidden")
    ):
        return "Docker is not logged in, or you may not push: this needs ecr:PutImage and the layer uploads"
    return "Try again when it is mended"


def _last_words(said: str) -> str:
    """The end of what docker said, as one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return plain(" ".join(lines[-2:])).rstrip(".") or "(it said nothing)"
