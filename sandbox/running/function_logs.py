"""CloudWatch Logs, as Lambda writes functions' logs into it: in the name of each function's role.

Lambda Developer Guide, "Sending Lambda function logs to CloudWatch Logs": the role needs
logs:CreateLogGroup, logs:CreateLogStream and logs:PutLogEvents. The first is only asked for when the group
is missing. A function that may not write its log runs all the same, and nobody reads what it wrote.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from moto.logs.models import LogsBackend, logs_backends

from sandbox.account import ACCOUNT, REGION
from sandbox.telling import say

# Many write at a time, and moto's logs are not made for it.
_lock = threading.RLock()


def put(group: str, stream: str, lines: list[tuple[int, str]]) -> None:
    """Add (milliseconds since 1970, line) to a stream, which is made on the way; its group must be there."""
    # Logs takes lines in the order of their time only, and a machine's clock may be set back.
    events = [
        {"timestamp": moment, "message": text} for moment, text in sorted(lines, key=lambda line: line[0])
    ]
    with _lock:
        logs = logs_backends[ACCOUNT][REGION]
        logs.ensure_log_stream(group, stream)
        logs.put_log_events(group, stream, events)


class FunctionLogs:
    """Writes lines that functions printed. Safe to use from several threads.

    `role_allows` gets role, action and resource; it is asked each time, because policies change.
    """

    def __init__(self, role_allows: Callable[[str, str, str], bool]) -> None:
        self._role_allows = role_allows
        self._said: set[tuple[str, str, str]] = set()

    def write(self, role_arn: str, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
        """Add (milliseconds since 1970, line) to a stream, if the role may; else drop them."""
        with _lock:
            logs = logs_backends[ACCOUNT][REGION]
            if self._is_there(logs, role_arn, group, stream) and self._may(
                role_arn, "PutLogEvents", group, stream
            ):
                put(group, stream, lines)

    def _is_there(self, logs: LogsBackend, role_arn: str, group: str, stream: str) -> bool:
        """Whether the stream is there, perhaps since now."""
        if group not in logs.groups:
            # The stream's part of the ARN is there and empty, as in AWS's refusals of CreateLogGroup.
            if not self._may(role_arn, "CreateLogGroup", group, ""):
                return False
            logs.create_log_group(group, {})
        if stream not in logs.groups[group].streams:
            if not self._may(role_arn, "CreateLogStream", group, stream):
                return False
            logs.create_log_stream(group, stream)
        return True

    def _may(self, role_arn: str, action: str, group: str, stream: str) -> bool:
        resource = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:{stream}"
        if self._role_allows(role_arn, f"logs:{action}", resource):
            return True
        if (role_arn, action, group) not in self._said:
            self._said.add((role_arn, action, group))
            say(f"no log in {group}: its policies do not let {role_arn} do logs:{action} on {resource}")
        return False
