"""`ports.Ledger` on one DynamoDB table, keys `pk` and `sk`.

| pk                     | sk                | what                                              |
|------------------------|-------------------|---------------------------------------------------|
| `<service>#now`        | `state`           | settled digest, hold, lease                       |
|                        | `deployment#<id>` | an open deployment                                |
|                        | `abort#<id>`      | the command to turn it round                      |
|                        | `notice#<id>`     | an end that has not been told everywhere          |
| `<service>#history`    | `<id>`            | an ended deployment, for 400 days; sorted by time |
| `<service>#quarantine` | `<digest>`        | why that digest is not deployed again             |
| `<service>#commands`   | `<request id>`    | a command that was followed, by whom and why      |

What is going on is one Query of `now`, however long the history is.

The lease is fenced: its token grows with every holder, and every write for a deployment asks in the same
transaction that the token is still the newest. A deployer that was paused for minutes and wakes up writes
nothing (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from deployer.aws.errors import translated
from deployer.aws.record import (
    Item,
    command_from,
    command_item,
    deployment_from,
    deployment_item,
    errors_item,
    hold_from,
    hold_item,
    notice_from,
    quarantine_from,
    quarantine_item,
)
from deployer.model import Book, Command, Conclusion, Deployment, Notice, Quarantine, id_time
from deployer.ports import AskedBefore, Lease, LeaseLost, LookAgain, Refused

if TYPE_CHECKING:  # stubs are no dependency of the deployed package
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        QueryInputTypeDef,
        TransactWriteItemTypeDef,
    )

# Two deployers' clocks differ by less than this; NTP keeps Lambda's within milliseconds.
CLOCK_SKEW = timedelta(seconds=5)
KEEP_HISTORY = timedelta(days=400)

_ABSENT = "attribute_not_exists(pk)"
_THERE = "attribute_exists(pk)"
# A deployment ends twice when somebody deletes its end by hand and its event comes again. Who is still
# telling of the first must not count it for the second. An older deployer's notice says no time.
_THIS_END = f"{_THERE} AND (attribute_not_exists(ended_at) OR ended_at = :ended)"


class DynamoLedger:
    """The ledger of `service` in `table`. Several services may share a table."""

    def __init__(self, client: DynamoDBClient, table: str, service: str) -> None:
        self._client = client
        self._table = table
        self._now = f"{service}#now"
        self._history = f"{service}#history"
        self._quarantine = f"{service}#quarantine"
        self._commands = f"{service}#commands"

    # -- reading

    def look(self) -> Book:
        """What is going on now: one consistent read, however long the history is."""
        state: Item = {}
        deployments: list[Deployment] = []
        aborts: list[Command] = []
        notices: list[Notice] = []
        for item in self._query(self._now):
            match item["sk"].partition("#")[0]:
                case "state":
                    state = item
                case "deployment":
                    deployments.append(deployment_from(item))
                case "abort":
                    aborts.append(command_from(item))
                case "notice":
                    notices.append(notice_from(item))
        return Book(
            settled=state.get("settled"),
            configured=state.get("configured"),
            hold=hold_from(state["hold"]) if "hold" in state else None,
            reverts=int(state.get("reverts", 0)),
            open=tuple(deployments),
            aborts=tuple(aborts),
            notices=tuple(notices),
            leased_to=state.get("lease_holder"),
        )

    def quarantine(self, digest: str) -> Quarantine | None:
        """Why `digest` is in quarantine, or None."""
        item = self._get(self._quarantine, digest)
        return quarantine_from(item) if item else None

    def quarantines(self, limit: int) -> list[Quarantine]:
        """The digests that are in quarantine, at most `limit` of them, in their own order."""
        return [quarantine_from(item) for item in self._query(self._quarantine, limit=limit)]

    def history(
        self, limit: int, since: datetime | None = None, until: datetime | None = None
    ) -> list[Deployment]:
        """The deployments that ended, newest first: those that were asked for from `since` on and before
        `until`, both to the second.

        An id begins with the time of its request, so this reads no more of the table than it gives back.
        """
        from_id, to_id = id_time(since) if since else "", id_time(until) if until else ""
        if from_id and to_id and from_id >= to_id:
            return []  # DynamoDB refuses a range whose end comes first
        match bool(from_id), bool(to_id):
            case True, True:
                keys, values = " AND sk BETWEEN :from AND :to", {":from": from_id, ":to": to_id}
            case True, False:
                keys, values = " AND sk >= :from", {":from": from_id}
            case False, True:
                keys, values = " AND sk < :to", {":to": to_id}
            case _:
                keys, values = "", {}
        items = self._query(self._history, keys, values, newest_first=True, limit=limit)
        return [deployment_from(item) for item in items]

    def beginning(self, beginning: str, limit: int) -> list[Deployment]:
        """The deployments that ended whose ids begin so, newest first."""
        items = self._query(
            self._history,
            " AND begins_with(sk, :beginning)",
            {":beginning": beginning},
            newest_first=True,
            limit=limit,
        )
        return [deployment_from(item) for item in items]

    def find(self, deployment_id: str) -> Deployment | None:
        """A deployment by its id, open or ended."""
        # In this order: it can end between the two reads, but never open again.
        item = self._get(self._now, f"deployment#{deployment_id}") or self._get(self._history, deployment_id)
        return deployment_from(item) if item else None

    # -- requests

    def request(self, deployment: Deployment) -> bool:
        """Note a new request. False if one with this id was noted before, ended or not."""
        return not self._write(*self._new(deployment))

    # -- the lease

    def acquire(self, holder: str, now: datetime, expires: datetime) -> Lease | None:
        """The lease, or None while somebody else holds one that has not expired."""
        with translated():
            try:
                response = self._client.update_item(
                    TableName=self._table,
                    Key=_key(self._now, "state"),
                    UpdateExpression=(
                        "SET lease_holder = :holder, lease_expires = :expires ADD lease_token :one"
                    ),
                    ConditionExpression=(
                        # Lambda tries an invocation again under its old id: what held the lease then is dead,
                        # or, if it was only delivered twice, is stopped by its older token.
                        "attribute_not_exists(lease_holder) OR lease_holder = :holder"
                        " OR lease_expires < :past"
                    ),
                    ExpressionAttributeValues=_values(
                        {
                            ":holder": holder,
                            ":expires": int(expires.timestamp()),
                            ":past": int((now - CLOCK_SKEW).timestamp()),
                            ":one": 1,
                        }
                    ),
                    ReturnValues="UPDATED_NEW",
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return None
        return Lease(holder, int(_plain(response["Attributes"])["lease_token"]), expires)

    def release(self, lease: Lease) -> None:
        """Give the lease back, if it is still ours."""
        with translated():
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=_key(self._now, "state"),
                    UpdateExpression="REMOVE lease_holder, lease_expires",
                    ConditionExpression="lease_token = :token",
                    ExpressionAttributeValues=_values({":token": lease.token}),
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return  # somebody took it over; theirs stays

    # -- writing under the lease

    def record(self, lease: Lease, deployment: Deployment, *, begins: bool = False) -> None:
        """Write down an open deployment. Raises `LookAgain` if it is not open any more, or if it `begins` to
        touch the function and a hold came in between that it may not pass."""
        failed = self._write(
            self._fence(lease, begins=deployment if begins else None),
            self._put(self._now, f"deployment#{deployment.id}", deployment_item(deployment), _THERE),
        )
        if 0 in failed and begins:
            # Which of the two it was shows when it is looked at again: a hold in the state, or the next
            # write under the lease.
            raise LookAgain(f"{deployment.id} cannot begin: a hold came in between, or the lease is lost")
        if 0 in failed:
            raise _lost(lease)
        if failed:
            raise LookAgain(f"{deployment.id} is not open any more: it ended, or was never requested")

    def forget(self, lease: Lease, request: Deployment) -> None:
        """Take a request that waits out again, with no trace and no notice: another one is for both."""
        if self._write(self._fence(lease), self._delete(self._now, f"deployment#{request.id}")):
            raise _lost(lease)

    def end(self, lease: Lease, conclusion: Conclusion) -> None:
        """In one transaction: move the deployment from the open ones to history, leave a notice to be sent,
        and remember what the conclusion says. Done again, it does nothing: an answer may get lost."""
        deployment = conclusion.deployment
        item, digest = deployment_item(deployment), deployment.image.digest
        gone = int((deployment.since + KEEP_HISTORY).timestamp())
        writes = [
            self._remember(lease, conclusion),
            self._put(self._history, deployment.id, {**item, "expires_at": gone}, _ABSENT),
            self._delete(self._now, f"deployment#{deployment.id}"),
            self._delete(self._now, f"abort#{deployment.id}"),
            self._put(
                self._now,
                f"notice#{deployment.id}",
                {**item, "tries": 0, "ended_at": _ended_at(deployment)},
            ),
        ]
        if conclusion.quarantine:
            writes.append(self._put(self._quarantine, digest, quarantine_item(conclusion.quarantine)))
        if conclusion.pardoned:
            writes.append(self._delete(self._quarantine, digest))
        if 0 in self._write(*writes):
            raise _lost(lease)

    # -- what needs no lease

    def sent(self, notice: Notice) -> None:
        """The notice was delivered, or given up, everywhere: forget it."""
        with translated():
            try:
                self._client.delete_item(
                    TableName=self._table,
                    Key=_key(self._now, f"notice#{notice.deployment.id}"),
                    ConditionExpression=_THIS_END,
                    ExpressionAttributeValues=_values({":ended": _ended_at(notice.deployment)}),
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return  # gone already, or of another end, which is still to be told

    def unsent(self, notice: Notice, again_at: datetime) -> None:
        """The notice could not be delivered everywhere: keep where it is done, and why not elsewhere, count
        the try, and wait. What somebody else found done stays done."""
        adds, values = (
            "tries :one",
            {
                ":one": 1,
                ":again": again_at.isoformat(),
                ":errors": errors_item(notice),
                ":ended": _ended_at(notice.deployment),
            },
        )
        if notice.done:  # DynamoDB has no empty sets
            adds += ", done :done"
            values[":done"] = {channel.value for channel in notice.done}
        with translated():
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=_key(self._now, f"notice#{notice.deployment.id}"),
                    UpdateExpression=f"SET again_at = :again, errors = :errors ADD {adds}",
                    ConditionExpression=_THIS_END,
                    ExpressionAttributeValues=_values(values),
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return  # somebody else delivered it meanwhile, or it is of another end

    # -- commands

    def command(self, request: str) -> Command | None:
        """The command with this request's id, if one was followed."""
        item = self._get(self._commands, request)
        return command_from(item) if item else None

    def ask(self, command: Command) -> bool:
        """Note the deployment that the command asks for, unless it joins one, and set its hold if there is
        none. False if that deployment was noted before. Raises `AskedBefore`."""
        writes = self._new(command.wish) if command.wish else []
        if command.hold:
            unless_held = "SET #hold = if_not_exists(#hold, :hold)"
            writes.append(self._change_state(unless_held, _held_by(command)))
        return not self._follow(command, *writes)

    def hold(self, command: Command) -> bool:
        """Set the command's hold. False if deployments are held already. Raises `AskedBefore`."""
        write = self._change_state("SET #hold = :hold", _held_by(command), "attribute_not_exists(#hold)")
        return not self._follow(command, write)

    def resume(self, command: Command) -> bool:
        """Lift the command's hold, and forget reverts. False if it is another one. Raises `AskedBefore`."""
        write = self._change_state("REMOVE #hold, reverts", _held_by(command), "#hold = :hold")
        return not self._follow(command, write)

    def abort(self, command: Command) -> bool:
        """Note that the command's deployment is to be turned round. False if it is not open, or if that was
        noted before. Raises `AskedBefore`."""
        return not self._follow(
            command,
            self._check(self._now, f"deployment#{command.deployment}", _THERE),
            self._put(self._now, f"abort#{command.deployment}", command_item(command), _ABSENT),
        )

    def _new(self, deployment: Deployment) -> list[TransactWriteItemTypeDef]:
        return [
            self._put(self._now, f"deployment#{deployment.id}", deployment_item(deployment), _ABSENT),
            self._check(self._history, deployment.id, _ABSENT),
        ]

    def _follow(self, command: Command, *writes: TransactWriteItemTypeDef) -> set[int]:
        """Write all or nothing, and the command with it, if it is the first of its request."""
        gone = int((command.at + KEEP_HISTORY).timestamp())
        item = {**command_item(command), "expires_at": gone}
        failed = self._write(self._put(self._commands, command.asked.request, item, _ABSENT), *writes)
        if 0 in failed:
            raise AskedBefore(f"request {command.asked.request} was followed before")
        return failed

    # -- DynamoDB

    def _query(
        self,
        pk: str,
        keys: str = "",
        values: Item | None = None,
        *,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> Iterator[Item]:
        """All items of `pk` whose `sk` is as the condition `keys` says, or the first `limit` of them.

        DynamoDB gives at most 1 MB at a time.
        """
        request: QueryInputTypeDef = {
            "TableName": self._table,
            "KeyConditionExpression": f"pk = :pk{keys}",
            "ExpressionAttributeValues": _values({":pk": pk, **(values or {})}),
            "ConsistentRead": True,
            "ScanIndexForward": not newest_first,
        }
        left = limit
        while left is None or left > 0:
            if left is not None:
                request["Limit"] = left
            with translated():
                page = self._client.query(**request)
            yield from (_plain(item) for item in page["Items"])
            if left is not None:
                left -= len(page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _get(self, pk: str, sk: str) -> Item | None:
        with translated():
            response = self._client.get_item(TableName=self._table, Key=_key(pk, sk), ConsistentRead=True)
        return _plain(response["Item"]) if "Item" in response else None

    def _write(self, *writes: TransactWriteItemTypeDef) -> set[int]:
        """Write all or nothing. Which of the writes' conditions did not hold; empty if it is written."""
        with translated():
            try:
                self._client.transact_write_items(TransactItems=writes)
            except self._client.exceptions.TransactionCanceledException as error:
                # One reason per write, in their order.
                reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
                failed = {i for i, reason in enumerate(reasons) if reason == "ConditionalCheckFailed"}
                if failed:
                    return failed
                told = (
                    f"the ledger's transaction was cancelled: {', '.join(str(reason) for reason in reasons)}"
                )
                if {"ValidationError", "ItemCollectionSizeLimitExceeded"}.intersection(reasons):
                    raise Refused(told) from error
                raise LookAgain(told) from error
        return set()

    def _put(self, pk: str, sk: str, item: Item, condition: str | None = None) -> TransactWriteItemTypeDef:
        put: TransactWriteItemTypeDef = {
            "Put": {"TableName": self._table, "Item": _values({**item, "pk": pk, "sk": sk})}
        }
        if condition:
            put["Put"]["ConditionExpression"] = condition
        return put

    def _delete(self, pk: str, sk: str) -> TransactWriteItemTypeDef:
        return {"Delete": {"TableName": self._table, "Key": _key(pk, sk)}}

    def _check(self, pk: str, sk: str, condition: str) -> TransactWriteItemTypeDef:
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": _key(pk, sk),
                "ConditionExpression": condition,
            }
        }

    def _fence(self, lease: Lease, *, begins: Deployment | None = None) -> TransactWriteItemTypeDef:
        """Only under this lease; and, for a deployment that begins, only if no hold is in its way."""
        values: Item = {":token": lease.token}
        check: TransactWriteItemTypeDef = {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": _key(self._now, "state"),
                "ConditionExpression": "lease_token = :token",
            }
        }
        if begins and not begins.passes_any_hold:
            check["ConditionCheck"]["ConditionExpression"] += (
                " AND (attribute_not_exists(#hold) OR #hold.#id = :passes)"
            )
            check["ConditionCheck"]["ExpressionAttributeNames"] = {"#hold": "hold", "#id": "id"}
            values[":passes"] = begins.passes or "none"  # no hold's id
        check["ConditionCheck"]["ExpressionAttributeValues"] = _values(values)
        return check

    def _remember(self, lease: Lease, conclusion: Conclusion) -> TransactWriteItemTypeDef:
        """The fence of an end, and what it leaves in the state."""
        changes = ["reverts = :reverts"]
        values: Item = {":token": lease.token, ":reverts": conclusion.reverts}
        if conclusion.settled:
            changes.append("settled = :settled")
            values[":settled"] = conclusion.settled
        if conclusion.configured:
            changes.append("configured = :configured")
            values[":configured"] = conclusion.configured
        if conclusion.hold:
            changes.append("#hold = if_not_exists(#hold, :hold)")
            values[":hold"] = hold_item(conclusion.hold)
        return self._change_state(f"SET {', '.join(changes)}", values, "lease_token = :token")

    def _change_state(
        self, change: str, values: Item, condition: str | None = None
    ) -> TransactWriteItemTypeDef:
        update: TransactWriteItemTypeDef = {
            "Update": {
                "TableName": self._table,
                "Key": _key(self._now, "state"),
                "UpdateExpression": change,
                "ExpressionAttributeValues": _values(values),
            }
        }
        if condition:
            update["Update"]["ConditionExpression"] = condition
        if "#hold" in f"{change} {condition}":
            update["Update"]["ExpressionAttributeNames"] = {"#hold": "hold"}
        return update


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"{lease.holder} held the lease with token {lease.token}; somebody holds a newer one")


def _ended_at(deployment: Deployment) -> str:
    return deployment.since.astimezone(UTC).isoformat()


def _held_by(command: Command) -> Item:
    if command.hold is None:
        raise ValueError(f"a command to {command.verb} that names no hold")
    return {":hold": hold_item(command.hold)}


def _key(pk: str, sk: str) -> dict[str, AttributeValueTypeDef]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _values(item: Item) -> dict[str, AttributeValueTypeDef]:
    serialize = TypeSerializer().serialize
    return {name: serialize(value) for name, value in item.items()}


def _plain(item: Any) -> Item:
    deserialize = TypeDeserializer().deserialize
    return {name: deserialize(value) for name, value in item.items()}
