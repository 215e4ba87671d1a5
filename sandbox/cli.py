"""The `sandbox` command: keep a sandbox running, and push images to it without Docker."""

import os
import shlex
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from botocore.exceptions import ClientError, HTTPClientError, ParamValidationError
from botocore.exceptions import ConnectionError as NoConnectionError

from deployer.aws.registry import BUILT_BY_LABEL, COMMITTED_LABEL
from deployer.commands.parts.revision import built_by, committed_at
from sandbox.account import Settings
from sandbox.building import images
from sandbox.building.dockerfile import BuildError
from sandbox.clients import HOST, client, environment
from sandbox.ending import end_as_ctrl_c_does

if TYPE_CHECKING:
    from sandbox.server import RuntimeKind, Sandbox

DEFAULT_PORT = 4599
REGISTRY_PORT = 5599
TEMPLATE = Path(__file__).resolve().parents[1] / "template.yaml"
# The service is not healthy without a key. In the sandbox it calls nobody with it.
PARAMETERS = {"GeminiApiKey": "no-real-key"}


@click.group()
def main() -> None:
    """An AWS account on this laptop: ECR, Lambda, EventBridge and the rest that template.yaml needs."""


@main.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    envvar="SANDBOX_PORT",
    help="Port on the loopback; 0 takes any free one.",
)
@click.option(
    "--update-seconds",
    type=click.FloatRange(0, 600),
    default=Settings.update_seconds,
    show_default=True,
    help="How long a function's update takes.",
)
@click.option("--empty", is_flag=True, help="Create no stack: the account has nothing, for `sam deploy`.")
@click.option(
    "--runtime",
    type=click.Choice(["process", "docker"]),
    default="process",
    show_default=True,
    help="How images run: their Python in a process here, or as containers of what `docker push` pushed.",
)
@click.option(
    "--registry-port",
    type=click.IntRange(0, 65535),
    default=REGISTRY_PORT,
    show_default=True,
    help="With --runtime docker, where `docker push` pushes to; 0 takes any free port.",
)
def up(port: int, update_seconds: float, empty: bool, runtime: "RuntimeKind", registry_port: int) -> None:
    """Start the sandbox, create the stack of template.yaml in it, and stay until Ctrl-C.

    Does: everything on 127.0.0.1, in memory. Does not: keep anything after it ends, or use the network.
    """
    # moto and the SAM translator take seconds to import, and `push` and `--help` need neither.
    from sandbox.cloudformation import stack  # noqa: PLC0415
    from sandbox.server import Sandbox, SandboxStartError  # noqa: PLC0415

    end_as_ctrl_c_does()
    try:
        settings = Settings(update_seconds=update_seconds)
        with Sandbox(port, settings, runtime=runtime, registry_port=registry_port) as sandbox:
            if empty:
                steps = ["sam build && sam deploy --guided", *_how_to_push(sandbox, "REPOSITORY")]
                click.echo(_what_to_paste(sandbox, steps if sandbox.registry else steps[:1]))
            else:
                click.echo(f"sandbox: creating the stack of {TEMPLATE.name} at {sandbox.url}", err=True)
                outputs = stack.deploy(sandbox.client, TEMPLATE, PARAMETERS)
                for line in stack.left_out(sandbox.client):
                    click.echo(f"left out: {line}")
                click.echo(_what_to_paste(sandbox, _what_to_try(sandbox, outputs)))
            threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("sandbox: stopped")
    except (SandboxStartError, stack.StackError) as problem:
        raise click.ClickException(str(problem)) from None


def _what_to_try(sandbox: "Sandbox", outputs: Mapping[str, str]) -> list[str]:
    function, log = outputs["ServiceFunctionName"], f"/aws/lambda/{outputs['DeployerName']}"
    return [
        *_how_to_push(sandbox, outputs["RepositoryUri"].rpartition("/")[2]),
        f"aws lambda get-alias --function-name {function} --name live",
        f"curl {sandbox.api_url}/health",
        f"aws logs filter-log-events --log-group-name {log} --query 'events[].[message]' --output text",
        f"aws logs tail {log} --follow  # with version 2 of the AWS CLI",
    ]


