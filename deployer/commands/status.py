"""`deployer status`: where things stand, in one look."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click

from deployer import facts, rollout
from deployer.commands.parts import delivery, options, situation, telling
from deployer.commands.parts.situation import release
from deployer.commands.parts.target import Stack, Target, Unusable, plain, understood
from deployer.message import reason
from deployer.model import Book, Deployment, Notice
from deployer.outcomes import TONES, last_failure
from deployer.times import ago, lasts, stamp

_MOST = 20  # deployments that wait, or messages, that are told one by one


@click.command()
@options.as_json
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """See what is live, under way and held.

    Does: tells what users are on, since when and by which deployment; what is under way and what waits; who
    holds deployments, and why; the last failure; messages that were not delivered yet.

    Does not: change anything, or judge: whatever the state is, the exit code is 0.

    \b
    Example:
      deployer status
      deployer status --json | jq -r .live.version

    \b
    Exit codes:
      0  told, whatever the state is
      2  usage or configuration is wrong, or the ledger cannot be read
      130  interrupted by Ctrl-C
    """
    target: Target = ctx.obj
    stack = target.find()
    ledger, now = stack.ledger(), datetime.now(UTC)
    with understood("reading the ledger"):
        book, history = ledger.look(), ledger.history(situation.RECENT)
    live, trouble = _live(stack)
    how = situation.since(live.version, [*book.open, *history]) if live else None
    failure = last_failure(history)
    if as_json:
        told = {
            "service": stack.output("ServiceFunctionName"),
            "live": {
                **facts.of_version(live.version),
                "state": live.version.state.value,
                "placeholder": live.placeholder,
                "revision": how.revision,
                "since": how.at.isoformat() if how.at else None,
                "deployment": how.deployment.id if how.deployment else None,
            }
            if live and how
            else None,
            "trouble": trouble,
            "open": [facts.of_deployment(each) for each in book.open],
            "hold": facts.of_hold(book.hold),
            "last_failure": facts.of_deployment(failure) if failure else None,
            "undelivered": [delivery.record(each) for each in book.notices],
        }
        click.echo(json.dumps(told))
        return
    if live and how:
        bad = live.version.reason if live.version.state.value == "Failed" else ""
        line = situation.live_words(live, how, now) + (f". It cannot run: {plain(bad)}" if bad else "")
        told_live = telling.Cell(line, "bad" if bad else "calm" if live.placeholder else "good")
    else:
        told_live = telling.Cell(f"could not be read: {trouble}", "bad")
    telling.facts(
        [
            ("service", plain(stack.output("ServiceFunctionName"))),
            ("live", told_live),
            *_open(book, now),
            _held(book, now),
            _last_failure(failure, history, now),
            *_messages(book.notices, now),
        ]
    )


def _live(stack: Stack) -> tuple[situation.Live | None, str | None]:
    """What is live, or why that is not known: the ledger tells enough to be told without it."""
    try:
        return situation.read_live(stack), None
    except Unusable as error:
        return None, error.message


def _open(book: Book, now: datetime) -> Iterator[tuple[str, telling.Shown]]:
    going = rollout.underway(book)
    if going is None:
        yield "under way", telling.Cell("nothing", "calm")
    else:
        yield (
            "under way",
            telling.Cell(
                f"{going.phase} for {lasts(now - going.since)}: "
                f"{release(going.image.digest, going.revision)}, deployment {plain(going.id)}. "
                f"{plain(going.because)}",
                "busy",
            ),
        )
    waiting = [each for each in book.open if each is not going]
    for each in waiting[:_MOST]:
        asked = f"asked for {ago(each.requested_at, now)} by {plain(each.by or each.source)}"
        yield "waiting", f"{release(each.image.digest, each.revision)}, deployment {plain(each.id)}, {asked}"
    if len(waiting) > _MOST:
        yield "waiting", f"and {len(waiting) - _MOST} more"


def _held(book: Book, now: datetime) -> tuple[str, telling.Shown]:
    hold = book.hold
    if hold is None:
        return "hold", telling.Cell("none: the next push deploys", "calm")
    since = f"since {stamp(hold.since)} UTC ({ago(hold.since, now)})"
    name = plain(hold.id) or "without an id"
    line = f"held by {plain(hold.by)} {since}: {plain(hold.because)} (hold {name})"
    return "hold", telling.Cell(line, "care")


def _last_failure(
    failed: Deployment | None, history: Sequence[Deployment], now: datetime
) -> tuple[str, telling.Shown]:
    if failed is None:
        none = f"none in the last {len(history)} deployments" if history else "none"
        return "last failure", telling.Cell(none, "calm")
    line = (
        f"{release(failed.image.digest, failed.revision)} was {failed.phase}, {stamp(failed.since)} UTC "
        f"({ago(failed.since, now)}): {plain(reason(failed))} (deployer show {plain(failed.id)})"
    )
    # A failure that a later deployment left behind is told, but calls nobody.
    return "last failure", telling.Cell(line, TONES[failed.phase] if failed is history[0] else "")


def _messages(notices: Sequence[Notice], now: datetime) -> Iterator[tuple[str, telling.Shown]]:
    if not notices:
        yield "messages", telling.Cell("all delivered", "calm")
    for notice in notices[:_MOST]:
        yield (
            "messages",
            telling.Cell(f"of {plain(notice.deployment.id)}: {delivery.words(notice, now)}", "care"),
        )
    if len(notices) > _MOST:
        yield "messages", f"and {len(notices) - _MOST} more"
