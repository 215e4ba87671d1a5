"""The deployer Lambda's entry point. Powertools lives here and in `dashboard.py`.

One function takes everything: pushes, alarms and the sweep's schedule from EventBridge, and commands by
direct invocation. What it raises for an event, Lambda tries twice more, and then keeps it in a dead-letter
queue.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from deployer import events, facts, log, page, placeholder, settings
from deployer.aws import clients
from deployer.aws.announcer import EventBridgeAnnouncer
from deployer.aws.function import LIVE, LambdaFunction
from deployer.aws.ledger import DynamoLedger
from deployer.aws.notifier import SnsNotifier
from deployer.aws.registry import EcrRegistry
from deployer.controller import Controller, Journal, Ports, Service
from deployer.events import (
    AbortAsked,
    AlarmRang,
    BadCommand,
    CheckAsked,
    CommandAsked,
    DeployAsked,
    HoldAsked,
    Ignored,
    PushSeen,
    ResumeAsked,
    RetryAsked,
    RollbackAsked,
    SweepDue,
    Unreadable,
)
from deployer.model import (
    Channel,
    Deployment,
    Hold,
    Limits,
    Notice,
    Place,
    Source,
    Verdict,
    Version,
    deployment_id,
)
from deployer.orders import Senseless
from deployer.ports import Answer, Clock, Function, LookAgain, Refused
from deployer.rollout import Step, Wait
from deployer.smoke import run_checks
from deployer.text import discreet

# Of an invocation's time, what is left for its answer when checks have used the rest.
_ANSWER_SECONDS = 10
_VERSION_CHARACTERS = 20

logger = Logger(json_serializer=log.serialized)
metrics = Metrics()
tracer = Tracer()


class LambdaClock:
    """The wall clock, and what is left of this invocation."""

    def __init__(self, context: LambdaContext) -> None:
        self._context = context

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def remaining(self) -> float:
        """Seconds until Lambda ends this invocation."""
        return self._context.get_remaining_time_in_millis() / 1000


class PowertoolsJournal(Journal):
    """Structured log lines with the deployment's id on them, and CloudWatch metrics."""

    def step(self, deployment: Deployment, step: Step) -> None:
        """Changes of phase at INFO; the turns in between, polls above all, at DEBUG."""
        logger.set_correlation_id(deployment.id)
        say = logger.info if step.phase is not deployment.phase else logger.debug
        action = type(step.action).__name__ if step.action and not isinstance(step.action, Wait) else None
        say(
            step.because,
            extra={
                "phase": step.phase,
                "was": deployment.phase,
                "action": action,
                "image": deployment.image.digest,
            },
        )

    def ended(self, deployment: Deployment) -> None:
        """Count the end, and how long it took from the push."""
        seconds = (deployment.since - deployment.requested_at).total_seconds()
        metrics.add_metric(f"Deployment{deployment.phase.title()}", MetricUnit.Count, 1)
        metrics.add_metric("SecondsFromPushToEnd", MetricUnit.Seconds, seconds)

    def note(self, message: str, deployment: Deployment | None = None) -> None:
        """Anything else worth a line."""
        if deployment:
            logger.set_correlation_id(deployment.id)
        logger.info(message)

    def undelivered(self, notice: Notice, channel: Channel, error: Exception) -> None:
        """Count the failed try; the sweep will try again."""
        metrics.add_metric("NotificationsUndelivered", MetricUnit.Count, 1)
        logger.error(
            f"the end of a deployment could not be told by {channel}; the sweep tries again",
            extra={"deployment": notice.deployment.id, "error": f"{type(error).__name__}: {error}"[:500]},
        )

    def given_up(self, notice: Notice, channel: Channel) -> None:
        """Count it. People are owed their message for ever, so this is about the chat or about programs."""
        metrics.add_metric("NotificationsGivenUp", MetricUnit.Count, 1)
        logger.error(
            f"the end of a deployment is not told by {channel} any more: it failed for a day",
            extra={"deployment": notice.deployment.id},
        )

    def unprotected(self, error: Exception) -> None:
        """Count it: an alarm tells people before ECR's lifecycle policy can get that far."""
        metrics.add_metric("LiveUnprotected", MetricUnit.Count, 1)
        logger.error("the tags live and previous could not be kept", extra={"error": f"{error}"[:500]})


