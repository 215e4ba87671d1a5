"""The service's image, built and run here as the guide says: `python -m tests.container.service`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from sandbox.ending import end_as_ctrl_c_does
from tests.container import base_image
from tests.container.base_image import ROOT, NoBaseImageError
from tests.container.engine import NoEngineError, engine

IMAGE = "shuking:local"
# What a developer may set for the service; the rest is for a laptop.
PASSED_ON = ("DATABASE_URL", "CORS_ALLOW_ORIGIN", "GEMINI_API_KEY")
INVOKE = "/2015-03-31/functions/function/invocations"


class BuildFailedError(Exception):
    """`docker build` failed; the text is the end of what it said."""


def build(tag: str = IMAGE, *, revision: str = "local", labels: tuple[str, ...] = ()) -> None:
    """Build service/Dockerfile as it stands. Raises BuildFailedError."""
    # The host's network: where an index is reached through something on this machine, so does the build.
    command = ["docker", "build", "--quiet", "--network", "host", "--build-arg", f"REVISION={revision}"]
    command += [word for label in labels for word in ("--label", label)]
    built = subprocess.run(
        [*command, "--tag", tag, str(ROOT / "service")], capture_output=True, text=True, check=False
    )
    if built.returncode:
        end = "\n".join((built.stdout + built.stderr).strip().splitlines()[-10:])
        raise BuildFailedError(f"docker build failed:\n{end}")


@contextmanager
def running(image: str, port: int, *settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """The image behind the emulator of its base image on 127.0.0.1:`port`; the process is Docker's client."""
    command = ["docker", "run", "--rm", "--init", "--publish", f"127.0.0.1:{port}:8080"]
    command += [word for setting in settings for word in ("--env", setting)]
    with subprocess.Popen([*command, image]) as client:
        try:
            yield client
        finally:
            client.terminate()  # which Docker's client hands on to the container


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=9000, show_default=True)
def main(port: int) -> None:
    """Build the service's image and run its container until Ctrl-C."""
    end_as_ctrl_c_does()
    url = f"http://localhost:{port}"
    try:
        with engine():
            click.echo(base_image.ensure(), err=True)
            click.echo("building service/Dockerfile", err=True)
            build()
            settings = ["ENVIRONMENT=local", *(name for name in PASSED_ON if name in os.environ)]
            request = '{"httpMethod": "GET", "path": "/health", "headers": {}}'
            click.echo(
                f"Serving until Ctrl-C. In another terminal:\n\n"
                f"  curl -XPOST {url}{INVOKE} -d '{request}'\n"
                f"  .venv/bin/deployer checks --url {url}\n",
                err=True,
            )
            with running(IMAGE, port, *settings) as client:
                sys.exit(client.wait())
    except (NoEngineError, NoBaseImageError, BuildFailedError) as problem:
        raise click.ClickException(str(problem)) from None
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


if __name__ == "__main__":
    main()
