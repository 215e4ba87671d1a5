"""IAM policy documents: does a call pass?

The evaluation logic of one account without organisations, boundaries and session policies:
an explicit Deny wins, then an Allow is needed. Source: IAM User Guide, "Policy evaluation logic"
and "IAM JSON policy elements".

What this file does not know (an operator, a policy variable) fails the call with a message that
names it. Guessing would let a template pass here and fail, or be too open, on AWS.
"""

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sandbox.account import ACCOUNT

Document = Mapping[str, Any]


class Verdict(enum.Enum):
    """What the policies say about a call."""

    ALLOW = "allow"
    DENY = "an explicit deny"
    SILENT = "nothing allows it"


class CannotEvaluateError(Exception):
    """A policy uses something this sandbox does not know; the text says what and where."""


@dataclass(frozen=True)
class Call:
    """Who wants to do what to which resource.

    `service` is the calling AWS service's principal ("events.amazonaws.com") when a resource's own
    policy is asked; None when a role's policies are. `context` holds the condition keys of the request;
    keys compare without case.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)
    service: str | None = None


def decide(documents: Iterable[Document], call: Call) -> Verdict:
    """The outcome of all the policy documents that apply to `call` together.

    Raises CannotEvaluateError when a statement about this action and resource is not understood.
    """
    verdict = Verdict.SILENT
    for document in documents:
        for statement in _as_list(document.get("Statement", [])):
            if not _applies(statement, call):
                continue
            if statement.get("Effect") == "Deny":
                return Verdict.DENY
            verdict = Verdict.ALLOW
    return verdict


def refusal_of_service(
    policy: Document | None, service: str, action: str, resource: str, source_arn: str
) -> str | None:
    """Why the policy of `resource` itself does not let an AWS service do `action`; None when it does.

    `service` is its principal (`events.amazonaws.com`), `source_arn` what it acts for: a rule, an API.
    """
    context = {"aws:SourceArn": source_arn, "aws:SourceAccount": ACCOUNT}
    try:
        verdict = decide([policy or {}], Call(action, resource, context, service))
    except CannotEvaluateError as problem:
        return f"the policy of {resource}: {problem}"
    if verdict is Verdict.ALLOW:
        return None
    return f"the policy of {resource} does not let {service} do {action} for {source_arn}"


def _applies(statement: Mapping[str, Any], call: Call) -> bool:
    return (
        _principal_matches(statement, call)
        and _element_matches(statement, "Action", call.action.lower(), ignore_case=True)
        and _element_matches(statement, "Resource", call.resource)
        and all(
            _condition_holds(operator, key, _as_list(expected), call)
            for operator, keys in statement.get("Condition", {}).items()
            for key, expected in keys.items()
        )
    )


def _principal_matches(statement: Mapping[str, Any], call: Call) -> bool:
    if call.service is None:
        return True  # a role's own policies name no principal: it is the role
    if "NotPrincipal" in statement:
        raise CannotEvaluateError("NotPrincipal in a resource policy is not known to the sandbox")
    principal = statement.get("Principal")
    if principal == "*":
        return True
    if not isinstance(principal, Mapping):
        return False
    if "*" in _as_list(principal.get("AWS", [])):
        return True
    return call.service in _as_list(principal.get("Service", []))


def _element_matches(
    statement: Mapping[str, Any], element: str, value: str, *, ignore_case: bool = False
) -> bool:
    """`Action`/`Resource`, or its `Not...` form. A resource policy may leave `Resource` out."""

    def any_matches(patterns: Any) -> bool:
        for pattern in _as_list(patterns):
            if "${" in pattern:
                raise CannotEvaluateError(f"the policy variable in {pattern!r} is not known to the sandbox")
            if _wildcard(pattern.lower() if ignore_case else pattern).fullmatch(value):
                return True
        return False

    if f"Not{element}" in statement:
        return not any_matches(statement[f"Not{element}"])
    if element not in statement:
        return element == "Resource"
    return any_matches(statement[element])


@lru_cache(maxsize=2048)
def _wildcard(pattern: str) -> re.Pattern[str]:
    """`*` is any text (colons and slashes too), `?` one character, everything else itself."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in pattern), re.DOTALL)


def _condition_holds(operator: str, key: str, expected: Sequence[Any], call: Call) -> bool:
    if operator not in _OPERATORS:
        raise CannotEvaluateError(f"the condition operator {operator!r} is not known to the sandbox")
    negated, matches = _OPERATORS[operator]
    # A key the request does not carry fails a condition, except a negated one.
    actual = _context_value(call, key)
    return (actual is not None and any(matches(str(item), actual) for item in expected)) != negated


def _context_value(call: Call, key: str) -> str | None:
    return next((value for name, value in call.context.items() if name.lower() == key.lower()), None)


def _equal(expected: str, actual: str) -> bool:
    return expected == actual


def _equal_ignoring_case(expected: str, actual: str) -> bool:
    return expected.casefold() == actual.casefold()


def _like(expected: str, actual: str) -> bool:
    return _wildcard(expected).fullmatch(actual) is not None


def _arn_like(expected: str, actual: str) -> bool:
    """The six parts match one by one, so that a `*` never reaches over a colon before the resource."""
    ours, theirs = expected.split(":", 5), actual.split(":", 5)
    return len(ours) == len(theirs) and all(map(_like, ours, theirs))


# operator -> (negated, matcher).
# ArnEquals and ArnLike behave alike (IAM User Guide, "Amazon Resource Name (ARN) condition operators").
_OPERATORS = {
    "StringEquals": (False, _equal),
    "StringNotEquals": (True, _equal),
    "StringLike": (False, _like),
    "StringNotLike": (True, _like),
    "ArnEquals": (False, _arn_like),
    "ArnLike": (False, _arn_like),
    "ArnNotEquals": (True, _arn_like),
    "ArnNotLike": (True, _arn_like),
    "Bool": (False, _equal_ignoring_case),
}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
