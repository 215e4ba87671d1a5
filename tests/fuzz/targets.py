"""Each entry for something foreign, as a function of bytes that raises when a promise is broken.

What is promised, in bytes of UTF-8, is in `BOUNDS`; docs/testing.md shows it. `test_*.py` here give the
functions what hypothesis makes, `python -m tests.fuzz` what atheris makes.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from http.client import HTTPException
from typing import Any, cast

from aws_lambda_powertools.utilities.typing import LambdaContext
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from deployer import dashboard, events, handler, page, placeholder, reading, settings, smoke, web
from deployer.announcement import MAXIMUM_DETAIL, announcement
from deployer.aws import errors, function, record, registry
from deployer.chat import chat
from deployer.commands.parts import checking, following, loglines
from deployer.commands.parts.standing import Outcome, Standing
from deployer.log import Unexpected
from deployer.message import compose
from deployer.model import Artifact, Book, Deployment, Place, Version
from deployer.ports import Answer, LookAgain, Refused
from deployer.rollout import ENDED
from deployer.text import discreet
from tests.fakes import FakeClock, World
from tests.fuzz.strategies import COMMANDS, DIGEST, document, recorded, text
from tests.unit.test_handler import CONTEXT
from tests.unit.test_page import Seen
from tests.unit.test_placeholder import CREATE, DELETE, UPDATE, FakeEcr
from tests.unit.test_settings import DEPLOYER_ARN, GOOD
from tests.unit.test_web import CHUNKED, OK, Wire
from tests.unit.test_web import answer as http_answer

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

# What leaves an entry, at most: bytes of UTF-8.
BOUNDS = {
    "why an event is ignored or unreadable, or a command refused": 1_000,
    "one text of a command or an alarm": 800,
    "an answer to an invocation": 4_000,
    "one line of the deployer's log, for an event": 16_000,
    "an answer to CloudFormation": 4_096,
    "why an image is rejected, and each word about it": 800,
    "why CHECKS or a setting is wrong": 4_000,
    "what is told of one answer to a check": 1_600,
    "a log tail": 4_096,
    "why a record cannot be read": 1_000,
    "an item of the ledger": 390 * 1024,
    "the dashboard's page": 200_000,
    "a chat message": 16_000,
    "what AWS says": 600,
    "one line of a log, shown": 60_000,
}


class Broken(AssertionError):
    """A promise is broken."""


def expect(right: bool, what: str) -> None:
    """Raises `Broken`. Not `assert`, which an optimizing Python leaves out."""
    if not right:
        raise Broken(what)


def short(told: str, what: str) -> None:
    """It can be written down, and is not longer than promised."""
    size = len(told.encode())  # half a character raises
    expect(size <= BOUNDS[what], f"{what}: {size} bytes")


def line(told: str, what: str) -> None:
    """The same, and it is one line that a terminal shows as it is."""
    short(told, what)
    expect(told.isprintable(), f"{what}: not printable: {told[:200]!r}")


# -- events and commands ----------------------------------------------------------------------------------


def event(data: bytes) -> None:
    """`events.parse`: a meaning, `Unreadable` or `BadCommand`."""
    _read_event(data, [*recorded("eventbridge"), *recorded("api-gateway")])


def command(data: bytes) -> None:
    """The same of what people send."""
    _read_event(data, COMMANDS)


def _read_event(data: bytes, seeds: Sequence[object]) -> None:
    with suppress(ValueError):
        given = document(data, seeds)
        try:
            meaning = events.parse(
                given,
                repository="shuking-lambda",
                account="123456789012",
                release_tag="latest",
                request_id="request-1",
            )
        except (events.Unreadable, events.BadCommand) as error:
            line(str(error), "why an event is ignored or unreadable, or a command refused")
            return
        if isinstance(meaning, events.Ignored):
            line(meaning.because, "why an event is ignored or unreadable, or a command refused")
            return
        for word in _texts(meaning):
            line(word, "one text of a command or an alarm")


def _texts(value: object) -> Iterator[str]:
    """All texts in a frozen record."""
    if isinstance(value, str):
        yield value
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            yield from _texts(getattr(value, each.name))


def invocation(data: bytes) -> None:
    """`handler.on_event`: an answer that Lambda can send, or `Unreadable`, or in its place `Unexpected` when
    a secret had to be left out; one JSON object a log line."""
    with suppress(ValueError):
        given = document(data, [*recorded("eventbridge"), *COMMANDS])
    if "given" not in locals():
        return
    with _deployer() as log:
        try:
            answer = handler.on_event(given, CONTEXT)
        except (events.Unreadable, Unexpected) as error:
            expect(isinstance(error, events.Unreadable) or "Unreadable: " in str(error), repr(error))
            line(str(error), "why an event is ignored or unreadable, or a command refused")
        else:
            short(json.dumps(answer, ensure_ascii=False), "an answer to an invocation")
    for each in log.getvalue().splitlines():
        expect(isinstance(json.loads(each), dict), "a log line is no JSON object")
        short(each, "one line of the deployer's log, for an event")


@contextmanager
def _deployer() -> Iterator[io.StringIO]:
    """The handler in front of a fake world; its log."""
    stream = io.StringIO()
    handler.logger.registered_handler.stream = stream  # type: ignore[attr-defined]  # a StreamHandler
    given = settings.read({**GOOD, "REPOSITORY_URI": GOOD["REPOSITORY_URI"].replace("team/", "")})
    before = handler._settings, handler._controller, handler.metrics.namespace
    world = World()

    def controller(context: LambdaContext) -> Any:
        return world.controller()

    handler._settings, handler._controller = cache(lambda: given), controller
    handler.metrics.namespace = "deployer"
    try:
        yield stream
    finally:
        handler._settings, handler._controller, handler.metrics.namespace = before
        handler.metrics.clear_metrics()


def widget(data: bytes) -> None:
    """`dashboard.on_widget`: a page of known elements, or what the widget is, whatever the parameters are."""
    context = {"theme": "dark", "width": 588, "params": {"a": "b"}, "forms": {"all": {"by": "a"}}}
    times = {"start": 1627236199729, "end": 1627322599729, "zoom": {"start": 1627276030434}}
    seeds = [{"describe": True}, {"widgetContext": {**context, "timeRange": times}}]
    with suppress(ValueError):
        html = dashboard.on_widget(document(data, seeds), CONTEXT)
        if isinstance(html, dict):  # a program's question; what is answered to it is `question`
            return
        short(html, "the dashboard's page")
        if html != dashboard.DESCRIPTION:
            Seen(html)


def question(data: bytes) -> None:
    """`reading.answer`: what is live, a plan, or why not, as JSON; and nothing is changed."""
    seeds = [{"read": "state"}, {"read": "plan", "digest": DIGEST}, {"read": ["plan"], "digest": 1}]
    with suppress(ValueError):
        asked = document(data, seeds)
        if not isinstance(asked, dict):
            return
        world = World()
        before = world.ledger.look()
        sources = reading.Sources(
            world.function, world.registry, world.ledger, "shuking", world.service.placeholders
        )
        answered = reading.answer(asked, lambda: sources, NOW)
        short(json.dumps(answered), "an answer to an invocation")
        expect("error" in answered or "live" in answered, f"neither an answer nor an error: {answered}")
        expect(world.ledger.look() == before, "asking has changed the ledger")


def request(data: bytes) -> None:
    """`placeholder.answer`: one answer that CloudFormation reads, if there is a web address for it."""
    sent: list[tuple[str, bytes]] = []
    given = None
    with suppress(ValueError):
        given = document(data, [CREATE, UPDATE, DELETE])
    if not isinstance(given, dict):
        return
    try:
        placeholder.answer(
            given,
            cast("Any", FakeEcr()),
            lambda url, body: sent.append((url, body)),
            log_stream="2026/03/01/[$LATEST]1",
        )
    except ValueError as error:
        expect("ResponseURL" in str(error), f"an unexpected error: {error}")
        expect(not sent, "answered, and failed all the same")
        return
    [(url, body)] = sent
    expect(url.startswith(("https://", "http://")), "an answer to no web address")
    short(body.decode(), "an answer to CloudFormation")
    expect(json.loads(body)["Status"] in ("SUCCESS", "FAILED"), "no outcome")


# -- images -----------------------------------------------------------------------------------------------

_IMAGE = "application/vnd.oci.image.manifest.v1+json"
_MANIFESTS: list[object] = [
    {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": config, "size": 2, "digest": DIGEST},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": 9, "digest": DIGEST}],
    }
    for media_type, config in (
        (_IMAGE, "application/vnd.oci.image.config.v1+json"),
        (
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.container.image.v1+json",
        ),
        ("application/vnd.oci.image.index.v1+json", "application/vnd.cncf.helm.config.v1+json"),
    )
]
_CONFIGS: list[object] = [
    {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {registry.REVISION_LABEL: "4f2a9c1"}},
        "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    }
]


def manifest(data: bytes) -> None:
    """`EcrRegistry.artifact`, whatever manifest was pushed: what it is, or what is wrong with it."""
    given = text(data, _MANIFESTS).decode(errors="replace")
    for media_type in (_IMAGE, ""):
        ecr = _Ecr(
            {"images": [{"imageManifest": given, "imageManifestMediaType": media_type}], "failures": []}
        )
        _artifact(ecr)


def config(data: bytes) -> None:
    """An image's config: an architecture and a revision in a few words, or a problem."""
    try:
        found = registry._Config.read(text(data, _CONFIGS))
    except registry._Unreadable as error:
        line(str(error), "why an image is rejected, and each word about it")
        return
    for word in (found.architecture, found.origin.revision, found.origin.url, found.problem):
        line(word or "", "why an image is rejected, and each word about it")


