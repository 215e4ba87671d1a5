"""The server of `deployer dashboard`: on the loopback alone, for whoever has the key.

Other people may be on the machine, and other pages in the browser. So: the key is in the fragment of the
address that is printed, which no browser sends anywhere, and goes with each request of the shell; a request
whose Host or Origin is another's is refused (CSRF, and DNS rebinding:
https://owasp.org/www-community/attacks/csrf); bodies are bounded; and of what a button says, only commands
for this stack's deployer get any further.
"""

from __future__ import annotations

import hmac
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click

from deployer.commands.parts.target import Unusable, plain
from deployer.text import shown

HOST = "127.0.0.1"
MOST_BYTES = 64 * 1024  # of a request's body
VERBS = frozenset({"hold", "resume", "rollback", "retry", "abort", "deploy"})
_KEYS = frozenset({"command", "request", "digest", "hold", "deployment", "to"})
_FIELD = {"by": 700, "because": 200}  # characters, as events.py takes them
_SECONDS = 60  # for a browser to send what it announced
_FILES = {
    "/": ("shell.html", "text/html"),
    "/shell.css": ("shell.css", "text/css"),
    "/shell.js": ("shell.js", "text/javascript"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Unfit(Exception):
    """A request that is not followed; the message says why."""


@dataclass(frozen=True)
class Doors:
    """What the shell may reach. Both functions raise `Unusable`."""

    look: Callable[[Mapping[str, object]], object]  # invoke the dashboard's function
    act: Callable[[Mapping[str, object]], object]  # invoke the deployer's
    deployer: str  # its name
    service: str
    by: str  # who the person is


class Console(ThreadingHTTPServer):
    """`port` 0 takes any free one."""

    daemon_threads = True

    def __init__(self, doors: Doors, key: str, port: int = 0) -> None:
        super().__init__((HOST, port), _Handler)
        self.doors, self.key = doors, key

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  the base class's
        """A browser that went away is nothing to tell; anything else is told in one line."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            click.echo(f"deployer: a request failed: {plain(f'{type(error).__name__}: {error}')}", err=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The address, key included. Whoever has it can act as the person who started this."""
        return f"http://{HOST}:{self.port}/#{self.key}"


class _Handler(BaseHTTPRequestHandler):
    timeout = _SECONDS
    server: Console
    server_version, sys_version = "deployer", ""

    def do_GET(self) -> None:
        """The shell's files. There is nothing in them that is not in the source."""
        if not self._at_home():
            return
        name, kind = _FILES.get(self.path, ("", ""))
        if not name:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "there is no such page"})
            return
        self._send(HTTPStatus.OK, f"{kind}; charset=utf-8", (Path(__file__).parent / name).read_bytes())

    def do_POST(self) -> None:
        """Look, or act."""
        if not self._at_home():
            return
        given = self.headers.get("X-Key", "")
        if not hmac.compare_digest(given.encode(), self.server.key.encode()):
            self.close_connection = True  # its body is not read
            why = "the key is missing or wrong: open the address that `deployer dashboard` printed, whole"
            self._answer(HTTPStatus.FORBIDDEN, {"error": why})
            return
        try:
            body = self._body()
            match self.path:
                case "/look":
                    told = _looked(body, self.server.doors)
                case "/act":
                    told = _acted(body, self.server.doors)
                case _:
                    self._answer(HTTPStatus.NOT_FOUND, {"error": "there is no such page"})
                    return
        except Unfit as error:
            self.close_connection = True
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except Unusable as error:
            self._answer(HTTPStatus.BAD_GATEWAY, {"error": error.message})
        else:
            self._answer(HTTPStatus.OK, told)

    def _at_home(self) -> bool:
        """Was it sent to this very server, by a page of this very server?"""
        homes = {f"{HOST}:{self.server.port}", f"localhost:{self.server.port}"}
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if host in homes and (origin is None or origin == f"http://{host}"):
            return True
        self.close_connection = True
        self._answer(HTTPStatus.FORBIDDEN, {"error": "this is for the page of this server alone"})
        return False

    def _body(self) -> dict[str, object]:
        if self.headers.get_content_type() != "application/json":
            raise Unfit("the body is not announced as JSON")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal() and int(length[:9]) <= MOST_BYTES):
            raise Unfit(f"the body's length is missing, or more than {MOST_BYTES} bytes")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise Unfit("the body is not JSON") from None
        if not isinstance(body, dict):
            raise Unfit("the body is no JSON object")
        return body

    def _answer(self, status: HTTPStatus, told: Mapping[str, object]) -> None:
        self._send(status, "application/json", json.dumps(told).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Nothing: the terminal is the person's, and a request's line is foreign text."""


def _looked(context: Mapping[str, object], doors: Doors) -> dict[str, object]:
    """The page, drawn anew. `context` is what CloudWatch calls `widgetContext`; the function distrusts it."""
    html = doors.look({"widgetContext": context})
    if not isinstance(html, str):
        raise Unusable(f"the dashboard's function answered no page but {plain(shown(html, 200))}")
    return {"html": html, "by": doors.by, "service": doors.service}


def _acted(body: Mapping[str, object], doors: Doors) -> dict[str, object]:
    """A button's command, followed. Who may do so is for AWS to say."""
    endpoint, command = body.get("endpoint"), body.get("command")
    if not isinstance(endpoint, str) or endpoint.rpartition(":function:")[2] != doors.deployer:
        raise Unfit(f"the button does not go to this stack's deployer but to {plain(shown(endpoint, 120))}")
    verb = command.get("command") if isinstance(command, dict) else None
    if not isinstance(command, dict) or not isinstance(verb, str) or verb not in VERBS:
        raise Unfit(f"the button asks for no command that may be given here: {plain(shown(command, 120))}")
    for name, value in command.items():
        if name not in _KEYS or not isinstance(value, str) or len(value) > 200:
            raise Unfit(f"the button's command has something else in it: {plain(shown(name))}")
    given = body.get("forms")
    forms = given if isinstance(given, dict) else {}
    fields = {name: said[:most] for name, most in _FIELD.items() if isinstance(said := forms.get(name), str)}
    theme = "dark" if body.get("theme") == "dark" else "light"
    told = doors.act({**command, "widgetContext": {"theme": theme, "forms": {"all": fields}}})
    return {"html": told} if isinstance(told, str) else {"json": told}
