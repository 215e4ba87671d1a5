"""The `deployer` command with the real deployer behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.cli.conftest import clean_environment, command
from tests.whole.team import Team, unwell

if TYPE_CHECKING:
    from sandbox.server import Sandbox


def test_a_silent_rollback_fails_the_ci_job(sandbox: Sandbox, tmp_path: Path) -> None:
    """aws/apprunner-roadmap#209: the service rolled back by itself, and the pipeline saw success."""
    team = Team(sandbox, "ci")
    team.release(team.build("good"))
    environment = {**clean_environment(tmp_path), **sandbox.environment, "DEPLOYER_STACK": "ci"}
    digest = team.upload(team.build("unwell", unwell()))

    job = command(environment, "wait", "--digest", digest)
    again = command(environment, "wait", "--digest", digest)

    assert job.returncode == 1
    assert "was reverted: GET /health answered 503" in job.stderr
    assert "NEVER_SET" in job.stderr
    assert "Users stayed on version 2" in job.stderr
    assert "VERIFYING" in job.stdout
    assert (again.returncode, again.stderr) == (1, job.stderr)
