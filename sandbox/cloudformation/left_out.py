"""What a stack may have and the sandbox does not do, in one table: accepted, listed, and told.

Such a resource has its name and its ARN, so that the rest of the template can refer to it. A type that is
neither here nor done fails the stack.
"""

from __future__ import annotations

from moto.core.common_models import CloudFormationModel

from sandbox.account import ACCOUNT, REGION
from sandbox.cloudformation.resource import Properties, Resource

LEFT_OUT = {
    "AWS::CodeBuild::Project": "nothing is built here; `sandbox push` stands for it",
    "AWS::CodeBuild::ReportGroup": "there are no builds that could report",
    "AWS::CloudWatch::Dashboard": "GetDashboard gives its text, but nobody draws it",
    "AWS::S3::BucketPolicy": "nobody asks it; a role's own policies decide about buckets",
}
"""Resource type -> what of it is missing, and what to do instead if there is something."""


class _LeftOut(Resource):
    """A name and an ARN."""

    name_property = "Name"
    attribute_names = frozenset({"Arn"})
    replaced_by = frozenset({"Name"})
    arn_kind: str

    def create(self) -> None:
        self.attributes = {"Arn": f"arn:aws:codebuild:{REGION}:{ACCOUNT}:{self.arn_kind}/{self.name}"}

    def change(self, old: Properties) -> None:
        pass

    def remove(self) -> None:
        pass

    def _require_known_properties(self) -> None:
        """None of them is looked at."""


class BuildProject(_LeftOut, CloudFormationModel):
    type_name = "AWS::CodeBuild::Project"
    arn_kind = "project"


class ReportGroup(_LeftOut, CloudFormationModel):
    type_name = "AWS::CodeBuild::ReportGroup"
    arn_kind = "report-group"

    def create(self) -> None:
        super().create()
        self.physical_resource_id = self.attributes["Arn"]  # what its `Ref` gives


class BucketPolicy(_LeftOut, CloudFormationModel):
    type_name = "AWS::S3::BucketPolicy"
    attribute_names = frozenset()

    def create(self) -> None:
        pass
