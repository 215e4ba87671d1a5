"""AWS::CloudWatch resource types, in moto's CloudWatch: kept to be read, and no more.

No alarm is evaluated (SetAlarmState changes its state; see sandbox/alarms.py), and nobody draws a dashboard.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moto.cloudwatch.models import (
    CloudWatchBackend,
    Dimension,
    Metric,
    MetricDataQuery,
    MetricStat,
    cloudwatch_backends,
)
from moto.core.common_models import CloudFormationModel

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.alarms import inherit
from sandbox.cloudformation.ecr_resources import true
from sandbox.cloudformation.resource import Properties, Resource


class Alarm(Resource, CloudFormationModel):
    """A metric alarm."""

    type_name = "AWS::CloudWatch::Alarm"
    name_property = "AlarmName"
    attribute_names = frozenset({"Arn"})
    replaced_by = frozenset({"AlarmName"})
    known = frozenset(
        {
            "AlarmName",
            "AlarmDescription",
            "ActionsEnabled",
            "AlarmActions",
            "OKActions",
            "InsufficientDataActions",
            "ComparisonOperator",
            "DatapointsToAlarm",
            "Dimensions",
            "EvaluateLowSampleCountPercentile",
            "EvaluationPeriods",
            "ExtendedStatistic",
            "MetricName",
            "Metrics",
            "Namespace",
            "Period",
            "Statistic",
            "Tags",
            "Threshold",
            "TreatMissingData",
            "Unit",
        }
    )

    def create(self) -> None:
        alarm = self._put()
        # As on AWS, where no alarm begins with a verdict.
        alarm.state_value = "INSUFFICIENT_DATA"
        self.attributes = {"Arn": alarm.alarm_arn}

    def change(self, old: Properties) -> None:
        if self.properties != old:
            before = _backend().alarms.get(self.name)
            alarm = self._put()
            if before:
                inherit(before, alarm)

    def remove(self) -> None:
        _backend().delete_alarms([self.name])

    def _put(self) -> Any:
        given = self.properties
        request: dict[str, Any] = {  # moto's types have no None, its API does
            "name": self.name,
            "namespace": given.get("Namespace"),
            "metric_name": given.get("MetricName"),
            "metric_data_queries": [_query(each) for each in given.get("Metrics", [])] or None,
            "comparison_operator": given["ComparisonOperator"],
            "evaluation_periods": int(given["EvaluationPeriods"]),
            "datapoints_to_alarm": _number(given.get("DatapointsToAlarm")),
            "period": _number(given.get("Period")),
            "threshold": float(given["Threshold"]) if "Threshold" in given else None,
            "statistic": given.get("Statistic"),
            "extended_statistic": given.get("ExtendedStatistic"),
            "description": given.get("AlarmDescription"),
            "dimensions": given.get("Dimensions", []),
            "alarm_actions": given.get("AlarmActions", []),
            "ok_actions": given.get("OKActions", []),
            "insufficient_data_actions": given.get("InsufficientDataActions", []),
            "unit": given.get("Unit"),
            "actions_enabled": true(given.get("ActionsEnabled", True)),
            "treat_missing_data": given.get("TreatMissingData"),
            "evaluate_low_sample_count_percentile": given.get("EvaluateLowSampleCountPercentile"),
            "tags": given.get("Tags", []),
        }
        return _backend().put_metric_alarm(**request)


class Dashboard(Resource, CloudFormationModel):
    """A dashboard's text."""

    type_name = "AWS::CloudWatch::Dashboard"
    name_property = "DashboardName"
    replaced_by = frozenset({"DashboardName"})
    known = frozenset({"DashboardName", "DashboardBody"})

    def create(self) -> None:
        # moto asks its own class of this type for the property with the name, and that one knows none.
        self.name = self.physical_resource_id = self.properties.get("DashboardName", self.name)
        body = self.properties["DashboardBody"]
        try:
            json.loads(body)
        except ValueError as problem:
            raise AwsError(
                "InvalidParameterInput", f"The field DashboardBody must be a valid JSON object: {problem}"
            ) from None
        _backend().put_dashboard(self.name, body)

    def change(self, old: Properties) -> None:
        if self.properties != old:
            self.create()  # Put replaces what was there

    def remove(self) -> None:
        _backend().delete_dashboards([self.name])


def _query(given: Mapping[str, Any]) -> MetricDataQuery:
    """One of `Metrics`: a metric's statistic, or an expression about the others."""
    stat = given.get("MetricStat")
    metric_stat = None
    if stat is not None:
        dimensions = [Dimension(each["Name"], each["Value"]) for each in stat["Metric"].get("Dimensions", [])]
        metric = Metric(stat["Metric"]["MetricName"], stat["Metric"]["Namespace"], dimensions)
        metric_stat = MetricStat(metric, stat["Period"], stat["Stat"], stat.get("Unit"))
    query: dict[str, Any] = {
        "query_id": given["Id"],
        "label": given.get("Label"),
        "period": _number(given.get("Period")),
        "return_data": true(given.get("ReturnData", True)),
        "expression": given.get("Expression"),
        "metric_stat": metric_stat,
    }
    return MetricDataQuery(**query)


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def _backend() -> CloudWatchBackend:
    return cloudwatch_backends[ACCOUNT][REGION]
