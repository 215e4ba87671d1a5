"""The ledger on a DynamoDB that keeps what it is given: the sandbox's."""

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
    Asked,
    Book,
    CheckResult,
    Command,
    Conclusion,
    Deployment,
    Hold,
    Image,
    Moment,
    Notice,
    Phase,
    Quarantine,
    Source,
    Verdict,
)
from deployer.ports import AskedBefore, Lease, LeaseLost, LookAgain, Refused
from sandbox.server import Sandbox

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


def lease(ledger: DynamoLedger, holder: str = "first", now: datetime = NOW) -> Lease:
    held = ledger.acquire(holder, now, now + timedelta(minutes=5))
    assert held
    return held


# -- requests


def test_an_empty_ledger_knows_nothing(ledger: DynamoLedger) -> None:
    assert ledger.look() == Book()
    assert ledger.history(10) == []
    assert ledger.find("nothing") is None
    assert ledger.quarantine(DIGEST) is None


def test_requests_are_seen_oldest_first(ledger: DynamoLedger) -> None:
    assert ledger.request(deployment(2))
    assert ledger.request(deployment(1))
    assert ledger.look().open == (deployment(1), deployment(2))
    assert ledger.find(deployment(1).id) == deployment(1)


def test_an_event_that_is_delivered_twice_is_one_request(ledger: DynamoLedger) -> None:
    assert ledger.request(deployment())
    assert not ledger.request(deployment())
    assert ledger.look().open == (deployment(),)


def test_an_event_that_comes_again_during_its_deployment_changes_nothing(ledger: DynamoLedger) -> None:
    ledger.request(deployment())
    ledger.record(lease(ledger), deployment(1, Phase.UPDATING))
    assert not ledger.request(deployment())
    assert ledger.look().open == (deployment(1, Phase.UPDATING),)


def test_an_event_that_comes_again_after_the_end_is_no_new_request(ledger: DynamoLedger) -> None:
    ledger.request(deployment())
    ledger.end(lease(ledger), Conclusion(deployment(1, Phase.REJECTED), settled=DIGEST))
    assert not ledger.request(deployment())
    assert ledger.look().open == ()


# -- the lease


def test_one_deployer_at_a_time(ledger: DynamoLedger) -> None:
    lease(ledger, "first")
    assert ledger.acquire("second", NOW, NOW + timedelta(minutes=5)) is None


def test_an_invocation_that_is_tried_again_takes_over_from_what_died(ledger: DynamoLedger) -> None:
    ledger.request(deployment())
    died = lease(ledger, "first")
    again = lease(ledger, "first")
    assert again.token > died.token
    with pytest.raises(LeaseLost):
        ledger.record(died, deployment(1, Phase.UPDATING))


def test_a_lease_that_was_given_back_is_free(ledger: DynamoLedger) -> None:
    first = lease(ledger, "first")
    ledger.release(first)
    second = lease(ledger, "second")
    assert second.token > first.token
    assert second.holder == "second"


def test_a_lease_expires_a_little_later_than_it_says_for_clocks_differ(ledger: DynamoLedger) -> None:
    first = ledger.acquire("first", NOW, NOW + timedelta(seconds=60))
    assert first
    late = NOW + timedelta(seconds=120)
    assert ledger.acquire("second", NOW + timedelta(seconds=61), late) is None
    second = ledger.acquire("second", NOW + timedelta(seconds=67), late)
    assert second
    assert second.token == first.token + 1
    assert second.expires == late


def test_a_lease_that_somebody_took_over_is_not_given_back_by_its_former_holder(
    ledger: DynamoLedger,
) -> None:
    first = lease(ledger, "first")
    later = NOW + timedelta(minutes=10)
    second = lease(ledger, "second", later)
    ledger.release(first)
    assert ledger.acquire("third", later, later + timedelta(minutes=5)) is None
    ledger.release(second)
    assert ledger.acquire("third", later, later + timedelta(minutes=5))


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


def test_a_deployer_that_was_overtaken_writes_nothing(ledger: DynamoLedger) -> None:
    # given: a deployer that was paused while its lease ran out
    ledger.request(deployment())
    paused = lease(ledger, "paused")
    lease(ledger, "successor", NOW + timedelta(minutes=10))

    # when
    with pytest.raises(LeaseLost, match="paused"):
        ledger.record(paused, deployment(1, Phase.UPDATING))
    with pytest.raises(LeaseLost, match="paused"):
        ledger.end(paused, Conclusion(deployment(1, Phase.REJECTED), settled=DIGEST, quarantined=True))
    with pytest.raises(LeaseLost, match="paused"):
        ledger.end(paused, Conclusion(deployment(1, Phase.REJECTED)))

    # then
    assert ledger.look() == Book(open=(deployment(),), leased_to="successor")
    assert ledger.history(10) == []
    assert ledger.quarantine(DIGEST) is None


