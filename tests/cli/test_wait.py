"""`deployer wait`, as CI starts it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from deployer.model import Phase
from sandbox.waiting import until
from tests.cli.conftest import ROOT, Books, Run
from tests.fakes import image

if TYPE_CHECKING:
    from sandbox.server import Sandbox

DIGEST, OTHER = image("mine").digest, image("other").digest


def test_a_release_that_is_live_exits_with_0_and_says_so(books: Books, deployer: Run) -> None:
    books.end(books.update(books.ask(DIGEST)), Phase.SUCCEEDED, "live is version 2: GET /health 200")

    done = deployer("wait", "--digest", DIGEST)

    assert done.returncode == 0, done.stderr
    assert "UPDATING    preflight passed" in done.stdout
    assert f"{books.stack}-prod: release sha256:" in done.stdout
    assert "is live: live is version 2: GET /health 200" in done.stdout


@pytest.mark.parametrize(
    ("phase", "code"), [(Phase.REJECTED, 1), (Phase.STUCK, 1), (Phase.REVERTED, 1), (Phase.SUPERSEDED, 3)]
)
def test_another_end_exits_with_its_code_and_says_why_on_stderr(
    books: Books, deployer: Run, phase: Phase, code: int
) -> None:
    books.end(books.ask(DIGEST), phase, "GET /health answered 503")

    done = deployer("wait", "--digest", DIGEST)

    assert done.returncode == code
    assert "GET /health answered 503" in done.stderr


def test_an_end_that_comes_while_it_waits_is_waited_for(
    books: Books, environment: dict[str, str], deployer: Run
) -> None:
    updating = books.update(books.ask(DIGEST))

    with waiting(environment) as process:
        assert process.stdout
        first = [process.stdout.readline() for _ in range(2)]
        books.end(updating, Phase.SUCCEEDED, "live is version 2")
        rest = process.stdout.read()

    assert process.returncode == 0
    assert updating.id in first[0]
    assert "preflight passed" in first[1]
    assert "live is version 2" in rest


def test_time_that_ends_first_exits_with_4_and_says_that_it_goes_on(books: Books, deployer: Run) -> None:
    books.update(books.ask(DIGEST))

    done = deployer("wait", "--digest", DIGEST, "--timeout", "0")

    assert done.returncode == 4
    assert "has not ended yet: it is UPDATING" in done.stderr


def test_a_digest_that_nobody_pushed_exits_with_4_and_says_that_it_was_never_seen(
    books: Books, deployer: Run
) -> None:
    done = deployer("wait", "--digest", DIGEST, "--timeout", "0")

    assert done.returncode == 4
    assert f"nothing was seen of a deployment of {DIGEST}" in done.stderr


def test_since_says_which_push_is_meant(books: Books, deployer: Run) -> None:
    hours_ago = datetime.now(UTC) - timedelta(hours=3)
    books.end(books.ask(DIGEST, hours_ago), Phase.REVERTED, "GET /health answered 503")
    books.end(books.ask(OTHER), Phase.SUCCEEDED, "live is version 3")

    by_default = deployer("wait", "--digest", DIGEST, "--timeout", "0")
    since = deployer("wait", "--digest", DIGEST, "--timeout", "0", "--since", hours_ago.isoformat())

    assert (by_default.returncode, since.returncode) == (4, 1)


def test_a_push_that_changed_nothing_exits_as_it_ended_then(books: Books, deployer: Run) -> None:
    hours_ago = datetime.now(UTC) - timedelta(hours=3)
    books.end(books.ask(DIGEST, hours_ago), Phase.SUCCEEDED, "live is version 2")

    done = deployer("wait", "--digest", DIGEST, "--timeout", "0")

    assert done.returncode == 0, done.stderr
    assert "the digest was dealt with before" in done.stdout


def test_with_json_stdout_is_one_object(books: Books, deployer: Run) -> None:
    ended = books.end(books.update(books.ask(DIGEST)), Phase.REVERTED, "users are on version 1")

    done = deployer("wait", "--digest", DIGEST, "--json")

    told = json.loads(done.stdout)
    assert (told["outcome"], told["phase"], told["deployment"]) == ("ended badly", "REVERTED", ended.id)
    assert "UPDATING    preflight passed" in done.stderr


def test_ctrl_c_exits_with_130_and_one_line(books: Books, environment: dict[str, str]) -> None:
    books.update(books.ask(DIGEST))

    with waiting(environment) as process:
        assert process.stdout
        assert process.stderr
        until(process.stdout.readline, "the first move")
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()

    assert process.returncode == 130
    assert [line for line in told.splitlines() if not line.startswith("waiting")] == [
        "deployer: interrupted; a deployment that has been asked for goes on"
    ]


def waiting(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "deployer", "wait", "--digest", DIGEST],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("words", "because"),
    [
        ((), "Missing option '--digest'"),
        (("--digest", "latest"), "not an image digest"),
        (("--digest", DIGEST[:19]), "not an image digest"),
        (("--digest", DIGEST, "--since", "yesterday"), "7d, 4w: 'yesterday'"),
        (("--digest", DIGEST, "--since", "2026-03-01T03:00:00"), "a time without a zone"),
        (("--digest", DIGEST, "--since", "0001-01-01T00:00:00Z"), "a year that is none here: '0001-01-01"),
        (("--digest", DIGEST, "--since", "9999-12-31T23:59:59-12:00"), "a year that is none"),
        (("--digest", DIGEST, "--timeout", "-1"), "-1 is not in the range"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what(deployer: Run, words: tuple[str, ...], because: str) -> None:
    done = deployer("wait", *words)

    assert done.returncode == 2
    assert because in done.stderr


def test_a_stack_that_is_not_there_is_named_with_its_region(deployer: Run) -> None:
    done = deployer("--stack", "nowhere", "wait", "--digest", DIGEST)

    assert done.returncode == 2
    assert "there is no stack nowhere in us-east-1" in done.stderr


def test_a_stack_of_something_else_is_not_worked_on(books: Books, sandbox: Sandbox, deployer: Run) -> None:
    cloudformation = sandbox.client("cloudformation")
    body = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
    cloudformation.create_stack(StackName="something-else", TemplateBody=json.dumps(body))

    done = deployer("--stack", "something-else", "wait", "--digest", DIGEST)

    assert done.returncode == 2
    assert "the stack something-else has no output LedgerName" in done.stderr


@pytest.mark.parametrize(
    ("missing", "because"),
    [
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "there are no AWS credentials"),
        (("AWS_DEFAULT_REGION",), "which Region?"),
    ],
)
def test_aws_that_is_not_configured_is_said_to_be(
    environment: dict[str, str], deployer: Run, missing: tuple[str, ...], because: str
) -> None:
    for name in missing:
        del environment[name]

    done = deployer("wait", "--digest", DIGEST)

    assert done.returncode == 2
    assert because in done.stderr


def test_a_profile_that_is_not_there_is_named(deployer: Run) -> None:
    done = deployer("--profile", "nobodys", "wait", "--digest", DIGEST)

    assert done.returncode == 2
    assert "nobodys" in done.stderr


def test_aws_that_does_not_answer_is_said_to(environment: dict[str, str], deployer: Run) -> None:
    environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"

    done = deployer("wait", "--digest", DIGEST)

    assert done.returncode == 2
    assert "looking for the stack shuking: " in done.stderr
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr
