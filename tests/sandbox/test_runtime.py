"""Functions really run: in processes of their own, and failing as they fail on Lambda."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sandbox.account import AwsError
from sandbox.awslambda.packages import ImageCode, ZipCode
from sandbox.building import images
from sandbox.running.process import LocalProcess, Start
from sandbox.running.programs import Invocation, Program
from sandbox.running.runtime import Runtime
from tests.sandbox.lambdas import FUNCTION_ARN, ROLE, Log, running, zipped

PULL_ANYWHERE = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "ecr:*"}]
}
LIVE_ARN = f"{FUNCTION_ARN}:live"


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def runtime(tmp_path: Path, log: Log) -> Iterator[Runtime]:
    with running(tmp_path, log) as started:
        yield started


def program(source: str, **more: Any) -> Program:
    """Version 7 of `service`, whose `app.handler` is in `source`."""
    facts = {
        "identity": f"identity of {source}",
        "function": "service",
        "version": "7",
        "role_arn": ROLE,
        "timeout_seconds": 20,
        "memory_mb": 512,
        "architecture": "x86_64",
        "code": ZipCode(zipped(app=textwrap.dedent(source))),
        "handler": "app.handler",
        "runtime_name": "python3.12",
        "log_group": "/aws/lambda/service",
    }
    return Program(**{**facts, **more})


def run(runtime: Runtime, what: Program, payload: bytes = b"{}") -> tuple[Invocation, Any]:
    """The invocation and its payload, read."""
    invocation = runtime.invoke(what, payload, invoked_arn=LIVE_ARN, request_id="request-1")
    return invocation, json.loads(invocation.payload)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and only waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def came_true(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether a condition comes true before the time is up, looked at again and again."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.005)
    return True


def test_a_handler_gets_its_event_and_what_lambda_tells_about_the_invocation(runtime: Runtime) -> None:
    # given
    what = program(
        """
        def handler(event, context):
            return {
                "event": event,
                "request": context.aws_request_id,
                "arn": context.invoked_function_arn,
                "function": [context.function_name, context.function_version, context.memory_limit_in_mb],
                "remaining": context.get_remaining_time_in_millis(),
            }
        """
    )

    # when
    invocation, answer = run(runtime, what, '{"name": "ünïcode"}'.encode())

    # then
    assert (invocation.function_error, invocation.executed_version) == (None, "7")
    remaining = answer.pop("remaining")
    assert 0 < remaining <= 20_000
    assert answer == {
        "event": {"name": "ünïcode"},
        "request": "request-1",
        "arn": LIVE_ARN,
        "function": ["service", "7", "512"],
    }


def test_a_worker_has_lambdas_environment_and_nothing_of_the_sandboxs(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setenv("SECRET_OF_THE_LAPTOP", "x")
    what = program(
        """
        import os

        def handler(event, context):
            return dict(os.environ)
        """,
        environment={"ENVIRONMENT": "production"},
    )

    # when
    _, environment = run(runtime, what)

    # then
    expected = {
        "AWS_ACCESS_KEY_ID": f"key of {ROLE}",
        "AWS_SECRET_ACCESS_KEY": "secret of service",
        "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "service",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/service",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "ENVIRONMENT": "production",
        "_HANDLER": "app.handler",
        "TZ": ":UTC",
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert environment["_X_AMZN_TRACE_ID"].endswith("Sampled=0")
    assert "SECRET_OF_THE_LAPTOP" not in environment
    assert "HOME" not in environment


def test_a_warm_worker_keeps_its_state_and_says_what_it_did_in_each_invocation_only(runtime: Runtime) -> None:
    # given
    what = program(
        """
        count = 0

        def handler(event, context):
            global count
            count += 1
            print("count is", count)
            return count
        """
    )

    # when
    first, _ = run(runtime, what)
    second, answer = run(runtime, what)

    # then
    assert answer == 2
    assert b"Init Duration" in first.log_tail
    assert second.log_tail.decode().splitlines()[:3] == [
        "START RequestId: request-1 Version: 7",
        "count is 2",
        "END RequestId: request-1",
    ]
    assert b"Init Duration" not in second.log_tail


def test_what_a_function_writes_is_in_its_log_group(runtime: Runtime, log: Log) -> None:
    # given
    what = program(
        """
        import sys

        print("while importing")

        def handler(event, context):
            print("to stdout")
            print("to stderr", file=sys.stderr)
            sys.stdout.write("no end of line")
        """
    )

    # when
    run(runtime, what)

    # then
    assert log.groups == {"/aws/lambda/service"}
    assert log.lines[:5] == [
        "while importing",
        "START RequestId: request-1 Version: 7",
        "to stdout",
        "to stderr",
        "no end of line",
    ]


def test_a_function_that_writes_without_end_is_cut_off(runtime: Runtime, log: Log) -> None:
    # given
    what = program(
        """
        def handler(event, context):
            for number in range(50_000):
                print(number)
        """
    )

    # when
    invocation, _ = run(runtime, what)

    # then
    assert len(log.lines) < 10_010
    assert len(invocation.log_tail) == 4096
    assert b"END RequestId" in invocation.log_tail


@pytest.mark.parametrize(
    ("source", "error_type", "message"),
    [
        ("def handler(event, context): raise ValueError('no')", "ValueError", "no"),
        (
            "import nothing_of_that_name",
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'nothing_of_that_name'",
        ),
        ("1 / 0", "ZeroDivisionError", "division by zero"),
        ("other = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        (
            "import sys\ndef handler(event, context): sys.exit(3)",
            "Runtime.ExitError",
            "RequestId: request-1 Error: Runtime exited with error: exit status 3",
        ),
        (
            "import os\ndef handler(event, context): os._exit(0)",
            "Runtime.ExitError",
            "RequestId: request-1 Error: Runtime exited without providing a reason",
        ),
        (
            "import os\ndef handler(event, context): os.kill(os.getpid(), 9)",
            "Runtime.ExitError",
            "RequestId: request-1 Error: Runtime exited with error: signal: killed",
        ),
        (
            "import sys\nsys.exit(4)",
            "Runtime.ExitError",
            "RequestId: request-1 Error: Runtime exited with error: exit status 4",
        ),
        (
            "def handler(event, context): return object()",
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type object is not JSON serializable",
        ),
        (
            "def handler(event, context): return 'x' * 6_300_000",
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        ),
    ],
    ids=[
        "exception",
        "import",
        "init",
        "no handler",
        "exit",
        "exit 0",
        "killed",
        "init exit",
        "type",
        "size",
    ],
)
def test_a_failure_looks_as_on_lambda(runtime: Runtime, source: str, error_type: str, message: str) -> None:
    # given
    what = program(source)

    # when
    invocation, answer = run(runtime, what)

    # then
    assert (invocation.status, invocation.function_error) == (200, "Unhandled")
    assert (answer["errorType"], answer["errorMessage"]) == (error_type, message)
    assert b"END RequestId: request-1" in invocation.log_tail


def test_a_function_that_crashed_runs_again_in_a_new_process(runtime: Runtime) -> None:
    # given
    what = program(
        """
        import os

        def handler(event, context):
            if event == "die":
                os._exit(1)
            return os.getpid()
        """
    )
    _, first = run(runtime, what)

    # when
    run(runtime, what, b'"die"')
    _, second = run(runtime, what)

    # then
    assert second != first


def test_a_function_that_takes_too_long_is_stopped(runtime: Runtime) -> None:
    # given
    what = program(
        """
        import threading

        def handler(event, context):
            print("before")
            threading.Event().wait()
        """,
        timeout_seconds=1,
    )

    # when
    invocation, answer = run(runtime, what)

    # then
    assert answer == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: request-1 Error: Task timed out after 1.00 seconds",
    }
    assert b"before\n" in invocation.log_tail
    assert b"request-1 Task timed out after 1.00 seconds\n" in invocation.log_tail
    assert runtime.pids == []


def test_a_function_that_takes_too_much_memory_is_killed(runtime: Runtime) -> None:
    # given
    what = program(
        """
        import threading

        def handler(event, context):
            hoard = bytearray(200_000_000)
            threading.Event().wait()
        """,
        memory_mb=128,
    )

    # when
    _, answer = run(runtime, what)

    # then
    assert answer["errorMessage"] == "RequestId: request-1 Error: Runtime exited with error: signal: killed"


def test_invocations_at_the_same_time_get_a_worker_each_up_to_the_limit(
    runtime: Runtime, tmp_path: Path
) -> None:
    # given
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    what = program(
        """
        import os

        def handler(event, context):
            print("begun")
            with open(event) as gate:
                gate.read()
            return os.getpid()
        """
    )
    pids: list[int] = []

    def invoke() -> None:
        answer = runtime.invoke(what, json.dumps(str(gate)).encode(), invoked_arn=LIVE_ARN)
        pids.append(json.loads(answer.payload))

    callers = [threading.Thread(target=invoke) for _ in range(3)]
    for caller in callers:
        caller.start()

    # when
    # Open to read as well: opened to write only, it would wait for ever for a handler that failed.
    with gate.open("r+b", buffering=0):
        assert came_true(lambda: len(runtime.pids) == 3)
        with pytest.raises(AwsError) as refused:
            runtime.invoke(what, b"{}", invoked_arn=LIVE_ARN)
        # Nobody may come too late for the gate.
        assert came_true(lambda: all(_waits_in_the_gate(pid, gate) for pid in runtime.pids))
    for caller in callers:
        caller.join()

    # then
    assert refused.value.code == "TooManyRequestsException"
    assert refused.value.status == 429
    assert len(set(pids)) == 3


def _waits_in_the_gate(pid: int, gate: Path) -> bool:
    try:
        return any(link.readlink() == gate for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def test_workers_of_what_runs_no_longer_are_stopped(runtime: Runtime) -> None:
    # given
    old = program("def handler(event, context): return 1", identity="old")
    run(runtime, old)
    new = replace(old, identity="new")
    run(runtime, new)
    before = runtime.pids

    # when
    runtime.retire("old")

    # then
    (kept,) = runtime.pids
    (gone,) = set(before) - {kept}
    assert alive(kept)
    assert came_true(lambda: not alive(gone))


def test_stopping_the_runtime_ends_workers_and_what_they_started(tmp_path: Path) -> None:
    # given
    what = program(
        """
        import os, subprocess

        def handler(event, context):
            return [os.getpid(), subprocess.Popen(["sleep", "1000"]).pid]
        """
    )
    with running(tmp_path) as runtime:
        _, pids = run(runtime, what)
        assert all(map(alive, pids))

        # when
        runtime.stop()

    # then
    assert came_true(lambda: not any(map(alive, pids)))


def test_workers_die_with_a_sandbox_that_is_killed(tmp_path: Path) -> None:
    # given
    script = """
        import pathlib, sys, threading
        from tests.sandbox.lambdas import running
        from tests.sandbox.test_runtime import program, run

        busy = program("import threading\\ndef handler(e, c): threading.Event().wait()")
        with running(pathlib.Path(sys.argv[1])) as runtime:
            run(runtime, program("def handler(e, c): return 1"))
            threading.Thread(target=run, args=(runtime, busy)).start()
            while len(runtime.pids) < 2:
                threading.Event().wait(0.01)
            print(*runtime.pids, flush=True)
            sys.stdin.read()
    """
    sandbox = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert sandbox.stdout
    pids = [int(pid) for pid in sandbox.stdout.readline().split()]
    assert len(pids) == 2

    # when
    sandbox.send_signal(signal.SIGKILL)
    sandbox.communicate()

    # then
    assert came_true(lambda: not any(map(alive, pids)))


@pytest.fixture
def service_folder(tmp_path: Path) -> Path:
    """A small service with its Dockerfile."""
    folder = tmp_path / "service"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        textwrap.dedent(
            """
            FROM public.ecr.aws/lambda/python:3.12
            ENV GREETING="hello there"
            COPY app.py ${LAMBDA_TASK_ROOT}/
            CMD ["app.handler"]
            """
        )
    )
    (folder / "app.py").write_text("import os\ndef handler(event, context): return os.environ['GREETING']\n")
    return folder


@pytest.fixture
def image(service_folder: Path) -> ImageCode:
    """The service's image, as Lambda has resolved it."""
    built = images.build(service_folder)
    blobs = {blob.digest: blob.content for blob in built.blobs}
    config = blobs[json.loads(built.manifest)["config"]["digest"]]
    return ImageCode("uri", "app", built.digest, built.manifest, json.loads(config), blobs.__getitem__)


