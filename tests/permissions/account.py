"""An account with the whole stack in it, and a way to take one grant away for a while."""

from __future__ import annotations

import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypeVar

from deployer.aws.ledger import DynamoLedger
from deployer.model import Deployment, Phase
from sandbox.building import images
from sandbox.cli import PARAMETERS, TEMPLATE
from sandbox.clients import client
from sandbox.cloudformation import stack
from sandbox.server import Sandbox
from sandbox.waiting import until
from tests.listening import listen

Found = TypeVar("Found")
SERVICE = Path(__file__).parents[2] / "service"
CONNECTION = "arn:aws:codeconnections:us-east-1:123456789012:connection/00000000-0000-0000-0000-000000000000"


class Failed(AssertionError):
    """A story did not come out as it should."""


class Account:
    """The stack `name`, every part of it that has a condition included, and one release that is live.

    A story waits long for what it expects, because a busy machine is slow. So that it need not while a grant
    is taken away, it says by what to see that nothing will come.
    """

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        self.sandbox, self.name = sandbox, name
        self._said = io.StringIO()
        parameters = {
            **PARAMETERS,
            "HoldAfterReverts": "0",  # most releases here are to fail
            "ServiceName": name,
            "RepositoryName": f"{name}-images",
            "ConnectionArn": CONNECTION,
            "SourceRepository": "https://github.com/owner/name",
            "GitHubRepository": "owner/name",
        }
        self.repository = parameters["RepositoryName"]
        self.outputs = stack.deploy(sandbox.client, TEMPLATE, parameters, name)
        self.ledger = DynamoLedger(sandbox.client("dynamodb"), self.outputs["LedgerName"], name)
        self._built = 0
        self.expect(self.release().phase is Phase.SUCCEEDED, "the first release is live")

    # -- what stories do

    def admin(self, service: str) -> Any:
        """The administrator's client."""
        return self.sandbox.client(service)

    def as_policy(self, policy: str, service: str) -> Any:
        """A client of somebody who has one of the stack's policies for people, and nothing else."""
        return client(service, self.sandbox.environment_as(self._person(policy)))

    def build(self) -> images.BuiltImage:
        """An image of the service that nobody has built before."""
        self._built += 1
        return images.build(SERVICE, build_args={"REVISION": f"permissions-{self._built}"})

    def release(self) -> Deployment:
        """Push a new image under the release tag and wait for its end. Raises `Failed` if there is none."""
        dead = self.outputs["DeployerDeadLettersUrl"]
        self.received(dead)
        digest = images.upload(self.build(), self.admin("ecr"), self.repository, "latest")
        return self.wait(
            lambda: self._ended(digest), f"the end of the deployment of {digest}", lambda: self.received(dead)
        )

    def wait(
        self, look: Callable[[], Found | None], what: str, never: Callable[[], object] = lambda: False
    ) -> Found:
        """Wait for what `look` gives. Raises `Failed`, at once where `never` shows that it will not come."""

        def looked() -> tuple[Found | None] | None:
            given_up = never()  # before the look: what shows it comes after what is looked for would have
            found = look()
            return (found,) if found or given_up else None

        try:
            [found] = until(looked, what, 30)
        except TimeoutError as error:
            raise Failed(str(error)) from None
        if not found:
            raise Failed(f"{what}: it is known not to come")
        return found

    def said(self, words: str) -> bool:
        """Whether the sandbox has said so on its stderr, since a grant was taken away."""
        return words in self._said.getvalue()

    def expect(self, right: bool, what: str) -> None:
        """Raises `Failed`."""
        if not right:
            raise Failed(f"not so: {what}")

    def invoke(self, function: str, event: object, **how: str) -> Any:
        """Invoke a function as the administrator, and wait for what it answers."""
        return self.admin("lambda").invoke(FunctionName=function, Payload=json.dumps(event), **how)

    def request(self, path: str) -> int:
        """The status that a user of the API gets."""
        url = f"{self.sandbox.url}/_sandbox/apis/{self.outputs['ApiId']}/api{path}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def log(self, function: str) -> str:
        """Everything that a function has written to its log, as far as it came."""
        return self.log_of(f"/aws/lambda/{function}")

    def log_of(self, group: str) -> str:
        """Everything in a log group."""
        events = self.admin("logs").filter_log_events(logGroupName=group)["events"]
        return "".join(event["message"] for event in events)

    def ask_cloudformations_way(self, request_type: str) -> dict[str, Any]:
        """Send the placeholder function a request as CloudFormation does, and give its answer."""
        answers: list[dict[str, Any]] = []

        class Bucket(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:  # http.server's name
                answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing to say."""

        with HTTPServer(("127.0.0.1", 0), Bucket) as server:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            self.invoke(
                f"{self.name}-placeholder",
                {
                    "RequestType": request_type,
                    "ResponseURL": f"http://127.0.0.1:{server.server_port}/",
                    "StackId": "stack",
                    "RequestId": "request",
                    "LogicalResourceId": "PlaceholderImage",
                    "ResourceProperties": {
                        "RepositoryName": self.repository,
                        "RepositoryUri": self.outputs["RepositoryUri"],
                        "Architecture": "arm64",  # the function is made from the other one
                    },
                },
            )
            server.shutdown()
        return answers[0]

    def tagged(self, tag: str) -> str | None:
        """The digest that a tag of the repository is on."""
        ecr = self.admin("ecr")
        found = ecr.batch_get_image(repositoryName=self.repository, imageIds=[{"imageTag": tag}])["images"]
        return str(found[0]["imageId"]["imageDigest"]) if found else None

    def has(self, digest: str) -> bool:
        """Is an image in the repository?"""
        ecr = self.admin("ecr")
        wanted = [{"imageDigest": digest}]
        return bool(ecr.batch_get_image(repositoryName=self.repository, imageIds=wanted)["images"])

    def listens(self, pattern: object) -> str:
        """The URL of a queue that gets the events of the default bus that match, made on first use."""
        return listen(self.admin("sqs"), self.admin("events"), f"{self.name}-listens", pattern)

    def received(self, queue_url: str) -> list[str]:
        """Messages that wait in a queue; they are gone from it afterwards."""
        sqs = self.admin("sqs")
        found = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in found]

    # -- taking grants away

    @contextmanager
    def without(self, owner: str, sid: str) -> Iterator[None]:
        """While this lasts, `owner` (a role's or policy's logical id) lacks the statement `sid`."""
        taken_away = self._policy_without if owner.endswith("Policy") else self._role_without
        self._said = io.StringIO()
        with taken_away(self.physical(owner), sid), redirect_stderr(self._said):
            yield

    @contextmanager
    def _role_without(self, role: str, sid: str) -> Iterator[None]:
        iam = self.admin("iam")
        [name] = iam.list_role_policies(RoleName=role)["PolicyNames"]
        whole = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        less = _less(whole, sid)
        if less["Statement"]:
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(less))
        else:
            iam.delete_role_policy(RoleName=role, PolicyName=name)
        try:
            yield
        finally:
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(whole))

    @contextmanager
    def _policy_without(self, arn: str, sid: str) -> Iterator[None]:
        iam = self.admin("iam")
        before = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        whole = iam.get_policy_version(PolicyArn=arn, VersionId=before)["PolicyVersion"]["Document"]
        made = iam.create_policy_version(
            PolicyArn=arn, PolicyDocument=json.dumps(_less(whole, sid)), SetAsDefault=True
        )
        try:
            yield
        finally:
            iam.set_default_policy_version(PolicyArn=arn, VersionId=before)
            iam.delete_policy_version(PolicyArn=arn, VersionId=made["PolicyVersion"]["VersionId"])

    def _person(self, policy: str) -> str:
        """The role of somebody who has one policy of the stack, made on first use."""
        iam, role = self.admin("iam"), f"{self.name}-{policy}"
        try:
            return str(iam.get_role(RoleName=role)["Role"]["Arn"])
        except iam.exceptions.NoSuchEntityException:
            created = iam.create_role(RoleName=role, AssumeRolePolicyDocument='{"Statement": []}')
            iam.attach_role_policy(RoleName=role, PolicyArn=self.physical(policy))
            return str(created["Role"]["Arn"])

    def physical(self, logical_id: str) -> str:
        """The physical id of one of the stack's resources."""
        detail = self.admin("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId=logical_id
        )
        return str(detail["StackResourceDetail"]["PhysicalResourceId"])

    def _ended(self, digest: str) -> Deployment | None:
        found = [d for d in self.ledger.history(20) if d.image.digest == digest]
        return found[0] if found and not self.ledger.look().open else None


def _less(document: dict[str, Any], sid: str) -> dict[str, Any]:
    kept = [statement for statement in document["Statement"] if statement["Sid"] != sid]
    assert len(kept) == len(document["Statement"]) - 1, f"there is no statement {sid}"
    return {**document, "Statement": kept}
