"""An engine with the base image, and a sandbox whose images run as containers; or why there is none."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.clients import client
from sandbox.ecr.data_plane import INSTALL, PROGRAM
from tests.container import base_image
from tests.container.base_image import ROOT, NoBaseImageError
from tests.container.engine import NoEngineError, engine

PULL = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }
    ],
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


class Cloud:
    """`sandbox up --runtime docker` in a process of its own, without a stack."""

    def __init__(self, process: subprocess.Popen[str], printed: str, said: Path, home: Path) -> None:
        self.process = process
        self.exports = dict(re.findall(r"export (\w+)=(\S+)", printed))
        (self.registry,) = re.findall(r"docker login .* (127\.0\.0\.1:\d+)", printed)
        self._said = said
        self._environment = {**os.environ, "DOCKER_CONFIG": str(home), **self.exports}

    def client(self, service: str) -> Any:
        return client(service, self.exports)

    @property
    def said(self) -> str:
        """What the sandbox has told whoever runs it."""
        return self._said.read_text()

    def docker(self, *words: str, sent: str = "") -> subprocess.CompletedProcess[str]:
        """Docker's client, with a configuration of its own."""
        return subprocess.run(
            ["docker", *words],
            input=sent,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def login(self, password: str) -> subprocess.CompletedProcess[str]:
        return self.docker("login", "--username", "AWS", "--password-stdin", self.registry, sent=password)

    def token(self) -> str:
        """As `aws ecr get-login-password` prints it."""
        return subprocess.run(
            [sys.executable, "-m", "awscli", "ecr", "get-login-password"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def repository(self, name: str) -> str:
        """A new repository, from which Lambda may pull; its name for Docker."""
        ecr = self.client("ecr")
        ecr.create_repository(repositoryName=name)
        ecr.set_repository_policy(repositoryName=name, policyText=json.dumps(PULL))
        return f"{self.registry}/{name}"

    def push(self, image: str, folder: Path) -> str:
        """Build a folder by its Dockerfile, and push it; its digest as Docker prints it."""
        built = self.docker("build", "--quiet", "--tag", image, str(folder))
        assert built.returncode == 0, built.stderr
        pushed = self.docker("push", image)
        assert pushed.returncode == 0, pushed.stderr
        (digest,) = re.findall(r"digest: (sha256:[0-9a-f]{64})", pushed.stdout)
        return str(digest)

    def function(self, name: str, repository: str, digest: str, **more: Any) -> None:
        """A function of an image, under a role that may do nothing but write its log."""
        iam = self.client("iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        self.client("lambda").create_function(
            FunctionName=name,
            PackageType="Image",
            Code={"ImageUri": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{repository}@{digest}"},
            Role=role,
            **{"Timeout": 10, **more},
        )

    def containers(self, *words: str) -> list[str]:
        """What `docker ps` lists of this sandbox's containers."""
        label = f"label=sandbox.owner={self.owner}"
        return self.docker("ps", "--all", "--no-trunc", "--filter", label, *words).stdout.split()

    @property
    def owner(self) -> str:
        started = (
            Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        )
        return f"{self.process.pid}:{started[19]}"


@contextmanager
def started(folder: Path) -> Iterator[Cloud]:
    """A sandbox of its own; afterwards it has been told to end, if it has not ended."""
    folder.mkdir()
    said = folder / "said"
    with said.open("w") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "sandbox", "up", "--empty", "--port", "0", "--update-seconds", "0"),
                *("--runtime", "docker", "--registry-port", "0"),
            ],
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            cwd=ROOT,
        )
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if "Ctrl-C ends it" in line:
            break
    try:
        assert "Ctrl-C ends it" in printed, said.read_text()
        cloud = Cloud(process, printed, said, folder)
        yield cloud
        process.send_signal(signal.SIGTERM)
        process.wait()
        built = cloud.docker("images", "--quiet", "--filter", f"reference={cloud.registry}/*").stdout.split()
        cloud.docker("image", "rm", "--force", *set(built))
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def base() -> Iterator[str]:
    """The base image's name; an engine has it."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"no containers: there is no {PROGRAM}. {INSTALL}")
    try:
        with engine():
            base_image.ensure()
            yield base_image.name()
    except (NoEngineError, NoBaseImageError) as reason:
        pytest.skip(f"no containers: {reason}")


@pytest.fixture(scope="session")
def cloud(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One that the tests of one process share, logged in to: name your own resources."""
    with started(tmp_path_factory.mktemp("cloud") / "sandbox") as running:
        assert running.login(running.token()).returncode == 0
        yield running
