"""What the real deployer could not handle is kept with its reason, and gets a second chance."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from deployer.model import Phase, Source
from sandbox.waiting import until
from tests.cli.conftest import clean_environment, command
from tests.whole.team import Team

Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def on_call(team: Team) -> str:
    """The role of somebody who has the stack's policies for people on call, and nothing else."""
    iam, name = team.sandbox.client("iam"), f"{team.name}-on-call"
    arn = str(iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"])
    for policy in ("ViewerPolicyArn", "OperatorPolicyArn"):
        iam.attach_role_policy(RoleName=name, PolicyArn=team.outputs[policy])
    return arn


@pytest.fixture
def deployer(team: Team, on_call: str, tmp_path: Path) -> Run:
    environment = {
        **clean_environment(tmp_path),
        **team.sandbox.environment_as(on_call),
        "DEPLOYER_STACK": team.name,
    }
    return lambda *words: command(environment, *words)


@pytest.fixture
def no_sweeps(team: Team) -> Iterator[None]:
    """So that what comes of a replayed push comes of nothing else."""
    events, name = team.sandbox.client("events"), team.physical("SweepSchedule")
    events.disable_rule(Name=name)
    yield
    events.enable_rule(Name=name)


def letter_about(deployer: Run, words: str) -> dict[str, Any]:
    """The one letter whose body has these words, once it is there."""

    def look() -> list[dict[str, Any]]:
        done = deployer("dead-letters", "--json")
        assert done.returncode == 0, done.stderr
        return [each for each in json.loads(done.stdout)["letters"] if words in each["body"]]

    [found] = until(look, f"a dead letter about {words}")
    return found


@contextmanager
def without_the_ledger(team: Team) -> Iterator[None]:
    """The deployer's role lacks the right to its own table."""
    iam, role = team.sandbox.client("iam"), team.physical("DeployerRole")
    [name] = iam.list_role_policies(RoleName=role)["PolicyNames"]
    whole = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    left = [statement for statement in whole["Statement"] if statement["Sid"] != "KeepTheLedger"]
    less = json.dumps({**whole, "Statement": left})
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=less)
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(whole))


@contextmanager
def closed_to_pushes(team: Team) -> Iterator[None]:
    """EventBridge may not start the deployer for a push."""
    lambda_, name = team.lambda_, team.outputs["DeployerName"]
    rule = team.sandbox.client("events").describe_rule(Name=team.physical("PushRule"))["Arn"]
    statement = team.physical("PushMayStartTheDeployer")
    lambda_.remove_permission(FunctionName=name, StatementId=statement)
    try:
        yield
    finally:
        lambda_.add_permission(
            FunctionName=name,
            StatementId=statement,
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=rule,
        )


def test_an_unreadable_push_is_kept_with_its_reason_and_no_replay_makes_it_readable(
    team: Team, deployer: Run
) -> None:
    event = {
        "id": "an-unreadable-push",
        "source": "aws.ecr",
        "detail-type": "ECR Image Action",
        "account": "123456789012",
        "time": "2026-03-01T03:00:00Z",
        "detail": {
            "action-type": "PUSH",
            "result": "SUCCESS",
            "repository-name": team.repository,
            "image-tag": "latest",
        },
    }
    name = team.outputs["DeployerName"]
    team.lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))

    letter = letter_about(deployer, "an-unreadable-push")
    replayed = deployer("dead-letters", "--replay", letter["id"], "--yes")
    dropped = deployer("dead-letters", "--drop", letter["id"], "--yes")

    assert letter["queue"] == "DeployerDeadLetters"
    assert letter["why"] == (
        "Unreadable: the digest is missing or not a text: None (RetriesExhausted, after 3 tries)"
    )
    assert replayed.returncode == 1
    assert "the deployer cannot read it: the digest is missing or not a text: None" in replayed.stderr
    assert dropped.returncode == 0
    assert "an-unreadable-push" not in deployer("dead-letters", "--json").stdout


@pytest.mark.parametrize(
    ("broken", "queue", "why"),
    [
        (without_the_ledger, "DeployerDeadLetters", "Refused: Query: AccessDenied"),
        (closed_to_pushes, "RuleDeadLetters", "NO_PERMISSIONS: "),
    ],
)
@pytest.mark.usefixtures("no_sweeps")
def test_a_push_that_was_given_up_is_replayed_after_mending_and_ends_live(
    team: Team,
    deployer: Run,
    broken: Callable[[Team], Any],
    queue: str,
    why: str,
) -> None:
    built = team.build(f"given up {broken.__name__}")
    with broken(team):
        digest = team.upload(built)
        letter = letter_about(deployer, digest)
    assert (letter["queue"], letter["replayable"]) == (queue, True)
    assert letter["why"].startswith(why)
    assert team.all_ended(digest) == []

    replayed = deployer("dead-letters", "--replay", letter["id"][:8], "--yes")
    [follow] = [line for line in replayed.stdout.splitlines() if "follow it: " in line]
    waited = deployer(*follow.partition("follow it: deployer ")[2].split())

    assert replayed.returncode == 0, replayed.stderr
    assert waited.returncode == 0, waited.stderr
    deployment = team.settled(digest)
    assert (deployment.phase, deployment.source) == (Phase.SUCCEEDED, Source.PUSH)
    assert team.where() == (digest, digest)
    assert digest not in deployer("dead-letters", "--json").stdout


@pytest.mark.usefixtures("no_sweeps")
def test_a_push_that_is_replayed_although_it_was_deployed_does_nothing_twice(
    team: Team, deployer: Run
) -> None:
    with closed_to_pushes(team):
        digest = team.upload(team.build("replayed twice"))
        letter = letter_about(deployer, digest)
    team.lambda_.invoke(
        FunctionName=team.outputs["DeployerName"], InvocationType="Event", Payload=letter["body"]
    )
    deployment = team.settled(digest)

    replayed = deployer("dead-letters", "--replay", letter["id"], "--yes")

    assert replayed.returncode == 0, replayed.stderr
    until(lambda: noted_before(team, deployment.id), "the deployer to have the event again")
    assert len(team.succeeded(digest)) == 1


def noted_before(team: Team, deployment_id: str) -> bool:
    group = f"/aws/lambda/{team.outputs['DeployerName']}"
    lines = team.sandbox.client("logs").filter_log_events(logGroupName=group)["events"]
    told = [line["message"] for line in lines if "this push was noted before" in line["message"]]
    return any(deployment_id in line for line in told)
