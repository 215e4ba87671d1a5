"""`deployer dead-letters`: what could not be handled, why, and a second chance for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from deployer.commands.parts import options
from deployer.commands.parts.clock import WallClock
from deployer.commands.parts.target import Stack, Target, Unusable, plain

if TYPE_CHECKING:
    from deployer.commands.parts.letters import Letter
    from deployer.commands.parts.pile import Pile

# Between the question and the deed: a letter that is ours for less may be somebody else's already.
_MARGIN_SECONDS = 30


@click.command("dead-letters")
@click.option("--replay", metavar="ID", multiple=True, help="Hand this letter's event to the deployer again.")
@click.option("--replay-all", is_flag=True, help="The same with every letter that can be.")
@click.option("--drop", metavar="ID", multiple=True, help="Print this letter, and delete it.")
@options.yes
@options.as_json
@click.pass_context
def dead_letters(
    ctx: click.Context,
    *,
    replay: tuple[str, ...],
    replay_all: bool,
    drop: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """List events that were given up, and replay or drop them.

    Does: without an option, reads both dead-letter queues and lists each letter: its id, when it was given
    up, what it was and why. --replay hands the event to the deployer again, exactly as it was, and deletes
    the letter once Lambda has accepted the event. --drop prints the whole letter and deletes it. An ID is
    the beginning of one, as listed; the options may be given several times.

    Does not: take a letter out of its queue by listing it (for some seconds nobody else sees it); replay
    commands, or what the deployer cannot read or would ignore; wait for what becomes of a replayed event: one
    that fails again becomes a letter again. Interrupted between accepted and deleted, it leaves a letter
    whose event the deployer has: to replay it once more does no harm.

    \b
    Exit codes:
      0  listed, replayed or dropped; also when there are no letters
      1  some letter was not replayed or dropped, and is kept; stderr says why
      2  usage or configuration is wrong, or no letter has such an id
      130  interrupted by Ctrl-C
    """
    from deployer.commands.parts.letters import NoSuchLetter, choose
    from deployer.commands.parts.pile import in_hand

    if sum(map(bool, (replay, replay_all, drop))) > 1:
        raise click.UsageError("--replay, --replay-all and --drop do not go together: one at a time")
    if yes and not (replay or replay_all or drop):
        raise click.UsageError("--yes goes with --replay, --replay-all or --drop")
    target: Target = ctx.obj
    stack = target.find()
    with in_hand(stack) as pile:
        try:
            chosen = pile.letters if replay_all else choose(pile.letters, replay or drop)
        except NoSuchLetter as error:
            raise Unusable(f"{error}. `deployer dead-letters` lists them. Nothing was done") from None
        if not (replay or drop) and not (replay_all and chosen):
            _list(pile, as_json=as_json)
        elif drop:
            ctx.exit(_drop(pile, chosen, yes=yes, as_json=as_json))
        else:
            ctx.exit(_replay(stack, pile, chosen, yes=yes, as_json=as_json))


def _list(pile: Pile, *, as_json: bool) -> None:
    from deployer.commands.parts.letters import record, shown

    pile.put_back()  # before printing, which may wait for a reader
    letters = pile.letters
    if as_json:
        told = [record(letter) for letter in letters]
        click.echo(json.dumps({"letters": told, "counted": pile.counted, "complete": pile.complete}))
        return
    if not letters:
        click.echo("no dead letters" if pile.complete else "no dead letters can be seen now")
        return
    for letter in letters:
        at = f"{letter.sent_at:%Y-%m-%d %H:%M:%S} UTC" if letter.sent_at else "at an unknown time"
        click.echo(f"{shown(letter, letters)}  {at}  {letter.queue}")
        click.echo(f"    {letter.what}")
        click.echo(f"    given up: {letter.why}")
        if letter.event is None:
            click.echo(f"    cannot be replayed: {letter.stays_because}")
    click.echo(
        f"{_count(letters)}. --replay ID hands one to the deployer again, --drop ID prints and deletes one"
    )


def _replay(stack: Stack, pile: Pile, chosen: Sequence[Letter], *, yes: bool, as_json: bool) -> int:
    """The exit code."""
    able = [letter for letter in chosen if letter.event is not None]
    if able:
        if not yes:
            _announce(able, pile)
        _agree(pile, chosen, f"Hand {_count(able)} to {plain(stack.output('DeployerName'))} again?", yes=yes)
    told = []
    for letter in chosen:
        outcome, because = _replay_one(stack, pile, letter)
        told.append((letter, outcome, because))
        _tell(letter, pile, outcome, because, as_json=as_json)
        if outcome == "replayed" and letter.image and letter.pushed_at:
            since = letter.pushed_at.isoformat()
            wait = f"deployer --stack {plain(stack.name)} wait --digest {letter.image.digest} --since {since}"
            click.echo(f"    follow it: {wait}", err=as_json)
    return _end(told, "replayed", as_json=as_json)


def _replay_one(stack: Stack, pile: Pile, letter: Letter) -> tuple[str, str]:
    if letter.event is None:
        return "kept", letter.stays_because
    try:
        stack.hand_over(letter.event)
    except Unusable as error:
        return "kept", error.message
    try:
        pile.take_away(letter)
    except Unusable as error:
        return "kept", f"the deployer has its event, but {error.message}. Replaying it again does no harm"
    return "replayed", ""


def _drop(pile: Pile, chosen: Sequence[Letter], *, yes: bool, as_json: bool) -> int:
    """The exit code."""
    from deployer.commands.parts.letters import record

    for letter in chosen:
        # Before it is gone, whatever comes then. ASCII, so that nothing in it moves a cursor or is lost.
        click.echo(json.dumps(record(letter), indent=2), err=as_json)
    _agree(pile, chosen, f"Delete {_count(chosen)} for good?", yes=yes)
    told = []
    for letter in chosen:
        try:
            pile.take_away(letter)
            outcome, because = "dropped", ""
        except Unusable as error:
            outcome, because = "kept", error.message
        told.append((letter, outcome, because))
        _tell(letter, pile, outcome, because, as_json=as_json)
    return _end(told, "dropped", as_json=as_json)


def _announce(letters: Sequence[Letter], pile: Pile) -> None:
    from deployer.commands.parts.letters import shown

    for letter in letters:
        click.echo(f"{shown(letter, pile.letters)}  {letter.what}", err=True)


def _agree(pile: Pile, chosen: Sequence[Letter], question: str, *, yes: bool) -> None:
    """Have the chosen letters for a while, and ask. Raises ClickException, whose exit code is 1, at a no."""
    from deployer.commands.parts.pile import ASKING_SECONDS

    patience = WallClock(ASKING_SECONDS - _MARGIN_SECONDS)
    pile.keep(chosen)
    if yes:
        return
    click.echo(f"{question} [y/N] ", nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer:
        raise Unusable("nobody answered, so nothing was done. --yes answers beforehand")
    if answer.strip().lower() not in ("y", "yes"):
        raise click.ClickException("nothing was done")
    if patience.remaining() <= 0:
        raise click.ClickException("the answer came too late: others may have the letters. Nothing was done")


def _tell(letter: Letter, pile: Pile, outcome: str, because: str, *, as_json: bool) -> None:
    from deployer.commands.parts.letters import shown

    line = f"{outcome}: {shown(letter, pile.letters)}  {letter.what}"
    click.echo(f"{line}\n    {because}" if because else line, err=as_json or bool(because))


def _end(told: Sequence[tuple[Letter, str, str]], wanted: str, *, as_json: bool) -> int:
    from deployer.commands.parts.letters import record

    if as_json:
        letters = [
            record(letter) | {"outcome": outcome, "because": because or None}
            for letter, outcome, because in told
        ]
        click.echo(json.dumps({"letters": letters}))
    return 0 if all(outcome == wanted for _, outcome, _ in told) else 1


def _count(letters: Sequence[Letter]) -> str:
    return "1 letter" if len(letters) == 1 else f"{len(letters)} letters"