def _how_to_push(sandbox: "Sandbox", repository: str) -> list[str]:
    if sandbox.registry is None:
        return ["sandbox push service --tag latest"]
    registry = sandbox.registry.address
    image = f"{registry}/{repository}:latest"
    return [
        f"aws ecr get-login-password | docker login --username AWS --password-stdin {registry}",
        f"docker build --network host --tag {image} service",
        f"docker push {image}",
    ]


def _what_to_paste(sandbox: "Sandbox", what_to_try: Iterable[str]) -> str:
    exports = [f"export {name}={value}" for name, value in sandbox.environment.items()]
    # These would win over the exports, and lead elsewhere.
    exports += [f"unset {name}" for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE") if name in os.environ]
    exports.append(f". {shlex.quote(str(Path(sys.executable).parent / 'activate'))}  # sandbox and aws")
    return f"""
The sandbox is ready. Paste this into another terminal:

  {_indented(exports)}

and try:

  {_indented(what_to_try)}

Ctrl-C ends it; nothing is kept.
"""


def _indented(lines: Iterable[str]) -> str:
    return "\n  ".join(lines)


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--tag", required=True, help="The image's tag. The release tag (latest) means: deploy this.")
@click.option("--repository", help="The ECR repository. Needed only when there are several.")
@click.option(
    "--build-arg", "build_args", multiple=True, metavar="NAME=VALUE", help="As `docker build` takes it."
)
@click.option("--port", type=click.IntRange(1, 65535), help="The sandbox's port.")
def push(
    folder: Path, tag: str, repository: str | None, build_args: tuple[str, ...], port: int | None
) -> None:
    """Build FOLDER's image by its Dockerfile, without Docker, and push it to a running sandbox.

    Finds the sandbox by --port, else by AWS_ENDPOINT_URL, else on port 4599. Does: COPY, ENV, CMD, LABEL ...
    as real layers with true digests. Does not: run RUN lines; the sandbox's Python has what they install.
    """
    endpoint = _endpoint(port)
    try:
        ecr = client("ecr", environment(endpoint))
    except ValueError:
        raise click.ClickException(f"AWS_ENDPOINT_URL is {endpoint!r}, which is no URL.") from None
    try:
        built = images.build(folder, build_args=_named(build_args), labels=_made(folder))
        repository = repository or _only_repository(ecr)
        digest = images.upload(built, ecr, repository, tag)
    except ParamValidationError as problem:
        raise click.ClickException(f"{folder} cannot be pushed as {repository}:{tag}: {problem}") from None
    except BuildError as problem:
        raise click.ClickException(str(problem)) from None
    except (NoConnectionError, HTTPClientError):
        raise click.ClickException(
            f"No sandbox answers at {endpoint}. Start one in another terminal (make sandbox), or name its "
            "port with --port."
        ) from None
    except ClientError as refusal:
        error = refusal.response["Error"]
        raise click.ClickException(
            f"ECR refused {folder} for {repository}:{tag}: {error['Code']}: {error['Message']}"
        ) from None
    for note in built.notes:
        click.echo(f"note: {note}")
    size = sum(len(blob.content) for blob in built.blobs)
    click.echo(f"pushed {folder} as {repository}:{tag}, {size / 1000:,.0f} kB")
    click.echo(digest)


def _made(folder: Path) -> dict[str, str]:
    """Labels that say when the folder's source was committed, and who builds it."""
    found = {COMMITTED_LABEL: committed_at(folder), BUILT_BY_LABEL: built_by(folder)}
    return {label: value for label, value in found.items() if value}


def _named(build_args: Iterable[str]) -> dict[str, str]:
    pairs = [argument.partition("=") for argument in build_args]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise click.ClickException(
                f"--build-arg {name!r}: write it as NAME=VALUE, like REVISION=git-3f2a91."
            )
    return {name: value for name, _, value in pairs}


def _endpoint(port: int | None) -> str:
    if port is not None:
        return f"http://{HOST}:{port}"
    return os.environ.get("AWS_ENDPOINT_URL") or f"http://{HOST}:{DEFAULT_PORT}"


def _only_repository(ecr: Any) -> str:
    names = [found["repositoryName"] for found in ecr.describe_repositories()["repositories"]]
    if len(names) == 1:
        return str(names[0])
    if not names:
        raise click.ClickException(
            "The sandbox has no repository: its stack is not there (yet). `sandbox up` creates it; wait "
            'for its "The sandbox is ready".'
        )
    raise click.ClickException(f"Which repository? Add --repository with one of: {', '.join(sorted(names))}")
