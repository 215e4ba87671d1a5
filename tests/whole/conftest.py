"""The stack that stories share: each looks at what it did itself, and leaves the account as it found it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sandbox.server import Sandbox
    from tests.whole.team import Team

CONNECTION = "arn:aws:codeconnections:us-east-1:123456789012:connection/00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="session")
def team(sandbox: Sandbox) -> Team:
    """A team whose commits CodeBuild builds."""
    from tests.whole.team import Team  # noqa: PLC0415 - as in tests/conftest.py

    return Team(sandbox, "whole", ConnectionArn=CONNECTION, SourceRepository="https://github.com/owner/name")
