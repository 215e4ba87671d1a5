"""`deployer doctor` under a viewer's role, with a stack that is well and with one that is not."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployer.commands.parts.diagnosis import wanted
from deployer.commands.parts.diagnosis.names import RULES, Names
from tests import starter
from tests.cli.conftest import clean_environment, command
from tests.whole.team import Mailbox, Team

if TYPE_CHECKING:
    from sandbox.server import Sandbox

SWEEP = (Path(__file__).parents[1] / "events" / "eventbridge" / "sweep.json").read_text()
Broken = Callable[[Team], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def well(sandbox: Sandbox) -> Team:
    """A stack that is well: two releases, of which one is the way back, somebody who is told, and a sweep."""
    team = Team(sandbox, "doctor")
    Mailbox(team)
    team.settled(team.upload(team.build("before")))
    team.settled(team.upload(team.build("well")))
    team.lambda_.invoke(FunctionName=team.outputs["DeployerName"], Payload=SWEEP)
    return team


@pytest.fixture(scope="module")
def viewer(well: Team) -> str:
    """The role of somebody who may look, and nothing else."""
    iam, name = well.sandbox.client("iam"), f"{well.name}-viewer"
    arn = str(iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"])
    iam.attach_role_policy(RoleName=name, PolicyArn=well.outputs["ViewerPolicyArn"])
    return arn


@pytest.fixture
def environment(well: Team, viewer: str, tmp_path: Path) -> dict[str, str]:
    account = well.sandbox.environment_as(viewer)
    return {**clean_environment(tmp_path), **account, "DEPLOYER_STACK": well.name}


def doctor(environment: dict[str, str]) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the findings that are not ok by their names."""
    done = command(environment, "doctor", "--json")
    assert done.stderr == ""
    findings = json.loads(done.stdout)["findings"]
    return done.returncode, {each["name"]: each for each in findings if each["verdict"] != "ok"}


def paste(team: Team, line: str) -> None:
    """A line of the AWS CLI, as the administrator pastes it."""
    program, *words = shlex.split(line)
    assert program == "aws"
    done = subprocess.run(
        starter.program("awscli", *words), env=team.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_stack_that_is_well_is_said_to_be_in_every_point(environment: dict[str, str]) -> None:
    done = command(environment, "doctor")

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    *lines, last = done.stdout.splitlines()
    assert all(line.startswith("ok ") for line in lines), done.stdout
    assert last == f"{len(lines)} ok"
    assert len(lines) == 25


# -- broken things, each with the commands that mend it


@contextmanager
def push_rule_disabled(team: Team) -> Iterator[None]:
    team.sandbox.client("events").disable_rule(Name=team.outputs["PushRuleName"])
    yield


@contextmanager
def push_rule_for_another_tag(team: Team) -> Iterator[None]:
    pattern = json.dumps({"source": ["aws.ecr"], "detail": {"image-tag": ["stable"]}})
    team.sandbox.client("events").put_rule(Name=team.outputs["PushRuleName"], EventPattern=pattern)
    yield


@contextmanager
def sweep_rule_without_target(team: Team) -> Iterator[None]:
    team.sandbox.client("events").remove_targets(Rule=team.outputs["SweepRuleName"], Ids=["deployer"])
    yield


@contextmanager
def alarm_rule_shut_out(team: Team) -> Iterator[None]:
    team.lambda_.remove_permission(
        FunctionName=team.outputs["DeployerName"], StatementId=team.physical("AlarmMayStartTheDeployer")
    )
    yield


@contextmanager
def repository_closed(team: Team) -> Iterator[None]:
    team.ecr.delete_repository_policy(repositoryName=team.repository)
    yield


@contextmanager
def tags_immutable(team: Team) -> Iterator[None]:
    team.ecr.put_image_tag_mutability(repositoryName=team.repository, imageTagMutability="IMMUTABLE")
    yield


@contextmanager
def lifecycle_of_one(team: Team) -> Iterator[None]:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 50}
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    team.ecr.put_lifecycle_policy(
        repositoryName=team.repository, lifecyclePolicyText=json.dumps({"rules": [rule]})
    )
    yield


@contextmanager
def api_shut_out(team: Team) -> Iterator[None]:
    team.lambda_.remove_permission(
        FunctionName=team.function, Qualifier="live", StatementId=team.physical("ApiMayInvokeLive")
    )
    yield


MENDED_BY_PASTING: list[tuple[Broken, str]] = [
    (push_rule_disabled, "push rule"),
    (push_rule_for_another_tag, "push rule"),
    (sweep_rule_without_target, "sweep rule"),
    (alarm_rule_shut_out, "alarm rule"),
    (repository_closed, "repository policy"),
    (tags_immutable, "tags may move"),
    (lifecycle_of_one, "lifecycle policy"),
    (api_shut_out, "API"),
]


@pytest.mark.parametrize(
    ("broken", "name"), MENDED_BY_PASTING, ids=[b.__name__ for b, _ in MENDED_BY_PASTING]
)
def test_what_is_broken_is_found_alone_and_mended_by_what_doctor_says(
    well: Team, environment: dict[str, str], broken: Broken, name: str
) -> None:
    with broken(well):
        code, wrong = doctor(environment)
    assert (code, {each: found["verdict"] for each, found in wrong.items()}) == (1, {name: "FAIL"})

    for line in wrong[name]["commands"]:
        paste(well, line)

    assert doctor(environment) == (0, {})


def test_what_doctor_would_put_back_is_what_the_stack_began_with(sandbox: Sandbox) -> None:
    team = Team(sandbox, "doctor-fresh")
    names = Names(team.name, team.outputs)
    events = sandbox.client("events")

    policy = json.loads(team.ecr.get_repository_policy(repositoryName=team.repository)["policyText"])
    assert json.loads(wanted.repository_policy(names)) == policy
    for which in ("push rule", "alarm rule"):
        rule = events.describe_rule(Name=team.outputs[RULES[which]])
        assert wanted.pattern(which, names) == json.loads(rule["EventPattern"])
        [target] = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        line = shlex.split(wanted.put_target(which, names))
        assert json.loads(line[line.index("--targets") + 1]) == [target]
