"""Reading what somebody else answers: never too much, never for too long, never half of it."""

from __future__ import annotations

import io
import itertools
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any, cast

import pytest

from deployer import web

MOST = 1000
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Wire(io.RawIOBase):
    """A connection whose other end never stops; it knows how much of it was taken."""

    def __init__(self, begin: bytes, endless: bytes = b"") -> None:
        self._parts = itertools.chain([begin], itertools.repeat(endless) if endless else [])
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = next(self._parts, b"")
        assert len(part) <= len(buffer)
        buffer[: len(part)] = part
        self.taken += len(part)
        return len(part)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, 64 * 1024)


def answer(wire: Wire) -> HTTPResponse:
    response = HTTPResponse(cast("Any", wire))
    response.begin()
    return response


@pytest.mark.parametrize(
    ("begin", "endless"),
    [
        (CHUNKED + b"-1\r\n", b"x" * 500),
        (CHUNKED + b"-ffffffff\r\n", b"x" * 500),
        (CHUNKED + b"7fffffffffffffff\r\n", b"x" * 500),
        (CHUNKED, b"5\r\nhello\r\n"),
        (OK + b"\r\n", b"x" * 500),
        (OK + b"Content-Length: 99999999999999999999999\r\n\r\n", b"x" * 500),
        (OK + b"Content-Length: -1\r\n\r\n", b"x" * 500),
        (OK + b"Content-Encoding: gzip\r\n\r\n", b"\x1f\x8b" * 250),
    ],
    ids=["chunk of -1", "very negative", "huge chunk", "chunks", "no length", "huge length", "-1", "gzip"],
)
def test_no_more_is_read_than_asked_for_whatever_an_answer_announces(begin: bytes, endless: bytes) -> None:
    wire = Wire(begin, endless)

    body = web.read(answer(wire), MOST, 60)

    assert len(body) == MOST
    assert wire.taken < MOST + 2 * 64 * 1024


def test_an_answer_is_read_to_its_end_and_no_further() -> None:
    assert web.read(answer(Wire(OK + b"Content-Length: 5\r\n\r\nhello", b"x")), MOST, 60) == b"hello"
    assert web.read(answer(Wire(CHUNKED + b"5\r\nhello\r\n2\r\n !\r\n0\r\n\r\n")), MOST, 60) == b"hello !"
    assert web.read(answer(Wire(OK + b"\r\nhello")), MOST, 60) == b"hello"
    assert web.read(answer(Wire(OK + b"Content-Length: 0\r\n\r\n")), MOST, 60) == b""


@pytest.mark.parametrize("half", [OK + b"Content-Length: 9\r\n\r\nhello", CHUNKED + b"9\r\nhello"])
def test_half_an_answer_is_none(half: bytes) -> None:
    with pytest.raises(IncompleteRead):
        web.read(answer(Wire(half)), MOST, 60)


def test_a_chunk_that_is_none_is_an_error_that_is_known() -> None:
    with pytest.raises(HTTPException):
        web.read(answer(Wire(CHUNKED + b"five\r\nhello")), MOST, 60)


def test_an_answer_that_drips_is_given_up_when_its_time_is_over() -> None:
    with pytest.raises(TimeoutError, match="no complete answer within 0 s"):
        web.read(answer(Wire(OK + b"\r\n", b"x")), 10**9, 0)
