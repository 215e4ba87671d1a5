"""What DynamoDB can do to a ledger. What every ledger does is in tests/contracts/test_ledger.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber
from mypy_boto3_dynamodb import DynamoDBClient

from deployer.aws.ledger import DynamoLedger
from deployer.aws.record import BadRecord
from deployer.model import (
    Book,
    CheckResult,
    Conclusion,
    Notice,
    Phase,
    Verdict,
)
from deployer.ports import Lease, LeaseLost, LookAgain, Refused
from sandbox.server import Sandbox
from tests.deployments import BAD, DIGEST, HOLD, NOW, command, deployment, lease

# -- the lease, and requests


def test_an_answer_that_was_lost_does_not_lock_its_asker_out(sandbox: Sandbox, table: str) -> None:
    # given: a network that loses the answer once, so that botocore sends the same request again
    client, answers = sandbox.client("dynamodb"), []

    def lose_the_first(response: object, **_: object) -> float | None:
        answers.append(response)
        return 0.0 if len(answers) == 1 else None

    client.meta.events.register("needs-retry.dynamodb.UpdateItem", lose_the_first)

    # when / then
    assert lease(DynamoLedger(client, table, "shuking-prod")).token == 2
    assert len(answers) == 2


def test_of_many_that_ask_at_the_same_time_one_gets_the_lease(ledger: DynamoLedger) -> None:
    with ThreadPoolExecutor(8) as crowd:
        asked = [
            crowd.submit(ledger.acquire, str(number), NOW, NOW + timedelta(minutes=5)) for number in range(8)
        ]
    assert len([each.result() for each in asked if each.result()]) == 1


def test_of_many_deliveries_at_the_same_time_one_is_a_request(ledger: DynamoLedger) -> None:
    with ThreadPoolExecutor(8) as crowd:
        noted = [crowd.submit(ledger.request, deployment()) for _ in range(8)]
    assert [each.result() for each in noted].count(True) == 1
    assert ledger.look().open == (deployment(),)


# -- writing under the lease


def test_history_goes_by_itself_after_400_days(
    ledger: DynamoLedger, dynamodb: DynamoDBClient, table: str
) -> None:
    ledger.request(deployment())
    ended = deployment(1, Phase.SUCCEEDED)
    ledger.end(lease(ledger), Conclusion(ended, settled=DIGEST))
    key = {"pk": {"S": "shuking-prod#history"}, "sk": {"S": ended.id}}
    item = dynamodb.get_item(TableName=table, Key=key)["Item"]
    gone = datetime.fromtimestamp(int(item["expires_at"]["N"]), UTC)
    assert gone - ended.since == timedelta(days=400)


# -- notices, holds, quarantine, history


def test_more_than_one_page_is_read_to_its_end(ledger: DynamoLedger) -> None:
    # given: megabytes of messages that nobody could deliver; DynamoDB gives 1 MB at a time
    held = lease(ledger)
    loud = Verdict(tuple(CheckResult("x" * 1000, False, "x" * 1000, "x" * 1000, 1, 1) for _ in range(20)))
    ended = [
        replace(deployment(number, Phase.STUCK), verification=loud, confirmation=loud, restoration=loud)
        for number in range(1, 10)
    ]
    for each in ended:
        ledger.end(held, Conclusion(each, settled=DIGEST))

    # then
    assert ledger.look().notices == tuple(Notice(each) for each in ended)
    assert ledger.history(100) == ended[::-1]


def test_two_services_in_one_table_know_nothing_of_each_other(
    ledger: DynamoLedger, dynamodb: DynamoDBClient, table: str
) -> None:
    other = DynamoLedger(dynamodb, table, "shuking-staging")
    ledger.request(deployment())
    ledger.end(lease(ledger), Conclusion(deployment(1, Phase.REVERTED), settled=DIGEST, quarantine=BAD))
    ledger.hold(command("hold", hold=HOLD))
    assert other.look() == Book()
    assert other.history(10) == []
    assert other.quarantine(DIGEST) is None
    assert lease(other)


def test_items_of_a_later_deployer_are_in_nobodys_way(
    ledger: DynamoLedger, dynamodb: DynamoDBClient, table: str
) -> None:
    dynamodb.put_item(
        TableName=table,
        Item={"pk": {"S": "shuking-prod#now"}, "sk": {"S": "alarm#errors"}, "red": {"BOOL": True}},
    )
    assert ledger.look() == Book()


def test_an_open_deployment_that_cannot_be_read_is_named(
    ledger: DynamoLedger, dynamodb: DynamoDBClient, table: str
) -> None:
    dynamodb.put_item(
        TableName=table, Item={"pk": {"S": "shuking-prod#now"}, "sk": {"S": "deployment#7"}, "id": {"S": "7"}}
    )
    with pytest.raises(BadRecord, match=r"shuking-prod#now / deployment#7 cannot be read: KeyError: 'image'"):
        ledger.look()


# -- what DynamoDB refuses


@pytest.fixture(scope="module")
def dynamodb_client(silent: Callable[[str], Any]) -> Any:
    return silent("dynamodb")


@pytest.fixture
def stub(dynamodb_client: Any) -> Iterator[Stubber]:
    with Stubber(dynamodb_client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def cancelled(stub: Stubber, *reasons: str) -> None:
    stub.add_client_error(
        "transact_write_items",
        "TransactionCanceledException",
        "Transaction cancelled, please refer cancellation reasons for specific reasons",
        400,
        modeled_fields={"CancellationReasons": [{"Code": reason} for reason in reasons]},
    )


def test_decisions_are_made_on_what_is_there_now_not_a_second_ago(
    stub: Stubber, dynamodb_client: Any
) -> None:
    ledger = DynamoLedger(dynamodb_client, "table", "service")
    now, quarantined = {":pk": {"S": "service#now"}}, {"pk": {"S": "service#quarantine"}, "sk": {"S": DIGEST}}
    stub.add_response(
        "query",
        {"Items": []},
        {
            "TableName": "table",
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": now,
            "ScanIndexForward": True,
            "ConsistentRead": True,
        },
    )
    assert ledger.look() == Book()
    stub.add_response("get_item", {}, {"TableName": "table", "Key": quarantined, "ConsistentRead": True})
    assert ledger.quarantine(DIGEST) is None


HELD = Lease("first", 7, NOW)


@pytest.mark.parametrize(
    "reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
)
def test_a_transaction_that_collides_or_is_throttled_means_look_again(
    stub: Stubber, dynamodb_client: Any, reason: str
) -> None:
    ledger = DynamoLedger(dynamodb_client, "table", "service")
    cancelled(stub, reason, "None")
    with pytest.raises(LookAgain, match=reason):
        ledger.request(deployment())
    cancelled(stub, "None", reason)
    with pytest.raises(LookAgain, match=reason):
        ledger.record(HELD, deployment())
    cancelled(stub, "None", "None", reason, "None")
    with pytest.raises(LookAgain, match=reason):
        ledger.end(HELD, Conclusion(deployment(), settled=DIGEST))


def test_a_lost_lease_counts_more_than_anything_else_that_is_wrong(
    stub: Stubber, dynamodb_client: Any
) -> None:
    cancelled(stub, "ConditionalCheckFailed", "ConditionalCheckFailed", "TransactionConflict", "None")
    with pytest.raises(LeaseLost):
        DynamoLedger(dynamodb_client, "table", "service").end(HELD, Conclusion(deployment(), settled=DIGEST))


def test_an_item_that_dynamodb_will_never_take_is_refused(stub: Stubber, dynamodb_client: Any) -> None:
    cancelled(stub, "None", "ValidationError")
    with pytest.raises(Refused, match="None, ValidationError"):
        DynamoLedger(dynamodb_client, "table", "service").record(HELD, deployment())
