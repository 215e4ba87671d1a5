"""What becomes of a changed parameter: see "Change a parameter" in docs/deploying.md."""

from __future__ import annotations

import pytest

from deployer.model import Phase
from sandbox.cli import PARAMETERS, TEMPLATE
from sandbox.cloudformation import stack
from sandbox.server import Sandbox
from tests.whole.team import Team


@pytest.fixture(scope="module")
def team(sandbox: Sandbox) -> Team:
    return Team(sandbox, "configured")


def environment(team: Team, qualifier: str) -> str:
    found = team.lambda_.get_function_configuration(FunctionName=team.function, Qualifier=qualifier)
    return str(found["Environment"]["Variables"]["ENVIRONMENT"])


def test_a_changed_parameter_reaches_users_with_the_next_release_or_when_what_is_live_is_deployed_again(
    team: Team,
) -> None:
    good = team.release(team.build("before the change"))
    changed = {
        **PARAMETERS,
        "ServiceName": team.function,
        "RepositoryName": team.repository,
        "Environment": "staging",
    }

    stack.deploy(team.sandbox.client, TEMPLATE, changed, team.function)
    before = environment(team, "live"), environment(team, "$LATEST")
    told = team.command({"command": "retry", "digest": good.image.digest, "by": "alice"})

    assert before == ("production", "staging")
    assert told["phase"] == Phase.SUCCEEDED
    assert environment(team, "live") == "staging"
    assert team.where() == (good.image.digest, good.image.digest)
