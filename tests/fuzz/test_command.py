"""`python -m tests.fuzz`: what it says of a crash, and where there is no atheris."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.__main__ import ROOT, found, result, table, told
from tests.fuzz.targets import TARGETS


def ended(status: int, out: str, err: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], status, out, err)


DONE = ended(0, "", "Done 7 runs in 3 second(s)\nstat::number_of_executed_units: 7\n")
BROKEN = ended(
    77, " === Uncaught Python exception: ===\nBroken: not printable\n", "==12== ERROR: libFuzzer\n"
)


def test_every_target_is_tried_by_hypothesis_too() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))

    assert [name for name in TARGETS if f"targets.{name}(data)" not in tests] == []


def test_what_was_tried_is_counted() -> None:
    tried = result("item", DONE, 5, None)

    assert " ".join(str(tried).split()) == "item 7 inputs 5 in the corpus 0 crashes 3 s"
    assert "| `item` | 7 | 5 | 0 | 3 |" in table([tried])


@pytest.mark.parametrize("kind", ["crash", "timeout", "oom"])
def test_the_input_of_a_crash_is_told_as_a_literal(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"{kind}-1234").write_bytes(b"\x00\x01'\"\xff")

    tried = result("item", BROKEN, 5, found(tmp_path))

    assert "1 crash " in str(tried)
    words = told(tried)
    assert "Broken: not printable" in words
    literal = words.partition("@example(")[2].rpartition(")")[0]
    assert ast.literal_eval(literal) == b"\x00\x01'\"\xff"


def test_an_end_without_a_word_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"item ended with 1 and tried 0 inputs:\n\nNo module"):
        result("item", ended(1, "", "No module"), 0, found(tmp_path))


def test_without_atheris_it_says_so_and_fails_nobody() -> None:
    line = (
        "import runpy, sys; sys.modules['atheris'] = None; "
        "runpy.run_module('tests.fuzz', run_name='__main__')"
    )

    done = subprocess.run([sys.executable, "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "fuzz: SKIPPED: there is no atheris here" in done.stdout


@pytest.mark.skipif(find_spec("atheris") is None, reason="no atheris here")
def test_it_tries_a_target_in_a_process_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--seconds", "1", "body"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("body ")
    assert "0 crashes" in done.stdout
