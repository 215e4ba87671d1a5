"""The environment variables a worker gets, as a process here or as a container.

Source: AWS Lambda Developer Guide, "Defined runtime environment variables".
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from sandbox.account import REGION, Credentials
from sandbox.running.programs import Program

DISCARD = "127.0.0.1:9"
"""Where traces go: a sandbox sends nothing anywhere, not even to an X-Ray daemon that happens to run."""


def process_environment(
    program: Program,
    image_environment: Mapping[str, str],
    *,
    task_root: Path,
    credentials: Credentials,
    endpoint_url: str,
    log_stream: str,
    runtime_api: str,
    handler: str,
) -> dict[str, str]:
    """The whole environment of a process of this machine: nothing of the sandbox's own leaks in.

    The image's ENV, then the function's own, then what Lambda reserves; at last what stands in for AWS here.
    """
    interpreter = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
    }
    if "LD_LIBRARY_PATH" in os.environ:
        interpreter["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]  # some Pythons find libpython by it
    # An image's own interpreter is not here, so what points to it would only mislead this one.
    skipped = {"PATH", "LD_LIBRARY_PATH", "PYTHONHOME"}
    from_image = {
        name: value.replace("/var/task", str(task_root))
        for name, value in image_environment.items()
        if name not in skipped
    }
    lambdas = lambda_environment(
        program,
        credentials=credentials,
        endpoint_url=endpoint_url,
        log_stream=log_stream,
        runtime_api=runtime_api,
    )
    here = {"LAMBDA_TASK_ROOT": str(task_root), "_HANDLER": handler}
    return {**interpreter, **from_image, **lambdas, **here}


def lambda_environment(
    program: Program, *, credentials: Credentials, endpoint_url: str, log_stream: str, runtime_api: str
) -> dict[str, str]:
    """What Lambda adds to the environment of an image: the function's own, and over it what is reserved."""
    reserved = {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.token,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_LAMBDA_FUNCTION_NAME": program.function,
        "AWS_LAMBDA_FUNCTION_VERSION": program.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(program.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": program.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_LOG_FORMAT": program.log_format,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": DISCARD,
        "TZ": ":UTC",
    }
    if program.runtime_name:
        reserved["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{program.runtime_name}"
    stand_in = {
        "AWS_ENDPOINT_URL": endpoint_url,
        # A user's own profile must not reach into a function.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    return {**program.environment, **reserved, **stand_in}


def trace_header(*, sampled: bool) -> str:
    """X-Ray's trace header for one invocation."""
    root = uuid.uuid4().hex
    return f"Root=1-{int(time.time()):08x}-{root[:24]};Parent={uuid.uuid4().hex[:16]};Sampled={int(sampled)}"
