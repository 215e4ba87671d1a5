"""The `deployer` command with the real deployer behind it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import clean_environment, command
from tests.whole.team import Team, unwell


def test_a_silent_rollback_fails_the_ci_job(team: Team, tmp_path: Path) -> None:
    """aws/apprunner-roadmap#209: the service rolled back by itself, and the pipeline saw success."""
    good = team.release(team.build("before a silent rollback"))
    environment = {**clean_environment(tmp_path), **team.sandbox.environment, "DEPLOYER_STACK": team.name}
    digest = team.upload(team.build("rolled back silently", unwell()))

    job = command(environment, "wait", "--digest", digest)
    again = command(environment, "wait", "--digest", digest)

    assert job.returncode == 1
    assert "was reverted: GET /health answered 503" in job.stderr
    assert "NEVER_SET" in job.stderr
    assert f"Users stayed on version {good.version}" in job.stderr
    assert "VERIFYING" in job.stdout
    assert (again.returncode, again.stderr) == (1, job.stderr)
