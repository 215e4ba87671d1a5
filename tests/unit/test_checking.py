"""Reading what the deployer answers to `check`."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from deployer import facts
from deployer.commands.parts.checking import BadAnswer, Checked, read
from deployer.model import CheckResult, Image, Verdict, Version

IMAGE = Image("shuking-lambda", "sha256:" + "a" * 64)
VERDICT = Verdict((CheckResult("GET /health", False, "200", "503", 0.1, 2),), "the end of the log")
ANSWER: dict[str, Any] = {
    **facts.of_version(Version("7", IMAGE)),
    **(facts.of_verdict(VERDICT) or {}),
    "not_run": ["GET /orders"],
}


def test_what_the_deployer_answers_is_read_as_it_was_meant() -> None:
    assert read(ANSWER) == Checked("7", IMAGE, VERDICT, ("GET /orders",))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 7},
        {"image": {"repository": "r", "digest": "latest"}},
        {"image": None},
        {"results": "all"},
        {"results": [{"name": "GET /health"}]},
        {"results": [{**facts.of_verdict(VERDICT)["results"][0], "seconds": 10**400}]},  # type: ignore[index]
        {"log_tail": None},
        {"not_run": 3},
    ],
)
def test_what_is_no_outcome_of_checks_is_not_taken_for_one(change: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer, match="no outcome of checks"):
        read({**deepcopy(ANSWER), **change})
    with pytest.raises(BadAnswer):
        read(None)
