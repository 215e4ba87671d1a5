"""The ledger changed by hand, at any moment: only such changes after which something can be demanded.

| a person | what is demanded afterwards |
|---|---|
| deletes an open deployment | It is written down no more, but for its end if that was decided; at most the one write to the function that was in flight lands. S1 to S5 of all others. Where it left `live` and `$LATEST` is the person's affair until the next one begins. What the tag points at is dealt with all the same: by its event, if that comes again, or by the sweep (L1). |
| deletes an end from history | Everything. Its event may come again and is a new deployment then. |
| deletes a notice | Everything, but that this end is told (L2). |
| deletes the hold | As after a resume, but that reverts in a row still count. |
| puts a quarantine away | S3 for what is still in quarantine. Nothing is deployed again because of it. |
| forgets what is settled | Everything: the sweep looks once more at what the tag points at. |
| settles the tag | Everything, but that what the tag pointed at is dealt with (L1). |
| deletes the lease | Everything. Its holder goes on until somebody else has the lease, and is fenced then: at most the one write that was in flight lands, if nobody has written since (S5). |
| forgets a command | Everything, but that this request, if it comes again, is followed only once. |
| forgets the reverts | The third in a row from here on holds (S4). |
| writes what cannot be read | Until it is gone, whoever looks fails with `BadRecord`. Then everything, L1 and L2 included, although no event of that time is left. |

No invocation may fail of it otherwise (Crash), and the world must become quiet (no loop).

Not among them: the whole state item, with the count of leases in it. Who deletes that takes the fence away.
"""  # noqa: E501 - a table

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deployer.aws.record import BadRecord
from deployer.model import Book, Deployment, Notice
from tests.fakes import FakeLedger

if TYPE_CHECKING:
    from tests.simulation.record import Record


class Table(FakeLedger):
    """A ledger into which somebody may have written what nobody can read."""

    unreadable = 0

    def look(self) -> Book:
        if self.unreadable:
            raise BadRecord("the ledger's item shuking-prod#now / deployment#x cannot be read")
        return super().look()


@dataclass(frozen=True)
class Hand:
    """`finds` what it can be done to; one of these is taken, and `does` it to that."""

    finds: Callable[[Record], Sequence[Any]]
    does: Callable[[Record, Any], None]


def _delete_open(record: Record, deployment: Deployment) -> None:
    book = record.ledger.book
    record.ledger.book = replace(book, open=tuple(each for each in book.open if each.id != deployment.id))
    record.take_out(deployment)


def _delete_end(record: Record, deployment: Deployment) -> None:
    del record.ledger.ended[deployment.id]


def _delete_notice(record: Record, notice: Notice) -> None:
    record.ledger.sent(notice)
    record.not_to_tell.add(notice.deployment.id)


def _delete_hold(record: Record, _: object) -> None:
    record.ledger.book = replace(record.ledger.book, hold=None)


def _put_away(record: Record, digest: str) -> None:
    del record.ledger.quarantined[digest]
    record.put_away[digest] = record.now


def _forget_settled(record: Record, _: object) -> None:
    record.ledger.book = replace(record.ledger.book, settled=None)


def _settle(record: Record, digest: str) -> None:
    record.ledger.book = replace(record.ledger.book, settled=digest)
    record.settled_by_hand.add(digest)


def _delete_lease(record: Record, _: object) -> None:
    record.ledger.held_lease = None


def _forget_command(record: Record, request: str) -> None:
    del record.ledger.commands[request]
    record.followed.discard(request)


def _forget_reverts(record: Record, _: object) -> None:
    record.ledger.book = replace(record.ledger.book, reverts=0)
    record.reverts = 0


def _this(thing: object) -> list[object]:
    return [thing] if thing else []


TAMPERINGS: dict[str, Hand] = {
    "deletes an open deployment": Hand(lambda record: record.ledger.book.open, _delete_open),
    "deletes an end from history": Hand(lambda record: record.ledger.history(10), _delete_end),
    "deletes a notice": Hand(lambda record: record.ledger.book.notices, _delete_notice),
    "deletes the hold": Hand(lambda record: _this(record.ledger.book.hold), _delete_hold),
    "puts a quarantine away": Hand(lambda record: sorted(record.ledger.quarantined), _put_away),
    "forgets what is settled": Hand(lambda record: _this(record.ledger.book.settled), _forget_settled),
    "settles the tag": Hand(
        lambda record: _this(record.tag if record.tag != record.ledger.book.settled else None), _settle
    ),
    "deletes the lease": Hand(lambda record: _this(record.ledger.held_lease), _delete_lease),
    "forgets a command": Hand(lambda record: sorted(record.ledger.commands), _forget_command),
    "forgets the reverts": Hand(lambda record: _this(record.ledger.book.reverts), _forget_reverts),
}
