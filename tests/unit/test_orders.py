"""What a command becomes, or why it makes no sense now."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from deployer.model import (
    Asked,
    Book,
    Command,
    Deployment,
    Hold,
    Image,
    Phase,
    Quarantine,
    Source,
    Version,
    deployment_id,
)
from deployer.orders import Senseless, abort, deploy, earlier, hold, resume, rollback, version_of

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
ALICE = Asked("request-1", "alice", "users complain")
ID = deployment_id(NOW, "request-1")
WANTED = Image("shuking-lambda", "sha256:" + "c" * 64)
LIVE, TARGET = Version("7", Image("shuking-lambda", "sha256:" + "a" * 64)), Version("5", WANTED)
HOLD = Hold("bob", "incident 42", NOW, "hold-1")
BAD = Quarantine(WANTED.digest, "id-0", "it fell over")


def going(phase: Phase, source: Source = Source.PUSH, **facts: Any) -> Deployment:
    return Deployment("id-9", WANTED, source, NOW, phase, **facts)


def senseless(order: Any, *given: Any, **named: Any) -> str:
    with pytest.raises(Senseless) as caught:
        order(*given, **named)
    return str(caught.value)


def test_a_hold_is_named_by_its_request() -> None:
    held = Hold("alice", "users complain", NOW, ID)

    assert hold(ALICE, Book(), NOW) == Command("hold", ALICE, NOW, hold=held)
    assert senseless(hold, ALICE, Book(hold=HOLD), NOW) == (
        "deployments are held already, by bob (incident 42); resume first to hold for another reason"
    )


def test_whoever_the_ledger_knows_by_an_arn_is_told_by_a_name() -> None:
    arn = "arn:aws:sts::123456789012:assumed-role/on-call/carol"
    held = Book(hold=replace(HOLD, by=arn))
    aborted = Command("abort", replace(ALICE, by=arn), NOW, deployment="id-9")
    under_way = Book(open=(going(Phase.UPDATING),), aborts=(aborted,))

    assert "held already, by carol (on-call) (incident 42);" in senseless(hold, ALICE, held, NOW)
    assert senseless(abort, ALICE, under_way, NOW, None).startswith("carol (on-call) has aborted")
    refused = senseless(deploy, ALICE, held, NOW, WANTED, Source.DEPLOY, passes=None, quarantine=None)
    assert refused.startswith("deployments are held by carol (on-call) (incident 42)")


def test_a_resume_waits_for_a_rollback() -> None:
    book = Book(hold=HOLD, open=(going(Phase.VERIFYING, Source.ROLLBACK, version="4"),))

    assert senseless(resume, ALICE, book, NOW) == (
        "deployment id-9 takes users back to version 4: resume when it has ended"
    )


def test_a_second_abort_tells_of_the_first() -> None:
    book = Book(open=(going(Phase.UPDATING),))
    first = abort(ALICE, book, NOW, None)

    assert senseless(abort, ALICE, replace(book, aborts=(first,)), NOW, None) == (
        "alice has aborted deployment id-9 already: users complain"
    )


def test_a_wish_that_is_open_already_is_joined_and_only_that() -> None:
    open_ = going(Phase.REQUESTED, Source.DEPLOY, passes="hold-1")

    def asked(source: Source, image: Image, passes: str | None) -> Command:
        return deploy(ALICE, Book(open=(open_,)), NOW, image, source, passes=passes, quarantine=None)

    assert asked(Source.DEPLOY, WANTED, "hold-1") == Command("deploy", ALICE, NOW, deployment="id-9")
    for source, image, passes in [
        (Source.DEPLOY, WANTED, None),
        (Source.RETRY, WANTED, "hold-1"),
        (Source.DEPLOY, LIVE.image, "hold-1"),
    ]:
        assert asked(source, image, passes).wish


def test_a_resume_is_of_the_hold_that_is_there() -> None:
    assert resume(ALICE, Book(hold=HOLD), NOW) == Command("resume", ALICE, NOW, hold=HOLD)
    assert senseless(resume, ALICE, Book(), NOW) == "nothing is held, so there is nothing to resume"


@pytest.mark.parametrize("named", [None, "id-9"])
def test_an_abort_is_of_what_is_under_way(named: str | None) -> None:
    book = Book(open=(going(Phase.REQUESTED), going(Phase.UPDATING)))

    assert abort(ALICE, book, NOW, named) == Command("abort", ALICE, NOW, deployment="id-9")


@pytest.mark.parametrize(
    ("open_", "named", "because"),
    [
        ((), None, "no deployment is under way, so there is nothing to abort"),
        (
            (going(Phase.REQUESTED),),
            None,
            "no deployment is under way, so there is nothing to abort; 1 that wait can be held",
        ),
        (
            (going(Phase.UPDATING),),
            "id-8",
            "deployment id-8 is not under way; id-9 (sha256:cccccccccccc…) is",
        ),
        ((going(Phase.REVERTING),), None, "deployment id-9 is on its way back already: "),
    ],
)
def test_an_abort_of_nothing_says_so(open_: tuple[Deployment, ...], named: str | None, because: str) -> None:
    assert senseless(abort, ALICE, Book(open=open_), NOW, named) == because


@pytest.mark.parametrize("source", [Source.DEPLOY, Source.RETRY])
@pytest.mark.parametrize(
    ("held", "passes"), [(None, None), (None, "hold-1"), (HOLD, "hold-1")], ids=["free", "lifted", "named"]
)
def test_an_image_is_deployed_by_its_digest(source: Source, held: Hold | None, passes: str | None) -> None:
    command = deploy(ALICE, Book(hold=held), NOW, WANTED, source, passes=passes, quarantine=None)

    wish = Deployment(ID, WANTED, source, NOW, by="alice", why="users complain", passes=passes)
    assert command == Command(source.value, ALICE, NOW, deployment=ID, wish=wish)


def test_a_hold_is_passed_by_its_name_alone_and_a_quarantine_by_a_retry_alone() -> None:
    def why(book: Book, source: Source, passes: str | None, quarantine: Quarantine | None = None) -> str:
        return senseless(deploy, ALICE, book, NOW, WANTED, source, passes=passes, quarantine=quarantine)

    held = Book(hold=HOLD)
    assert why(held, Source.DEPLOY, None) == (
        "deployments are held by bob (incident 42). Resume first, or name the hold to pass it: hold-1"
    )
    assert why(held, Source.RETRY, "hold-2") == (
        "deployments are held by bob (incident 42), and that hold is hold-1, not hold-2"
    )
    assert why(Book(), Source.DEPLOY, None, BAD) == (
        "sha256:cccccccccccc… is in quarantine since deployment id-0: it fell over. "
        "Retry it if it was not to blame"
    )
    assert deploy(ALICE, Book(), NOW, WANTED, Source.RETRY, passes=None, quarantine=BAD).wish


def back(book: Book, target: Version | None = TARGET, *, named: bool = False, **facts: Any) -> Command:
    quarantine = facts.get("quarantine")
    return rollback(ALICE, book, NOW, LIVE, target, quarantine=quarantine, named=named)


@pytest.mark.parametrize("held", [None, HOLD])
@pytest.mark.parametrize("named", [True, False])
def test_a_rollback_implies_a_hold_or_keeps_the_one_that_is_there(held: Hold | None, named: bool) -> None:
    hold_ = held or Hold("alice", "users complain", NOW, ID)

    command = back(Book(hold=held), named=named)

    wish = Deployment(
        ID,
        WANTED,
        Source.ROLLBACK,
        NOW,
        by="alice",
        why="users complain",
        leaving=None if named else "7",
        version="5",
    )
    assert command == Command("rollback", ALICE, NOW, deployment=ID, hold=hold_, wish=wish)


@pytest.mark.parametrize(
    ("book", "facts", "because"),
    [
        (
            Book(open=(going(Phase.REQUESTED, Source.ROLLBACK, version="4"),)),
            {"named": True},
            "a rollback to version 4 is under way already: deployment id-9",
        ),
        (
            Book(open=(going(Phase.UPDATING),)),
            {},
            "deployment id-9 (sha256:cccccccccccc…) is under way and in UPDATING: abort it, "
            "wait for its end, or say which other version users are to be on",
        ),
        (Book(), {"target": None}, "what was live before version 7 is not known: say which version"),
        (Book(), {"target": LIVE, "named": True}, "users are on version 7 already"),
        (
            Book(open=(going(Phase.VERIFYING),)),
            {"target": LIVE, "named": True},
            "users are on version 7, and deployment id-9 (sha256:cccccccccccc…) is under way: "
            "abort it, and hold, to keep them there",
        ),
        (
            Book(),
            {"quarantine": BAD, "named": True},
            "version 5 is no good: sha256:cccccccccccc… is in quarantine since deployment id-0: it fell over",
        ),
    ],
)
def test_a_rollback_that_leads_nowhere_says_why(book: Book, facts: dict[str, Any], because: str) -> None:
    assert senseless(back, book, **facts) == because


def test_a_rollback_to_a_named_version_does_not_wait() -> None:
    assert back(Book(open=(going(Phase.UPDATING),)), named=True).wish
    assert back(Book(open=(going(Phase.REQUESTED),))).wish


def took(number: str, previous: str, phase: Phase = Phase.SUCCEEDED, **facts: Any) -> Deployment:
    image = Image("shuking-lambda", "sha256:" + number * 64)
    before = Version(previous, Image("shuking-lambda", "sha256:" + previous * 64))
    made = Deployment(f"id-{number}", image, Source.PUSH, NOW, phase, previous=before, version=number)
    return replace(made, **facts)


@pytest.mark.parametrize(
    ("history", "numbers"),
    [
        ([], []),
        ([took("7", "6"), took("6", "4")], ["6", "4"]),
        ([took("8", "7", Phase.REVERTED), took("7", "5"), took("6", "5", Phase.REVERTED)], ["5"]),
        ([took("7", "5", Phase.STUCK)], ["5"]),
        ([took("7", "8", source=Source.ROLLBACK), took("8", "7"), took("7", "5")], ["5"]),
        ([took("7", "7"), took("7", "5")], ["5"]),  # deployed again, and nothing moved
        ([took("7", "6"), took("6", "7")], ["6"]),  # somebody moved live by hand: no way in circles
        ([replace(took("7", "5"), previous=None)], []),
        ([took("6", "5")], []),
    ],
)
def test_what_was_live_before_is_what_users_were_left_on(
    history: list[Deployment], numbers: list[str]
) -> None:
    assert [version.number for version in earlier(LIVE, history)] == numbers


def test_an_image_is_found_by_the_last_version_it_was_live_as() -> None:
    again = took("6", "5", image=took("4", "3").image)
    history = [took("6", "5", Phase.REVERTED), again, took("4", "3"), took("3", "2", version=None)]

    assert version_of(again.image.digest, history) == "6"
    assert version_of(took("6", "5").image.digest, history) is None
    assert version_of(took("3", "2").image.digest, history) is None
