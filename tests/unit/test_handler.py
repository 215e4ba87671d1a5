"""The entry point: every event gets a clear log line and a count, whatever it is."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from deployer import handler
from deployer.events import CheckAsked, Unreadable
from deployer.model import Phase
from deployer.ports import Answer
from deployer.settings import BadSettings
from deployer.smoke import INVOCATION_SECONDS
from tests.fakes import UNHEALTHY, World, image
from tests.unit.test_settings import GOOD

PUSH: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "events" / "eventbridge" / "push.json").read_text()
)


class Context:
    """What Lambda hands over beside the event."""

    function_name = "shuking-deployer"
    function_version = "$LATEST"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:shuking-deployer"
    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 300_000


CONTEXT = cast("LambdaContext", Context())
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """The handler with good settings; call it for the JSON lines that were logged since."""
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "deployer")
    monkeypatch.setattr(handler.metrics, "namespace", "deployer")
    log = io.StringIO()
    monkeypatch.setattr(handler.logger.registered_handler, "stream", log)
    handler._settings.cache_clear()

    def read() -> list[dict[str, Any]]:
        written = log.getvalue() + capsys.readouterr().out  # the metrics are printed
        return [json.loads(line) for line in written.splitlines() if line.startswith("{")]

    yield read
    handler._settings.cache_clear()


def counted(logged: list[dict[str, Any]]) -> set[str]:
    metrics = [line["_aws"]["CloudWatchMetrics"] for line in logged if "_aws" in line]
    return {metric["Name"] for groups in metrics for group in groups for metric in group["Metrics"]}


@pytest.mark.parametrize(
    ("event", "because"),
    [
        ({}, "neither a push nor an alarm"),
        ([], "not an event but a list"),
        ({**PUSH, "account": "999999999999"}, "another account"),
        ({**PUSH, "source": "aws.s3" * 50_000}, "neither a push nor an alarm: source 'aws.s3"),
        ({**PUSH, "source": "이벤트"}, "source '이벤트'"),
    ],
)
def test_what_is_not_for_us_is_logged_and_counted(event: Any, because: str, lines: Lines) -> None:
    answer = handler.on_event(event, CONTEXT)

    logged = lines()
    assert because in answer["ignored"]
    assert because in next(line["because"] for line in logged if line.get("message") == "ignored")
    assert "EventIgnored" in counted(logged)


def test_what_may_have_been_a_push_is_logged_counted_and_raised(lines: Lines) -> None:
    event = {**PUSH, "account": GOOD["REPOSITORY_URI"][:12], "detail": "not an object"}

    with pytest.raises(Unreadable, match="the registry's event has no detail"):
        handler.on_event(event, CONTEXT)

    logged = lines()
    assert any(line.get("because") == "the registry's event has no detail" for line in logged)
    assert "EventUnreadable" in counted(logged)


@pytest.mark.filterwarnings("ignore:No application metrics to publish")  # true: it got no further
def test_a_start_with_bad_settings_says_which(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TABLE_NAME")

    with pytest.raises(BadSettings, match="TABLE_NAME is not set"):
        handler.on_event(PUSH, CONTEXT)


def test_what_is_not_protected_is_counted_under_the_name_that_the_alarm_watches(lines: Lines) -> None:
    handler.PowertoolsJournal().unprotected(PermissionError("PutImage"))
    handler.on_event({}, CONTEXT)

    logged = lines()
    assert "LiveUnprotected" in counted(logged)
    assert any(line.get("error") == "PutImage" for line in logged)


@pytest.fixture
def world() -> Iterator[World]:
    """Where version 2 is live and well."""
    world = World()
    world.push("first")
    world.clock.new_invocation()
    yield world
    handler.metrics.clear_metrics()


def check(world: World, version: str | None = None) -> dict[str, Any]:
    return handler._check(CheckAsked(version, "alice"), world.controller())


def test_a_check_of_what_is_live_says_what_it_is_and_how_it_answered(world: World) -> None:
    answer = check(world)

    [result] = answer["results"]
    assert (answer["version"], answer["image"]["digest"]) == ("2", image("first").digest)
    assert (answer["healthy"], result["name"], answer["not_run"]) == (True, "GET /health", [])
    assert json.loads(json.dumps(answer)) == answer


def test_a_check_of_a_version_asks_that_version_and_writes_nothing(world: World) -> None:
    world.answers("bad", Answer(b'{"statusCode": 503}', None, "https://me:pass@db/x died", ""))
    assert world.push("bad").phase is Phase.REVERTED
    world.clock.new_invocation()
    before = world.ledger.book, list(world.function.calls)

    answer = check(world, "3")

    assert (answer["version"], answer["healthy"]) == ("3", False)
    assert answer["results"][0]["actual"].startswith("503 after")
    assert answer["log_tail"] == "https://…@db/x died"
    assert (world.ledger.book, world.function.calls) == before


@pytest.mark.parametrize(
    ("version", "because"),
    [("99", "no verdict: GetFunction: ResourceNotFoundException"), (None, "too little of Lambda's time")],
)
def test_a_check_that_comes_to_no_verdict_says_why(world: World, version: str | None, because: str) -> None:
    world.clock.sleep(world.clock.remaining() - INVOCATION_SECONDS - 5)

    assert because in check(world, version)["error"]


def test_a_check_of_what_is_live_is_no_verdict_when_live_moves_meanwhile(world: World) -> None:
    def moves() -> Answer:
        world.function.alias = "1"
        return UNHEALTHY

    world.function.answers[image("first")] = moves

    assert "version 1 answered instead of 2. Nothing was changed" in check(world)["error"]


def test_a_button_on_the_dashboard_is_answered_so_that_a_person_can_read_it(lines: Lines) -> None:
    asked = {"command": "hold", "widgetContext": {"theme": "dark", "forms": {"all": {"by": "<b>"}}}}

    answer = handler.on_event(asked, CONTEXT)

    assert isinstance(answer, str)
    assert "It was not done" in answer
    assert "hold: fill in the field Why, and click again" in answer
    assert "CommandRefused" in counted(lines())


@pytest.mark.usefixtures("lines")
def test_a_program_is_answered_in_json() -> None:
    answer = handler.on_event({"command": "hold", "by": "alice"}, CONTEXT)

    assert answer == {"error": 'the command needs "because", a text: why'}
