"""`deployer checks`, against a server that answers as AWS's runtime interface emulator does."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deployer.aws.function import MAXIMUM_PAYLOAD
from deployer.commands.parts.emulator import INVOCATIONS, Emulator
from deployer.ports import LookAgain
from deployer.smoke import Check, request_event
from tests.cli.conftest import Run, clean_environment
from tests.fakes import START

OK = {"statusCode": 200, "body": json.dumps({"status": "ok"})}
FAILING = {"statusCode": 503, "body": json.dumps({"status": "failing"})}
DIED = {"errorType": "Runtime.ImportModuleError", "errorMessage": "Unable to import module 'app'"}

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Container:
    """Answers each path of a check as it was told to, and keeps the events."""

    answers: dict[str, Answer] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def says(self, payload: object, path: str = "/health", status: int = 200, **headers: str) -> None:
        """Answer with this, whole."""
        body = json.dumps(payload).encode()

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name.replace("_", "-"), value)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

        self.answers[path] = answer


@pytest.fixture
def container() -> Iterator[Container]:
    made = Container()

    class Emulating(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            if self.path != INVOCATIONS:
                self.send_error(404)
                return
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.events.append(event)
            with suppress(OSError):  # a client that had enough
                made.answers[event["path"]](self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Emulating)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No AWS at all: this verb needs none."""
    return clean_environment(tmp_path)


def test_checks_that_pass_exit_with_0_and_say_what_came(container: Container, deployer: Run) -> None:
    container.says(OK)

    done = deployer("checks", "--url", container.url)

    assert done.returncode == 0, done.stderr
    assert 'GET /health: expected 200 with {"status": "ok"}, got 200 after 0.' in done.stdout
    assert done.stdout.startswith("ok ")


def test_the_event_is_the_one_that_the_deployer_sends(container: Container, deployer: Run) -> None:
    container.says(OK)

    deployer("checks", "--url", f"{container.url}/")

    [event] = container.events
    expected = json.loads(request_event(Check(), START))
    for each in (event, expected):
        del each["requestContext"]["requestTimeEpoch"]
    assert event == expected


def test_a_check_that_fails_exits_with_1_and_ends_it(container: Container, deployer: Run) -> None:
    container.says(OK)
    container.says(FAILING, "/orders")
    checks = [{"path": path, "tries": 2} for path in ("/health", "/orders", "/never")]

    done = deployer("checks", "--url", container.url, "--checks", json.dumps(checks))

    assert done.returncode == 1
    words = [line.split(":")[0] for line in done.stdout.splitlines()]
    assert words == ["ok      GET /health", "FAILED  GET /orders", "not run GET /never"]
    assert "got 503 after" in done.stdout
    assert "(2 tries)" in done.stdout


def test_checks_may_come_from_the_environment(
    container: Container, environment: dict[str, str], deployer: Run
) -> None:
    container.says({"statusCode": 404, "body": ""}, "/nothing")
    environment["CHECKS"] = '[{"path": "/nothing", "status": 404}]'

    done = deployer("checks", "--url", container.url)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("payload", "answered", "because"),
    [
        (DIED, {}, "got Runtime.ImportModuleError: Unable to import module 'app'"),
        (DIED, {"status": 502}, "got Runtime.ImportModuleError: Unable to import module 'app'"),
        (OK, {"X_Amz_Function_Error": "Unhandled"}, "got Unhandled: "),
        ("", {"status": 504}, 'got HTTP 504 from the emulator: ""'),
        ("Task timed out after 3.00 seconds", {}, "got no HTTP response: "),
        ({**OK, "errorType": "in a service's own answer"}, {}, "got 200 after"),
    ],
    ids=["died", "died at start", "header", "status", "timed out", "an answer after all"],
)
def test_an_invocation_that_died_is_told_as_the_deployer_would(
    container: Container, deployer: Run, payload: object, answered: dict[str, Any], because: str
) -> None:
    container.says(payload, **answered)

    done = deployer("checks", "--url", container.url)

    assert because in done.stdout


def test_with_json_stdout_is_one_object(container: Container, deployer: Run) -> None:
    container.says(FAILING)
    checks = json.dumps([{"path": "/health", "tries": 1}, {"path": "/never"}])

    done = deployer("checks", "--url", container.url, "--checks", checks, "--json")

    told = json.loads(done.stdout)
    assert (done.returncode, told["healthy"], told["not_run"]) == (1, False, ["GET /never"])
    assert told["results"][0]["expected"] == "200"


