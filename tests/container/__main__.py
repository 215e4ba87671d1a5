"""A module with all that containers need, engine and base image: `python -m tests.container MODULE ...`."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import click

from sandbox.ending import end_as_ctrl_c_does
from tests.container import base_image
from tests.container.base_image import NoBaseImageError
from tests.container.engine import NoEngineError, engine


def main(words: list[str]) -> int:
    """Run `python -m MODULE ...` to its end; its status."""
    end_as_ctrl_c_does()
    try:
        with engine():
            click.echo(base_image.ensure(), err=True)
            return _run(words)
    except (NoEngineError, NoBaseImageError) as problem:
        click.echo(f"containers: {problem}", err=True)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(words: list[str]) -> int:
    with subprocess.Popen([sys.executable, "-m", *words]) as command:
        while True:
            try:
                return command.wait()
            except KeyboardInterrupt:  # Ctrl-C is the command's as well, anything else is not
                with suppress(ProcessLookupError):
                    command.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
