"""Schedules in which something did not hold once. Each docstring says what; `make simulate` prints them."""

from __future__ import annotations

from tests.simulation.plan import Plan, Stimulus
from tests.simulation.world import run


def test_a_push_delivered_twice_is_written_by_one() -> None:
    """S5: the first invocation polled without a write to the ledger, and published without its lease."""
    plan = Plan(
        seed=25,
        stimuli=(
            Stimulus(name="push 1", at=1.0, does="push", image="a"),
            Stimulus("event 1", 1.7, "event", image="a", id="id 1", request="request 1", pushed=1.0),
            Stimulus("event 1 again", 4.0, "event", image="a", id="id 1", request="request 1", pushed=1.0),
        ),
    )

    assert run(plan).violation is None


def test_an_image_that_fails_while_a_person_moves_live_is_in_quarantine() -> None:
    """S3: its verdict was on record, and "somebody moved live" was all that counted."""
    plan = Plan(
        seed=849,
        stimuli=(
            Stimulus(name="push 1", at=1.0, does="push", image="a"),
            Stimulus("event 1", 1.2, "event", image="a", id="id 1", request="request 1", pushed=1.0),
            Stimulus(name="hand: moves live back", at=6.2, does="moves live back", image="a"),
        ),
        images={"a": "moody"},
    )

    assert run(plan).violation is None


def test_a_latest_that_one_leaves_to_the_next_is_told_of_when_that_is_rejected() -> None:
    """S2: the first could not put $LATEST back and left it to the second, which was rejected."""
    plan = Plan(
        seed=122,
        stimuli=(
            Stimulus(name="push 2", at=8.6, does="push", image="b"),
            Stimulus(name="push 3", at=76.1, does="push", image="base"),
            Stimulus("event 3", 78.0, "event", image="base", id="id 3", request="request 3", pushed=76.1),
        ),
        images={"b": "never finishes"},
    )

    assert run(plan).violation is None
