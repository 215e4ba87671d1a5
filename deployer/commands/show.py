"""`deployer show`: one deployment, whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import click

from deployer import facts
from deployer.commands.parts import delivery, options, telling
from deployer.commands.parts.situation import release
from deployer.commands.parts.target import Target, Unusable, plain, understood
from deployer.message import reason
from deployer.model import Book, Deployment, Moment, Notice, Origin, Source, Verdict
from deployer.rollout import ENDED
from deployer.times import ago, lasts, stamp

_MOST_CANDIDATES = 5
_MOST_LINES = 100  # of a log tail, which has 4 KB


@click.command()
@click.argument("beginning", required=False, metavar="[ID]")
@options.as_json
@click.pass_context
def show(ctx: click.Context, beginning: str | None, as_json: bool) -> None:
    """Show one deployment: what happened, when and why.

    Does: shows the deployment that ID names, or whose id begins so, or the newest one: its phases with
    reasons and durations, its checks with what they expected and got, the last log lines, what changed, who
    asked for it, its warnings, the hold that it set, and whether people were told.

    Does not: change anything, or follow a deployment that goes on.

    \b
    Example:
      deployer show
      deployer show 20260301T0300

    \b
    Exit codes:
      0  shown
      2  usage or configuration is wrong, no deployment has such an id, or several have
      130  interrupted by Ctrl-C
    """
    target: Target = ctx.obj
    ledger, now = target.find().ledger(), datetime.now(UTC)
    with understood("reading the ledger"):
        book = ledger.look()
        if beginning:
            # Open ones are few, and in the book. What ended since that was read is in the history.
            found = [each for each in book.open if each.id.startswith(beginning)]
            found += ledger.beginning(beginning, _MOST_CANDIDATES + 1)
        else:
            found = [*sorted(book.open, key=lambda each: each.id)[-1:], *ledger.history(1)]
            found = sorted(found, key=lambda each: each.id)[-1:]
    deployment = _one({each.id: each for each in found}, beginning)
    notice = next((each for each in book.notices if each.deployment.id == deployment.id), None)
    if as_json:
        message = delivery.record(notice) if notice else None
        hold = facts.of_hold(book.hold) if _holds(deployment, book) else None
        told = {**facts.of_deployment(deployment), "undelivered": message, "hold_in_force": hold}
        click.echo(json.dumps(told))
        return
    _tell(deployment, book, notice, now)


def _one(found: dict[str, Deployment], beginning: str | None) -> Deployment:
    if not found and beginning is None:
        raise Unusable("there is no deployment yet: deployer push")
    if not found:
        raise Unusable(
            f"no deployment's id begins with {plain(beginning or '')!r}. `deployer history` lists them"
        )
    if beginning in found:
        return found[beginning]
    if len(found) > 1:
        ids = ", ".join(plain(each) for each in sorted(found, reverse=True)[:_MOST_CANDIDATES])
        more = ", ..." if len(found) > _MOST_CANDIDATES else ""
        raise Unusable(f"several ids begin so: {ids}{more}. Write more of the one that is meant")
    [only] = found.values()
    return only


def _tell(deployment: Deployment, book: Book, notice: Notice | None, now: datetime) -> None:
    ended = deployment.phase in ENDED
    took = (deployment.since if ended else now) - deployment.requested_at
    pairs: list[tuple[str, telling.Shown]] = [
        ("deployment", plain(deployment.id)),
        ("outcome" if ended else "phase", telling.phase_cell(deployment.phase)),
        ("why", plain(reason(deployment)) or "it waits for its turn"),
        ("image", release(deployment.image.digest, deployment.revision)),
        ("digest", deployment.image.digest),
        *_changed(deployment),
        (
            "asked for",
            f"{stamp(deployment.requested_at)} UTC ({ago(deployment.requested_at, now)}), by "
            f"{plain(deployment.by or deployment.source)}{_reason(deployment.why)}",
        ),
        ("took" if ended else "so far", lasts(took)),
        *(("warning", telling.Cell(plain(each), "care")) for each in deployment.warnings),
        *_held(deployment, book),
        ("message", _delivered(notice, now, ended=ended)),
    ]
    telling.facts(pairs)
    if deployment.timeline:
        telling.heading("Timeline (UTC)")
        telling.table(("at", "for", "phase", "because"), _timeline(deployment.timeline, now, ended=ended))
    for title, verdict in (
        ("Checks before users met it", deployment.verification),
        ("Checks through live", deployment.confirmation),
        ("Checks after it was taken back", deployment.restoration),
    ):
        if verdict:
            telling.heading(title)
            _checks(verdict)


def _reason(why: str | None) -> str:
    return f": {plain(why)}" if why else ""


def _changed(deployment: Deployment) -> Iterator[tuple[str, telling.Shown]]:
    previous = deployment.previous
    if previous:
        was = (
            f"version {plain(previous.number)}, {release(previous.image.digest, deployment.before.revision)}"
        )
        yield "before it", was
    if deployment.version:
        yield "its version", plain(deployment.version)
    for label, origin in (("comes from", deployment.origin), ("came from", deployment.before)):
        told = _origin(origin)
        if told:
            yield label, told


def _origin(origin: Origin) -> str:
    told = [
        f"{plain(origin.url)}" if origin.url else "",
        f"committed {stamp(origin.committed_at)} UTC" if origin.committed_at else "",
        f"built by {plain(origin.built_by)}" if origin.built_by else "",
    ]
    return ", ".join(each for each in told if each)


def _holds(deployment: Deployment, book: Book) -> bool:
    """Is the hold that is in force the one that it set? A rollback's has its own id."""
    own = deployment.trips or (deployment.id if deployment.source is Source.ROLLBACK else None)
    return book.hold is not None and own is not None and book.hold.id == own


