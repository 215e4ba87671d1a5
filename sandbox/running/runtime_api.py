"""The Runtime API, as one worker sees it: the way invocations get into a worker process and results out.

Source: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".
"""

from __future__ import annotations

import json
import queue
import socket
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

PREFIX = "/2018-06-01/runtime"
MOST_RESPONSE_BYTES = 6_291_556
"""6 MB and a little, the number AWS's error message names."""
MOST_ERROR_BYTES = 1_048_576


@dataclass(frozen=True)
class Request:
    """One invocation on its way into the worker."""

    request_id: str
    payload: bytes
    deadline_ms: int
    invoked_arn: str
    trace_header: str


@dataclass(frozen=True)
class Report:
    """What a worker says, or what becomes of it.

    `ready`: it asks for its first invocation. `response`, `error`: an invocation's result. `init_error`: its
    code could not be loaded. `too_large`: a response over the limit. `exited`: the process is gone.
    """

    kind: Literal["ready", "response", "error", "init_error", "too_large", "exited"]
    request_id: str = ""
    body: bytes = b""
    status: int = 0


class RuntimeApi:
    """An HTTP endpoint on loopback for one worker; `reports` has what the worker says, in order."""

    def __init__(self) -> None:
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self.requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._ready = False
        api = self

        class Handler(_Handler):
            runtime = api

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="runtime api", daemon=True)
        self._thread.start()

    def next(self) -> Request | None:
        """Wait for an invocation; None when there will be none."""
        if not self._ready:
            self._ready = True
            self.reports.put(Report("ready"))
        return self.requests.get()

    def close(self) -> None:
        """Stop serving. A worker still waiting for an invocation is sent away."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self.requests.put(None)
        self._server.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread in _serve
        self._thread.join()
        self._server.server_close()

    def _serve(self) -> None:
        while not self._closed:  # `serve_forever` would wake several times a second for every worker
            self._server.handle_request()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A worker that dies cuts its connection, which is no news: its exit is reported. The rest is."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # any socket will do


class _Handler(BaseHTTPRequestHandler):
    runtime: RuntimeApi
    protocol_version = "HTTP/1.1"
    # Headers and body leave in two writes: without this each answer waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the sandbox's log is not for its own plumbing."""

    def do_GET(self) -> None:
        if self.path != f"{PREFIX}/invocation/next":
            self._answer(404, b"{}")
            return
        request = self.runtime.next()
        if request is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request.request_id,
            "Lambda-Runtime-Deadline-Ms": str(request.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": request.invoked_arn,
            "Lambda-Runtime-Trace-Id": request.trace_header,
        }
        self._answer(200, request.payload, headers)

    def do_POST(self) -> None:
        *_, request_id, last = self.path.split("/")
        is_response = last == "response"
        body = self._body(MOST_RESPONSE_BYTES if is_response else MOST_ERROR_BYTES)
        if body is None:
            self.runtime.reports.put(Report("too_large", request_id))
            self._answer(413, json.dumps({"errorType": "RequestEntityTooLarge"}).encode())
            return
        if self.path == f"{PREFIX}/init/error":
            report = Report("init_error", body=body)
        elif self.path == f"{PREFIX}/invocation/{request_id}/{last}" and last in {"response", "error"}:
            report = Report("response" if is_response else "error", request_id, body)
        else:
            self._answer(404, b"{}")
            return
        # First the report: once answered, a worker may exit, and that must not be heard of before its reason.
        self.runtime.reports.put(report)
        self._answer(202, b'{"status": "OK"}')

    def _body(self, most: int) -> bytes | None:
        """The request's body, or None (read and dropped) when it is over the limit."""
        length = int(self.headers.get("Content-Length") or 0)
        if length <= most:
            return self.rfile.read(length)
        while length > 0 and (chunk := self.rfile.read(min(length, 1_048_576))):
            length -= len(chunk)
        return None

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            # The worker died meanwhile; whoever waits for it hears that it has exited.
            self.close_connection = True
