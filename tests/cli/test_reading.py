"""`deployer status`, `history`, `show`, `images` and `stats` on a ledger that holds what the test says.

With everything real, under the viewer's policy: tests/whole/test_reading.py.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from deployer import placeholder
from deployer.model import (
    CheckResult,
    Conclusion,
    Deployment,
    Hold,
    Moment,
    Origin,
    Phase,
    Quarantine,
    Source,
    Verdict,
    Version,
)
from tests.cli.conftest import ROOT, Books, Run
from tests.deployments import command as asked
from tests.fakes import image

if TYPE_CHECKING:
    from sandbox.server import Sandbox

NOW = datetime.now(UTC).replace(microsecond=0)
EVIL = "\x1b[31mred\x1b[0m\nnext \u202eline"
VERBS = ("status", "history", "show", "images", "stats")


def ended(
    books: Books,
    name: str,
    phase: Phase,
    *,
    ago: timedelta = timedelta(hours=1),
    because: str = "it ended",
    through: tuple[Phase, ...] = (Phase.UPDATING, Phase.VERIFYING, Phase.PROMOTING, Phase.CONFIRMING),
    bad: bool = False,
    **fields: Any,
) -> Deployment:
    """A deployment in the history."""
    request = books.ask(image(name).digest, NOW - ago)
    moments = [Moment(NOW - ago + timedelta(seconds=n), each, "") for n, each in enumerate(through, 1)]
    last = Moment(NOW - ago + timedelta(seconds=30), phase, because)
    whole = replace(request, phase=phase, timeline=(*moments, last), **fields)
    quarantine = Quarantine(image(name).digest, whole.id, because) if bad else None
    with books._lease() as lease:
        books.ledger.end(lease, Conclusion(whole, quarantine=quarantine))
    return whole


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def lines(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What is told, by its label."""
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^(\S+(?: \S+)*)  +(.*)$", done.stdout, flags=re.MULTILINE))


# -- status


def test_an_empty_ledger_is_told_as_one(books: Books, deployer: Run) -> None:
    status = lines(deployer("status"))

    assert status["under way"] == "nothing"
    assert status["hold"] == "none: the next push deploys"
    assert status["last failure"] == "none"
    assert status["messages"] == "all delivered"
    for verb in ("history", "images"):
        assert "deployer push" in deployer(verb).stdout
    assert "nothing to measure" in lines(deployer("stats"))["change failure rate"]
    nothing = deployer("show")
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "there is no deployment yet: deployer push" in nothing.stderr


def test_what_cannot_be_read_of_lambda_keeps_nothing_else_from_being_told(
    books: Books, deployer: Run
) -> None:
    status = told(deployer("status", "--json"))

    assert status["live"] is None
    assert "asking the dashboard's function" in status["trouble"]
    assert lines(deployer("status"))["live"].startswith("could not be read: asking the dashboard's function")


def test_status_tells_what_is_under_way_waits_is_held_failed_and_was_not_delivered(
    books: Books, deployer: Run
) -> None:
    failed = ended(books, "bad", Phase.REVERTED, because="GET /health answered 503")
    [notice] = books.ledger.look().notices
    books.ledger.unsent(notice, datetime.now(UTC) + timedelta(minutes=30))
    going = books.update(books.ask(image("going").digest))
    waiting = books.ask(image("waiting").digest)
    books.ledger.hold(asked("hold", hold=Hold("ana", "the database is moved", NOW, "hold-7")))

    status = lines(deployer("status"))
    as_json = told(deployer("status", "--json"))

    assert going.id in status["under way"]
    assert "UPDATING" in status["under way"]
    assert waiting.id in status["waiting"]
    assert re.match(r"held by ana since .*: the database is moved \(hold hold-7\)", status["hold"])
    assert "was REVERTED" in status["last failure"]
    assert "GET /health answered 503" in status["last failure"]
    assert status["messages"].startswith(f"of {failed.id}: not delivered yet after 1 try; tried again in")
    assert {each["deployment"] for each in as_json["open"]} == {going.id, waiting.id}
    assert as_json["hold"]["id"] == "hold-7"
    assert as_json["last_failure"]["deployment"] == failed.id
    assert as_json["undelivered"][0]["tries"] == 1


# -- history


def test_history_is_newest_first_and_can_be_narrowed(books: Books, deployer: Run) -> None:
    old = ended(books, "old", Phase.REVERTED, ago=timedelta(days=9))
    good = ended(books, "good", Phase.SUCCEEDED, ago=timedelta(hours=3))
    bad = ended(books, "bad", Phase.REVERTED, ago=timedelta(hours=2))

    def listed(*words: str) -> list[str]:
        return [each["deployment"] for each in told(deployer("history", "--json", *words))["deployments"]]

    assert listed() == [bad.id, good.id, old.id]
    assert listed("--limit", "2") == [bad.id, good.id]
    assert listed("--since", "7d") == [bad.id, good.id]
    assert listed("--outcome", "reverted") == [bad.id, old.id]
    assert listed("--outcome", "reverted", "--limit", "1") == [bad.id]
    assert listed("--outcome", "stuck", "--outcome", "succeeded") == [good.id]
    assert deployer("history", "--outcome", "stuck").stdout == "no deployment that is like this\n"