@cache
def _settings() -> settings.Settings:
    return settings.read(os.environ)


def _controller(context: LambdaContext) -> Controller:
    given = _settings()
    service = Service(
        function=given.function_name,
        deployer=context.function_name,
        repository=given.repository,
        release_tag=given.release_tag,
        checks=given.checks,
        # Of every architecture: `live` is still on the old one when the stack's has just been changed.
        placeholders=frozenset({given.placeholder_digest, *placeholder.digests()}),
        limits=Limits(reverts=given.hold_after_reverts),
        place=Place(
            stack=given.stack_name,
            region=given.region,
            account=given.account,
            repository=given.repository,
            partition=given.partition,
        ),
    )
    ports = Ports(
        function=LambdaFunction(
            clients.client("lambda"), clients.invoker(), given.function_name, given.repository_uri
        ),
        registry=EcrRegistry(clients.client("ecr"), given.repository),
        ledger=DynamoLedger(clients.client("dynamodb"), given.table_name, given.function_name),
        notifier=SnsNotifier(clients.client("sns"), given.topic_arn, given.chat_topic_arn),
        announcer=EventBridgeAnnouncer(clients.client("events")),
        clock=LambdaClock(context),
    )
    return Controller(service, ports, holder=context.aws_request_id, journal=PowertoolsJournal())


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(capture_cold_start_metric=True)
@log.discreet_exceptions()
def on_event(event: object, context: LambdaContext) -> dict[str, Any] | str:
    """Take one event or command; see `events.py` for what they are.

    The answer is JSON, but HTML for a button on the dashboard, because a person reads it in a popup.
    """
    answer = _taken(event, context)
    if not events.from_widget(event):
        return answer
    return page.answer(answer, page.theme(event))


def _taken(event: object, context: LambdaContext) -> dict[str, Any]:
    given = _settings()
    try:
        meaning = events.parse(
            event,
            repository=given.repository,
            account=given.account,
            release_tag=given.release_tag,
            request_id=context.aws_request_id,
        )
    except BadCommand as error:
        metrics.add_metric("CommandRefused", MetricUnit.Count, 1)
        logger.error("a command that cannot be followed", extra={"because": str(error)})
        return {"error": str(error)}
    except Unreadable as error:
        metrics.add_metric("EventUnreadable", MetricUnit.Count, 1)
        logger.error("unreadable", extra={"because": str(error)})
        raise
    metrics.add_metric(f"Event{type(meaning).__name__}", MetricUnit.Count, 1)
    if isinstance(meaning, Ignored):
        logger.info("ignored", extra={"because": meaning.because})
        return {"ignored": meaning.because}
    controller = _controller(context)
    match meaning:
        case PushSeen(image, pushed_at, event_id):
            request = Deployment(deployment_id(pushed_at, event_id), image, Source.PUSH, pushed_at)
            controller.push(request)
            return {"deployment": request.id}
        case SweepDue():
            return _sweep(controller)
        case AlarmRang(alarm):
            controller.alarm(alarm)
            return {"told": alarm.name}
        case CheckAsked():
            return _check(meaning, controller)
        case _:
            return _follow(meaning, controller)


def _sweep(controller: Controller) -> dict[str, Any]:
    """A sweep that fails is not retried and not kept: the next one, in a minute, does the same."""
    try:
        controller.sweep()
    except Exception:
        metrics.add_metric("SweepFailed", MetricUnit.Count, 1)
        logger.exception("the sweep failed; the next one tries again")
        return {"failed": True}
    return {}


