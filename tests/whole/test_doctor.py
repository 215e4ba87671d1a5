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
from deployer.model import Phase
from sandbox.building import images
from sandbox.cli import PARAMETERS
from tests import starter
from tests.cli.conftest import clean_environment, command
from tests.whole.team import SERVICE, Mailbox, Team, unwell

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


def test_a_stack_that_is_well_is_said_to_be_in_every_point_with_some_thirty_requests(
    well: Team, viewer: str, environment: dict[str, str]
) -> None:
    done = command(environment | well.sandbox.environment_as(viewer, "counted"), "doctor")

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    *lines, last = done.stdout.splitlines()
    assert all(line.startswith("ok ") for line in lines), done.stdout
    assert last == f"{len(lines)} ok"
    assert len(lines) == 25
    asked = {
        action: many for (session, action), many in well.sandbox.iam.trail.items() if session == "counted"
    }
    assert asked.pop("cloudwatch:DescribeAlarms") == 10  # one request, which is checked for each alarm
    assert sum(asked.values()) == 26, asked


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


def test_live_that_is_gone_is_made_again_on_the_version_that_was_live(
    well: Team, environment: dict[str, str]
) -> None:
    before = well.live()
    # A sweep in this moment would fail, and be told of for a quarter of an hour.
    well.sandbox.client("events").disable_rule(Name=well.outputs["SweepRuleName"])
    well.lambda_.delete_alias(FunctionName=well.function, Name="live")

    code, wrong = doctor(environment)
    for line in wrong["live"]["commands"] + wrong["sweep rule"]["commands"]:
        paste(well, line)

    assert code == 1
    verdicts = {each: found["verdict"] for each, found in wrong.items()}
    assert verdicts == {"sweep rule": "FAIL", "live": "FAIL", "API": "FAIL", "live is kept": "unknown"}
    assert well.live() == before
    assert doctor(environment) == (0, {})
    assert well.ask("/health").status == 200