def test_history_is_a_line_for_each_in_columns(books: Books, deployer: Run) -> None:
    ended(books, "good", Phase.SUCCEEDED, because="live is version 2", origin=Origin("git-1"))

    head, row = deployer("history").stdout.splitlines()

    assert re.split(r"  +", head) == ["asked for (UTC)", "id", "outcome", "revision", "digest", "took", "why"]
    assert re.split(r"  +", row)[2:4] == ["SUCCEEDED", "git-1"]
    assert row.index("SUCCEEDED") == head.index("outcome")


@pytest.mark.parametrize(
    "words",
    [("--limit", "0"), ("--limit", "501"), ("--since", "yesterday"), ("--outcome", "well")],
    ids=" ".join,
)
def test_a_history_that_cannot_be_asked_for_so_is_wrong_usage(
    books: Books, deployer: Run, words: tuple[str, ...]
) -> None:
    assert deployer("history", *words).returncode == 2


# -- show


def test_show_tells_the_whole_story(books: Books, deployer: Run) -> None:
    failing = CheckResult("GET /health", False, "200", "503 after 2.1 s", 2.1, 2)
    shown = ended(
        books,
        "bad",
        Phase.REVERTED,
        because="users are on version 1",
        source=Source.DEPLOY,
        by="ana",
        why="a hotfix",
        passes="hold-1",
        previous=Version("1", image("before")),
        version="2",
        origin=Origin("git-2", "https://github.com/owner/name", NOW, "ana"),
        before=Origin("git-1"),
        warnings=("mind the gap",),
        verification=Verdict((failing,), "first line\nlast line"),
        restoration=Verdict((replace(failing, passed=True, actual="200 after 0.1 s"),)),
    )

    done = deployer("show", shown.id)
    by_label = lines(done)

    assert by_label["outcome"] == "REVERTED"
    assert by_label["before it"].startswith("version 1, git-1 (sha256:")
    assert by_label["comes from"].startswith("https://github.com/owner/name, committed ")
    assert by_label["comes from"].endswith("built by ana")
    assert by_label["asked for"].endswith("by ana: a hotfix")
    assert by_label["warning"] == "mind the gap"
    assert by_label["hold"] == "it was allowed to pass the hold hold-1"
    assert by_label["message"] == "not delivered yet; the next sweep tries"
    assert re.search(r"GET /health +NO +2 +2\.1 s +200 +503 after 2\.1 s", done.stdout)
    assert "    first line\n    last line\n" in done.stdout
    assert re.search(r" 1\.0 s +UPDATING", done.stdout)


def test_the_beginning_of_an_id_is_enough_if_it_is_unique(books: Books, deployer: Run) -> None:
    first = ended(books, "first", Phase.SUCCEEDED, ago=timedelta(days=400))
    second = ended(books, "second", Phase.SUCCEEDED, ago=timedelta(hours=2))
    third = ended(books, "third", Phase.SUCCEEDED, ago=timedelta(hours=2))

    assert told(deployer("show", first.id[:8], "--json"))["deployment"] == first.id
    assert told(deployer("show", second.id, "--json"))["deployment"] == second.id
    several, none = deployer("show", second.id[:10]), deployer("show", "1999")
    assert (several.returncode, none.returncode) == (2, 2)
    assert second.id in several.stderr
    assert third.id in several.stderr
    assert "no deployment's id begins with '1999'" in none.stderr


def test_without_an_id_the_newest_is_shown_and_it_may_be_under_way(books: Books, deployer: Run) -> None:
    ended(books, "first", Phase.SUCCEEDED)
    going = books.update(books.ask(image("going").digest))

    by_label = lines(deployer("show"))

    assert by_label["deployment"] == going.id
    assert by_label["phase"] == "UPDATING"
    assert by_label["message"] == "comes when it has ended"


def test_a_hold_that_a_deployment_set_is_shown_with_it_until_it_is_lifted(
    books: Books, deployer: Run
) -> None:
    shown = ended(books, "third", Phase.REVERTED, trips="breaker-3")
    hold = Hold("the circuit breaker", "3 in a row", NOW, "breaker-3")
    books.ledger.hold(asked("hold", hold=hold))

    assert lines(deployer("show", shown.id))["hold"] == "it holds deployments: 3 in a row (hold breaker-3)"
    assert told(deployer("show", "--json"))["hold_in_force"]["id"] == "breaker-3"
    books.ledger.resume(asked("resume", "request-2", hold=hold))
    assert lines(deployer("show"))["hold"] == "it held deployments (breaker-3), and that was lifted"


