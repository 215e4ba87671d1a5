"""The dashboard Lambda's entry point: a CloudWatch custom widget that shows the state of deployments.

It reads, and never writes: that is why it is a function of its own, with a role of its own. Viewers invoke it
with their own credentials, and with any parameters; of those it looks at `describe`, `read` and
`widgetContext`.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol, TypeVar

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from deployer import inspection, log, page, placeholder, reading, settings
from deployer.aws import clients
from deployer.aws.function import LambdaFunction
from deployer.aws.ledger import DynamoLedger
from deployer.aws.record import BadRecord
from deployer.aws.registry import EcrRegistry
from deployer.model import Book, Deployment, Version
from deployer.page import widget
from deployer.ports import LookAgain, Refused
from deployer.stats import measure

logger = Logger(json_serializer=log.serialized)
T = TypeVar("T")

DESCRIPTION = f"""\
## Deployments

What is live, what is under way, whether deployments are held, the last failure in full, the deployments of
the dashboard's time range as a timeline with the figures of DORA, and the newest {page.HISTORY} as a table.

It only looks. Its buttons call the deployer function, with your own credentials: they take the operator's
policy.

### Widget parameters

None. The page follows the dashboard's time range and its light or dark theme. All times are UTC.
"""


class LedgerReader(Protocol):
    """What the dashboard asks of `ports.Ledger`."""

    def look(self) -> Book:
        """What is going on now."""

    def history(
        self, limit: int, since: datetime | None = None, until: datetime | None = None
    ) -> list[Deployment]:
        """The deployments that ended, newest first, of a span of time if that is said."""


class FunctionReader(Protocol):
    """What the dashboard asks of `ports.Function`."""

    def live(self) -> Version:
        """The version that the alias `live` points at."""


@cache
def _settings() -> settings.DashboardSettings:
    return settings.read_dashboard(os.environ)


@logger.inject_lambda_context(clear_state=True)
@log.discreet_exceptions()
def on_widget(event: object, context: LambdaContext) -> Any:  # noqa: ARG001  Lambda hands it over
    """The page as HTML; for `{"describe": true}`, what the widget is, as Markdown; for a program that asks to
    `read`, what `reading.answer` says, or `inspection.answer` when it reads the `function`.

    Markdown as it is, like the answer of AWS's own samples:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_samples.html
    """
    asked = event if isinstance(event, dict) else {}
    if asked.get("describe"):
        return DESCRIPTION
    if asked.get("read") == "function":
        return inspection.answer(asked, _inspected)
    now = datetime.now(UTC)
    if "read" in asked:  # a program, not a widget
        return reading.answer(asked, _sources, now)
    seen = widget.read(asked, now)
    try:
        given = _settings()
    except settings.BadSettings as error:
        logger.error("the dashboard cannot start", extra={"because": str(error)})
        return page.cannot(str(error), seen.theme)
    lambda_ = clients.client("lambda")
    return show(
        DynamoLedger(clients.client("dynamodb"), given.table_name, given.function_name),
        LambdaFunction(lambda_, lambda_, given.function_name, given.repository_uri),  # it invokes nothing
        given,
        seen,
        now=now,
    )


def _sources() -> reading.Sources:
    given, lambda_ = _settings(), clients.client("lambda")
    repository = given.repository_uri.partition("/")[2]
    return reading.Sources(
        LambdaFunction(lambda_, lambda_, given.function_name, given.repository_uri),
        EcrRegistry(clients.client("ecr"), repository),
        DynamoLedger(clients.client("dynamodb"), given.table_name, given.function_name),
        repository,
        frozenset(placeholder.digests()),
    )


def _inspected() -> inspection.Inspected:
    given = _settings()
    registry = EcrRegistry(clients.client("ecr"), given.repository_uri.partition("/")[2])
    return inspection.Inspected(clients.client("lambda"), given.function_name, registry)


def show(
    ledger: LedgerReader,
    function: FunctionReader,
    given: settings.DashboardSettings,
    seen: widget.Widget,
    *,
    now: datetime,
) -> str:
    """The page. What AWS does not let us read is said in its place; the rest is shown all the same."""
    problems: list[str] = []
    book = _read("what is under way", ledger.look, problems)
    history = _read("the history", lambda: ledger.history(page.HISTORY), problems)
    live = _read("what is live", function.live, problems)
    span = seen.span
    ranged = None
    if history is not None:
        ranged = _read(
            "the history of the time range",
            lambda: ledger.history(page.RANGE, span.since, span.until),
            problems,
        )
    return page.render(
        book,
        history,
        live,
        now=now,
        theme=seen.theme,
        service=given.function_name,
        repository_uri=given.repository_uri,
        problems=problems,
        span=span,
        ranged=ranged,
        stats=None if ranged is None else measure(_all(history, ranged), span.since, span.until),
        deployer=given.deployer_arn,
        fields=seen.fields,
        width=seen.width,
    )


def _all(newest: Sequence[Deployment] | None, ranged: Sequence[Deployment]) -> list[Deployment]:
    """What is before and after the time range tells how the deployments in it went on."""
    return list({each.id: each for each in (*(newest or ()), *ranged)}.values())


def _read(what: str, read: Callable[[], T], problems: list[str]) -> T | None:
    try:
        return read()
    except (LookAgain, Refused, BadRecord) as error:
        logger.error("could not be read", extra={"what": what, "because": str(error)})
        problems.append(f"{what}: {error}")
        return None
