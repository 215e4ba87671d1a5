"""What an event means to us, or why it is ignored. Pure; nothing in an event is trusted.

The push event's format: https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html.
An alarm's: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html.
Commands come by direct invocation, from a person who may invoke this Lambda function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from deployer.model import Alarm, Asked, BadDigest, Image, require_digest
from deployer.text import printable, shown

# A tag as the registry allows it: https://github.com/opencontainers/distribution-spec, "Pulling manifests".
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_EVENT_ID = re.compile(r"[A-Za-z0-9-]{1,128}")  # a UUID, as EventBridge gives it
_VERSION = re.compile(r"[1-9][0-9]{0,19}")  # a version's number; `$LATEST` is none
_TEXT_CHARACTERS = 200
# The longest is that of an IAM user in a path: 512 characters of path, 64 of a name, and what leads there.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_ARN = re.compile(r"arn:[!-~]{1,640}")


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

    asked: Asked


@dataclass(frozen=True)
class ResumeAsked:
    """A person lifts the hold."""

    asked: Asked


@dataclass(frozen=True)
class AbortAsked:
    """A person wants the deployment that is under way turned round."""

    asked: Asked
    deployment: str | None  # the one that is meant; None: whichever it is


@dataclass(frozen=True)
class RollbackAsked:
    """A person wants users back on an earlier version."""

    asked: Asked
    to: str | Image | None  # a version's number, an image that was live, or None: the last good one


@dataclass(frozen=True)
class DeployAsked:
    """A person wants an image deployed."""

    asked: Asked
    image: Image
    passes: str | None  # the id of the hold that may be passed


@dataclass(frozen=True)
class RetryAsked:
    """A person wants an image deployed, although it may be in quarantine."""

    asked: Asked
    image: Image
    passes: str | None


@dataclass(frozen=True)
class CheckAsked:
    """A person wants to know whether a version is well, now. Nothing comes of it but the answer."""

    version: str | None  # its number; None: what is live
    by: str | None  # who asks, if it was said


CommandAsked = HoldAsked | ResumeAsked | AbortAsked | RollbackAsked | DeployAsked | RetryAsked


@dataclass(frozen=True)
class Ignored:
    """Nothing for us."""

    because: str


class Unreadable(ValueError):
    """It may have been a push: it must not get lost silently."""


class BadCommand(ValueError):
    """A command that cannot be followed; the message tells the person who gave it why."""


Meaning = PushSeen | SweepDue | AlarmRang | CommandAsked | CheckAsked | Ignored


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


# What each command takes, beside "command", "by" and "request", and which of it must be there.
_TAKES: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "hold": (frozenset({"because"}), frozenset({"because"})),
    "resume": (frozenset({"because"}), frozenset()),
    "abort": (frozenset({"because", "deployment"}), frozenset({"because"})),
    "rollback": (frozenset({"because", "to"}), frozenset({"because"})),
    "deploy": (frozenset({"because", "digest", "hold"}), frozenset({"because", "digest"})),
    "retry": (frozenset({"because", "digest", "hold"}), frozenset({"digest"})),
    "check": (frozenset({"version"}), frozenset()),
}


def _command(event: dict[object, object], repository: str, request_id: str) -> CommandAsked | CheckAsked:
    verb = event["command"]
    if not isinstance(verb, str) or verb not in _TAKES:
        raise BadCommand(f"unknown command {shown(verb)}; known are {', '.join(_TAKES)}")
    takes, needs = _TAKES[verb]
    event = _with_fields(event, takes, needs)
    for key in event:
        if key not in takes | {"command", "by", "request"}:
            raise BadCommand(
                f"{verb} takes no {shown(key)}; it takes {', '.join(sorted(takes | {'by', 'request'}))}"
            )
    if verb == "check":
        return CheckAsked(_version(event), _who(event) if "by" in event else None)
    by = _who(event)
    because = _text(event, "because", "why") if "because" in needs or "because" in event else ""
    asked = Asked(_id(event, "request") or request_id, by, because)
    match verb:
        case "hold":
            return HoldAsked(asked)
        case "resume":
            return ResumeAsked(asked)
        case "abort":
            return AbortAsked(asked, _id(event, "deployment"))
        case "rollback":
            return RollbackAsked(asked, _target(event, repository))
        case "deploy":
            return DeployAsked(asked, _wanted_image(repository, event, "digest"), _id(event, "hold"))
        case _:
            return RetryAsked(asked, _wanted_image(repository, event, "digest"), _id(event, "hold"))


def _with_fields(
    event: dict[object, object], takes: frozenset[str], needs: frozenset[str]
) -> dict[object, object]:
    """The command of a button on the dashboard, with who and why out of the form beside it, if the button
    itself does not say. CloudWatch puts the fields of a widget's form into `widgetContext.forms.all`, by
    their names; nothing else of the context is looked at.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html
    """
    if not from_widget(event):
        return event
    given = {key: value for key, value in event.items() if key != "widgetContext"}
    found: object = event["widgetContext"]
    for step in ("forms", "all"):
        found = found.get(step) if isinstance(found, dict) else None
    fields = found if isinstance(found, dict) else {}
    for key, label in (("by", "Who"), ("because", "Why")):
        said = fields.get(key)
        if key in given or key not in takes | {"by"}:
            continue
        if said is None or (isinstance(said, str) and not said.strip()):
            if key in needs | {"by"}:
                raise BadCommand(f"{event['command']}: fill in the field {label}, and click again")
            continue
        given[key] = said
    return given


def from_widget(event: object) -> bool:
    """Does it come from a button on a dashboard, whose answer a person reads in a popup?"""
    return isinstance(event, dict) and "command" in event and "widgetContext" in event


def _text(event: dict[object, object], key: str, what: str) -> str:
    value = event.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadCommand(f'the command needs "{key}", a text: {what}')
    return _line(value)


def _who(event: dict[object, object]) -> str:
    """Who gives the command. An ARN is kept whole: cut, it would name somebody else, or nobody."""
    value = event.get("by")
    if isinstance(value, str) and _ARN.fullmatch(value):
        return value
    return _text(event, "by", "who does this")


def _id(event: dict[object, object], key: str) -> str | None:
    """An id of the deployer's own making, or of the caller's; None if it is not there."""
    value = event.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not _EVENT_ID.fullmatch(value):
        raise BadCommand(f'"{key}" is an id, of letters, digits and hyphens, not {shown(value)}')
    return value


def _version(event: dict[object, object]) -> str | None:
    version = event.get("version")
    if version is None or (isinstance(version, str) and _VERSION.fullmatch(version)):
        return version
    raise BadCommand(f'"version" is the number of a version, not {shown(version)}')


def _target(event: dict[object, object], repository: str) -> str | Image | None:
    to = event.get("to")
    if to is None or (isinstance(to, str) and _VERSION.fullmatch(to)):
        return to
    if isinstance(to, str) and to.startswith("sha256:"):
        return _wanted_image(repository, event, "to")
    raise BadCommand(f'"to" is the number of a version, or the whole digest of an image, not {shown(to)}')


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


def _wanted_image(repository: str, event: dict[object, object], key: str) -> Image:
    try:
        return _image(repository, event.get(key))
    except Unreadable as error:
        raise BadCommand(f'{error}; "{key}" takes the whole digest of an image that was pushed') from None


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
