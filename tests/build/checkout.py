"""A checkout of the code, to be built as CodeBuild and GitHub build it, and what a build finds on PATH."""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import starter
from tests.build import runner

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github/workflows/release.yml"
SOURCE = "https://example.com/team/service.git"

HERE = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m")
"""Runs a module of this repository, wherever it is started from."""


class Checkout:
    """scripts/release, buildspec.yml and the service, with stand-ins for Docker and `make setup`.

    `python`: what the workspace's `.venv/bin/python` runs. By default a stand-in for the service's tests and
    for the deployer's last word (`tests/build/steps.py`).
    """

    def __init__(self, folder: Path, python: Sequence[str] | None = None) -> None:
        self.folder = folder
        self.state = folder / "docker"
        self.state.mkdir()
        self.noted = folder / "calls"
        self.workspace = folder / "a workspace"
        for each in ("scripts", "service"):
            ignored = shutil.ignore_patterns("__pycache__", ".chalice")
            shutil.copytree(ROOT / each, self.workspace / each, ignore=ignored)
        shutil.copy(ROOT / "buildspec.yml", self.workspace)
        programs = {
            "docker": [*HERE, "tests.build.docker", str(self.state)],
            "aws": starter.program("awscli"),
            "make": ["true"],
        }
        for name, arguments in programs.items():
            runner.install(folder / "bin", name, arguments, self.noted)
        steps = [*HERE, "tests.build.steps", str(self.state)]
        runner.install(self.workspace / ".venv/bin", "python", list(python or steps), self.noted)

    def build(self, revision: str, environment: Mapping[str, str]) -> runner.Build:
        """What CodeBuild does with a commit, given the project's variables and the role's credentials."""
        commit = {"CODEBUILD_RESOLVED_SOURCE_VERSION": revision, "CODEBUILD_SOURCE_REPO_URL": SOURCE}
        return runner.codebuild(self.workspace, self._fresh(), {**environment, **self._programs, **commit})

    def workflow(self, environment: Mapping[str, str], contexts: Mapping[str, str]) -> runner.Build:
        """What GitHub does with a commit."""
        return runner.workflow(
            WORKFLOW, self.workspace, self._fresh(), {**environment, **self._programs}, contexts
        )

    def fail(self, **failures: str) -> None:
        """From now on; nothing fails without arguments."""
        (self.state / "failures.json").write_text(json.dumps(failures))

    def calls(self, *beginnings: str) -> list[str]:
        """The calls of programs that begin so, in order."""
        noted = self.noted.read_text().splitlines() if self.noted.exists() else []
        return [call for call in noted if call.startswith(beginnings)]

    def edit(self, file: str, old: str, new: str) -> None:
        """A change of the service's code."""
        path = self.workspace / "service" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    @property
    def _programs(self) -> dict[str, str]:
        return {"PATH": runner.path(self.folder / "bin"), "HOME": str(self.folder)}

    def _fresh(self) -> Path:
        state = self.folder / uuid.uuid4().hex
        state.mkdir()
        return state


def commit(number: int) -> str:
    return f"{number}" * 40
