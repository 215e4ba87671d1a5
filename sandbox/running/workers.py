"""One worker: a process or container that runs one version of a function, one invocation at a time.

Sources: AWS Lambda Developer Guide, "Understanding the Lambda execution environment lifecycle";
error payloads as recorded on AWS.
"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty

from sandbox.account import Credentials
from sandbox.running.logs import WorkerLog, WriteLog
from sandbox.running.process import Launch, Process, Start
from sandbox.running.programs import Invocation, Program
from sandbox.running.runtime_api import MOST_RESPONSE_BYTES, Report, Request, RuntimeApi
from sandbox.running.worker_environment import trace_header

INIT_SECONDS = 10.0
"""What Lambda gives the init phase before it counts against the function's own timeout."""
WATCH_SECONDS = 0.05
"""How often a running worker's memory is looked at."""


@dataclass(frozen=True)
class Failure:
    """A FunctionError's payload, and the end of the REPORT line about it."""

    error_type: str
    payload: bytes
    status: str


class Worker:
    """A process with its Runtime API and its log. Not thread-safe: one caller at a time."""

    def __init__(
        self,
        program: Program,
        start: Start,
        *,
        credentials: Credentials,
        endpoint_url: str,
        write_log: WriteLog,
    ) -> None:
        """`start` may raise CannotRunError, and then nothing is left of the worker."""
        self.program = program
        self.access_key = credentials.access_key
        self.usable = True
        self.idle_since = time.monotonic()
        self._api = RuntimeApi()
        self._started = time.monotonic()
        self._init_reported = False
        read_end, write_end = os.pipe()
        stream = f"{datetime.now(UTC):%Y/%m/%d}/[{program.version}]{uuid.uuid4().hex}"
        self._log = WorkerLog(read_end, program.role_arn, program.log_group, stream, write_log)
        launch = Launch(
            program=program,
            credentials=credentials,
            endpoint_url=endpoint_url,
            log_stream=stream,
            runtime_api=self._api.address,
            output=write_end,
            exited=self._exited,
            say=self._log.platform,
        )
        try:
            self._process: Process = start(launch)
        except BaseException:
            self._api.close()
            self._log.close()
            raise

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def function(self) -> str:
        return self.program.function

    def die(self) -> None:
        """Kill the process and all it started, and see that it is gone. `run` tells what came of it."""
        self._kill()
        self._process.join()

    def run(self, payload: bytes, request_id: str, invoked_arn: str) -> Invocation:
        """Run one invocation to its end. Afterwards `usable` says whether the worker can run another."""
        problem, init_ms = None, None
        if self._init_reported:
            self._log.begin()
        else:  # the log of the init phase belongs to the first invocation
            problem = self._wait_for_init(request_id)
            self._process.settle()
            init_ms = (time.monotonic() - self._started) * 1000
            self._init_reported = True
        self._log.platform(f"START RequestId: {request_id} Version: {self.program.version}")
        started = time.monotonic()
        if problem is None:
            self._api.requests.put(
                Request(
                    request_id=request_id,
                    payload=payload,
                    deadline_ms=int((time.time() + self.program.timeout_seconds) * 1000),
                    invoked_arn=invoked_arn,
                    trace_header=trace_header(sampled=self.program.traced),
                )
            )
            outcome = self._wait(started + self.program.timeout_seconds)
            problem = self._failure(outcome, request_id)
        else:
            outcome = None
        self._process.settle()
        self._platform_end(request_id, time.monotonic() - started, init_ms, problem)
        tail = self._log.tail()
        self.idle_since = time.monotonic()
        if problem is not None:
            return Invocation(request_id, 200, problem.payload, self.program.version, "Unhandled", tail)
        body = outcome.body if outcome else b"null"
        return Invocation(request_id, 200, body, self.program.version, None, tail)

    def stop(self) -> None:
        """End the process and everything it started."""
        self.usable = False
        self._kill()
        self._process.join()
        self._api.close()
        self._log.close()

    # --- the process ----------------------------------------------------------------------------------

    def _exited(self, status: int) -> None:
        self.usable = False
        self._api.reports.put(Report("exited", status=status))

    def _kill(self) -> None:
        self.usable = False
        self._process.kill()

    # --- waiting --------------------------------------------------------------------------------------

    def _wait(self, until: float) -> Report | None:
        """The next report, or None when time is up. A process over its memory is killed meanwhile."""
        while True:
            remaining = until - time.monotonic()
            if remaining <= 0:
                return None
            try:
                return self._api.reports.get(timeout=min(remaining, WATCH_SECONDS))
            except Empty:
                if self._process.exceeds(self.program.memory_mb):
                    self._kill()  # the report that it has exited follows

    def _wait_for_init(self, request_id: str) -> Failure | None:
        report = self._wait(self._started + INIT_SECONDS + self.program.timeout_seconds)
        if report is not None and report.kind == "ready":
            return None
        failure = self._failure(report, request_id)
        if failure is not None:
            milliseconds = (time.monotonic() - self._started) * 1000
            self._log.platform(
                f"INIT_REPORT Init Duration: {milliseconds:.2f} ms\tPhase: init\tStatus: {failure.status}"
            )
        return failure

    def _failure(self, outcome: Report | None, request_id: str) -> Failure | None:
        """What went wrong, if anything did. Every failure but the handler's own exception ends the worker."""
        if outcome is None:
            self._kill()
            self._process.settle()
            seconds = f"{self.program.timeout_seconds:.2f}"
            moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
            self._log.platform(f"{moment}Z {request_id} Task timed out after {seconds} seconds")
            message = f"RequestId: {request_id} Error: Task timed out after {seconds} seconds"
            return _failure("Sandbox.Timedout", message, "timeout")
        if outcome.kind == "response":
            return None
        if outcome.kind == "error":
            return Failure(_error_type(outcome.body), outcome.body, "error")
        self._kill()
        self._process.settle()
        if outcome.kind == "init_error":
            return Failure(
                _error_type(outcome.body), outcome.body, f"error\tError Type: {_error_type(outcome.body)}"
            )
        if outcome.kind == "too_large":
            message = (
                f"Response payload size exceeded maximum allowed payload size ({MOST_RESPONSE_BYTES} bytes)."
            )
            return _failure("Function.ResponseSizeTooLarge", message, "error")
        message = f"RequestId: {request_id} Error: {_exit_reason(outcome.status)}"
        self._log.platform(f"{message}\nRuntime.ExitError")
        return _failure("Runtime.ExitError", message, "error")

    def _platform_end(
        self, request_id: str, seconds: float, init_ms: float | None, problem: Failure | None
    ) -> None:
        milliseconds = seconds * 1000
        billed = int(milliseconds) + 1
        fields = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {milliseconds:.2f} ms",
            f"Billed Duration: {billed} ms",
            f"Memory Size: {self.program.memory_mb} MB",
            f"Max Memory Used: {self._process.peak_mb()} MB",
        ]
        if init_ms is not None:
            fields.append(f"Init Duration: {init_ms:.2f} ms")
        if problem is not None and not self.usable:
            fields.append(f"Status: {problem.status}")
        self._log.platform(f"END RequestId: {request_id}")
        self._log.platform("\t".join(fields) + "\t")


