"""Reading costs the same however long the history is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.whole import reading_costs
from tests.whole.reading_costs import LONG, SHORT, VERBS

if TYPE_CHECKING:
    from sandbox.server import Sandbox


def test_ten_thousand_deployments_cost_no_more_requests_than_a_hundred(sandbox: Sandbox) -> None:
    measured = reading_costs.measure(reading_costs.new_team(sandbox))

    print(reading_costs.table(measured))  # noqa: T201 - for whoever runs -s
    assert measured[LONG] == measured[SHORT]
    for verb in VERBS:
        assert measured[LONG][verb]["cloudformation"] == 1
        assert measured[LONG][verb]["dynamodb"] <= 2, verb
    # Something was really counted.
    assert measured[LONG]["status"]["dynamodb"] == 2
    assert measured[LONG]["plan"]["dashboard"] > 3