def test_what_was_recorded_is_seen(ledger: DynamoLedger) -> None:
    ledger.request(deployment())
    verified = replace(
        deployment(1, Phase.VERIFYING),
        version="7",
        verification=Verdict((CheckResult("GET /health", True, "200", "200 after 0.4 s", 0.4, 1),)),
    )
    ledger.record(lease(ledger), verified)
    assert ledger.look().open == (verified,)


def test_a_deployment_that_ended_is_not_opened_again(ledger: DynamoLedger) -> None:
    ledger.request(deployment())
    held = lease(ledger)
    ledger.end(held, Conclusion(deployment(1, Phase.REJECTED), settled=DIGEST))
    with pytest.raises(LookAgain, match="not open any more"):
        ledger.record(held, deployment(1, Phase.UPDATING))
    assert ledger.look().open == ()


def test_an_end_is_everything_at_once(ledger: DynamoLedger) -> None:
    # given
    ledger.request(deployment())
    ledger.request(deployment(2))
    reverting = moved(deployment(1, Phase.UPDATING), Phase.REVERTING, "GET /health answered 503")
    ended = moved(reverting, Phase.REVERTED, "users are on version 6")

    # when
    ledger.end(lease(ledger), Conclusion(ended, settled=DIGEST, quarantined=True))

    # then
    assert ledger.look() == Book(
        settled=DIGEST, open=(deployment(2),), notices=(Notice(ended),), leased_to="first"
    )
    assert ledger.history(10) == [ended]
    assert ledger.find(ended.id) == ended
    assert ledger.quarantine(DIGEST) == Quarantine(DIGEST, ended.id, "GET /health answered 503")


def test_an_end_that_settles_nothing_leaves_the_last_settled_digest(ledger: DynamoLedger) -> None:
    for number in (1, 2):
        ledger.request(deployment(number))
    held = lease(ledger)
    ledger.end(held, Conclusion(deployment(1, Phase.REJECTED), settled=DIGEST))
    other = replace(deployment(2, Phase.SUPERSEDED), image=Image("shuking-lambda", "sha256:" + "cd" * 32))
    ledger.end(held, Conclusion(other))
    assert ledger.look().settled == DIGEST


def test_ending_twice_is_ending_once(ledger: DynamoLedger) -> None:
    # given: an end whose answer was lost, and whose message was delivered by somebody meanwhile
    ledger.request(deployment())
    held, ended = lease(ledger), deployment(1, Phase.REVERTED)
    ledger.end(held, Conclusion(ended, settled=DIGEST, quarantined=True))
    ledger.sent(Notice(ended))

    # when
    ledger.end(held, Conclusion(ended, settled=DIGEST, quarantined=True))

    # then: nobody is told twice
    assert ledger.look() == Book(settled=DIGEST, leased_to="first")
    assert ledger.history(10) == [ended]


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


def test_a_message_that_could_not_be_delivered_is_kept_and_counted(ledger: DynamoLedger) -> None:
    ledger.request(deployment())
    ended = deployment(1, Phase.SUCCEEDED)
    ledger.end(lease(ledger), Conclusion(ended, settled=DIGEST))
    for tries in (1, 2):
        ledger.unsent(Notice(ended), NOW)
        assert ledger.look().notices == (Notice(ended, tries, NOW),)
    ledger.sent(Notice(ended, 2, NOW))
    assert ledger.look().notices == ()


def test_a_message_that_somebody_else_delivered_does_not_come_back(ledger: DynamoLedger) -> None:
    ledger.sent(Notice(deployment()))
    ledger.unsent(Notice(deployment()), NOW)
    assert ledger.look().notices == ()


def test_a_hold_stays_until_it_is_lifted_whoever_has_the_lease(ledger: DynamoLedger) -> None:
    hold = Hold("ana", "the database is being moved", NOW, "hold-1")
    held = lease(ledger)
    assert ledger.hold(command("hold", hold=hold))
    ledger.release(held)
    assert ledger.look().hold == hold
    assert ledger.resume(command("resume", "request-2", hold=hold))
    assert ledger.look().hold is None
    assert lease(ledger).token == held.token + 1


