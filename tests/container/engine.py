"""A Docker engine for whoever needs one: the machine's own, or the installed one started while it is used.

`python -m tests.container.engine` starts one and stays until Ctrl-C, on machines where nothing else does
(a container, a machine without systemd).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from sandbox.ending import end_as_ctrl_c_does

# Every process of the machine that uses an engine which one of them started; the last one stops it.
_PLACE = Path(tempfile.gettempdir()) / "engine-for-tests"
_START_SECONDS = 60.0
_INSTALL = "On Debian: apt-get install docker.io"


class NoEngineError(Exception):
    """There is no engine and none can be started; the text says why and what to do."""


def answers() -> bool:
    """Whether an engine answers the client, where its configuration (DOCKER_HOST, context) points."""
    try:
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def why_none() -> str | None:
    """Why there can be no engine here; None when one answers, or could be started."""
    if shutil.which("docker") is None:
        return f"there is no docker client. {_INSTALL}"
    if answers():
        return None
    if "DOCKER_HOST" in os.environ:
        return "no engine answers at DOCKER_HOST, and one of our own would not be there"
    if shutil.which("dockerd") is None:
        return f"no Docker engine answers, and none is installed. {_INSTALL}"
    if os.geteuid() != 0:
        return "no Docker engine answers, and only root can start the one that is installed"
    return None


@contextmanager
def engine() -> Iterator[None]:
    """An engine answers while this lasts. Raises NoEngineError."""
    if problem := why_none():
        raise NoEngineError(problem)
    _PLACE.mkdir(mode=0o700, exist_ok=True)
    with (_PLACE / "starting").open("w") as starting, (_PLACE / "using").open("w") as using:
        # Two locks, so that nobody finds an engine which another is about to stop.
        fcntl.flock(starting, fcntl.LOCK_EX)
        if not answers():
            _start()
        fcntl.flock(using, fcntl.LOCK_SH)
        fcntl.flock(starting, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(using, fcntl.LOCK_UN)
            with suppress(BlockingIOError):
                fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _stop()


def _start() -> None:
    log = _PLACE / "log"
    with log.open("wb") as output:
        # A session of its own: Ctrl-C is for us, and containers end before their engine does.
        process = subprocess.Popen(
            ["dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (_PLACE / "pid").write_text(str(process.pid))
    deadline = time.monotonic() + _START_SECONDS
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            process.wait()
            (_PLACE / "pid").unlink()
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise NoEngineError(f"dockerd did not come up. Its last line (all of it: {log}): {last}")
        time.sleep(0.2)


def _stop() -> None:
    """Stop the engine that one of us started; the machine's own has no pid here."""
    note = _PLACE / "pid"
    with suppress(OSError, ValueError):
        pid = int(note.read_text())
        note.unlink()
        command = Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
        if command == "dockerd":
            os.kill(pid, 15)
            with suppress(ChildProcessError):  # another process of ours started it
                os.waitpid(pid, 0)


def main() -> None:
    end_as_ctrl_c_does()
    if answers():
        sys.exit("engine: a Docker engine answers already; use that one")
    try:
        with engine():
            click.echo("engine: a Docker engine answers. Ctrl-C stops it.", err=True)
            threading.Event().wait()
    except NoEngineError as problem:
        sys.exit(f"engine: {problem}")
    except KeyboardInterrupt:
        click.echo("engine: stopped", err=True)


if __name__ == "__main__":
    main()
