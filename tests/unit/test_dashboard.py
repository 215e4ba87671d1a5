"""The dashboard's entry point: it reads, and whatever cannot be read it says so."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from deployer import dashboard
from deployer.aws.record import BadRecord
from deployer.model import Book, Deployment, Phase, Version
from deployer.page import PALETTES
from deployer.ports import LookAgain, Refused
from deployer.settings import DashboardSettings
from tests.fakes import FakeFunction, FakeLedger, World
from tests.unit.test_handler import CONTEXT
from tests.unit.test_page import Seen
from tests.unit.test_settings import GOOD

GIVEN = DashboardSettings("shuking-prod", GOOD["REPOSITORY_URI"], "ledger")


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


def show(world: World, ledger: FakeLedger | None = None, function: FakeFunction | None = None) -> Seen:
    return Seen(
        dashboard.show(
            ledger or world.ledger, function or world.function, GIVEN, now=world.clock.now(), theme="light"
        )
    )


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Good settings, read anew."""
    for name in ("FUNCTION_NAME", "REPOSITORY_URI", "TABLE_NAME"):
        monkeypatch.setenv(name, GOOD[name])
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
    assert [row[1] for row in seen.rows[1:]] == ["succeeded"]


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
    assert seen.rows[1][1] == Phase.SUCCEEDED.lower()


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
def test_the_theme_is_all_it_takes_from_the_viewer(
    event: object, theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TABLE_NAME")

    style = Seen(dashboard.on_widget(event, CONTEXT)).style

    assert PALETTES[theme].page in style