def failed_before_start(
    program: Program, request_id: str, error_type: str, reason: str
) -> tuple[Invocation, list[str]]:
    """An invocation whose process could not even begin, and its log lines."""
    message = f"RequestId: {request_id} Error: {reason}"
    lines = [
        f"START RequestId: {request_id} Version: {program.version}",
        f"{message}\n{error_type}",
        f"END RequestId: {request_id}",
        f"REPORT RequestId: {request_id}\tDuration: 0.00 ms\tBilled Duration: 1 ms\t"
        f"Memory Size: {program.memory_mb} MB\tMax Memory Used: 0 MB\t"
        f"Status: error\tError Type: {error_type}\t",
    ]
    failure = _failure(error_type, message, "error")
    tail = "".join(f"{line}\n" for line in lines).encode()
    return Invocation(request_id, 200, failure.payload, program.version, "Unhandled", tail), lines


def _failure(error_type: str, message: str, status: str) -> Failure:
    payload = json.dumps({"errorType": error_type, "errorMessage": message}).encode()
    return Failure(error_type, payload, status if status == "timeout" else f"error\tError Type: {error_type}")


def _error_type(body: bytes) -> str:
    try:
        return str(json.loads(body)["errorType"])
    except (ValueError, KeyError, TypeError):
        return "Unknown"


def _exit_reason(status: int) -> str:
    if status == 0:
        return "Runtime exited without providing a reason"
    if status > 0:
        return f"Runtime exited with error: exit status {status}"
    name = (signal.strsignal(-status) or f"signal {-status}").lower()
    return f"Runtime exited with error: signal: {name}"