def _held(deployment: Deployment, book: Book) -> Iterator[tuple[str, telling.Shown]]:
    if _holds(deployment, book) and book.hold:
        yield (
            "hold",
            telling.Cell(
                f"it holds deployments: {plain(book.hold.because)} (hold {plain(book.hold.id)})", "care"
            ),
        )
    elif deployment.trips:
        yield "hold", f"it held deployments ({plain(deployment.trips)}), and that was lifted"
    if deployment.passes:
        yield "hold", f"it was allowed to pass the hold {plain(deployment.passes)}"


def _delivered(notice: Notice | None, now: datetime, *, ended: bool) -> telling.Shown:
    if notice:
        return telling.Cell(delivery.words(notice, now), "care")
    return "delivered" if ended else "comes when it has ended"


def _timeline(timeline: Sequence[Moment], now: datetime, *, ended: bool) -> list[tuple[telling.Shown, ...]]:
    spans: list[timedelta | None] = [after.at - before.at for before, after in pairwise(timeline)]
    spans.append(None if ended else now - timeline[-1].at)
    return [
        (stamp(moment.at), _span(span), telling.phase_cell(moment.phase), plain(moment.because))
        for moment, span in zip(timeline, spans, strict=True)
    ]


def _span(span: timedelta | None) -> str:
    if span is None:
        return "-"
    seconds = span.total_seconds()
    return f"{max(0.0, seconds):.1f} s" if seconds < 10 else lasts(span)


def _checks(verdict: Verdict) -> None:
    telling.table(
        ("check", "passed", "tries", "took", "expected", "got"),
        [
            (
                plain(each.name),
                telling.Cell("yes", "good") if each.passed else telling.Cell("NO", "bad"),
                str(each.tries),
                f"{each.seconds:.1f} s",
                plain(each.expected),
                plain(each.actual),
            )
            for each in verdict.results
        ],
    )
    lines = verdict.log_tail.strip().splitlines()
    if lines:
        click.echo("  the function's last log lines:")
        for each in lines[-_MOST_LINES:]:
            click.echo(f"    {plain(each)}")
