"""The body of an HTTP answer that somebody else gives: never more than so many bytes, nor for longer than so
many seconds, whatever it says about itself. Nothing is decompressed."""

from __future__ import annotations

import time
from http.client import HTTPResponse, IncompleteRead

_PIECE = 64 * 1024


def read(answer: HTTPResponse, most: int, seconds: float) -> bytes:
    """The body, or the first `most` bytes of it.

    `seconds` are counted between two pieces; how long one piece may take is the connection's own time-out.
    Raises `TimeoutError`, or `http.client.HTTPException` and `OSError` for an answer that breaks off.

    Not `answer.read(most)`: a chunk that announces a size of -1 makes http.client read on to the end of the
    connection, without a limit. A single `read1` never takes more than what has arrived.
    """
    announced = answer.headers.get("Content-Length", "")
    whole = int(announced) if announced.isdecimal() and len(announced) < 20 and not answer.chunked else None
    wanted = most if whole is None else min(most, whole)
    until = time.monotonic() + seconds
    body = bytearray()
    while len(body) < wanted:
        piece = answer.read1(min(_PIECE, wanted - len(body)))
        body += piece
        if not piece:
            break
        if time.monotonic() > until:
            raise TimeoutError(f"no complete answer within {seconds:g} s")
    if whole is not None and len(body) < wanted:
        # A read with a size does not complain about a connection that closed too early.
        raise IncompleteRead(b"", wanted - len(body))
    return bytes(body[:most])
