"""Whether people were told of a deployment's end."""

from __future__ import annotations

from datetime import datetime

from deployer.commands.parts.times import lasts
from deployer.model import Notice


def words(notice: Notice, now: datetime) -> str:
    """What there is to say of a message that still waits."""
    tries = "1 try" if notice.tries == 1 else f"{notice.tries} tries"
    if notice.again_at is None or notice.again_at <= now:
        when = "the next sweep tries"
    else:
        when = f"tried again in {lasts(notice.again_at - now)}"
    return f"not delivered yet after {tries}; {when}" if notice.tries else f"not delivered yet; {when}"
