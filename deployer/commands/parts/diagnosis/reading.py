"""Reads all that `deployer doctor` judges: some thirty requests, however long the history is, several at a
time. What is refused or does not answer is an `Unread`; nothing here raises for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from deployer.aws.errors import translated
from deployer.aws.record import BadRecord
from deployer.commands.parts.diagnosis.finding import Unread
from deployer.commands.parts.diagnosis.names import NEEDED, QUEUES, RULES, Names
from deployer.commands.parts.target import Stack, plain
from deployer.model import Book, Deployment, Quarantine
from deployer.ports import LookAgain, Refused

if TYPE_CHECKING:
    from deployer.aws.ledger import DynamoLedger

Answer = Mapping[str, Any]  # as AWS gives it
T = TypeVar("T")

SWEEPS_SINCE = timedelta(minutes=15)
# In the metrics that the deployer writes to its log at the end of a sweep: see handler.on_event.
SWEPT, SWEEP_FAILED = "EventSweepDue", "SweepFailed"
HISTORY = 10
_AT_ONCE = 8
_MOST_LOG_PAGES = 3
_MOST_ANSWER_BYTES = 1_000_000
_NOT_THERE = (
    "ResourceNotFoundException",
    "RepositoryNotFoundException",
    "RepositoryPolicyNotFoundException",
    "LifecyclePolicyNotFoundException",
    "ImageNotFoundException",
    "NotFound",  # SNS
)
_TAGS = ("release", "live", "previous")
_TOPICS = {"Topic": "TopicArn", "ChatTopic": "ChatTopicArn"}


@dataclass(frozen=True)
class StackSeen:
    """The stack itself. `now` is AWS's clock, `here` this machine's at the same moment."""

    status: str
    reason: str
    created_at: datetime
    now: datetime
    here: datetime


@dataclass(frozen=True)
class Rule:
    """A rule of EventBridge and what it starts."""

    description: Answer
    targets: list[Answer]


@dataclass(frozen=True)
class Waiting:
    """How many letters SQS counts in a queue, roughly: those to be seen, and those somebody is reading."""

    visible: int
    hidden: int


@dataclass(frozen=True)
class Seen:
    """All that was read. None: AWS says that there is no such thing."""

    names: Names
    stack: StackSeen
    repository: Answer | Unread | None
    repository_policy: str | Unread | None
    lifecycle_policy: str | Unread | None
    tags: Mapping[str, Answer | Unread | None]  # "release", "live", "previous": the image that has it
    quarantine: Quarantine | Unread | None  # of what the release tag points at
    alias: Answer | Unread | None
    alias_policy: str | Unread | None
    deployer_policy: str | Unread | None
    function: Answer | Unread  # what deployer/inspection.py gives; `image` is what the release tag points at
    rules: Mapping[str, Rule | Unread | None]
    sweeps: list[Answer] | Unread  # log events of the sweeps since `SWEEPS_SINCE`, oldest first
    queues: Mapping[str, Waiting | Unread]
    book: Book | Unread
    history: list[Deployment] | Unread
    subscriptions: Mapping[str, list[Answer] | Unread]
    alarms: list[Answer] | Unread


def look_at_the_stack(stack: Stack) -> StackSeen | Unread:
    """The stack's status, and AWS's time."""
    client = _client(stack, "cloudformation")
    answer = _attempt(lambda: client.describe_stacks(StackName=stack.name))
    here = datetime.now(UTC)
    if answer is None or isinstance(answer, Unread):
        return answer or Unread("the stack is gone")
    [found] = answer["Stacks"]
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return StackSeen(
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        created_at=found["CreationTime"],
        now=_date(headers.get("date"), here),
        here=here,
    )


def missing_outputs(stack: Stack) -> list[str]:
    """Outputs without which nothing else can be read."""
    return [name for name in NEEDED if not stack.outputs.get(name)]


def read(stack: Stack, names: Names, seen: StackSeen) -> Seen:
    """Everything else. No output may be missing."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="doctor") as pool:
        reader = _Reader(stack, names, pool)
        return reader.read(seen)