def registry_answer(data: bytes) -> None:
    """What ECR says in place of an image."""
    seeds = [
        {"images": [], "failures": [{"failureCode": "ImageInaccessible", "failureReason": "A reason."}]},
        {"images": [], "failures": [{"failureCode": "UpstreamUnavailable", "failureReason": "A reason."}]},
        {"images": [{}], "failures": []},
    ]
    given = None
    with suppress(ValueError):
        given = document(data, seeds)
    # botocore gives the members of the service's model, in their types; what is in a text is anybody's.
    if not isinstance(given, dict) or not all(
        isinstance(given.get(key), list) for key in ("images", "failures")
    ):
        return
    if all(_all_texts(each) for each in (*given["images"], *given["failures"])):
        _artifact(_Ecr(given))


def _all_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


class _Ecr:
    """A client of a registry that has one answer, and no blobs."""

    class exceptions:  # noqa: N801 - where boto3's clients have them
        class LayersNotFoundException(Exception): ...

        class LayerInaccessibleException(Exception): ...

        class ImageNotFoundException(Exception): ...

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def batch_get_image(self, **_: object) -> dict[str, Any]:
        return self._answer

    def get_download_url_for_layer(self, **_: object) -> dict[str, Any]:
        raise self.exceptions.LayersNotFoundException

    def describe_images(self, **_: object) -> dict[str, Any]:
        raise self.exceptions.ImageNotFoundException


