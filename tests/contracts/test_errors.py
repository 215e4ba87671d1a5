"""Whatever AWS says no with, each operation of each port answers it with one of our words.

Each request that an operation makes meets each trouble once, after the requests before it went well. What a
word in the middle of an answer means (a cancelled transaction, a failure inside BatchGetImage) is in
tests/adapters.
"""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from deployer import ports
from deployer.aws.announcer import EventBridgeAnnouncer
from deployer.aws.caller import Caller
from deployer.aws.deployer import DeployerFunction, LiveAlias
from deployer.aws.function import LambdaFunction
from deployer.aws.images import EcrImages
from deployer.aws.ledger import DynamoLedger
from deployer.aws.logs import LogGroup
from deployer.aws.notifier import SnsNotifier
from deployer.aws.queue import Message as Letter
from deployer.aws.queue import SqsQueue
from deployer.aws.registry import EcrRegistry
from deployer.model import Announcement, Conclusion, Message, Notice, Phase
from deployer.ports import Lease, LookAgain, Refused
from tests.deployments import DIGEST, HOLD, NOW, command, deployment

ADAPTERS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "Function": ("lambda", lambda client: LambdaFunction(client, client, "shuking-prod", "registry/shuking")),
    "Registry": ("ecr", lambda client: EcrRegistry(client, "shuking-lambda")),
    "Ledger": ("dynamodb", lambda client: DynamoLedger(client, "table", "shuking-prod")),
    "Notifier": ("sns", lambda client: SnsNotifier(client, "arn:people", "arn:chat")),
    "Announcer": ("events", EventBridgeAnnouncer),
    "Queue": ("sqs", lambda client: SqsQueue(client, "https://queue")),
    "Deployer": ("lambda", lambda client: DeployerFunction(client, "shuking-prod-deployer")),
    "Alias": ("lambda", lambda client: LiveAlias(client, "shuking-prod")),
    "Caller": ("sts", Caller),
    "Log": ("logs", lambda client: LogGroup(client, "/aws/lambda/shuking-prod")),
    "Images": ("ecr", lambda client: EcrImages(client, "shuking-lambda")),
}
ONLY_THE_COMMANDS = {"Queue", "Deployer", "Alias", "Caller", "Images", "Log"}  # so they are no ports
NOT_AWS = {"Clock"}

TROUBLES: dict[str, dict[str, tuple[str, int]]] = {
    # As each service's API reference has them, on the pages of the operations or of the common errors.
    "lambda": {
        "throttle": ("TooManyRequestsException", 429),
        "conflict": ("ResourceConflictException", 409),
        "precondition": ("PreconditionFailedException", 412),
        "5xx": ("ServiceException", 500),
        "access denied": ("AccessDeniedException", 403),
        "not found": ("ResourceNotFoundException", 404),
        "invalid": ("InvalidParameterValueException", 400),
    },
    "ecr": {  # knows no conflict and no precondition
        "throttle": ("ThrottlingException", 400),
        "quota": ("LimitExceededException", 400),
        "5xx": ("ServerException", 500),
        "access denied": ("AccessDeniedException", 400),
        "not found": ("RepositoryNotFoundException", 400),
    },
    "dynamodb": {  # a precondition that fails has a meaning of its own in each operation
        "throttle": ("ProvisionedThroughputExceededException", 400),
        "conflict": ("TransactionConflictException", 400),
        "5xx": ("InternalServerError", 500),
        "access denied": ("AccessDeniedException", 400),
        "not found": ("ResourceNotFoundException", 400),
    },
    "sns": {
        "throttle": ("Throttled", 429),
        "5xx": ("InternalError", 500),
        "access denied": ("AuthorizationError", 403),
        "not found": ("NotFound", 404),
    },
    "events": {
        "throttle": ("ThrottlingException", 400),
        "5xx": ("InternalException", 500),
        "access denied": ("AccessDeniedException", 400),
        "not found": ("ResourceNotFoundException", 400),
    },
    "sqs": {
        "throttle": ("RequestThrottled", 403),
        "5xx": ("InternalFailure", 500),
        "access denied": ("AccessDenied", 403),
        "not found": ("QueueDoesNotExist", 400),
    },
    "sts": {
        "throttle": ("ThrottlingException", 400),
        "5xx": ("InternalFailure", 500),
        "invalid": ("InvalidClientTokenId", 403),
    },
    "logs": {
        "throttle": ("ThrottlingException", 400),
        "5xx": ("ServiceUnavailableException", 500),
        "access denied": ("AccessDeniedException", 400),
        "not found": ("ResourceNotFoundException", 400),
        "invalid": ("InvalidParameterException", 400),
    },
}
NETWORK: dict[str, Exception] = {
    "no connection": EndpointConnectionError(endpoint_url="https://aws.example"),
    "connection lost": ConnectionClosedError(endpoint_url="https://aws.example"),
    "read time-out": ReadTimeoutError(endpoint_url="https://aws.example"),
}
STAYS = ("access denied", "not found", "invalid")  # the others pass
Request = tuple[str, Callable[[], dict[str, Any]]]  # its name, and the answer after which it goes on


