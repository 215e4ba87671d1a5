"""Images run as containers of a Docker engine, shut in as Lambda shuts them in.

Sources: AWS Lambda Developer Guide, "Create a Lambda function using a container image" (read-only but /tmp, a
user without privileges), "Lambda quotas" (512 MB of /tmp, 1,024 processes and file descriptors).
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from sandbox.awslambda.packages import ImageCode
from sandbox.running.engine import Engine, EngineError, frames
from sandbox.running.process import Launch, Start, memory_of
from sandbox.running.programs import CannotRunError
from sandbox.running.worker_environment import lambda_environment
from sandbox.telling import say

LABEL = "sandbox.owner"
"""Of each container; its value is the sandbox's `owner`."""
USER = "993:990"
"""Lambda's own sbx_user1051; a USER of the image does not count."""
MOST_PROCESSES = 1024
MOST_FILES = 1024
TMP_MB = 512
IDLE_SECONDS = 60.0
"""A version that nobody has invoked for so long is stopped."""

_MB = 1024 * 1024
_QUIET_SECONDS = 0.01
_MOST_QUIET_SECONDS = 0.5
_MOST_END_SECONDS = 30.0
_EXIT_SIGNALS = range(129, 160)

Fetch = Callable[[ImageCode], str]
"""Gets an image to where the engine can pull it from; its name there, by digest."""


