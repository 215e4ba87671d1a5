"""Users reach the service through the stack's API, and follow `live`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.waiting import until
from tests.whole.team import SERVICE, Team

PAGE = "https://app.example.com"
"""Where a page is from that asks the service for something."""


@pytest.fixture(scope="module", autouse=True)
def _released(team: Team) -> None:
    team.release(team.build("in front of users"))


def test_users_reach_what_is_live(team: Team) -> None:
    answer = team.ask("/health")

    told = json.loads(answer.body)
    assert (answer.status, told["status"]) == (200, "ok")
    assert answer.headers["x-sandbox-version"] == team.live()


def test_a_pages_question_before_its_request_is_answered_by_the_service(team: Team) -> None:
    preflight = {"Origin": PAGE, "Access_Control_Request_Method": "POST"}

    answer = team.ask("/greetings", "OPTIONS", **preflight)

    # The gateway's own answers name no methods.
    assert (answer.status, answer.headers["Access-Control-Allow-Methods"]) == (204, "OPTIONS,POST")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["x-sandbox-version"] == team.live()


def test_each_request_is_a_line_in_the_access_log(team: Team) -> None:
    team.ask("/greetings/Ada?language=de")
    team.ask("/nothing/here", "POST")

    logs = team.sandbox.client("logs")
    events = logs.filter_log_events(logGroupName=f"/aws/apigateway/{team.function}")["events"]
    *_, greeting, nothing = (json.loads(event["message"]) for event in events)
    assert (greeting["method"], greeting["path"]) == ("GET", "/api/greetings/Ada")
    assert (greeting["status"], greeting["length"]) == ("200", str(len('{"message":"Hallo, Ada!"}')))
    assert (nothing["method"], nothing["path"], nothing["status"]) == ("POST", "/api/nothing/here", "404")
    assert greeting["requestId"] != nothing["requestId"]


def test_while_a_release_is_verified_users_stay_on_the_one_before(team: Team, tmp_path: Path) -> None:
    before = team.live()
    built = team.build("verified meanwhile", waiting_at(tmp_path / "gate"))

    with gate(tmp_path / "gate") as verifying:
        digest = team.upload(built)
        until(verifying, "the candidate's check")
        meanwhile = team.ask("/health")
    deployment = team.ended(digest)
    afterwards = team.ask("/health")

    assert meanwhile.headers["x-sandbox-version"] == before
    assert json.loads(meanwhile.body)["revision"] != "verified meanwhile"
    assert afterwards.headers["x-sandbox-version"] == deployment.version == team.live() != before
    assert json.loads(afterwards.body)["revision"] == "verified meanwhile"


def waiting_at(pipe: Path) -> dict[str, bytes]:
    """A service whose /health, while there is this pipe, waits until somebody has opened and closed it."""
    code = (SERVICE / "chalicelib" / "health.py").read_text()
    first = "    names = missing(environ)\n"
    assert first in code
    wait = f"    import os.path\n    if os.path.exists({str(pipe)!r}):\n        open({str(pipe)!r}).read()\n"
    return {"chalicelib/health.py": code.replace(first, wait + first).encode()}


@contextmanager
def gate(pipe: Path) -> Iterator[Callable[[], bool]]:
    """A pipe that nobody passes while this lasts; gives what says whether somebody waits at it."""
    os.mkfifo(pipe)
    held: list[int] = []

    def waited_at() -> bool:
        try:
            held.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # ENXIO: nobody reads
            return False
        pipe.unlink()
        return True

    try:
        yield waited_at
    finally:
        for each in held:
            os.close(each)
