"""The dashboard's entry point: it reads, and whatever cannot be read it says so."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployer import dashboard
from deployer.aws.record import BadRecord
from deployer.model import Book, Deployment, Phase, Version
from deployer.page import PALETTES, widget
from deployer.ports import LookAgain, Refused
from deployer.settings import DashboardSettings
from tests.fakes import FakeFunction, FakeLedger, World, image
from tests.unit.test_handler import CONTEXT
from tests.unit.test_page import Seen
from tests.unit.test_settings import DEPLOYER_ARN, GOOD

GIVEN = DashboardSettings("shuking-prod", GOOD["REPOSITORY_URI"], "ledger", DEPLOYER_ARN)


class Unreadable(FakeLedger):
    """A ledger behind a door that is shut."""

    def look(self) -> Book:
        raise Refused("Query: AccessDeniedException: not authorized to perform: dynamodb:Query")

    def history(
        self, limit: int, since: datetime | None = None, until: datetime | None = None
    ) -> list[Deployment]:
        raise BadRecord("the ledger's item shuking-prod#history / 1 cannot be read: KeyError: 'image'")


class Throttled(FakeFunction):
    """A function that may not be looked at just now."""

    def live(self) -> Version:
        raise LookAgain("GetFunction: TooManyRequestsException: Rate exceeded")


def show(
    world: World,
    ledger: FakeLedger | None = None,
    function: FakeFunction | None = None,
    event: object = None,
) -> Seen:
    return Seen(
        dashboard.show(
            ledger or world.ledger,
            function or world.function,
            GIVEN,
            widget.read(event, world.clock.now()),
            now=world.clock.now(),
        )
    )


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Good settings, read anew."""
    for name in ("FUNCTION_NAME", "REPOSITORY_URI", "TABLE_NAME"):
        monkeypatch.setenv(name, GOOD[name])
    monkeypatch.setenv("DEPLOYER_ARN", DEPLOYER_ARN)
    dashboard._settings.cache_clear()
    yield
    dashboard._settings.cache_clear()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """What was logged."""
    log = io.StringIO()
    monkeypatch.setattr(dashboard.logger.registered_handler, "stream", log)
    return lambda: [json.loads(line) for line in log.getvalue().splitlines()]


def test_it_shows_what_the_deployer_did() -> None:
    world = World()
    world.push("first")

    seen = show(world)

    assert seen.headline == "the last release is live"
    assert "version 2" in seen.cards["Live"]
    assert [row[1] for row in seen.rows] == ["succeeded"]


def test_it_shows_a_hold() -> None:
    world = World()
    world.hold()

    assert show(world).cards["Hold"].startswith("held by aliceincident 42")


def test_it_writes_nothing() -> None:
    world = World()
    world.push("first")
    before = (world.ledger.book, dict(world.ledger.ended), world.ledger.token, list(world.function.calls))

    show(world)

    assert before == (world.ledger.book, world.ledger.ended, world.ledger.token, world.function.calls)


