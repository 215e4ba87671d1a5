"""`chalice local` serves the app without the wrapper: it stays a plain Chalice app."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

SERVICE = Path(__file__).resolve().parents[2] / "service"

# What the command `chalice local` does, except that it takes any free port and prints it.
LOCAL = """
import os, sys
from chalice.cli.factory import CLIFactory
factory = CLIFactory(sys.argv[1], environ=os.environ)
config = factory.create_config_obj("dev")
app = factory.load_chalice_app(config.environment_variables)
server = factory.create_local_server(app, config, "127.0.0.1", 0)
print(server.server.server_address[1], flush=True)
server.server.serve_forever()
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-B", "-c", LOCAL, str(SERVICE)],
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.kill()


def test_health_is_ok_with_the_configuration_for_a_laptop(address: str) -> None:
    with urllib.request.urlopen(f"{address}/health", timeout=10) as answer:
        assert json.load(answer)["status"] == "ok"


def test_a_percent_encoded_name_is_greeted(address: str) -> None:
    with urllib.request.urlopen(f"{address}/greetings/%E4%B8%96%2Fx?language=zh", timeout=10) as answer:
        assert json.load(answer) == {"message": "你好, 世/x!"}


def test_a_page_on_the_development_server_may_read_and_ask_first(address: str) -> None:
    preflight = urllib.request.Request(
        f"{address}/greetings", headers={"Origin": "http://localhost:3000"}, method="OPTIONS"
    )

    with urllib.request.urlopen(preflight, timeout=10) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
        assert answer.headers["Access-Control-Allow-Methods"] == "OPTIONS,POST"


def test_an_unknown_path_is_not_found(address: str) -> None:
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(f"{address}/nowhere", timeout=10)

    assert refused.value.code == 404
