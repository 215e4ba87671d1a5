"""Access logs: a line for each request, in the name of the account's CloudWatch role."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.gateway.apis import AccessLog
from sandbox.telling import say

_ACTIONS = ("logs:CreateLogStream", "logs:PutLogEvents")
_VARIABLE = re.compile(r"\$context\.(\w+(?:\.\w+)*)")
_RAW = {"error.messageString"}
"""Values that are JSON already, with their quotes."""


class AccessLogs:
    """Writes them, or says once on stderr why it cannot: on AWS, such lines are lost without a word."""

    def __init__(
        self,
        log_role: Callable[[], str | None],
        role_allows: Callable[[str, str, str], bool],
        put: Callable[[str, str, str], None],
    ) -> None:
        """`put` gets log group, stream and line, and raises AwsError without such a group."""
        self._log_role = log_role
        self._role_allows = role_allows
        self._put = put
        self._said: set[str] = set()

    def write(self, log: AccessLog, stream: str, values: Mapping[str, Any]) -> None:
        """One line with `values` in it, by their names in `$context`."""
        resource = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{log.group}:log-stream:{stream}"
        role = self._log_role()
        if role is None:
            return self._cannot(log, "the account has no CloudWatch role any more")
        for action in _ACTIONS:
            if not self._role_allows(role, action, resource):
                return self._cannot(log, f"{role} may not {action} on {resource}")
        try:
            self._put(log.group, stream, filled(log.line.rstrip("\n"), values))
        except AwsError as refusal:
            self._cannot(log, refusal.message)
        return None

    def _cannot(self, log: AccessLog, why: str) -> None:
        if why not in self._said:
            self._said.add(why)
            say(f"API Gateway writes no access log to {log.group}: {why}")


def filled(template: str, values: Mapping[str, Any]) -> str:
    """`$context.name` replaced by its value, fit to stand between quotes in JSON; by "-" without one."""

    def value(found: re.Match[str]) -> str:
        known: Any = values
        for name in [found[1]] if found[1] in values else found[1].split("."):
            known = known.get(name) if isinstance(known, Mapping) else None
        if known is None or isinstance(known, Mapping):
            return "-"
        return str(known) if found[1] in _RAW else json.dumps(str(known))[1:-1]

    return _VARIABLE.sub(value, template)