def test_a_digest_that_went_live_after_all_is_in_quarantine_no_more(ledger: DynamoLedger) -> None:
    held = lease(ledger)
    ledger.request(deployment(1))
    ledger.end(held, Conclusion(deployment(1, Phase.STUCK), settled=DIGEST, quarantined=True))
    assert ledger.quarantine(DIGEST)
    ledger.request(deployment(2))
    ledger.end(held, Conclusion(deployment(2, Phase.SUCCEEDED), settled=DIGEST, pardoned=True))
    assert ledger.quarantine(DIGEST) is None


def test_a_deployment_does_not_begin_when_a_hold_came_in_between(ledger: DynamoLedger) -> None:
    held = lease(ledger)
    ledger.request(deployment())
    ledger.hold(command("hold", hold=HOLD))
    with pytest.raises(LookAgain, match="a hold came in between"):
        ledger.record(held, deployment(1, Phase.UPDATING), begins=True)
    assert ledger.look().open == (deployment(),)

    ledger.resume(command("resume", "request-2", hold=HOLD))
    ledger.record(held, deployment(1, Phase.UPDATING), begins=True)
    assert ledger.look().open == (deployment(1, Phase.UPDATING),)


def test_a_deployment_that_names_the_hold_begins_under_it(ledger: DynamoLedger) -> None:
    held = lease(ledger)
    named = replace(deployment(), passes=HOLD.id)
    ledger.request(named)
    ledger.hold(command("hold", hold=HOLD))
    with pytest.raises(LookAgain):
        ledger.record(held, replace(named, phase=Phase.UPDATING, passes="another"), begins=True)
    ledger.record(held, replace(named, phase=Phase.UPDATING), begins=True)
    assert ledger.look().open == (replace(named, phase=Phase.UPDATING),)


def test_a_request_is_followed_once_whatever_it_asks(ledger: DynamoLedger) -> None:
    # given
    first = command("hold", hold=HOLD)
    ledger.hold(first)
    ledger.resume(command("resume", "request-2", hold=HOLD))
    ledger.request(deployment())

    # when, then: the first request comes again, perhaps with another wish in it
    for again in (ledger.hold, ledger.resume, ledger.ask, ledger.abort):
        with pytest.raises(AskedBefore):
            again(replace(first, deployment=deployment().id, wish=deployment(2)))
    assert ledger.look() == Book(open=(deployment(),))
    assert ledger.command("request-1") == first
    assert ledger.command("request-3") is None


def test_a_resume_lifts_the_hold_it_has_seen_and_no_later_one(ledger: DynamoLedger) -> None:
    ledger.hold(command("hold", hold=HOLD))
    assert not ledger.resume(command("resume", "request-2", hold=replace(HOLD, id="hold-0")))
    assert ledger.look().hold == HOLD
    assert ledger.command("request-2") is None


def test_a_hold_without_an_id_can_be_lifted(ledger: DynamoLedger) -> None:
    nameless = replace(HOLD, id="")
    ledger.hold(command("hold", hold=nameless))
    assert ledger.look().hold == nameless
    assert ledger.resume(command("resume", "request-2", hold=nameless))
    assert ledger.look().hold is None


def test_a_second_hold_leaves_the_first(ledger: DynamoLedger) -> None:
    ledger.hold(command("hold", hold=HOLD))
    assert not ledger.hold(command("hold", "request-2", hold=replace(HOLD, by="bob")))
    assert ledger.look().hold == HOLD


def test_what_is_asked_for_is_noted_with_its_hold_in_one_write(ledger: DynamoLedger) -> None:
    # given
    asked = command("rollback", hold=HOLD, wish=deployment())

    # when
    assert ledger.ask(asked)

    # then
    assert ledger.look() == Book(hold=HOLD, open=(deployment(),))
    assert ledger.command("request-1") == replace(asked, wish=None)
    assert not ledger.ask(command("rollback", "request-2", hold=HOLD, wish=deployment()))
    ledger.ask(command("rollback", "request-3", hold=replace(HOLD, by="bob"), wish=deployment(2)))
    assert ledger.look().hold == HOLD


def test_an_abort_stands_beside_its_deployment_until_that_ends(ledger: DynamoLedger) -> None:
    held = lease(ledger)
    ledger.request(deployment())
    wanted = command("abort", deployment=deployment().id)
    assert ledger.abort(wanted)
    ledger.record(held, deployment(1, Phase.UPDATING))
    assert ledger.look().aborts == (wanted,)
    assert not ledger.abort(command("abort", "request-2", deployment=deployment().id))

    ledger.end(held, Conclusion(deployment(1, Phase.REVERTED)))

    assert ledger.look().aborts == ()
    assert not ledger.abort(command("abort", "request-3", deployment=deployment().id))


