"""The dashboard's entry point against AWS: its own clients, its own settings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from deployer import dashboard
from deployer.aws import clients
from deployer.aws.ledger import DynamoLedger
from deployer.model import Deployment, Source
from sandbox.server import Sandbox
from tests.fakes import image
from tests.unit.test_handler import CONTEXT
from tests.unit.test_page import Seen
from tests.unit.test_settings import DEPLOYER_ARN, GOOD


@pytest.fixture
def in_sandbox(sandbox: Sandbox, table: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a dashboard whose ledger is `table`."""
    kept = (dashboard._settings, clients._session, clients._client)
    for name, value in {
        **sandbox.environment,
        **GOOD,
        "TABLE_NAME": table,
        "DEPLOYER_ARN": DEPLOYER_ARN,
    }.items():
        monkeypatch.setenv(name, value)
    for each in kept:
        each.cache_clear()
    yield
    for each in kept:
        each.cache_clear()


@pytest.mark.usefixtures("in_sandbox")
def test_it_reads_the_ledger_and_says_what_aws_does_not_have(ledger: DynamoLedger) -> None:
    now = datetime.now(UTC)
    ledger.request(Deployment("20260301T030000Z-0123abcd", image("first"), Source.PUSH, now))

    seen = Seen(dashboard.on_widget({"widgetContext": {"theme": "dark"}}, CONTEXT))

    assert f"waiting {image('first')}" in seen.cards["Under way"]
    assert "what is live: GetFunction: ResourceNotFoundException" in seen.cards["Could not be read"]
