"""The reading verbs, by somebody who has the stack's ViewerPolicy and nothing else. IAM is enforced."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployer.model import Phase
from tests.cli.conftest import Run, clean_environment, command
from tests.whole.team import Team, unwell


@pytest.fixture
def viewer(team: Team, tmp_path: Path) -> Run:
    """`viewer("status")` runs the command as somebody who may look."""
    iam, role = team.sandbox.client("iam"), f"{team.name}-viewer"
    try:
        arn = iam.get_role(RoleName=role)["Role"]["Arn"]
    except iam.exceptions.NoSuchEntityException:
        arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"]
        iam.attach_role_policy(RoleName=role, PolicyArn=team.outputs["ViewerPolicyArn"])
    environment = {
        **clean_environment(tmp_path),
        **team.sandbox.environment_as(arn),
        "DEPLOYER_STACK": team.name,
    }
    return lambda *words: command(environment, *words)


@pytest.fixture
def read(viewer: Run) -> Callable[..., dict[str, Any]]:
    """`read("status")` is its JSON."""

    def read(*words: str) -> dict[str, Any]:
        done = viewer(*words, "--json")
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    return read


def test_who_may_look_sees_a_release_from_the_plan_to_the_figures(
    team: Team, viewer: Run, read: Callable[..., dict[str, Any]]
) -> None:
    good = team.release(team.build("read-1"))
    digest = team.upload(team.build("read-2"), tag="read-2")

    planned = read("plan", "read-2")
    status = read("status")
    ended = team.release(team.build("read-2"))

    assert (planned["digest"], planned["would"], planned["revision"]) == (digest, "be deployed", "read-2")
    assert planned["release_tag_is_on_it"] is False
    assert status["live"]["image"]["digest"] == good.image.digest
    assert status["live"]["deployment"] == good.id
    assert (ended.phase, ended.image.digest) == (Phase.SUCCEEDED, digest)
    assert read("plan")["would"] == "be live already"
    assert read("show")["deployment"] == ended.id
    assert read("show", ended.id[:-3])["origin"]["revision"] == "read-2"
    assert read("history", "--limit", "2")["deployments"][0]["deployment"] == ended.id
    marks = {each["digest"]: each["marks"] for each in read("images")["images"]}
    assert (marks[digest], marks[good.image.digest]) == (["live"], ["previous"])
    assert read("stats")["deployments"] >= 2
    for verb in ("status", "history", "show", "plan", "images", "stats"):
        done = viewer(verb)
        assert (done.returncode, done.stderr) == (0, ""), verb
        assert "\x1b" not in done.stdout
        print(f"$ deployer {verb}\n{done.stdout}")  # noqa: T201 - for whoever runs -s


def test_a_release_that_fails_is_shown_whole_and_planned_as_what_it_then_is(
    team: Team, viewer: Run, read: Callable[..., dict[str, Any]]
) -> None:
    team.release(team.build("read-3"))
    bad = team.release(team.build("read-4", unwell()))

    shown = viewer("show", bad.id).stdout
    planned = read("plan", bad.image.digest)
    [marked] = [each for each in read("images")["images"] if each["digest"] == bad.image.digest]

    assert re.search(r"^outcome +REVERTED$", shown, flags=re.MULTILINE)
    assert "GET /health answered 503" in shown
    assert "the function's last log lines:" in shown
    assert "NEVER_SET" in shown
    assert planned["would"] == "be rejected"
    assert planned["quarantine"]["deployment"] == bad.id
    assert "Push a fixed image, or retry this one" in planned["because"]
    assert marked["marks"] == ["quarantined"]
    assert "GET /health answered 503" in viewer("status").stdout
    print(f"$ deployer show\n{shown}")  # noqa: T201 - for whoever runs -s
    print(viewer("status").stdout)  # noqa: T201
    print(viewer("plan", bad.image.digest).stdout)  # noqa: T201


def test_who_may_look_sees_no_environment_of_the_service(team: Team, tmp_path: Path) -> None:
    from sandbox.clients import client  # noqa: PLC0415 - as in tests/conftest.py

    arn = team.sandbox.client("iam").get_role(RoleName=f"{team.name}-viewer")["Role"]["Arn"]
    lambda_ = client("lambda", team.sandbox.environment_as(arn))

    for ask in (lambda_.get_function, lambda_.get_function_configuration, lambda_.list_versions_by_function):
        with pytest.raises(lambda_.exceptions.ClientError, match="AccessDenied"):
            ask(FunctionName=team.function)
