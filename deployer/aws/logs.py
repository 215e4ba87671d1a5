"""What a function has printed, out of CloudWatch Logs.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployer.aws.errors import translated

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import FilterLogEventsRequestTypeDef

_MOST_AT_ONCE = 10_000  # CloudWatch's own limit for a page


@dataclass(frozen=True)
class LogLine:
    """One event of a log."""

    id: str
    at_ms: int  # since 1970
    stream: str  # which worker wrote it
    message: str


@dataclass(frozen=True)
class LogPage:
    """Some lines, the oldest first, and where the next page begins; None: there is none."""

    lines: tuple[LogLine, ...]
    next: str | None


class LogGroup:
    """The log group `name`."""

    def __init__(self, client: CloudWatchLogsClient, name: str) -> None:
        self._client = client
        self._name = name

    def read(self, since_ms: int, page: str | None = None) -> LogPage:
        """A page of what was written since then, by any worker. A page may be empty and not the last one."""
        asked: FilterLogEventsRequestTypeDef = {
            "logGroupName": self._name,
            "startTime": since_ms,
            "limit": _MOST_AT_ONCE,
        }
        if page:
            asked["nextToken"] = page
        with translated():
            response = self._client.filter_log_events(**asked)
        lines = (
            LogLine(
                each.get("eventId", ""),
                each.get("timestamp", since_ms),
                each.get("logStreamName", ""),
                each.get("message", ""),
            )
            for each in response.get("events", [])
        )
        return LogPage(tuple(lines), response.get("nextToken"))