@dataclass(frozen=True)
class Operation:
    """An operation of a port, and the requests that it makes when each is answered so."""

    port: str
    name: str
    do: Callable[[Any], object]
    requests: tuple[Request, ...]

    def __str__(self) -> str:
        return f"{self.port}.{self.name}"


def _op(
    port: str, name: str, do: Callable[[Any], object], *requests: tuple[str, dict[str, Any]]
) -> Operation:
    return Operation(port, name, do, tuple((call, partial(dict, answer)) for call, answer in requests))


HEX = DIGEST.removeprefix("sha256:")
GONE_BLOB = "data:,"  # a link that nobody follows
DESCRIBED = (
    "get_function",
    {"Configuration": {"PackageType": "Image", "CodeSha256": HEX, "Version": "2"}, "Code": {}},
)
FOUND = ("describe_images", {"imageDetails": [{"imageDigest": DIGEST}]})
MANIFEST = {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST},
}
GIVEN = (
    "batch_get_image",
    {"images": [{"imageManifest": json.dumps(MANIFEST), "imageManifestMediaType": MANIFEST["mediaType"]}]},
)
WRITTEN: tuple[str, dict[str, Any]] = ("transact_write_items", {})
HIDDEN: tuple[str, dict[str, Any]] = (
    "change_message_visibility_batch",
    {"Successful": [], "Failed": []},
)
LEASE = Lease("first", 1, NOW)
LETTER = Letter("1", "{}", {}, None, "receipt")
IMAGE = deployment().image

