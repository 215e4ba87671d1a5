"""EventBridge's deliveries: events meet rules, matches go to their targets.

Rules, targets and patterns live in moto; moto delivers nothing to Lambda, so this file does. Lambda
functions and SQS queues are delivered to, with their own policies asked first. An event that
cannot be delivered goes to the target's dead-letter queue, as on AWS, and is lost without one.
Source: EventBridge User Guide, "Event retry policy and using dead-letter queues".
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from moto.events.models import Rule, events_backends
from moto.events.utils import EventMessageType as Event
from moto.sqs.exceptions import QueueDoesNotExist
from moto.sqs.models import sqs_backends

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.door.policy import Document, refusal_of_service
from sandbox.telling import say

_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


def arn_of_bus(name: str) -> str:
    """The ARN of an event bus of this account."""
    return f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}"


class UndeliverableError(Exception):
    """A target did not take an event. `code` is what EventBridge writes into the dead letter."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def default_bus_rules() -> list[Rule]:
    """The rules that moto holds for the default bus."""
    return list(events_backends[ACCOUNT][REGION].event_buses["default"].rules.values())


class Bus:
    """The default event bus and its schedules. Safe to use from several threads.

    `invoke_async(function_arn, payload)` hands an event to Lambda, `function_policy(function_arn)` is the
    function's resource policy, None when it has none; both raise AwsError when Lambda refuses.
    `schedule_factor`: how many times faster than the clock `rate(...)` schedules tick, for tests.
    """

    def __init__(
        self,
        invoke_async: Callable[[str, bytes], object],
        function_policy: Callable[[str], Document | None],
        schedule_factor: float = 1.0,
        rules: Callable[[], Sequence[Rule]] = default_bus_rules,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._invoke_async = invoke_async
        self._function_policy = function_policy
        self._schedule_factor = schedule_factor
        self._rules = rules
        self._now = now
        # One thread: whoever puts an event never waits for a target, and the order stays understandable.
        self._deliveries = ThreadPoolExecutor(max_workers=1, thread_name_prefix="eventbridge")
        self._stopping = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="eventbridge-schedules", daemon=True)

    def start(self) -> None:
        """Begin to tick the schedules."""
        self._ticker.start()

    def close(self) -> None:
        """Stop the schedules and finish the deliveries under way."""
        self._stopping.set()
        if self._ticker.is_alive():
            self._ticker.join()
        self._deliveries.shutdown()

    def put_event(
        self,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str] = (),
        at: datetime | None = None,
    ) -> str:
        """Put an event as a service of AWS does, and give its id. Delivery happens in the background."""
        event = self._envelope(source, detail_type, detail, resources, at)
        for rule in self._rules():
            # moto takes a missing pattern for one that matches everything; such a rule is a schedule.
            if (
                rule.state == "ENABLED"
                and rule.event_pattern.dump()
                and rule.event_pattern.matches_event(event)
            ):
                self._dispatch(rule, event)
        return str(event["id"])

    def fire(self, rule: Rule) -> None:
        """Let a scheduled rule tick now."""
        self._dispatch(rule, self._envelope("aws.events", "Scheduled Event", {}, [rule.arn]))

    # --- delivery -------------------------------------------------------------------------------------

    def _envelope(
        self,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str] = (),
        at: datetime | None = None,
    ) -> Event:
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT,
            "time": (at.astimezone(UTC) if at else self._now()).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": REGION,
            "resources": list(resources),
            "detail": dict(detail),
        }

    def _dispatch(self, rule: Rule, event: Event) -> None:
        for target in list(rule.targets):
            delivery = self._deliveries.submit(self._deliver, rule.arn, target, event)
            delivery.add_done_callback(_report_bug)

    def _deliver(self, rule_arn: str, target: Mapping[str, Any], event: Event) -> None:
        body = target.get("Input") or json.dumps(event, ensure_ascii=False)
        try:
            self._hand_over(rule_arn, target, body)
        except UndeliverableError as problem:
            say(f"{rule_arn} could not deliver to {target['Arn']}: {problem}")
            self._bury(rule_arn, target, body, problem)

    def _hand_over(self, rule_arn: str, target: Mapping[str, Any], body: str) -> None:
        arn = target["Arn"]
        if unknown := {"InputPath", "InputTransformer"} & target.keys():
            raise UndeliverableError("INVALID_PARAMETER", f"{unknown.pop()} is not known to the sandbox")
        service = arn.split(":")[2]
        if service == "lambda":
            try:
                self._require_permission(self._function_policy(arn), "lambda:InvokeFunction", arn, rule_arn)
                self._invoke_async(arn, body.encode())
            except AwsError as refusal:
                missing = refusal.code == "ResourceNotFoundException"
                raise UndeliverableError(
                    "NO_RESOURCE" if missing else "ERROR_FROM_TARGET", refusal.message
                ) from None
        elif service == "sqs":
            self._send(rule_arn, arn, body, {})
        else:
            message = f"the sandbox delivers events to Lambda and SQS, not to {service}"
            raise UndeliverableError("INVALID_PARAMETER", message)

    def _require_permission(self, policy: Document | None, action: str, arn: str, rule_arn: str) -> None:
        refusal = refusal_of_service(policy, "events.amazonaws.com", action, arn, rule_arn)
        if refusal:
            raise UndeliverableError("NO_PERMISSIONS", refusal)

    def _send(self, rule_arn: str, queue_arn: str, body: str, attributes: Mapping[str, str]) -> None:
        name = queue_arn.rpartition(":")[2]
        queues = sqs_backends[ACCOUNT][REGION]
        try:
            queue = queues.get_queue(name)
        except QueueDoesNotExist:
            raise UndeliverableError("NO_RESOURCE", f"there is no queue {queue_arn}") from None
        policy = json.loads(queue.policy) if queue.policy else None
        self._require_permission(policy, "sqs:SendMessage", queue_arn, rule_arn)
        typed = {
            key: {"DataType": "String", "StringValue": value} for key, value in attributes.items() if value
        }
        queues.send_message(name, body, message_attributes=typed)

    def _bury(self, rule_arn: str, target: Mapping[str, Any], body: str, problem: UndeliverableError) -> None:
        queue_arn = target.get("DeadLetterConfig", {}).get("Arn")
        if queue_arn is None:
            return
        attributes = {
            "RULE_ARN": rule_arn,
            "TARGET_ARN": target["Arn"],
            "ERROR_CODE": problem.code,
            "ERROR_MESSAGE": str(problem),
            "RETRY_ATTEMPTS": "0",  # the sandbox tries once
        }
        try:
            self._send(rule_arn, queue_arn, body, attributes)
        except UndeliverableError as second:
            say(f"{rule_arn} lost an event, its dead-letter queue did not take it: {second}")

    # --- schedules ------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """`rate(...)` rules fire one period after they were first seen, then every period."""
        due: dict[str, float] = {}
        untold: set[str] = set()
        while not self._stopping.wait(0.1):
            now = time.monotonic()
            scheduled = {rule.name: rule for rule in self._rules() if rule.scheduled_expression}
            for name in due.keys() - scheduled.keys():
                del due[name]
            for name, rule in scheduled.items():
                seconds = _period(rule.scheduled_expression or "")
                if seconds is None:
                    if name not in untold:
                        untold.add(name)
                        say(
                            f"the schedule {name} never ticks here: the sandbox runs rate(...), not "
                            f"{rule.scheduled_expression}"
                        )
                    continue
                period = seconds / self._schedule_factor
                if now >= due.setdefault(name, now + period):
                    due[name] = now + period
                    if rule.state == "ENABLED":
                        self.fire(rule)


def _period(expression: str) -> float | None:
    """Seconds between two ticks of `rate(5 minutes)`; None for anything else."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    return int(rate[1]) * _SECONDS[rate[2]] if rate else None


def _report_bug(delivery: Future[None]) -> None:
    """A delivery's own errors are handled in it; what arrives here would otherwise vanish with its thread."""
    if error := delivery.exception():
        say(f"bug in the sandbox's EventBridge: {error!r}")
