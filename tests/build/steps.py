"""Stands for the workspace's `.venv/bin/python`: the tests pass, and the release ends well.

    python -m tests.build.steps STATE -m pytest ...          writes its report
    python -m tests.build.steps STATE -m deployer checks ... really judges the container at --url
    python -m tests.build.steps STATE -m deployer wait ...   says that the digest is live

STATE/failures.json, which a test writes, says what goes otherwise, as for the stand-in Docker: `pytest`
and `superseded` with a message, and `interrupt`, which ends the script that asks for checks, as when a build
is stopped.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

from deployer.ports import Answer
from deployer.smoke import parse_checks, run_checks
from tests.build.container import INVOCATIONS
from tests.build.docker import failure


class Clock:
    """There is time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def remaining(self) -> float:
        return 900.0


def pytest(state: Path, given: argparse.Namespace) -> None:
    given.junitxml.parent.mkdir(exist_ok=True)
    given.junitxml.write_text("<testsuites/>")
    if wanted := failure(state, "pytest"):
        sys.exit(wanted)


def checks(state: Path, given: argparse.Namespace) -> None:
    if failure(state, "interrupt"):
        os.kill(os.getppid(), signal.SIGTERM)

    def invoke(payload: bytes) -> Answer:
        direct = build_opener(ProxyHandler({}))
        with direct.open(Request(given.url + INVOCATIONS, data=payload)) as answer:
            return Answer(answer.read(), None, "", "$LATEST")

    verdict = run_checks(parse_checks(os.environ["CHECKS"]), invoke, Clock())
    for result in verdict.results:
        sys.stdout.write(f"{result.name}: expected {result.expected}, got {result.actual}\n")
    sys.exit(0 if verdict.healthy else 1)


def wait(state: Path, given: argparse.Namespace) -> None:
    if datetime.fromisoformat(given.since).tzinfo is None or not given.digest.startswith("sha256:"):
        sys.exit("a time with a zone, and a digest")
    if wanted := failure(state, "superseded"):
        sys.stderr.write(f"{wanted}\n")
        sys.exit(3)
    sys.stdout.write(f"{given.digest} is live\n")


def main(state: Path, words: list[str]) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-m", action="store_true", required=True)
    modules = parser.add_subparsers(required=True)
    tests = modules.add_parser("pytest", allow_abbrev=False)
    tests.set_defaults(does=pytest)
    tests.add_argument("folder", choices=["tests/service"])
    tests.add_argument("--junitxml", type=Path, required=True)
    verbs = modules.add_parser("deployer").add_subparsers(required=True)
    checking = verbs.add_parser("checks", allow_abbrev=False)
    checking.set_defaults(does=checks)
    checking.add_argument("--url", required=True)
    waiting = verbs.add_parser("wait", allow_abbrev=False)
    waiting.set_defaults(does=wait)
    waiting.add_argument("--digest", required=True)
    waiting.add_argument("--since", required=True)
    given = parser.parse_args(words)
    given.does(state, given)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