def test_dead_letters_are_counted_and_not_read(well: Team, environment: dict[str, str]) -> None:
    sqs, url = well.sandbox.client("sqs"), well.outputs["RuleDeadLettersUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="?")

    code, wrong = doctor(environment)

    [letter] = sqs.receive_message(QueueUrl=url)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"])
    assert (code, list(wrong)) == (1, ["dead letters"])
    assert "1 in RuleDeadLetters" in wrong["dead letters"]["seen"]
    assert wrong["dead letters"]["commands"] == ["deployer --stack doctor dead-letters"]


def test_a_hold_is_found_with_who_and_why_and_no_escape_of_theirs_reaches_the_terminal(
    well: Team, environment: dict[str, str]
) -> None:
    well.command({"command": "hold", "by": "alice", "because": "incident \x1b[2J 42"})

    done = command(environment, "doctor")
    code, wrong = doctor(environment)

    well.command({"command": "resume", "by": "alice"})
    assert (code, list(wrong)) == (1, ["hold"])
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert "alice holds deployments since " in line
    assert "incident \ufffd[2J 42" in line


def test_an_image_for_another_architecture_is_found_under_the_release_tag(
    well: Team, environment: dict[str, str]
) -> None:
    before = well.tags()["latest"]
    digest = well.upload(images.build(SERVICE, build_args={"REVISION": "arm"}, architecture="arm64"))
    rejected = well.settled(digest)

    code, wrong = doctor(environment)

    assert rejected.phase is Phase.REJECTED
    assert (code, list(wrong)) == (1, ["release tag"])
    assert "built for arm64, the function runs on x86_64" in wrong["release tag"]["seen"]
    manifest = well.ecr.batch_get_image(repositoryName=well.repository, imageIds=[{"imageDigest": before}])
    text = manifest["images"][0]["imageManifest"]
    well.ecr.put_image(repositoryName=well.repository, imageManifest=text, imageTag="latest")
    well.settled(before)
    assert doctor(environment) == (0, {})


def test_an_image_that_was_seen_to_fail_is_found_with_the_way_to_try_it_again(
    well: Team, environment: dict[str, str]
) -> None:
    reverted = well.settled(well.upload(well.build("unwell", unwell())))

    code, wrong = doctor(environment)

    assert reverted.phase is Phase.REVERTED
    assert (code, list(wrong)) == (1, ["quarantine"])
    assert "GET /health" in wrong["quarantine"]["seen"]
    assert wrong["quarantine"]["commands"] == [f"deployer --stack doctor retry {reverted.image.digest}"]
    assert well.settled(well.upload(well.build("well again"))).phase is Phase.SUCCEEDED


def test_whoever_may_do_less_is_told_what_could_not_be_looked_at(
    well: Team, environment: dict[str, str]
) -> None:
    iam, name = well.sandbox.client("iam"), f"{well.name}-pusher"
    arn = str(iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"])
    iam.attach_role_policy(RoleName=name, PolicyArn=well.outputs["PusherPolicyArn"])

    code, wrong = doctor(environment | well.sandbox.environment_as(arn))

    assert code == 0
    assert {found["verdict"] for found in wrong.values()} == {"unknown"}
    assert all(found["seen"].startswith("not allowed to look: ") for found in wrong.values())
    assert {"repository policy", "live", "push rule", "last sweep", "subscriptions"} <= wrong.keys()
    assert not {"stack", "hold", "messages", "way back"} & wrong.keys()


def test_no_value_of_the_services_environment_is_given_away(well: Team, environment: dict[str, str]) -> None:
    secret = PARAMETERS["GeminiApiKey"]
    configuration = well.lambda_.get_function_configuration(FunctionName=well.function)
    assert configuration["Environment"]["Variables"]["GEMINI_API_KEY"] == secret

    told = command(environment, "doctor", "--json").stdout + command(environment, "doctor").stdout
    dashboard = well.outputs["DashboardFunctionName"]
    answer = well.lambda_.invoke(FunctionName=dashboard, Payload='{"read": "function"}')
    inspected = answer["Payload"].read().decode()

    assert secret not in told + inspected
    assert json.loads(inspected)["unset"] == ["DATABASE_URL"]


@pytest.fixture(scope="module")
def fresh(sandbox: Sandbox) -> Team:
    """A stack that nobody has pushed to, nobody is told by, and whose secret is blank."""
    return Team(sandbox, "doctor-fresh", GeminiApiKey=" ")


def test_of_a_new_stack_it_says_what_is_still_to_do(fresh: Team, tmp_path: Path) -> None:
    account = fresh.sandbox.environment

    code, wrong = doctor({**clean_environment(tmp_path), **account, "DEPLOYER_STACK": fresh.name})

    assert code == 1
    verdicts = {each: found["verdict"] for each, found in wrong.items()}
    assert {each for each, verdict in verdicts.items() if verdict == "FAIL"} == {"settings", "subscriptions"}
    assert "GEMINI_API_KEY is not set" in wrong["settings"]["seen"]
    assert verdicts["release tag"] == "warning"
    assert wrong["release tag"]["commands"] == ["deployer --stack doctor-fresh push"]


def test_what_doctor_would_put_back_is_what_the_stack_began_with(fresh: Team) -> None:
    team = fresh
    names = Names(team.name, team.outputs)
    events = team.sandbox.client("events")

    policy = json.loads(team.ecr.get_repository_policy(repositoryName=team.repository)["policyText"])
    assert json.loads(wanted.repository_policy(names)) == policy
    for which in ("push rule", "alarm rule"):
        rule = events.describe_rule(Name=team.outputs[RULES[which]])
        assert wanted.pattern(which, names) == json.loads(rule["EventPattern"])
        [target] = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        line = shlex.split(wanted.put_target(which, names))
        assert json.loads(line[line.index("--targets") + 1]) == [target]


def test_what_was_deleted_is_no_reason_to_fall_over(fresh: Team, tmp_path: Path) -> None:
    account = {**clean_environment(tmp_path), **fresh.sandbox.environment, "DEPLOYER_STACK": fresh.name}
    fresh.lambda_.delete_function(FunctionName=fresh.outputs["DashboardFunctionName"])
    fresh.sandbox.client("logs").delete_log_group(logGroupName=f"/aws/lambda/{fresh.outputs['DeployerName']}")
    fresh.sandbox.client("dynamodb").delete_table(TableName=fresh.outputs["LedgerName"])

    _, wrong = doctor(account)

    for name in ("function", "settings", "last sweep", "hold", "last deployment"):
        assert wrong[name]["verdict"] == "unknown", wrong[name]
        assert "it was deleted" in wrong[name]["seen"]
