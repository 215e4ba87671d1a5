"""The simulation notices what somebody could get wrong: each planted bug is caught, and quickly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.simulation.planted import BUGS, ROOT, Bug, Edit, Misplaced, hunt


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_planted_bug_is_caught(bug: Bug) -> None:
    caught = hunt(bug)

    assert caught.violation, f"{caught.schedules} schedules did not notice that {bug.name}"


def test_a_bug_whose_text_is_not_there_exactly_once_says_so() -> None:
    edit = Edit("deployer.rollout", "here", "there")

    assert edit.applied("from here on") == "from there on"
    for source in ("nowhere to be found", "here and here"):
        with pytest.raises(Misplaced, match=r"deployer\.rollout has this text .* times"):
            edit.applied(source.replace("nowhere", "no place"))


def test_a_caught_bug_tells_its_shrunk_story_and_a_test_that_holds_without_it() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.simulation.planted", "a revert leaves $LATEST where it is"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "breaks S2: " in told
    assert "VIOLATION S2: " in told
    test = told.partition("As a test, for tests/simulation/test_found.py:\n\n")[2]
    holds = (
        "from tests.simulation.plan import Fault, Plan, Stimulus\n"
        "from tests.simulation.world import run\n"
        f"{test}\n"
        f"{test.partition('def ')[2].partition('(')[0]}()\n"
    )
    assert subprocess.run([sys.executable, "-c", holds], cwd=ROOT, check=False).returncode == 0


def test_a_name_that_no_planted_bug_has_lists_those_there_are() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "tests.simulation.planted", "nobody's"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode == 1
    assert "no planted bug has the name" in refused.stderr
    assert BUGS[0].name in refused.stderr
