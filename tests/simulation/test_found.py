"""Schedules in which something did not hold once. Each docstring says what; `make simulate` prints them."""

from __future__ import annotations

import pytest

from tests.simulation.plan import Fault, Plan, Stimulus
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


@pytest.mark.parametrize(
    "meanwhile",
    [
        Stimulus("command 1", 24.6, "abort", request="command 1"),
        Stimulus("hand: moves live back", 24.6, "moves live back"),
    ],
    ids=lambda stimulus: stimulus.does,
)
def test_an_image_that_fails_is_in_quarantine_whatever_turns_its_deployment_round(
    meanwhile: Stimulus,
) -> None:
    """S3: its verdict was on record, and what came meanwhile was all that counted."""
    plan = Plan(
        seed=87,
        stimuli=(
            Stimulus(name="push 1", at=1.0, does="push", image="a"),
            Stimulus("event 1", 2.6, "event", image="a", id="id 1", request="request 1", pushed=1.0),
            meanwhile,
        ),
        faults=(Fault("event 1", "invoke", 3, "slow to answer", seconds=66.3),),
        images={"a": "moody"},
    )

    assert run(plan).violation is None


def test_an_end_that_somebody_deleted_and_an_event_brought_again_is_told_anew() -> None:
    """L2: what was told of the first end counted for the second, for the notice of the first was kept."""
    plan = Plan(
        seed=638641448003717,
        stimuli=(
            Stimulus("break: chat breaks", 2.1, "chat breaks", until=193.6),
            Stimulus("event 1", 2.7, "event", image="a", id="id 1", request="request 1", pushed=1.0),
            Stimulus("ledger 2: deletes an end from history", 8.2, "deletes an end from history"),
            Stimulus("break: mail breaks", 19.9, "mail breaks", until=145.8),
            Stimulus("event 1 again", 29.5, "event", image="a", id="id 1", request="request 1", pushed=1.0),
        ),
        images={"a": "healthy"},
    )

    assert run(plan).violation is None


def test_what_a_deployment_did_is_known_although_somebody_deleted_its_end_and_an_event_brought_it_again() -> (
    None
):
    """S1, and it was the simulation that had forgotten: the second had moved live, and then ended again."""
    plan = Plan(
        seed=777732207003317,
        stimuli=(
            Stimulus("push 1", 1.0, "push", image="a"),
            Stimulus("event 1", 1.3, "event", image="a", id="id 1", request="request 1", pushed=1.0),
            Stimulus("push 2", 3.7, "push", image="b"),
            Stimulus("event 2", 4.8, "event", image="b", id="id 2", request="request 2", pushed=3.7),
            Stimulus("ledger 2: deletes an end from history", 38.0, "deletes an end from history"),
            Stimulus("event 2 again", 62.8, "event", image="b", id="id 2", request="again", pushed=3.7),
        ),
        images={"a": "healthy", "b": "healthy"},
    )

    assert run(plan).violation is None


def test_what_is_told_late_of_an_end_that_somebody_deleted_is_told_of_that_end() -> None:
    """L2: the mail of the first end came back when its event had been requested again."""
    plan = Plan(
        seed=835531586003520,
        stimuli=(
            Stimulus("event 2", 30.1, "event", image="a", id="id 2", request="request 2", pushed=28.4),
            Stimulus("ledger 1: deletes an end from history", 33.2, "deletes an end from history"),
            Stimulus("event 2 again", 33.9, "event", image="a", id="id 2", request="request 2", pushed=28.4),
            Stimulus("event 3", 37.7, "event", image="base", id="id 3", request="request 3", pushed=37.0),
        ),
        faults=(
            Fault("event 2 again", "end", 1, "refused"),
            Fault("event 2", "send", 1, "slow to answer", seconds=79.6),
            Fault("event 3", "send", 1, "refused"),
        ),
        images={"a": "healthy"},
    )

    assert run(plan).violation is None