def owner(pid: int) -> str:
    """A process of this machine, told apart from a later one with the same number. "" when it is gone."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{pid}:{started}"


def alive(name: str) -> bool:
    """Whether the process that `owner` named still runs."""
    pid = name.partition(":")[0]
    return pid.isdigit() and owner(int(pid)) == name


class Containers:
    """The containers of this sandbox. `image` is what the runtime asks when it needs one."""

    def __init__(self, engine: Engine, fetch: Fetch, user: str, password: str) -> None:
        self._engine = engine
        self._fetch = fetch
        self._credentials = user, password
        self._owner = owner(os.getpid())
        self._lock = threading.Lock()
        self._pulled: set[str] = set()

    def image(self, code: ImageCode) -> Start:
        """How containers of exactly this digest are started. Raises CannotRunError."""
        try:
            name = self._fetch(code)
            with self._lock:  # one pull of an image is enough
                if not self._engine.has_image(name):
                    self._engine.pull(name, *self._credentials)
                    self._pulled.add(name)
        except EngineError as problem:
            raise CannotRunError("Runtime.InvalidImage", str(problem)) from None
        return partial(Container, engine=self._engine, image=name, owned_by=self._owner)

    def remove_leftovers(self) -> int:
        """Remove the containers of sandboxes that are there no more; how many there were."""
        left = [each for each, owned_by in self._engine.labelled(LABEL).items() if not alive(owned_by)]
        for container in left:
            self._engine.remove(container)
        return len(left)

    def close(self) -> None:
        """Remove what this sandbox has in the engine: the workers are stopped already."""
        try:
            for container, owned_by in self._engine.labelled(LABEL).items():
                if owned_by == self._owner:
                    self._engine.remove(container)
            for name in self._pulled:
                self._engine.remove_image(name)
        except EngineError as problem:
            say(f"not everything could be removed from the Docker engine: {problem}")


class Container:
    """One container, behind the worker's Runtime API. It is a `Process`."""

    def __init__(self, launch: Launch, *, engine: Engine, image: str, owned_by: str) -> None:
        """Raises CannotRunError for an image that cannot be started."""
        self._launch = launch
        self._engine = engine
        self._written_at = time.monotonic()
        self._ending = False
        self._killed = False
        self._peak_mb = 0
        self._pid: int | None = None
        try:
            self._id = engine.create(_settings(launch, image, owned_by))
        except EngineError as problem:
            os.close(launch.output)
            raise CannotRunError("Runtime.InvalidEntrypoint", str(problem)) from None
        started = threading.Event()
        self._problem: EngineError | None = None
        self._keeper = threading.Thread(
            target=self._keep,
            args=(started,),
            name=f"container {launch.program.function}:{launch.program.version}",
            daemon=True,
        )
        self._keeper.start()
        started.wait()
        if self._problem is not None:
            self._keeper.join()
            raise CannotRunError("Runtime.InvalidEntrypoint", str(self._problem))

    @property
    def pid(self) -> int | None:
        return self._pid

    def kill(self) -> None:
        self._peak_mb = self.peak_mb()
        self._ending = self._killed = True
        try:
            self._engine.kill(self._id)
        except EngineError as problem:
            self._launch.say(f"[sandbox] the container could not be killed: {problem}")

    def join(self) -> None:
        self._keeper.join(_MOST_END_SECONDS)
        if self._keeper.is_alive():
            say(f"the Docker engine does not end container {self._id[:12]}; the next sandbox removes it")

    def settle(self) -> None:
        """Output comes by way of the engine: all of it once it has ended, else what comes without a pause."""
        if self._ending:
            self.join()
            return
        until = time.monotonic() + _MOST_QUIET_SECONDS
        quiet_since = time.monotonic()
        while (now := time.monotonic()) < until:
            quiet_since = max(quiet_since, self._written_at)
            if now - quiet_since >= _QUIET_SECONDS:
                return
            time.sleep(_QUIET_SECONDS / 4)

    def exceeds(self, memory_mb: int) -> bool:  # noqa: ARG002 - the kernel sees to it, at once
        self._peak_mb = self.peak_mb()
        return False

    def peak_mb(self) -> int:
        """Of its first process. (The engine takes a second to say what all of them have.)"""
        return max(self._peak_mb, memory_of(self._pid, "VmHWM"))

    def _keep(self, started: threading.Event) -> None:
        """Start the container, follow what it writes, and wait until it has ended and is removed."""
        status: int = -signal.SIGKILL
        try:
            with self._engine.waiting(self._id) as end, self._engine.output(self._id) as output:
                self._engine.start(self._id)
                self._pid = self._find_pid()
                started.set()
                self._follow(output)
                self._ending = True
                status = _status(end)
                if status == -signal.SIGKILL and not self._killed:  # who else but the kernel, for its memory
                    self._peak_mb = self._launch.program.memory_mb
        except EngineError as problem:
            if not started.is_set():
                self._problem = problem
            with suppress(EngineError):
                self._engine.remove(self._id)
        finally:
            self._ending = True
            os.close(self._launch.output)
            self._launch.exited(status)
            started.set()

    def _find_pid(self) -> int | None:
        """Its first process as this machine counts; None where the engine has a machine of its own."""
        pid = int(self._engine.inspect(self._id)["State"]["Pid"])
        try:
            is_it = self._id in Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        return pid if is_it else None

    def _follow(self, output: http.client.HTTPResponse) -> None:
        for content in frames(output):
            rest = memoryview(content)
            while rest:
                try:
                    rest = rest[os.write(self._launch.output, rest) :]
                except OSError:  # nobody reads the log any more
                    return
            self._written_at = time.monotonic()


def _settings(launch: Launch, image: str, owned_by: str) -> dict[str, object]:
    environment = lambda_environment(
        launch.program,
        credentials=launch.credentials,
        endpoint_url=launch.endpoint_url,
        log_stream=launch.log_stream,
        runtime_api=launch.runtime_api,
    )
    memory = launch.program.memory_mb * _MB
    return {
        "Image": image,
        "User": USER,
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Labels": {LABEL: owned_by},
        "HostConfig": {
            "AutoRemove": True,
            "NetworkMode": "host",  # the sandbox answers on the loopback only
            "ReadonlyRootfs": True,
            "Tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={TMP_MB}m"},
            "Memory": memory,
            "MemorySwap": memory,
            "PidsLimit": MOST_PROCESSES,
            "Ulimits": [{"Name": "nofile", "Soft": MOST_FILES, "Hard": MOST_FILES}],
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": {"Type": "none"},
        },
    }


def _status(end: http.client.HTTPResponse) -> int:
    """The exit status; the engine says 128 + n for signal n, as a shell does."""
    try:
        code = int(json.loads(end.read())["StatusCode"])
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return -signal.SIGKILL  # the engine is gone
    return 128 - code if code in _EXIT_SIGNALS else code
