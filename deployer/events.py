"""What an event means to us, or why it is ignored. Pure; nothing in an event is trusted.

The push event's format: https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html.
An alarm's: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html.
Commands come by direct invocation, from a person who may invoke this Lambda function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from deployer.model import Alarm, BadDigest, Image, require_digest
from deployer.text import printable, shown

# A tag as the registry allows it: https://github.com/opencontainers/distribution-spec, "Pulling manifests".
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_EVENT_ID = re.compile(r"[A-Za-z0-9-]{1,128}")  # a UUID, as EventBridge gives it
_TEXT_CHARACTERS = 200


@dataclass(frozen=True)
class PushSeen:
    """Somebody pushed the release tag."""

    image: Image
    pushed_at: datetime
    event_id: str


@dataclass(frozen=True)
class SweepDue:
    """Time to look whether anything was missed."""


@dataclass(frozen=True)
class AlarmRang:
    """An alarm of the service went red."""

    alarm: Alarm


@dataclass(frozen=True)
class HoldAsked:
    """A person wants deployments frozen."""

    by: str
    because: str


@dataclass(frozen=True)
class ResumeAsked:
    """A person lifts the hold."""

    by: str


@dataclass(frozen=True)
class RetryAsked:
    """A person wants a digest deployed, although it may be in quarantine."""

    image: Image
    by: str
    event_id: str


@dataclass(frozen=True)
class Ignored:
    """Nothing for us."""

    because: str


class Unreadable(ValueError):
    """It may have been a push: it must not get lost silently."""


class BadCommand(ValueError):
    """A command that cannot be followed; the message tells the person who gave it why."""


Meaning = PushSeen | SweepDue | AlarmRang | HoldAsked | ResumeAsked | RetryAsked | Ignored


def parse(event: object, *, repository: str, account: str, release_tag: str, request_id: str) -> Meaning:
    """Read an event. Raises `Unreadable` or `BadCommand`, whose message says what was wrong with it."""
    if not isinstance(event, dict):
        return Ignored(f"not an event but a {type(event).__name__}")
    if "command" in event:
        return _command(event, repository, request_id)
    source, kind = event.get("source"), event.get("detail-type")
    if source == "aws.events" and kind == "Scheduled Event":
        return SweepDue()
    if source == "aws.cloudwatch" and kind == "CloudWatch Alarm State Change":
        return _alarm(event, account)
    if source != "aws.ecr" or kind != "ECR Image Action":
        return Ignored(f"neither a push nor an alarm: source {shown(source)}, detail-type {shown(kind)}")
    return _push(event, repository, account, release_tag)


def _push(event: dict[object, object], repository: str, account: str, release_tag: str) -> Meaning:
    detail = event.get("detail")
    if not isinstance(detail, dict):
        raise Unreadable("the registry's event has no detail")
    action, result = detail.get("action-type"), detail.get("result")
    if action != "PUSH" or result != "SUCCESS":
        return Ignored(f"not a successful push: action {shown(action)}, result {shown(result)}")
    if event.get("account") != account:
        return Ignored(f"another account: {shown(event.get('account'))}")
    if detail.get("repository-name") != repository:
        return Ignored(f"another repository: {shown(detail.get('repository-name'))}")
    tag = detail.get("image-tag")
    if tag is None or tag == "":
        return Ignored("an image without a tag")
    if not isinstance(tag, str) or not _TAG.fullmatch(tag):
        raise Unreadable(f"not an image tag: {shown(tag)}")
    if tag != release_tag:
        return Ignored(f"tag {tag} is not the release tag {release_tag}")
    event_id = event.get("id")
    if not isinstance(event_id, str) or not _EVENT_ID.fullmatch(event_id):
        raise Unreadable(f"the push event has no id: {shown(event_id)}")
    return PushSeen(_image(repository, detail.get("image-digest")), _time(event.get("time")), event_id)


def _alarm(event: dict[object, object], account: str) -> Meaning:
    detail = event.get("detail")
    state = detail.get("state") if isinstance(detail, dict) else None
    if not isinstance(detail, dict) or not isinstance(state, dict):
        raise Unreadable("the alarm's event has no detail, or its detail no state")
    if event.get("account") != account:
        return Ignored(f"another account: {shown(event.get('account'))}")
    if state.get("value") != "ALARM":
        return Ignored(f"the alarm is not red: {shown(state.get('value'))}")
    name, reason = detail.get("alarmName"), state.get("reason")
    if not isinstance(name, str) or not name.strip():
        raise Unreadable(f"the alarm has no name: {shown(name)}")
    because = _line(reason) if isinstance(reason, str) else "no reason given"
    return AlarmRang(Alarm(_line(name), because, _time(state.get("timestamp") or event.get("time"))))


def _command(event: dict[object, object], repository: str, request_id: str) -> Meaning:
    match event["command"]:
        case "hold":
            return HoldAsked(_text(event, "by"), _text(event, "because"))
        case "resume":
            return ResumeAsked(_text(event, "by"))
        case "retry":
            return RetryAsked(_wanted_image(repository, event), _text(event, "by"), request_id)
        case other:
            raise BadCommand(f"unknown command {shown(other)}; known are hold, resume and retry")


def _text(event: dict[object, object], key: str) -> str:
    value = event.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadCommand(f'the command needs "{key}", a text: who does this, or why')
    return _line(value)


def _line(text: str) -> str:
    """Foreign text as one bounded line that can be written down anywhere."""
    line = " ".join(text.split())[:_TEXT_CHARACTERS]
    return printable(line.encode(errors="replace").decode())


def _image(repository: str, digest: object) -> Image:
    if not isinstance(digest, str):
        raise Unreadable(f"the digest is missing or not a text: {shown(digest)}")
    try:
        return Image(repository, require_digest(digest))
    except BadDigest as error:
        raise Unreadable(str(error)) from None


def _wanted_image(repository: str, event: dict[object, object]) -> Image:
    try:
        return _image(repository, event.get("digest"))
    except Unreadable as error:
        raise BadCommand(f'{error}; "digest" takes the whole digest of an image that was pushed') from None


def _time(text: object) -> datetime:
    if not isinstance(text, str):
        raise Unreadable(f"the event has no time: {shown(text)}")
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable(f"the event's time is not ISO 8601: {shown(text)}") from None
    if time.tzinfo is None:
        raise Unreadable(f"the event's time has no zone: {shown(text)}")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise Unreadable(f"the event's time is out of range: {shown(text)}") from None
