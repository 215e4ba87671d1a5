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


class BadSettings(ValueError):
    """A setting is missing or wrong."""


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
    checks: tuple[Check, ...]
    placeholder_digest: str


def read(environment: Mapping[str, str]) -> Settings:
    """Read the settings. Raises `BadSettings`, which names every variable that is wrong, not the first."""
    problems: list[str] = []

    def required(name: str) -> str:
        value = environment.get(name, "")
        if not value:
            problems.append(f"{name} is not set")
        return value

    uri = required("REPOSITORY_URI")
    repository = _REPOSITORY.fullmatch(uri)
    if uri and not repository:
        problems.append(f"REPOSITORY_URI is not the URI of an ECR repository: {uri[:120]!r}")
    checks: tuple[Check, ...] = ()
    placeholder = required("PLACEHOLDER_DIGEST")
    try:
        checks = parse_checks(environment.get("CHECKS") or DEFAULT_CHECKS)
        if placeholder:
            require_digest(placeholder)
    except ValueError as error:
        problems.append(str(error))
    settings = Settings(
        function_name=required("FUNCTION_NAME"),
        repository_uri=uri,
        account=repository["account"] if repository else "",
        repository=repository["name"] if repository else "",
        release_tag=required("RELEASE_TAG"),
        table_name=required("TABLE_NAME"),
        topic_arn=required("TOPIC_ARN"),
        checks=checks,
        placeholder_digest=placeholder,
    )
    if problems:
        raise BadSettings("the deployer cannot start: " + "; ".join(problems))
    return settings
