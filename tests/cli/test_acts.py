"""The verbs of whoever is on call, as they are typed. What the deployer makes of them is in tests/whole."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from deployer.model import Phase
from tests.cli.conftest import ROOT, Books, Run
from tests.fakes import image

if TYPE_CHECKING:
    from sandbox.server import Sandbox

DIGEST = image("mine").digest
WHY = ("--reason", "incident 42")
VERBS: dict[str, tuple[str, ...]] = {
    "rollback": (),
    "hold": (),
    "abort": (),
    "deploy": (DIGEST,),
    "retry": (DIGEST,),
}


def typed(environment: dict[str, str], *words: str, answers: tuple[str, ...] = ()) -> tuple[int, str]:
    """`deployer <words>` at a terminal, whose person answers each question with the next of `answers`."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "deployer", *words],
        cwd=ROOT,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    left, said = list(answers), b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux's way to say that the other side is closed
            part = b""
        if not part:
            break
        said += part
        if left and said.endswith((b"[y/N] ", b"message: ")):
            os.write(ours, f"{left.pop(0)}\n".encode())
    os.close(ours)
    return process.wait(), said.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("verb", [*VERBS, "resume"])
def test_without_a_terminal_nothing_is_done_unless_the_answer_was_given(deployer: Run, verb: str) -> None:
    done = deployer(verb, *VERBS.get(verb, ()), *WHY)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"{verb} asks before it changes anything, and there is no terminal to ask at" in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_whoever_gives_no_reason_is_told_that_it_takes_one(deployer: Run, verb: str) -> None:
    done = deployer(verb, *VERBS[verb], "--yes")

    assert done.returncode == 2
    assert f"{verb} needs a reason, for whoever reads the history" in done.stderr


@pytest.mark.parametrize(
    ("reason", "because"),
    [(" \n", "hold needs a reason"), ("x" * 201, "--reason has 201 characters; 200 are kept")],
)
def test_a_reason_that_is_none_or_would_be_cut_is_refused(deployer: Run, reason: str, because: str) -> None:
    done = deployer("hold", "--yes", "--reason", reason)

    assert done.returncode == 2
    assert because in done.stderr


@pytest.mark.parametrize("words", [("--request", "a b"), ("--past-hold", "x" * 129)])
def test_what_is_no_id_is_not_taken_for_one(deployer: Run, words: tuple[str, str]) -> None:
    done = deployer("deploy", DIGEST, *WHY, "--yes", *words)

    assert done.returncode == 2
    assert "an id is of letters, digits and hyphens" in done.stderr


def test_a_beginning_of_no_digest_or_of_several_is_refused(books: Books, deployer: Run) -> None:
    alike = [f"sha256:ab12cd34{digit * 56}" for digit in "01"]
    for digest in alike:
        books.end(books.ask(digest), Phase.REJECTED, "not for Lambda")

    several = deployer("deploy", "ab12cd34", *WHY, "--yes")
    none = deployer("retry", "00000000", *WHY, "--yes")
    of_rollback = deployer("rollback", "--to", "sha256:ab12cd34", *WHY, "--yes")

    assert {several.returncode, none.returncode, of_rollback.returncode} == {2}
    assert "DIGEST: ab12cd34 is the beginning of several: sha256:ab12cd340000…, " in several.stderr
    assert "DIGEST: no deployment that is remembered is of a digest that begins with 00000000" in none.stderr
    assert "--to: ab12cd34 is the beginning of several" in of_rollback.stderr


def test_on_a_terminal_it_says_what_will_happen_and_a_no_is_a_no(
    books: Books, environment: dict[str, str]
) -> None:
    going = books.update(books.ask(DIGEST))

    code, said = typed(environment, "hold", answers=("incident 42", "n"))

    told = " ".join(said.split())
    assert code == 1
    assert "no deployment will begin any more until somebody resumes" in told
    assert "What is live could not be read." in told  # there is no function in this stack
    assert f"Deployment {going.id} of {going.image} is under way, in UPDATING. It goes on to its end." in told
    assert told.endswith("Hold? [y/N] n Error: nothing was done")
    assert books.ledger.look().hold is None


def test_a_yes_is_followed_and_nobody_is_asked_twice(books: Books, environment: dict[str, str]) -> None:
    books.end(books.update(books.ask(DIGEST)), Phase.REVERTED, "GET /health answered 503")

    code, said = typed(environment, "retry", DIGEST[:19], *WHY, answers=("y",))

    assert said.count("[y/N]") == 1
    assert code == 2  # this stack has no deployer
    assert f"giving {books.stack}-prod-deployer the command: Invoke: ResourceNotFoundException" in said


def test_a_deployer_that_is_not_reached_leaves_a_command_that_can_be_given_again(
    books: Books, environment: dict[str, str], deployer: Run
) -> None:
    environment["AWS_ENDPOINT_URL_LAMBDA"] = "http://127.0.0.1:9"

    done = deployer("hold", *WHY, "--yes", "--json")
    checks = deployer("checks")

    told = json.loads(done.stdout)
    assert done.returncode == 4
    assert (told["outcome"], told["hold"]) == ("never seen", None)
    assert "As far as the ledger says, the command was not followed" in done.stderr
    assert f"add --request {told['request']}" in done.stderr
    assert checks.returncode == 1
    assert "no verdict: Could not connect" in checks.stderr


