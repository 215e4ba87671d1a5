"""All findings, in the order in which somebody would look: as a release meets things on its way."""

from __future__ import annotations

from collections.abc import Sequence

from deployer.commands.parts.diagnosis import of_images, of_ledger, of_live, of_people, of_rules, of_stack
from deployer.commands.parts.diagnosis.finding import Finding, Mark, Unread
from deployer.commands.parts.diagnosis.names import RULES
from deployer.commands.parts.diagnosis.reading import Seen


def all_of(seen: Seen) -> list[Finding]:
    """What is to be said of what was read, but for the stack itself."""
    return [
        of_images.pull(seen),
        of_images.mutability(seen),
        of_images.lifecycle(seen),
        of_images.release(seen),
        of_images.quarantine(seen),
        *(of_rules.rule(which, seen) for which in RULES),
        of_rules.sweeps(seen),
        of_ledger.hold(seen),
        of_ledger.under_way(seen),
        of_ledger.last(seen),
        of_live.function(seen),
        of_live.architecture(seen),
        of_live.settings(seen),
        of_live.live(seen),
        of_live.api(seen),
        of_live.kept(seen),
        of_live.way_back(seen),
        of_people.dead_letters(seen),
        of_people.alarms(seen),
        of_people.subscriptions(seen),
        of_ledger.messages(seen),
        of_stack.clock(seen.stack),
    ]


def nothing_else(missing: Sequence[str]) -> Finding:
    """In place of all of them, when the stack does not say where things are."""
    return Finding(
        "everything else",
        Mark.UNKNOWN,
        f"it is found by the stack's outputs, and there is no {', '.join(missing)}",
        "mend the stack first",
    )


def unread_stack(unread: Unread) -> Finding:
    """The same, when not even the stack could be looked at."""
    return Finding("everything else", Mark.UNKNOWN, unread.because, "see the stack")