def _artifact(ecr: _Ecr) -> None:
    try:
        found = registry.EcrRegistry(cast("Any", ecr), "app").artifact(DIGEST)
    except (LookAgain, Refused) as error:
        line(str(error), "what AWS says")
        return
    for word in _texts(found) if isinstance(found, Artifact) else ():
        line(word, "why an image is rejected, and each word about it")


# -- answers to checks ------------------------------------------------------------------------------------

_ANSWERS: list[object] = [
    {"statusCode": 200, "headers": {}, "body": '{"status": "ok"}', "isBase64Encoded": False},
    {"statusCode": 200, "body": base64.b64encode(b'{"status": "ok"}').decode(), "isBase64Encoded": True},
    {"statusCode": 503, "body": '{"status": "failing", "checks": {}}'},
    {"errorType": "KeyError", "errorMessage": "'x'", "stackTrace": ["a", "b"]},
]
_CHECKS: list[object] = [
    [{"path": "/health", "json": {"status": "ok"}}],
    [
        {
            "method": "POST",
            "path": "/echo?x=1",
            "headers": {"Authorization": "Bearer canary"},
            "body": "canary",
            "status": 201,
            "json": {"a": [1]},
            "max_seconds": 2.5,
            "tries": 5,
        }
    ],
]


def answer(data: bytes) -> None:
    """`smoke.run_checks`: a verdict in bounded lines, whatever the service answers or dies of."""
    payload = text(data, _ANSWERS)
    wanted = (smoke.Check(json={"status": "ok"}, tries=1), smoke.Check(max_seconds=1, tries=1))
    for function_error in (None, "Unhandled", payload[:300].decode(errors="replace")):
        given = Answer(payload, function_error, "", "2")
        for check in wanted:
            verdict = smoke.run_checks([check], lambda payload, given=given: given, FakeClock())
            line(str(verdict.results[0].actual), "what is told of one answer to a check")


def log_tail(data: bytes) -> None:
    """The end of the service's log, as Lambda hands it over."""
    for encoded in (base64.b64encode(data).decode(), data.decode(errors="replace")):
        told = function._log(encoded)
        short(told, "a log tail")
        expect(
            all(each.isprintable() for each in told.replace("\t", " ").split("\n")),
            "a log that is not shown as it is",
        )


