"""What one worker writes: its lines in order, to CloudWatch Logs and into the log tail of an invocation."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable

WriteLog = Callable[[str, str, str, list[tuple[int, str]]], None]
"""Called with the role's ARN, log group, log stream and (milliseconds since 1970, line) in order."""

TAIL_BYTES = 4096
"""What `LogType=Tail` returns (API Invoke, LogResult)."""
MOST_LINES = 10_000
"""Of one invocation; a function that writes without end must not fill the sandbox's memory."""
MOST_READS = 64
"""Of 64 kB each, before whoever waits for an answer has it."""
MOST_LINE_BYTES = 262_144 - 26
"""CloudWatch Logs' limit for an event; a longer line becomes several."""


class WorkerLog:
    """Reads a worker's standard output and error, and takes the platform's own lines in between."""

    def __init__(self, pipe: int, role_arn: str, group: str, stream: str, write: WriteLog) -> None:
        self.stream = stream
        self._pipe = pipe
        os.set_blocking(pipe, False)
        self._role_arn = role_arn
        self._group = group
        self._write = write
        self._lock = threading.RLock()
        self._partial = b""
        self._tail = b""
        self._lines = 0
        self._events: list[tuple[int, str]] = []
        self._open = True
        self._reader = threading.Thread(target=self._follow, name=f"log {stream}", daemon=True)
        self._reader.start()

    def begin(self) -> None:
        """A new invocation: an empty tail and a fresh allowance of lines."""
        with self._lock:
            self._tail = b""
            self._lines = 0

    def platform(self, line: str) -> None:
        """Add a line of Lambda itself, after everything the function has written so far."""
        with self._lock:
            self._take()
            self._end_line()
            self._add(line.encode(), always=True)

    def tail(self) -> bytes:
        """The last 4 KB of the invocation's log, with everything written before this call."""
        with self._lock:
            self._take()
            self._end_line()
            self._flush()
            return self._tail

    def close(self) -> None:
        """Write what is left. The worker must have ended."""
        with self._lock:
            if self._open:
                self._take()
                self._end_line()
                self._flush()
                self._open = False
                os.close(self._pipe)

    def _follow(self) -> None:
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        while True:
            try:
                ready = poll.poll(2000)
            except OSError:
                return
            with self._lock:
                if not self._open:
                    return
                if ready and not self._take():
                    return  # end of file: nobody can write any more
                self._flush()

    def _take(self) -> bool:
        """What is in the pipe now. False at its end.

        Bounded: whoever writes without a pause must not keep an answer waiting that is there already.
        """
        if not self._open:
            return False
        for _ in range(MOST_READS):
            try:
                chunk = os.read(self._pipe, 65536)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            *whole, self._partial = (self._partial + chunk).split(b"\n")
            for line in whole:
                self._add(line)
            while len(self._partial) > MOST_LINE_BYTES:
                self._add(self._partial[:MOST_LINE_BYTES])
                self._partial = self._partial[MOST_LINE_BYTES:]
        return True

    def _end_line(self) -> None:
        if self._partial:
            self._add(self._partial)
            self._partial = b""

    def _add(self, line: bytes, *, always: bool = False) -> None:
        # The runtime client joins the lines of one message by carriage returns, to keep them one event.
        line = line.replace(b"\r", b"\n")
        self._lines += 1
        if self._lines > MOST_LINES and not always:
            if self._lines > MOST_LINES + 1:
                return
            line = f"[sandbox] more than {MOST_LINES} lines in one invocation: the rest is dropped".encode()
        self._tail = (self._tail + line + b"\n")[-TAIL_BYTES:]
        text = line.decode(errors="replace")
        if text:  # CloudWatch Logs refuses empty messages
            self._events.append((int(time.time() * 1000), text))

    def _flush(self) -> None:
        if self._events:
            events, self._events = self._events, []
            self._write(self._role_arn, self._group, self.stream, events)
