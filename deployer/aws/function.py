"""`ports.Function` on AWS Lambda."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from deployer.aws.errors import translated
from deployer.model import BadDigest, Configuration, Image, Latest, UpdateStatus, Version, VersionState
from deployer.ports import Answer, LookAgain, Refused
from deployer.text import first, last, printable

if TYPE_CHECKING:  # stubs are no dependency of the deployed package
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.literals import ArchitectureType
    from mypy_boto3_lambda.type_defs import (
        FunctionConfigurationResponseTypeDef,
        FunctionConfigurationTypeDef,
        GetFunctionResponseTypeDef,
    )

LIVE = "live"
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 6 MB, and what Lambda adds.
MAXIMUM_PAYLOAD = 6 * 1024**2 + 100
MAXIMUM_LOG = 4096  # LogType=Tail: "the last 4 KB of the execution log"
_MAXIMUM_REASON = 1000
# What a version freezes beside its code; UpdateFunctionConfiguration changes it, and nothing else may.
# https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
_SETTINGS = (
    "DeadLetterConfig",
    "Environment",
    "EphemeralStorage",
    "FileSystemConfigs",
    "ImageConfigResponse",
    "KMSKeyArn",
    "LoggingConfig",
    "MemorySize",
    "Role",
    "Timeout",
    "TracingConfig",
    "VpcConfig",
)
_ARCHITECTURES: dict[str, ArchitectureType] = {"x86_64": "x86_64", "arm64": "arm64"}


class LambdaFunction:
    """The service function `name`; images come from the registry that `repository_uri` is in.

    `invoker` is the client that invocations are made with: it has to wait for the function's answer.
    `repository_uri` as ECR writes it: ``123456789012.dkr.ecr.eu-central-1.amazonaws.com/shuking-lambda``.
    """

    def __init__(self, client: LambdaClient, invoker: LambdaClient, name: str, repository_uri: str) -> None:
        self._client = client
        self._invoker = invoker
        self._name = name
        self._registry, _, self._repository = repository_uri.partition("/")
        if not self._repository:
            raise ValueError(
                f"not the URI of a repository (<registry>/<repository>, without a tag): {repository_uri!r}"
            )

    def latest(self) -> Latest:
        """`$LATEST`, by GetFunction."""
        with translated():
            response = self._client.get_function(FunctionName=self._name)
        configuration = response["Configuration"]
        status, reason = _status(configuration)
        return Latest(
            image=self._image(response),
            status=status,
            revision=configuration.get("RevisionId", ""),
            architecture=next(iter(configuration.get("Architectures", [])), "x86_64"),  # Lambda's default
            reason=reason,
            configuration=_configuration(configuration),
        )

    def version(self, number: str) -> Version:
        """A published version, by GetFunction."""
        with translated():
            response = self._client.get_function(FunctionName=self._name, Qualifier=number)
        configuration = response["Configuration"]
        state, reason = _state(configuration)
        return Version(
            configuration.get("Version", number),
            self._image(response),
            state,
            reason,
            _configuration(configuration),
        )

    def live(self) -> Version:
        """The version that the alias `live` points at. GetFunction resolves the alias: one call, not two."""
        return self.version(LIVE)

    def live_revision(self, number: str) -> str:
        """The alias's RevisionId. Raises `LookAgain` if it no longer points at version `number`."""
        with translated():
            alias = self._client.get_alias(FunctionName=self._name, Name=LIVE)
        if alias["FunctionVersion"] != number:
            raise LookAgain(f"{LIVE} moved from version {number} to {alias['FunctionVersion']} meanwhile")
        return alias["RevisionId"]

    def update_code(self, image: Image, architecture: str, revision: str) -> None:
        """Start to put `$LATEST` on `image`."""
        known = _ARCHITECTURES.get(architecture)
        if known is None:
            raise Refused(f"{self._name} has an architecture that nobody here knows: {architecture[:80]!r}")
        with translated():
            self._client.update_function_code(
                FunctionName=self._name,
                ImageUri=f"{self._registry}/{image.repository}@{image.digest}",
                Architectures=[known],  # left out, Lambda takes x86_64
                RevisionId=revision,
            )

    def publish(self, image: Image, revision: str) -> Version:
        """Publish `$LATEST` as a version, if it holds `image`. The same again gives the same version."""
        with translated():
            try:
                configuration = self._client.publish_version(
                    FunctionName=self._name,
                    CodeSha256=image.digest.removeprefix("sha256:"),
                    RevisionId=revision,
                )
            except self._client.exceptions.InvalidParameterValueException as error:
                if "codesha256" in str(error).lower():
                    raise LookAgain(f"$LATEST is no longer on {image}: somebody changed it") from error
                raise
        state, reason = _state(configuration)
        return Version(configuration["Version"], image, state, reason, _configuration(configuration))

    def point_live(self, version: str, revision: str) -> None:
        """Move `live` to `version`, all traffic at once: weights that somebody left are cleared."""
        with translated():
            self._client.update_alias(
                FunctionName=self._name,
                Name=LIVE,
                FunctionVersion=version,
                RoutingConfig={"AdditionalVersionWeights": {}},
                RevisionId=revision,
            )

    def invoke(self, qualifier: str, payload: bytes) -> Answer:
        """Invoke a version, or `live`, and wait for its answer. A longer answer than Lambda allows is cut."""
        with translated():
            response = self._invoker.invoke(
                FunctionName=self._name, Qualifier=qualifier, Payload=payload, LogType="Tail"
            )
            body = response["Payload"]
            try:
                answer = body.read(MAXIMUM_PAYLOAD)
                body.read(1)  # at the end, botocore compares the length with what was announced
            finally:
                body.close()
        return Answer(
            payload=answer,
            function_error=response.get("FunctionError"),
            log_tail=_log(response.get("LogResult", "")),
            executed_version=response.get("ExecutedVersion", ""),
        )

    def _image(self, response: GetFunctionResponseTypeDef) -> Image:
        configuration = response["Configuration"]
        if configuration.get("PackageType", "Zip") != "Image":
            raise Refused(
                f"{self._name} is not made from a container image (its package type is "
                f"{configuration.get('PackageType', 'Zip')}); create it with PackageType Image"
            )
        # ResolvedImageUri is <registry>/<repository>@sha256:<CodeSha256>. The digest alone is in both.
        uri = response["Code"].get("ResolvedImageUri", "").partition("@")[0]
        repository = uri.partition("/")[2] or self._repository
        try:
            return Image(repository, f"sha256:{configuration.get('CodeSha256', '')}")
        except BadDigest as error:
            raise Refused(f"{self._name}: CodeSha256 is not the digest of an image: {error}") from error


