"""Run many schedules: `make simulate SCHEDULES=10000 SEED=1`.

    python -m tests.simulation [--schedules N] [--seed S] [--write]

Schedule i of seed S is the one that the integer S * 1,000,000 + i stands for, so that a failure is named by
one number: `python -m tests.simulation --schedule NUMBER` tells its story. Exit status 1: something did not
hold. `--write` puts the figures into docs/testing.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom

from deployer.model import Phase
from deployer.rollout import ENDED
from docs.drawn import redrawn
from tests.simulation.invariants import Violation
from tests.simulation.plan import draw
from tests.simulation.shrink import explained, story
from tests.simulation.world import run

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
WRITES = "python -m tests.simulation --seed 1 --write"
SEEDS = 1_000_000  # and so many schedules each


def numbers(seed: int, schedules: int) -> range:
    """The schedules of a seed."""
    return range(seed * SEEDS, seed * SEEDS + schedules)


def table(counts: Counter[str], schedules: int, violations: int) -> str:
    """The figures, one a line."""
    rows = [
        ("schedules", schedules),
        ("calls of the deployer", counts["calls"]),
        ("invariants checked", counts["checks"]),
        ("faults injected", counts["faults"]),
        ("deployers killed", counts["kills"]),
        ("commands", counts["commands"]),
        ("changes of the ledger by hand", counts["tampering"]),
        ("writes in flight when the lease was lost", counts["in flight"]),
        *((f"ended {phase}", counts[f"ended {phase}"]) for phase in Phase if phase in ENDED),
        ("violations", violations),
    ]
    return "\n".join(f"{what:<42} {number:>10,}" for what, number in rows)


def simulate(seed: int, schedules: int, *, write: bool = False) -> int:
    """Run them, print the figures, and explain the first that fails. The exit status."""
    began, counts, done = time.process_time(), Counter[str](), 0
    violations: list[tuple[int, Violation]] = []
    try:
        for number in numbers(seed, schedules):
            outcome = run(draw(number))
            counts.update(outcome.counts)
            done += 1
            if outcome.violation:
                violations.append((number, outcome.violation))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; so far:\n")
    figures = table(counts, done, len(violations))
    figures += f"\n{'seconds':<42} {time.process_time() - began:>10.1f}\n{'seed':<42} {seed:>10}\n"
    sys.stdout.write(figures)
    if write:
        page = redrawn(PAGE.read_text(encoding="utf-8"), "simulation", f"```text\n{figures}```\n", by=WRITES)
        PAGE.write_text(page, encoding="utf-8")
    if violations:
        sys.stdout.write(f"\n{explained(*violations[0])}\n")
        also = [str(number) for number, _ in violations[1:]]
        if also:
            sys.stdout.write(f"Something did not hold in {len(also)} more: {', '.join(also[:20])}\n")
    return 1 if violations else 0


def tell(number: int) -> int:
    """Print one schedule's story, shrunk if it fails. The exit status."""
    violation = run(draw(number)).violation
    sys.stdout.write((explained(number, violation) if violation else story(draw(number))) + "\n")
    return 1 if violation else 0


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {least} to {most}, not {text[:40]!r}"
            )
        return number

    return parse


def main(words: list[str]) -> int:
    """The command. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="The deployer against crashes, races, late and lost events: many seeded schedules.",
    )
    parser.add_argument(
        "--schedules", type=_whole(1, SEEDS), default=10_000, help="how many (10000)", metavar="N"
    )
    parser.add_argument(
        "--seed", type=_whole(0, 10**9), help="which (a random one, which is printed)", metavar="S"
    )
    parser.add_argument(
        "--schedule", type=_whole(0, 10**16), help="tell the story of this one instead", metavar="NUMBER"
    )
    parser.add_argument("--write", action="store_true", help="put the figures into docs/testing.md, too")
    given = parser.parse_args(words)
    if given.schedule is not None:
        return tell(given.schedule)
    seed = SystemRandom().randrange(10**9) if given.seed is None else given.seed
    if given.seed is None:
        # First, so that it is known whatever happens.
        sys.stdout.write(f"seed {seed}\n")
    return simulate(seed, given.schedules, write=given.write)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
