"""What leaves a Lambda function when something goes wrong: no secret is in it.

An exception's message is written by whoever raised it, and botocore's and urllib's quote addresses with their
signatures. Powertools logs messages and tracebacks, and Lambda itself logs what a handler raises, and hands
it to the dead-letter queue.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from deployer.text import discreet


class Unexpected(Exception):
    """In place of an exception whose message had something secret in it."""


def serialized(record: Mapping[str, object]) -> str:
    """A log record as one line of JSON, as Powertools does it, without secrets and without half characters,
    which no stream takes."""
    return json.dumps(_discreet(record), default=_text, separators=(",", ":"), ensure_ascii=False)


@contextmanager
def discreet_exceptions() -> Iterator[None]:
    """Around a handler's work: an exception whose message has a secret in it is raised as `Unexpected`."""
    try:
        yield
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        if discreet(told) == told:
            raise
        raise Unexpected(discreet(told)) from None


def _discreet(value: object) -> object:
    match value:
        case str():
            return _text(value)
        case Mapping():
            return {_text(key): _discreet(each) for key, each in value.items()}
        case list() | tuple():
            return [_discreet(each) for each in value]
        case _:
            return value


def _text(value: object) -> str:
    return discreet(str(value))
