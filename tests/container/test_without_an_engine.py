"""Where there is no engine, whoever asks for containers is told what is missing and what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sandbox.running.containers import alive, owner
from sandbox.running.engine import Engine, EngineError
from tests.container.base_image import ROOT
from tests.container.engine import why_none


def up(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "sandbox", "up", "--empty", "--port", "0"),
            *("--runtime", "docker", "--registry-port", "0"),
        ],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_sandbox_without_an_engine_says_where_it_looked_and_how_to_get_one(tmp_path: Path) -> None:
    refused = up(DOCKER_HOST=f"unix://{tmp_path}/no.sock")

    assert refused.returncode == 1
    assert f"no Docker engine answers at {tmp_path}/no.sock" in refused.stderr
    assert "make sandbox RUNTIME=docker" in refused.stderr


def test_an_engine_on_another_machine_cannot_be_used_and_that_is_said() -> None:
    refused = up(DOCKER_HOST="tcp://192.0.2.1:2375")

    assert refused.returncode == 1
    assert "DOCKER_HOST is tcp://192.0.2.1:2375" in refused.stderr


def test_a_machine_without_docker_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert "apt-get install docker.io" in (why_none() or "")


def test_what_listens_but_is_no_engine_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: something that answers each connection with what is no HTTP
    path = tmp_path / "a.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-nothing of yours\r\n")

        threading.Thread(target=answer, daemon=True).start()

        # then
        with pytest.raises(EngineError, match="no Docker engine answers"):
            Engine().version()


def test_a_sandbox_is_told_from_a_later_process_with_its_number() -> None:
    own = owner(os.getpid())

    assert alive(own)
    assert not alive(f"{os.getpid()}:1")
    assert not alive("no owner at all")
