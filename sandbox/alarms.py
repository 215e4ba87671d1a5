"""What CloudWatch does when an alarm changes its state. moto keeps the alarms, and tells nobody.

Sources: CloudWatch User Guide, "Alarm events and EventBridge" (the event); API reference of PutMetricAlarm
(the state of a new and of an updated alarm) and of SetAlarmState (actions follow a state that differs). What
a topic gets is documented nowhere: its members are those of messages seen on AWS, as in the test data of
aws/aws-lambda-go (`cloudwatch-alarm-sns-payload-single-metric.json`).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from moto.cloudwatch.models import Alarm, cloudwatch_backends
from moto.core.exceptions import ServiceException
from moto.sns.models import sns_backends

from sandbox.account import ACCOUNT, REGION
from sandbox.door.policy import Call, CannotEvaluateError, Verdict, decide
from sandbox.telling import say

SOURCE = "aws.cloudwatch"
STATE_CHANGE = "CloudWatch Alarm State Change"

PutEvent = Callable[[str, str, Mapping[str, Any], Sequence[str]], object]
"""Called with source, detail-type, detail and resources."""

_REGION_NAME = "US East (N. Virginia)"
_NEW = "INSUFFICIENT_DATA"


class State(NamedTuple):
    """A state and why, in the order in which moto's history keeps it after its kind."""

    reason: str
    reason_data: str | None
    value: str
    since: datetime

    def described(self) -> dict[str, str]:
        data = {"reasonData": self.reason_data} if self.reason_data not in (None, "{}") else {}
        return {"value": self.value, "reason": self.reason, **data, "timestamp": _moment(self.since)}


@dataclass(frozen=True)
class _Change:
    alarm: Alarm
    before: State
    now: State


class Alarms:
    """Follows moto's alarms. Whatever changes a state through the door is put on the bus, and acted on."""

    def __init__(self, put_event: PutEvent) -> None:
        self._put_event = put_event
        self._lock = threading.Lock()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Around one request to CloudWatch, in whatever protocol it comes."""
        with self._lock:
            alarms = cloudwatch_backends[ACCOUNT][REGION].alarms
            for alarm in alarms.values():
                if not alarm.history:
                    alarm.state_value = _NEW  # moto's are born OK
            before = {name: (alarm, len(alarm.history)) for name, alarm in alarms.items()}
            yield
            changes = []
            for name, alarm in alarms.items():
                known, seen = before.get(name, (alarm, 0))
                if known is not alarm:
                    inherit(known, alarm)
                changes += [change for change in _changes(alarm, seen) if _differs(change)]
        for change in changes:
            self._tell(change)

    def _tell(self, change: _Change) -> None:
        alarm = change.alarm
        detail = {
            "alarmName": alarm.name,
            "state": change.now.described(),
            "previousState": change.before.described(),
            "configuration": _configuration(alarm),
        }
        self._put_event(SOURCE, STATE_CHANGE, detail, [alarm.alarm_arn])
        if not alarm.actions_enabled:
            return
        actions = {
            "ALARM": alarm.alarm_actions,
            "OK": alarm.ok_actions,
            _NEW: alarm.insufficient_data_actions,
        }
        for arn in actions[change.now.value]:
            _act(arn, change)


def inherit(old: Alarm, new: Alarm) -> None:
    """PutMetricAlarm leaves the state as it is; moto makes another alarm of the same name."""
    new.history = old.history
    new.state_reason, new.state_reason_data = old.state_reason, old.state_reason_data
    new.state_value, new.state_updated_timestamp = old.state_value, old.state_updated_timestamp


def _changes(alarm: Alarm, seen: int) -> Iterator[_Change]:
    now = State(alarm.state_reason, alarm.state_reason_data, alarm.state_value, alarm.state_updated_timestamp)
    for _, *before in reversed(alarm.history[seen:]):
        yield _Change(alarm, State(*before), now)
        now = State(*before)


def _differs(change: _Change) -> bool:
    return change.before.value != change.now.value


def _configuration(alarm: Alarm) -> dict[str, Any]:
    described = {"description": alarm.description} if alarm.description else {}
    if alarm.rule:
        return {"alarmRule": alarm.rule, **described}
    if not alarm.metric_data_queries:
        # AWS makes up an id for an alarm's only metric.
        stat = _metric_stat(
            alarm, alarm.metric_name, alarm.period, alarm.statistic or alarm.extended_statistic
        )
        return {**described, "metrics": [{"id": "m1", "metricStat": stat, "returnData": True}]}
    metrics = []
    for query in alarm.metric_data_queries:
        metric: dict[str, Any] = {"id": query.id, "returnData": str(query.return_data).lower() != "false"}
        if query.metric_stat:
            of = query.metric_stat
            metric["metricStat"] = _metric_stat(of.metric, of.metric.metric_name, of.period, of.stat)
        optional = {"expression": query.expression, "label": query.label}
        metrics.append({**metric, **{name: value for name, value in optional.items() if value}})
    return {**described, "metrics": metrics}


def _metric_stat(of: Any, name: str, period: Any, stat: str | None) -> dict[str, Any]:
    dimensions = {dimension.name: dimension.value for dimension in of.dimensions}
    metric = {"namespace": of.namespace, "name": name, "dimensions": dimensions}
    return {"metric": metric, "period": period, "stat": stat}


# Actions


def _act(arn: str, change: _Change) -> None:
    name = change.alarm.name
    if arn.split(":")[2:3] != ["sns"]:
        say(f"the alarm {name} does nothing with {arn}: the sandbox publishes to topics only")
        return
    try:
        policy = json.loads(sns_backends[ACCOUNT][REGION].get_topic(arn).policy)
        # AWS:SourceOwner is what the policy that a topic begins with looks at.
        context = {
            "aws:SourceArn": change.alarm.alarm_arn,
            "aws:SourceAccount": ACCOUNT,
            "AWS:SourceOwner": ACCOUNT,
        }
        call = Call("sns:Publish", arn, context, service="cloudwatch.amazonaws.com")
        if decide([policy], call) is not Verdict.ALLOW:
            say(f"the alarm {name} may not publish: the policy of {arn} does not let {call.service}")
            return
        subject = f'{change.now.value}: "{name}" in {_REGION_NAME}'
        sns_backends[ACCOUNT][REGION].publish(json.dumps(_message(change)), arn, subject=subject[:100])
    except (ServiceException, CannotEvaluateError) as problem:
        say(f"the alarm {name} could not publish to {arn}: {problem}")


def _message(change: _Change) -> dict[str, Any]:
    alarm = change.alarm
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": ACCOUNT,
        "AlarmConfigurationUpdatedTimestamp": _moment(alarm.configuration_updated_timestamp),
        "NewStateValue": change.now.value,
        "NewStateReason": change.now.reason,
        "StateChangeTime": _moment(change.now.since),
        "Region": _REGION_NAME,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": change.before.value,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        "Trigger": {"AlarmRule": alarm.rule} if alarm.rule else _trigger(alarm),
    }


def _trigger(alarm: Alarm) -> dict[str, Any]:
    return {
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        "StatisticType": "Statistic",
        "Statistic": (alarm.statistic or alarm.extended_statistic or "").upper(),
        "Unit": alarm.unit,
        "Dimensions": [{"value": each.value, "name": each.name} for each in alarm.dimensions],
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data or "missing",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }


def _moment(time: datetime) -> str:
    """`2019-10-02T17:04:40.989+0000`; moto's times are UTC."""
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}+0000"
