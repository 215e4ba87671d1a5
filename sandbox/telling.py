"""The sandbox's own log: lines on stderr, for whoever runs it."""

import sys


def say(text: str) -> None:
    """Tell the person at the terminal something that no answer to a request can carry."""
    print(f"sandbox: {text}", file=sys.stderr, flush=True)  # noqa: T201  stderr is the sandbox's log
