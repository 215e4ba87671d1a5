"""What a worker drives: a process that runs a version's code and talks to the worker's Runtime API."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sandbox.account import Credentials
from sandbox.running.programs import Program
from sandbox.running.worker_environment import process_environment

WORKER_MAIN = Path(__file__).with_name("worker_main.py")


@dataclass(frozen=True)
class Launch:
    """What a worker gives to whatever starts its process.

    `output` is the writing end of the pipe to the log; whoever starts the process closes it. `exited` is
    called once, when the process has ended and all it wrote is in the pipe, with the exit status (negative:
    the signal). `say` writes a line of the platform's into the log.
    """

    program: Program
    credentials: Credentials = field(repr=False)
    endpoint_url: str
    log_stream: str
    runtime_api: str
    output: int
    exited: Callable[[int], None]
    say: Callable[[str], None]


class Process(Protocol):
    """A version's code, running."""

    @property
    def pid(self) -> int | None:
        """Of the process on this machine, if there is one."""

    def kill(self) -> None:
        """Kill it and all it started, without waiting."""

    def join(self) -> None:
        """Wait until it has ended, and all it wrote is in the pipe."""

    def settle(self) -> None:
        """Wait until what it has written up to now is in the pipe."""

    def exceeds(self, memory_mb: int) -> bool:
        """Whether it has more memory now, and nothing else than the worker kills it for that."""

    def peak_mb(self) -> int:
        """The most memory it has had; 0 when nobody knows."""


Start = Callable[[Launch], Process]


class LocalProcess:
    """A process of this machine: AWS's runtime client and the sandbox's own Python, in an unpacked folder."""

    def __init__(
        self, launch: Launch, *, task_root: Path, handler: str, image_environment: Mapping[str, str]
    ) -> None:
        self._launch = launch
        self._process: subprocess.Popen[bytes] | None = None
        self._peak_mb = 0
        environment = process_environment(
            launch.program,
            image_environment,
            task_root=task_root,
            credentials=launch.credentials,
            endpoint_url=launch.endpoint_url,
            log_stream=launch.log_stream,
            runtime_api=launch.runtime_api,
            handler=handler,
        )
        spawned = threading.Event()
        self._keeper = threading.Thread(
            target=self._keep,
            args=(handler, task_root, environment, spawned),
            name=f"worker {launch.program.function}:{launch.program.version}",
            daemon=True,
        )
        self._keeper.start()
        spawned.wait()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def kill(self) -> None:
        if self._process:
            with suppress(ProcessLookupError):  # gone already, with all its children
                os.killpg(self._process.pid, signal.SIGKILL)

    def join(self) -> None:
        self._keeper.join()

    def settle(self) -> None:
        """It writes into the pipe itself."""

    def exceeds(self, memory_mb: int) -> bool:
        self._peak_mb = self.peak_mb()
        return memory_of(self.pid, "VmRSS") > memory_mb

    def peak_mb(self) -> int:
        return max(self._peak_mb, memory_of(self.pid, "VmHWM"))

    def _keep(
        self, handler: str, task_root: Path, environment: dict[str, str], spawned: threading.Event
    ) -> None:
        """Start the process and wait for its end.

        Linux kills a process with PR_SET_PDEATHSIG when the *thread* that started it ends, so the thread that
        starts a worker stays with it.
        """
        status = -signal.SIGKILL
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(WORKER_MAIN), str(os.getpid()), handler],
                cwd=task_root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._launch.output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # ValueError: an environment that no process can have
            self._launch.say(f"[sandbox] the worker could not be started: {error}")
        finally:
            os.close(self._launch.output)
            spawned.set()
        if self._process:
            status = self._process.wait()
        self._launch.exited(status)


def memory_of(pid: int | None, name: str) -> int:
    """A process's memory figure from /proc, in MB; 0 when it has ended."""
    if pid is None:
        return 0
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) // 1024
    return 0