# -- watch


def test_watch_follows_what_is_under_way_line_by_line_where_there_is_no_terminal(
    books: Books, deployer: Run
) -> None:
    going = books.update(books.ask(DIGEST))

    done = deployer("watch", "--timeout", "0")

    assert done.returncode == 4
    assert done.stdout.startswith(f"deployment {going.id} of {going.image}\n")
    assert "  UPDATING    preflight passed  (REQUESTED took 0." in done.stdout
    assert f"deployment {going.id} has not ended yet: it is UPDATING since" in done.stderr


def test_watch_of_one_that_ended_exits_as_it_ended(books: Books, deployer: Run) -> None:
    ended = books.end(books.update(books.ask(DIGEST)), Phase.REVERTED, "GET /health answered 503")

    done = deployer("watch", ended.id, "--json")
    none = deployer("watch", "--timeout", "0")
    unknown = deployer("watch", "20260101T000000Z-00000000")

    told = json.loads(done.stdout)
    assert (done.returncode, told["outcome"], told["deployment"]) == (1, "ended badly", ended.id)
    assert "was reverted" in done.stderr
    assert (none.returncode, none.stderr) == (4, "no deployment began in time\n")
    assert unknown.returncode == 2
    assert "there is no deployment 20260101T000000Z-00000000" in unknown.stderr


def test_on_a_terminal_watch_draws_a_table(books: Books, environment: dict[str, str]) -> None:
    ended = books.end(books.update(books.ask(DIGEST)), Phase.SUPERSEDED, "[bold]newer[/bold]")

    code, said = typed({**environment, "TERM": "xterm", "COLUMNS": "120"}, "watch", ended.id)

    assert code == 3
    assert "took" in said
    assert "[bold]newer[/bold]" in said


def test_forever_and_one_deployment_do_not_go_together(deployer: Run) -> None:
    assert deployer("watch", "--forever", "20260101T000000Z-00000000").returncode == 2


# -- logs


@dataclass
class Log:
    """The log of one of the stack's functions."""

    client: Any
    group: str

    def write(self, *messages: str) -> None:
        now = int(datetime.now(UTC).timestamp() * 1000)
        self.client.create_log_group(logGroupName=self.group)
        self.client.create_log_stream(logGroupName=self.group, logStreamName="worker")
        events = [{"timestamp": now + number, "message": text} for number, text in enumerate(messages)]
        self.client.put_log_events(logGroupName=self.group, logStreamName="worker", logEvents=events)


def log_of(sandbox: Sandbox, books: Books, output: str) -> Log:
    return Log(sandbox.client("logs"), f"/aws/lambda/{books.outputs[output]}")


def test_logs_shows_what_was_printed_and_harms_no_terminal(
    sandbox: Sandbox, books: Books, deployer: Run
) -> None:
    log_of(sandbox, books, "ServiceFunctionName").write(
        "first", "two\nlines", "\x1b[2J postgresql://a:b@db/x"
    )

    done = deployer("logs")
    last = deployer("logs", "--limit", "1", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    assert re.sub(r"(?m)^[0-9-]+ [0-9:]+ ", "", done.stdout) == (
        "first\ntwo\n    lines\n\ufffd[2J postgresql://…@db/x\n"
    )
    assert json.loads(last.stdout)["message"] == "\x1b[2J postgresql://…@db/x"
    assert "there is more since" in last.stderr


def test_the_deployers_log_is_shown_readably(sandbox: Sandbox, books: Books, deployer: Run) -> None:
    line = {"level": "INFO", "message": "version 7 is ready", "correlation_id": "2026-ab"}
    log_of(sandbox, books, "DeployerName").write(json.dumps(line))

    done = deployer("logs", "--of", "deployer", "--since", "2h")

    assert done.stdout.endswith(" INFO    version 7 is ready  [2026-ab]\n")


def test_a_log_that_is_not_there_and_a_time_that_is_none_exit_with_2(books: Books, deployer: Run) -> None:
    gone, odd = deployer("logs"), deployer("logs", "--since", "yesterday")

    assert (gone.returncode, odd.returncode) == (2, 2)
    assert f"reading the log of {books.stack}-prod: FilterLogEvents: ResourceNotFoundException" in gone.stderr
    assert "how long ago it was: 30s, 90m, 24h, 7d, 4w: 'yesterday'" in odd.stderr


# -- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_and_where_to_put_it(deployer: Run, shell: str) -> None:
    done = deployer("completion", shell)

    assert done.returncode == 0
    assert "_DEPLOYER_COMPLETE" in done.stdout
    assert f"deployer completion {shell} > ~/" in done.stderr


def test_verbs_and_options_complete(environment: dict[str, str], deployer: Run) -> None:
    environment |= {"_DEPLOYER_COMPLETE": "bash_complete", "COMP_CWORD": "1", "COMP_WORDS": "deployer re"}
    verbs = deployer().stdout.split()
    environment |= {"COMP_CWORD": "2", "COMP_WORDS": "deployer rollback --re"}
    options = deployer().stdout.split()

    assert {"plain,resume", "plain,retry"} <= set(verbs)
    assert set(options) == {"plain,--reason", "plain,--request"}
