"""`deployer doctor` where there is little to look at."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Books, Run


@pytest.mark.usefixtures("books")
def test_a_stack_that_does_not_say_where_things_are_is_what_is_wrong(deployer: Run) -> None:
    done = deployer("doctor")

    assert (done.returncode, done.stderr) == (1, "")
    first, *rest = done.stdout.splitlines()
    assert first.startswith("FAIL     stack")
    assert "is CREATE_COMPLETE, and has no output LiveAliasArn, ApiId" in first
    assert any(line.startswith("unknown  everything else") for line in rest)
    assert rest[-1] == "1 failed, 1 could not be looked at"


def test_the_same_for_programs(books: Books, deployer: Run) -> None:
    told = json.loads(deployer("doctor", "--json").stdout)

    assert told["healthy"] is False
    stack, everything = told["findings"]
    assert (stack["name"], stack["verdict"], stack["commands"]) == (
        "stack",
        "FAIL",
        ["sam build && sam deploy"],
    )
    assert books.stack in stack["seen"]
    assert everything["verdict"] == "unknown"


def test_a_stack_that_is_not_there_is_no_finding(environment: dict[str, str], deployer: Run) -> None:
    environment["DEPLOYER_STACK"] = "nowhere"

    done = deployer("doctor", "--json")

    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no stack nowhere" in done.stderr
