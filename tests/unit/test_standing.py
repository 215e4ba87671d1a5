"""Which deployment answers for a digest, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from deployer.commands.parts.standing import CLOCK_SKEW, EXIT_CODES, Outcome, Standing, stand
from deployer.model import Book, Deployment, Moment, Phase, Source
from deployer.rollout import ENDED
from tests.fakes import START, image

MINE, OTHER = image("mine"), image("other")
DIGEST = MINE.digest


def deployment(name: str, phase: Phase, minutes: float = 0, of: str = "mine") -> Deployment:
    """One that was asked for so many minutes after `START`."""
    at = START + timedelta(minutes=minutes)
    timeline = (Moment(at + timedelta(minutes=1), phase, f"{name} is {phase}"),)
    return Deployment(name, image(of), Source.PUSH, at, phase, timeline)


@pytest.mark.parametrize(
    ("phase", "outcome", "code"),
    [
        (Phase.SUCCEEDED, Outcome.LIVE, 0),
        (Phase.REVERTED, Outcome.ENDED_BADLY, 1),
        (Phase.REJECTED, Outcome.ENDED_BADLY, 1),
        (Phase.STUCK, Outcome.ENDED_BADLY, 1),
        (Phase.SUPERSEDED, Outcome.SUPERSEDED, 3),
    ],
)
def test_an_end_is_an_outcome_with_an_exit_code(phase: Phase, outcome: Outcome, code: int) -> None:
    ended = deployment("a", phase)

    standing = stand(DIGEST, START, Book(), [ended])

    assert standing == Standing(outcome, ended)
    assert standing.ended
    assert EXIT_CODES[outcome] == code


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in ENDED])
def test_an_open_deployment_goes_on(phase: Phase) -> None:
    going_on = deployment("a", phase)

    standing = stand(DIGEST, START, Book(open=(going_on,)), [])

    assert standing == Standing(Outcome.GOING_ON, going_on)
    assert not standing.ended
    assert EXIT_CODES[standing.outcome] == 4


def test_what_nobody_asked_for_was_never_seen() -> None:
    others = deployment("a", Phase.SUCCEEDED, of="other")

    standing = stand(DIGEST, START, Book(open=(deployment("b", Phase.UPDATING, of="other"),)), [others])

    assert standing == Standing(Outcome.NEVER_SEEN)
    assert not standing.ended
    assert EXIT_CODES[standing.outcome] == 4


def test_every_outcome_has_an_exit_code() -> None:
    assert EXIT_CODES.keys() == set(Outcome)


def test_the_newest_deployment_answers() -> None:
    failed, retried = deployment("a", Phase.REVERTED), deployment("b", Phase.SUCCEEDED, 3)

    for history in ([failed, retried], [retried, failed]):
        assert stand(DIGEST, START, Book(), history) == Standing(Outcome.LIVE, retried)


def test_of_two_that_were_asked_for_at_once_the_one_for_both_answers() -> None:
    """Triage takes up the later id, and ends the other as superseded by it."""
    superseded, taken_up = deployment("a", Phase.SUPERSEDED), deployment("b", Phase.REVERTED)

    standing = stand(DIGEST, START, Book(), [superseded, taken_up])

    assert standing == Standing(Outcome.ENDED_BADLY, taken_up)


def test_nothing_has_ended_while_one_is_open() -> None:
    ended, waits = deployment("a", Phase.SUPERSEDED), deployment("b", Phase.REQUESTED, 1)

    standing = stand(DIGEST, START, Book(open=(waits,), settled=DIGEST), [ended])

    assert standing == Standing(Outcome.GOING_ON, waits)


def test_one_that_is_open_goes_on_whenever_it_was_asked_for() -> None:
    waits_long = deployment("a", Phase.REQUESTED, -120)

    standing = stand(DIGEST, START, Book(open=(waits_long,)), [])

    assert standing == Standing(Outcome.GOING_ON, waits_long)


def test_an_end_from_before_the_push_is_not_this_pushs_end() -> None:
    last_week = deployment("a", Phase.SUCCEEDED, -7 * 24 * 60)

    standing = stand(DIGEST, START, Book(settled=OTHER.digest), [last_week])

    assert standing == Standing(Outcome.NEVER_SEEN)


def test_two_clocks_may_differ_by_a_minute_and_no_more() -> None:
    at_the_limit = replace(deployment("a", Phase.REVERTED), requested_at=START - CLOCK_SKEW)
    beyond = replace(at_the_limit, requested_at=START - CLOCK_SKEW - timedelta(seconds=1))

    assert stand(DIGEST, START, Book(), [at_the_limit]).outcome is Outcome.ENDED_BADLY
    assert stand(DIGEST, START, Book(), [beyond]).outcome is Outcome.NEVER_SEEN


def test_a_push_that_changed_nothing_stands_as_it_ended_last() -> None:
    """ECR emits no event for a digest that its tag points at already, so no deployment will come of it."""
    first, last = deployment("a", Phase.SUCCEEDED, -300), deployment("b", Phase.REVERTED, -200)

    standing = stand(DIGEST, START, Book(settled=DIGEST), [last, first])

    assert standing == Standing(Outcome.ENDED_BADLY, last, before=True)


def test_a_settled_digest_is_not_done_while_another_is_open() -> None:
    """The tag had moved on to the other; a push moved it back, and the event of that is under way."""
    live, others = deployment("a", Phase.SUCCEEDED, -300), deployment("b", Phase.CONFIRMING, of="other")

    standing = stand(DIGEST, START, Book(settled=DIGEST, open=(others,)), [live])

    assert standing == Standing(Outcome.NEVER_SEEN)


def test_a_settled_digest_whose_end_is_too_long_ago_was_never_seen() -> None:
    assert stand(DIGEST, START, Book(settled=DIGEST), []) == Standing(Outcome.NEVER_SEEN)


def test_what_ended_between_the_two_reads_is_in_both_and_goes_on_until_the_next_look() -> None:
    was_open, ended = deployment("a", Phase.CONFIRMING), deployment("a", Phase.SUCCEEDED)

    assert stand(DIGEST, START, Book(open=(was_open,)), [ended]).outcome is Outcome.GOING_ON
    assert stand(DIGEST, START, Book(settled=DIGEST), [ended]) == Standing(Outcome.LIVE, ended)