def test_an_image_runs_the_handler_its_command_names(runtime: Runtime, image: ImageCode) -> None:
    # given
    what = program("", code=image, handler=None, runtime_name=None)

    # when
    invocation, answer = run(runtime, what)

    # then
    assert (invocation.function_error, answer) == (None, "hello there")


def test_a_functions_own_environment_wins_over_the_images(runtime: Runtime, image: ImageCode) -> None:
    # given
    what = program("", code=image, handler=None, environment={"GREETING": "welcome"})

    # when
    _, answer = run(runtime, what)

    # then
    assert answer == "welcome"


@pytest.mark.parametrize("entry", [1, None, "A=\0", "A=\ud800"], ids=["number", "null", "NUL", "surrogate"])
def test_an_environment_that_no_process_can_have_is_an_invalid_image(
    runtime: Runtime, image: ImageCode, entry: object
) -> None:
    # given
    config = {**image.config, "config": {**image.config["config"], "Env": [entry]}}
    what = program("", code=replace(image, config=config), handler=None)

    # when
    invocation, answer = run(runtime, what)

    # then
    assert invocation.function_error == "Unhandled"
    assert answer["errorType"] == "Runtime.InvalidImage"


def test_a_function_that_never_stops_writing_does_not_hold_up_its_answer(runtime: Runtime) -> None:
    # given: a child that writes on and on, into the pipe that it has inherited
    what = program(
        "import os\n"
        "def handler(event, context):\n"
        "    if os.fork() == 0:\n"
        "        while True: os.write(1, b'x' * 63 + b'\\n')\n"
        "    return 'answered'\n"
    )

    # when
    _, answer = run(runtime, what)

    # then
    assert answer == "answered"


