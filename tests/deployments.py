"""Deployments, commands and leases, to be written into a ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from deployer.model import Asked, Command, Deployment, Hold, Image, Moment, Phase, Quarantine, Source
from deployer.ports import Lease, Ledger

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
DIGEST = "sha256:" + "ab" * 32


def deployment(number: int = 1, phase: Phase = Phase.REQUESTED) -> Deployment:
    at = NOW + timedelta(minutes=number)
    made = Deployment(
        f"20260301T03{number:02d}00Z-0123abcd", Image("shuking-lambda", DIGEST), Source.PUSH, at
    )
    return made if phase is Phase.REQUESTED else moved(made, phase)


def moved(made: Deployment, phase: Phase, because: str = "GET /health answered 503") -> Deployment:
    moment = Moment(made.since + timedelta(seconds=2), phase, because)
    return replace(made, phase=phase, timeline=(*made.timeline, moment))


BAD = Quarantine(DIGEST, deployment().id, "GET /health answered 503")
HOLD = Hold("ana", "the database is being moved", NOW, "hold-1")


def command(
    verb: str,
    request: str = "request-1",
    *,
    deployment: str | None = None,
    hold: Hold | None = None,
    wish: Deployment | None = None,
) -> Command:
    about = wish.id if wish else deployment
    return Command(verb, Asked(request, "ana", "a reason"), NOW, about, hold, wish)


def lease(ledger: Ledger, holder: str = "first", now: datetime = NOW) -> Lease:
    held = ledger.acquire(holder, now, now + timedelta(minutes=5))
    assert held
    return held
