"""A few of the kills that `make kills` tries all of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.door.watching import FunctionCall
from sandbox.server import Sandbox
from tests.kills.naming import name
from tests.kills.tables import counted
from tests.kills.trial import Kill, Kind, Trials


@pytest.fixture(scope="module")
def tried(sandbox: Sandbox) -> Iterator[Trials]:
    yield Trials(sandbox, "killed")
    sandbox.watch(None)


@pytest.fixture(scope="module")
def calls(tried: Trials) -> dict[Kind, list[FunctionCall]]:
    """What a release calls that nobody disturbs."""
    return {kind: tried.calls(kind) for kind in (Kind.HEALTHY, Kind.UNHEALTHY)}


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (Kind.HEALTHY, "UpdateFunctionCode"),
        (Kind.HEALTHY, "UpdateAlias"),
        (Kind.HEALTHY, "TransactWriteItems: SUCCEEDED"),
        (Kind.UNHEALTHY, "Invoke: a version"),
        (Kind.UNHEALTHY, "TransactWriteItems: REVERTED"),
    ],
)
def test_a_deployer_that_is_killed_is_carried_on_and_the_end_is_right(
    tried: Trials, calls: dict[Kind, list[FunctionCall]], kind: Kind, call: str
) -> None:
    names = [name(each) for each in calls[kind]]

    outcome = tried.run(kind, Kill(names.index(call) + 1, done=True))

    assert outcome.wrong == ()


def test_a_release_costs_few_calls_and_an_idle_sweep_fewer(
    tried: Trials, calls: dict[Kind, list[FunctionCall]]
) -> None:
    release, sweep = counted(calls[Kind.HEALTHY]), counted(tried.sweep())

    assert release["lambda"] - release["GetFunction"] <= 8
    assert release["dynamodb"] <= 40
    assert sum(sweep[service] for service in ("dynamodb", "lambda", "ecr", "sns")) <= 8
