"""Would the simulation notice? Bugs planted one at a time, and how soon each is caught: `make planted`.

    python -m tests.simulation.planted [--write]    all of them; --write: into docs/testing.md, too
    python -m tests.simulation.planted NAME         one of them: the story that catches it

A bug is a change of source text: old text that must occur exactly once, and what stands there instead. The
module is changed as it is imported; no file is.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

from docs.drawn import redrawn

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "testing.md"
WRITES = "python -m tests.simulation.planted --write"
MOST_SCHEDULES = 10_000

CONTROLLER, ROLLOUT, WORLD = "deployer.controller", "deployer.rollout", "tests.fakes"


class Misplaced(ValueError):
    """The old text of a planted bug is not in the source exactly once."""


@dataclass(frozen=True)
class Edit:
    """Text of a module that is replaced."""

    module: str
    old: str
    new: str

    def applied(self, source: str) -> str:
        """The changed source. Raises `Misplaced`."""
        found = source.count(self.old)
        if found != 1:
            raise Misplaced(
                f"{self.module} has this text {found} times, and a planted bug needs it once; "
                f"look at tests/simulation/planted.py:\n{self.old}"
            )
        return source.replace(self.old, self.new)


@dataclass(frozen=True)
class Bug:
    """A mistake that somebody could make."""

    name: str
    edits: tuple[Edit, ...]


def _bug(name: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Edit(module, old, new),))


BUGS = (
    _bug(
        "a digest is settled when it is requested, not when it has ended",
        WORLD,
        "        self.book = replace(self.book, open=(*self.book.open, deployment))\n        return True",
        "        self.book = replace(\n"
        "            self.book, open=(*self.book.open, deployment), settled=deployment.image.digest\n"
        "        )\n        return True",
    ),
    _bug(
        "what was written down as intended counts as done",
        ROLLOUT,
        "    if view.live.number == version:\n        through_live",
        "    if view.deployment.timeline:\n        through_live",
    ),
    _bug("the lease has no fence", WORLD, "if lease.token != self.token:", "if False:"),
    _bug(
        "a lease can be taken before it expires",
        WORLD,
        "if held and held.holder != holder and",
        "if False and",
    ),
    _bug(
        "a lease is given back whoever has it", WORLD, "if self.held_lease == lease:", "if self.held_lease:"
    ),
    _bug(
        "a write that is tried again is not fenced again",
        CONTROLLER,
        "if after != deployment or isinstance(step.action, UpdateCode | Publish | PointLive):",
        "if after != deployment:",
    ),
    _bug(
        "live is moved without its RevisionId",
        WORLD,
        "if revision != str(self.alias_revision):",
        "if False:",
    ),
    _bug(
        "a rollback goes to the version number minus one",
        ROLLOUT,
        "_move_live(view, previous.number)",
        "_move_live(view, str(int(live.number) - 1))",
    ),
    _bug(
        "an unhealthy verdict does not stop it",
        ROLLOUT,
        "    if not verdict.healthy:\n        return _revert(str(verdict), blames=True)\n    if view.live",
        "    if view.live",
    ),
    Bug(
        "the checks ask $LATEST instead of the version",
        (
            Edit(
                CONTROLLER,
                '"live" if checks.through_live else checks.version, payload',
                '"live" if checks.through_live else "$LATEST", payload',
            ),
            Edit(CONTROLLER, "if answer.executed_version != checks.version:", "if False:"),
        ),
    ),
    _bug(
        "a deployment takes over the verdict of the one before it",
        WORLD,
        "        if command.wish and not self.request(command.wish):",
        "        wish = command.wish\n"
        "        ended = (d.verification for d in self.ended.values() if wish and d.image == wish.image)\n"
        "        if wish and not self.request(replace(wish, verification=next(ended, None))):",
    ),
    _bug(
        "preflight does not look at the quarantine",
        ROLLOUT,
        "if view.quarantine and source is not Source.RETRY:",
        "if False:",
    ),
    _bug(
        "what failed is not put into quarantine",
        ROLLOUT,
        "quarantine=_quarantine(deployment),",
        "quarantine=None,",
    ),
    _bug(
        "an image that failed gets away when something else turns its deployment round",
        ROLLOUT,
        "step.blames or bool(_failed_checks(deployment)),",
        "step.blames,",
    ),
    _bug(
        "who is turned away does not say that $LATEST was left elsewhere",
        ROLLOUT,
        "return Step(Phase.REJECTED, because, warning=warning)",
        "return Step(Phase.REJECTED, because)",
    ),
    _bug(
        "a deployment begins without looking at the hold once more",
        WORLD,
        "if begins and stopped:",
        "if False:",
    ),
    _bug(
        "what was only held counts as settled",
        ROLLOUT,
        "        return False\n    return not (held and deployment.phase is Phase.REJECTED)",
        "        return False\n    return True",
    ),
    _bug(
        "a revert leaves $LATEST where it is",
        ROLLOUT,
        "    return _putting_latest_back(view, limits, late=late)\n",
        "    return _restored(view, late=late)\n",
    ),
    _bug(
        "an answer that got lost counts as a failure",
        CONTROLLER,
        "        except Refused as error:\n            self.refused = self._ref",
        "        except (Refused, LookAgain) as error:\n            self.refused = self._ref",
    ),
    _bug(
        "an end leaves no notice",
        WORLD,
        "if n.deployment.id != deployment.id), Notice(deployment)),",
        "if n.deployment.id != deployment.id),),",
    ),
    _bug(
        "a message that cannot be delivered fails the deployer",
        CONTROLLER,
        "        except Exception as error:  # noqa: BLE001 - whatever goes wrong with a message",
        "        except (LookAgain, Refused) as error:  #",
    ),
    _bug(
        "an alarm that nobody could be told of counts as told",
        CONTROLLER,
        "        self.ports.notifier.send(message)\n        try:",
        "        with suppress(Exception):\n            self.ports.notifier.send(message)\n        try:",
    ),
    _bug(
        "a deployment that somebody deleted by hand is written down again",
        WORLD,
        'raise LookAgain(f"{deployment.id} is not open any more: it ended, or was never requested")',
        "self.book = replace(self.book, open=(*self.book.open, deployment))",
    ),
    _bug(
        "a channel that fails keeps the end from the others",
        CONTROLLER,
        "                    done.add(channel)\n            else:",
        "                    done.add(channel)\n                break\n            else:",
    ),
    _bug(
        "what was told by mail counts as told everywhere",
        CONTROLLER,
        "        if not after.owed:\n",
        "        if Channel.MAIL in after.done:\n",
    ),
    _bug(
        "where it was told already is not remembered",
        WORLD,
        "            done = known.done | notice.done\n",
        "            done = known.done\n",
    ),
    _bug(
        "a command that comes again is followed again",
        WORLD,
        "if command.asked.request in self.commands:",
        "if False:",
    ),
    _bug(
        "the third revert in a row holds nothing",
        ROLLOUT,
        "    if 0 < limits.reverts <= reverts and not held and reverts > book.reverts:",
        "    if False:",
    ),
    _bug(
        "an abort is noted and not looked at",
        ROLLOUT,
        "    if view.abort and view.deployment.phase in _CAN_BE_ABORTED:",
        "    if False:",
    ),
    _bug(
        "a rollback leaves deployments free to undo it",
        WORLD,
        "self.book = replace(self.book, hold=self.book.hold or command.hold)",
        "self.book = replace(self.book, hold=self.book.hold)",
    ),
    Bug(
        "a rollback goes to its version unchecked",
        (
            Edit(
                ROLLOUT,
                '({live.image}) to {version.number}",\n        RunChecks(version.number),',
                '({live.image}) to {version.number}",',
            ),
            Edit(
                ROLLOUT,
                "    if verdict is None:\n        if _checks_are_hopeless(view, limits):\n"
                '            return _revert(_no_verdict(f"the checks of',
                "    if verdict is None:\n        if view.deployment.source is Source.ROLLBACK:\n"
                '            return Step(Phase.PROMOTING, "it was good", _move_live(view, version))\n'
                "        if _checks_are_hopeless(view, limits):\n"
                '            return _revert(_no_verdict(f"the checks of',
            ),
        ),
    ),
    _bug(
        "an older sweep covers a newer push",
        ROLLOUT,
        "        and other.requested_at >= push.requested_at\n",
        "",
    ),
    _bug(
        "the newest event wins, whatever the tag points at",
        ROLLOUT,
        "if request not in changed and request.image.digest == tagged]",
        "if request not in changed]",
    ),
)


class _Planter(importlib.abc.MetaPathFinder):
    """Imports the modules of a bug with its edits in them."""

    def __init__(self, bug: Bug) -> None:
        self.bug = bug

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        edits = [edit for edit in self.bug.edits if edit.module == fullname]
        if not edits:
            return None
        file = ROOT.joinpath(*fullname.split(".")).with_suffix(".py")
        return importlib.util.spec_from_file_location(
            fullname, file, loader=_Edited(fullname, str(file), edits)
        )


class _Edited(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, edits: list[Edit]) -> None:
        super().__init__(name, path)
        self.edits = edits

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text(encoding="utf-8")
        for edit in self.edits:
            source = edit.applied(source)
        return compile(source, self.path, "exec", dont_inherit=True)


@dataclass(frozen=True)
class Caught:
    """How soon a bug was caught, and by what. `violation` is None if it was not."""

    schedules: int
    violation: str | None


def hunt(bug: Bug, most: int = MOST_SCHEDULES) -> Caught:
    """Run schedules with the bug in place, in a process of its own, until one fails."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.simulation.planted", bug.name, str(most)],  # answers in JSON
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        raise RuntimeError(f"the hunt for the bug {bug.name!r} failed:\n{found.stderr[-2000:]}")
    return Caught(**json.loads(found.stdout))