def test_an_image_for_another_architecture_fails_when_it_is_invoked(
    runtime: Runtime, image: ImageCode, log: Log
) -> None:
    # given
    what = program("", code=image, handler=None, architecture="arm64")

    # when
    invocation, answer = run(runtime, what)

    # then
    assert invocation.function_error == "Unhandled"
    assert answer == {
        "errorType": "Runtime.InvalidEntrypoint",
        "errorMessage": "RequestId: request-1 Error: fork/exec /lambda-entrypoint.sh: exec format error",
    }
    assert b"exec format error" in invocation.log_tail
    assert any("exec format error" in line for line in log.lines)


def test_an_image_without_a_handler_fails_when_it_is_invoked(runtime: Runtime, image: ImageCode) -> None:
    # given
    bare = replace(image, config={**image.config, "config": {}})

    # when
    _, answer = run(runtime, program("", code=bare, handler=None))

    # then
    assert answer["errorType"] == "Runtime.InvalidEntrypoint"
    assert "one Python handler" in answer["errorMessage"]


def test_an_image_pushed_to_ecr_answers_behind_its_alias(
    aws: Callable[[str], Any], service_folder: Path
) -> None:
    # given
    name = f"pushed-{uuid.uuid4()}"
    role = aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    logs = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [logs]})
    aws("iam").put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy)
    uri = aws("ecr").create_repository(repositoryName=name)["repository"]["repositoryUri"]
    aws("ecr").set_repository_policy(repositoryName=name, policyText=json.dumps(PULL_ANYWHERE))
    digest = images.upload(images.build(service_folder), aws("ecr"), name, "v1")
    functions = aws("lambda")

    # when
    functions.create_function(
        FunctionName=name, PackageType="Image", Role=role, Timeout=30, Code={"ImageUri": f"{uri}:v1"}
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    expected = digest.removeprefix("sha256:")
    version = functions.publish_version(FunctionName=name, CodeSha256=expected)["Version"]
    functions.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=version)
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    answer = functions.invoke(FunctionName=name, Qualifier="live", LogType="Tail")

    # then
    assert json.loads(answer["Payload"].read()) == "hello there"
    assert answer["ExecutedVersion"] == "1"
    assert base64.b64decode(answer["LogResult"]).startswith(b"START RequestId: ")
    (stream,) = aws("logs").describe_log_streams(logGroupName=f"/aws/lambda/{name}")["logStreams"]
    assert "/[1]" in stream["logStreamName"]


def test_images_that_run_in_a_way_of_their_own_are_stopped_when_nobody_invokes_them(
    tmp_path: Path, log: Log, image: ImageCode
) -> None:
    # given: a runtime that is told how to run images, as it is told of containers
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "app.py").write_text("def handler(event, context):\n    return 'run by somebody else'\n")
    started: list[str] = []

    def run_image(code: ImageCode) -> Start:
        started.append(code.digest)
        return partial(LocalProcess, task_root=folder, handler="app.handler", image_environment={})

    with running(tmp_path, log, run_image=run_image, idle_seconds=0.2) as runtime:
        # when
        _, answer = run(runtime, program("", code=image, handler=None, runtime_name=None))
        (pid,) = runtime.pids

        # then
        assert (answer, started) == ("run by somebody else", [image.digest])
        assert came_true(lambda: not runtime.pids)
        assert not alive(pid)