def _follow(command: CommandAsked, controller: Controller) -> dict[str, Any]:
    """A person waits for the answer, so whatever is in the way is one. The same request can be made again."""
    try:
        return _answer(command, controller)
    except Senseless as error:
        metrics.add_metric("CommandRefused", MetricUnit.Count, 1)
        logger.info("a command that makes no sense now", extra={"because": str(error)})
        return {"error": str(error)}
    except (LookAgain, Refused) as error:
        metrics.add_metric("CommandFailed", MetricUnit.Count, 1)
        logger.error("a command could not be followed", extra={"because": str(error)})
        return {"error": f"AWS did not let it be followed, or not to its end: {error}. Look, and ask again"}


def _answer(command: CommandAsked, controller: Controller) -> dict[str, Any]:
    match command:
        case HoldAsked(asked):
            return {"held": _told(controller.hold(asked))}
        case ResumeAsked(asked):
            return {"resumed": _told(controller.resume(asked))}
        case AbortAsked(asked, which):
            deployment = controller.abort(asked, which)
        case RollbackAsked(asked, to):
            deployment = controller.rollback(asked, to)
        case DeployAsked(asked, image, passes):
            deployment = controller.deploy(asked, image, Source.DEPLOY, passes)
        case RetryAsked(asked, image, passes):
            deployment = controller.deploy(asked, image, Source.RETRY, passes)
    return {"deployment": deployment.id, "phase": deployment.phase, "because": deployment.because}


class _Hurried:
    """The clock of somebody who keeps time to give an answer in."""

    def __init__(self, clock: Clock) -> None:
        self.now, self.sleep = clock.now, clock.sleep
        self._clock = clock

    def remaining(self) -> float:
        """Seconds that checks may still use."""
        return self._clock.remaining() - _ANSWER_SECONDS


class _Checked:
    """Invokes one version, or `live` as long as it is on that version."""

    def __init__(self, function: Function, version: Version, *, through_live: bool) -> None:
        self._function, self._version = function, version
        self._qualifier = LIVE if through_live else version.number

    def __call__(self, payload: bytes) -> Answer:
        answer = self._function.invoke(self._qualifier, payload)
        if answer.executed_version != self._version.number:
            answered = answer.executed_version[:_VERSION_CHARACTERS]
            raise LookAgain(f"version {answered} answered instead of {self._version.number}")
        return answer


def _check(asked: CheckAsked, controller: Controller) -> dict[str, Any]:
    """Run the checks now. It takes no lease and writes nothing, so it is in nobody's way."""
    function, checks = controller.ports.function, controller.service.checks
    try:
        version = function.version(asked.version) if asked.version else function.live()
        invoke = _Checked(function, version, through_live=asked.version is None)
        verdict = run_checks(checks, invoke, _Hurried(controller.clock))
    except (LookAgain, Refused) as error:
        metrics.add_metric("CommandFailed", MetricUnit.Count, 1)
        logger.error("checks came to no verdict", extra={"because": str(error), "by": asked.by})
        return {"error": f"no verdict: {discreet(str(error))}. Nothing was changed; ask again"}
    told = facts.of_verdict(_discreet(verdict)) or {}
    not_run = [check.name for check in checks[len(verdict.results) :]]
    logger.info(f"version {version.number}: {discreet(str(verdict))}", extra={"by": asked.by})
    return {**facts.of_version(version), **told, "not_run": not_run}


def _discreet(verdict: Verdict) -> Verdict:
    """Whoever may ask for checks sees them at once, with no message in between."""
    results = tuple(replace(result, actual=discreet(result.actual)) for result in verdict.results)
    return Verdict(results, discreet(verdict.log_tail))


def _told(hold: Hold) -> dict[str, str]:
    return {"id": hold.id, "by": hold.by, "because": hold.because, "since": hold.since.isoformat()}
