"""AWS's base image for Python functions, or a stand-in for it on a machine that cannot pull public images.

    python -m tests.container.base_image

sees to it that the engine has the image that service/Dockerfile builds on: it is there, it is pulled, or a
stand-in is made and tagged with its name, so that the Dockerfile is built unchanged. The stand-in needs root
and debootstrap. It is like the real one in its paths, environment, entry point, runtime interface client and
emulator; in these it is not:

- Debian's Python, not 3.12; and Debian's libraries, not Amazon Linux's
- root's files only: no yum, no fonts, no `en_US.UTF-8`

The real one: docs.aws.amazon.com/lambda/latest/dg/images-create.html and python-image.html; its Dockerfiles
are in github.com/aws/aws-lambda-base-images.
"""

from __future__ import annotations

import configparser
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "service/Dockerfile"
SUITE = "bookworm"
LABEL = "sandbox.stand-in"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
# Kept between runs: what is made does not change, and takes a minute.
SITE = "var/lang/lib/{python}/site-packages"
RUNTIME = (
    "awslambdaric",
    "simplejson",
    "snapshot-restore-py",
    "boto3",
    "botocore",
    "jmespath",
    "python-dateutil",
    "s3transfer",
    "six",
    "urllib3",
)
"""In the real image's site-packages: the runtime interface client and boto3, with what they need."""
SETTINGS = (
    "ENV LANG=en_US.UTF-8",
    "ENV TZ=:/etc/localtime",
    "ENV PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "ENV LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:"
    "/var/task:/var/task/lib:/opt/lib",
    "ENV LAMBDA_TASK_ROOT=/var/task",
    "ENV LAMBDA_RUNTIME_DIR=/var/runtime",
    "WORKDIR /var/task",
    'ENTRYPOINT ["/lambda-entrypoint.sh"]',
    f"LABEL {LABEL}=true",
)
# As in the real image: the emulator is in front only where no Runtime API is.
ENTRYPOINT = """#!/bin/sh
if [ $# -ne 1 ]; then
  echo "entrypoint requires the handler name to be the first argument" 1>&2
  exit 142
fi
export _HANDLER="$1"

RUNTIME_ENTRYPOINT=/var/runtime/bootstrap
if [ -z "${AWS_LAMBDA_RUNTIME_API}" ]; then
  exec /usr/local/bin/aws-lambda-rie $RUNTIME_ENTRYPOINT
else
  exec $RUNTIME_ENTRYPOINT
fi
"""
BOOTSTRAP = """#!/bin/sh
export AWS_EXECUTION_ENV=AWS_Lambda_python3.12
exec /var/lang/bin/python3 -m awslambdaric "$_HANDLER"
"""


class NoBaseImageError(Exception):
    """The base image is not there and cannot be made; the text says why and what to do."""


def name() -> str:
    """The image that service/Dockerfile builds on."""
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    if found is None:
        raise NoBaseImageError(f"{DOCKERFILE} has no line ARG BASE_IMAGE=...")
    return found[1]


def ensure() -> str:
    """See to it that the engine has the base image, and say where it came from. Raises NoBaseImageError."""
    # One at a time on this machine: whoever waits finds it made.
    with Path(tempfile.gettempdir(), "base-image-for-tests").open("w") as making:
        fcntl.flock(making, fcntl.LOCK_EX)
        return _ensure(name())


def _ensure(image: str) -> str:
    there = _docker("image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', image)
    if there.returncode == 0:
        return f"{image}: is there{', a stand-in' if there.stdout.strip() == 'true' else ''}"
    pulled = _docker("pull", "--quiet", image)
    if pulled.returncode == 0:
        return f"{image}: pulled"
    reason = (pulled.stderr.strip().splitlines() or ["no reason given"])[-1]
    click.echo(f"{image} cannot be pulled ({reason}); making a stand-in, which takes a minute", err=True)
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise NoBaseImageError(
            f"{image} cannot be pulled ({reason}), and a stand-in needs root and debootstrap "
            "(apt-get install debootstrap)"
        )
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="base-image-") as folder:
        python = make(Path(folder) / "root")
        _import(Path(folder) / "root", image)
    return f"{image}: made a stand-in with {python} in {time.monotonic() - started:.0f} s"


