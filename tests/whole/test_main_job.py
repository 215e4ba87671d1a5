"""The main job through every part at once: template, sandbox, the real service, the real deployer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployer.cli import VERBS
from deployer.model import Phase, Source
from sandbox.building import images
from sandbox.waiting import until
from tests import starter
from tests.whole.team import Mailbox, Team, digest_of, unwell

ROOT = Path(__file__).parents[2]


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
    assert resumed["resumed"]["by"] == "alice"
    assert released
    assert rejected.phase is Phase.REJECTED
    assert where == (good.image.digest, good.image.digest)
    assert team.where() == (rejected.image.digest, rejected.image.digest)


@pytest.mark.skipif("retry" not in VERBS, reason="the verb that the message names is not there yet")
def test_the_command_in_a_message_deploys_what_is_in_quarantine(team: Team) -> None:
    mailbox = Mailbox(team)
    bad = team.release(team.build("twice unwell", unwell()))
    told = mailbox.wait("release twice unwell was reverted")["Message"]
    command = next(line for line in told.splitlines() if " retry " in line)

    team.shell(f"{command} --yes || true")  # it exits as badly as the deployment ends

    retried = [each for each in team.all_ended(bad.image.digest) if each.source is Source.RETRY]
    assert [each.phase for each in retried] == [Phase.REVERTED]


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

    def run(command: list[str]) -> str:
        finished = subprocess.run(
            command,
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def aws(*words: str) -> Any:
        return json.loads(run(starter.program("awscli", *words, "--output", "json")))

    push = ["-m", "sandbox", "push", "service", "--tag", "latest", "--repository", team.repository]
    pushed = run([sys.executable, *push])
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
