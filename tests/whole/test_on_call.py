"""Somebody on call, with the policies for that and no other, and the real deployer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from deployer.model import Deployment, Phase, Source
from deployer.text import who
from sandbox.server import Sandbox
from sandbox.waiting import until
from tests.cli.conftest import clean_environment, command
from tests.whole.team import SERVICE, Team, unwell

Run = Callable[..., "CompletedProcess[str]"]


@dataclass
class Account:
    """A stack of this file's own: whoever holds deployments would be in everybody else's way."""

    team: Team
    first: Deployment
    second: Deployment

    def role(self, name: str, *policies: str) -> str:
        iam = self.team.sandbox.client("iam")
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Statement": []}')
        for policy in policies:
            iam.attach_role_policy(RoleName=name, PolicyArn=self.team.outputs[policy])
        return str(made["Role"]["Arn"])


@pytest.fixture(scope="module")
def account(sandbox: Sandbox) -> Account:
    team = Team(sandbox, "on-call", HoldAfterReverts="0")
    return Account(team, team.release(team.build("first")), team.release(team.build("second")))


@pytest.fixture(scope="module")
def team(account: Account) -> Team:
    return account.team


@pytest.fixture(scope="module")
def roles(account: Account) -> dict[str, str]:
    return {
        "on-call": account.role("on-call-alice", "ViewerPolicyArn", "OperatorPolicyArn"),
        "viewer": account.role("on-call-viewer", "ViewerPolicyArn"),
    }


@pytest.fixture
def run(team: Team, roles: dict[str, str], tmp_path: Path) -> Callable[[str], Run]:
    """`run("viewer")("hold", ...)` is the command of somebody who has that role, in a session named alice."""

    def of(role: str) -> Run:
        session = team.sandbox.environment_as(roles[role], "alice")
        environment = {**clean_environment(tmp_path), **session, "DEPLOYER_STACK": team.name}
        return lambda *words: command(environment, *words)

    return of


@pytest.fixture
def deployer(run: Callable[[str], Run]) -> Run:
    return run("on-call")


def told(done: CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    """The one object on stdout."""
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


WHY = ("--reason", "incident 42", "--yes")


def test_hold_deploy_past_it_and_resume(account: Account, deployer: Run) -> None:
    team, first, second = account.team, account.first, account.second
    held = told(deployer("hold", *WHY, "--json"))
    id_ = held["hold"]["id"]
    again = deployer("hold", *WHY)
    same = told(deployer("hold", *WHY, "--request", held["request"], "--json"))
    digits = first.image.digest[7:19]
    without = deployer("deploy", digits, *WHY)
    past = deployer("deploy", digits, *WHY, "--past-hold", id_)
    resumed = deployer("resume", "--yes")

    assert (held["outcome"], same["hold"]) == ("held", held["hold"])
    assert who(held["hold"]["by"]) == "alice (on-call-alice)"
    assert again.returncode == 1
    assert "Error: on-call: hold was refused: deployments are held already, by alice (on-call-alice)" in (
        again.stderr
    )
    assert "Lift that hold: deployer --stack on-call resume" in again.stderr
    assert without.returncode == 1
    assert f"or name the hold to pass it: {id_}" in without.stderr
    assert f"{first.image.digest} --reason 'incident 42' --past-hold {id_}\n" in without.stderr
    assert past.returncode == 0, past.stderr
    assert "SUCCEEDED" in past.stdout
    assert team.where()[0] == first.image.digest
    assert resumed.returncode == 0, resumed.stderr
    assert "the hold of alice (on-call-alice) (incident 42) is lifted" in resumed.stdout
    assert team.ledger.look().hold is None
    last = team.ledger.history(1)[0]
    assert (last.source, last.by, last.why) == (Source.DEPLOY, held["hold"]["by"], "incident 42")
    assert deployer("deploy", second.image.digest, *WHY).returncode == 0


def test_a_rollback_says_where_users_are_and_holds(account: Account, deployer: Run) -> None:
    team, first, second = account.team, account.first, account.second
    assert team.where()[0] == second.image.digest

    back = told(deployer("rollback", "--to", first.image.digest[:17], *WHY, "--json"))
    refused = deployer("rollback", "--to", "999", *WHY)
    resumed = deployer("resume", "--reason", "seen enough", "--yes", "--json")

    assert (back["outcome"], back["source"], back["image"]["digest"]) == (
        "live",
        "rollback",
        first.image.digest,
    )
    assert team.where()[0] == first.image.digest
    assert refused.returncode == 1
    assert "rollback was refused: there is no version 999 to go back to" in refused.stderr
    assert told(resumed)["outcome"] == "resumed"


def test_checks_of_live_and_of_a_version_and_a_retry_of_what_failed(account: Account, deployer: Run) -> None:
    team = account.team
    bad = team.settled(team.upload(team.build("bad", unwell())))
    before = team.ledger.look(), len(team.ledger.history(100))
    digits = bad.image.digest[7:15]

    live = deployer("checks")
    version = deployer("checks", "--version", str(bad.version))
    as_json = told(deployer("checks", "--version", str(bad.version), "--json"), 1)
    none = deployer("checks", "--version", "999")

    assert live.returncode == 0, live.stderr
    assert f"on-call version {team.live()} (" in live.stdout
    assert "ok      GET /health: expected 200" in live.stdout
    assert version.returncode == 1
    assert "FAILED  GET /health" in version.stdout
    assert "NEVER_SET" in version.stdout
    assert (as_json["image"]["digest"], as_json["healthy"]) == (bad.image.digest, False)
    assert none.returncode == 1
    assert "no verdict: GetFunction: ResourceNotFoundException" in none.stderr
    assert (team.ledger.look(), len(team.ledger.history(100))) == before

    refused = deployer("deploy", digits, *WHY)
    retried = deployer("retry", digits, *WHY)

    assert refused.returncode == 1
    assert "is in quarantine since deployment" in refused.stderr
    assert f"deployer --stack on-call retry {bad.image.digest} --reason ..." in refused.stderr
    assert retried.returncode == 1
    assert "was reverted: GET /health answered 503" in retried.stderr
    assert team.ledger.history(1)[0].source is Source.RETRY


def test_an_abort_turns_round_what_another_invocation_is_at(account: Account, deployer: Run) -> None:
    team = account.team
    nothing = deployer("abort", *WHY)
    before = team.where()[0]
    digest = team.upload(team.build("slow", slow()))
    going = until(lambda: team.ledger.look().open, "the deployment")[0]
    until(lambda: (team.ledger.find(going.id) or going).phase is Phase.VERIFYING, "its checks")

    other = deployer("abort", "20260101T000000Z-00000000", *WHY)
    done = told(deployer("abort", going.id, *WHY, "--json"))

    assert nothing.returncode == 1
    assert "no deployment is under way, so there is nothing to abort" in nothing.stderr
    assert f"20260101T000000Z-00000000 is not under way; {going.id}" in other.stderr
    assert (done["phase"], done["image"]["digest"]) == ("REVERTED", digest)
    assert done["failure"] == "alice (on-call-alice) aborted it: incident 42"
    assert team.where()[0] == before


def test_who_may_only_look_is_told_which_policy_it_takes(account: Account, run: Callable[[str], Run]) -> None:
    viewer, policy = run("viewer"), account.team.outputs["OperatorPolicyArn"]
    digest = account.first.image.digest

    done = [
        viewer("hold", *WHY),
        viewer("deploy", digest[:15], *WHY),
        viewer("rollback", *WHY),
        viewer("checks"),
    ]

    for each in done:
        assert each.returncode == 2
        assert f"That takes {policy} beside the viewer's policy. Nothing was done." in each.stderr
    assert account.team.ledger.look().hold is None


def test_a_viewer_watches_and_reads_the_logs(account: Account, run: Callable[[str], Run]) -> None:
    viewer, deployment = run("viewer"), account.first

    watched = viewer("watch", deployment.id)
    logged = viewer("logs", "--of", "deployer", "--since", "1h")
    lines = viewer("logs", "--since", "1h", "--limit", "3", "--json").stdout.splitlines()

    assert watched.returncode == 0, watched.stderr
    assert "VERIFYING" in watched.stdout
    assert " took " in watched.stdout
    live = f"INFO    live points at version {deployment.version}  phase: CONFIRMING  [{deployment.id}]"
    assert live in logged.stdout
    assert [set(json.loads(line)) for line in lines] == [{"at", "stream", "message"}] * 3


def slow() -> dict[str, bytes]:
    """Healthy, after a while in which somebody can say something."""
    path = "chalicelib/health.py"
    code = (SERVICE / path).read_text()
    begin = "    names = missing(environ)\n"
    assert begin in code
    return {path: code.replace(begin, f"    __import__('time').sleep(3)\n{begin}").encode()}
