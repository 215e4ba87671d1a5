"""The environment as frozen settings. A missing or wrong one stops the start, with a message that says which.

What they are and where they come from is in template.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deployer.model import require_digest
from deployer.smoke import Check, parse_checks

DEFAULT_CHECKS = '[{"path": "/health", "json": {"status": "ok"}}]'

_REPOSITORY = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/(?P<name>[a-z0-9._/-]+)"
)

_FUNCTION = re.compile(r"arn:aws[a-z-]{0,20}:lambda:[a-z0-9-]{1,30}:\d{12}:function:[A-Za-z0-9_-]{1,64}")


class BadSettings(ValueError):
    """A setting is missing or wrong."""


_TOPIC = re.compile(r"arn:(?P<partition>aws[a-z-]*):sns:(?P<region>[a-z0-9-]+):\d{12}:[\w-]+")


@dataclass(frozen=True)
class Settings:
    """What this deployer is for."""

    function_name: str
    repository_uri: str  # 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shuking-lambda
    account: str
    repository: str
    release_tag: str
    table_name: str
    topic_arn: str
    chat_topic_arn: str
    checks: tuple[Check, ...]
    placeholder_digest: str
    hold_after_reverts: int  # deployments in a row; 0: never
    stack_name: str
    region: str
    partition: str  # aws, aws-cn, aws-us-gov


@dataclass(frozen=True)
class DashboardSettings:
    """What the dashboard looks at."""

    function_name: str
    repository_uri: str
    table_name: str
    deployer_arn: str  # where the buttons go


def read(environment: Mapping[str, str]) -> Settings:
    """The deployer's. Raises `BadSettings`, which names every variable that is wrong, not the first."""
    variables = _Variables(environment)
    uri, repository = variables.repository()
    partition, region = variables.topic_place()
    checks: tuple[Check, ...] = ()
    placeholder = variables.required("PLACEHOLDER_DIGEST")
    try:
        checks = parse_checks(environment.get("CHECKS") or DEFAULT_CHECKS)
        if placeholder:
            require_digest(placeholder)
    except ValueError as error:
        variables.problems.append(str(error))
    settings = Settings(
        function_name=variables.required("FUNCTION_NAME"),
        repository_uri=uri,
        account=repository["account"] if repository else "",
        repository=repository["name"] if repository else "",
        release_tag=variables.required("RELEASE_TAG"),
        table_name=variables.required("TABLE_NAME"),
        topic_arn=variables.required("TOPIC_ARN"),
        chat_topic_arn=variables.required("CHAT_TOPIC_ARN"),
        checks=checks,
        placeholder_digest=placeholder,
        hold_after_reverts=variables.number("HOLD_AFTER_REVERTS", 3),
        stack_name=variables.required("STACK_NAME"),
        region=region,
        partition=partition,
    )
    variables.require_all("the deployer")
    return settings


def read_dashboard(environment: Mapping[str, str]) -> DashboardSettings:
    """The dashboard's. Raises `BadSettings` as `read` does."""
    variables = _Variables(environment)
    settings = DashboardSettings(
        function_name=variables.required("FUNCTION_NAME"),
        repository_uri=variables.repository()[0],
        table_name=variables.required("TABLE_NAME"),
        deployer_arn=variables.function("DEPLOYER_ARN"),
    )
    variables.require_all("the dashboard")
    return settings


class _Variables:
    """The environment, and everything that was found to be wrong with it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def required(self, name: str) -> str:
        value = self._environment.get(name, "")
        if not value:
            self.problems.append(f"{name} is not set")
        return value

    def number(self, name: str, default: int) -> int:
        value = self._environment.get(name) or str(default)
        if not (value.isascii() and value.isdecimal() and len(value) < 4):
            self.problems.append(f"{name} is not a number from 0 to 999: {value[:80]!r}")
            return default
        return int(value)

    def repository(self) -> tuple[str, re.Match[str] | None]:
        uri = self.required("REPOSITORY_URI")
        repository = _REPOSITORY.fullmatch(uri)
        if uri and not repository:
            self.problems.append(f"REPOSITORY_URI is not the URI of an ECR repository: {uri[:120]!r}")
        return uri, repository

    def topic_place(self) -> tuple[str, str]:
        """Partition and Region, as the topic's ARN has them: all of a stack is in one place."""
        arn = self._environment.get("TOPIC_ARN", "")  # its absence is told by whoever needs the topic
        topic = _TOPIC.fullmatch(arn)
        if arn and not topic:
            self.problems.append(f"TOPIC_ARN is not the ARN of a topic: {arn[:120]!r}")
        return (topic["partition"], topic["region"]) if topic else ("", "")

    def function(self, name: str) -> str:
        arn = self.required(name)
        if arn and not _FUNCTION.fullmatch(arn):
            self.problems.append(f"{name} is not the ARN of a Lambda function: {arn[:120]!r}")
        return arn

    def require_all(self, who: str) -> None:
        if self.problems:
            raise BadSettings(f"{who} cannot start: " + "; ".join(self.problems))
