"""A deployment as an item of the ledger's table, and back.

Written out field by field: what is in the table outlives the code that wrote it. A reader ignores fields
that it does not know and takes the default for those that are missing, so adding one needs no new schema.
`SCHEMA` grows only when an old reader would misunderstand; then it refuses, and says so.

Texts are cut: an item of DynamoDB may have 400 KB, and one that is too large could never be written again.
Whether a check passed is never cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from deployer.model import (
    Asked,
    Channel,
    CheckResult,
    Command,
    Deployment,
    Hold,
    Image,
    Moment,
    Notice,
    Origin,
    Phase,
    Quarantine,
    Source,
    Verdict,
    Version,
    VersionState,
)
from deployer.text import first, last, line

SCHEMA = 1

_TEXT = 1000  # bytes of a sentence
_ERROR = 500  # bytes of why something could not be delivered
_LOG = 4096  # bytes of a log tail
_MOST = 1_000_000  # more tries or updates than anybody makes
_RESULTS = 20_000  # bytes that one verdict's results share, for each of their texts

Item = dict[str, Any]  # what boto3's TypeSerializer takes
T = TypeVar("T")


class BadRecord(ValueError):
    """An item in the table that this code cannot read."""


def deployment_item(deployment: Deployment) -> Item:
    """The item, without its key. Times are ISO 8601 in UTC; seconds are kept to the millisecond."""
    return _present(
        schema=SCHEMA,
        id=deployment.id,
        image=_image_item(deployment.image),
        source=deployment.source.value,
        requested_at=_time_item(deployment.requested_at),
        by=_optional(_text_item, deployment.by),
        why=_optional(_text_item, deployment.why),
        passes=deployment.passes,
        leaving=deployment.leaving,
        phase=deployment.phase.value,
        timeline=[_moment_item(moment) for moment in deployment.timeline],
        previous=_optional(_version_item, deployment.previous),
        version=deployment.version,
        configuration=deployment.configuration,
        origin=_origin_item(deployment.origin),
        before=_origin_item(deployment.before),
        ending=deployment.ending.value if deployment.ending else None,
        updates=deployment.updates,
        blamed=deployment.blamed,
        live=_optional(_version_item, deployment.live),
        no_way_back=deployment.no_way_back,
        aborted=deployment.aborted,
        trips=deployment.trips,
        warnings=[first(warning, _TEXT) for warning in deployment.warnings],
        verification=_optional(_verdict_item, deployment.verification),
        confirmation=_optional(_verdict_item, deployment.confirmation),
        restoration=_optional(_verdict_item, deployment.restoration),
    )


def deployment_from(item: Mapping[str, Any]) -> Deployment:
    """The deployment that `item` holds, or `BadRecord`."""
    try:
        _require_schema(item)
        return Deployment(
            id=str(item["id"]),
            image=_image_from(item["image"]),
            source=Source(item["source"]),
            requested_at=_time_from(item["requested_at"]),
            by=_optional(str, item.get("by")),
            why=_optional(str, item.get("why")),
            passes=_optional(str, item.get("passes")),
            leaving=_optional(str, item.get("leaving")),
            phase=Phase(item["phase"]),
            timeline=tuple(_moment_from(moment) for moment in item.get("timeline", [])),
            previous=_optional(_version_from, item.get("previous")),
            version=_optional(str, item.get("version")),
            configuration=_optional(str, item.get("configuration")),
            origin=_origin_from(item.get("origin")),
            before=_origin_from(item.get("before")),
            ending=_optional(Phase, item.get("ending")),
            updates=_count(item.get("updates", 0)),
            blamed=item.get("blamed") is True,
            live=_optional(_version_from, item.get("live")),
            no_way_back=item.get("no_way_back") is True,
            aborted=item.get("aborted") is True,
            trips=_optional(str, item.get("trips")),
            warnings=tuple(str(warning) for warning in item.get("warnings", [])),
            verification=_optional(_verdict_from, item.get("verification")),
            confirmation=_optional(_verdict_from, item.get("confirmation")),
            restoration=_optional(_verdict_from, item.get("restoration")),
        )
    except _MALFORMED as error:
        raise _bad(item, error) from error


def notice_from(item: Mapping[str, Any]) -> Notice:
    """The notice that `item` holds, or `BadRecord`."""
    deployment = deployment_from(item)
    try:
        return Notice(
            deployment,
            _count(item.get("tries", 0)),
            _optional(_time_from, item.get("again_at")),
            done=_channels_from(item.get("done")),
            errors=_errors_from(item.get("errors")),
        )
    except _MALFORMED as error:
        raise _bad(item, error) from error


def errors_item(notice: Notice) -> Item:
    """The `errors` of a notice: by channel, why its last try failed."""
    return {channel.value: first(error, _ERROR) for channel, error in notice.errors}


def hold_item(hold: Hold) -> Item:
    """The `hold` of the state item."""
    return _present(
        by=_text_item(hold.by),
        because=_text_item(hold.because),
        since=_time_item(hold.since),
        id=hold.id or None,
    )


def hold_from(item: Mapping[str, Any]) -> Hold:
    """The hold that `item` holds, or `BadRecord`."""
    try:
        return Hold(str(item["by"]), str(item["because"]), _time_from(item["since"]), str(item.get("id", "")))
    except _MALFORMED as error:
        raise _bad(item, error) from error


def command_item(command: Command) -> Item:
    """The item, without its key."""
    return _present(
        schema=SCHEMA,
        verb=command.verb,
        request=command.asked.request,
        by=_text_item(command.asked.by),
        because=_text_item(command.asked.because),
        at=_time_item(command.at),
        deployment=command.deployment,
        hold=_optional(hold_item, command.hold),
    )


def command_from(item: Mapping[str, Any]) -> Command:
    """The command that `item` holds, or `BadRecord`."""
    try:
        _require_schema(item)
        return Command(
            str(item["verb"]),
            Asked(str(item["request"]), str(item["by"]), str(item["because"])),
            _time_from(item["at"]),
            deployment=_optional(str, item.get("deployment")),
            hold=_optional(hold_from, item.get("hold")),
        )
    except _MALFORMED as error:
        raise _bad(item, error) from error


def quarantine_item(quarantine: Quarantine) -> Item:
    """The item, without its key."""
    return {
        "schema": SCHEMA,
        "digest": quarantine.digest,
        "deployment": quarantine.deployment,
        "because": first(quarantine.because, _TEXT),
    }


def quarantine_from(item: Mapping[str, Any]) -> Quarantine:
    """The quarantine that `item` holds, or `BadRecord`."""
    try:
        _require_schema(item)
        return Quarantine(str(item["digest"]), str(item["deployment"]), str(item["because"]))
    except _MALFORMED as error:
        raise _bad(item, error) from error


# -- parts, each with its way there and its way back ------------------------------------------------------


def _text_item(text: str) -> str:
    return first(text, _TEXT)


def _channels_from(names: Any) -> frozenset[Channel]:
    """A channel that a newer deployer has and this one lacks is nothing to this one."""
    if names is not None and not isinstance(names, set | list):
        raise TypeError(f"no set of channels: {str(names)[:40]}")
    return frozenset(channel for channel in Channel if channel.value in (names or ()))


def _errors_from(errors: Mapping[str, Any] | None) -> tuple[tuple[Channel, str], ...]:
    kept = errors or {}
    if not isinstance(kept, Mapping):
        raise TypeError(f"no errors by channel: {str(kept)[:40]}")
    return tuple((channel, str(kept[channel.value])) for channel in Channel if channel.value in kept)


def _image_item(image: Image) -> Item:
    return {"repository": image.repository, "digest": image.digest}


def _image_from(item: Mapping[str, Any]) -> Image:
    return Image(str(item["repository"]), str(item["digest"]))


def _origin_item(origin: Origin) -> Item | None:
    """None, and so no field, for an image that says nothing."""
    item = _present(
        revision=_optional(_text_item, origin.revision),
        url=_optional(_text_item, origin.url),
        committed_at=_optional(_time_item, origin.committed_at),
        built_by=_optional(_text_item, origin.built_by),
    )
    return item or None


def _origin_from(item: Mapping[str, Any] | None) -> Origin:
    if item is None:
        return Origin()
    return Origin(
        revision=_optional(str, item.get("revision")),
        url=_optional(str, item.get("url")),
        committed_at=_optional(_time_from, item.get("committed_at")),
        built_by=_optional(str, item.get("built_by")),
    )


def _version_item(version: Version) -> Item:
    return {
        "number": version.number,
        "image": _image_item(version.image),
        "state": version.state.value,
        "reason": first(version.reason, _TEXT),
    }


def _version_from(item: Mapping[str, Any]) -> Version:
    return Version(
        str(item["number"]),
        _image_from(item["image"]),
        VersionState(item["state"]),
        str(item.get("reason", "")),
    )


def _moment_item(moment: Moment) -> Item:
    return {
        "at": _time_item(moment.at),
        "phase": moment.phase.value,
        "because": first(moment.because, _TEXT),
    }


def _moment_from(item: Mapping[str, Any]) -> Moment:
    return Moment(_time_from(item["at"]), Phase(item["phase"]), str(item["because"]))


def _verdict_item(verdict: Verdict) -> Item:
    # All results are kept, for one that is dropped could turn the verdict; the more, the shorter each.
    size = max(3, min(_TEXT, _RESULTS // max(1, len(verdict.results))))
    return {
        "results": [
            {
                "name": first(result.name, size),
                "passed": result.passed,
                "expected": first(result.expected, size),
                "actual": first(result.actual, size),
                "seconds": Decimal(f"{result.seconds:.3f}"),
                "tries": result.tries,
            }
            for result in verdict.results
        ],
        "log_tail": last(verdict.log_tail, _LOG),
    }


def _verdict_from(item: Mapping[str, Any]) -> Verdict:
    return Verdict(
        tuple(
            CheckResult(
                name=str(result["name"]),
                passed=result["passed"] is True,
                expected=str(result["expected"]),
                actual=str(result["actual"]),
                seconds=_seconds(result["seconds"]),
                tries=_count(result["tries"]),
            )
            for result in item["results"]
        ),
        str(item.get("log_tail", "")),
    )


def _count(value: Any) -> int:
    """How often something was done. Waits double with it: 10**125, which the table would hold, never ends."""
    count = int(value)
    if not 0 <= count <= _MOST:
        raise ValueError(f"not a count from 0 to {_MOST}: {str(value)[:40]}")
    return count


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not math.isfinite(seconds):  # such a number could be read, and never written again
        raise ValueError(f"not a number of seconds: {seconds}")
    return seconds


def _time_item(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _time_from(text: Any) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"a time without a zone: {text!r}")
    return at.astimezone(UTC)


# -- what is absent, and what is wrong --------------------------------------------------------------------

_MALFORMED = (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError)


def _present(**fields: Any) -> Item:
    return {name: value for name, value in fields.items() if value is not None}


def _optional(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else read(value)


def _require_schema(item: Mapping[str, Any]) -> None:
    schema = int(item.get("schema", SCHEMA))
    if schema > SCHEMA:
        raise ValueError(
            f"written by a newer deployer (schema {schema}, this one reads up to {SCHEMA}): "
            "deploy that one again"
        )


def _bad(item: Mapping[str, Any], error: Exception) -> BadRecord:
    # A hold is a part of an item, and whoever edited it may have left no map there.
    keys = item if isinstance(item, Mapping) else {}
    where = f"{keys.get('pk', '?')} / {keys.get('sk', '?')}"
    return BadRecord(
        line(f"the ledger's item {where} cannot be read: {type(error).__name__}: {error}", _TEXT)
    )