def make(root: Path) -> str:
    """Write the stand-in's files below `root`; the name of the Python it has. Needs root."""
    _run(
        "debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", SUITE, str(root)
    )
    _run("chroot", str(root), "python3", "-m", "venv", "/var/lang")
    python = next((root / "var/lang/lib").glob("python3*")).name
    _install(root / SITE.format(python=python), python.removeprefix("python"))
    for folder in ("var/task", "var/runtime", "opt"):
        (root / folder).mkdir(exist_ok=True)
    _write_program(root / "lambda-entrypoint.sh", ENTRYPOINT.encode())
    _write_program(root / "var/runtime/bootstrap", BOOTSTRAP.encode())
    _write_program(root / "usr/local/bin/aws-lambda-rie", _emulator())
    _take_the_machines_way_to_the_index(root)
    for rest in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / rest, ignore_errors=True)
    return f"Python {python.removeprefix('python')}"


def _install(site: Path, version: str) -> None:
    """By this machine's pip, with its configuration, at the versions and hashes of our lock file."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pinned:
        pinned.write(_pins(ROOT / "requirements.lock", RUNTIME))
        pinned.flush()
        machine = platform.machine()
        _run(
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-compile"),
            *("--python-version", version, "--implementation", "cp"),
            *("--platform", f"manylinux2014_{machine}", "--platform", f"manylinux_2_28_{machine}"),
            *("--target", str(site), "-r", pinned.name),
        )


def _emulator() -> bytes:
    """AWS's runtime interface emulator, out of the SAM CLI's own wheel."""
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    path = f"samcli/local/rapid/aws-lambda-rie-{machine}"
    for installed in (ROOT / ".tools/sam").glob(f"lib/python*/site-packages/{path}"):
        return installed.read_bytes()
    with tempfile.TemporaryDirectory(prefix="emulator-") as folder:
        pins = Path(folder) / "pins.txt"
        pins.write_text(_pins(ROOT / "tools/sam.lock", ("aws-sam-cli",)))
        _run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--require-hashes", "--only-binary", ":all:", "--dest", folder, "-r", str(pins)),
        )
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            return wheel.read(path)


def _pins(lock: Path, names: Iterable[str]) -> str:
    """The lock file's lines about these packages, markers left out: pip is told what they are for."""
    text = lock.read_text()
    found = []
    for package in names:
        pin = re.search(
            rf"^{re.escape(package)}==(\S+)[^\n]*\n((?:    --hash=\S+(?: \\)?\n)+)", text, re.MULTILINE
        )
        if pin is None:
            raise NoBaseImageError(f"{lock.name} does not pin {package}")
        found.append(f"{package}=={pin[1]} \\\n{pin[2]}")
    return "".join(found)


def _take_the_machines_way_to_the_index(root: Path) -> None:
    """Give the image's pip this machine's index, proxy and certificates: a build reaches what we reach."""
    settings_here = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    ours = {
        line.partition("=")[0].rpartition(".")[2]: line.partition("=")[2].strip("'\"")
        for line in settings_here.splitlines()
    }
    inside = "etc/ssl/certs/ca-certificates.crt"
    certificates = Path(ours.get("cert") or os.environ.get("SSL_CERT_FILE") or f"/{inside}")
    kept = {"index-url", "extra-index-url", "proxy", "trusted-host", "timeout"}
    taken = {key: value for key, value in ours.items() if key in kept}
    for key in ("index-url", "extra-index-url"):  # an index in a folder of this machine is not in a build
        listed = re.split(r"\s+|\\n", taken.pop(key, ""))
        urls = [url for url in listed if url.startswith(("http://", "https://"))]
        if urls:
            taken[key] = " ".join(urls)
    if certificates.is_file():
        shutil.copyfile(certificates, root / inside)
        taken["cert"] = f"/{inside}"
    settings = configparser.RawConfigParser()
    settings["global"] = taken
    with (root / "var/lang/pip.conf").open("w") as file:
        settings.write(file)


def _write_program(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)


def _import(root: Path, image: str) -> None:
    changes = [word for setting in SETTINGS for word in ("--change", setting)]
    with subprocess.Popen(
        ["tar", "-c", "--one-file-system", "-C", str(root), "--exclude=./proc/*", "--exclude=./sys/*", "."],
        stdout=subprocess.PIPE,
    ) as archive:
        _run("docker", "import", *changes, "-", image, stdin=archive.stdout)
    if archive.returncode:
        raise NoBaseImageError(f"tar ended with {archive.returncode}")


def _docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)


def _run(*words: str, stdin: object = subprocess.DEVNULL) -> None:
    done = subprocess.run(list(words), stdin=stdin, capture_output=True, text=True, check=False)  # type: ignore[call-overload]
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise NoBaseImageError(f"{' '.join(words[:3])} ... ended with {done.returncode}:\n{end}")


def main() -> None:
    try:
        click.echo(ensure())
    except NoBaseImageError as problem:
        sys.exit(f"base image: {problem}")


if __name__ == "__main__":
    main()
