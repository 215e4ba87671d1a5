"""One process's share of the trials. Its own module, because a process that is spawned imports it by name."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from sandbox.door.watching import FunctionCall
from sandbox.ending import end_as_ctrl_c_does
from tests.kills.naming import name
from tests.kills.points import at_each_call, at_every_attempt
from tests.kills.tables import Result
from tests.kills.trial import Kind, trials


def share(number: int, of: int) -> tuple[list[Result], Mapping[str, Sequence[FunctionCall]]]:
    """In a process with a sandbox of its own, every `of`-th trial; and what undisturbed work calls."""
    end_as_ctrl_c_does()
    with trials("kills") as tried:
        made = {f"a release, {kind}": tried.calls(kind) for kind in Kind}
        made["a sweep that finds nothing to do"] = tried.sweep()
        names = {kind: [name(call) for call in made[f"a release, {kind}"]] for kind in Kind}
        points = [*at_each_call(names), *at_every_attempt(names)]
        results = []
        for point in points[number::of]:
            result = Result(point, tried.run(point.kind, *point.kills))
            results.append(result)
            if result.outcome.wrong:
                say(f"WRONG {point}: {'; '.join(result.outcome.wrong)}")
            elif len(results) % 20 == 0:
                say(f"process {number + 1} of {of}: {len(results)} of {len(points[number::of])} trials")
    return results, made


def say(line: str) -> None:
    """Tell who waits at the terminal."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
