"""The promise of the README: `sam build && sam deploy --guided`, once, in an account that has nothing.

With AWS SAM's own CLI, and the package that `make validate` has it build.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployer.model import Phase
from sandbox.cli import TEMPLATE
from sandbox.cloudformation import stack
from tests.whole.team import Team

if TYPE_CHECKING:
    from sandbox.server import Sandbox

ROOT = Path(__file__).parents[2]
SAM = ROOT / ".tools" / "sam" / "bin" / "python"
BUILT = ROOT / ".build" / "package"
NAME = "guided"
GIVEN = {"ServiceName": NAME, "RepositoryName": f"{NAME}-images", "GeminiApiKey": "no-real-key"}
DEPLOY_THIS_CHANGESET = "y\n"


def package_is_of_this_checkout() -> bool:
    asked = ["make", "--question", "--no-print-directory", f"{BUILT.relative_to(ROOT)}/.checked"]
    return SAM.exists() and subprocess.run(asked, cwd=ROOT, capture_output=True, check=False).returncode == 0


class Project:
    """A checkout after `sam build`, and somebody who has nothing but SAM and an account's credentials."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self._folder = sandbox, folder
        self.template = stack.read(TEMPLATE)
        shutil.copy(ROOT / "samconfig.toml", folder)
        shutil.copytree(BUILT, folder / ".aws-sam" / "build")
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            **sandbox.environment,
            "HOME": str(folder),
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.1",  # seconds; what it waits for is done already
            "NO_PROXY": "127.0.0.1",
        }

    def sam(self, *words: str, answers: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SAM), "-m", "samcli", *words],
            cwd=self._folder,
            env=self._environment,
            input=answers,
            # Of its own: SAM would ask a terminal that it finds for what it does not echo.
            start_new_session=True,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def answers(self) -> str:
        """To every question of the guide, in its order: what is given, else what the template suggests."""
        parameters: Mapping[str, Mapping[str, Any]] = self.template["Parameters"]
        told = [
            # What is not echoed cannot be left empty.
            GIVEN.get(name) or (str(declared["Default"]) if declared.get("NoEcho") else "")
            for name, declared in parameters.items()
        ]
        confirm_changes, create_roles, disable_rollback = "y", "y", "n"
        save, its_file, its_environment = "y", "", ""
        told += [confirm_changes, create_roles, disable_rollback, save, its_file, its_environment]
        return "\n".join([NAME, "us-east-1", *told, DEPLOY_THIS_CHANGESET])

    def outputs(self) -> dict[str, str]:
        [found] = self.sandbox.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}

    def stacks(self) -> list[str]:
        found = self.sandbox.client("cloudformation").describe_stacks()["Stacks"]
        return [each["StackName"] for each in found]

    def settings(self) -> dict[str, str]:
        function = self.sandbox.client("lambda").get_function_configuration(FunctionName=NAME)
        return dict(function["Environment"]["Variables"])


@pytest.fixture
def project(sandbox: Sandbox, tmp_path: Path) -> Project:
    if not package_is_of_this_checkout():
        pytest.skip("AWS SAM, or the package it built of this checkout, is not there: run `make validate`")
    return Project(sandbox, tmp_path)


def test_an_account_that_has_nothing_gets_a_stack_whose_releases_go_live(project: Project) -> None:
    # given: somebody answers the guide's questions
    deployed = project.sam("deploy", "--guided", answers=project.answers())
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    # and later deploys again: nothing has changed, and then one parameter
    unchanged = project.sam("deploy")
    changed = project.sam(
        "deploy", "--parameter-overrides", "Environment=staging", answers=DEPLOY_THIS_CHANGESET
    )
    settings = project.settings()

    # when: a release is pushed
    team = Team(project.sandbox, NAME, project.outputs())
    deployment = team.release(team.build("by sam"))
    where = team.where()
    # and at last everything is deleted
    deleted = project.sam("delete", "--stack-name", NAME, "--no-prompts")

    # then
    assert f"Successfully created/updated stack - {NAME} in us-east-1" in deployed.stdout
    assert f"No changes to deploy. Stack {NAME} is up to date" in unchanged.stdout + unchanged.stderr
    assert changed.returncode == 0, changed.stdout + changed.stderr
    assert settings["ENVIRONMENT"] == "staging"
    assert settings["GEMINI_API_KEY"] == GIVEN["GeminiApiKey"]  # kept, for it is not saved
    assert deployment.phase is Phase.SUCCEEDED
    assert where == (deployment.image.digest, deployment.image.digest)
    assert deleted.returncode == 0, deleted.stdout + deleted.stderr
    assert NAME not in project.stacks()
