"""Whether people and programs were told of a deployment's end."""

from __future__ import annotations

from datetime import datetime

from deployer.commands.parts.target import plain
from deployer.model import Notice
from deployer.times import lasts


def words(notice: Notice, now: datetime) -> str:
    """What there is to say of a message that still waits: where it was not told yet, and why not."""
    errors = {channel: plain(error) for channel, error in notice.errors}
    where = ", ".join(
        f"{channel} ({errors[channel]})" if channel in errors else channel.value for channel in notice.owed
    )
    tries = "1 try" if notice.tries == 1 else f"{notice.tries} tries"
    if notice.again_at is None or notice.again_at <= now:
        when = "the next sweep tries"
    else:
        when = f"tried again in {lasts(notice.again_at - now)}"
    after = f" after {tries}" if notice.tries else ""
    return f"not delivered yet by {where}{after}; {when}"


def record(notice: Notice) -> dict[str, object]:
    """The same for programs."""
    return {
        "deployment": notice.deployment.id,
        "owed": [channel.value for channel in notice.owed],
        "errors": {channel.value: error for channel, error in notice.errors},
        "tries": notice.tries,
        "again_at": notice.again_at.isoformat() if notice.again_at else None,
    }
