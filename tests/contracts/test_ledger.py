"""What a ledger keeps: in memory, and in the sandbox's DynamoDB.

Whatever only DynamoDB can do wrong (pages, races between threads, answers that get lost) is in
tests/adapters/test_ledger.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from deployer.aws.ledger import CLOCK_SKEW, DynamoLedger
from deployer.model import (
    Book,
    Channel,
    CheckResult,
    Conclusion,
    Image,
    Notice,
    Phase,
    Verdict,
)
from deployer.ports import AskedBefore, LeaseLost, Ledger, LookAgain
from tests import fakes
from tests.deployments import BAD, DIGEST, HOLD, NOW, command, deployment, lease, moved
from tests.fakes import FakeLedger


@pytest.fixture(params=["memory", "sandbox"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        return FakeLedger()
    return DynamoLedger(request.getfixturevalue("dynamodb"), request.getfixturevalue("table"), "shuking-prod")


# -- requests


def test_an_empty_ledger_knows_nothing(ledger: Ledger) -> None:
    assert ledger.look() == Book()
    assert ledger.history(10) == []
    assert ledger.find("nothing") is None
    assert ledger.quarantine(DIGEST) is None


def test_requests_are_seen_oldest_first(ledger: Ledger) -> None:
    assert ledger.request(deployment(2))
    assert ledger.request(deployment(1))
    assert ledger.look().open == (deployment(1), deployment(2))
    assert ledger.find(deployment(1).id) == deployment(1)

    ledger.record(lease(ledger), deployment(1, Phase.UPDATING))
    assert ledger.look().open == (deployment(1, Phase.UPDATING), deployment(2))


def test_an_event_that_is_delivered_twice_is_one_request(ledger: Ledger) -> None:
    assert ledger.request(deployment())
    assert not ledger.request(deployment())
    assert ledger.look().open == (deployment(),)


def test_an_event_that_comes_again_during_its_deployment_changes_nothing(ledger: Ledger) -> None:
    ledger.request(deployment())
    ledger.record(lease(ledger), deployment(1, Phase.UPDATING))
    assert not ledger.request(deployment())
    assert ledger.look().open == (deployment(1, Phase.UPDATING),)


def test_an_event_that_comes_again_after_the_end_is_no_new_request(ledger: Ledger) -> None:
    ledger.request(deployment())
    ledger.end(lease(ledger), Conclusion(deployment(1, Phase.REJECTED), settled=DIGEST))
    assert not ledger.request(deployment())
    assert ledger.look().open == ()


# -- the lease


def test_one_deployer_at_a_time(ledger: Ledger) -> None:
    lease(ledger, "first")
    assert ledger.acquire("second", NOW, NOW + timedelta(minutes=5)) is None


def test_an_invocation_that_is_tried_again_takes_over_from_what_died(ledger: Ledger) -> None:
    ledger.request(deployment())
    died = lease(ledger, "first")
    again = lease(ledger, "first")
    assert again.token > died.token
    with pytest.raises(LeaseLost):
        ledger.record(died, deployment(1, Phase.UPDATING))


def test_a_lease_that_was_given_back_is_free(ledger: Ledger) -> None:
    first = lease(ledger, "first")
    ledger.release(first)
    second = lease(ledger, "second")
    assert second.token > first.token
    assert second.holder == "second"


def test_a_lease_expires_a_little_later_than_it_says_for_clocks_differ(ledger: Ledger) -> None:
    first = ledger.acquire("first", NOW, NOW + timedelta(seconds=60))
    assert first
    late = NOW + timedelta(seconds=120)
    assert ledger.acquire("second", NOW + timedelta(seconds=61), late) is None
    second = ledger.acquire("second", NOW + timedelta(seconds=67), late)
    assert second
    assert second.token == first.token + 1
    assert second.expires == late


def test_a_lease_is_whole_seconds_long(ledger: Ledger) -> None:
    lease(ledger, "first")  # for five minutes
    expired = NOW + timedelta(minutes=5) + CLOCK_SKEW
    late = expired + timedelta(minutes=5)
    assert ledger.acquire("second", expired, late) is None
    assert ledger.acquire("second", expired + timedelta(milliseconds=999), late) is None
    assert ledger.acquire("second", expired + timedelta(seconds=1), late)


def test_who_asks_again_for_its_own_lease_has_it_for_longer(ledger: Ledger) -> None:
    lease(ledger, "first")
    late = NOW + timedelta(minutes=8)
    again = ledger.acquire("first", NOW + timedelta(minutes=3), late)
    assert again
    assert again.expires == late
    assert ledger.acquire("second", NOW + timedelta(minutes=6), late) is None


def test_a_lease_of_a_holder_that_took_over_from_itself_is_given_back_by_its_newest_token(
    ledger: Ledger,
) -> None:
    died, again = lease(ledger, "first"), lease(ledger, "first")
    ledger.release(died)
    assert ledger.acquire("second", NOW, NOW + timedelta(minutes=5)) is None
    ledger.release(again)
    ledger.release(again)
    assert ledger.acquire("second", NOW, NOW + timedelta(minutes=5))


def test_a_lease_that_somebody_took_over_is_not_given_back_by_its_former_holder(
    ledger: Ledger,
) -> None:
    first = lease(ledger, "first")
    later = NOW + timedelta(minutes=10)
    second = lease(ledger, "second", later)
    ledger.release(first)
    assert ledger.acquire("third", later, later + timedelta(minutes=5)) is None
    ledger.release(second)
    assert ledger.acquire("third", later, later + timedelta(minutes=5))


# -- writing under the lease


def test_a_deployer_that_was_overtaken_writes_nothing(ledger: Ledger) -> None:
    # given: a deployer that was paused while its lease ran out
    ledger.request(deployment())
    paused = lease(ledger, "paused")
    lease(ledger, "successor", NOW + timedelta(minutes=10))

    # when
    with pytest.raises(LeaseLost):
        ledger.record(paused, deployment(1, Phase.UPDATING))
    with pytest.raises(LeaseLost):
        ledger.end(paused, Conclusion(deployment(1, Phase.REJECTED), settled=DIGEST, quarantine=BAD))
    with pytest.raises(LeaseLost):
        ledger.end(paused, Conclusion(deployment(1, Phase.REJECTED)))

    # then
    assert ledger.look() == Book(open=(deployment(),), leased_to="successor")
    assert ledger.history(10) == []
    assert ledger.quarantine(DIGEST) is None


def test_a_lease_that_was_given_back_still_fences_until_somebody_has_another(ledger: Ledger) -> None:
    ledger.request(deployment())
    first = lease(ledger, "first")
    ledger.release(first)
    ledger.record(first, deployment(1, Phase.UPDATING))
    lease(ledger, "second")
    with pytest.raises(LeaseLost):
        ledger.record(first, deployment(1, Phase.VERIFYING))
    assert ledger.look().open == (deployment(1, Phase.UPDATING),)


def test_a_deployer_that_was_overtaken_ends_nothing_again(ledger: Ledger) -> None:
    ledger.request(deployment())
    first = lease(ledger, "first")
    ledger.end(first, Conclusion(deployment(1, Phase.REJECTED)))
    lease(ledger, "second", NOW + timedelta(minutes=10))
    with pytest.raises(LeaseLost):
        ledger.end(first, Conclusion(deployment(1, Phase.REJECTED)))


def test_who_cannot_begin_looks_again_whether_it_was_a_hold_or_the_lease(ledger: Ledger) -> None:
    ledger.request(deployment())
    first = lease(ledger, "first")
    lease(ledger, "second", NOW + timedelta(minutes=10))
    with pytest.raises(LookAgain):
        ledger.record(first, deployment(1, Phase.UPDATING), begins=True)
    assert ledger.look().open == (deployment(),)


def test_what_nobody_requested_is_not_recorded(ledger: Ledger) -> None:
    with pytest.raises(LookAgain):
        ledger.record(lease(ledger), deployment(1, Phase.UPDATING))
    assert ledger.look() == Book(leased_to="first")


def test_what_was_recorded_is_seen(ledger: Ledger) -> None:
    ledger.request(deployment())
    verified = replace(
        deployment(1, Phase.VERIFYING),
        version="7",
        verification=Verdict((CheckResult("GET /health", True, "200", "200 after 0.4 s", 0.4, 1),)),
    )
    ledger.record(lease(ledger), verified)
    assert ledger.look().open == (verified,)


def test_a_deployment_that_ended_is_not_opened_again(ledger: Ledger) -> None:
    ledger.request(deployment())
    held = lease(ledger)
    ledger.end(held, Conclusion(deployment(1, Phase.REJECTED), settled=DIGEST))
    with pytest.raises(LookAgain):
        ledger.record(held, deployment(1, Phase.UPDATING))
    assert ledger.look().open == ()


def test_an_end_is_everything_at_once(ledger: Ledger) -> None:
    # given
    ledger.request(deployment())
    ledger.request(deployment(2))
    reverting = moved(deployment(1, Phase.UPDATING), Phase.REVERTING, "GET /health answered 503")
    ended = moved(reverting, Phase.REVERTED, "users are on version 6")

    # when
    ledger.end(lease(ledger), Conclusion(ended, settled=DIGEST, quarantine=BAD))

    # then
    assert ledger.look() == Book(
        settled=DIGEST, open=(deployment(2),), notices=(Notice(ended),), leased_to="first"
    )
    assert ledger.history(10) == [ended]
    assert ledger.find(ended.id) == ended
    assert ledger.quarantine(DIGEST) == BAD


def test_an_end_that_settles_nothing_leaves_the_last_settled_digest(ledger: Ledger) -> None:
    for number in (1, 2):
        ledger.request(deployment(number))
    held = lease(ledger)
    ledger.end(held, Conclusion(deployment(1, Phase.REJECTED), settled=DIGEST))
    other = replace(deployment(2, Phase.SUPERSEDED), image=Image("shuking-lambda", "sha256:" + "cd" * 32))
    ledger.end(held, Conclusion(other))
    assert ledger.look().settled == DIGEST


def test_ending_twice_is_ending_once(ledger: Ledger) -> None:
    # given: an end whose answer was lost, and whose message was delivered by somebody meanwhile
    ledger.request(deployment())
    held, ended = lease(ledger), deployment(1, Phase.REVERTED)
    ledger.end(held, Conclusion(ended, settled=DIGEST, quarantine=BAD))
    ledger.sent(Notice(ended))

    # when
    ledger.end(held, Conclusion(ended, settled=DIGEST, quarantine=BAD))

    # then: nobody is told twice
    assert ledger.look() == Book(settled=DIGEST, leased_to="first")
    assert ledger.history(10) == [ended]


def test_a_request_that_is_forgotten_leaves_no_trace_and_comes_again_as_new(ledger: Ledger) -> None:
    made = deployment(1)
    ledger.request(made)

    ledger.forget(lease(ledger), made)

    assert ledger.look().open == ()
    assert ledger.look().notices == ()
    assert ledger.find(made.id) is None
    assert ledger.request(made)


def test_who_has_lost_the_lease_forgets_nothing(ledger: Ledger) -> None:
    made = deployment(1)
    ledger.request(made)
    old = lease(ledger)
    ledger.release(old)
    lease(ledger, "second")

    with pytest.raises(LeaseLost):
        ledger.forget(old, made)

    assert ledger.look().open == (made,)


# -- notices, holds, quarantine, history


def test_an_end_that_comes_again_because_somebody_deleted_it_is_told_anew(ledger: Ledger) -> None:
    ledger.request(deployment())
    ended, held = deployment(1, Phase.REVERTED), lease(ledger)
    ledger.end(held, Conclusion(ended))
    ledger.unsent(Notice(ended, done=frozenset({Channel.MAIL})), NOW + timedelta(minutes=2))

    delete_from_history(ledger, ended.id)
    assert ledger.request(deployment())
    ledger.end(held, Conclusion(ended))

    assert ledger.look().notices == (Notice(ended),)


def test_who_still_tells_of_an_end_that_somebody_deleted_does_not_count_it_for_the_next(
    ledger: Ledger,
) -> None:
    ledger.request(deployment())
    first, held = deployment(1, Phase.REVERTED), lease(ledger)
    ledger.end(held, Conclusion(first))
    delete_from_history(ledger, first.id)
    ledger.request(deployment())
    second = moved(deployment(1, Phase.UPDATING), Phase.REVERTED)
    ledger.end(held, Conclusion(second))

    ledger.unsent(Notice(first, done=frozenset({Channel.MAIL})), NOW + timedelta(minutes=2))
    ledger.sent(Notice(first))

    assert ledger.look().notices == (Notice(second),)
    ledger.sent(Notice(second))
    assert ledger.look().notices == ()


def delete_from_history(ledger: Ledger, deployment_id: str) -> None:
    """As somebody does it by hand."""
    if isinstance(ledger, FakeLedger):
        del ledger.ended[deployment_id]
    elif isinstance(ledger, DynamoLedger):
        key = {"pk": {"S": "shuking-prod#history"}, "sk": {"S": deployment_id}}
        ledger._client.delete_item(TableName=ledger._table, Key=key)


def test_a_message_that_could_not_be_delivered_is_kept_and_counted(ledger: Ledger) -> None:
    ledger.request(deployment())
    ended = deployment(1, Phase.SUCCEEDED)
    ledger.end(lease(ledger), Conclusion(ended, settled=DIGEST))
    for tries in (1, 2):
        ledger.unsent(Notice(ended), NOW)
        assert ledger.look().notices == (Notice(ended, tries, NOW),)
    ledger.sent(Notice(ended, 2, NOW))
    assert ledger.look().notices == ()


def test_where_a_message_was_delivered_is_kept_whoever_else_writes(ledger: Ledger) -> None:
    ledger.request(deployment())
    ended = deployment(1, Phase.SUCCEEDED)
    ledger.end(lease(ledger), Conclusion(ended))
    [notice] = ledger.look().notices
    assert notice.owed == (Channel.MAIL, Channel.CHAT, Channel.EVENT)

    errors = ((Channel.CHAT, "NotFound"), (Channel.EVENT, "throttled"))
    ledger.unsent(replace(notice, done=frozenset({Channel.MAIL}), errors=errors), NOW)
    [kept] = ledger.look().notices
    assert (kept.owed, kept.errors, kept.tries) == ((Channel.CHAT, Channel.EVENT), errors, 1)

    # one that had not seen that, and got no further than the chat
    late = replace(notice, done=frozenset({Channel.CHAT}), errors=((Channel.MAIL, "no connection"),))
    ledger.unsent(late, NOW)
    [kept] = ledger.look().notices
    assert (kept.owed, kept.errors) == ((Channel.EVENT,), ((Channel.MAIL, "no connection"),))


def test_messages_wait_in_the_order_of_their_deployments_and_go_one_by_one(ledger: Ledger) -> None:
    held = lease(ledger)
    ended = [deployment(number, Phase.SUCCEEDED) for number in (3, 1, 2)]
    for each in ended:
        ledger.end(held, Conclusion(each))
    ledger.unsent(Notice(ended[0]), NOW)
    ledger.sent(Notice(ended[1]))
    assert ledger.look().notices == (Notice(ended[2]), Notice(ended[0], 1, NOW))


def test_a_message_that_somebody_else_delivered_does_not_come_back(ledger: Ledger) -> None:
    ledger.sent(Notice(deployment()))
    ledger.unsent(Notice(deployment()), NOW)
    assert ledger.look().notices == ()


def test_a_hold_stays_until_it_is_lifted_whoever_has_the_lease(ledger: Ledger) -> None:
    held = lease(ledger)
    assert ledger.hold(command("hold", hold=HOLD))
    ledger.release(held)
    assert ledger.look().hold == HOLD
    assert ledger.resume(command("resume", "request-2", hold=HOLD))
    assert ledger.look().hold is None
    assert lease(ledger).token == held.token + 1


def test_a_digest_that_went_live_after_all_is_in_quarantine_no_more(ledger: Ledger) -> None:
    held = lease(ledger)
    ledger.request(deployment(1))
    ledger.end(held, Conclusion(deployment(1, Phase.STUCK), settled=DIGEST, quarantine=BAD))
    assert ledger.quarantine(DIGEST)
    ledger.request(deployment(2))
    ledger.end(held, Conclusion(deployment(2, Phase.SUCCEEDED), settled=DIGEST, pardoned=True))
    assert ledger.quarantine(DIGEST) is None


def test_a_deployment_does_not_begin_when_a_hold_came_in_between(ledger: Ledger) -> None:
    held = lease(ledger)
    ledger.request(deployment())
    ledger.hold(command("hold", hold=HOLD))
    with pytest.raises(LookAgain):
        ledger.record(held, deployment(1, Phase.UPDATING), begins=True)
    assert ledger.look().open == (deployment(),)

    ledger.resume(command("resume", "request-2", hold=HOLD))
    ledger.record(held, deployment(1, Phase.UPDATING), begins=True)
    assert ledger.look().open == (deployment(1, Phase.UPDATING),)


def test_a_deployment_that_names_the_hold_begins_under_it(ledger: Ledger) -> None:
    held = lease(ledger)
    named = replace(deployment(), passes=HOLD.id)
    ledger.request(named)
    ledger.hold(command("hold", hold=HOLD))
    with pytest.raises(LookAgain):
        ledger.record(held, replace(named, phase=Phase.UPDATING, passes="another"), begins=True)
    ledger.record(held, replace(named, phase=Phase.UPDATING), begins=True)
    assert ledger.look().open == (replace(named, phase=Phase.UPDATING),)


def test_a_request_is_followed_once_whatever_it_asks(ledger: Ledger) -> None:
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


def test_a_resume_lifts_the_hold_it_has_seen_and_no_later_one(ledger: Ledger) -> None:
    ledger.hold(command("hold", hold=HOLD))
    assert not ledger.resume(command("resume", "request-2", hold=replace(HOLD, id="hold-0")))
    assert ledger.look().hold == HOLD
    assert ledger.command("request-2") is None


def test_a_hold_without_an_id_can_be_lifted(ledger: Ledger) -> None:
    nameless = replace(HOLD, id="")
    ledger.hold(command("hold", hold=nameless))
    assert ledger.look().hold == nameless
    assert ledger.resume(command("resume", "request-2", hold=nameless))
    assert ledger.look().hold is None


def test_a_second_hold_leaves_the_first(ledger: Ledger) -> None:
    ledger.hold(command("hold", hold=HOLD))
    assert not ledger.hold(command("hold", "request-2", hold=replace(HOLD, by="bob")))
    assert ledger.look().hold == HOLD


def test_what_is_asked_for_is_noted_with_its_hold_in_one_write(ledger: Ledger) -> None:
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


def test_an_abort_stands_beside_its_deployment_until_that_ends(ledger: Ledger) -> None:
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


def test_an_end_remembers_all_that_follows_from_it_and_a_resume_forgets_reverts(ledger: Ledger) -> None:
    held = lease(ledger)
    ledger.request(deployment())

    ledger.end(
        held, Conclusion(deployment(1, Phase.REVERTED), DIGEST, "0123456789abcdef", reverts=3, hold=HOLD)
    )

    book = ledger.look()
    assert (book.settled, book.configured, book.reverts, book.hold) == (DIGEST, "0123456789abcdef", 3, HOLD)
    ledger.resume(command("resume", hold=HOLD))
    assert (ledger.look().reverts, ledger.look().hold) == (0, None)


def test_an_end_that_holds_leaves_a_persons_hold(ledger: Ledger) -> None:
    held = lease(ledger)
    ledger.request(deployment())
    ledger.hold(command("hold", hold=HOLD))
    breaker = replace(HOLD, by="the circuit breaker", id="breaker")
    ledger.end(held, Conclusion(deployment(1, Phase.REVERTED), reverts=3, hold=breaker))
    assert ledger.look().hold == HOLD


def test_history_is_newest_first_and_no_longer_than_asked(ledger: Ledger) -> None:
    held = lease(ledger)
    ended = [deployment(number, Phase.SUCCEEDED) for number in range(1, 6)]
    for each in ended:
        ledger.end(held, Conclusion(each, settled=DIGEST))
    assert ledger.history(3) == [ended[4], ended[3], ended[2]]
    assert ledger.history(100) == ended[::-1]
    assert ledger.history(0) == []


def test_history_can_be_read_from_a_time_on_and_up_to_a_time(ledger: Ledger) -> None:
    held = lease(ledger)
    ended = [deployment(number, Phase.SUCCEEDED) for number in range(1, 6)]
    for each in ended:
        ledger.end(held, Conclusion(each, settled=DIGEST))
    second, fourth = ended[1].requested_at, ended[3].requested_at

    assert ledger.history(100, since=second) == ended[:0:-1]
    assert ledger.history(100, until=fourth) == ended[2::-1]
    assert ledger.history(100, since=second, until=fourth) == [ended[2], ended[1]]
    assert ledger.history(1, since=second, until=fourth) == [ended[2]]


def test_a_range_of_the_history_is_to_the_second_and_may_have_nothing_in_it(ledger: Ledger) -> None:
    held, one = lease(ledger), deployment(1, Phase.SUCCEEDED)
    ledger.end(held, Conclusion(one, settled=DIGEST))
    at = one.requested_at

    assert ledger.history(9, since=at + timedelta(milliseconds=900)) == [one]
    assert ledger.history(9, since=at + timedelta(seconds=1)) == []
    assert ledger.history(9, until=at) == []
    assert ledger.history(9, since=at, until=at) == []
    assert ledger.history(9, since=at, until=at - timedelta(days=1)) == []


def test_a_deployment_is_found_by_how_its_id_begins(ledger: Ledger) -> None:
    held = lease(ledger)
    ended = [deployment(number, Phase.SUCCEEDED) for number in (1, 2, 11)]
    for each in ended:
        ledger.end(held, Conclusion(each, settled=DIGEST))

    assert ledger.beginning("20260301T0301", 10) == [ended[0]]
    assert ledger.beginning("20260301T030", 10) == [ended[1], ended[0]]
    assert ledger.beginning("20260301T03", 2) == [ended[2], ended[1]]
    assert ledger.beginning("2027", 10) == []


def test_what_is_in_quarantine_can_be_listed_and_the_list_is_no_longer_than_asked(ledger: Ledger) -> None:
    held = lease(ledger)
    images = [Image("shuking-lambda", f"sha256:{digit * 64}") for digit in "1a5"]
    for number, each in enumerate(images):
        bad = replace(BAD, digest=each.digest)
        ended = replace(deployment(number, Phase.REVERTED), image=each)
        ledger.end(held, Conclusion(ended, quarantine=bad))
    listed = [replace(BAD, digest=f"sha256:{digit * 64}") for digit in "15a"]

    assert ledger.quarantines(10) == listed
    assert ledger.quarantines(2) == listed[:2]


# -- the two


def test_memory_and_dynamodb_allow_the_same_difference_between_clocks() -> None:
    assert fakes.CLOCK_SKEW == CLOCK_SKEW
