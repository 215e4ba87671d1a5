"""What the ledger says is in the way: pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from deployer.commands.parts.diagnosis.finding import Finding, Unread, fail, ok, unknown, warning
from deployer.commands.parts.diagnosis.reading import Seen
from deployer.model import Book, Deployment, Limits, Phase

_LIMITS = Limits()
# A phase is over by then whatever happens (rollout.py), one sweep more allowed for. Checks that find nothing
# in their way but do not end are given three times their limit.
_LONGEST = {
    Phase.REQUESTED: _LIMITS.free,
    Phase.UPDATING: _LIMITS.update,
    Phase.VERIFYING: 3 * _LIMITS.checks,
    Phase.PROMOTING: _LIMITS.checks,
    Phase.CONFIRMING: max(3 * _LIMITS.checks, _LIMITS.update),
    Phase.REVERTING: _LIMITS.revert,
}
_GRACE = timedelta(minutes=2)


def hold(seen: Seen) -> Finding:
    """Are deployments held?"""
    name, names, book = "hold", seen.names, seen.book
    if isinstance(book, Unread):
        return unknown(name, book)
    if book.hold is None:
        row = f"; {book.reverts} in a row did not stay" if book.reverts else ""
        return ok(name, f"deployments are not held{row}")
    held = book.hold
    since = f"{held.since:%Y-%m-%d %H:%M} UTC"
    return fail(
        name,
        f"{held.by} holds deployments since {since}: {held.because}. No push is deployed",
        "once the reason is gone, resume: what the release tag is on then is deployed, unless it was tried",
        names.command("resume"),
    )


def under_way(seen: Seen) -> Finding:
    """Is a deployment open for longer than its phase may last?"""
    name, names, book = "under way", seen.names, seen.book
    if isinstance(book, Unread):
        return unknown(name, book)
    late = [each for each in book.open if _is_late(each, book, seen.stack.now)]
    if late:
        first = late[0]
        minutes = (seen.stack.now - first.since).total_seconds() / 60
        return fail(
            name,
            f"deployment {first.id} is {first.phase} for {minutes:.0f} minutes: "
            f"{first.because or 'not begun'}. It should be over, so the deployer does not get on",
            "see the last sweep and the deployer's log; if it must end now, turn it round",
            names.command("logs", "--of", "deployer", "--since", "1h"),
            names.command("abort"),
        )
    if book.open:
        told = ", ".join(f"{each.id} is {each.phase}" for each in book.open[:3])
        more = f" and {len(book.open) - 3} more" if len(book.open) > 3 else ""
        return ok(name, f"{told}{more}")
    return ok(name, "nothing")


def _is_late(deployment: Deployment, book: Book, now: datetime) -> bool:
    """A request that waits for another deployment to end is not late before that is."""
    if deployment.phase is Phase.REQUESTED and any(each.phase is not Phase.REQUESTED for each in book.open):
        return False
    return now - deployment.since > timedelta(seconds=_LONGEST.get(deployment.phase, 0)) + _GRACE


def last(seen: Seen) -> Finding:
    """Is a person needed since the last end?"""
    name, names, history = "last deployment", seen.names, seen.history
    if isinstance(history, Unread):
        return unknown(name, history)
    if not history:
        return ok(name, "none has ended yet")
    newest = history[0]
    told = f"{newest.id} ended {newest.phase}: {newest.because}"
    if newest.phase is Phase.STUCK:
        return fail(name, told, "it says what to do next", names.command("show", newest.id))
    if newest.warnings:
        many = "; ".join(newest.warnings)
        return warning(
            name, f"{told} (warning: {many})", "see what it says", names.command("show", newest.id)
        )
    return ok(name, told)


def messages(seen: Seen) -> Finding:
    """Were people told of every end?"""
    name, names, book = "messages", seen.names, seen.book
    if isinstance(book, Unread):
        return unknown(name, book)
    waiting = [notice for notice in book.notices if notice.tries]
    if waiting:
        most = max(notice.tries for notice in waiting)
        which = ", ".join(notice.deployment.id for notice in waiting[:3])
        return fail(
            name,
            f"nobody was told of the end of {which} after {most} tries",
            "the deployer's log has SNS's words; it is tried again by itself",
            names.command("logs", "--of", "deployer", "--since", "1h"),
        )
    return ok(name, "every end was told")
