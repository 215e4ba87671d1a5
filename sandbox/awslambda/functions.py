"""Lambda's control plane for functions and versions, and Invoke: strict where the deployer depends on it.

One method per operation, for `wire.application("lambda", ...)`. Nothing here trusts that the caller looked
first: what AWS refuses is refused, with AWS's error codes and, where they were recorded, its words.

Sources: AWS Lambda API reference and Developer Guide; recorded answers of AWS.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.account import Settings
from sandbox.awslambda.aliases import AliasOperations, page
from sandbox.awslambda.configuration import changed_members, code_location, new_members
from sandbox.awslambda.event_configs import EventConfigOperations
from sandbox.awslambda.invocations import Invocations, send_to_account
from sandbox.awslambda.invoking import InvokeOperations
from sandbox.awslambda.packages import Code, ImageCode, Packages, Registry, invalid
from sandbox.awslambda.permissions import PermissionOperations, qualified
from sandbox.awslambda.versions import (
    LATEST,
    Catalog,
    Function,
    Version,
    conflict,
    find_version,
    function_arn,
    new_revision,
    parse_name,
)
from sandbox.running.runtime import Runtime

ON_ALIASES = frozenset({"CreateAlias", "UpdateAlias", "GetAlias", "DeleteAlias", "ListAliases"})


class Functions(InvokeOperations, AliasOperations, PermissionOperations, EventConfigOperations):
    """The account's functions. Safe to use from several threads; invocations run outside the lock."""

    def __init__(
        self,
        ecr: Registry,
        runtime: Runtime,
        *,
        fetch_zip: Callable[[str, str], bytes],
        role_exists: Callable[[str], bool],
        role_allows: Callable[[str, str, str], bool],
        settings: Settings,
        send: Callable[[str, str], None] = send_to_account,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`fetch_zip` reads a bucket's key and raises AwsError; `role_allows` gets role, action and resource.

        `send` delivers a record to a queue or topic: destination's ARN, body.
        """
        self._packages = Packages(ecr, fetch_zip)
        self._catalog = Catalog(clock, runtime.retire, self._packages)
        self._runtime = runtime
        self._role_exists = role_exists
        self._role_allows = role_allows
        self._send = send
        self._settings = settings
        self._invocations = Invocations(
            run=self._run_queued,
            handling=self._handling,
            send=self._send_as_role,
            retry_delays=settings.retry_delays,
            throttled_seconds=settings.throttled_seconds,
        )

    @property
    def events_under_way(self) -> int:
        """How many asynchronous invocations wait, for a retry perhaps, or run."""
        return self._invocations.under_way

    def close(self) -> None:
        """Stop the asynchronous invocations. The runtime is stopped by whoever made it."""
        self._invocations.stop()

    def resource(self, operation: str, request: dict[str, Any]) -> str:
        """The ARN that IAM checks: of the version or alias where the operation takes a qualifier."""
        if "FunctionName" not in request:
            return "*"
        name, in_name = parse_name(request["FunctionName"])
        if operation in ON_ALIASES:
            return function_arn(name)
        return function_arn(name, request.get("Qualifier") or in_name)

    def authorize_further(
        self, operation: str, request: dict[str, Any], require: Callable[[str, str], None]
    ) -> None:
        """Refuse whoever sets an image without being allowed to pull it: see Packages.require_caller."""
        if operation in {"CreateFunction", "UpdateFunctionCode"}:
            uri = request.get("Code", request).get("ImageUri")
            if uri:
                self._packages.require_caller(uri, require)

    # --- functions ------------------------------------------------------------------------------------

    def create_function(self, request: dict[str, Any]) -> dict[str, Any]:
        name, _ = parse_name(request["FunctionName"])
        with self._catalog.open() as functions:
            if name in functions:
                raise conflict(f"Function already exist: {name}")
            members = new_members(name, request)
            self._require_role(members)
            code = self._code(name, request["Code"], members["PackageType"])
            now = self._catalog.clock()
            latest = Version(
                name, LATEST, members, code, now, "creating", now + self._settings.update_seconds
            )
            function = Function(name, latest, latest, tags=dict(request.get("Tags") or {}))
            functions[name] = function
            answer = self._configuration(latest)
            if request.get("Publish"):
                published = self._publish(function, None)
                answer["Version"] = published.number
            return answer

    def get_function(self, request: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = qualified(request)
        with self._catalog.function(name, qualifier) as function:
            version, arn = find_version(function, qualifier)
            answer = {
                "Configuration": self._configuration(version, arn),
                "Code": code_location(version.code),
            }
            if function.tags:
                answer["Tags"] = dict(function.tags)
            return answer

    def get_function_configuration(self, request: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = qualified(request)
        with self._catalog.function(name, qualifier) as function:
            return self._configuration(*find_version(function, qualifier))

    def update_function_code(self, request: dict[str, Any]) -> dict[str, Any]:
        name, _ = parse_name(request["FunctionName"])
        with self._catalog.function(name) as function:
            function.require_settled()
            function.require_revision(request.get("RevisionId"))
            code = self._code(name, request, function.latest.members["PackageType"])
            # Left out, the architecture is not kept: its default is x86_64 (API reference).
            members = {
                **function.latest.members,
                "Architectures": request.get("Architectures") or ["x86_64"],
            }
            if request.get("DryRun"):
                return self._configuration(replace(function.latest, members=members, code=code))
            self._begin_update(function, members, code)
            if request.get("Publish"):
                return self._configuration(self._publish(function, None))
            return self._configuration(function.latest)

    def update_function_configuration(self, request: dict[str, Any]) -> dict[str, Any]:
        name, _ = parse_name(request["FunctionName"])
        with self._catalog.function(name) as function:
            function.require_settled()
            function.require_revision(request.get("RevisionId"))
            members = changed_members(function.latest.members, request)
            if request.keys() & {"Role", "TracingConfig"}:
                self._require_role(members)
            self._begin_update(function, members, function.latest.code)
            return self._configuration(function.latest)

    def delete_function(self, request: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = qualified(request)
        with self._catalog.function(name, qualifier) as function:
            if qualifier is None:
                with self._catalog.open() as functions:
                    del functions[name]
                gone = [function.latest, function.serving, *function.versions.values()]
            else:
                gone = [_removed_version(function, qualifier)]
        for version in gone:
            self._runtime.retire(version.identity)
        return {"StatusCode": 204}

    def list_functions(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._catalog.open() as functions:
            described = [function.latest.describe() for _, function in sorted(functions.items())]
        return page("Functions", described, request)

    # --- versions -------------------------------------------------------------------------------------

    def publish_version(self, request: dict[str, Any]) -> dict[str, Any]:
        name, _ = parse_name(request["FunctionName"])
        with self._catalog.function(name) as function:
            function.require_settled()
            function.require_revision(request.get("RevisionId"))
            expected, actual = request.get("CodeSha256"), function.latest.code.sha256
            if expected and expected != actual:
                raise invalid(
                    f"CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST ({actual}). "
                    "Please try again with the CodeSHA256 in $LATEST."
                )
            return self._configuration(self._publish(function, request.get("Description")))

    def list_versions_by_function(self, request: dict[str, Any]) -> dict[str, Any]:
        name, _ = parse_name(request["FunctionName"])
        with self._catalog.function(name) as function:
            latest = {**function.latest.describe(), "FunctionArn": function_arn(name, LATEST)}
            published = sorted(function.versions.values(), key=lambda version: int(version.number))
            versions = [latest, *(version.describe() for version in published)]
        return page("Versions", versions, request)

    def _publish(self, function: Function, description: str | None) -> Version:
        """A version of what `$LATEST` holds: the last one when nothing changed since, or a new one."""
        latest, last = function.latest, function.last_published()
        if last and (last.code.sha256, last.origin) == (latest.code.sha256, latest.members):
            return last
        now = self._catalog.clock()
        function.published += 1
        members = {**latest.members, "Description": description or latest.members["Description"]}
        version = Version(function.name, str(function.published), members, latest.code, now, None, now)
        version.origin = latest.members
        if latest.under_way:
            version.under_way, version.done_at = "creating", latest.done_at
        elif isinstance(latest.code, ImageCode):
            # Lambda gets a version of an image ready once more, which takes less than the update did.
            version.under_way, version.done_at = "creating", now + self._settings.publish_seconds
        function.versions[version.number] = version
        latest.revision = new_revision()
        return version

    # --- shared ---------------------------------------------------------------------------------------

    def _begin_update(self, function: Function, members: dict[str, Any], code: Code) -> None:
        now = self._catalog.clock()
        # A new Version object: `serving` goes on with the old one until the update is done.
        function.latest = Version(
            function.name, LATEST, members, code, now, "updating", now + self._settings.update_seconds
        )

    def _configuration(self, version: Version, arn: str | None = None) -> dict[str, Any]:
        described = {**version.describe(), **version.state(self._packages)}
        return {**described, "FunctionArn": arn} if arn else described

    def _code(self, name: str, request: Mapping[str, Any], package_type: str) -> Code:
        given = request.keys() & {"ImageUri", "ZipFile", "S3Bucket"}
        if package_type == "Image":
            if given != {"ImageUri"}:
                raise invalid(
                    "Please don't provide ZipFile or S3Bucket/S3Key when the function has packageType Image: "
                    "provide ImageUri."
                )
            return self._packages.image(request["ImageUri"], function_arn(name))
        if "ImageUri" in given:
            raise invalid("Please don't provide ImageUri when updating a function with packageType Zip.")
        if "ZipFile" in given:
            return self._packages.zip_file(request["ZipFile"])
        if not request.get("S3Bucket") or not request.get("S3Key"):
            raise invalid("Please provide a source for function code.")
        return self._packages.zip_in_s3(request["S3Bucket"], request["S3Key"])

    def _require_role(self, members: Mapping[str, Any]) -> None:
        """Refuse a role that Lambda cannot use for this configuration.

        AWS refuses active tracing without the right to trace; whether it looks again when only the role
        changes is not documented. Here it does.
        """
        role_arn = members["Role"]
        if not self._role_exists(role_arn):
            raise invalid("The role defined for the function cannot be assumed by Lambda.")
        traced = members["TracingConfig"].get("Mode") == "Active"
        if traced and not self._role_allows(role_arn, "xray:PutTraceSegments", "*"):
            raise invalid(
                "The provided execution role does not have permissions to call PutTraceSegments on XRAY"
            )


def _removed_version(function: Function, qualifier: str) -> Version:
    if qualifier == LATEST:
        raise invalid("$LATEST version cannot be deleted without deleting the function.")
    if qualifier in function.aliases:
        raise invalid(f"{qualifier} is an alias: DeleteFunction deletes functions and versions.")
    find_version(function, qualifier)
    used_by = [a.name for a in function.aliases.values() if qualifier in (a.version, *a.weights)]
    if used_by:
        raise conflict(f"Version {qualifier} cannot be deleted: the alias {', '.join(used_by)} refers to it.")
    function.event_configs.pop(qualifier, None)
    function.statements.pop(qualifier, None)
    return function.versions.pop(qualifier)