def _hunt_here(name: str, most: int) -> Caught:
    """In this process, which imports the deployer only now."""
    _plant(name)
    from tests.simulation.plan import draw  # noqa: PLC0415 - changed as it is imported
    from tests.simulation.world import run  # noqa: PLC0415

    for number in range(most):
        violation = run(draw(number)).violation
        if violation:
            return Caught(number + 1, str(violation))
    return Caught(most, None)


def _plant(name: str) -> None:
    bug = next((bug for bug in BUGS if bug.name == name), None)
    if bug is None:
        known = "\n  ".join(bug.name for bug in BUGS)
        sys.exit(f"no planted bug has the name {name[:100]!r}; there are\n  {known}")
    sys.meta_path.insert(0, _Planter(bug))


def _tell(name: str) -> None:
    """Print the story of the first schedule that catches it."""
    _plant(name)
    from tests.simulation.__main__ import simulate  # noqa: PLC0415 - changed as it is imported

    simulate(0, hunt(next(bug for bug in BUGS if bug.name == name)).schedules)


def table(caught: dict[str, Caught]) -> str:
    """Markdown: the bug, after how many schedules it was caught, and what it broke."""
    lines = ["| planted bug | caught by schedule | breaks |", "|---|---|---|"]
    for name, how in caught.items():
        broken = how.violation.partition(":")[0] if how.violation else "nothing: **not caught**"
        lines.append(f"| {name} | {how.schedules} | {broken} |")
    return "\n".join(lines) + "\n"


