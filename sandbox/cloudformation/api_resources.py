"""AWS::ApiGateway resource types, on the sandbox's own API Gateway: REST APIs that a body describes."""

from __future__ import annotations

import secrets

from moto.core.common_models import CloudFormationModel

from sandbox.account import AwsError
from sandbox.cloudformation.ecr_resources import true
from sandbox.cloudformation.resource import Properties, Resource, account, gone_is_deleted, only
from sandbox.gateway import definition
from sandbox.gateway.apis import ACCOUNT_BURST, ACCOUNT_RATE, AccessLog, StageSettings


class RestApi(Resource, CloudFormationModel):
    """An API. Endpoint types, tags and descriptions are taken and mean nothing here."""

    type_name = "AWS::ApiGateway::RestApi"
    attribute_names = frozenset({"RestApiId"})
    known = frozenset(
        {
            "Body",
            "Name",
            "Description",
            "BinaryMediaTypes",
            "EndpointConfiguration",
            "FailOnWarnings",
            "Parameters",
            "Tags",
        }
    )

    def create(self) -> None:
        self.physical_resource_id = account().apis.create_api(self._definition())
        self.attributes = {"RestApiId": self.physical_resource_id}

    def change(self, old: Properties) -> None:
        if only(self.properties, "Body", "BinaryMediaTypes") != only(old, "Body", "BinaryMediaTypes"):
            account().apis.put_api(self.physical_resource_id, self._definition())

    def remove(self) -> None:
        with gone_is_deleted():
            account().apis.delete_api(self.physical_resource_id)

    def _definition(self) -> definition.Definition:
        if "Body" not in self.properties:
            raise AwsError("UnsupportedProperty", "the sandbox has APIs with a Body only")
        return definition.read(self.properties["Body"], self.properties.get("BinaryMediaTypes", []))


class Deployment(Resource, CloudFormationModel):
    """The API's body as it is when this is created. Nothing about one can be changed."""

    type_name = "AWS::ApiGateway::Deployment"
    attribute_names = frozenset({"DeploymentId"})
    replaced_by = frozenset({"RestApiId"})
    known = frozenset({"RestApiId", "Description", "StageName"})

    def create(self) -> None:
        api, stage = self.properties["RestApiId"], self.properties.get("StageName")
        self.physical_resource_id = account().apis.create_deployment(api, stage)
        self.attributes = {"DeploymentId": self.physical_resource_id}

    def change(self, old: Properties) -> None:
        pass

    def remove(self) -> None:
        apis, api = account().apis, self.properties["RestApiId"]
        # SAM's deployments make a stage of their own ("Stage"), which is no resource of the stack.
        made = apis.stage(api, self.properties.get("StageName", ""))
        with gone_is_deleted():
            if made and made.deployment_id == self.physical_resource_id:
                apis.delete_stage(api, made.name)
            apis.delete_deployment(api, self.physical_resource_id)


class Stage(Resource, CloudFormationModel):
    """A deployment under a name. Traces and metrics are not made; everything else of it is enforced."""

    type_name = "AWS::ApiGateway::Stage"
    replaced_by = frozenset({"RestApiId", "StageName"})
    known = frozenset(
        {
            "RestApiId",
            "StageName",
            "DeploymentId",
            "Description",
            "AccessLogSetting",
            "MethodSettings",
            "TracingEnabled",
            "Variables",
            "Tags",
        }
    )
    _of_methods = frozenset(
        {
            "ResourcePath",
            "HttpMethod",
            "ThrottlingRateLimit",
            "ThrottlingBurstLimit",
            "LoggingLevel",
            "MetricsEnabled",
            "DataTraceEnabled",
        }
    )

    def create(self) -> None:
        name = self.properties["StageName"]
        account().apis.create_stage(self.properties["RestApiId"], name, self._settings())
        self.physical_resource_id = name

    def change(self, old: Properties) -> None:
        if self.properties != old:
            account().apis.update_stage(
                self.properties["RestApiId"], self.physical_resource_id, self._settings()
            )

    def remove(self) -> None:
        with gone_is_deleted():
            account().apis.delete_stage(self.properties["RestApiId"], self.physical_resource_id)

    def _settings(self) -> StageSettings:
        methods: Properties = {}
        for methods in self.properties.get("MethodSettings", []):
            where = (methods.get("ResourcePath"), methods.get("HttpMethod"))
            unknown = sorted(set(methods) - self._of_methods)
            if where != ("/*", "*") or unknown or len(self.properties["MethodSettings"]) > 1:
                what = f"the settings of {where[1]} {where[0]}"
                raise AwsError(
                    "UnsupportedProperty",
                    f"the sandbox knows MethodSettings of * /* only, and not {', '.join(unknown) or what}",
                )
        return StageSettings(
            self.properties["DeploymentId"],
            self._access_log(),
            float(methods.get("ThrottlingRateLimit", ACCOUNT_RATE)),
            int(methods.get("ThrottlingBurstLimit", ACCOUNT_BURST)),
            execution_logs=methods.get("LoggingLevel", "OFF") != "OFF"
            or true(methods.get("DataTraceEnabled")),
            variables=self.properties.get("Variables", {}),
        )

    def _access_log(self) -> AccessLog | None:
        setting = self.properties.get("AccessLogSetting")
        if setting is None:
            return None
        # `Fn::GetAtt LogGroup.Arn` ends in `:*`, and API Gateway takes it with and without.
        service, _, group = setting["DestinationArn"].removesuffix(":*").partition(":log-group:")
        if not service.startswith("arn:aws:logs:") or not group:
            raise AwsError(
                "BadRequestException",
                f"the sandbox writes access logs to a log group, not to {setting['DestinationArn']}",
            )
        return AccessLog(group, setting["Format"])


class Account(Resource, CloudFormationModel):
    """The account's CloudWatch role, which all stages of all stacks write their logs with."""

    type_name = "AWS::ApiGateway::Account"
    known = frozenset({"CloudWatchRoleArn"})

    def create(self) -> None:
        account().apis.set_log_role(self.properties.get("CloudWatchRoleArn"))
        self.physical_resource_id = secrets.token_hex(5)

    def change(self, old: Properties) -> None:
        if self.properties != old:
            account().apis.set_log_role(self.properties.get("CloudWatchRoleArn"))

    def remove(self) -> None:
        """The role goes with its stack; another stack's, set since, stays."""
        if account().apis.log_role == self.properties.get("CloudWatchRoleArn"):
            account().apis.set_log_role(None)
