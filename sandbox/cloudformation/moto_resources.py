"""Resource types that moto has, with what it leaves out: mostly, what an update has to change."""

from __future__ import annotations

import json
from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.core.common_models import CloudFormationModel
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table as MotoTable
from moto.events.models import Rule as MotoRule
from moto.iam.models import Role as MotoRole
from moto.iam.models import iam_backends
from moto.logs.models import LogGroup as MotoLogGroup
from moto.logs.models import logs_backends

from sandbox.account import ACCOUNT, REGION
from sandbox.cloudformation.resource import Properties


class Role(CloudFormationModel):
    """moto's role; an update reaches its policies."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::IAM::Role"

    @staticmethod
    def cloudformation_name_type() -> str:
        return "RoleName"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return bool(MotoRole.has_cfn_attr(attr))

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> Any:
        if "ManagedPolicyArns" in cloudformation_json["Properties"]:
            logical_id = kwargs["LogicalId"]
            message = (
                f"{logical_id}: the sandbox attaches no managed policies; write the grants into Policies"
            )
            raise ValidationError(message=message)
        role = MotoRole.create_from_cloudformation_json(
            resource_name, cloudformation_json, account_id, region_name, **kwargs
        )
        cls._set_policies(role, cloudformation_json["Properties"])
        return role

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,  # noqa: ARG003 - moto's signature; the role keeps its name
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,  # noqa: ARG003 - moto's signature; roles are global
    ) -> Any:
        properties = cloudformation_json["Properties"]
        backend = iam_backends[account_id]["aws"]
        trust = json.dumps(properties["AssumeRolePolicyDocument"])
        backend.update_assume_role_policy(original_resource.name, trust)
        cls._set_policies(original_resource, properties)
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        MotoRole.delete_from_cloudformation_json(resource_name, cloudformation_json, account_id, region_name)

    @staticmethod
    def _set_policies(role: Any, properties: Properties) -> None:
        wanted = {policy["PolicyName"]: policy["PolicyDocument"] for policy in properties.get("Policies", [])}
        for name in set(role.policies) - set(wanted):
            role.delete_policy(name)
        for name, document in wanted.items():
            # As text, which is how moto's API gives it out.
            iam_backends[ACCOUNT]["aws"].put_role_policy(role.name, name, json.dumps(document))


class Table(CloudFormationModel):
    """moto's table, with its time to live and its point-in-time recovery."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::DynamoDB::Table"

    @staticmethod
    def cloudformation_name_type() -> str:
        return "TableName"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return bool(MotoTable.has_cfn_attr(attr))

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> Any:
        table = MotoTable.create_from_cloudformation_json(
            resource_name, cloudformation_json, account_id, region_name, **kwargs
        )
        cls._set_upkeep(table.name, cloudformation_json["Properties"])
        return table

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,  # noqa: ARG003 - moto's signature; the table keeps its name
        cloudformation_json: dict[str, Any],
        account_id: str,  # noqa: ARG003 - moto's signature; there is one account
        region_name: str,  # noqa: ARG003 - moto's signature; there is one region
    ) -> Any:
        properties = cloudformation_json["Properties"]
        if properties["KeySchema"] != original_resource.schema:
            raise ValidationError(message="a table's keys can only be changed in a new sandbox")
        cls._set_upkeep(original_resource.name, properties)
        return original_resource

    @staticmethod
    def _set_upkeep(table: str, properties: Properties) -> None:
        backend = dynamodb_backends[ACCOUNT][REGION]
        if "TimeToLiveSpecification" in properties:
            backend.update_time_to_live(table, properties["TimeToLiveSpecification"])
        if "PointInTimeRecoverySpecification" in properties:
            backend.update_continuous_backups(table, properties["PointInTimeRecoverySpecification"])


class LogGroup(CloudFormationModel):
    """moto's log group; an update reaches its retention."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::Logs::LogGroup"

    @staticmethod
    def cloudformation_name_type() -> str:
        return "LogGroupName"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return bool(MotoLogGroup.has_cfn_attr(attr))

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> Any:
        return MotoLogGroup.create_from_cloudformation_json(
            resource_name, cloudformation_json, account_id, region_name, **kwargs
        )

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,  # noqa: ARG003 - moto's signature; the group keeps its name
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> Any:
        retention = cloudformation_json["Properties"].get("RetentionInDays")
        logs_backends[account_id][region_name].put_retention_policy(original_resource.name, retention)
        return original_resource


class Rule(CloudFormationModel):
    """moto's rule; it keeps its generated name when it is updated, and with it its ARN."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::Events::Rule"

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return bool(MotoRule.has_cfn_attr(attr))

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> Any:
        return MotoRule.create_from_cloudformation_json(
            resource_name, cloudformation_json, account_id, region_name, **kwargs
        )

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,  # noqa: ARG003 - this is what goes wrong in moto
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> Any:
        return MotoRule.update_from_cloudformation_json(
            original_resource, original_resource.name, cloudformation_json, account_id, region_name
        )
