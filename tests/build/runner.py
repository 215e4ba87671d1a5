"""CodeBuild and GitHub Actions on this machine, as far as our files use them: the commands are really run.

What CodeBuild does is from its user guide: build-spec-ref (phases, `finally`, precedence of variables),
view-build-details-phases (post_build follows a failed build, but nothing a failed install or pre_build) and
build-env-ref-env-vars. With version 0.2 a command begins with the folder and the variables that the last one
left. That it has a shell of its own, which loses options and functions, is not documented but stricter.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")
BLOCKS = ("commands", "finally")
TIMEOUT_SECONDS = 300

# `set -a`: variables reach the next command whether they were exported or not.
COMMAND = """\
cd "$(cat {state}/folder)"
set -a
. {state}/variables
CODEBUILD_BUILD_SUCCEEDING={succeeding}
{command}
LAST_EXIT=$?
pwd >{state}/folder
export -p >{state}/variables
exit $LAST_EXIT
"""

STEP = "bash --noprofile --norc -e -o pipefail"
"""What GitHub runs a step with `shell: bash` in."""


class NotUnderstood(Exception):
    """The file says something that is wrong, or that no part of this runner stands for."""


@dataclass
class Build:
    """What a build came to: which commands ended how, in order, and all they wrote."""

    commands: list[tuple[str, str, int]] = field(default_factory=list)
    """Phase (or step), command and exit status."""
    log: str = ""
    reports: dict[str, list[Path]] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        return all(status == 0 for _, _, status in self.commands)

    def run(
        self, where: str, command: str, arguments: list[str], folder: Path, env: Mapping[str, str]
    ) -> bool:
        """Run a command, keep what it wrote, and say whether it succeeded."""
        finished = subprocess.run(
            arguments,
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        self.log += finished.stdout
        self.commands.append((where, command, finished.returncode))
        return finished.returncode == 0


# CodeBuild


def codebuild(workspace: Path, state: Path, environment: Mapping[str, str]) -> Build:
    """Build `workspace` by its buildspec.yml.

    `environment` is all that the commands see besides what the buildspec and CodeBuild itself set: the
    project's variables, the role's credentials, PATH. `state` is an empty folder of the runner's. Raises
    `NotUnderstood` for a buildspec that CodeBuild would refuse, or that has more than this runner knows.
    """
    spec = buildspec((workspace / "buildspec.yml").read_text(encoding="utf-8"))
    succeeding = 1
    own = {"CODEBUILD_SRC_DIR": str(workspace), "CODEBUILD_BUILD_ID": "service:1", "CI": "true"}
    variables = {**spec.get("env", {}).get("variables", {}), **own, **environment}
    shell = spec.get("env", {}).get("shell", "sh")
    (state / "folder").write_text(str(workspace))
    (state / "variables").touch()

    build = Build()

    def run(phase: str, command: str) -> bool:
        script = COMMAND.format(state=shlex.quote(str(state)), succeeding=succeeding, command=command)
        (state / "script.sh").write_text(script)
        return build.run(phase, command, [shell, str(state / "script.sh")], workspace, variables)

    for phase in PHASES:
        blocks = spec["phases"].get(phase, {})
        # The first failure ends the block.
        done = [all(run(phase, command) for command in blocks.get(block, [])) for block in BLOCKS]
        if not all(done):
            succeeding = 0
            if phase != "build":
                break

    for name, report in spec.get("reports", {}).items():
        base = workspace / report.get("base-directory", ".")
        build.reports[name] = [path for pattern in report["files"] for path in sorted(base.glob(pattern))]
    return build


def buildspec(text: str) -> dict[str, Any]:
    """A buildspec's content. Raises `NotUnderstood`."""
    spec: dict[str, Any] = yaml.safe_load(text)
    known = {
        "": ({"version", "env", "phases", "reports"}, spec),
        "env": ({"shell", "variables"}, spec.get("env", {})),
        "phases": (set(PHASES), spec.get("phases", {})),
        **{
            f"phases.{name}": ({*BLOCKS, *(["runtime-versions"] if name == "install" else [])}, phase)
            for name, phase in spec.get("phases", {}).items()
        },
        **{
            f"reports.{name}": ({"base-directory", "files", "file-format"}, report)
            for name, report in spec.get("reports", {}).items()
        },
    }
    for where, (keys, given) in known.items():
        if unknown := set(given) - keys:
            raise NotUnderstood(f"buildspec.yml {where}: {', '.join(sorted(unknown))}")
    if spec.get("version") != 0.2 or not spec.get("phases"):
        raise NotUnderstood("buildspec.yml: the version must be 0.2, and there must be phases")
    for phase in spec["phases"].values():
        for command in (command for block in BLOCKS for command in phase.get(block, [])):
            if not isinstance(command, str):  # `- echo a: b` is a mapping in YAML
                raise NotUnderstood(
                    f"buildspec.yml: a command must be text, not {command!r}; put it in quotes"
                )
    return spec


# GitHub Actions


def workflow(
    file: Path, workspace: Path, state: Path, environment: Mapping[str, str], contexts: Mapping[str, str]
) -> Build:
    """Run the steps of the workflow's one job, in `workspace`.

    `contexts` has the value of every expression that the file may use, such as `vars.AWS_REGION`. An action
    is not run: `environment` has what it would have set.
    """
    [job] = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values()
    (state / "env").touch()
    build = Build()
    for step in job["steps"]:
        if "run" not in step:
            continue
        script = state / "step.sh"
        script.write_text(step["run"])
        env = {
            **environment,
            "CI": "true",
            "GITHUB_ENV": str(state / "env"),
            **dict(_set_by_steps(state / "env")),
            **{name: evaluated(value, contexts) for name, value in step.get("env", {}).items()},
        }
        if not build.run(step["name"], step["run"], [*STEP.split(), str(script)], workspace, env):
            break
    return build


def evaluated(text: str, contexts: Mapping[str, str]) -> str:
    """`text` with its `${{ expressions }}` replaced. Raises `NotUnderstood` for one that `contexts` lacks."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in contexts:
            raise NotUnderstood(f"the workflow uses {match[0]}, which nobody sets")
        return contexts[match[1]]

    return re.sub(r"\$\{\{\s*(.*?)\s*\}\}", value, text)


def _set_by_steps(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_text().splitlines():
        name, equals, value = line.partition("=")
        if not equals:
            raise NotUnderstood(f"a line without = in GITHUB_ENV: {line!r}")
        yield name, value


# Programs on PATH


def install(folder: Path, name: str, arguments: list[str], calls: Path | None = None) -> None:
    """Put a program into `folder` that runs `arguments` and what it is given itself.

    It notes each call in the file `calls` first, as one line.
    """
    note = "" if calls is None else f"printf '%s\\n' {shlex.quote(name)}\" $*\" >>{shlex.quote(str(calls))}\n"
    program = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\n{note}exec {shlex.join(arguments)} "$@"\n')
    program.chmod(0o755)


def path(*folders: Path) -> str:
    """A PATH that begins with these folders."""
    return os.pathsep.join([*map(str, folders), os.environ["PATH"]])
