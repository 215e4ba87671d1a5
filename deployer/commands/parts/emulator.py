"""A container behind AWS's Lambda runtime interface emulator, invoked over HTTP.

https://docs.aws.amazon.com/lambda/latest/dg/images-test.html. The emulator knows one path, answers 404 to
all others, and tells of an invocation that died in several ways: `errorType` in an answer of status 200, a
status of its own, or, on time-outs, a sentence.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, IncompleteRead
from urllib.parse import urlsplit

from deployer import web
from deployer.aws.function import MAXIMUM_PAYLOAD
from deployer.ports import Answer, LookAgain
from deployer.smoke import INVOCATION_SECONDS
from deployer.text import line

INVOCATIONS = "/2015-03-31/functions/function/invocations"
_LOOK_SECONDS = 3.0
_TOLD = 200  # bytes of somebody else's words that are passed on


class NoEmulator(Exception):
    """What answers is something else; the message says what it answered."""


@dataclass(frozen=True)
class _Response:
    status: int
    function_error: str | None
    body: bytes


class Emulator:
    """The emulator at `url`, such as http://localhost:9000. Raises ValueError if it is no such URL.

    `patience` is how long an invocation may take, in seconds, from the connection to the last byte.
    """

    def __init__(self, url: str, patience: float = INVOCATION_SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError(f"not the URL of an emulator, such as http://localhost:9000: {url[:120]!r}")
        self._host, self._port = parts.hostname, parts.port or 80
        self._patience = patience

    def answers(self) -> bool:
        """Does anything answer HTTP there? Docker's port is open before the container listens."""
        with suppress(LookAgain):
            return self._exchange("GET", "/", None, _LOOK_SECONDS).status > 0
        return False

    def invoke(self, payload: bytes) -> Answer:
        """Invoke the function. Raises `LookAgain` if no complete answer came, `NoEmulator` for 404 or 405."""
        response = self._exchange("POST", INVOCATIONS, payload, self._patience)
        if response.status in (404, 405):
            raise NoEmulator(f"HTTP {response.status} to POST {INVOCATIONS}")
        return Answer(response.body, _function_error(response), log_tail="", executed_version="")

    def _exchange(self, method: str, path: str, body: bytes | None, seconds: float) -> _Response:
        connection = HTTPConnection(self._host, self._port, timeout=seconds)
        try:
            connection.connect()
            with _cut_after(seconds, connection.sock):
                connection.request(method, path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = web.read(answer, MAXIMUM_PAYLOAD, seconds)
        except TimeoutError as error:
            raise LookAgain(f"no complete answer within {seconds:g} s") from error
        except IncompleteRead as error:
            raise LookAgain("the connection ended in the middle of the answer") from error
        except (OSError, HTTPException) as error:
            raise LookAgain(f"no answer: {line(str(error), _TOLD) or type(error).__name__}") from error
        finally:
            connection.close()
        return _Response(answer.status, answer.getheader("X-Amz-Function-Error"), content)


@contextmanager
def _cut_after(seconds: float, wire: socket.socket) -> Iterator[None]:
    """End the conversation when the time is over: raises `TimeoutError`.

    The socket's own time-out begins anew with every byte, so that an endless writer would be listened to.
    """
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):  # it has ended by itself
            wire.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, HTTPException) as error:
        if late.is_set():
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
    if late.is_set():
        raise TimeoutError


def _function_error(response: _Response) -> str | None:
    """As Lambda would have said it: did the code die instead of answering?"""
    if response.function_error:
        return response.function_error
    if not 200 <= response.status < 300:
        return f"HTTP {response.status} from the emulator"
    try:
        told = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    died = isinstance(told, dict) and "errorType" in told and "statusCode" not in told
    return "Unhandled" if died else None
