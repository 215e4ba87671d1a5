"""200 pushes of the release tag in a few seconds, and where each of them ended: `make burst`.

    python -m tests.kills.burst [PUSHES]

Writes the figure into docs/testing.md. Exit status 1: a push was lost, or something is left open.
"""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from sandbox.ending import end_as_ctrl_c_does
from sandbox.server import Sandbox
from sandbox.waiting import until
from tests.kills import tables
from tests.kills.trial import CHECKS, FAST
from tests.whole.team import Team

PUSHES = 200


def main(words: list[str]) -> int:
    """The exit status."""
    end_as_ctrl_c_does()
    pushes = int(words[0]) if words else PUSHES
    with Sandbox(settings=FAST) as sandbox:
        team = Team(sandbox, "burst", Checks=CHECKS)
        # Whatever is slow is done before, so that the pushes come in a few seconds.
        with ThreadPoolExecutor(8) as pool:
            built = [team.build(f"burst {number}") for number in range(pushes)]
            list(pool.map(lambda each: team.upload(each[1], f"burst-{each[0]}"), enumerate(built)))
        digests = [team.upload(each) for each in built]
        wanted = set(digests)

        def accounted() -> bool:
            ended = {each.image.digest for each in team.ledger.history(10 * pushes)}
            return not team.ledger.look().open and wanted <= ended

        until(accounted, "every push to end", 240)
        ends = Counter(each.phase for each in team.ledger.history(10 * pushes) if each.image.digest in wanted)
        right = team.where() == (digests[-1], digests[-1])
        untold = len(team.ledger.look().notices)
    told = ", ".join(f"{number} {phase}" for phase, number in sorted(ends.items()))
    live = "the last one" if right else "**another one**"
    line = f"{pushes} pushes: {told}. Live is {live}; {untold} not told yet.\n"
    tables.write("burst", line, by="make burst")
    sys.stdout.write(line)
    return 0 if right and not untold else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
