"""Resource types that moto has, with what it leaves out: mostly, what an update has to change.

CloudFormationModel stands among the bases again because moto looks at its direct subclasses only.
"""

from __future__ import annotations

from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.core.common_models import CloudFormationModel
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table as MotoTable
from moto.events.models import Rule as MotoRule
from moto.logs.models import LogGroup as MotoLogGroup
from moto.logs.models import logs_backends

from sandbox.account import ACCOUNT, REGION
from sandbox.cloudformation.resource import Properties


class Table(MotoTable, CloudFormationModel):
    """moto's table, with its time to live and its point-in-time recovery."""

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], *place: str, **kwargs: Any
    ) -> Any:
        table = MotoTable.create_from_cloudformation_json(
            resource_name, cloudformation_json, *place, **kwargs
        )
        _set_upkeep(table.name, cloudformation_json["Properties"])
        return table

    @classmethod
    def update_from_cloudformation_json(  # type: ignore[override]  # moto calls it by keywords only
        cls, *, original_resource: Any, cloudformation_json: dict[str, Any], **_: str
    ) -> Any:
        properties = cloudformation_json["Properties"]
        if properties["KeySchema"] != original_resource.schema:
            raise ValidationError(message="a table's keys can only be changed in a new sandbox")
        _set_upkeep(original_resource.name, properties)
        return original_resource


class LogGroup(MotoLogGroup, CloudFormationModel):
    """moto's log group; an update reaches its retention."""

    @classmethod
    def update_from_cloudformation_json(  # type: ignore[override]  # moto calls it by keywords only
        cls, *, original_resource: Any, cloudformation_json: dict[str, Any], **_: str
    ) -> Any:
        retention = cloudformation_json["Properties"].get("RetentionInDays")
        logs_backends[ACCOUNT][REGION].put_retention_policy(original_resource.name, retention)
        return original_resource


class Rule(MotoRule, CloudFormationModel):
    """moto's rule; it keeps its generated name when it is updated, and with it its ARN."""

    @classmethod
    def update_from_cloudformation_json(  # type: ignore[override]  # moto calls it by keywords only
        cls, *, original_resource: Any, **asked: Any
    ) -> Any:
        return MotoRule.update_from_cloudformation_json(
            original_resource, **{**asked, "new_resource_name": original_resource.name}
        )


def _set_upkeep(table: str, properties: Properties) -> None:
    backend = dynamodb_backends[ACCOUNT][REGION]
    if "TimeToLiveSpecification" in properties:
        backend.update_time_to_live(table, properties["TimeToLiveSpecification"])
    if "PointInTimeRecoverySpecification" in properties:
        backend.update_continuous_backups(table, properties["PointInTimeRecoverySpecification"])
