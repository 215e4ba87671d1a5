"""`python -m tests.fuzz`: atheris, which is guided by coverage, at every target for a while.

    python -m tests.fuzz --seconds 60              60 seconds in all
    python -m tests.fuzz --seconds 20 answer item  two of the targets
    python -m tests.fuzz --seconds 900 --draw      and write the figures into docs/testing.md

Prints a line for each target, and the input of a crash as a literal for a regression test. Exits with 1 if
anything crashed, hung, or took too much memory. libFuzzer ends its process by `_exit`, so each target has one
of its own.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from docs.drawn import redrawn

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "testing.md"
# One input may take so long, and the process so much memory. The deployer has 512 MB.
_INPUT_SECONDS, _PROCESS_MB = 10, 1024
_LONGEST = 4096
_START_SECONDS = 120  # to import everything, on a busy machine


@dataclass(frozen=True)
class Tried:
    """What came of a target."""

    target: str
    inputs: int
    corpus: int  # seeds, and inputs that reached something new
    seconds: int
    crash: bytes | None = None
    error: str = ""  # the exception and its traceback

    def __str__(self) -> str:
        crashes = "1 crash" if self.crash is not None else "0 crashes"
        tried = f"{self.target:<16} {self.inputs:>9,} inputs  {self.corpus:>5} in the corpus"
        return f"{tried}  {crashes}  {self.seconds} s"


def fuzz(target: str, seconds: int) -> Tried:
    """Have a process try a target for so many seconds."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        child = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--child", target, "--seconds", str(seconds), "--in", name],
            cwd=ROOT,
            capture_output=True,
            errors="replace",
            timeout=seconds + _INPUT_SECONDS + _START_SECONDS,
            check=False,
        )
        corpus = len(list((folder / "corpus").iterdir()))
        return result(target, child, corpus, found(folder))


def found(folder: Path) -> bytes | None:
    """The input that libFuzzer kept, because it crashed, hung (timeout-...) or took too much (oom-...)."""
    kept = [path for kind in ("crash", "timeout", "oom") for path in sorted(folder.glob(f"{kind}-*"))]
    return kept[0].read_bytes() if kept else None


def result(target: str, child: subprocess.CompletedProcess[str], corpus: int, crash: bytes | None) -> Tried:
    """What a process says at its end. Raises RuntimeError if it ended without a figure or a crash."""
    inputs, seconds = (
        int(match[1]) if (match := re.search(pattern, child.stderr)) else 0
        for pattern in (r"stat::number_of_executed_units: (\d+)", r"runs in (\d+) second")
    )
    if crash is None and (child.returncode or not inputs):
        said = f"{child.stdout}\n{child.stderr}"[-3000:]
        raise RuntimeError(f"{target} ended with {child.returncode} and tried {inputs} inputs:\n{said}")
    return Tried(target, inputs, corpus, seconds, crash, child.stdout.strip()[-4000:])


def told(tried: Tried) -> str:
    """A crash, as somebody wants it who mends it."""
    return (
        f"{tried.error or 'It took too long, or too much memory.'}\n\n"
        f"{tried.target} broke at this input. For a regression test in tests/fuzz:\n\n"
        f"    @example({tried.crash!r})\n"
    )


def table(all_tried: list[Tried]) -> str:
    """The figures, as Markdown."""
    lines = ["", "| target | inputs tried | corpus | crashes | seconds |", "|---|---:|---:|---:|---:|"]
    lines += [
        f"| `{each.target}` | {each.inputs:,} | {each.corpus} | {each.crash is not None:d} | {each.seconds} |"
        for each in all_tried
    ]
    return "\n".join([*lines, "", ""])


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="in all [60]")
    parser.add_argument("--draw", action="store_true", help="write the figures into docs/testing.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", help="[all]")
    given = parser.parse_args()
    if find_spec("atheris") is None:
        print(  # noqa: T201 - it is a command
            "fuzz: SKIPPED: there is no atheris here (it has wheels for Linux on x86-64, up to Python 3.13). "
            "`make test` gives the same targets what hypothesis makes."
        )
        return 0
    if given.child:
        _try(given.child, given.seconds, given.folder)
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - a child imports it when atheris looks on

    if unknown := set(given.targets) - set(TARGETS):
        parser.error(f"no target is named {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    targets = given.targets or list(TARGETS)
    all_tried = []
    for target in targets:
        tried = fuzz(target, max(1, given.seconds // len(targets)))
        print(tried, flush=True)  # noqa: T201
        if tried.crash is not None:
            print(told(tried), flush=True)  # noqa: T201
        all_tried.append(tried)
    if given.draw:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(redrawn(page, "fuzzing", table(all_tried), by="make fuzz DRAW=1"), encoding="utf-8")
    return int(any(each.crash is not None for each in all_tried))


def _try(name: str, seconds: int, folder: Path) -> None:
    """In a process of its own: does not come back."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: PLC0415 - not everywhere

    with atheris.instrument_imports(include=["deployer"]):
        from tests.fuzz import targets  # noqa: PLC0415 - has to be imported while atheris looks on
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(targets.SEEDS.get(name, [{}])):
        (corpus / f"seed-{number}").write_bytes(
            seed if isinstance(seed, bytes) else json.dumps(seed).encode()
        )
        (corpus / f"recipe-{number}").write_bytes(bytes([0, number]))
    options = {
        "max_total_time": seconds,
        "max_len": _LONGEST,
        "timeout": _INPUT_SECONDS,
        "rss_limit_mb": _PROCESS_MB,
        "print_final_stats": 1,
        "artifact_prefix": f"{folder}/",
    }
    run: Callable[[bytes], None] = targets.TARGETS[name]
    atheris.Setup([sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(corpus)], run)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
