"""Draw the table of costs in docs/deploying.md: usage times price, for a month, so that the sums are right.

Prices are AWS's list prices for us-east-1 without any free tier; usage is what the template and the deployer
do by themselves, and what a team does. `make docs` runs it; a test fails when the table is not up to date.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from docs.drawn import redrawn

PAGE = Path(__file__).parent / "deploying.md"

MINUTES = 365 * 24 * 60 / 12  # in a month: one sweep each
RELEASES = 60  # a month: about three a working day
REQUESTS = 1_000_000  # a month, to the service

# US dollars. Sources: the price page of each service, https://aws.amazon.com/<service>/pricing/.
GB_SECOND, MILLION_INVOCATIONS = 0.0000166667, 0.20  # Lambda, x86
MILLION_READS, MILLION_WRITES = 0.125, 0.625  # DynamoDB, on demand
GB_LOGGED, METRIC, ALARM, DASHBOARD = 0.50, 0.30, 0.10, 3.00  # CloudWatch
MILLION_TRACES = 5.00  # X-Ray
GB_STORED = 0.10  # ECR
MILLION_REST_CALLS = 3.50  # API Gateway
BUILD_MINUTE = 0.005  # CodeBuild, general1.small

# Seconds of Lambda time and KB of log: assumed, because they can only be measured on AWS.
SWEEP_SECONDS, SWEEP_KB = 0.25, 1.5
RELEASE_SECONDS, BUILD_MINUTES = 30, 6
REQUEST_KB = 1  # the API's access log, and Lambda's own three lines


@dataclass(frozen=True)
class Cost:
    """One line: what for, how it is reckoned, how much a month."""

    what: str
    reckoning: str
    dollars: float


def idle() -> list[Cost]:
    """What a stack costs in which nobody releases and nobody asks anything."""
    sweeps = round(MINUTES)
    return [
        Cost(
            "sweeps: Lambda",
            f"{sweeps:,} * ({SWEEP_SECONDS} s * 0.5 GB * ${GB_SECOND:.10f}"
            f" + ${MILLION_INVOCATIONS:.2f} / 1,000,000)",
            sweeps * (SWEEP_SECONDS * 0.5 * GB_SECOND + MILLION_INVOCATIONS / 1e6),
        ),
        Cost(
            "sweeps: DynamoDB",
            f"{sweeps:,} reads * ${MILLION_READS} / 1,000,000",
            sweeps * MILLION_READS / 1e6,
        ),
        Cost(
            "sweeps: log",
            f"{sweeps:,} * {SWEEP_KB} KB * ${GB_LOGGED:.2f} / GB",
            sweeps * SWEEP_KB / 1e6 * GB_LOGGED,
        ),
        Cost(
            "sweeps: traces", f"{sweeps:,} * ${MILLION_TRACES:.2f} / 1,000,000", sweeps * MILLION_TRACES / 1e6
        ),
        Cost("alarms", f"10 * ${ALARM:.2f}", 10 * ALARM),
        Cost("metrics of our own", f"2 always there (sweeps, cold starts) * ${METRIC:.2f}", 2 * METRIC),
        Cost("dashboard", f"1 * ${DASHBOARD:.2f}", DASHBOARD),
        Cost("images", f"10 GB of layers * ${GB_STORED:.2f}", 10 * GB_STORED),
    ]


def at_work() -> list[Cost]:
    """What comes on top when a team releases, and users ask."""
    return [
        Cost(
            "releases: Lambda",
            f"{RELEASES} * {RELEASE_SECONDS} s * 0.5 GB * ${GB_SECOND:.10f}",
            RELEASES * RELEASE_SECONDS * 0.5 * GB_SECOND,
        ),
        Cost(
            "releases: DynamoDB",
            f"{RELEASES} * (40 reads * ${MILLION_READS} + 60 writes * ${MILLION_WRITES}) / 1,000,000",
            RELEASES * (40 * MILLION_READS + 60 * MILLION_WRITES) / 1e6,
        ),
        Cost(
            "releases: CodeBuild, where it builds",
            f"{RELEASES} * {BUILD_MINUTES} min * ${BUILD_MINUTE}",
            RELEASES * BUILD_MINUTES * BUILD_MINUTE,
        ),
        Cost(
            "requests: API Gateway", f"1,000,000 * ${MILLION_REST_CALLS:.2f} / 1,000,000", MILLION_REST_CALLS
        ),
        Cost(
            "requests: Lambda",
            f"1,000,000 * (0.05 s * 0.5 GB * ${GB_SECOND:.10f} + ${MILLION_INVOCATIONS:.2f} / 1,000,000)",
            REQUESTS * (0.05 * 0.5 * GB_SECOND + MILLION_INVOCATIONS / 1e6),
        ),
        Cost(
            "requests: logs",
            f"1,000,000 * {REQUEST_KB} KB * ${GB_LOGGED:.2f} / GB",
            REQUESTS * REQUEST_KB / 1e6 * GB_LOGGED,
        ),
    ]


def table() -> str:
    """Both lists with their sums, as Markdown."""
    lines = ["", "| for | reckoning | a month |", "|---|---|---:|"]
    for title, costs in (("an idle stack", idle()), ("on top, at work", at_work())):
        lines += [f"| {cost.what} | {cost.reckoning} | ${cost.dollars:.2f} |" for cost in costs]
        lines.append(f"| **{title}** | | **${sum(cost.dollars for cost in costs):.2f}** |")
    return "\n".join([*lines, "", ""])


def page(text: str) -> str:
    """The page with a fresh table. Raises ValueError if a marker is missing."""
    return redrawn(text, "costs", table())


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
