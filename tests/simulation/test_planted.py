"""The simulation notices what somebody could get wrong. Here, of each promise the one planted bug that breaks
it soonest, by what docs/testing.md says; `make planted`, which CI runs, hunts all of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.simulation.planted import BUGS, PAGE, ROOT, Bug, Edit, Misplaced, hunt, soonest, told

TOLD = told(PAGE.read_text(encoding="utf-8"))


def test_the_page_tells_of_every_planted_bug_how_it_was_caught() -> None:
    assert list(TOLD) == [bug.name for bug in BUGS], "run `python -m tests.simulation.planted --write`"


@pytest.mark.parametrize("bug", soonest(TOLD), ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_planted_bug_is_caught(bug: Bug) -> None:
    caught = hunt(bug)

    assert caught.violation, f"{caught.schedules} schedules did not notice that {bug.name}"


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_the_text_that_a_planted_bug_changes_is_there_exactly_once(bug: Bug) -> None:
    for edit in bug.edits:
        source = ROOT.joinpath(*edit.module.split(".")).with_suffix(".py").read_text(encoding="utf-8")

        assert edit.applied(source) != source


def test_a_bug_whose_text_is_not_there_exactly_once_says_so() -> None:
    edit = Edit("deployer.rollout", "here", "there")

    assert edit.applied("from here on") == "from there on"
    for source in ("nowhere to be found", "here and here"):
        with pytest.raises(Misplaced, match=r"deployer\.rollout has this text .* times"):
            edit.applied(source.replace("nowhere", "no place"))


def test_a_caught_bug_tells_its_shrunk_story_and_a_test_that_holds_without_it() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "tests.simulation.planted", "a revert leaves $LATEST where it is"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "breaks S2: " in printed
    assert "VIOLATION S2: " in printed
    test = printed.partition("As a test, for tests/simulation/test_found.py:\n\n")[2]
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
