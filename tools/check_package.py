"""Import what `sam build` has built, as Lambda will: `python -m tools.check_package FOLDER PACKAGE...`

Each handler that the built template names is found and can be called, in an interpreter that sees the package
and what Lambda's own Python brings (the PACKAGEs, in the locked versions), and nothing of this checkout. Its
version is ours, not Lambda's: that a wheel fits Python 3.12 is what pip was told when it chose it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import yaml

KEPT_OUT = ("boto3", "botocore", "click", "moto", "rich", "sandbox", "tests")
"""Names that the package must not have: what the runtime brings, and what only people and tests need."""

LARGEST = 250 * 1024 * 1024
"""Bytes of an unpacked package: Lambda's own limit."""

PROBE = """
import importlib, sys
package, runtime, handler = sys.argv[1:]
sys.path[:0] = [package, runtime]
module, _, name = handler.rpartition(".")
found = importlib.import_module(module)
if not found.__file__.startswith(package):
    sys.exit(f"{module} was imported from {found.__file__}")
if not callable(getattr(found, name, None)):
    sys.exit(f"{module} has no function {name}")
"""


class Unusable(Exception):
    """The package would fail on Lambda, or holds what it must not; the message says why."""


def handlers(folder: Path) -> Iterator[tuple[Path, str]]:
    """The package and the handler of each function in the built template, whose code SAM has built."""
    resources = yaml.safe_load((folder / "template.yaml").read_text(encoding="utf-8"))["Resources"]
    for resource in resources.values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function" and properties.get("PackageType") != "Image":
            yield folder / properties["CodeUri"], properties["Handler"]


def check(package: Path, handler: str, runtime: Path) -> int:
    """The package's size in bytes. Raises `Unusable`."""
    extra = [name for name in KEPT_OUT if (package / name).exists()]
    if extra:
        raise Unusable(f"{package} holds {', '.join(extra)}; see build-Deployer in the Makefile")
    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    if size > LARGEST:
        raise Unusable(f"{package} has {size} bytes unpacked; Lambda takes {LARGEST}")
    # -I and -S: nothing from the environment, the current folder or site-packages. -B: nothing is added.
    finished = subprocess.run(  # noqa: S603  # our own interpreter and program
        [sys.executable, "-I", "-S", "-B", "-c", PROBE, str(package), str(runtime), handler],
        env={"AWS_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise Unusable(f"{package} has no usable {handler}: {finished.stderr.strip()}")
    return size


def lay_out(runtime: Path, names: Iterable[str]) -> None:
    """Link the installed packages of these names into a folder, alone."""
    for name in names:
        distribution = metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or ()}
        for top in sorted(tops - {"..", "__pycache__"}):
            (runtime / top).symlink_to(str(distribution.locate_file(top)))


def main(folder: Path, brought: list[str]) -> None:
    found = list(handlers(folder.resolve()))
    if not found:
        raise Unusable(f"{folder}/template.yaml has no function; has `sam build` run?")
    with tempfile.TemporaryDirectory() as name:
        lay_out(Path(name), brought)
        for package, handler in found:
            size = check(package, handler, Path(name))
            sys.stdout.write(f"{package.name}: {size / 1e6:.1f} MB unpacked, {handler} can be called\n")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2:])
    except Unusable as problem:
        sys.exit(f"package: {problem}")
