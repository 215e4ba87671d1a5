"""AWS::IAM resource types, in moto's IAM: roles, and managed policies that are attached to them.

CloudFormationModel stands among Role's bases again because moto looks at its direct subclasses only.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cache
from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.core.common_models import CloudFormationModel
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend, iam_backends
from moto.iam.models import ManagedPolicy as MotoManagedPolicy
from moto.iam.models import Role as MotoRole

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.cloudformation.resource import Properties, Resource

_MOST_POLICY_CHARACTERS = 6144
"""Of a managed policy, without white space (quota "Managed policy length")."""

_OF_AWS = "arn:aws:iam::aws:policy/"


class Role(MotoRole, CloudFormationModel):
    """moto's role; an update reaches its policies, and managed ones are attached."""

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], *place: str, **kwargs: Any
    ) -> Any:
        properties = cloudformation_json["Properties"]
        attached = _found(properties, kwargs["LogicalId"])
        role: Any = MotoRole.create_from_cloudformation_json(
            resource_name, cloudformation_json, *place, **kwargs
        )
        _set_inline(role, properties)
        _set_attached(role, attached, ())
        role.attached_by_template = {policy.arn for policy in attached}
        return role

    @classmethod
    def update_from_cloudformation_json(  # type: ignore[override]  # moto calls it by keywords only
        cls, *, original_resource: Any, cloudformation_json: dict[str, Any], **_: str
    ) -> Any:
        properties = cloudformation_json["Properties"]
        attached = _found(properties, original_resource.logical_resource_id)
        trust = json.dumps(properties["AssumeRolePolicyDocument"])
        _backend().update_assume_role_policy(original_resource.name, trust)
        _set_inline(original_resource, properties)
        _set_attached(original_resource, attached, original_resource.attached_by_template)
        original_resource.attached_by_template = {policy.arn for policy in attached}
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name: str, *rest: Any) -> None:
        role = _backend().get_role(resource_name)
        for policy in list(role.managed_policies.values()):
            policy.detach_from(role)
        MotoRole.delete_from_cloudformation_json(resource_name, *rest)


class ManagedPolicy(Resource, CloudFormationModel):
    """A policy of its own, attached to the roles it names and to those that name it."""

    type_name = "AWS::IAM::ManagedPolicy"
    name_property = "ManagedPolicyName"
    attribute_names = frozenset({"PolicyArn"})
    replaced_by = frozenset({"ManagedPolicyName", "Path", "Description"})
    known = frozenset({"ManagedPolicyName", "Path", "Description", "PolicyDocument", "Roles"})

    def create(self) -> None:
        policy = _backend().create_policy(
            description=self.properties.get("Description", ""),
            path=self.properties.get("Path", "/"),
            policy_document=self._document(),
            policy_name=self.name,
            tags=[],
        )
        self.physical_resource_id = policy.arn
        self.attributes = {"PolicyArn": policy.arn}
        self._attach(())

    def change(self, old: Properties) -> None:
        arn = self.physical_resource_id
        if self.properties["PolicyDocument"] != old["PolicyDocument"]:
            # AWS keeps five versions; CloudFormation needs the newest only.
            _backend().create_policy_version(arn, self._document(), set_as_default=True)
            for version in list(_backend().list_policy_versions(arn)):
                if not version.is_default:
                    _backend().delete_policy_version(arn, version.version_id)
        self._attach(old.get("Roles", []))

    def remove(self) -> None:
        policy = _backend().managed_policies.get(self.physical_resource_id)
        if policy is None:
            return
        self._detach(self.properties.get("Roles", []))
        if policy.attachment_count:
            raise AwsError("DeleteConflict", "Cannot delete a policy attached to entities.", 409)
        _backend().delete_policy(policy.arn)

    def _document(self) -> str:
        document = json.dumps(self.properties["PolicyDocument"])
        if len("".join(document.split())) > _MOST_POLICY_CHARACTERS:
            raise AwsError(
                "LimitExceeded", f"Cannot exceed quota for PolicySize: {_MOST_POLICY_CHARACTERS}", 409
            )
        return document

    def _attach(self, before: Collection[str]) -> None:
        wanted = self.properties.get("Roles", [])
        self._detach([name for name in before if name not in wanted])
        for name in wanted:
            role = _backend().get_role(name)
            if self.physical_resource_id not in role.managed_policies:
                _backend().attach_role_policy(self.physical_resource_id, name)

    def _detach(self, roles: Collection[str]) -> None:
        for role in _backend().get_roles():
            if role.name in roles and self.physical_resource_id in role.managed_policies:
                _backend().detach_role_policy(self.physical_resource_id, role.name)


def _found(properties: Properties, logical_id: str) -> list[MotoManagedPolicy]:
    """The policies of `ManagedPolicyArns`: the account's own, and those that AWS maintains."""
    found = []
    for arn in properties.get("ManagedPolicyArns", []):
        policy = _backend().managed_policies.get(arn) or _of_aws(arn)
        if policy is None:
            message = f"{logical_id}: Policy {arn} does not exist or is not attachable. (NotFound)"
            raise ValidationError(message=message)
        found.append(policy)
    return found


def _of_aws(arn: str) -> MotoManagedPolicy | None:
    """moto loads what AWS maintains, a thousand policies, or nothing; here one comes when it is asked for."""
    name = arn.rpartition("/")[2]
    data = _all_of_aws().get(name) if arn.startswith(_OF_AWS) else None
    if data is None:
        return None
    policy = AWSManagedPolicy.from_data(name, ACCOUNT, REGION, data)
    if policy.arn != arn:
        return None
    _backend().managed_policies[arn] = policy
    return policy


@cache
def _all_of_aws() -> dict[str, Any]:
    policies: dict[str, Any] = json.loads(aws_managed_policies_data)
    return policies


def _set_inline(role: Any, properties: Properties) -> None:
    wanted = {policy["PolicyName"]: policy["PolicyDocument"] for policy in properties.get("Policies", [])}
    for name in set(role.policies) - set(wanted):
        role.delete_policy(name)
    for name, document in wanted.items():
        # As text, which is how moto's API gives it out.
        _backend().put_role_policy(role.name, name, json.dumps(document))


def _set_attached(role: Any, wanted: list[MotoManagedPolicy], before: Collection[str]) -> None:
    """Attach what the template names, and detach what it named before: the rest was attached by others."""
    kept = {policy.arn for policy in wanted}
    for arn in set(before) - kept:
        if arn in role.managed_policies:
            role.managed_policies[arn].detach_from(role)
    for policy in wanted:
        if policy.arn not in role.managed_policies:
            policy.attach_to(role)


def _backend() -> IAMBackend:
    return iam_backends[ACCOUNT]["aws"]
