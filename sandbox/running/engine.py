"""A Docker engine, as far as the sandbox needs one: containers of pulled images, over its Unix socket.

The engine's own API, not its client: values of environment variables stay off command lines, and a refusal is
told as the engine says it. Source: docs.docker.com/reference/api/engine/version/v1.41.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

_VERSION = "/v1.41"  # of Docker 20.10, which Debian 12 has; newer engines still speak it
_DEFAULT = "unix:///var/run/docker.sock"
_SECONDS = 60.0
_PULL_SECONDS = 600.0
_MOST_TEXT = 500


class EngineError(Exception):
    """The engine refused, or does not answer; the text is its own. `status` is 0 when it does not answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text[:_MOST_TEXT])
        self.status = status


class Engine:
    """The engine at DOCKER_HOST, or where Docker puts it. Thread-safe: a connection per call."""

    def __init__(self) -> None:
        host = os.environ.get("DOCKER_HOST") or _DEFAULT
        if not host.startswith("unix://"):
            raise EngineError(
                f"DOCKER_HOST is {host}, but functions reach the sandbox on this machine's loopback only: "
                "it needs an engine on this machine, at a Unix socket"
            )
        self._path = host.removeprefix("unix://")

    def version(self) -> str:
        """The engine's version. Raises EngineError when none answers."""
        return str(self._json("GET", "/version")["Version"])

    def has_image(self, image: str) -> bool:
        """Whether the engine has it already."""
        try:
            self._json("GET", f"/images/{quote(image)}/json")
        except EngineError as problem:
            if problem.status == http.client.NOT_FOUND:
                return False
            raise
        return True

    def pull(self, image: str, user: str, password: str) -> None:
        """Fetch an image from its registry, with these credentials."""
        registry = image.partition("/")[0]
        sent = json.dumps({"username": user, "password": password, "serveraddress": registry})
        headers = {"X-Registry-Auth": base64.urlsafe_b64encode(sent.encode()).decode()}
        query = urlencode({"fromImage": image})
        with self._ask("POST", f"/images/create?{query}", headers=headers, seconds=_PULL_SECONDS) as answer:
            for line in answer.read().splitlines():  # it answers 200 before it knows
                if problem := json.loads(line).get("error"):
                    raise EngineError(f"{image} cannot be pulled: {problem}", answer.status)

    def remove_image(self, image: str) -> None:
        """Take an image's name away, and the image if it was the last one."""
        self._json("DELETE", f"/images/{quote(image)}")

    def create(self, settings: Mapping[str, Any]) -> str:
        """Create a container; its id."""
        return str(self._json("POST", "/containers/create", settings)["Id"])

    def start(self, container: str) -> None:
        self._json("POST", f"/containers/{container}/start")

    def kill(self, container: str) -> None:
        """Kill it with SIGKILL; one that has ended or is gone is fine."""
        try:
            self._json("POST", f"/containers/{container}/kill")
        except EngineError as problem:
            if problem.status not in {http.client.NOT_FOUND, http.client.CONFLICT}:
                raise

    def remove(self, container: str) -> None:
        """Kill and remove it; one that is gone, or about to be, is fine."""
        try:
            self._json("DELETE", f"/containers/{container}?force=true&v=true")
        except EngineError as problem:
            if problem.status not in {http.client.NOT_FOUND, http.client.CONFLICT}:
                raise

    def inspect(self, container: str) -> dict[str, Any]:
        found: dict[str, Any] = self._json("GET", f"/containers/{container}/json")
        return found

    def labelled(self, label: str) -> dict[str, str]:
        """The containers that have the label, whatever their state: id -> the label's value."""
        query = urlencode({"all": "true", "filters": json.dumps({"label": [label]})})
        return {each["Id"]: each["Labels"][label] for each in self._json("GET", f"/containers/json?{query}")}

    @contextmanager
    def waiting(self, container: str) -> Iterator[http.client.HTTPResponse]:
        """The answer that comes once the container has ended and is removed: {"StatusCode": n}."""
        path = f"/containers/{container}/wait?condition=removed"
        with self._ask("POST", path, seconds=None) as answer:
            yield answer

    @contextmanager
    def output(self, container: str) -> Iterator[http.client.HTTPResponse]:
        """What it writes from now on, in the frames that `frames` reads."""
        path = f"/containers/{container}/attach?stream=true&stdout=true&stderr=true"
        with self._ask("POST", path, seconds=None) as answer:
            yield answer

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        with self._ask(method, path, body) as answer:
            content = answer.read()
        return json.loads(content) if content else {}

    @contextmanager
    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = _SECONDS,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _Connection(self._path, seconds)
        try:
            content = None if body is None else json.dumps(body)
            sent = {"Content-Type": "application/json", **(headers or {})}
            try:
                connection.request(method, f"{_VERSION}{path}", content, sent)
                answer = connection.getresponse()
                if answer.status >= http.client.BAD_REQUEST:
                    raise EngineError(_message(answer.read()), answer.status)
            except (OSError, http.client.HTTPException) as problem:
                raise EngineError(f"no Docker engine answers at {self._path}: {problem}") from problem
            yield answer
        finally:
            connection.close()


def frames(output: http.client.HTTPResponse) -> Iterator[bytes]:
    """What a container writes to stdout and stderr, in the order the engine has it, until it has ended.

    A frame: a byte that says which of the two, three zeros, four bytes of length, and the content
    (docs.docker.com/reference/api/engine/version/v1.41, "Attach to a container").
    """
    try:
        while len(header := output.read(8)) == 8:
            yield output.read(int.from_bytes(header[4:]))
    except (OSError, http.client.HTTPException, ValueError):
        return  # the engine is gone, and whoever waits for the container hears that


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float | None) -> None:
        super().__init__("docker", timeout=_SECONDS if seconds is None else seconds)
        self._path = path
        self._seconds = seconds

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._seconds)
        self.sock.connect(self._path)


def _message(content: bytes) -> str:
    try:
        message = str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        message = content.decode(errors="replace")
    return re.sub(r"\s+", " ", message).strip() or "the engine gives no reason"
