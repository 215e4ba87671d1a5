"""`ports.Ledger` on one DynamoDB table, keys `pk` and `sk`.

| pk                     | sk                | what                                              |
|------------------------|-------------------|---------------------------------------------------|
| `<service>#now`        | `state`           | settled digest, hold, lease                       |
|                        | `deployment#<id>` | an open deployment                                |
|                        | `notice#<id>`     | an end that people have not been told of          |
| `<service>#history`    | `<id>`            | an ended deployment, for 400 days; sorted by time |
| `<service>#quarantine` | `<digest>`        | why that digest is not deployed again             |

What is going on is one Query of `now`, however long the history is.

The lease is fenced: its token grows with every holder, and every write for a deployment asks in the same
transaction that the token is still the newest. A deployer that was paused for minutes and wakes up writes
nothing (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from deployer.aws.errors import translated
from deployer.aws.record import (
    Item,
    deployment_from,
    deployment_item,
    hold_from,
    hold_item,
    notice_from,
    quarantine_from,
    quarantine_item,
)
from deployer.model import Book, Deployment, Hold, Notice, Quarantine
from deployer.ports import Lease, LeaseLost, LookAgain, Refused

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


class DynamoLedger:
    """The ledger of `service` in `table`. Several services may share a table."""

    def __init__(self, client: DynamoDBClient, table: str, service: str) -> None:
        self._client = client
        self._table = table
        self._now = f"{service}#now"
        self._history = f"{service}#history"
        self._quarantine = f"{service}#quarantine"

    # -- reading

    def look(self) -> Book:
        """What is going on now: one consistent read, however long the history is."""
        state: Item = {}
        deployments: list[Deployment] = []
        notices: list[Notice] = []
        for item in self._query(self._now):
            match item["sk"].partition("#")[0]:
                case "state":
                    state = item
                case "deployment":
                    deployments.append(deployment_from(item))
                case "notice":
                    notices.append(notice_from(item))
        return Book(
            settled=state.get("settled"),
            hold=hold_from(state["hold"]) if "hold" in state else None,
            open=tuple(deployments),
            notices=tuple(notices),
        )

    def quarantine(self, digest: str) -> Quarantine | None:
        """Why `digest` is in quarantine, or None."""
        item = self._get(self._quarantine, digest)
        return quarantine_from(item) if item else None

    def history(self, limit: int) -> list[Deployment]:
        """The `limit` deployments that ended last, newest first."""
        items = self._query(self._history, newest_first=True, limit=limit)
        return [deployment_from(item) for item in items]

    def find(self, deployment_id: str) -> Deployment | None:
        """A deployment by its id, open or ended."""
        # In this order: it can end between the two reads, but never open again.
        item = self._get(self._now, f"deployment#{deployment_id}") or self._get(self._history, deployment_id)
        return deployment_from(item) if item else None

    # -- requests

    def request(self, deployment: Deployment) -> bool:
        """Note a new request. False if one with this id was noted before, ended or not."""
        return not self._write(
            self._put(self._now, f"deployment#{deployment.id}", deployment_item(deployment), _ABSENT),
            self._check(self._history, deployment.id, _ABSENT),
        )

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
        touch the function and a hold came in between."""
        failed = self._write(
            self._fence(lease, unless_held=begins),
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

    def end(
        self, lease: Lease, deployment: Deployment, *, settles: bool, quarantine: bool, pardon: bool = False
    ) -> None:
        """In one transaction: move it from the open ones to history, leave a notice to be sent, remember its
        digest as settled, and put it into quarantine or lift that. Done again, it does nothing: an answer may
        get lost."""
        item = deployment_item(deployment)
        gone = int((deployment.since + KEEP_HISTORY).timestamp())
        writes = [
            self._settle(lease, deployment.image.digest) if settles else self._fence(lease),
            self._put(self._history, deployment.id, {**item, "expires_at": gone}, _ABSENT),
            self._delete(self._now, f"deployment#{deployment.id}"),
            self._put(self._now, f"notice#{deployment.id}", {**item, "tries": 0}),
        ]
        if quarantine:
            bad = Quarantine(deployment.image.digest, deployment.id, deployment.failure or deployment.because)
            writes.append(self._put(self._quarantine, bad.digest, quarantine_item(bad)))
        if pardon:
            writes.append(self._delete(self._quarantine, deployment.image.digest))
        if 0 in self._write(*writes):
            raise _lost(lease)

    # -- what needs no lease

    def sent(self, notice: Notice) -> None:
        """The notice was delivered: forget it."""
        self._forget(self._now, f"notice#{notice.deployment.id}")

    def unsent(self, notice: Notice, again_at: datetime) -> None:
        """The notice could not be delivered: count the try, and wait."""
        with translated():
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=_key(self._now, f"notice#{notice.deployment.id}"),
                    UpdateExpression="SET again_at = :again ADD tries :one",
                    ConditionExpression=_THERE,
                    ExpressionAttributeValues=_values({":one": 1, ":again": again_at.isoformat()}),
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return  # somebody else delivered it meanwhile

    def hold(self, hold: Hold) -> bool:
        """Hold deployments. False if somebody holds them already: theirs stays."""
        with translated():
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=_key(self._now, "state"),
                    UpdateExpression="SET #hold = :hold",
                    ConditionExpression="attribute_not_exists(#hold)",
                    ExpressionAttributeNames={"#hold": "hold"},
                    ExpressionAttributeValues=_values({":hold": hold_item(hold)}),
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def resume(self) -> None:
        """Lift the hold, if there is one."""
        with translated():
            self._client.update_item(
                TableName=self._table,
                Key=_key(self._now, "state"),
                UpdateExpression="REMOVE #hold",
                ExpressionAttributeNames={"#hold": "hold"},
            )

    # -- DynamoDB

    def _query(self, pk: str, *, newest_first: bool = False, limit: int | None = None) -> Iterator[Item]:
        """All items of `pk`, or the first `limit`; DynamoDB gives at most 1 MB at a time."""
        request: QueryInputTypeDef = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": _values({":pk": pk}),
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

    def _forget(self, pk: str, sk: str) -> None:
        with translated():
            self._client.delete_item(TableName=self._table, Key=_key(pk, sk))

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

    def _fence(self, lease: Lease, *, unless_held: bool = False) -> TransactWriteItemTypeDef:
        check: TransactWriteItemTypeDef = {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": _key(self._now, "state"),
                "ConditionExpression": "lease_token = :token",
                "ExpressionAttributeValues": _values({":token": lease.token}),
            }
        }
        if unless_held:
            check["ConditionCheck"]["ConditionExpression"] += " AND attribute_not_exists(#hold)"
            check["ConditionCheck"]["ExpressionAttributeNames"] = {"#hold": "hold"}
        return check

    def _settle(self, lease: Lease, digest: str) -> TransactWriteItemTypeDef:
        return {
            "Update": {
                "TableName": self._table,
                "Key": _key(self._now, "state"),
                "UpdateExpression": "SET settled = :digest",
                "ConditionExpression": "lease_token = :token",
                "ExpressionAttributeValues": _values({":digest": digest, ":token": lease.token}),
            }
        }


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"{lease.holder} held the lease with token {lease.token}; somebody holds a newer one")


def _key(pk: str, sk: str) -> dict[str, AttributeValueTypeDef]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _values(item: Item) -> dict[str, AttributeValueTypeDef]:
    serialize = TypeSerializer().serialize
    return {name: serialize(value) for name, value in item.items()}


def _plain(item: Any) -> Item:
    deserialize = TypeDeserializer().deserialize
    return {name: deserialize(value) for name, value in item.items()}
