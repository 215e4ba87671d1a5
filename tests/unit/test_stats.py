"""The figures of DORA: what counts, and what does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from deployer.model import Deployment, Moment, Origin, Phase, Source, Version, deployment_id
from deployer.stats import Stats, measure
from tests.fakes import START, image

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
UNTIL = START + 10 * DAY
_numbers = count(2)

MET = (Phase.UPDATING, Phase.VERIFYING, Phase.PROMOTING, Phase.CONFIRMING)
UNMET = (Phase.UPDATING, Phase.VERIFYING)


def ended(
    phase: Phase,
    after: timedelta,
    *,
    name: str = "",
    source: Source = Source.PUSH,
    through: tuple[Phase, ...] = MET,
    took: timedelta = MINUTE,
    committed_before: timedelta | None = None,
) -> Deployment:
    """A deployment that met users `after` the start, if it did, and ended `took` later."""
    number, at = next(_numbers), START + after
    moments = [*(Moment(at, each, "") for each in through), Moment(at + took, phase, "")]
    return Deployment(
        deployment_id(at, str(number)),
        image(name or str(number)),
        source,
        at,
        phase,
        tuple(moments),
        version=str(number),
        previous=Version("1", image("before")) if through else None,
        origin=Origin(committed_at=at - committed_before if committed_before else None),
    )


def measured(*history: Deployment) -> Stats:
    return measure(history, START, UNTIL)


def test_an_empty_history_has_figures_where_nothing_is_measured() -> None:
    stats = measured()

    assert (stats.deployments, stats.per_day, stats.failed, stats.lead_known) == (0, 0, 0, 0)
    figures = (stats.failure_rate, stats.restore, stats.lead, stats.restore_p90, stats.lead_p90)
    assert figures == (None,) * 5


def test_a_range_that_has_no_time_in_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no time in between"):
        measure([], UNTIL, UNTIL)


def test_frequency_counts_what_users_met_by_the_day() -> None:
    stats = measured(*(ended(Phase.SUCCEEDED, each * DAY) for each in range(5)))

    assert (stats.deployments, stats.per_day, stats.failure_rate) == (5, 0.5, 0)


@pytest.mark.parametrize("after", [-MINUTE, 10 * DAY])
def test_what_users_met_before_or_after_the_range_is_not_counted(after: timedelta) -> None:
    assert measured(ended(Phase.SUCCEEDED, after)).deployments == 0


@pytest.mark.parametrize(
    "which",
    [
        ended(Phase.REJECTED, HOUR, through=()),
        ended(Phase.SUPERSEDED, HOUR, through=UNMET),
        ended(Phase.SUCCEEDED, HOUR, through=()),  # it was live already
        ended(Phase.SUCCEEDED, HOUR, source=Source.ROLLBACK, through=MET[1:]),
        ended(Phase.REVERTED, HOUR, through=UNMET),
        ended(Phase.STUCK, HOUR, through=UNMET),
    ],
    ids=lambda which: f"{which.source} {which.phase}",
)
def test_what_brought_no_change_to_users_is_neither_a_deployment_nor_a_failure(which: Deployment) -> None:
    stats = measured(which)

    assert (stats.deployments, stats.failed, stats.failure_rate) == (0, 0, None)


def test_what_failed_before_users_met_it_was_caught_and_what_a_person_stopped_was_not() -> None:
    caught = ended(Phase.REVERTED, HOUR, through=UNMET)
    aborted = replace(ended(Phase.REVERTED, HOUR, through=UNMET), aborted=True)
    rejected = ended(Phase.REJECTED, HOUR, through=())
    met = ended(Phase.REVERTED, HOUR)

    assert measured(caught, aborted, rejected, met).caught == 1


def test_a_revert_that_users_met_is_a_failure_until_it_has_passed_its_checks() -> None:
    stats = measured(ended(Phase.SUCCEEDED, HOUR), ended(Phase.REVERTED, 2 * HOUR, took=4 * MINUTE))

    assert (stats.deployments, stats.failed, stats.failure_rate) == (2, 1, 0.5)
    assert stats.restore == 4 * MINUTE


@pytest.mark.parametrize("left", [Phase.SUCCEEDED, Phase.REVERTED, Phase.STUCK])
def test_a_release_that_a_person_took_back_failed_and_is_over_when_a_move_succeeds(left: Phase) -> None:
    bad = ended(Phase.SUCCEEDED, HOUR)
    back = ended(left, 2 * HOUR, source=Source.ROLLBACK, through=MET[1:], took=MINUTE)
    fix = ended(Phase.SUCCEEDED, 5 * HOUR, took=MINUTE)

    stats = measured(fix, back, bad)

    assert (stats.deployments, stats.failed, stats.restored) == (2, 1, 1)
    assert stats.restore == (HOUR if left is Phase.SUCCEEDED else 4 * HOUR) + MINUTE


def test_a_rollback_that_came_to_nothing_tells_all_the_same_that_the_release_failed() -> None:
    bad = ended(Phase.SUCCEEDED, HOUR)
    back = ended(Phase.REVERTED, 2 * HOUR, source=Source.ROLLBACK, through=(Phase.VERIFYING,))

    stats = measured(bad, back)

    assert (stats.failed, stats.restored, stats.restore) == (1, 0, None)


def test_a_rollback_that_was_aborted_blames_nobody() -> None:
    bad = ended(Phase.SUCCEEDED, HOUR)
    back = replace(ended(Phase.REVERTED, 2 * HOUR, source=Source.ROLLBACK, through=MET[1:]), aborted=True)

    assert measured(bad, back).failed == 0


def test_a_rollback_of_a_rollback_blames_nobody_else() -> None:
    first, second = ended(Phase.SUCCEEDED, HOUR), ended(Phase.SUCCEEDED, 2 * HOUR)
    back = ended(Phase.SUCCEEDED, 3 * HOUR, source=Source.ROLLBACK, through=MET[1:])
    forth = ended(Phase.SUCCEEDED, 4 * HOUR, source=Source.ROLLBACK, through=MET[1:])

    assert measured(first, second, back, forth).failed == 1


def test_a_rollback_after_a_revert_leaves_the_release_that_stood() -> None:
    stands, reverted = ended(Phase.SUCCEEDED, HOUR), ended(Phase.REVERTED, 2 * HOUR, took=MINUTE)
    back = ended(Phase.SUCCEEDED, 3 * HOUR, source=Source.ROLLBACK, through=MET[1:], took=MINUTE)

    stats = measured(stands, reverted, back)

    assert (stats.failed, stats.restored, stats.restore, stats.restore_p90) == (
        2,
        2,
        MINUTE,
        2 * HOUR + MINUTE,
    )


def test_a_release_of_the_range_that_was_taken_back_after_it_failed() -> None:
    bad = ended(Phase.SUCCEEDED, 9 * DAY)
    back = ended(Phase.SUCCEEDED, 11 * DAY, source=Source.ROLLBACK, through=MET[1:])

    assert measured(bad, back).failure_rate == 1


def test_stuck_lasts_until_users_are_moved_well_and_a_rollback_out_of_it_blames_nobody_else() -> None:
    good, stuck = ended(Phase.SUCCEEDED, HOUR), ended(Phase.STUCK, 2 * HOUR)
    back = ended(Phase.SUCCEEDED, 4 * HOUR, source=Source.ROLLBACK, through=MET[1:], took=MINUTE)

    stats = measured(good, stuck, back)

    assert (stats.failed, stats.restore) == (1, 2 * HOUR + MINUTE)


def test_a_failure_that_goes_on_has_no_time_to_restore_yet() -> None:
    stats = measured(ended(Phase.STUCK, HOUR))

    assert (stats.failed, stats.restored, stats.restore) == (1, 0, None)


def test_a_retry_that_users_meet_is_one_deployment_more() -> None:
    bad = ended(Phase.REVERTED, HOUR, name="mine")
    retry = ended(Phase.SUCCEEDED, 2 * HOUR, name="mine", source=Source.RETRY)

    assert (measured(bad, retry).deployments, measured(bad, retry).failed) == (2, 1)


def test_lead_time_is_from_the_commit_until_users_were_moved() -> None:
    leads = [ended(Phase.SUCCEEDED, each * HOUR, committed_before=each * MINUTE) for each in range(1, 12)]
    stats = measured(*leads, ended(Phase.SUCCEEDED, 30 * HOUR))

    assert (stats.lead, stats.lead_p90, stats.lead_known) == (6 * MINUTE, 10 * MINUTE, 11)


@pytest.mark.parametrize(
    "other",
    [
        ended(Phase.SUCCEEDED, 9 * HOUR, name="mine", source=Source.DEPLOY, committed_before=8 * HOUR),
        ended(Phase.SUCCEEDED, 9 * HOUR, source=Source.CONFIGURATION, committed_before=HOUR),
        ended(Phase.SUCCEEDED, 9 * HOUR, source=Source.ROLLBACK, through=MET[1:], committed_before=HOUR),
        ended(Phase.REVERTED, 9 * HOUR, committed_before=HOUR),
        ended(Phase.SUCCEEDED, 9 * HOUR, committed_before=-HOUR),
        replace(
            ended(Phase.SUCCEEDED, 9 * HOUR, source=Source.DEPLOY, committed_before=8 * HOUR),
            before=Origin(committed_at=START + 8 * HOUR),
        ),
    ],
    ids=["again", "settings", "rollback", "reverted", "from the future", "an older commit"],
)
def test_lead_time_is_not_measured_of(other: Deployment) -> None:
    first = ended(Phase.SUCCEEDED, 2 * HOUR, name="mine", committed_before=5 * MINUTE)

    stats = measured(first, other)

    assert (stats.lead, stats.lead_known) == (5 * MINUTE, 1)
