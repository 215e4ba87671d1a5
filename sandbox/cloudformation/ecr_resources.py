"""AWS::ECR::Repository, on the sandbox's own ECR."""

from __future__ import annotations

import json
from typing import Any

from moto.core.common_models import CloudFormationModel

from sandbox.cloudformation.resource import Properties, Request, Resource, account, gone_is_deleted, only


class Repository(Resource, CloudFormationModel):
    """A repository with its policies."""

    type_name = "AWS::ECR::Repository"
    name_property = "RepositoryName"
    attribute_names = frozenset({"Arn", "RepositoryUri"})
    replaced_by = frozenset({"RepositoryName", "EncryptionConfiguration"})
    known = frozenset(
        {
            "RepositoryName",
            "ImageTagMutability",
            "ImageTagMutabilityExclusionFilters",
            "ImageScanningConfiguration",
            "EncryptionConfiguration",
            "RepositoryPolicyText",
            "LifecyclePolicy",
            "EmptyOnDelete",
            "Tags",
        }
    )

    def create(self) -> None:
        request: Request = {"repositoryName": self.name, "tags": self.properties.get("Tags", [])}
        encryption = self.properties.get("EncryptionConfiguration")
        if encryption:
            request["encryptionConfiguration"] = {
                "encryptionType": encryption["EncryptionType"],
                **({"kmsKey": encryption["KmsKey"]} if "KmsKey" in encryption else {}),
            }
        created = account().ecr.create_repository(request)["repository"]
        self.attributes = {"Arn": created["repositoryArn"], "RepositoryUri": created["repositoryUri"]}
        self.change({})

    def change(self, old: Properties) -> None:
        ecr = account().ecr
        named = {"repositoryName": self.name}
        if only(self.properties, *self._mutability) != only(old, *self._mutability):
            ecr.put_image_tag_mutability({**named, **self._tag_mutability()})
        if self._changed(old, "ImageScanningConfiguration"):
            scan = self.properties.get("ImageScanningConfiguration", {}).get("ScanOnPush", False)
            ecr.put_image_scanning_configuration(
                {**named, "imageScanningConfiguration": {"scanOnPush": true(scan)}}
            )
        if self._changed(old, "RepositoryPolicyText"):
            policy = self.properties.get("RepositoryPolicyText")
            if policy is None:
                ecr.delete_repository_policy(named)
            else:
                ecr.set_repository_policy({**named, "policyText": text(policy)})
        if self._changed(old, "LifecyclePolicy"):
            lifecycle = self.properties.get("LifecyclePolicy")
            if lifecycle is None:
                ecr.delete_lifecycle_policy(named)
            else:
                ecr.put_lifecycle_policy({**named, "lifecyclePolicyText": lifecycle["LifecyclePolicyText"]})

    def remove(self) -> None:
        force = true(self.properties.get("EmptyOnDelete", False))
        with gone_is_deleted():
            account().ecr.delete_repository({"repositoryName": self.name, "force": force})

    _mutability = ("ImageTagMutability", "ImageTagMutabilityExclusionFilters")

    def _tag_mutability(self) -> Request:
        request: Request = {"imageTagMutability": self.properties.get("ImageTagMutability", "MUTABLE")}
        filters = self.properties.get("ImageTagMutabilityExclusionFilters")
        if filters:
            request["imageTagMutabilityExclusionFilters"] = [
                {
                    "filterType": each["ImageTagMutabilityExclusionFilterType"],
                    "filter": each["ImageTagMutabilityExclusionFilterValue"],
                }
                for each in filters
            ]
        return request

    def _changed(self, old: Properties, name: str) -> bool:
        return bool(self.properties.get(name) != old.get(name))


def text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)


def true(value: Any) -> bool:
    """CloudFormation takes `true` and `"true"`."""
    return str(value).lower() == "true"