# -- images


def test_images_are_marked(sandbox: Sandbox, books: Books, deployer: Run) -> None:
    ecr = sandbox.client("ecr")
    begun = placeholder.image("arm64")
    placeholder.push(begun, ecr, books.repository)
    kept: dict[str, Any] = {"repositoryName": books.repository, "imageManifest": begun.manifest.decode()}
    ecr.put_image(**kept, imageManifestMediaType=placeholder.MANIFEST_TYPE, imageTag="live")
    with books._lease() as lease:
        bad = Quarantine(begun.digest, "a deployment", "it failed")
        request = books.ask(begun.digest)
        books.ledger.end(lease, Conclusion(replace(request, phase=Phase.REVERTED), quarantine=bad))

    done = deployer("images", "--json")
    [listed] = told(done)["images"]

    assert listed["digest"] == begun.digest
    assert listed["marks"] == ["live", "quarantined", "placeholder"]
    assert listed["tags"] == ["live", "placeholder"]
    assert listed["quarantined_because"] == "it failed"
    assert "what is live is taken from the tag live" in done.stderr
    assert "live, quarantined, placeholder  live placeholder" in deployer("images").stdout


# -- stats


def test_stats_measure_the_time_that_is_asked_for(books: Books, deployer: Run) -> None:
    commit = Origin(committed_at=NOW - timedelta(hours=4))
    ended(books, "good", Phase.SUCCEEDED, ago=timedelta(hours=3), origin=commit)
    ended(books, "bad", Phase.REVERTED, ago=timedelta(hours=2))
    ended(books, "old", Phase.REVERTED, ago=timedelta(days=40))

    month, ever = told(deployer("stats", "--json")), told(deployer("stats", "--json", "--since", "90d"))

    assert (month["deployments"], month["failed"], month["failure_rate"]) == (2, 1, 0.5)
    assert (month["lead_seconds"], month["restore_seconds"], month["cut"]) == (3604, 26, False)
    assert (ever["deployments"], ever["failed"]) == (3, 2)
    by_label = lines(deployer("stats"))
    assert by_label["change failure rate"] == "50% (1 of 2)"
    assert by_label["lead time, commit to live"] == "median 60 min, nine in ten within 60 min (of 1)"


def test_stats_of_no_time_are_wrong_usage(books: Books, deployer: Run) -> None:
    done = deployer("stats", "--since", "1h", "--until", "2h")

    assert done.returncode == 2
    assert "--since must be before --until" in done.stderr


# -- what they write


def test_what_others_wrote_moves_no_cursor_and_breaks_no_line(books: Books, deployer: Run) -> None:
    ended(
        books,
        "evil",
        Phase.REVERTED,
        because=EVIL,
        by=EVIL,
        why=EVIL,
        origin=Origin(EVIL, EVIL, NOW, EVIL),
        warnings=(EVIL,),
        verification=Verdict((CheckResult(EVIL, False, EVIL, EVIL, 1.0, 1),), f"{EVIL}\r\x07"),
    )
    books.ledger.hold(asked("hold", hold=Hold(EVIL, EVIL, NOW, EVIL)))

    for verb in VERBS:
        out = deployer(verb).stdout
        assert out
        assert all(character.isprintable() or character == "\n" for character in out), verb


@pytest.mark.parametrize("columns", ["20", "80", "200"])
@pytest.mark.parametrize("verb", ["status", "history", "show"])
def test_a_terminal_gets_tables_that_fit_and_in_colour_unless_it_wants_none(
    books: Books, environment: dict[str, str], verb: str, columns: str
) -> None:
    ended(books, "wide", Phase.REVERTED, because="나쁜 배포 " * 40, origin=Origin("修正" * 10))
    environment |= {"COLUMNS": columns, "TERM": "xterm-256color"}

    coloured = on_a_terminal(environment, verb)
    plain = on_a_terminal({**environment, "NO_COLOR": "1"}, verb)

    assert "\x1b[" in coloured
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", plain)
    from rich.cells import cell_len  # noqa: PLC0415 - as the command does

    bare = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert max(cell_len(each) for each in bare.splitlines()) <= int(columns)


def on_a_terminal(environment: dict[str, str], verb: str) -> str:
    """What the verb writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "deployer", verb],
        env=environment,
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        said = b""
        try:
            while chunk := os.read(ours, 65536):
                said += chunk
        except OSError:  # Linux's way to say that nobody has the terminal open any more
            pass
        os.close(ours)
        assert process.stderr
        assert process.wait(60) == 0, process.stderr.read()
    return said.decode()
