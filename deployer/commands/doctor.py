"""`deployer doctor`: looks at everything that has to be right, and says what is not and what mends it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from deployer.commands.parts import options
from deployer.commands.parts.target import Target, plain
from deployer.text import printable

if TYPE_CHECKING:
    from deployer.commands.parts.diagnosis.finding import Finding

_SUMMED = {"ok": "ok", "FAIL": "failed", "warning": "to know", "unknown": "could not be looked at"}
_COLOURS = {"ok": "green", "warning": "yellow", "unknown": "magenta", "FAIL": "red"}


@click.command()
@options.as_json
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look for what keeps releases from going live.

    Does: looks at the stack, the repository and its policies, the release tag, the rules that start the
    deployer, its sweeps, holds and quarantine, the function, the alias and who may invoke it, dead letters,
    alarms and who gets the messages; says of each whether it is right, and what mends it.

    Does not: change anything, or see a secret. It needs the stack's ViewerPolicy; what that does not allow is
    said to be unknown.

    \b
    Example:
      deployer --stack shop doctor

    \b
    Exit codes:
      0  nothing failed; there may be warnings, and things that could not be looked at
      1  something failed: it is marked FAIL, with the commands that mend it
      2  usage or configuration is wrong
      130  interrupted by Ctrl-C
    """
    target: Target = ctx.obj
    found = _look(target)
    if as_json:
        click.echo(json.dumps({"healthy": not _failed(found), "findings": [_record(each) for each in found]}))
    else:
        for each in found:
            _tell(each)
        click.echo(_sum(found))
    ctx.exit(1 if _failed(found) else 0)


def _look(target: Target) -> list[Finding]:
    from deployer.commands.parts.diagnosis import findings, of_stack, reading
    from deployer.commands.parts.diagnosis.finding import Unread
    from deployer.commands.parts.diagnosis.names import Names

    stack = target.find()
    given = {"--profile": target.profile, "--region": target.region}
    place = tuple(word for name, value in given.items() if value for word in (name, value))
    names = Names(stack.name, stack.outputs, place)
    events = names.aws("cloudformation", "describe-stack-events", "--stack-name", stack.name)
    seen, missing = reading.look_at_the_stack(stack), reading.missing_outputs(stack)
    found = [of_stack.stack(stack.name, seen, missing, events)]
    if isinstance(seen, Unread):
        return [*found, findings.unread_stack(seen)]
    if missing:
        return [*found, findings.nothing_else(missing)]
    return [*found, *findings.all_of(reading.read(stack, names, seen))]


def _failed(found: Sequence[Finding]) -> bool:
    return any(each.mark == "FAIL" for each in found)


def _record(finding: Finding) -> dict[str, object]:
    return {
        "name": finding.name,
        "verdict": finding.mark,
        "seen": plain(finding.seen),
        "fix": finding.fix or None,
        "commands": [printable(command) for command in finding.commands],
    }


def _tell(finding: Finding) -> None:
    """No table: its columns would break the commands, which are to be pasted."""
    mark = click.style(f"{finding.mark:<8}", fg=_COLOURS[finding.mark], bold=finding.mark == "FAIL")
    click.echo(f"{mark} {finding.name:<18} {plain(finding.seen)}")
    if finding.fix:
        click.echo(f"{'':<9}{plain(finding.fix)}{':' if finding.commands else ''}")
    for command in finding.commands:
        click.echo(f"{'':<13}{printable(command)}")


def _sum(found: Sequence[Finding]) -> str:
    counted = Counter(each.mark for each in found)
    return ", ".join(f"{many} {_SUMMED[mark]}" for mark, many in sorted(counted.items()))