def test_a_container_that_starts_late_is_waited_for(container: Container, deployer: Run) -> None:
    """Docker's port is open before the container listens: the first connections are accepted and closed."""
    container.says(OK)
    with Doorkeeper(container.url, refusals=2) as door:
        done = deployer("checks", "--url", door.url)

    assert done.returncode == 0, done.stderr
    assert door.refusals == 0


def test_a_port_where_nothing_answers_exits_with_2(deployer: Run) -> None:
    done = deployer("checks", "--url", "http://127.0.0.1:9", "--wait", "0")

    assert done.returncode == 2
    assert "nothing answered at http://127.0.0.1:9 within 0 s. Start the container first" in done.stderr


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (("--url", "http://localhost:9", "--version", "7"), "--url and --version do not go together"),
        (("--version", "live"), "'live' is not a valid integer"),
        (("--url", "localhost:9000"), "not the URL of an emulator"),
        (("--url", "https://localhost"), "not the URL of an emulator"),
        (("--url", "http://localhost:port"), "--url is"),
        (("--url", "http://localhost/2015-03-31"), "not the URL of an emulator"),
        (("--url", "http://localhost:9", "--checks", "[]"), "CHECKS must be a JSON list"),
        (("--url", "http://localhost:9", "--wait", "-1"), "-1 is not in the range"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what(deployer: Run, words: tuple[str, ...], because: str) -> None:
    done = deployer("checks", *words)

    assert done.returncode == 2
    assert because in done.stderr


def test_a_server_that_is_no_emulator_exits_with_2(container: Container, deployer: Run) -> None:
    container.says("404 page not found", status=404)

    done = deployer("checks", "--url", container.url)

    assert done.returncode == 2
    assert "is no emulator: it answered HTTP 404" in done.stderr


def test_a_container_that_breaks_off_comes_to_no_verdict(container: Container, deployer: Run) -> None:
    def half(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"{")

    container.answers["/health"] = half

    done = deployer("checks", "--url", container.url)

    assert done.returncode == 1
    assert "no verdict: the connection ended in the middle of the answer" in done.stderr


def test_an_answer_without_an_end_is_cut_by_time(container: Container) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(b" ")
            threading.Event().wait(0.01)

    container.answers["/health"] = drip

    with pytest.raises(LookAgain, match=r"no complete answer within 0\.3 s"):
        Emulator(container.url, patience=0.3).invoke(b'{"path": "/health"}')


def test_headers_without_an_end_are_cut_by_time(container: Container) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        while True:
            request.wfile.write(b"x")
            threading.Event().wait(0.01)

    container.answers["/health"] = drip

    with pytest.raises(LookAgain, match=r"no complete answer within 0\.3 s"):
        Emulator(container.url, patience=0.3).invoke(b'{"path": "/health"}')


def test_a_silent_container_is_not_waited_for_for_ever(container: Container) -> None:
    over = threading.Event()

    def say_nothing(_: BaseHTTPRequestHandler) -> None:
        over.wait()

    container.answers["/health"] = say_nothing

    with pytest.raises(LookAgain, match=r"no complete answer within 0\.1 s"):
        Emulator(container.url, patience=0.1).invoke(b'{"path": "/health"}')
    over.set()


def test_an_answer_larger_than_lambda_allows_is_cut_there(container: Container) -> None:
    container.says("x" * (MAXIMUM_PAYLOAD + 1000))

    answer = Emulator(container.url).invoke(b'{"path": "/health"}')

    assert len(answer.payload) == MAXIMUM_PAYLOAD


def test_a_chunk_that_announces_a_size_of_minus_one_is_no_way_round_that(container: Container) -> None:
    """http.client reads such a chunk to the end of the connection, whatever it was asked for."""

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.protocol_version = "HTTP/1.1"
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"-1\r\n")
        while True:
            request.wfile.write(b"x" * 65536)

    container.answers["/health"] = endless

    answer = Emulator(container.url).invoke(b'{"path": "/health"}')

    assert len(answer.payload) == MAXIMUM_PAYLOAD


class Doorkeeper:
    """Closes the first connections as soon as they are made, and leads the others on."""

    def __init__(self, url: str, refusals: int) -> None:
        self.refusals = refusals
        host, port = url.removeprefix("http://").split(":")
        self._inside = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Doorkeeper:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                outer, _ = self._listener.accept()
                if self.refusals:
                    self.refusals -= 1
                    outer.close()
                else:
                    inner = socket.create_connection(self._inside)
                    for pair in ((outer, inner), (inner, outer)):
                        threading.Thread(target=_copy, args=pair, daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
