"""Does a resource's own policy let a service of AWS do something? Pure.

It knows the conditions that template.yaml and the console write, and says "cannot tell" of every other: what
is told as open must be open.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LIKE = frozenset({"StringLike", "ArnLike", "ArnEquals"})  # ArnEquals takes wildcards, too
_EXACT = frozenset({"StringEquals"})


class CannotTell(ValueError):
    """The policy says something that is not known here; the text is what."""


@dataclass(frozen=True)
class Wish:
    """The service (`lambda.amazonaws.com`) wants to do `action` for the resource `source`, an ARN."""

    service: str
    action: str
    source: str

    @property
    def account(self) -> str:
        """Whose `source` is."""
        return (self.source.split(":", 5) + [""] * 6)[4]


def allows(policy: str | None, wish: Wish) -> bool:
    """Does it? Raises `CannotTell`. A policy belongs to one resource, so `Resource` is not asked."""
    if policy is None:
        return False
    try:
        document = json.loads(policy)
    except (ValueError, RecursionError):
        raise CannotTell("the policy is not JSON") from None
    statements = _list(document.get("Statement")) if isinstance(document, dict) else []
    allowed, unclear = False, None
    for statement in statements:
        if not isinstance(statement, dict):
            continue
        try:
            if not _applies(statement, wish):
                continue
        except CannotTell as error:
            unclear = unclear or error
            continue
        if statement.get("Effect") == "Deny":
            return False
        allowed = allowed or statement.get("Effect") == "Allow"
    if unclear and (not allowed or _denies(statements)):
        raise unclear
    return allowed


def _denies(statements: list[Any]) -> bool:
    return any(isinstance(each, dict) and each.get("Effect") == "Deny" for each in statements)


def _applies(statement: Mapping[str, Any], wish: Wish) -> bool:
    if not _is_for(statement, wish.service):
        return False
    if "NotAction" in statement:
        raise CannotTell("NotAction")
    if not any(_like(str(action).lower(), wish.action.lower()) for action in _list(statement.get("Action"))):
        return False
    conditions = statement.get("Condition") or {}
    if not isinstance(conditions, dict):
        raise CannotTell("a condition that is no object")
    return all(
        _holds(operator, key, _list(wanted), wish)
        for operator, keys in conditions.items()
        for key, wanted in (keys.items() if isinstance(keys, dict) else [("?", [])])
    )


def _is_for(statement: Mapping[str, Any], service: str) -> bool:
    if "NotPrincipal" in statement:
        raise CannotTell("NotPrincipal")
    principal = statement.get("Principal")
    if principal == "*":
        return True
    if not isinstance(principal, dict):
        return False
    return "*" in _list(principal.get("AWS")) or service in _list(principal.get("Service"))


def _holds(operator: str, key: str, wanted: list[Any], wish: Wish) -> bool:
    known = {"aws:sourcearn": wish.source, "aws:sourceaccount": wish.account}
    if operator not in _LIKE | _EXACT or key.lower() not in known:
        raise CannotTell(f"the condition {operator} on {key}")
    actual = known[key.lower()]
    if operator in _EXACT:
        return actual in wanted
    return any(_like(str(each), actual) for each in wanted)


def _like(pattern: str, text: str) -> bool:
    parts = {"*": ".*", "?": "."}
    return bool(
        re.fullmatch("".join(parts.get(each) or re.escape(each) for each in pattern), text, re.DOTALL)
    )


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