def test_an_end_remembers_all_that_follows_from_it_and_a_resume_forgets_reverts(ledger: DynamoLedger) -> None:
    held = lease(ledger)
    ledger.request(deployment())

    ledger.end(
        held, Conclusion(deployment(1, Phase.REVERTED), DIGEST, "0123456789abcdef", reverts=3, hold=HOLD)
    )

    book = ledger.look()
    assert (book.settled, book.configured, book.reverts, book.hold) == (DIGEST, "0123456789abcdef", 3, HOLD)
    ledger.resume(command("resume", hold=HOLD))
    assert (ledger.look().reverts, ledger.look().hold) == (0, None)


def test_an_end_that_holds_leaves_a_persons_hold(ledger: DynamoLedger) -> None:
    held = lease(ledger)
    ledger.request(deployment())
    ledger.hold(command("hold", hold=HOLD))
    breaker = replace(HOLD, by="the circuit breaker", id="breaker")
    ledger.end(held, Conclusion(deployment(1, Phase.REVERTED), reverts=3, hold=breaker))
    assert ledger.look().hold == HOLD


def test_history_is_newest_first_and_no_longer_than_asked(ledger: DynamoLedger) -> None:
    held = lease(ledger)
    ended = [deployment(number, Phase.SUCCEEDED) for number in range(1, 6)]
    for each in ended:
        ledger.end(held, Conclusion(each, settled=DIGEST))
    assert ledger.history(3) == [ended[4], ended[3], ended[2]]
    assert ledger.history(100) == ended[::-1]
    assert ledger.history(0) == []


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
    ledger.end(lease(ledger), Conclusion(deployment(1, Phase.REVERTED), settled=DIGEST, quarantined=True))
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


CALLS = [
    ("query", lambda ledger: ledger.look()),
    ("query", lambda ledger: ledger.history(1)),
    ("get_item", lambda ledger: ledger.quarantine(DIGEST)),
    ("get_item", lambda ledger: ledger.find("id")),
    ("transact_write_items", lambda ledger: ledger.request(deployment())),
    ("transact_write_items", lambda ledger: ledger.record(HELD, deployment())),
    (
        "transact_write_items",
        lambda ledger: ledger.end(HELD, Conclusion(deployment(), settled=DIGEST, quarantined=True)),
    ),
    ("update_item", lambda ledger: ledger.acquire("first", NOW, NOW)),
    ("update_item", lambda ledger: ledger.release(HELD)),
    ("update_item", lambda ledger: ledger.unsent(Notice(deployment()), NOW)),
    ("get_item", lambda ledger: ledger.command("request-1")),
    ("transact_write_items", lambda ledger: ledger.ask(command("deploy", wish=deployment()))),
    ("transact_write_items", lambda ledger: ledger.hold(command("hold", hold=HOLD))),
    ("transact_write_items", lambda ledger: ledger.resume(command("resume", hold=HOLD))),
    ("transact_write_items", lambda ledger: ledger.abort(command("abort", deployment="id"))),
    ("delete_item", lambda ledger: ledger.sent(Notice(deployment()))),
    ("delete_item", lambda ledger: ledger.sent(Notice(deployment()))),
]


@pytest.mark.parametrize(("operation", "call"), CALLS)
def test_every_call_is_translated(stub: Stubber, dynamodb_client: Any, operation: str, call: Any) -> None:
    ledger = DynamoLedger(dynamodb_client, "table", "service")
    stub.add_client_error(operation, "ThrottlingException", "Rate exceeded", 400)
    with pytest.raises(LookAgain, match="Rate exceeded"):
        call(ledger)
    stub.add_client_error(operation, "AccessDeniedException", "not authorized to perform", 400)
    with pytest.raises(Refused, match="not authorized to perform"):
        call(ledger)
    stub.add_client_error(operation, "ResourceNotFoundException", "Requested resource not found", 400)
    with pytest.raises(Refused, match="Requested resource not found"):
        call(ledger)


def test_a_request_that_is_forgotten_leaves_no_trace_and_comes_again_as_new(ledger: DynamoLedger) -> None:
    made = deployment(1)
    ledger.request(made)

    ledger.forget(lease(ledger), made)

    assert ledger.look().open == ()
    assert ledger.look().notices == ()
    assert ledger.find(made.id) is None
    assert ledger.request(made)


def test_who_has_lost_the_lease_forgets_nothing(ledger: DynamoLedger) -> None:
    made = deployment(1)
    ledger.request(made)
    old = lease(ledger)
    ledger.release(old)
    lease(ledger, "second")

    with pytest.raises(LeaseLost):
        ledger.forget(old, made)

    assert ledger.look().open == (made,)