class _Reader:
    """Clients are made here, one after another: boto3's sessions are not for several threads; its clients
    are. https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html"""

    def __init__(self, stack: Stack, names: Names, pool: ThreadPoolExecutor) -> None:
        self._names, self._pool = names, pool
        self._clients = {
            name: _client(stack, name)
            for name in ("ecr", "lambda", "events", "logs", "sqs", "sns", "cloudwatch")
        }
        self._ledger: DynamoLedger = stack.ledger()

    def read(self, stack: StackSeen) -> Seen:
        names, lambda_ = self._names, self._clients["lambda"]
        ecr, of_repository = self._clients["ecr"], {"repositoryName": names.repository}
        tags = {tag: self._tag(names.release_tag if tag == "release" else tag) for tag in _TAGS}
        # These wait for the release tag's digest, and a cold start takes seconds, so they are begun first.
        function = self._pool.submit(self._inspect, tags["release"])
        quarantine = self._of_release(tags["release"], self._ledger.quarantine)
        rules = {rule: self._later(self._rule, rule) for rule in RULES}
        repository = self._later(lambda: ecr.describe_repositories(repositoryNames=[names.repository]))
        repository_policy = self._later(lambda: ecr.get_repository_policy(**of_repository)["policyText"])
        lifecycle_policy = self._later(
            lambda: ecr.get_lifecycle_policy(**of_repository)["lifecyclePolicyText"]
        )
        on_live = {"FunctionName": names.service}
        alias = self._later(lambda: lambda_.get_alias(**on_live, Name="live"))
        alias_policy = self._later(lambda: lambda_.get_policy(**on_live, Qualifier="live")["Policy"])
        deployer_policy = self._later(lambda: lambda_.get_policy(FunctionName=names.deployer)["Policy"])
        sweeps = self._later(lambda: self._sweeps(stack.now - SWEEPS_SINCE))
        queues = {queue: self._later(self._queue, names.outputs[out]) for queue, out in QUEUES.items()}
        # In this order, one after the other: what ends in between is in both.
        books = self._later(lambda: (self._ledger.look(), self._ledger.history(HISTORY)))
        subscriptions = {
            topic: self._later(self._subscriptions, names.outputs[out]) for topic, out in _TOPICS.items()
        }
        alarms = self._later(
            lambda: self._clients["cloudwatch"].describe_alarms(AlarmNames=names.alarms)["MetricAlarms"]
        )
        book = _there(books.result(), f"table {names.outputs['LedgerName']}")
        return Seen(
            names=names,
            stack=stack,
            repository=_first(repository.result()),
            repository_policy=repository_policy.result(),
            lifecycle_policy=lifecycle_policy.result(),
            tags={tag: image.result() for tag, image in tags.items()},
            quarantine=quarantine.result(),
            alias=alias.result(),
            alias_policy=alias_policy.result(),
            deployer_policy=deployer_policy.result(),
            function=_there(function.result(), f"function {names.dashboard}"),
            rules={rule: found.result() for rule, found in rules.items()},
            sweeps=_there(sweeps.result(), f"log group of {names.deployer}"),
            queues={queue: _there(found.result(), queue) for queue, found in queues.items()},
            book=book if isinstance(book, Unread) else book[0],
            history=book if isinstance(book, Unread) else book[1],
            subscriptions={topic: _there(found.result(), topic) for topic, found in subscriptions.items()},
            alarms=_there(alarms.result(), "list of alarms"),
        )

    def _later(self, ask: Callable[..., object], *what: str) -> Future[Any]:
        return self._pool.submit(_attempt, lambda: ask(*what))

    def _tag(self, tag: str) -> Future[Any]:
        def ask() -> Answer:
            details = self._clients["ecr"].describe_images(
                repositoryName=self._names.repository, imageIds=[{"imageTag": tag}]
            )["imageDetails"]
            found: Answer = details[0]
            return found

        return self._later(ask)

    def _of_release(self, tagged: Future[Any], ask: Callable[[str], object]) -> Future[Any]:
        """What is asked about the release tag's digest, once that is known. That was asked for before, so
        whoever waits for it waits for a thread that runs."""

        def then() -> object:
            image = tagged.result()
            if isinstance(image, Unread) or image is None:
                return image
            return _attempt(lambda: ask(image["imageDigest"]))

        return self._pool.submit(then)

    def _rule(self, rule: str) -> Rule | Unread:
        output = RULES[rule]
        name = self._names.outputs.get(output)
        if not name:
            return Unread(
                f"the stack has no output {output}: it is older than this command. sam build && sam deploy"
            )
        events = self._clients["events"]
        return Rule(events.describe_rule(Name=name), events.list_targets_by_rule(Rule=name)["Targets"])

    def _inspect(self, tagged: Future[Any]) -> Answer | Unread | None:
        image = tagged.result()
        known = isinstance(image, Mapping)
        asked = {"read": "function"} | ({"digest": image["imageDigest"]} if known else {})
        return _attempt(lambda: self._ask_dashboard(asked))

    def _ask_dashboard(self, asked: Mapping[str, str]) -> Answer | Unread:
        answer = self._clients["lambda"].invoke(FunctionName=self._names.dashboard, Payload=json.dumps(asked))
        body = answer["Payload"].read(_MOST_ANSWER_BYTES)
        return inspected(self._names.dashboard, body, failed="FunctionError" in answer)

    def _sweeps(self, since: datetime) -> list[Answer]:
        """DescribeLogStreams would be less to read, but "typically updates in less than an hour".
        https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogStream.html"""
        request: dict[str, Any] = {
            "logGroupName": f"/aws/lambda/{self._names.deployer}",
            "startTime": int(since.timestamp() * 1000),
            "filterPattern": f'"{SWEPT}"',
        }
        found: list[Answer] = []
        for _ in range(_MOST_LOG_PAGES):
            answer = self._clients["logs"].filter_log_events(**request)
            found += answer["events"]
            if not answer.get("nextToken"):
                break
            request["nextToken"] = answer["nextToken"]
        return sorted(found, key=lambda event: event["timestamp"])

    def _queue(self, url: str) -> Waiting:
        visible, hidden = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
        counted = self._clients["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=[visible, hidden])
        return Waiting(int(counted["Attributes"][visible]), int(counted["Attributes"][hidden]))

    def _subscriptions(self, topic: str) -> list[Answer]:
        """The first hundred."""
        found: list[Answer] = self._clients["sns"].list_subscriptions_by_topic(TopicArn=topic)[
            "Subscriptions"
        ]
        return found


def inspected(function: str, body: bytes, *, failed: bool) -> Answer | Unread:
    """What the dashboard's function says of the service's. `failed`: it died, and `body` says of what."""
    if failed:
        return Unread(f"{function} failed: {plain(body.decode(errors='replace'))}")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, dict) and {"latest", "live", "unset", "image"} <= told.keys():
        return told
    if isinstance(told, dict) and "error" in told:
        return Unread(f"{function} says: {plain(str(told['error']))}")
    return Unread(
        f"{function} does not answer this question: it is older than this command (sam build && sam deploy), "
        "or cannot start (its log says why)"
    )


