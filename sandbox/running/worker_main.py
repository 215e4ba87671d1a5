"""What a worker process runs: AWS's own runtime interface client, in a process that dies with the sandbox.

Started as `python -P worker_main.py SANDBOX_PID HANDLER` in the function's task root. It imports nothing of
the sandbox, so that a function finds the modules it would find on Lambda, its own first.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Tie this process's life to the sandbox's, then become `python -m awslambdaric HANDLER`."""
    sandbox_pid, handler = int(sys.argv[1]), sys.argv[2]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != sandbox_pid:
        sys.exit("the sandbox ended before this worker began")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - pathlib would only cost start-up time
    sys.argv = ["awslambdaric", handler]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
