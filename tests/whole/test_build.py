"""buildspec.yml in the whole stack: what a build does to users, under the rights of CodeBuild's role alone.

Real are scripts/release, the service's image, its container and its checks, a part of the service's tests,
the AWS CLI, the `deployer` command and the whole stack. Stand-ins are Docker and `make setup`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployer.model import Phase
from sandbox.cli import TEMPLATE
from sandbox.clients import client
from sandbox.cloudformation import stack
from tests.build import docker, runner
from tests.build.checkout import ROOT, Checkout, commit
from tests.whole.team import Team

Call = Callable[[Team, Callable[[str], Any]], object]


class Project:
    """CodeBuild's project of the stack, with one checkout."""

    def __init__(self, team: Team, folder: Path) -> None:
        self.team = team
        role = team.sandbox.client("iam").get_role(RoleName=team.physical("BuildRole"))
        self.credentials = team.sandbox.environment_as(role["Role"]["Arn"])
        self.checkout = Checkout(folder, python=[sys.executable])
        workspace = self.checkout.workspace
        (workspace / "deployer").symlink_to(ROOT / "deployer")
        (workspace / "tests/service").mkdir(parents=True)
        for name in ("conftest.py", "test_cors.py"):  # all of them would tell no more of the build
            shutil.copy(ROOT / "tests/service" / name, workspace / "tests/service")
        (workspace / "tests/events").symlink_to(ROOT / "tests/events")

    def build(self, number: int) -> runner.Build:
        return self.checkout.build(commit(number), {**self.credentials, **self._variables()})

    def client(self, service: str) -> Any:
        return client(service, self.credentials)

    def _variables(self) -> dict[str, str]:
        """The variables that the template gives the project."""
        project = stack.read(TEMPLATE)["Resources"]["BuildProject"]["Properties"]
        outputs = self.team.outputs
        known = {
            "Repository.RepositoryUri": outputs["RepositoryUri"],
            "ReleaseTag": outputs["ReleaseTag"],
            "IsArm": outputs["Platform"],
            "Checks": outputs["Checks"],
            "AWS::StackName": self.team.name,
        }

        def value(given: dict[str, Any]) -> str:
            match given:
                case {"Ref": str(name)} | {"Fn::If": [str(name), *_]}:
                    return known[name]
                case {"Fn::GetAtt": [*path]}:
                    return known[".".join(path)]
            raise AssertionError(f"{given}: what does it mean?")

        variables = project["Environment"]["EnvironmentVariables"]
        return {each["Name"]: value(each["Value"]) for each in variables}


@pytest.fixture(scope="module")
def project(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(team, tmp_path_factory.mktemp("project"))


def test_a_healthy_commit_goes_live_and_building_it_again_changes_nothing(
    team: Team, project: Project
) -> None:
    build = project.build(1)
    live, where, pushes = team.live(), team.where(), project.checkout.calls("docker push")
    again = project.build(1)

    assert build.succeeded, build.log
    assert where[0] == team.tags()[f"git-{commit(1)}"]
    assert f"{team.function}: release {commit(1)[:12]} is live" in build.log
    assert "is live" in build.log
    assert [report.name for report in build.reports["service"]] == ["service.xml"]
    assert again.succeeded, again.log
    assert (team.live(), team.where(), project.checkout.calls("docker push")) == (live, where, pushes)
    assert docker.running(project.checkout.state) == []


def test_a_commit_whose_release_is_reverted_turns_its_build_red_with_the_reason(
    team: Team, project: Project
) -> None:
    team.release(team.build("before a build that turns red"))
    where = team.where()
    # Well on a laptop and in a build, where the environment is `development`; unwell in production.
    fine, broken = 'required.append("GEMINI_API_KEY")', 'required.append("NEVER_SET")'
    project.checkout.edit("chalicelib/health.py", fine, broken)

    build = project.build(2)
    project.checkout.edit("chalicelib/health.py", broken, fine)

    digest = team.tags()[f"git-{commit(2)}"]
    assert not build.succeeded
    assert "GET /health: expected 200" in build.log
    assert "was reverted: GET /health answered 503" in build.log
    assert "NEVER_SET" in build.log
    assert team.ended(digest).phase is Phase.REVERTED
    assert team.where() == where


OUTSIDE: dict[str, Call] = {
    "the function's code": lambda team, aws: aws("lambda").update_function_code(
        FunctionName=team.function, ImageUri=f"{team.outputs['RepositoryUri']}:latest"
    ),
    "what users get": lambda team, aws: aws("lambda").update_alias(
        FunctionName=team.function, Name="live", FunctionVersion="1"
    ),
    "a command to the deployer": lambda team, aws: aws("lambda").invoke(
        FunctionName=team.outputs["DeployerName"], Payload=b'{"command": "resume", "by": "a build"}'
    ),
    "an image's deletion": lambda team, aws: aws("ecr").batch_delete_image(
        repositoryName=team.repository, imageIds=[{"imageTag": "latest"}]
    ),
    "the ledger": lambda team, aws: aws("dynamodb").put_item(
        TableName=team.outputs["LedgerName"], Item={"pk": {"S": "a"}, "sk": {"S": "b"}}
    ),
    "the stack": lambda team, aws: aws("cloudformation").delete_stack(StackName=team.name),
}
"""What no build may touch."""


@pytest.mark.parametrize("what", OUTSIDE)
def test_a_build_may_do_no_more_than_push_and_look(team: Team, project: Project, what: str) -> None:
    with pytest.raises(ClientError) as refusal:
        OUTSIDE[what](team, project.client)

    assert refusal.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")
