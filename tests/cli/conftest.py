"""The command as people start it: a process of its own, in a sandbox, with a stand-in for Docker."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployer.aws.ledger import DynamoLedger
from deployer.model import Book, Deployment, Image, Limits, Moment, Phase, Source, deployment_id
from deployer.ports import Lease
from deployer.rollout import conclude
from tests import starter
from tests.cli import stand_in_docker
from tests.cli.stand_in_docker import Behaviour

if TYPE_CHECKING:
    from sandbox.server import Sandbox

ROOT = Path(__file__).parents[2]
# What would lead a command of the test to somebody's real account or Docker.
_LEFT_OUT = ("AWS_", "DEPLOYER_", "DOCKER_", "BUILDX_", "CHECKS")
_SECONDS = 120

Run = Callable[..., subprocess.CompletedProcess[str]]


def command(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """`deployer <words>`, to its end."""
    return subprocess.run(
        starter.program("deployer", *words),
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def clean_environment(home: Path) -> dict[str, str]:
    """A person's environment that leads to no account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    return {**kept, "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(ROOT)}


@pytest.fixture
def environment(sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    """What `deployer` is started with: the sandbox is its AWS. A test may change it."""
    return {**clean_environment(tmp_path), **sandbox.environment}


@pytest.fixture
def deployer(environment: dict[str, str]) -> Run:
    """`deployer("wait", ...)` runs the command to its end."""
    return lambda *words: command(environment, *words)


@dataclass
class Books:
    """A stack whose deployer is the test: what happens in its ledger is what the test says."""

    stack: str
    repository: str
    ledger: DynamoLedger
    outputs: dict[str, str]

    def ask(self, digest: str, at: datetime | None = None) -> Deployment:
        """Somebody pushed `digest`, now or then."""
        at = at or datetime.now(UTC)
        image = Image(self.repository, digest)
        request = Deployment(deployment_id(at, f"{digest} {at}"), image, Source.PUSH, at)
        self.ledger.request(request)
        return request

    def update(self, deployment: Deployment) -> Deployment:
        """It passed its preflight."""
        moved = _moved(deployment, Phase.UPDATING, "preflight passed")
        with self._lease() as lease:
            self.ledger.record(lease, moved)
        return moved

    def end(self, deployment: Deployment, phase: Phase, because: str) -> Deployment:
        """It ended like this."""
        ended = _moved(deployment, phase, because)
        with self._lease() as lease:
            self.ledger.end(lease, conclude(ended, Book(), Limits(), datetime.now(UTC)))
        return ended

    @contextmanager
    def _lease(self) -> Iterator[Lease]:
        now = datetime.now(UTC)
        lease = self.ledger.acquire("the test", now, now + timedelta(minutes=1))
        assert lease
        yield lease
        self.ledger.release(lease)


def _moved(deployment: Deployment, phase: Phase, because: str) -> Deployment:
    moment = Moment(datetime.now(UTC), phase, because)
    return replace(deployment, phase=phase, timeline=(*deployment.timeline, moment))


def _template(name: str, mutability: str, **more: str) -> dict[str, Any]:
    """A stack with the outputs of template.yaml that the command reads, and no deployer."""
    keys = {"pk": "HASH", "sk": "RANGE"}
    outputs = {
        "RepositoryUri": {"Fn::GetAtt": ["Repository", "RepositoryUri"]},
        "ReleaseTag": "latest",
        "Platform": "linux/arm64",
        "ServiceFunctionName": f"{name}-prod",
        "DeployerName": f"{name}-prod-deployer",
        "DashboardFunctionName": f"{name}-prod-dashboard",  # which is not there
        "LedgerName": {"Ref": "Ledger"},
        "RuleDeadLettersUrl": {"Ref": "RuleDeadLetters"},
        "DeployerDeadLettersUrl": {"Ref": "DeployerDeadLetters"},
        **more,
    }
    table = {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in keys],
        "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
    }
    repository = {"RepositoryName": f"{name}-images", "ImageTagMutability": mutability}
    return {
        "Resources": {
            "Ledger": {"Type": "AWS::DynamoDB::Table", "Properties": table},
            "Repository": {"Type": "AWS::ECR::Repository", "Properties": repository},
            "RuleDeadLetters": {"Type": "AWS::SQS::Queue"},
            "DeployerDeadLetters": {"Type": "AWS::SQS::Queue"},
        },
        "Outputs": {output: {"Value": value} for output, value in outputs.items()},
    }


_numbers = count()


@pytest.fixture
def make_books(sandbox: Sandbox, environment: dict[str, str]) -> Callable[..., Books]:
    """`make_books()` makes a stack, and `deployer` works on it."""
    cloudformation = sandbox.client("cloudformation")

    def make(mutability: str = "MUTABLE", **outputs: str) -> Books:
        name = f"books-{next(_numbers)}"
        body = json.dumps(_template(name, mutability, **outputs))
        cloudformation.create_stack(StackName=name, TemplateBody=body)
        [found] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}
        environment["DEPLOYER_STACK"] = name
        dynamodb = sandbox.client("dynamodb")
        ledger = DynamoLedger(dynamodb, outputs["LedgerName"], outputs["ServiceFunctionName"])
        return Books(name, outputs["RepositoryUri"].partition("/")[2], ledger, outputs)

    return make


@pytest.fixture
def books(make_books: Callable[..., Books]) -> Books:
    """A stack of this test's own, which `deployer` works on."""
    return make_books()


@dataclass
class StandIn:
    """The `docker` that the command finds."""

    folder: Path

    def behave(self, how: Behaviour) -> None:
        """From now on."""
        (self.folder / how).touch()

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Every call so far: its words, what came on stdin, and DOCKER_BUILDKIT."""
        kept = self.folder / "calls.jsonl"
        return [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []

    def called(self, *words: str) -> dict[str, Any]:
        """The one call that begins with these words."""
        [found] = [call for call in self.calls if tuple(call["words"][: len(words)]) == words]
        return found


@pytest.fixture
def docker(tmp_path: Path, environment: dict[str, str]) -> StandIn:
    """First on PATH."""
    programs, folder = tmp_path / "bin", tmp_path / "docker"
    programs.mkdir()
    folder.mkdir()
    program = programs / "docker"
    start = shlex.join([sys.executable, stand_in_docker.__file__])
    program.write_text(f'#!/bin/sh\nexec {start} "$@"\n')
    program.chmod(0o755)
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    environment[stand_in_docker.FOLDER] = str(folder)
    return StandIn(folder)
