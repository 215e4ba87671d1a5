"""The main job through every part at once: template, sandbox, the real service, the real deployer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deployer.aws.ledger import DynamoLedger
from deployer.message import compose
from deployer.model import Deployment, Phase, Source
from sandbox.building import images
from sandbox.cli import PARAMETERS, TEMPLATE
from sandbox.cloudformation import stack
from sandbox.server import Sandbox
from sandbox.waiting import until

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "service"


class Team:
    """A team with a stack of its own, which may be there already: it pushes, and looks what became of it."""

    def __init__(self, sandbox: Sandbox, name: str, outputs: dict[str, str] | None = None) -> None:
        self.sandbox = sandbox
        self.repository = f"{name}-images"
        parameters = {**PARAMETERS, "ServiceName": name, "RepositoryName": self.repository}
        self.outputs = outputs or stack.deploy(sandbox.client, TEMPLATE, parameters, name)
        self.function = self.outputs["ServiceFunctionName"]
        self.ledger = DynamoLedger(sandbox.client("dynamodb"), self.outputs["LedgerName"], self.function)
        self.lambda_, self.ecr = sandbox.client("lambda"), sandbox.client("ecr")

    def build(self, revision: str, overrides: Mapping[str, bytes] | None = None) -> images.BuiltImage:
        return images.build(SERVICE, build_args={"REVISION": revision}, overrides=overrides or {})

    def upload(self, built: images.BuiltImage | images.BuiltIndex, tag: str = "latest") -> str:
        return images.upload(built, self.ecr, self.repository, tag)

    def release(self, built: images.BuiltImage | images.BuiltIndex) -> Deployment:
        """Push under the release tag, and wait for the end."""
        return self.ended(self.upload(built))

    def ended(self, digest: str) -> Deployment:
        """How the last deployment of `digest` ended, once nothing is under way any more."""
        found = until(lambda: self.all_ended(digest), f"the end of the deployment of {digest}")
        return max(found, key=lambda deployment: deployment.since)

    def all_ended(self, digest: str) -> list[Deployment]:
        if self.ledger.look().open:
            return []
        return [deployment for deployment in self.ledger.history(100) if deployment.image.digest == digest]

    def succeeded(self, digest: str) -> list[Deployment]:
        ended = self.all_ended(digest)
        return [deployment for deployment in ended if deployment.phase is Phase.SUCCEEDED]

    def where(self) -> tuple[str, str]:
        """The digests that `live` and `$LATEST` are on."""
        live = self.lambda_.get_function(FunctionName=self.function, Qualifier="live")
        latest = self.lambda_.get_function(FunctionName=self.function)
        return digest_of(live), digest_of(latest)

    @property
    def environment(self) -> dict[str, str]:
        tools = str(Path(sys.executable).parent)
        return {**os.environ, **self.sandbox.environment, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}

    def shell(self, line: str) -> str:
        """A line as a person pastes it into a shell."""
        finished = subprocess.run(
            line, shell=True, env=self.environment, capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def command(self, event: object) -> dict[str, Any]:
        """Invoke the deployer directly."""
        answer = self.lambda_.invoke(FunctionName=self.outputs["DeployerName"], Payload=json.dumps(event))
        told: dict[str, Any] = {"FunctionError": answer.get("FunctionError")}
        return told | (json.loads(answer["Payload"].read()) or {})


def digest_of(function: Mapping[str, Any]) -> str:
    return f"sha256:{function['Configuration']['CodeSha256']}"


def unwell() -> Mapping[str, bytes]:
    code = (SERVICE / "chalicelib" / "health.py").read_text()
    assert '["ENVIRONMENT"]' in code
    return {"chalicelib/health.py": code.replace('["ENVIRONMENT"]', '["ENVIRONMENT", "NEVER_SET"]').encode()}


@pytest.fixture(scope="module")
def team(sandbox: Sandbox) -> Team:
    return Team(sandbox, "whole")


def test_a_healthy_release_goes_live(team: Team) -> None:
    deployment = team.release(team.build("healthy"))

    assert deployment.phase is Phase.SUCCEEDED
    assert deployment.revision == "healthy"
    assert team.where() == (deployment.image.digest, deployment.image.digest)


def test_an_unwell_release_leaves_live_and_latest_where_they_were(team: Team) -> None:
    good = team.release(team.build("before an unwell one"))

    deployment = team.release(team.build("unwell", unwell()))

    assert deployment.phase is Phase.REVERTED
    assert "NEVER_SET" in str(deployment.failure)
    assert team.where() == (good.image.digest, good.image.digest)
    assert team.ledger.quarantine(deployment.image.digest)


def test_an_index_is_rejected_before_the_function_is_touched(team: Team) -> None:
    team.release(team.build("before an index"))
    before = team.lambda_.get_function(FunctionName=team.function)["Configuration"]["RevisionId"]

    deployment = team.release(images.index(team.build("index")))

    after = team.lambda_.get_function(FunctionName=team.function)["Configuration"]["RevisionId"]
    assert deployment.phase is Phase.REJECTED
    assert "--provenance=false" in deployment.because
    assert before == after


def test_of_several_pushes_at_once_the_newest_goes_live_and_all_are_accounted_for(team: Team) -> None:
    digests = [team.upload(team.build(f"burst {number}")) for number in range(5)]

    ends = {digest: team.ended(digest).phase for digest in digests}

    assert ends[digests[-1]] is Phase.SUCCEEDED
    assert set(ends.values()) <= {Phase.SUCCEEDED, Phase.SUPERSEDED}
    assert team.where() == (digests[-1], digests[-1])


def test_a_hold_stops_releases_until_it_is_lifted(team: Team) -> None:
    good = team.release(team.build("before the hold"))
    held = team.command({"command": "hold", "by": "alice", "because": "incident 42"})

    rejected = team.release(team.build("held"))
    where = team.where()
    resumed = team.command({"command": "resume", "by": "alice"})
    # Whoever holds the lease at that moment takes it up, which need not be the command's own invocation.
    released = until(
        lambda: [d for d in team.succeeded(rejected.image.digest) if d.source is Source.SWEEP],
        "the release that was held",
    )

    assert held["held"]["because"] == "incident 42"
    assert resumed["resumed"]["held_by"] == "alice"
    assert released
    assert rejected.phase is Phase.REJECTED
    assert where == (good.image.digest, good.image.digest)
    assert team.where() == (rejected.image.digest, rejected.image.digest)


def test_the_command_in_a_message_deploys_what_is_in_quarantine(team: Team) -> None:
    bad = team.release(team.build("twice unwell", unwell()))
    told = compose(bad, service=team.function, deployer=team.outputs["DeployerName"]).body
    command = next(line for line in told.splitlines() if "aws lambda invoke" in line)

    answered, _ = json.JSONDecoder().raw_decode(team.shell(command))  # the CLI's own words follow

    assert answered["phase"] == "REVERTED"
    assert len(team.all_ended(bad.image.digest)) == 2


@pytest.mark.parametrize(
    "event",
    [{}, [], "text", {"source": "aws.ecr"}, {"source": "aws.ecr", "detail-type": "ECR Image Action"}],
    ids=str,
)
def test_an_event_that_is_nothing_to_us_starts_nothing(team: Team, event: object) -> None:
    before = [deployment.id for deployment in team.ledger.history(100)]

    told = team.command(event)

    assert "ignored" in told or "has no detail" in told["errorMessage"]
    assert [deployment.id for deployment in team.ledger.history(100)] == before


def test_an_ordinary_aws_cli_session_sees_what_was_pushed(team: Team) -> None:
    environment = team.environment

    def run(*words: str) -> str:
        finished = subprocess.run(
            [sys.executable, "-m", *words],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def aws(*words: str) -> Any:
        return json.loads(run("awscli", *words, "--output", "json"))

    pushed = run("sandbox", "push", "service", "--tag", "latest", "--repository", team.repository)
    digest = pushed.splitlines()[-1]
    team.ended(digest)

    version = aws("lambda", "get-alias", "--function-name", team.function, "--name", "live")[
        "FunctionVersion"
    ]
    live = aws("lambda", "get-function", "--function-name", team.function, "--qualifier", version)
    tags = aws(
        "ecr", "describe-images", "--repository-name", team.repository, "--image-ids", "imageTag=latest"
    )
    items = aws("dynamodb", "scan", "--table-name", team.outputs["LedgerName"])
    topics = aws("sns", "list-topics")
    log = aws("logs", "filter-log-events", "--log-group-name", f"/aws/lambda/{team.outputs['DeployerName']}")

    assert digest_of(live) == digest
    assert tags["imageDetails"][0]["imageDigest"] == digest
    assert any(item["sk"]["S"] == "state" for item in items["Items"])
    assert {"TopicArn": team.outputs["TopicArn"]} in topics["Topics"]
    assert any("live is version" in event["message"] for event in log["events"])
