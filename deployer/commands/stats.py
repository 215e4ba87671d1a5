"""`deployer stats`: how well releases go."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import click

from deployer.commands.parts import options, telling, times
from deployer.commands.parts.target import Target, understood
from deployer.stats import Stats, measure
from deployer.times import lasts, stamp

DAYS = timedelta(days=30)
MOST = 500


@click.command()
@click.option(
    "--since",
    metavar="TIME",
    callback=times.past,
    help=f"From when on: {times.SAID}.  [default: 30 days before --until]",
)
@click.option("--until", metavar="TIME", callback=times.past, help="Up to when, the same.  [default: now]")
@options.as_json
@click.pass_context
def stats(ctx: click.Context, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Measure how often, how well and how quickly releases go.

    Does: measures deployment frequency, change failure rate, time to restore and lead time, as DORA defines
    them (https://dora.dev/guides/dora-metrics-four-keys/), from the newest 500 deployments of that time.

    Does not: judge; or know of a fault that the deployer never saw and nobody rolled back.

    \b
    Example:
      deployer stats --since 90d

    \b
    Exit codes:
      0  measured, also if there is nothing to measure
      2  usage or configuration is wrong, or the ledger cannot be read
      130  interrupted by Ctrl-C
    """
    target: Target = ctx.obj
    until = until or datetime.now(UTC)
    since = since or until - DAYS
    if since >= until:
        raise click.BadParameter("--since must be before --until")
    ledger = target.find().ledger()
    with understood("reading the history"):
        # One more, to know whether there are more. What came after tells whether a release stayed.
        found = ledger.history(MOST + 1, since)
    cut = len(found) > MOST
    if cut:
        found = found[:MOST]
        since = found[-1].requested_at
    if since >= until:
        raise click.ClickException(
            f"there were more than {MOST} deployments since then: what is older is not measured. "
            "Choose a later --until"
        )
    measured = measure(found, since, until)
    if as_json:
        click.echo(json.dumps(_record(measured, cut=cut)))
        return
    _tell(measured, cut=cut)


def _record(measured: Stats, *, cut: bool) -> dict[str, object]:
    def seconds(duration: timedelta | None) -> float | None:
        return None if duration is None else duration.total_seconds()

    return {
        "since": measured.since.isoformat(),
        "until": measured.until.isoformat(),
        "cut": cut,
        "deployments": measured.deployments,
        "per_day": measured.per_day,
        "failed": measured.failed,
        "failure_rate": measured.failure_rate,
        "caught": measured.caught,
        "restored": measured.restored,
        "restore_seconds": seconds(measured.restore),
        "restore_p90_seconds": seconds(measured.restore_p90),
        "lead_known": measured.lead_known,
        "lead_seconds": seconds(measured.lead),
        "lead_p90_seconds": seconds(measured.lead_p90),
    }


def _tell(measured: Stats, *, cut: bool) -> None:
    count, rate = measured.deployments, measured.failure_rate
    shortened = (
        f"; only the newest {MOST} deployments were read, so it begins later than asked" if cut else ""
    )
    failures = "nothing to measure" if rate is None else f"{rate:.0%} ({measured.failed} of {count})"
    telling.facts(
        [
            ("time", f"{stamp(measured.since)} to {stamp(measured.until)} UTC{shortened}"),
            ("deployment frequency", f"{measured.per_day:.2f} a day ({count} that users met)"),
            ("change failure rate", failures),
            ("caught before users met them", str(measured.caught)),
            ("time to restore", _spread(measured.restore, measured.restore_p90, measured.restored)),
            ("lead time, commit to live", _spread(measured.lead, measured.lead_p90, measured.lead_known)),
        ]
    )


def _spread(middle: timedelta | None, most: timedelta | None, of: int) -> str:
    if middle is None or most is None:
        return "nothing to measure"
    return f"median {lasts(middle)}, nine in ten within {lasts(most)} (of {of})"