def checks(data: bytes) -> None:
    """The CHECKS setting: checks whose every word can be told, or `BadChecks` without what may be secret."""
    given = text(data, _CHECKS).decode(errors="replace")
    try:
        found = smoke.parse_checks(given)
    except smoke.BadChecks as error:
        line(str(error), "why CHECKS or a setting is wrong")
        expect("canary" not in str(error), "a credential is told")
        return
    for check in found:
        expect(f"{check.name}".isprintable(), "a check's name is not printable")
        json.loads(smoke.request_event(check, NOW))
        smoke.judge(check, Answer(b'{"statusCode": 200, "body": "{}"}', None, "", "2"), 0.1)
        expect(isinstance(check.expected, str), "no words for what is expected")
    with suppress(settings.BadSettings):
        settings.read({**GOOD, "CHECKS": given})


def environment(data: bytes) -> None:
    """The settings: all that is wrong, in one bounded line."""
    given = None
    with suppress(ValueError):
        given = document(data, [dict(GOOD)])
    # An environment holds texts, without a zero byte; what is no UTF-8 comes as half a character.
    wanted = {key: str(value)[:2000] for key, value in given.items()} if isinstance(given, dict) else {}
    for read in (settings.read, settings.read_dashboard):
        try:
            read(wanted)
        except settings.BadSettings as error:
            line(str(error), "why CHECKS or a setting is wrong")


# -- the ledger -------------------------------------------------------------------------------------------


@cache
def _items() -> list[object]:
    """Deployments as the table has them, in JSON."""
    world = World()
    world.push("good")
    world.answers("bad", Answer(b'{"statusCode": 503, "body": "no"}', None, "a log\nof two lines", "2"))
    ended = [world.push("bad"), world.push("good")]
    items = [record.deployment_item(each) for each in ended]
    keys = {"pk": "shuking-prod#now", "sk": "deployment#1", "tries": 3, "again_at": NOW.isoformat()}
    made: list[object] = json.loads(json.dumps([{**keys, **each} for each in items], default=float))
    return made


def item(data: bytes) -> None:
    """An item of the table, edited by hand or newer: read, and shown everywhere, or `BadRecord`."""
    with suppress(ValueError, TypeError, ArithmeticError):  # no number or text of DynamoDB
        given = _in_the_table(document(data, _items()))
    if "given" not in locals() or not isinstance(given, dict):
        return
    for read in (record.deployment_from, record.notice_from, record.quarantine_from, record.hold_from):
        try:
            found = cast("Callable[[Any], object]", read)(given)
        except record.BadRecord as error:
            line(str(error), "why a record cannot be read")
            continue
        if isinstance(found, Deployment):
            _show(found)


def hold(data: bytes) -> None:
    """The hold in the state item, which may be anything."""
    with suppress(ValueError, TypeError, ArithmeticError):
        given = _in_the_table(document(data, [{"by": "alice", "because": "x", "since": NOW.isoformat()}]))
        try:
            record.hold_from(cast("Any", given))
        except record.BadRecord as error:
            line(str(error), "why a record cannot be read")


def _in_the_table(value: object) -> object:
    """As DynamoDB gives it back. Raises what TypeSerializer does for what no table holds."""
    texts = json.loads(json.dumps(value), parse_float=Decimal, parse_constant=Decimal)
    json.dumps(value, ensure_ascii=False).encode()  # no half character is in a table
    return TypeDeserializer().deserialize(TypeSerializer().serialize(texts))


def _show(deployment: Deployment) -> None:
    wire = TypeSerializer().serialize(record.deployment_item(deployment))
    expect(
        record.deployment_from(TypeDeserializer().deserialize(wire)).phase is deployment.phase, "another one"
    )
    live = deployment.live or Version("1", deployment.image)
    html = page.render(
        Book(open=(deployment,)),
        [deployment],
        live,
        now=NOW,
        theme="light",
        service="shuking-prod",
        repository_uri="uri",
        span=page.Span(NOW - timedelta(days=7), NOW),
        ranged=[deployment],
        deployer=DEPLOYER_ARN,
    )
    short(html, "the dashboard's page")
    Seen(html)
    json.dumps(following.record(DIGEST, Standing(Outcome.LIVE, deployment)))
    if deployment.phase in ENDED:
        told = following.end(DIGEST, NOW, Standing(Outcome.LIVE, deployment), service="s", deployer="d")
        expect(all(each.isprintable() for each in told.replace("\t", "").split("\n")), "a terminal is moved")
        where = Place("stack", "eu-west-1", "123456789012", "shuking-lambda")
        message = chat(compose(deployment, service="s", deployer="d", place=where))
        short(message, "a chat message")
        event = announcement(deployment, service="s", deployer="d", place=where).detail
        expect(len(event.encode()) <= MAXIMUM_DETAIL, "an event that no bus takes")
        json.loads(event)
        before, block, after = json.loads(message)["content"]["description"].split("```")
        expect(not before and bool(block), "the block is ended")
        ours = ("https://eu-west-1.console.aws.amazon.com/", "https://github.com/", "https://gitlab.com/")
        for link in after.splitlines()[1:]:
            address = link.partition(": ")[2]
            expect(address.startswith(ours) and " " not in address, f"somebody else's address: {address}")


