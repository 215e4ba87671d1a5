"""Starts programs in Python at once: forks them off a process that has imported what takes long.

`program("awscli", "ecr")` is a command line that does what `python -m awscli ecr` does: in its caller's
folder and environment, with its streams and its exit status, in a process of its own. Imported beforehand is
only what others wrote; our own code each program imports itself.

    python -m tests.starter SOCKET M       waits at SOCKET for who wants `python -m M ...`, until stdin ends
    python tests/starter.py SOCKET M ...   is such a caller
"""

from __future__ import annotations

import os
import socket
import sys

# The AWS CLI brings a botocore of its own, so each has a process of its own.
PRELOADED = {"awscli": ("awscli.clidriver", "awscli.handlers"), "deployer": ("boto3", "click")}
_STREAMS = (0, 1, 2)


# The caller, which imports little


def call(path: str, words: list[str]) -> int:
    """Have a module run, and give its exit status; 1 when it was killed."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        environment = [f"{name}={value}" for name, value in os.environ.items()]
        wanted = os.fsencode("\0".join([str(len(words)), *words, os.getcwd(), *environment]))  # noqa: PTH109 - as below
        socket.send_fds(server, [len(wanted).to_bytes(4, "big")], list(_STREAMS))
        server.sendall(wanted)
        status = server.recv(1)
    return status[0] if status else 1


# The process that forks


def serve(path: str, module: str) -> None:
    """Fork a program for each caller."""
    import importlib  # noqa: PLC0415 - the caller needs none of these
    import selectors  # noqa: PLC0415
    import signal  # noqa: PLC0415

    before = set(os.environ)
    for each in PRELOADED[module]:
        importlib.import_module(each)
    added = {name: value for name, value in os.environ.items() if name not in before}
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here: their callers hear from them
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(path)
        listener.listen(64)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while not any(key.fileobj is sys.stdin for key, _ in selector.select()):
            caller, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                selector.close()
                listener.close()
                _run(caller, added)
            caller.close()
    os.unlink(path)  # noqa: PTH108 - no reason to import pathlib
    os.rmdir(os.path.dirname(path))  # noqa: PTH106, PTH120


def _run(caller: socket.socket, added: dict[str, str]) -> None:
    """Become the program that the caller wants, and end with it. `added`: variables that imports have set."""
    import runpy  # noqa: PLC0415

    length, streams, _, _ = socket.recv_fds(caller, 4, len(_STREAMS))
    with caller.makefile("rb") as request:
        count, *rest = os.fsdecode(request.read(int.from_bytes(length, "big"))).split("\0")
    words, folder, environment = rest[: int(count)], rest[int(count)], rest[int(count) + 1 :]
    for given, stream in zip(streams, _STREAMS, strict=True):
        os.dup2(given, stream)
        os.close(given)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(added | dict(variable.split("=", 1) for variable in environment))
    sys.argv, sys.path[0] = words, folder
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = _status(end.code)
    except BaseException:  # noqa: BLE001 - as Python ends with whatever nobody caught
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    caller.sendall(bytes([status]))
    os._exit(status)


def _status(code: object) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


# Who starts all that


def program(module: str, *words: str) -> list[str]:
    """The command line of `python -m MODULE WORDS...`; the module is one of `PRELOADED`."""
    if module not in _sockets:
        _sockets[module] = _start(module)
    return [sys.executable, "-S", "-E", __file__, _sockets[module], module, *words]


_sockets: dict[str, str] = {}


def _start(module: str) -> str:
    """Where a module's process waits. It ends with this one."""
    import subprocess  # noqa: PLC0415
    import tempfile  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    from sandbox.waiting import until  # noqa: PLC0415

    path = Path(tempfile.mkdtemp(prefix="starter-")) / "socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.starter", str(path), module],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for pytest
    )
    until(lambda: path.exists() or process.poll() is not None, "the process that starts programs")
    return str(path)


if __name__ == "__main__":
    if __spec__ is None:
        sys.exit(call(sys.argv[1], sys.argv[2:]))
    serve(*sys.argv[1:])
