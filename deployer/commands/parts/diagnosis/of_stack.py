"""The stack itself, and the clocks: pure."""

from __future__ import annotations

from collections.abc import Sequence

from deployer.commands.parts.diagnosis.finding import Finding, Unread, fail, ok, unknown, warning
from deployer.commands.parts.diagnosis.reading import StackSeen
from deployer.commands.parts.standing import CLOCK_SKEW

# Nothing is under way, and what the template says is there.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
_COMPLETE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})
_UPDATE = "sam build && sam deploy"


def stack(name: str, seen: StackSeen | Unread, missing: Sequence[str], events: str) -> Finding:
    """Is it complete, and does it say where everything is? `events`: the command that shows what happened."""
    if isinstance(seen, Unread):
        return unknown("stack", seen)
    told = f"{name} is {seen.status}" + (f": {seen.reason}" if seen.reason else "")
    if seen.status == "UPDATE_ROLLBACK_COMPLETE" and not missing:
        return warning("stack", f"{told}. It is as before its last update, which failed", "see why", events)
    if seen.status.endswith("IN_PROGRESS"):
        return fail("stack", told, "wait until CloudFormation is done, then look again", events)
    if seen.status not in _COMPLETE:
        return fail("stack", told, "see what failed first, mend that, and deploy again", events, _UPDATE)
    if missing:
        return fail(
            "stack",
            f"{told}, and has no output {', '.join(missing)}: another stack, or older than this command",
            "name the right one (deployer --stack NAME doctor), or update it",
            _UPDATE,
        )
    return ok("stack", f"{told}, with all its outputs")


def clock(seen: StackSeen) -> Finding:
    """Does this machine's clock agree with AWS's? AWS refuses requests that are five minutes off."""
    apart = seen.here - seen.now
    if abs(apart) > CLOCK_SKEW:
        which = "ahead of" if apart.total_seconds() > 0 else "behind"
        return warning(
            "clock",
            f"this machine's clock is {abs(apart).total_seconds():.0f} s {which} AWS's",
            "set it: `deployer wait` goes by it, and AWS refuses requests when it is five minutes off",
        )
    return ok("clock", "this machine's clock agrees with AWS's")
