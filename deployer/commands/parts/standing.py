"""Where does a pushed digest stand? Pure: what the ledger says in, the deployment that answers for it out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from deployer.model import Book, Deployment, Phase

# The clock that `since` was read from and AWS's differ by less than this.
CLOCK_SKEW = timedelta(minutes=1)


class Outcome(StrEnum):
    """What became of a digest."""

    LIVE = "live"
    ENDED_BADLY = "ended badly"  # reverted, rejected or stuck
    SUPERSEDED = "superseded"
    GOING_ON = "going on"
    NEVER_SEEN = "never seen"


EXIT_CODES = {
    Outcome.LIVE: 0,
    Outcome.ENDED_BADLY: 1,
    Outcome.SUPERSEDED: 3,
    Outcome.GOING_ON: 4,
    Outcome.NEVER_SEEN: 4,
}
_OUTCOMES = {
    Phase.SUCCEEDED: Outcome.LIVE,
    Phase.REVERTED: Outcome.ENDED_BADLY,
    Phase.REJECTED: Outcome.ENDED_BADLY,
    Phase.STUCK: Outcome.ENDED_BADLY,
    Phase.SUPERSEDED: Outcome.SUPERSEDED,
}


@dataclass(frozen=True)
class Standing:
    """What became of a digest, and the deployment that says so."""

    outcome: Outcome
    deployment: Deployment | None = None
    before: bool = False  # nothing new was asked for: the digest had been dealt with before `since`
    trouble: str = ""  # why the last look was not possible, so that this is what was true before it

    @property
    def ended(self) -> bool:
        """Will it stay like this?"""
        return self.outcome not in (Outcome.GOING_ON, Outcome.NEVER_SEEN)


def stand(digest: str, since: datetime, book: Book, history: Iterable[Deployment]) -> Standing:
    """Where `digest` stands. `history` must have been read after `book`: what ends in between is in both
    then, and else would be in neither.

    While a deployment of it is open, nothing has ended, whenever it was asked for. Else the newest one that
    was asked for since `since` answers. When there is none, the push may have changed nothing: ECR emits no
    event for a digest that its tag points at already. So a digest that the ledger calls settled counts as
    dealt with, as it ended last; unless something else is open, for then the tag had moved on, a push has
    moved it back, and the event of that is under way.
    """
    going_on = [deployment for deployment in book.open if deployment.image.digest == digest]
    if going_on:
        return Standing(Outcome.GOING_ON, _newest(going_on))
    ended = [deployment for deployment in history if deployment.image.digest == digest]
    asked_for = [deployment for deployment in ended if deployment.requested_at >= since - CLOCK_SKEW]
    if asked_for:
        newest = _newest(asked_for)
        return Standing(_OUTCOMES[newest.phase], newest)
    if ended and book.settled == digest and not book.open:
        newest = _newest(ended)
        return Standing(_OUTCOMES[newest.phase], newest, before=True)
    return Standing(Outcome.NEVER_SEEN)


def of(deployment: Deployment) -> Standing:
    """Where this deployment stands, and with it whoever waits for it."""
    return Standing(_OUTCOMES.get(deployment.phase, Outcome.GOING_ON), deployment)


def _newest(deployments: Iterable[Deployment]) -> Deployment:
    return max(deployments, key=lambda deployment: (deployment.requested_at, deployment.id))
