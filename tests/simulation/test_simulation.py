"""Whatever crashes, repeats, races or arrives late: what must hold holds. See `invariants.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest

from tests.simulation import tampering
from tests.simulation.__main__ import SEEDS, numbers
from tests.simulation.plan import (
    BREAKS,
    COMMANDS,
    HANDS,
    TAMPERINGS,
    Fault,
    Plan,
    Stimulus,
    as_test,
    draw,
)
from tests.simulation.shrink import explained, shrink, story
from tests.simulation.world import DEEDS, INVOCATIONS, run

ROOT = Path(__file__).parents[2]
SCHEDULES = 300

PUSHED = (
    Stimulus("push 1", 1, "push", "a"),
    Stimulus("event 1", 2, "event", "a", id="id 1", request="request 1", pushed=1),
)


def require_that_all_holds(seed: int) -> None:
    for number in numbers(seed, SCHEDULES):
        violation = run(draw(number)).violation
        assert violation is None, explained(number, violation)


def simulation(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *words],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_must_hold_holds_in_the_schedules_that_everybody_runs() -> None:
    require_that_all_holds(0)


def test_what_must_hold_holds_in_schedules_that_nobody_has_run_yet() -> None:
    require_that_all_holds(SystemRandom().randrange(1, SEEDS))


def test_the_schedules_meet_everything_that_can_happen() -> None:
    plans = [draw(number) for number in numbers(0, 2000)]

    done = Counter(stimulus.does for plan in plans for stimulus in plan.stimuli)
    others = {"push", "event", "alarm"}
    assert set(COMMANDS) | set(HANDS) | set(TAMPERINGS) | set(BREAKS) | others == set(done)
    assert set(done) == set(DEEDS) | set(INVOCATIONS) | set(tampering.TAMPERINGS)


def test_the_same_seed_prints_the_same_figures_whatever_the_hashes_are() -> None:
    printed = [
        simulation("--seed", "7", "--schedules", "60", PYTHONHASHSEED=hashes).stdout for hashes in ("1", "2")
    ]

    without_seconds = [[line for line in text.splitlines() if "seconds" not in line] for text in printed]
    assert without_seconds[0] == without_seconds[1]
    assert any(line.split() == ["schedules", "60"] for line in without_seconds[0])


def test_without_a_seed_the_one_that_was_taken_is_printed_first() -> None:
    lines = simulation("--schedules", "1").stdout.splitlines()

    assert lines[0].split() == lines[-1].split()
    assert lines[0].startswith("seed ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--seed", "x"), "argument --seed: must be a whole number from 0 to 1000000000, not 'x'"),
        (("--schedules", "0"), "argument --schedules: must be a whole number from 1 to 1000000, not '0'"),
        (("--schedule", "-1"), "argument --schedule: "),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_reason(words: tuple[str, ...], told: str) -> None:
    refused = simulation(*words)

    assert refused.returncode == 2
    assert told in refused.stderr


def test_one_schedule_tells_its_story() -> None:
    told = simulation("--schedule", "3").stdout

    assert told == story(draw(3)) + "\n"
    assert "quiet" in told.splitlines()[-1]


# -- the world itself


def test_a_killed_deployer_does_nothing_more_and_the_next_one_goes_on_from_there() -> None:
    plan = Plan(1, PUSHED, faults=(Fault("event 1", "publish", 1, "killed after"),))

    told = story(plan)

    after = told.partition("event 1           killed\n")[2]
    assert "  event 1  " not in after
    assert "event 1, try 2    begins as request 1" in after
    assert run(plan).counts["ended SUCCEEDED"] == 1


def test_a_request_that_was_on_its_way_arrives_although_its_sender_is_dead() -> None:
    plan = Plan(1, PUSHED, faults=(Fault("event 1", "request", 1, "killed on the way", seconds=3),))

    told = story(plan)

    assert told.index("event 1           killed") < told.rindex("request(")
    assert run(plan).counts["ended SUCCEEDED"] == 1


def test_an_answer_that_got_lost_is_asked_for_again_although_it_happened() -> None:
    plan = Plan(1, PUSHED, faults=(Fault("event 1", "point_live", 1, "answer lost"),))

    told = story(plan)

    assert told.count("point_live(3, 2)") == 2  # the fault, and what happened
    assert "looking again: the answer did not come" in told
    assert run(plan).counts["ended SUCCEEDED"] == 1


def test_a_deployer_is_killed_when_its_time_is_over() -> None:
    plan = Plan(1, PUSHED, faults=(Fault("event 1", "artifact", 1, "slow", seconds=400),))

    assert "killed by Lambda: its time is over" in story(plan)


def test_one_that_stood_still_for_longer_than_its_lease_finds_it_gone() -> None:
    late = Fault("event 1", "record", 2, "frozen", seconds=500)

    told = story(Plan(1, PUSHED, faults=(late,)))

    assert "another deployer has taken over; leaving everything to it" in told


def test_an_event_that_never_succeeds_is_tried_three_times() -> None:
    tries = ("event 1", "event 1, try 2", "event 1, try 3")
    plan = Plan(1, PUSHED, faults=tuple(Fault(name, "look", 1, "killed before") for name in tries))

    told = story(plan)

    assert [told.count(f"{name:<16}  killed") for name in tries] == [1, 1, 1]
    assert "try 4" not in told
    assert 'points at "a", and no event said so' in told


def test_a_deployment_that_somebody_deletes_is_left_alone_and_the_sweep_deploys_its_image() -> None:
    hand = Stimulus("a hand", 3.0, "deletes an open deployment")
    plan = Plan(1, (*PUSHED, hand))

    told = story(plan)

    after = told.partition("  a hand ")[2]
    assert "event 1           done" in after
    assert "  event 1           record(" not in after
    assert 'points at "a", and no event said so' in told
    assert run(plan).counts["ended SUCCEEDED"] == 1
    assert run(plan).violation is None


def test_whoever_finds_nothing_to_change_in_the_ledger_waits_until_there_is_something() -> None:
    broken = Stimulus("notifier", 0.1, "mail breaks", until=400)
    plan = Plan(1, (broken, *PUSHED, Stimulus("a hand", 0.5, "deletes a notice")))

    told = story(plan)

    assert told.index("  end(") < told.index("  a hand ")
    assert run(plan).violation is None  # and nobody was told


def test_while_the_ledger_cannot_be_read_every_deployer_fails_and_then_all_goes_on() -> None:
    hand = Stimulus("a hand", 0.5, "writes what cannot be read", until=400)
    plan = Plan(1, (*PUSHED, hand))

    told = story(plan)

    for name in ("event 1", "event 1, try 2", "event 1, try 3", "sweep 1"):
        assert f"{name:<16}  fails: BadRecord" in told
    assert run(plan).counts["ended SUCCEEDED"] == 1
    assert run(plan).violation is None


def test_an_alarm_that_cannot_be_told_is_tried_three_times_and_kept() -> None:
    broken = Stimulus("notifier", 0.1, "mail breaks", until=400)
    plan = Plan(1, (broken, Stimulus("alarm", 1, "alarm", request="alarm")))

    told = story(plan)

    tries = ("alarm", "alarm, try 2", "alarm, try 3")
    assert [told.count(f"{name:<16}  begins") for name in tries] == [1, 1, 1]
    assert run(plan).violation is None


def test_a_plan_that_breaks_nothing_cannot_be_shrunk() -> None:
    with pytest.raises(ValueError, match="breaks nothing"):
        shrink(Plan(1, PUSHED))


@pytest.mark.parametrize("number", range(20))
def test_a_plan_written_as_a_test_is_the_same_plan(number: int) -> None:
    plan = draw(number)
    source = as_test(plan, "it", "why")
    names: dict[str, Any] = {"Plan": Plan, "Stimulus": Stimulus, "Fault": Fault}
    written = source.partition("    plan = ")[2].partition("\n\n    assert")[0]

    assert eval(written, names) == plan  # it is our own
    assert source.startswith('def test_it() -> None:\n    """why"""\n')