# -- what AWS says, and HTTP ------------------------------------------------------------------------------


def refusal(data: bytes) -> None:
    """`errors.translation`: one line without secrets."""
    seeds = [
        {"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}},
        {"Error": {"Code": "ThrottlingException", "Message": "x-amz-security-token:secret"}},
    ]
    given = None
    with suppress(ValueError):
        given = document(data, seeds)
    error = given.get("Error", {}) if isinstance(given, dict) else None
    # botocore gives a code in text and a status in a number, or neither of them.
    if isinstance(given, dict) and isinstance(error, dict) and isinstance(error.get("Code", ""), str):
        given.pop("ResponseMetadata", None)
        told = str(errors.translation(ClientError(cast("Any", given), "Invoke")))
        line(told, "what AWS says")
        expect(discreet(told) == told, "a secret is left")


def log_line(data: bytes) -> None:
    """`loglines.told`: lines that a terminal shows as they are, whatever was printed."""
    message = text(data, _LOG_LINES).decode(errors="surrogateescape")
    shown = loglines.told(NOW, message)
    short(shown, "one line of a log, shown")
    expect(all(each.isprintable() or each == "\t" for each in shown.replace("\n", "")), "not printable")
    expect(discreet(shown) == shown, "a secret is left")


def deployers_answer(data: bytes) -> None:
    """`checking.read`: an outcome of checks, or `BadAnswer`."""
    with suppress(ValueError):
        given = document(data, _CHECKED)
    if "given" not in locals():
        return
    try:
        checking.read(given)
    except checking.BadAnswer as error:
        line(str(error), "why an event is ignored or unreadable, or a command refused")


_LOG_LINES: list[object] = [
    {"level": "INFO", "message": "version 7 is ready", "correlation_id": "2026-ab", "phase": "VERIFYING"},
    {"_aws": {"Timestamp": 1}, "EventIgnored": [1.0], "service": "deployer"},
]
_CHECKED: list[object] = [
    {
        "version": "7",
        "image": {"repository": "shuking-lambda", "digest": DIGEST},
        "healthy": False,
        "results": [
            {
                "name": "GET /health",
                "passed": False,
                "expected": "200",
                "actual": "503",
                "seconds": 0.1,
                "tries": 2,
            }
        ],
        "log_tail": "the end",
        "not_run": ["GET /orders"],
    }
]


def body(data: bytes) -> None:
    """`web.read`: never more than asked for, and only errors that its callers know."""
    try:
        found = web.read(http_answer(Wire(data[:60_000])), 100, 60)
    except (OSError, HTTPException):
        return
    expect(len(found) <= 100, "too much was read")


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        event,
        command,
        invocation,
        widget,
        question,
        request,
        manifest,
        config,
        registry_answer,
        answer,
        log_tail,
        checks,
        environment,
        item,
        hold,
        refusal,
        body,
        log_line,
        deployers_answer,
    )
}
# What atheris begins with; a text that is no JSON is bytes.
SEEDS: dict[str, Sequence[object]] = {
    "event": [*recorded("eventbridge"), *recorded("api-gateway")],
    "command": COMMANDS,
    "invocation": [*recorded("eventbridge"), *COMMANDS],
    "request": [CREATE, UPDATE, DELETE],
    "manifest": _MANIFESTS,
    "config": _CONFIGS,
    "answer": _ANSWERS,
    "checks": _CHECKS,
    "environment": [GOOD],
    "item": _items(),
    "log_line": _LOG_LINES,
    "deployers_answer": _CHECKED,
    "body": [
        CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"-1\r\nhello",
        OK + b"Content-Length: 5\r\n\r\nhello",
        OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\nhello",
    ],
}
