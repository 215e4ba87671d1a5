"""How well releases go, in the figures of DORA. Pure: the history in, the figures out.

The definitions are those of https://dora.dev/guides/dora-metrics-four-keys/, as far as a deployer can know
them; `measure` says of each what is counted, and what cannot be seen from here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median_low

from deployer.model import Deployment, Phase, Source


@dataclass(frozen=True)
class Stats:
    """The figures from `since` until `until`. What there is nothing to measure of is None."""

    since: datetime
    until: datetime
    deployments: int  # that users met
    per_day: float
    failed: int  # of these deployments
    failure_rate: float | None  # failed / deployments, from 0 to 1
    restore: timedelta | None  # median time to restore
    lead: timedelta | None  # median lead time from commit to live
    lead_known: int  # of so many deployments it is known when their commit was made
    restore_p90: timedelta | None = None  # nine in ten were not slower; the nearest that was really measured
    lead_p90: timedelta | None = None
    restored: int = 0  # so many failed deployments are over: `restore` is of these
    caught: int = 0  # that began, and failed before users met them; they count as nothing else


def measure(history: Sequence[Deployment], since: datetime, until: datetime) -> Stats:
    """The figures of the deployments whose image or settings users met from `since` on, and before `until`.

    `history` is what has ended, in any order. What is older tells whether an image was live before, and what
    is newer, whether a deployment stayed: the more of it, the better. Raises `ValueError` if `until` is not
    after `since`.

    **Deployment frequency.** A *deployment* is one that moved users to another version (it came to
    CONFIRMING): pushes, what the sweep found, changed settings, and what a person deployed or retried. Not: a
    rollback, which takes a change back and is the end of a failure; what was rejected or superseded, or
    reverted before users met it; a push of what is live already. Each attempt counts, so that a retry which
    gets to users is one more. `per_day` divides by the whole of the time asked for.

    **Change failure rate.** The share of these deployments after which somebody, or the deployer, had to step
    in: those that were reverted, ended stuck, or were left by a later rollback, whether that succeeded or
    not, unless a person aborted it. A fault that a newer push mended is not seen here: the ledger cannot tell
    a fix from a feature. What began, and failed before users met it, is no failure but a
    catch: `caught`.

    **Time to restore.** Of each failed deployment, from the moment at which users were moved to it until they
    were well again: until its revert had passed its checks; else until the next deployment of any kind, a
    rollback above all, that succeeded in moving them. So it has the time in it that nobody noticed. A failure
    that goes on is not in it. A median is one that was really measured: of two in the middle, the lower.

    **Lead time.** From the commit (what the image's label says) until users were moved to it, of deployments
    that succeeded: once for each image, when it first came to users, as far as `history` goes back. Changed
    settings have no commit, and a rollback, or somebody's deployment of a commit that is older than that of
    what was live, brings no change. Without the label, or with one from the future, it is not known;
    `lead_known` says how many it is the median of.
    """
    if until <= since:
        raise ValueError(f"from {since} until {until}: there is no time in between")
    moves = sorted(_moves(history), key=lambda move: (move.at, move.deployment.id))
    counted = [move for move in moves if move.is_change and since <= move.at < until]
    failures = [(move, well) for move, well in _failures(moves) if since <= move.at < until]
    restores = sorted(well - move.at for move, well in failures if well)
    leads = sorted(lead for move, lead in _leads(moves) if since <= move.at < until)
    days = (until - since) / timedelta(days=1)
    return Stats(
        since=since,
        until=until,
        deployments=len(counted),
        per_day=len(counted) / days,
        failed=len(failures),
        failure_rate=len(failures) / len(counted) if counted else None,
        restore=median_low(restores) if restores else None,
        lead=median_low(leads) if leads else None,
        lead_known=len(leads),
        restore_p90=_nine_in_ten(restores),
        lead_p90=_nine_in_ten(leads),
        restored=len(restores),
        caught=sum(1 for each in history if since <= each.since < until and _caught(each)),
    )


@dataclass(frozen=True)
class _Move:
    """A deployment that put users on another version, and when."""

    deployment: Deployment
    at: datetime

    @property
    def is_change(self) -> bool:
        return self.deployment.source is not Source.ROLLBACK

    @property
    def stayed(self) -> bool:
        return self.deployment.phase is Phase.SUCCEEDED


def _moves(history: Sequence[Deployment]) -> Iterator[_Move]:
    for deployment in history:
        # No other phase has users on the candidate for longer than a turn of the loop.
        at = next((m.at for m in deployment.timeline if m.phase is Phase.CONFIRMING), None)
        if at is not None:
            yield _Move(deployment, at)
        elif deployment.source is Source.ROLLBACK and deployment.previous:
            # It did not come so far, and tells all the same what somebody wanted users to leave.
            yield _Move(deployment, deployment.since)


def _failures(moves: Sequence[_Move]) -> Iterator[tuple[_Move, datetime | None]]:
    """Each change that failed, and when users were well again; None: they are not yet."""
    stands: _Move | None = None  # the change that users are on, if it is known
    for place, move in enumerate(moves):
        if not move.is_change:
            if stands and not move.deployment.aborted:
                yield stands, _next_success(moves[place:])
                stands = None
            if move.stayed:
                stands = None
        elif move.stayed:
            stands = move
        elif move.deployment.phase is Phase.REVERTED:
            yield move, move.deployment.since
        else:
            yield move, _next_success(moves[place:])
            stands = None


def _next_success(moves: Sequence[_Move]) -> datetime | None:
    return next((each.deployment.since for each in moves if each.stayed), None)


def _leads(moves: Sequence[_Move]) -> Iterator[tuple[_Move, timedelta]]:
    """Each change that stayed, with its lead time, if that is known."""
    seen: set[str] = set()
    for move in moves:
        deployment, committed = move.deployment, move.deployment.origin.committed_at
        digest, before = deployment.image.digest, deployment.before.committed_at
        if not (move.stayed and move.is_change) or digest in seen:
            continue
        seen.add(digest)
        if committed is None or committed > move.at or deployment.source is Source.CONFIGURATION:
            continue
        if deployment.source is Source.DEPLOY and before and committed < before:
            continue
        yield move, move.at - committed


def _caught(deployment: Deployment) -> bool:
    """Did it begin, and fail by itself before users met it?"""
    met = any(moment.phase is Phase.CONFIRMING for moment in deployment.timeline)
    failed = deployment.phase in (Phase.REVERTED, Phase.STUCK)
    return failed and not met and not deployment.aborted and deployment.source is not Source.ROLLBACK


def _nine_in_ten(sorted_times: Sequence[timedelta]) -> timedelta | None:
    """The nearest rank: https://en.wikipedia.org/wiki/Percentile#The_nearest-rank_method"""
    return sorted_times[math.ceil(0.9 * len(sorted_times)) - 1] if sorted_times else None
