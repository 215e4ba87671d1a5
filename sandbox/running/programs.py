"""What the control plane gives the runtime, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.awslambda.packages import Code


class CannotRunError(Exception):
    """The code cannot be started at all: `error_type` and text as Lambda reports them."""

    def __init__(self, error_type: str, reason: str) -> None:
        super().__init__(reason)
        self.error_type = error_type


@dataclass(frozen=True)
class Program:
    """A version as the runtime sees it. `identity` is equal only for what may share a worker."""

    identity: str
    function: str
    version: str
    role_arn: str
    timeout_seconds: int
    memory_mb: int
    architecture: str
    code: Code = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    handler: str | None = None
    """Of a zip function; an image names its handler itself."""
    runtime_name: str | None = None
    """`python3.12` and the like; None for an image."""
    log_group: str = ""
    log_format: str = "Text"
    traced: bool = False


@dataclass(frozen=True)
class Invocation:
    """What an invocation came to, as Invoke answers it."""

    request_id: str
    status: int
    payload: bytes
    executed_version: str
    function_error: str | None = None
    log_tail: bytes = b""
