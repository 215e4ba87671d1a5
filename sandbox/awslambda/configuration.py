"""A function's configuration: what a request may set, its defaults, and what the runtime makes of it.

Sources: API reference of CreateFunction and UpdateFunctionConfiguration; Developer Guide, "Defined runtime
environment variables"; recorded answers of AWS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sandbox.account import AwsError
from sandbox.awslambda.packages import Code, ImageCode, invalid
from sandbox.awslambda.versions import Version
from sandbox.running.programs import Program

SETTABLE = frozenset(
    {
        "Description",
        "EphemeralStorage",
        "Handler",
        "KMSKeyArn",
        "LoggingConfig",
        "MemorySize",
        "Role",
        "Runtime",
        "Timeout",
        "TracingConfig",
    }
)
"""Members that FunctionConfiguration shows as they were set."""

NOT_SIMULATED = (
    "DeadLetterConfig",
    "ImageConfig",
    "Layers",
    "FileSystemConfigs",
    "CodeSigningConfigArn",
    "CapacityProviderConfig",
    "DurableConfig",
)

RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
MOST_VARIABLE_BYTES = 4096


def new_members(name: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration a CreateFunction request asks for."""
    package_type = request.get("PackageType", "Zip")
    members = {
        "Architectures": request.get("Architectures") or ["x86_64"],
        "Description": "",
        "EphemeralStorage": {"Size": 512},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
        "MemorySize": 128,
        "PackageType": package_type,
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
    }
    if package_type == "Image" and request.keys() & {"Handler", "Runtime", "Layers"}:
        raise invalid(
            "Please don't provide Handler or Runtime or Layer when the intent is to create function "
            "by using Image."
        )
    if package_type == "Zip" and not request.keys() >= {"Handler", "Runtime"}:
        raise invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    return changed_members(members, request)


def changed_members(members: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """`members` with what a request changes. Members it leaves out stay as they are."""
    for name in NOT_SIMULATED:
        if request.get(name):
            raise AwsError(
                "NotImplementedException", f"The sandbox does not simulate {name} of a function.", 501
            )
    changed = {**members, **{name: request[name] for name in SETTABLE & request.keys()}}
    changed["LoggingConfig"] = {**members["LoggingConfig"], **request.get("LoggingConfig", {})}
    if "Environment" in request:
        variables = request["Environment"].get("Variables", {})
        _require_allowed(variables)
        changed["Environment"] = {"Variables": dict(variables)}
    return changed


def code_location(code: Code) -> dict[str, str]:
    """FunctionCodeLocation. A zip's Location, a link to download it, is left out: nothing here serves it."""
    if isinstance(code, ImageCode):
        return {"RepositoryType": "ECR", "ImageUri": code.uri, "ResolvedImageUri": code.resolved_uri}
    return {"RepositoryType": "S3"}


def program(version: Version) -> Program:
    """A version as the runtime runs it."""
    members = version.members
    return Program(
        identity=version.identity,
        function=version.function,
        version=version.number,
        role_arn=members["Role"],
        timeout_seconds=members["Timeout"],
        memory_mb=members["MemorySize"],
        architecture=members["Architectures"][0],
        code=version.code,
        environment=members.get("Environment", {}).get("Variables", {}),
        handler=members.get("Handler"),
        runtime_name=members.get("Runtime"),
        log_group=members["LoggingConfig"]["LogGroup"],
        log_format=members["LoggingConfig"]["LogFormat"],
        traced=members["TracingConfig"].get("Mode") == "Active",
    )


def _require_allowed(variables: Mapping[str, str]) -> None:
    unable = (
        "Lambda was unable to configure your environment variables because the environment variables "
        "you have provided"
    )
    reserved = sorted(RESERVED_VARIABLES & variables.keys())
    if reserved:
        raise invalid(
            f"{unable} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    if len(json.dumps(variables, separators=(",", ":")).encode()) > MOST_VARIABLE_BYTES:
        raise invalid(f"{unable} exceeded the 4KB limit.")
