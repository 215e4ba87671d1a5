"""Kill the deployer at every call of a deployment, and see each come right: `make kills`.

    python -m tests.kills [--processes N]

Writes the tables into docs/testing.md. Exit status 1: something was not as it must be afterwards.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

from sandbox.ending import end_as_ctrl_c_does
from tests.kills import tables
from tests.kills.share import share


def main() -> int:
    """The exit status."""
    end_as_ctrl_c_does()
    options = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__.partition("\n")[0])
    options.add_argument("--processes", type=int, default=os.cpu_count() or 2, help="how many at once")
    processes = max(1, options.parse_args().processes)
    # A sandbox each, and moto has one account in a process.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        shares = list(pool.map(share, range(processes), [processes] * processes))
    results = [result for some, _ in shares for result in some]
    drawn, made = tables.kills(results), tables.calls(shares[0][1])
    tables.write("kills", drawn, by="make kills")
    tables.write("calls", made, by="make kills")
    sys.stdout.write(f"{drawn}\n{made}")
    return 1 if any(result.outcome.wrong for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
