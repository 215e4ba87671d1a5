"""What a dead letter says: which event it was about, why that was given up, whether to hand it over again.

Pure, and nothing in a letter is trusted: whoever may write to the queue wrote it. Two services write them.

EventBridge, when it could not hand an event over: the body is the event itself, and message attributes say
why (RULE_ARN, TARGET_ARN, ERROR_CODE, ERROR_MESSAGE, RETRY_ATTEMPTS, and EXHAUSTED_RETRY_CONDITION when it
was retried to the end). EventBridge User Guide, "Using dead-letter queues to process undelivered events".

Lambda, when a function took an event and failed: the body is a record with the event as `requestPayload`, and
why in `requestContext` and `responsePayload`. Lambda Developer Guide, "Capturing records of Lambda
asynchronous invocations".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from deployer.aws.queue import Message
from deployer.commands.parts.target import plain
from deployer.events import AlarmRang, BadCommand, Ignored, PushSeen, SweepDue, Unreadable, parse
from deployer.model import Image

# Fewer characters of an id are too easily another letter's; so many are enough to tell letters apart.
FEWEST_CHARACTERS, SHOWN_CHARACTERS = 4, 8


class Queue(StrEnum):
    """Which queue a letter lies in: the name of its resource in template.yaml."""

    RULES = "RuleDeadLetters"
    DEPLOYER = "DeployerDeadLetters"


@dataclass(frozen=True)
class Addressee:
    """The deployer that letters are about, as its stack describes it."""

    function: str
    repository: str
    account: str
    release_tag: str


@dataclass(frozen=True)
class Letter:
    """A dead letter, read. Its texts are printable and bounded; `message` is as it came."""

    queue: Queue
    message: Message
    sent_at: datetime | None
    what: str
    why: str
    event: str | None  # the event as JSON, to hand over again; None: not to be
    stays_because: str = ""  # why `event` is None
    image: Image | None = None  # of a push
    pushed_at: datetime | None = None

    @property
    def id(self) -> str:
        """The message's id in SQS."""
        return self.message.id


class NoSuchLetter(ValueError):
    """An id that is no letter's, or more than one's; the message says which."""


def read(message: Message, queue: Queue, to: Addressee) -> Letter:
    """Read a letter. Nothing in it can make this fail: what it is not, the letter itself says."""
    try:
        return _read(message, queue, to)
    except RecursionError:
        what, stays = _beginning(message.body), "it is nested too deeply to be read"
        return Letter(queue, message, _sent(message), what, "no reason can be read", None, stays)


def _read(message: Message, queue: Queue, to: Addressee) -> Letter:
    why, function, event = _rules(message) if queue is Queue.RULES else _lambdas(message)
    if isinstance(event, _Illegible):
        what, stays = _beginning(message.body), event.because
        return Letter(queue, message, _sent(message), what, why, None, stays)
    told = _Told("", "")
    if function not in (None, to.function):
        told = _Told(f"a request to {plain(str(function))}", "it was not for the deployer")
    else:
        told = _tell(event, to)
    text = None if told.stays else message.body if queue is Queue.RULES else _json(event)
    stays = told.stays or ("" if text else "it has a number that is too large to be written again")
    return Letter(queue, message, _sent(message), told.what, why, text, stays, told.image, told.at)


def choose(letters: Iterable[Letter], wanted: Iterable[str]) -> list[Letter]:
    """The letters that ids, or the beginnings of ids, name; each once. Raises `NoSuchLetter`."""
    known = {letter.id: letter for letter in letters}
    chosen: dict[str, Letter] = {}
    for name in wanted:
        if len(name) < FEWEST_CHARACTERS:
            raise NoSuchLetter(f"{plain(name)!r} is too short: give {FEWEST_CHARACTERS} characters of an id")
        found = [letter for id_, letter in known.items() if id_.startswith(name)]
        if name in known:
            found = [known[name]]
        if not found:
            raise NoSuchLetter(f"there is no letter {plain(name)}")
        if len(found) > 1:
            which = ", ".join(plain(letter.id) for letter in found[:5])
            raise NoSuchLetter(f"{plain(name)} begins the ids of {len(found)} letters: {which}")
        chosen[found[0].id] = found[0]
    return list(chosen.values())


def shown(letter: Letter, among: Iterable[Letter]) -> str:
    """As much of a letter's id as tells it from the others."""
    others = [other.id for other in among if other.id != letter.id]
    for size in range(SHOWN_CHARACTERS, len(letter.id)):
        if not any(other.startswith(letter.id[:size]) for other in others):
            return plain(letter.id[:size])
    return plain(letter.id)