def test_a_ledger_that_cannot_be_read_does_not_hide_what_is_live(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    seen = show(World(), ledger=Unreadable())

    assert seen.headline == "not everything could be read"
    assert "version 1" in seen.cards["Live"]
    told = seen.cards["Could not be read"]
    assert "what is under way: Query: AccessDeniedException" in told
    assert "the history: the ledger's item shuking-prod#history / 1 cannot be read" in told
    assert [line["what"] for line in lines()] == ["what is under way", "the history"]


def test_a_function_that_cannot_be_looked_at_does_not_hide_the_history() -> None:
    world = World()
    world.push("first")

    seen = show(world, function=Throttled(world.clock, world.registry))

    assert "what is live: GetFunction: TooManyRequestsException" in seen.cards["Could not be read"]
    assert seen.rows[0][1] == Phase.SUCCEEDED.lower()


def test_asked_what_it_is_it_answers_in_markdown_without_any_settings() -> None:
    answer = dashboard.on_widget({"describe": True}, CONTEXT)

    assert answer.startswith("## Deployments\n")
    assert "### Widget parameters" in answer
    assert "<" not in answer


@pytest.mark.usefixtures("environment")
def test_settings_that_are_wrong_are_named_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TABLE_NAME")
    monkeypatch.setenv("REPOSITORY_URI", "<b>")

    told = Seen(dashboard.on_widget({}, CONTEXT)).cards["Could not be read"]

    assert "the dashboard cannot start" in told
    assert "TABLE_NAME is not set" in told
    assert "REPOSITORY_URI is not the URI of an ECR repository: '<b>'" in told


def of(**context: object) -> dict[str, object]:
    return {"widgetContext": context}


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def test_the_time_range_of_the_dashboard_is_what_the_timeline_shows() -> None:
    world = World()
    world.push("first")
    pushed = world.clock.now()
    world.clock.sleep(7200)
    world.push("second")
    times = {"start": milliseconds(pushed - timedelta(hours=1)), "end": milliseconds(pushed)}

    then, both = show(world, event=of(timeRange=times)), show(world)

    assert (then.drawn, both.drawn) == (["succeeded"], ["succeeded"] * 2)
    assert [row[2] for row in then.rows] == [f"{image('first')}"]
    assert then.headline == "the last release is live"


def test_the_form_goes_to_the_deployers_function() -> None:
    world = World()
    world.push("first")

    seen = show(world, event=of(forms={"all": {"by": "alice", "because": 7}}))

    assert seen.fields == {"by": "alice", "because": ""}
    assert seen.actions["hold"]["command"] == "hold"


NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = {"start": milliseconds(NOW - timedelta(days=1)), "end": milliseconds(NOW)}
ZOOM = {"start": milliseconds(NOW - timedelta(hours=3)), "end": milliseconds(NOW - timedelta(hours=1))}


@pytest.mark.parametrize(
    ("times", "since", "until"),
    [
        (DAY, timedelta(days=1), timedelta(0)),
        ({**DAY, "mode": "relative", "zoom": ZOOM}, timedelta(hours=3), timedelta(hours=1)),
        ({**DAY, "zoom": {}}, timedelta(days=1), timedelta(0)),
        ({"start": 0, "end": DAY["end"]}, timedelta(days=7), timedelta(0)),
        ({"start": DAY["end"], "end": DAY["start"]}, timedelta(days=7), timedelta(0)),
        ({"start": 1.1e12, "end": DAY["end"]}, timedelta(days=1098), timedelta(0)),
        ({"start": True, "end": "now"}, timedelta(days=7), timedelta(0)),
        ({"start": float("nan"), "end": float("inf")}, timedelta(days=7), timedelta(0)),
        ("week", timedelta(days=7), timedelta(0)),
        (None, timedelta(days=7), timedelta(0)),
    ],
)
def test_a_time_range_is_read_as_far_as_it_is_one(times: object, since: timedelta, until: timedelta) -> None:
    span = widget.read(of(timeRange=times), NOW).span

    assert (NOW - span.since, NOW - span.until) == (since, until)


@pytest.mark.parametrize(("width", "read"), [(588, 588), (0, 1000), (1e9, 1000), ("588", 1000), (None, 1000)])
def test_the_width_is_read_as_far_as_it_is_one(width: object, read: int) -> None:
    assert widget.read(of(width=width), NOW).width == read


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("event", "theme"),
    [
        ({"widgetContext": {"theme": "dark"}}, "dark"),
        ({"widgetContext": {"theme": "light"}}, "light"),
        ({"widgetContext": {"theme": ["dark"]}}, "light"),
        ({"widgetContext": "dark"}, "light"),
        ({}, "light"),
        ([], "light"),
        (None, "light"),
    ],
)
def test_the_theme_is_the_dashboards(event: object, theme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TABLE_NAME")

    style = Seen(dashboard.on_widget(event, CONTEXT)).style

    assert PALETTES[theme].page in style
