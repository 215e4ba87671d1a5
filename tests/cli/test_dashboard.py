"""`deployer dashboard` as a process: how it begins, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from http.client import HTTPResponse
from typing import TYPE_CHECKING

from tests.cli.conftest import ROOT, Books

if TYPE_CHECKING:
    from sandbox.server import Sandbox
    from tests.cli.conftest import Run


def test_a_stack_without_the_dashboards_function_is_said_to_be_another(
    deployer: Run, sandbox: Sandbox
) -> None:
    topic = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    sandbox.client("cloudformation").create_stack(StackName="no-page", TemplateBody=json.dumps(topic))

    done = deployer("--stack", "no-page", "dashboard")

    assert done.returncode == 2
    assert "the stack no-page has no output " in done.stderr


def test_a_port_that_is_none_is_refused(deployer: Run) -> None:
    assert deployer("dashboard", "--port", "65536").returncode == 2


def test_it_prints_one_address_serves_the_shell_there_and_ends_with_ctrl_c(
    environment: dict[str, str], make_books: Callable[..., Books]
) -> None:
    make_books(DashboardFunctionName="shop-dashboard")
    started = subprocess.Popen(
        [sys.executable, "-m", "deployer", "dashboard", "--json"],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        told = json.loads(started.stdout.readline())
        address, _, key = told["url"].partition("/#")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{address}/", timeout=20) as response:
            assert isinstance(response, HTTPResponse)
            assert b"shell.js" in response.read()
    finally:
        os.kill(started.pid, signal.SIGINT)
        out, err = started.communicate(timeout=30)

    assert address.startswith("http://127.0.0.1:")
    assert len(key) >= 32
    assert out == ""
    assert started.returncode == 130
    assert err.splitlines() == [
        "Keep the address to yourself: it acts as you. Ctrl-C ends it.",
        "deployer: interrupted; a deployment that has been asked for goes on",
    ]