def record(letter: Letter) -> dict[str, object]:
    """All of a letter, for programs, and for people before it is gone."""
    return {
        "id": letter.id,
        "queue": letter.queue,
        "at": letter.sent_at.isoformat() if letter.sent_at else None,
        "what": letter.what,
        "why": letter.why,
        "replayable": letter.event is not None,
        "stays_because": letter.stays_because or None,
        "body": letter.message.body,
        "attributes": dict(letter.message.attributes),
    }


# -- the two services' formats ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Illegible:
    """There is no event in it."""

    because: str


def _rules(message: Message) -> tuple[str, str | None, Any]:
    """EventBridge's: why, the function it was for, and the event."""
    said = message.attributes
    why = ": ".join(said[name] for name in ("ERROR_CODE", "ERROR_MESSAGE") if said.get(name))
    tries = said.get("RETRY_ATTEMPTS")
    if tries and tries != "0":
        why += f" (after {tries} retries)"
    if said.get("EXHAUSTED_RETRY_CONDITION"):
        why += f", until {said['EXHAUSTED_RETRY_CONDITION']} was reached"
    target = said.get("TARGET_ARN")
    return plain(why) or "no reason is given", _function(target), _loaded(message.body)


def _lambdas(message: Message) -> tuple[str, str | None, Any]:
    """Lambda's: why, the function that failed, and the event."""
    record_ = _loaded(message.body)
    if isinstance(record_, _Illegible):
        return "no reason is given", None, record_
    if not isinstance(record_, dict) or "requestPayload" not in record_:
        return "no reason is given", None, _Illegible("it is no record of Lambda's")
    context, answer = _table(record_, "requestContext"), _table(record_, "responsePayload")
    error = ": ".join(str(answer[name]) for name in ("errorType", "errorMessage") if answer.get(name))
    condition = str(context.get("condition") or "")
    tries = context.get("approximateInvokeCount")
    how = f"({condition}, after {tries} tries)" if condition and tries is not None else condition
    why = plain(f"{error} {how}") or "no reason is given"
    return why, _function(context.get("functionArn")), record_["requestPayload"]


def _function(arn: object) -> str | None:
    """NAME of arn:aws:lambda:REGION:ACCOUNT:function:NAME:QUALIFIER; None if it is no function's ARN."""
    parts = arn.split(":") if isinstance(arn, str) else []
    return parts[6] if len(parts) > 6 and parts[2] == "lambda" else None


# -- what the event is ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Told:
    what: str
    stays: str = ""
    image: Image | None = None
    at: datetime | None = None


def _tell(event: Any, to: Addressee) -> _Told:
    if isinstance(event, dict) and "command" in event:
        # An old resume would lift a hold of today.
        stays = "it is a command, and was for then; give it again if it is wanted now"
        return _Told(plain(f"command {_beginning(_json(event) or '')}"), stays)
    try:
        meaning = parse(
            event,
            repository=to.repository,
            account=to.account,
            release_tag=to.release_tag,
            request_id="",
        )
    except (Unreadable, BadCommand) as error:
        return _Told(_described(event), f"the deployer cannot read it: {plain(str(error))}")
    match meaning:
        case PushSeen(image, pushed_at, _):
            return _Told(f"push of {to.release_tag} {image}, {_time(pushed_at)}", image=image, at=pushed_at)
        case AlarmRang(alarm):
            return _Told(plain(f"alarm {alarm.name}, {_time(alarm.since)}: {alarm.because}"))
        case SweepDue():
            return _Told("a sweep")
        case Ignored(because):
            return _Told(_described(event), f"the deployer would ignore it: {plain(because)}")
        case other:
            return _Told(f"{type(other).__name__}, {_described(event)}")


def _described(event: Any) -> str:
    """An event that we can say nothing better about."""
    kind = event.get("detail-type") if isinstance(event, dict) else None
    if not isinstance(event, dict) or not kind:
        return _beginning(_json(event) or "")
    return _beginning(f"{kind} of {event.get('source')}: {_json(event.get('detail'))}")


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _sent(message: Message) -> datetime | None:
    try:
        return datetime.fromtimestamp((message.sent_ms or 0) / 1000, UTC) if message.sent_ms else None
    except (ValueError, OverflowError, OSError):
        return None


def _table(record_: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = record_.get(key)
    return value if isinstance(value, dict) else {}


def _beginning(text: str) -> str:
    line = plain(text)
    return line if len(line) <= 120 else f"{line[:119]}…"


def _loaded(text: str) -> Any:
    """JSON and nothing that Python takes for it besides: what is loaded can be written as JSON again."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number in JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except ValueError:
        return _Illegible("it is no JSON")


def _json(event: Any) -> str | None:
    """None for what came in as JSON and is none any more: a number too large for a float."""
    try:
        return json.dumps(event, allow_nan=False)
    except ValueError:
        return None
