"""What the command works on: a stack, found through its outputs, and AWS as AWS's own tools find it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from deployer.ports import LookAgain, Refused
from deployer.text import discreet, line

if TYPE_CHECKING:
    import boto3
    import botocore.config

    from deployer.aws.caller import Caller
    from deployer.aws.deployer import DeployerFunction, LiveAlias
    from deployer.aws.images import EcrImages
    from deployer.aws.ledger import DynamoLedger
    from deployer.aws.logs import LogGroup
    from deployer.aws.queue import SqsQueue
    from deployer.aws.registry import EcrRegistry
    from deployer.model import Place

UNUSABLE = 2
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 20.0
_MOST_ANSWER_BYTES = 1024**2  # of the dashboard's function: a plan has some thousand
_TOLD = 600  # bytes of somebody else's words that are passed on


class Unusable(click.ClickException):
    """Usage or configuration is wrong: the verb could not do its work. Exit code 2, as click's own."""

    exit_code = UNUSABLE


def plain(text: str) -> str:
    """Somebody else's words as one line of a bounded size, without secrets of a URL and with nothing in it
    that moves a cursor."""
    return line(discreet(text), _TOLD)


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Around work with AWS that `what` describes: raises `Unusable` in place of what AWS and boto3 say."""
    from botocore.exceptions import (
        BotoCoreError,
        NoCredentialsError,
        NoRegionError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    from deployer.aws.errors import translated
    from deployer.aws.record import BadRecord

    try:
        with translated():
            yield
    except (LookAgain, Refused) as error:
        raise Unusable(f"{what}: {plain(str(error))}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise Unusable(
            f"{what}: there are no AWS credentials ({plain(str(error))}). Log in first, "
            "or name a profile: deployer --profile NAME ..."
        ) from error
    except NoRegionError as error:
        raise Unusable(f"{what}: which Region? Set AWS_REGION, or deployer --region NAME ...") from error
    except ProfileNotFound as error:
        raise Unusable(f"{plain(str(error))}. `aws configure list-profiles` lists them") from error
    except (BadRecord, BotoCoreError) as error:
        raise Unusable(f"{what}: {plain(str(error))}") from error


@dataclass(frozen=True)
class Target:
    """The options that come before the verb."""

    stack: str
    profile: str | None = None
    region: str | None = None

    def find(self) -> Stack:
        """The stack, by DescribeStacks: the one call to CloudFormation. Raises `Unusable`."""
        import boto3

        from deployer.aws.errors import translated

        what = f"looking for the stack {plain(self.stack)}"
        with understood(what):
            session = boto3.Session(profile_name=self.profile, region_name=self.region)
            client = session.client("cloudformation", config=_patience())
            try:
                with translated():
                    [found] = client.describe_stacks(StackName=self.stack)["Stacks"]
            except Refused as refusal:
                if "does not exist" not in str(refusal):
                    raise
                raise Unusable(
                    f"there is no stack {plain(self.stack)} in {session.region_name} of this account. "
                    "Name the stack, the Region or the profile: deployer --stack NAME --region NAME "
                    "--profile NAME ..."
                ) from refusal
        outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
        return Stack(self.stack, session, outputs)


@dataclass(frozen=True)
class Stack:
    """A stack of template.yaml."""

    name: str
    session: boto3.Session
    outputs: Mapping[str, str]

    def output(self, name: str) -> str:
        """An output, or `Unusable`."""
        try:
            return self.outputs[name]
        except KeyError:
            raise Unusable(
                f"the stack {plain(self.name)} has no output {name}: it is another stack, not complete "
                "yet, or made by an older template.yaml. Wait for it, update it, or name the right one: "
                "deployer --stack NAME ..."
            ) from None

    def ledger(self) -> DynamoLedger:
        """What the deployer remembers."""
        from deployer.aws.ledger import DynamoLedger

        client = self.session.client("dynamodb", config=_patience())
        return DynamoLedger(client, self.output("LedgerName"), self.output("ServiceFunctionName"))

    def place(self) -> Place | None:
        """Where it is, for commands to paste and for links; None for a repository that is not in ECR."""
        from deployer.model import Place

        uri = re.fullmatch(
            r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(.+)", self.output("RepositoryUri")
        )
        if uri is None:
            return None
        partition = self.session.get_partition_for_region(uri[2])
        return Place(self.name, uri[2], uri[1], uri[3], partition)

    def registry(self) -> EcrRegistry:
        """The repository that releases are pushed to."""
        from deployer.aws.registry import EcrRegistry

        client = self.session.client("ecr", config=_patience())
        return EcrRegistry(client, self.output("RepositoryUri").partition("/")[2])

    def queue(self, url: str) -> SqsQueue:
        """One of the stack's queues."""
        from deployer.aws.queue import SqsQueue

        return SqsQueue(self.session.client("sqs", config=_patience()), url)

    def deployer(self) -> DeployerFunction:
        """The function that takes commands. It is listened to until it has surely ended, and asked once."""
        from deployer.aws.deployer import ANSWER_SECONDS, DeployerFunction

        client = self.session.client("lambda", config=_patience(ANSWER_SECONDS, attempts=1))
        return DeployerFunction(client, self.output("DeployerName"))

    def live(self) -> LiveAlias:
        """The alias that users are on."""
        from deployer.aws.deployer import LiveAlias

        client = self.session.client("lambda", config=_patience())
        return LiveAlias(client, self.output("ServiceFunctionName"))

    def caller(self) -> Caller:
        """Whose credentials these are."""
        from deployer.aws.caller import Caller

        return Caller(self.session.client("sts", config=_patience()))

    def log(self, function: str) -> LogGroup:
        """What one of the stack's functions has printed."""
        from deployer.aws.logs import LogGroup

        return LogGroup(self.session.client("logs", config=_patience()), f"/aws/lambda/{function}")

    def hand_over(self, event: str) -> None:
        """Have the deployer take an event, JSON, as EventBridge hands it one: Lambda accepts it, and the
        deployer runs later. Raises `Unusable` when it is not accepted."""
        with understood("handing the event to the deployer"):
            client = self.session.client("lambda", config=_patience())
            client.invoke(
                FunctionName=self.output("DeployerName"), InvocationType="Event", Payload=event.encode()
            )

    def images(self) -> EcrImages:
        """What is in the repository that releases are pushed to."""
        from deployer.aws.images import EcrImages

        client = self.session.client("ecr", config=_patience())
        return EcrImages(client, self.output("RepositoryUri").partition("/")[2])

    def read(self, what: str, **more: str) -> dict[str, object]:
        """Ask the dashboard's function, which only reads, see `deployer.reading`. Raises `Unusable`."""
        import json

        from deployer.text import shown

        doing = "asking the dashboard's function"
        with understood(doing):
            client = self.session.client("lambda", config=_patience())
            answered = client.invoke(
                FunctionName=self.output("DashboardFunctionName"),
                Payload=json.dumps({"read": what, **more}).encode(),
            )
            body = answered["Payload"].read(_MOST_ANSWER_BYTES)
        try:
            told = json.loads(body)
        except (ValueError, RecursionError):
            told = None
        if answered.get("FunctionError"):
            raise Unusable(f"{doing}: it died ({plain(shown(told, 300))}).")
        if not isinstance(told, dict):
            raise Unusable(
                f"{doing}: it answered no object. It was made by an older template.yaml: update the stack"
            )
        if "error" in told:
            raise Unusable(f"{doing}: {plain(str(told['error']))}")
        return told

    def docker_password(self) -> str:
        """What Docker logs in to ECR with, as user AWS, for 12 hours. It is a secret.

        https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
        """
        import base64

        with understood("asking ECR for Docker's login"):
            client = self.session.client("ecr", config=_patience())
            [given] = client.get_authorization_token()["authorizationData"]
        return base64.b64decode(given["authorizationToken"]).decode().partition(":")[2]


def _patience(read_seconds: float = _READ_SECONDS, attempts: int = 3) -> botocore.config.Config:
    from botocore.config import Config

    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,  # a NAT forgets a connection that is silent while the deployer works
        user_agent_extra="self-deploying-lambda",
    )
