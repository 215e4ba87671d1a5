"""Giving a command: once, whatever becomes of the answer, and with the deployment's moves meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from deployer.aws.deployer import Died
from deployer.commands.parts.acting import Given, Wish, exit_code, give
from deployer.commands.parts.following import Told
from deployer.commands.parts.standing import of
from deployer.commands.parts.target import Unusable
from deployer.model import Command, Deployment, Phase
from deployer.ports import LookAgain, Refused
from tests.deployments import HOLD, command, deployment, moved
from tests.fakes import FakeClock

GOING = deployment(1, Phase.UPDATING)
ROLLBACK = Wish("rollback", "users complain", {"to": "7"}, "request-1")
HOLDING = Wish("hold", "incident 42", {}, "request-1")


@dataclass
class FakeDeployer:
    """Answers so, once `waits_for` has happened; remembers what it was asked."""

    answer: object
    asked: list[Mapping[str, object]] = field(default_factory=list)
    waits_for: threading.Event | None = None

    def ask(self, command: Mapping[str, object]) -> object:
        self.asked.append(command)
        if self.waits_for:
            self.waits_for.wait(30)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class FakeLedger:
    """Knows this command after so many looks, and one deployment; the looks before raise what is in
    `troubles`."""

    known: Command | None = None
    after: int = 0
    found: Deployment | None = GOING
    troubles: list[Exception] = field(default_factory=list)
    looked: threading.Event = field(default_factory=threading.Event)
    looks: int = 0

    def command(self, request: str) -> Command | None:
        self.looks += 1
        if self.troubles:
            raise self.troubles.pop()
        return self.known if self.looks > self.after else None

    def find(self, deployment_id: str) -> Deployment | None:
        self.looked.set()
        return self.found


def given(deployer: FakeDeployer, ledger: FakeLedger, wish: Wish = ROLLBACK) -> tuple[Given, list[str]]:
    lines: list[str] = []
    told = Told(lines.append)
    clock = FakeClock(10)
    what = give(wish, "alice", deployer=deployer, ledger=ledger, clock=clock, told=told, tell=lines.append)
    return what, lines


def test_a_command_says_who_and_why_and_is_given_once() -> None:
    deployer = FakeDeployer({"deployment": GOING.id, "phase": "UPDATING", "because": "..."})

    assert given(deployer, FakeLedger())[0] == Given(deployment=GOING.id)
    assert deployer.asked == [
        {"command": "rollback", "by": "alice", "because": "users complain", "to": "7", "request": "request-1"}
    ]
    assert "because" not in Wish("resume", "", {}, "request-1").event("alice")


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ({"error": "nothing is held"}, Given(refused="nothing is held")),
        ({"held": {"id": "hold-1"}}, Given(hold={"id": "hold-1"})),
        ({"resumed": {"id": "hold-1"}}, Given(hold={"id": "hold-1"})),
    ],
)
def test_an_answer_is_what_came_of_it(answer: object, what: Given) -> None:
    assert given(FakeDeployer(answer), FakeLedger())[0] == what


@pytest.mark.parametrize("answer", [None, {}, [], {"ignored": "not for us"}, {"deployment": 7, "phase": "x"}])
def test_an_answer_that_is_none_is_not_taken_for_one(answer: object) -> None:
    with pytest.raises(Unusable, match="answered what this command does not understand"):
        given(FakeDeployer(answer), FakeLedger())


def test_while_the_deployer_works_its_moves_are_told() -> None:
    ledger = FakeLedger(command("rollback", wish=GOING), troubles=[LookAgain("slow down")])
    answer = {"deployment": GOING.id, "phase": "UPDATING"}

    _, lines = given(FakeDeployer(answer, waits_for=ledger.looked), ledger)

    assert [line.split()[1] for line in lines] == [GOING.id + ",", "UPDATING"]


@pytest.mark.parametrize("error", [LookAgain("Invoke: read timeout"), Died("Task timed out after 300 s")])
def test_a_command_whose_answer_is_lost_is_found_in_the_ledger(error: Exception) -> None:
    what, lines = given(FakeDeployer(error), FakeLedger(command("rollback", wish=GOING)))

    assert what == Given(deployment=GOING.id)
    assert str(error) in lines[0]
    assert lines[0].endswith(". The ledger has the command, so it is followed")


def test_a_command_on_its_way_is_waited_for() -> None:
    ledger = FakeLedger(command("hold", hold=HOLD), after=3, troubles=[LookAgain("slow down")])

    what, _ = given(FakeDeployer(LookAgain("connection lost")), ledger, HOLDING)

    assert what.hold
    assert (what.hold["id"], what.deployment) == (HOLD.id, None)


def test_a_command_that_nobody_has_was_lost_or_failed() -> None:
    lost, _ = given(FakeDeployer(LookAgain("Invoke: TooManyRequestsException")), FakeLedger())
    failed, _ = given(FakeDeployer(Died("MemoryError")), FakeLedger())
    unread, _ = given(FakeDeployer(Died("MemoryError")), FakeLedger(troubles=[Refused("AccessDenied")]))

    assert lost == Given(lost="no answer came from the deployer: Invoke: TooManyRequestsException")
    assert failed == unread == Given(failed="the deployer died: MemoryError")


def test_who_may_not_command_is_refused_at_once() -> None:
    ledger = FakeLedger()

    with pytest.raises(Refused, match="AccessDeniedException"):
        given(FakeDeployer(Refused("Invoke: AccessDeniedException: no")), ledger)
    assert ledger.looks == 0


@pytest.mark.parametrize(
    ("phase", "code", "of_an_abort"),
    [
        (Phase.SUCCEEDED, 0, 1),
        (Phase.REVERTED, 1, 0),
        (Phase.SUPERSEDED, 3, 0),
        (Phase.STUCK, 1, 1),
        (Phase.VERIFYING, 4, 4),
    ],
)
def test_an_abort_wants_its_deployment_not_to_stay(phase: Phase, code: int, of_an_abort: int) -> None:
    standing = of(moved(GOING, phase))

    assert exit_code("deploy", standing) == code
    assert exit_code("abort", standing) == of_an_abort
    assert exit_code("abort", replace(standing, deployment=None)) in (code, of_an_abort)
