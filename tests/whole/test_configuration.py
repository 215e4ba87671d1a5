"""What becomes of a changed parameter: see "Change a parameter" in docs/deploying.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployer.model import Phase, Source
from sandbox.cli import PARAMETERS, TEMPLATE
from sandbox.cloudformation import stack
from sandbox.server import Sandbox
from tests.whole.team import Team

SWEEP = json.loads((Path(__file__).parents[1] / "events" / "eventbridge" / "sweep.json").read_text())


@pytest.fixture(scope="module")
def team(sandbox: Sandbox) -> Team:
    return Team(sandbox, "configured")


def environment(team: Team, qualifier: str) -> str:
    found = team.lambda_.get_function_configuration(FunctionName=team.function, Qualifier=qualifier)
    return str(found["Environment"]["Variables"]["ENVIRONMENT"])


def test_a_changed_parameter_becomes_a_version_that_is_verified_and_reaches_users_by_itself(
    team: Team,
) -> None:
    """aws/serverless-application-model#1305: a changed environment variable never reached the alias."""
    good = team.release(team.build("before the change"))
    changed = {
        **PARAMETERS,
        "ServiceName": team.function,
        "RepositoryName": team.repository,
        "Environment": "staging",
    }

    stack.deploy(team.sandbox.client, TEMPLATE, changed, team.function)
    before = environment(team, "live")
    team.command(SWEEP)

    assert (before, environment(team, "live")) == ("production", "staging")
    assert team.where() == (good.image.digest, good.image.digest)
    last = team.ledger.history(1)[0]
    assert (last.source, last.phase, last.why) == (
        Source.CONFIGURATION,
        Phase.SUCCEEDED,
        "changed: Environment",
    )
