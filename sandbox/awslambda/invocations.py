"""Asynchronous invocations (`Event`): accepted at once, run when they can be, retried, told about at the end.

Source: AWS Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation" and
"Capturing records of Lambda asynchronous invocations"; records as recorded on AWS.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import ServiceException
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.awslambda.versions import LATEST, function_arn
from sandbox.running.programs import Invocation
from sandbox.telling import say

DEFAULT_RETRIES = 2
DEFAULT_AGE_SECONDS = 21_600
MOST_WAITING = 10_000
"""Queued invocations in all; AWS has no such limit, a laptop has."""
LONGEST_BACKOFF_SECONDS = 300.0
SYSTEM_ERRORS = frozenset(
    {"TooManyRequestsException", "ResourceConflictException", "CodeArtifactUserFailedException"}
)
"""Refusals Lambda waits out, up to the event's greatest age, instead of counting attempts."""


@dataclass(frozen=True)
class Queued:
    """One accepted event."""

    function: str
    qualifier: str | None
    payload: bytes
    request_id: str
    accepted: float
    """Monotonic seconds."""
    attempts: int = 0
    refusals: int = 0


@dataclass(frozen=True)
class Handling:
    """What the function's owner wants of failed events. Destinations are ARNs."""

    retries: int = DEFAULT_RETRIES
    age_seconds: int = DEFAULT_AGE_SECONDS
    on_success: str | None = None
    on_failure: str | None = None
    role_arn: str = ""


@dataclass(order=True)
class _Due:
    at: float
    number: int
    event: Queued = field(compare=False)


class Invocations:
    """The queue of asynchronous invocations. Order is not kept, as on AWS."""

    def __init__(
        self,
        *,
        run: Callable[[Queued], Invocation],
        handling: Callable[[Queued], Handling],
        send: Callable[[str, str, str], None],
        retry_delays: tuple[float, float],
        throttled_seconds: float = 1.0,
    ) -> None:
        """`run` invokes; `handling` is asked when an attempt has ended; `send` gets the role's ARN first.

        `retry_delays` are the seconds before the first and the second retry, `throttled_seconds` those before
        the next try of what was throttled, which double each time.
        """
        self._run = run
        self._handling = handling
        self._send = send
        self._retry_delays = retry_delays
        self._throttled_seconds = throttled_seconds
        self._changed = threading.Condition()
        self._waiting: list[_Due] = []
        self._numbers = itertools.count()
        self._under_way = 0
        self._stopped = False
        self._scheduler = threading.Thread(target=self._schedule, name="async invocations", daemon=True)
        self._scheduler.start()

    def accept(self, function: str, qualifier: str | None, payload: bytes, request_id: str) -> None:
        """Take an event. It is run soon, in a thread of its own."""
        with self._changed:
            self._add(0.0, Queued(function, qualifier, payload, request_id, time.monotonic()))
            self._under_way += 1

    @property
    def under_way(self) -> int:
        """How many events that were accepted have not come to their end: what waits, and what runs."""
        with self._changed:
            return self._under_way

    def stop(self) -> None:
        """Forget what still waits. What runs is not waited for: stop the runtime for that."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._scheduler.join()

    def _add(self, delay: float, event: Queued) -> None:
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                raise AwsError("TooManyRequestsException", "Rate Exceeded.", 429)
            heapq.heappush(self._waiting, _Due(time.monotonic() + delay, next(self._numbers), event))
            self._changed.notify_all()

    def _schedule(self) -> None:
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                while self._waiting and self._waiting[0].at <= now:
                    event = heapq.heappop(self._waiting).event
                    # A thread each: how many run at once is for the function's concurrency to say.
                    threading.Thread(
                        target=self._attempt, args=(event,), name=f"async {event.function}", daemon=True
                    ).start()
                self._changed.wait(self._waiting[0].at - now if self._waiting else None)

    def _attempt(self, event: Queued) -> None:
        again = False
        try:
            again = self._try(event)
        except Exception:  # noqa: BLE001 - in a thread of its own nobody else would ever see it
            say(f"bug in the sandbox's asynchronous invocations of {event.function}")
            traceback.print_exc(file=sys.stderr)
        finally:
            if not again:
                with self._changed:
                    self._under_way -= 1

    def _try(self, event: Queued) -> bool:
        """Whether it is to be tried again."""
        try:
            outcome = self._run(event)
        except AwsError as refusal:
            if self._stopped:
                return False
            if refusal.code not in SYSTEM_ERRORS and (refusal.status or 400) < 500:
                say(f"an event for {event.function} is lost, it cannot be invoked: {refusal}")
                return False
            return self._wait_out(event)
        if self._stopped:
            return False
        event = replace(event, attempts=event.attempts + 1)
        handling = self._handling(event)
        if outcome.function_error is None:
            self._tell(handling.on_success, event, handling, "Success", outcome)
        elif event.attempts > handling.retries:
            self._tell(handling.on_failure, event, handling, "RetriesExhausted", outcome)
        else:
            delay = self._retry_delays[min(event.attempts, len(self._retry_delays)) - 1]
            if _age(event) + delay <= handling.age_seconds:
                self._add(delay, event)
                return True
            self._tell(handling.on_failure, event, handling, "EventAgeExceeded", outcome)
        return False

    def _wait_out(self, event: Queued) -> bool:
        handling = self._handling(event)
        # Each a little otherwise: events that are refused together and come back together are refused again.
        backoff = self._throttled_seconds * 2.0**event.refusals
        delay = min(backoff, LONGEST_BACKOFF_SECONDS) * random.uniform(0.5, 1.0)
        if _age(event) + delay > handling.age_seconds:
            self._tell(handling.on_failure, event, handling, "EventAgeExceeded", None)
            return False
        self._add(delay, replace(event, refusals=event.refusals + 1))
        return True

    def _tell(
        self,
        destination: str | None,
        event: Queued,
        handling: Handling,
        condition: str,
        outcome: Invocation | None,
    ) -> None:
        if not destination:
            return
        record = json.dumps(invocation_record(event, condition, outcome), ensure_ascii=False)
        try:
            self._send(handling.role_arn, destination, record)
        except (AwsError, ServiceException) as problem:
            # AWS counts these as DestinationDeliveryFailures and drops the record.
            say(f"could not deliver to {destination}: {problem}")


def invocation_record(event: Queued, condition: str, outcome: Invocation | None) -> dict[str, Any]:
    """What a destination gets about one event."""
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": function_arn(event.function, event.qualifier or LATEST),
            "condition": condition,
            "approximateInvokeCount": event.attempts,
        },
        "requestPayload": _json_or_text(event.payload),
    }
    if outcome is not None:
        record["responseContext"] = {
            "statusCode": outcome.status,
            "executedVersion": outcome.executed_version,
            **({"functionError": outcome.function_error} if outcome.function_error else {}),
        }
        record["responsePayload"] = _json_or_text(outcome.payload)
    return record


def send_to_account(arn: str, body: str) -> None:
    """Deliver to a queue or a topic of this account. Raises moto's ServiceException when there is none."""
    if arn.split(":")[2] == "sqs":
        sqs_backends[ACCOUNT][REGION].send_message(arn.rpartition(":")[2], body)
    else:
        sns_backends[ACCOUNT][REGION].publish(body, arn=arn)


def _age(event: Queued) -> float:
    return time.monotonic() - event.accepted


def _json_or_text(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")