OPERATIONS = (
    _op("Function", "latest", lambda function: function.latest(), DESCRIBED),
    _op("Function", "version", lambda function: function.version("2"), DESCRIBED),
    _op("Function", "live", lambda function: function.live(), DESCRIBED),
    _op(
        "Function",
        "live_revision",
        lambda function: function.live_revision("2"),
        ("get_alias", {"FunctionVersion": "2", "RevisionId": "revision"}),
    ),
    _op(
        "Function",
        "update_code",
        lambda function: function.update_code(IMAGE, "x86_64", "revision"),
        ("update_function_code", {}),
    ),
    _op(
        "Function",
        "publish",
        lambda function: function.publish(IMAGE, "revision"),
        ("publish_version", {"Version": "2"}),
    ),
    _op(
        "Function",
        "point_live",
        lambda function: function.point_live("2", "revision"),
        ("update_alias", {}),
    ),
    Operation(
        "Function",
        "invoke",
        lambda function: function.invoke("2", b"{}"),
        (("invoke", lambda: {"Payload": StreamingBody(io.BytesIO(b"{}"), 2)}),),
    ),
    _op("Registry", "tagged", lambda registry: registry.tagged("latest"), FOUND),
    _op("Registry", "present", lambda registry: registry.present(DIGEST), FOUND),
    _op("Registry", "mark", lambda registry: registry.mark(DIGEST, "live"), GIVEN, ("put_image", {})),
    _op(
        "Registry",
        "artifact",
        lambda registry: registry.artifact(DIGEST),
        GIVEN,
        ("get_download_url_for_layer", {"downloadUrl": GONE_BLOB}),
    ),
    _op(
        "Registry",
        "artifact",
        lambda registry: registry.artifact(DIGEST),
        ("batch_get_image", {"images": [], "failures": []}),  # of a type that nobody asked for
        FOUND,
    ),
    _op("Ledger", "look", lambda ledger: ledger.look(), ("query", {"Items": []})),
    _op("Ledger", "request", lambda ledger: ledger.request(deployment()), WRITTEN),
    _op(
        "Ledger",
        "acquire",
        lambda ledger: ledger.acquire("first", NOW, NOW),
        ("update_item", {"Attributes": {"lease_token": {"N": "1"}}}),
    ),
    _op("Ledger", "release", lambda ledger: ledger.release(LEASE), ("update_item", {})),
    _op("Ledger", "record", lambda ledger: ledger.record(LEASE, deployment()), WRITTEN),
    _op("Ledger", "forget", lambda ledger: ledger.forget(LEASE, deployment()), WRITTEN),
    _op(
        "Ledger",
        "end",
        lambda ledger: ledger.end(LEASE, Conclusion(deployment(1, Phase.REJECTED), settled=DIGEST)),
        WRITTEN,
    ),
    _op("Ledger", "sent", lambda ledger: ledger.sent(Notice(deployment())), ("delete_item", {})),
    _op("Ledger", "unsent", lambda ledger: ledger.unsent(Notice(deployment()), NOW), ("update_item", {})),
    _op("Ledger", "quarantine", lambda ledger: ledger.quarantine(DIGEST), ("get_item", {})),
    _op("Ledger", "command", lambda ledger: ledger.command("request-1"), ("get_item", {})),
    _op("Ledger", "ask", lambda ledger: ledger.ask(command("deploy", wish=deployment())), WRITTEN),
    _op("Ledger", "hold", lambda ledger: ledger.hold(command("hold", hold=HOLD)), WRITTEN),
    _op("Ledger", "resume", lambda ledger: ledger.resume(command("resume", hold=HOLD)), WRITTEN),
    _op("Ledger", "abort", lambda ledger: ledger.abort(command("abort", deployment="id")), WRITTEN),
    _op("Ledger", "quarantines", lambda ledger: ledger.quarantines(1), ("query", {"Items": []})),
    _op("Ledger", "history", lambda ledger: ledger.history(1), ("query", {"Items": []})),
    _op("Ledger", "beginning", lambda ledger: ledger.beginning("2026", 1), ("query", {"Items": []})),
    _op("Ledger", "find", lambda ledger: ledger.find("id"), ("get_item", {}), ("get_item", {})),
    _op("Notifier", "send", lambda notifier: notifier.send(Message("s", "b", "t")), ("publish", {})),
    _op("Notifier", "chat", lambda notifier: notifier.chat(Message("s", "b", "t")), ("publish", {})),
    _op(
        "Announcer",
        "announce",
        lambda announcer: announcer.announce(Announcement("Deployment Succeeded", (), "{}", NOW)),
        ("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}),
    ),
    _op(
        "Queue",
        "read",
        lambda queue: queue.read({}),
        ("get_queue_attributes", {"Attributes": {}}),
        ("receive_message", {}),
    ),
    _op("Images", "newest", lambda images: images.newest(1), FOUND),
    _op("Queue", "put_back", lambda queue: queue.put_back([LETTER]), HIDDEN),
    _op("Queue", "keep", lambda queue: queue.keep([LETTER], 60), HIDDEN),
    _op("Queue", "delete", lambda queue: queue.delete(LETTER), ("delete_message", {})),
    Operation(
        "Deployer",
        "ask",
        lambda deployer: deployer.ask({"command": "check"}),
        (("invoke", lambda: {"Payload": StreamingBody(io.BytesIO(b"{}"), 2)}),),
    ),
    _op("Alias", "version", lambda alias: alias.version(), ("get_alias", {"FunctionVersion": "2"})),
    _op(
        "Caller", "arn", lambda caller: caller.arn(), ("get_caller_identity", {"Arn": "arn:aws:" + "x" * 20})
    ),
    _op("Log", "read", lambda log: log.read(0, "page"), ("filter_log_events", {"events": []})),
)


@pytest.fixture(scope="module")
def clients(silent: Callable[[str], Any]) -> dict[str, Any]:
    return {service: silent(service) for service in TROUBLES}


@contextmanager
def answering(client: Any, requests: Sequence[Request]) -> Iterator[Stubber]:
    """AWS answers these requests, all of them and in this order."""
    with Stubber(client) as stub:
        for call, answer in requests:
            stub.add_response(call, answer())
        yield stub
        stub.assert_no_pending_responses()


@contextmanager
def failing(client: Any, number: int, error: Exception) -> Iterator[None]:
    """The network fails at the request of this number."""
    asked = iter(range(number + 1))

    def fail(**_: object) -> None:
        if next(asked) == number:
            raise error

    client.meta.events.register_first("before-parameter-build.*.*", fail, unique_id="network")
    try:
        yield
    finally:
        client.meta.events.unregister("before-parameter-build.*.*", fail, unique_id="network")


def meetings(troubles: Callable[[str], Iterable[str]]) -> list[Any]:
    """Each request of each operation, with each trouble of its service."""
    return [
        pytest.param(operation, number, trouble, id=f"{operation}-{call}-{trouble}")
        for operation in OPERATIONS
        for number, (call, _) in enumerate(operation.requests)
        for trouble in troubles(ADAPTERS[operation.port][0])
    ]


@pytest.mark.parametrize(("operation", "number", "trouble"), meetings(lambda service: TROUBLES[service]))
def test_each_refusal_of_each_request_is_one_of_our_words(
    clients: dict[str, Any], operation: Operation, number: int, trouble: str
) -> None:
    service, adapter = ADAPTERS[operation.port]
    code, status = TROUBLES[service][trouble]
    word = Refused if trouble in STAYS else LookAgain
    with answering(clients[service], operation.requests[:number]) as stub:
        stub.add_client_error(operation.requests[number][0], code, "said AWS", status)
        with pytest.raises(word, match=f"{code}: said AWS"):
            operation.do(adapter(clients[service]))


@pytest.mark.parametrize(("operation", "number", "trouble"), meetings(lambda _: NETWORK))
def test_each_failure_of_the_network_means_look_again(
    clients: dict[str, Any], operation: Operation, number: int, trouble: str
) -> None:
    service, adapter = ADAPTERS[operation.port]
    client = clients[service]
    with (
        failing(client, number, NETWORK[trouble]),
        answering(client, operation.requests[:number]),
        pytest.raises(LookAgain, match=r"aws\.example"),
    ):
        operation.do(adapter(client))


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_no_operation_makes_a_request_that_is_not_in_the_table(
    clients: dict[str, Any], operation: Operation
) -> None:
    service, adapter = ADAPTERS[operation.port]
    with answering(clients[service], operation.requests):
        operation.do(adapter(clients[service]))


def test_every_operation_of_every_port_and_adapter_is_in_the_table(clients: dict[str, Any]) -> None:
    listed = {port: {op.name for op in OPERATIONS if op.port == port} for port in ADAPTERS}
    adapters = {
        port: _operations(type(adapter(clients[service]))) for port, (service, adapter) in ADAPTERS.items()
    }
    assert listed == adapters

    protocols = {
        name: _operations(each)
        for name, each in inspect.getmembers(ports, inspect.isclass)
        if getattr(each, "_is_protocol", False) and each.__module__ == ports.__name__
    }
    assert protocols.keys() == (ADAPTERS.keys() - ONLY_THE_COMMANDS) | NOT_AWS
    assert {name: listed[name] for name in protocols.keys() - NOT_AWS} == {
        name: operations for name, operations in protocols.items() if name not in NOT_AWS
    }


def _operations(of: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(of, inspect.isfunction) if not name.startswith("_")}
