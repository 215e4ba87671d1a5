"""A team with a stack of its own: it pushes, looks what became of it, and reads its mail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from deployer.aws.ledger import DynamoLedger
from deployer.model import Deployment, Phase
from deployer.ports import Lease, LookAgain
from sandbox.building import images
from sandbox.cli import PARAMETERS, TEMPLATE
from sandbox.cloudformation import stack
from sandbox.server import Sandbox
from sandbox.waiting import until
from tests.listening import listen

SERVICE = Path(__file__).parents[2] / "service"


@dataclass(frozen=True)
class Answer:
    """What a user of the API got."""

    status: int
    headers: Mapping[str, str]
    body: str


class Team:
    """A team with the stack `name`. What it asks AWS for, it asks as the administrator.

    `outputs`: those of a stack that is there already; without them it is created.
    """

    def __init__(
        self, sandbox: Sandbox, name: str, outputs: dict[str, str] | None = None, **parameters: str
    ) -> None:
        self.sandbox, self.name = sandbox, name
        self.repository = f"{name}-images"
        self.outputs = outputs or self.deploy(**parameters)
        self.function = self.outputs["ServiceFunctionName"]
        self.ledger = DynamoLedger(sandbox.client("dynamodb"), self.outputs["LedgerName"], self.function)
        self.lambda_, self.ecr = sandbox.client("lambda"), sandbox.client("ecr")

    # -- the stack

    def deploy(self, **parameters: str) -> dict[str, str]:
        """Create the stack or update it: a parameter that is not given has its default. Gives its outputs."""
        names = {"ServiceName": self.name, "RepositoryName": self.repository}
        return stack.deploy(self.sandbox.client, TEMPLATE, {**PARAMETERS, **names, **parameters}, self.name)

    def physical(self, logical_id: str) -> str:
        """The physical id of one of the stack's resources."""
        found = self.sandbox.client("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId=logical_id
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    # -- releases

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

    def settled(self, digest: str) -> Deployment:
        """The same, once the deployer has done what comes after an end: told people, put the tags right."""
        deployment = self.ended(digest)
        self.ledger.release(until(self._lease, "the deployer to give its lease back"))
        return deployment

    def _lease(self) -> Lease | None:
        now = datetime.now(UTC)
        with suppress(LookAgain):  # the deployer writes to the same item
            return self.ledger.acquire("a story", now, now + timedelta(seconds=10))
        return None

    def succeeded(self, digest: str) -> list[Deployment]:
        ended = self.all_ended(digest)
        return [deployment for deployment in ended if deployment.phase is Phase.SUCCEEDED]

    def where(self) -> tuple[str, str]:
        """The digests that `live` and `$LATEST` are on."""
        live = self.lambda_.get_function(FunctionName=self.function, Qualifier="live")
        latest = self.lambda_.get_function(FunctionName=self.function)
        return digest_of(live), digest_of(latest)

    def live(self) -> str:
        """The version that `live` is on."""
        return str(self.lambda_.get_alias(FunctionName=self.function, Name="live")["FunctionVersion"])

    def tags(self) -> dict[str, str]:
        """The digest of each tag in the repository."""
        pages = self.ecr.get_paginator("list_images").paginate(repositoryName=self.repository)
        found = [image for page in pages for image in page["imageIds"]]
        return {image["imageTag"]: image["imageDigest"] for image in found if "imageTag" in image}

    # -- users

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """What a user of the API gets. `Origin="..."` is a header; so is `Access_Control_Request_Method`."""
        request = Request(
            f"{self.sandbox.url}/_sandbox/apis/{self.outputs['ApiId']}/api{path}",
            method=method,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read().decode())
        except HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read().decode())

    # -- programs

    def listens(self, pattern: object) -> str:
        """The URL of a new queue that gets the events of the default bus that match from now on."""
        client = self.sandbox.client
        return listen(client("sqs"), client("events"), f"{self.name}-{uuid.uuid4().hex[:10]}", pattern)

    # -- people

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


class Mailbox:
    """Who gets what is published to a team's topic from now on."""

    def __init__(self, team: Team) -> None:
        self._sqs = team.sandbox.client("sqs")
        self._url = self._sqs.create_queue(QueueName=f"{team.name}-{uuid.uuid4().hex[:10]}")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        team.sandbox.client("sns").subscribe(
            TopicArn=team.outputs["TopicArn"], Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
        )
        self.all: list[dict[str, str]] = []

    def about(self, what: str) -> list[dict[str, str]]:
        """What has come so far with these words in its subject: `Subject` and `Message` of each."""
        while found := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                self.all.append(json.loads(message["Body"]))
        return [message for message in self.all if what in message["Subject"]]

    def wait(self, what: str) -> dict[str, str]:
        """The first message with these words in its subject, once it is there."""
        return until(lambda: self.about(what), f"a message about {what}")[0]


def digest_of(function: Mapping[str, Any]) -> str:
    return f"sha256:{function['Configuration']['CodeSha256']}"


def unwell() -> Mapping[str, bytes]:
    code = (SERVICE / "chalicelib" / "health.py").read_text()
    assert '["ENVIRONMENT"]' in code
    return {"chalicelib/health.py": code.replace('["ENVIRONMENT"]', '["ENVIRONMENT", "NEVER_SET"]').encode()}
