"""The figures in docs/testing.md: what was killed where, and how many calls a deployment makes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from docs.drawn import redrawn
from sandbox.door.watching import FunctionCall
from tests.kills.points import Point
from tests.kills.trial import Kind, Outcome

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
# Seconds differ from run to run; in these steps the page seldom does.
_STEPS = (5, 10, 20, 60, 120, 300)
_SERVICES = {"dynamodb": "DynamoDB", "lambda": "Lambda", "ecr": "ECR", "sns": "SNS", "events": "EventBridge"}


@dataclass(frozen=True)
class Result:
    """A point, and what came of it."""

    point: Point
    outcome: Outcome


def write(what: str, drawing: str, by: str) -> None:
    """Put a drawing between its markers. Raises ValueError without them."""
    text = PAGE.read_text(encoding="utf-8")
    fresh = redrawn(text, what, drawing, by=by)
    if fresh != text:
        PAGE.write_text(fresh, encoding="utf-8")


def kills(results: Sequence[Result]) -> str:
    """One row for each call by its name; in a cell, how many came right, and who completed the work."""
    single = [each for each in results if len(each.point.kills) == 1]
    double = [each for each in results if len(each.point.kills) > 1]
    columns = [(kind, done) for kind in Kind for done in (False, True)]
    lines = [
        f"{_survived(single)} kills at one attempt, {_survived(double)} at every attempt; "
        f"all settled within {rounded_up(max(each.outcome.seconds for each in results))} s.",
        "",
        "| killed | "
        + " | ".join(f"{'after' if done else 'before'}, {kind}" for kind, done in columns)
        + " |",
        "|---|" + "---|" * len(columns),
    ]
    for name in _in_order(single):
        cells = (
            _cell([each for each in single if each.point.name == name and _column(each) == column])
            for column in columns
        )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "| killed after, and every retry as it had the lease | " + " | ".join(Kind) + " |"]
    lines.append("|---|" + "---|" * len(Kind))
    for name in _in_order(double):
        of_kinds = (
            _cell([each for each in double if each.point.name == name and each.point.kind is kind])
            for kind in Kind
        )
        lines.append(f"| {name} | " + " | ".join(of_kinds) + " |")
    return "\n".join([*lines, ""])


def calls(made: Mapping[str, Sequence[FunctionCall]]) -> str:
    """How many calls of each service were made, by what made them."""
    lines = [
        "| | " + " | ".join(_SERVICES.values()) + " | of Lambda's, GetFunction |",
        "|---|" + "---:|" * (len(_SERVICES) + 1),
    ]
    for what, several in made.items():
        counts = counted(several)
        numbers = [counts[service] for service in (*_SERVICES, "GetFunction")]
        lines.append(f"| {what} | " + " | ".join(str(number) for number in numbers) + " |")
    return "\n".join([*lines, ""])


def counted(several: Iterable[FunctionCall]) -> Counter[str]:
    """Calls by service, and GetFunction by itself, which has a limit of its own."""
    counts: Counter[str] = Counter()
    for call in several:
        counts[call.service] += 1
        counts["GetFunction"] += call.operation == "GetFunction"
    return counts


def rounded_up(seconds: float) -> int:
    """To the next step."""
    return next((step for step in _STEPS if seconds <= step), math.ceil(seconds))


def _survived(results: Sequence[Result]) -> str:
    survived = sum(not each.outcome.wrong for each in results)
    return f"{survived} of {len(results)}"


def _column(result: Result) -> tuple[Kind, bool]:
    return result.point.kind, result.point.kills[0].done


def _in_order(results: Sequence[Result]) -> list[str]:
    """Names as they come in a release; what only a later kind does, after what it comes after there."""
    order: list[str] = []
    for kind in Kind:
        last = -1
        own = sorted(
            (each for each in results if each.point.kind is kind), key=lambda each: each.point.kills[0].number
        )
        for name in dict.fromkeys(each.point.name for each in own):
            if name not in order:
                order.insert(last + 1, name)
            last = order.index(name)
    return order


def _cell(results: Sequence[Result]) -> str:
    """How many right ends, by whom; or how many wrong ones."""
    if not results:
        return ""
    wrong = sum(bool(each.outcome.wrong) for each in results)
    if wrong:
        return f"**{wrong} of {len(results)} wrong**"
    by = Counter(each.outcome.completed_by.removeprefix("a ") for each in results)
    return ", ".join(f"{number} {who}" for who, number in sorted(by.items()))