def _status(configuration: FunctionConfigurationTypeDef) -> tuple[UpdateStatus, str]:
    """Can `$LATEST` be updated, published? `State` has a say too: it is Pending while the function is made
    or woken up, which refuses updates like InProgress, and Failed when its last image cannot run at all."""
    status = configuration.get("LastUpdateStatus", "Successful")
    if status == "Failed":
        code, reason = (
            configuration.get("LastUpdateStatusReasonCode"),
            configuration.get("LastUpdateStatusReason"),
        )
        return UpdateStatus.FAILED, _reason(code, reason)
    # AWS adds statuses; what is unknown here counts as not done yet.
    if status != "Successful" or configuration.get("State") == "Pending":
        return UpdateStatus.IN_PROGRESS, ""
    if configuration.get("State") == "Failed":
        return UpdateStatus.FAILED, _reason(
            configuration.get("StateReasonCode"), configuration.get("StateReason")
        )
    return UpdateStatus.SUCCESSFUL, ""


def _configuration(
    configuration: FunctionConfigurationTypeDef | FunctionConfigurationResponseTypeDef,
) -> Configuration:
    given: dict[str, Any] = {**configuration}
    kept = ((name, _without_empty(given.get(name))) for name in _SETTINGS)
    return Configuration(tuple((name, _hash(value)) for name, value in kept if value not in _EMPTY))


_EMPTY: tuple[object, ...] = (None, "", {}, [])


def _without_empty(value: Any) -> Any:
    """Lambda leaves out what is not set, or gives it as an empty text, object or list: all the same here."""
    if not isinstance(value, dict):
        return value
    return {key: each for key, each in value.items() if each not in _EMPTY}


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _state(
    configuration: FunctionConfigurationTypeDef | FunctionConfigurationResponseTypeDef,
) -> tuple[VersionState, str]:
    reason = _reason(configuration.get("StateReasonCode"), configuration.get("StateReason"))
    try:
        return VersionState(configuration.get("State", "Active")), reason
    except ValueError:
        return VersionState.PENDING, reason


def _reason(code: str | None, text: str | None) -> str:
    return first(": ".join(part for part in (code, text) if part), _MAXIMUM_REASON)


def _log(encoded: str) -> str:
    try:
        text = base64.b64decode(encoded).decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
        return last(printable(text), MAXIMUM_LOG)
    except ValueError:
        return ""