def _attempt(ask: Callable[[], T]) -> T | Unread | None:
    """What `ask` gives; None when AWS says that there is no such thing."""
    from botocore.exceptions import BotoCoreError

    try:
        with translated():
            return ask()
    except Refused as error:
        told = str(error)
        if any(f": {code}:" in told for code in _NOT_THERE):
            return None
        return Unread(plain(told), refused="AccessDenied" in told or "AuthorizationError" in told)
    except (LookAgain, BadRecord, BotoCoreError) as error:
        return Unread(plain(str(error)))


def _there(answer: Any, what: str) -> Any:
    """What a stack has as long as it is there: not to find it is a failed look."""
    return Unread(f"there is no {what}: it was deleted, so nothing can be said") if answer is None else answer


def _first(answer: Answer | Unread | None) -> Answer | Unread | None:
    if answer is None or isinstance(answer, Unread):
        return answer
    found: Answer = answer["repositories"][0]
    return found


def _client(stack: Stack, service: str) -> Any:
    from botocore.config import Config

    config = Config(
        connect_timeout=5.0,
        read_timeout=20.0,
        retries={"mode": "standard", "total_max_attempts": 3},
        user_agent_extra="self-deploying-lambda",
    )
    return stack.session.client(service, config=config)  # type: ignore[call-overload]  # the stubs want a literal


def _date(text: str | None, otherwise: datetime) -> datetime:
    try:
        return parsedate_to_datetime(text or "").astimezone(UTC)
    except ValueError:
        return otherwise
