"""The service's folder is the root of its modules, as /var/task is in Lambda."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "service"))

Event = dict[str, Any]


@pytest.fixture
def event() -> Callable[[str], Event]:
    """An API Gateway REST event of tests/events/api-gateway, by its file's name."""

    def read(name: str) -> Event:
        parsed: Event = json.loads((ROOT / "tests/events/api-gateway" / f"{name}.json").read_text())
        return parsed

    return read


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What the service logs from here on, one string a line, tracebacks included."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    log, collector = logging.getLogger("shuking"), Collector()
    log.addHandler(collector)
    yield lines
    log.removeHandler(collector)


@pytest.fixture(autouse=True)
def configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """A complete configuration without a database, whatever the developer's shell has set."""
    for name in ("DATABASE_URL", "CORS_ALLOW_ORIGIN", "REVISION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("GEMINI_API_KEY", "a-key-for-tests")
