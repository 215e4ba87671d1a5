"""The container image, as far as it can be seen without building it."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from app import VERSION

ROOT = Path(__file__).resolve().parents[2]
SERVICE = ROOT / "service"
Pins = dict[str, tuple[str, frozenset[str]]]

CHALICE_COMMAND_ONLY = {
    "click",
    "inquirer",
    "readchar",
    "blessed",
    "pip",
    "setuptools",
    "wheel",
    "pyyaml",
    "six",
}
IN_THE_BASE_IMAGE = {"boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "urllib3"}


def pins(file: Path) -> Pins:
    """Version and hashes of each requirement, by name."""
    entries = re.findall(
        r"^([a-z0-9-]+)==(\S+)((?:.*\\\n)(?: +--hash=.*\n?)+)", file.read_text(), re.MULTILINE
    )
    return {
        name: (version, frozenset(re.findall(r"sha256:[0-9a-f]{64}", rest)))
        for name, version, rest in entries
    }


def test_the_image_installs_what_the_lock_file_says_hash_by_hash() -> None:
    locked, installed = pins(ROOT / "requirements.lock"), pins(SERVICE / "requirements.txt")

    assert installed, "service/requirements.txt pins nothing"
    assert installed == {name: locked[name] for name in installed}, "run `make lock`"


def test_requirements_txt_pins_exactly_the_packages_of_requirements_in() -> None:
    wanted = {
        line for line in (SERVICE / "requirements.in").read_text().splitlines() if line and line[0] != "#"
    }

    assert pins(SERVICE / "requirements.txt").keys() == wanted, "run `make lock`"


def test_the_image_has_no_second_botocore_and_nothing_of_the_chalice_command() -> None:
    installed = pins(SERVICE / "requirements.txt").keys()

    assert not installed & (CHALICE_COMMAND_ONLY | IN_THE_BASE_IMAGE)


@pytest.fixture
def site_packages(tmp_path: Path) -> Path:
    """A folder with the packages of requirements.txt and no others, as the image has them."""
    for name in pins(SERVICE / "requirements.txt"):
        distribution = importlib.metadata.distribution(name)
        for top in {
            file.parts[0] for file in distribution.files or () if file.parts[0] not in {"..", "__pycache__"}
        }:
            (tmp_path / top).symlink_to(Path(str(distribution.locate_file(top))))
    return tmp_path


@pytest.mark.parametrize(
    ("database_url", "status", "imported"),
    [("", 200, False), ("sqlite://", 200, True), ("postgresql://user@127.0.0.1:1/shop", 503, True)],
)
def test_the_handler_runs_with_nothing_but_what_the_image_installs(
    database_url: str, status: int, imported: bool, site_packages: Path
) -> None:
    program = (
        "import sys; from lambda_handler import handler\n"
        "answer = handler({'httpMethod': 'GET', 'path': '/health', 'headers': {}}, None)\n"
        "print(answer['statusCode'], 'sqlalchemy' in sys.modules, 'ModuleNotFoundError' in answer['body'])"
    )

    # -S: no site-packages but ours.
    ran = subprocess.run(
        [sys.executable, "-S", "-B", "-c", program],
        env={
            "PYTHONPATH": os.pathsep.join([str(SERVICE), str(site_packages)]),
            "ENVIRONMENT": "local",
            "DATABASE_URL": database_url,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.stdout.splitlines()[-1:] == [f"{status} {imported} False"], ran.stdout + ran.stderr


def instructions() -> list[str]:
    text = (SERVICE / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_dockerfile_is_for_lambda() -> None:
    lines = instructions()

    assert lines[:2] == ["ARG BASE_IMAGE=public.ecr.aws/lambda/python:3.12", "FROM ${BASE_IMAGE}"]
    assert lines[-1] == 'CMD ["lambda_handler.handler"]'


def test_a_change_of_code_keeps_the_layer_of_the_dependencies_and_a_revision_keeps_all() -> None:
    first_words = [line.split()[0] for line in instructions()]

    assert first_words[2:8] == ["COPY", "RUN", "COPY", "COPY", "ARG", "ENV"]


def test_the_labels_say_version_and_revision() -> None:
    labels = dict(re.findall(r'^LABEL (\S+)="(.*)"$', (SERVICE / "Dockerfile").read_text(), re.MULTILINE))

    assert labels["org.opencontainers.image.version"] == VERSION
    assert labels["org.opencontainers.image.revision"] == "${REVISION}"


def test_everything_the_dockerfile_copies_exists_and_docker_is_allowed_to_see_it() -> None:
    copied = {source for line in instructions() if line.startswith("COPY") for source in line.split()[1:-1]}
    allowed = {
        line[1:] for line in (SERVICE / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }

    assert copied == allowed
    assert all((SERVICE / source).exists() for source in copied)
