"""AWS::Lambda resource types, on the sandbox's own Lambda."""

from __future__ import annotations

import time

from moto.core.common_models import CloudFormationModel

from sandbox.account import AwsError
from sandbox.cloudformation.resource import (
    Properties,
    Resource,
    account,
    gone_is_deleted,
    only,
)

_SETTLING_SECONDS = 120.0


class Function(Resource, CloudFormationModel):
    """A function. Its code is changed only when the template's code changes."""

    type_name = "AWS::Lambda::Function"
    name_property = "FunctionName"
    attribute_names = frozenset({"Arn"})
    replaced_by = frozenset({"FunctionName", "PackageType"})
    _configuration = (
        "Role",
        "Handler",
        "Runtime",
        "Description",
        "Timeout",
        "MemorySize",
        "Environment",
        "TracingConfig",
        "LoggingConfig",
        "EphemeralStorage",
    )
    known = frozenset({"FunctionName", "PackageType", "Code", "Architectures", "Tags", *_configuration})

    def create(self) -> None:
        tags = {tag["Key"]: tag["Value"] for tag in self.properties.get("Tags", [])}
        created = account().functions.create_function(
            {
                "FunctionName": self.name,
                "Code": dict(self.properties["Code"]),
                "Tags": tags,
                **only(self.properties, "PackageType", "Architectures"),
                **self._settings(self.properties),
            }
        )
        self.attributes = {"Arn": created["FunctionArn"]}

    def change(self, old: Properties) -> None:
        functions = account().functions
        code = only(self.properties, "Code", "Architectures")
        if code != only(old, "Code", "Architectures"):
            settle(self.name)
            functions.update_function_code(
                {
                    "FunctionName": self.name,
                    **self.properties["Code"],
                    **only(self.properties, "Architectures"),
                }
            )
        configuration = self._settings(self.properties)
        if configuration != self._settings(old):
            settle(self.name)
            functions.update_function_configuration({"FunctionName": self.name, **configuration})
        settle(self.name)

    def _settings(self, properties: Properties) -> Properties:
        """A variable may be a number in a template, or a Number parameter; Lambda gets a text."""
        settings = only(properties, *self._configuration)
        if variables := settings.get("Environment", {}).get("Variables"):
            texts = {
                name: str(value).lower() if isinstance(value, bool) else str(value)
                for name, value in variables.items()
            }
            settings["Environment"] = {"Variables": texts}
        return settings

    def remove(self) -> None:
        with gone_is_deleted():
            account().functions.delete_function({"FunctionName": self.name})

    def is_created(self) -> bool:
        settle(self.name)
        return True


class Version(Resource, CloudFormationModel):
    """A published version. Nothing about one can be changed, so a changed template leaves it as it is."""

    type_name = "AWS::Lambda::Version"
    attribute_names = frozenset({"Version", "FunctionArn"})
    replaced_by = frozenset({"FunctionName"})
    known = frozenset({"FunctionName", "Description", "CodeSha256"})

    def create(self) -> None:
        settle(self.properties["FunctionName"])
        published = account().functions.publish_version(dict(self.properties))
        self.physical_resource_id = published["FunctionArn"]
        self.attributes = {"Version": published["Version"], "FunctionArn": published["FunctionArn"]}

    def change(self, old: Properties) -> None:
        pass

    def remove(self) -> None:
        with gone_is_deleted():
            account().functions.delete_function(
                {"FunctionName": self.properties["FunctionName"], "Qualifier": self.attributes["Version"]}
            )


class Alias(Resource, CloudFormationModel):
    """An alias. CloudFormation moves it only when its properties change, wherever it was moved meanwhile."""

    type_name = "AWS::Lambda::Alias"
    attribute_names = frozenset({"AliasArn"})
    replaced_by = frozenset({"FunctionName", "Name"})
    known = frozenset({"FunctionName", "Name", "FunctionVersion", "Description"})

    def create(self) -> None:
        created = account().functions.create_alias(dict(self.properties))
        self.physical_resource_id = created["AliasArn"]
        self.attributes = {"AliasArn": created["AliasArn"]}

    def change(self, old: Properties) -> None:
        if self.properties != old:
            account().functions.update_alias(dict(self.properties))

    def remove(self) -> None:
        with gone_is_deleted():
            account().functions.delete_alias(only(self.properties, "FunctionName", "Name"))


class Permission(Resource, CloudFormationModel):
    """A statement of a function's resource policy."""

    type_name = "AWS::Lambda::Permission"
    known = frozenset({"FunctionName", "Action", "Principal", "SourceArn", "SourceAccount"})
    replaced_by = known

    def create(self) -> None:
        account().functions.add_permission({"StatementId": self.name, **self.properties})

    def change(self, old: Properties) -> None:
        pass

    def remove(self) -> None:
        function = self.properties["FunctionName"]
        with gone_is_deleted():
            account().functions.remove_permission({"FunctionName": function, "StatementId": self.name})


class EventInvokeConfig(Resource, CloudFormationModel):
    """What happens to asynchronous invocations that fail."""

    type_name = "AWS::Lambda::EventInvokeConfig"
    replaced_by = frozenset({"FunctionName", "Qualifier"})
    known = frozenset(
        {
            "FunctionName",
            "Qualifier",
            "MaximumRetryAttempts",
            "MaximumEventAgeInSeconds",
            "DestinationConfig",
        }
    )

    def create(self) -> None:
        account().functions.put_function_event_invoke_config(dict(self.properties))

    def change(self, old: Properties) -> None:
        if self.properties != old:
            self.create()  # Put replaces what was there

    def remove(self) -> None:
        with gone_is_deleted():
            account().functions.delete_function_event_invoke_config(
                only(self.properties, "FunctionName", "Qualifier")
            )


def settle(function: str) -> None:
    """Wait until a function can be used and changed. Raises AwsError when that fails or takes too long."""
    deadline = time.monotonic() + _SETTLING_SECONDS
    while time.monotonic() < deadline:
        now = account().functions.get_function_configuration({"FunctionName": function})
        if "Failed" in (now["State"], now.get("LastUpdateStatus")):
            reason = now.get("StateReason") or now.get("LastUpdateStatusReason") or "no reason given"
            raise AwsError("NotStabilized", f"{function} failed: {reason}")
        if now["State"] != "Pending" and now.get("LastUpdateStatus") != "InProgress":
            return
        time.sleep(0.02)
    raise AwsError("NotStabilized", f"{function} was not ready after {_SETTLING_SECONDS:.0f} seconds")