def told(page: str) -> dict[str, tuple[int, str]]:
    """What `table` drew into a page: of each bug, the schedule that caught it, and what it broke."""
    drawn = page.partition("<!-- planted: ")[2].partition("<!-- /planted -->")[0]
    rows = [row.strip("|").split(" | ") for row in drawn.splitlines() if row.startswith("| ")]
    return {
        name.strip(): (int(schedules), broken.strip())
        for name, schedules, broken in rows
        if schedules.isdecimal()
    }


def soonest(caught: dict[str, tuple[int, str]]) -> list[Bug]:
    """Of each promise the bug that was caught soonest, or the first of those: a few that take little time."""
    first: dict[str, Bug] = {}
    for bug in sorted(BUGS, key=lambda bug: caught[bug.name][0]):
        first.setdefault(caught[bug.name][1], bug)
    return [bug for bug in BUGS if bug in first.values()]


def say(line: str) -> None:
    """To whoever waits for it: at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(words: list[str]) -> int:
    """The command. Returns the exit status: 1 if a bug was not caught."""
    if words and words != ["--write"]:
        if len(words) > 1:
            say(json.dumps(vars(_hunt_here(words[0], int(words[1])))))
        else:
            _tell(words[0])
        return 0
    caught = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # of processes, which do the work
        for bug, how in zip(BUGS, pool.map(hunt, BUGS), strict=True):
            caught[bug.name] = how
            say(f"{how.schedules:>6}  {bug.name}: {how.violation}")
    if words:
        page = redrawn(PAGE.read_text(encoding="utf-8"), "planted", table(caught), by=WRITES)
        PAGE.write_text(page, encoding="utf-8")
    missed = [name for name, how in caught.items() if how.violation is None]
    say(f"{len(caught) - len(missed)} of {len(caught)} planted bugs were caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
