"""The runner does with a buildspec what CodeBuild's user guide says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.build.runner import Build, NotUnderstood, buildspec, codebuild, path

Run = Callable[[str], Build]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def build(phases: str) -> Build:
        workspace, state = tmp_path / "a workspace", tmp_path / "état"
        workspace.mkdir()
        state.mkdir()
        text = f"version: 0.2\nenv: {{shell: bash, variables: {{A: spec, B: spec}}}}\nphases:\n{phases}"
        (workspace / "buildspec.yml").write_text(text)
        return codebuild(workspace, state, {"PATH": path(), "A": "project"})

    return build


def test_a_command_begins_where_the_last_one_stopped(run: Run) -> None:
    build = run("""
      build: {commands: [mkdir below && cd below, X=1]}
      post_build: {commands: ['echo "$(basename "$PWD") $X"']}
    """)

    assert build.succeeded
    assert build.log == "below 1\n"


def test_the_projects_variables_go_before_the_buildspecs(run: Run) -> None:
    assert run("  build: {commands: ['echo $A $B']}").log == "project spec\n"


def test_the_first_failure_ends_its_commands_and_not_what_comes_finally(run: Run) -> None:
    build = run("  build: {commands: [echo one, exit 3, echo two], finally: [echo finally]}")

    assert not build.succeeded
    assert build.log == "one\nfinally\n"
    assert ("build", "exit 3", 3) in build.commands


def test_what_comes_after_a_failed_build_is_told(run: Run) -> None:
    build = run("""
      pre_build: {commands: [echo $CODEBUILD_BUILD_SUCCEEDING]}
      build: {commands: ["false"]}
      post_build: {commands: [echo $CODEBUILD_BUILD_SUCCEEDING]}
    """)

    assert not build.succeeded
    assert build.log == "1\n0\n"


@pytest.mark.parametrize("phase", ["install", "pre_build"])
def test_nothing_comes_after_a_failed_preparation(run: Run, phase: str) -> None:
    build = run(f"""
      {phase}: {{commands: ["false"]}}
      build: {{commands: [echo build]}}
      post_build: {{commands: [echo after]}}
    """)

    assert not build.succeeded
    assert build.log == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("version: 0.2", "phases"),
        ("{version: 0.1, phases: {build: {commands: []}}}", "version"),
        ("{version: 0.2, phases: {deploy: {}}}", "deploy"),
        ("{version: 0.2, phases: {build: {command: [x]}}}", "command"),
        ("{version: 0.2, phases: {build: {runtime-versions: {python: 3}}}}", "runtime-versions"),
        ("{version: 0.2, phases: {build: {commands: [echo a: b]}}}", "in quotes"),
        ("{version: 0.2, phases: {build: {}}, reports: {x: {file: y}}}", "file"),
        ("{version: 0.2, phases: {build: {}}, cache: {}}", "cache"),
    ],
)
def test_a_buildspec_that_is_wrong_is_refused(text: str, says: str) -> None:
    with pytest.raises(NotUnderstood, match=says):
        buildspec(text)
