"""buildspec.yml and the release workflow, run as CodeBuild and GitHub run them.

Real are scripts/release, the image (of service/), its container and its checks, the AWS CLI and, in the
sandbox, ECR. Stand-ins are Docker, `make setup`, the service's tests and the deployer's last word.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cfnlint.decode  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from deployer.aws.registry import COMMITTED_LABEL
from sandbox.server import Sandbox
from tests.build import docker, runner
from tests.build.checkout import ROOT, SOURCE, WORKFLOW, Checkout, commit

CHECKS = '[{"path": "/health",\n "json": {"status": "ok"}}]'


class Project(Checkout):
    """A team's repository of images, and a checkout of its code to build."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        super().__init__(folder)
        self.sandbox = sandbox
        self.name = f"build-{uuid.uuid4().hex[:10]}"
        self.ecr = sandbox.client("ecr")
        created = self.ecr.create_repository(
            repositoryName=self.name,
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=[
                {"filterType": "WILDCARD", "filter": name} for name in ("latest", "buildcache")
            ],
        )
        self.uri = created["repository"]["repositoryUri"]

    def codebuild(self, revision: str = commit(1), **changed: str) -> runner.Build:
        """What CodeBuild does with a commit."""
        project = {
            "REPOSITORY_URI": self.uri,
            "RELEASE_TAG": "latest",
            "PLATFORM": "linux/amd64",
            "CHECKS": CHECKS,
            "DEPLOYER_STACK": "team",
        }
        return self.build(revision, {**self.sandbox.environment, **project, **changed})

    def github(self, revision: str, stack: str) -> runner.Build:
        """What GitHub does with a commit."""
        contexts = {
            "vars.DEPLOYER_STACK": stack,
            "github.sha": revision,
            "github.server_url": "https://example.com",
            "github.repository": "team/service",
        }
        return self.workflow(self.sandbox.environment, contexts)

    def tags(self) -> dict[str, str]:
        """The digest of each tag in the registry."""
        found = self.ecr.list_images(repositoryName=self.name)["imageIds"]
        return {image["imageTag"]: image["imageDigest"] for image in found}

    def labels(self, tag: str) -> dict[str, str]:
        stored = self.sandbox.ecr.find(self.name, tag)
        config = json.loads(self.sandbox.ecr.blob(self.name, json.loads(stored.manifest)["config"]["digest"]))
        found: dict[str, str] = config["config"]["Labels"]
        return found


@pytest.fixture
def project(sandbox: Sandbox, tmp_path: Path) -> Iterator[Project]:
    made = Project(sandbox, tmp_path)
    yield made
    assert docker.remove_all(made.state) == []


@pytest.fixture(scope="module")
def released(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Project, runner.Build]]:
    """A project that has built its first commit."""
    project = Project(sandbox, tmp_path_factory.mktemp("released"))
    yield project, project.codebuild(commit(1))
    docker.remove_all(project.state)


# A healthy commit


def test_a_commit_is_tested_built_checked_pushed_and_then_released(
    released: tuple[Project, runner.Build],
) -> None:
    project, build = released

    assert build.succeeded, build.log
    digest = project.tags()["latest"]
    assert project.tags() == {f"git-{commit(1)}": digest, "latest": digest}
    steps = project.calls("make", "python", "docker run", "docker push", "aws ecr put-image")
    assert [re.match(r"\S+( -m)?( \S+){1,2}", step)[0] for step in steps] == [  # type: ignore[index]
        "make setup",
        "python -m pytest tests/service",
        "docker run --detach",
        "python -m deployer checks",
        f"docker push {project.uri}:git-{commit(1)}",
        "aws ecr put-image",
        "python -m deployer wait",
    ]
    assert f"{digest} is live" in build.log
    assert docker.running(project.state) == []


def test_an_image_says_where_it_came_from(released: tuple[Project, runner.Build]) -> None:
    labels = released[0].labels("latest")

    assert labels["org.opencontainers.image.revision"] == commit(1)
    assert labels["org.opencontainers.image.source"] == SOURCE
    assert labels["self-deploying-lambda.built-by"] == "CodeBuild service:1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["org.opencontainers.image.created"])


def test_the_registrys_password_is_not_in_the_log(released: tuple[Project, runner.Build]) -> None:
    project, build = released
    token = project.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    password = base64.b64decode(token).decode().partition(":")[2]

    assert password not in build.log


def test_the_report_of_the_tests_is_where_codebuild_looks(released: tuple[Project, runner.Build]) -> None:
    assert [report.name for report in released[1].reports["service"]] == ["service.xml"]


# What goes wrong before the push


def test_a_failing_test_of_the_service_ends_the_build(project: Project) -> None:
    project.fail(pytest="1 failed")

    build = project.codebuild()

    assert not build.succeeded
    assert project.calls("docker", "aws") == []
    assert build.reports["service"]


def test_an_image_that_cannot_be_built_is_not_pushed(project: Project) -> None:
    project.fail(buildx_build="ERROR: failed to solve: pip")

    build = project.codebuild()

    assert not build.succeeded
    assert "failed to solve" in build.log
    assert project.tags() == {}


def test_an_image_that_fails_its_checks_is_not_pushed(project: Project) -> None:
    well, unwell = '["ENVIRONMENT"]', '["ENVIRONMENT", "NEVER_SET"]'
    project.edit("chalicelib/health.py", well, unwell)
    build = project.codebuild()
    tags = project.tags()

    project.edit("chalicelib/health.py", unwell, well)
    mended = project.codebuild()

    assert not build.succeeded
    assert "got 503" in build.log
    assert "POST /2015-03-31" in build.log, "the container's own log"
    assert tags == {}
    assert mended.succeeded


def test_a_container_that_dies_at_once_shows_its_log(project: Project) -> None:
    (project.workspace / "service/app.py").write_text("raise RuntimeError('no start')")

    build = project.codebuild()

    assert not build.succeeded
    assert "no start" in build.log
    assert project.tags() == {}


def test_a_build_that_is_stopped_leaves_nothing_behind_and_can_be_repeated(project: Project) -> None:
    project.fail(interrupt="stopped")
    stopped = project.codebuild()
    containers, tags = docker.running(project.state), project.tags()

    project.fail()
    again = project.codebuild()

    assert not stopped.succeeded
    assert containers == []
    assert tags == {}
    assert again.succeeded
    assert project.calls("docker buildx create") == project.calls("docker buildx create")[:1]


@pytest.mark.parametrize("name", ["REPOSITORY_URI", "RELEASE_TAG", "PLATFORM", "CHECKS", "DEPLOYER_STACK"])
def test_a_setting_that_is_missing_is_named_before_anything_is_done(project: Project, name: str) -> None:
    build = project.codebuild(**{name: ""})

    assert not build.succeeded
    assert f"release: {name} is not set" in build.log
    assert project.calls("docker", "aws") == []


# What goes wrong with the push


def test_an_image_that_cannot_be_pushed_is_not_released(project: Project) -> None:
    project.fail(push="denied: not authorized")

    build = project.codebuild()

    assert not build.succeeded
    assert "denied: not authorized" in build.log
    assert project.tags() == {}


def test_an_image_that_is_there_although_its_push_failed_is_released(project: Project) -> None:
    # Such as when another build of the commit was first, and the tag is immutable.
    project.fail(after_push="tag invalid: already exists and is immutable")

    build = project.codebuild(commit(1))

    assert build.succeeded, build.log
    assert project.tags()["latest"] == project.tags()[f"git-{commit(1)}"]


def test_a_commit_that_was_built_before_is_released_from_its_image(project: Project) -> None:
    project.codebuild(commit(1))
    first = project.tags()["latest"]
    project.codebuild(commit(2))
    second = project.tags()["latest"]

    back = project.codebuild(commit(1))

    assert back.succeeded, back.log
    assert first != second
    assert project.tags()["latest"] == first
    assert len(project.calls("docker buildx build")) == 2
    assert len(project.calls("docker push")) == 2


def history(project: Project) -> tuple[str, str]:
    """Make the workspace a git repository with two commits; their ids, the older first."""

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        done = subprocess.run(
            ["git", *who, *words], cwd=project.workspace, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "--quiet")
    ids = []
    for message in ("older", "newer"):
        git("commit", "--quiet", "--allow-empty", "--message", message)
        ids.append(git("rev-parse", "HEAD"))
    return ids[0], ids[1]


def test_the_slower_build_of_an_older_commit_does_not_take_over(project: Project) -> None:
    older, newer = history(project)
    project.codebuild(newer)
    latest = project.tags()["latest"]

    slow = project.codebuild(older)

    assert slow.succeeded, slow.log
    assert "a newer commit is released already" in slow.log
    assert project.tags()["latest"] == latest
    assert f"git-{older}" in project.tags()


def test_who_wants_to_go_back_to_an_older_commit_says_so(project: Project) -> None:
    older, newer = history(project)
    project.codebuild(older)
    before = project.tags()["latest"]
    project.codebuild(newer)

    back = project.codebuild(older, RELEASE_OLDER="yes")

    assert back.succeeded, back.log
    assert project.tags()["latest"] == before


def test_an_image_says_when_its_commit_was_made_for_lead_time_to_be_measured(project: Project) -> None:
    older, _ = history(project)

    built = project.codebuild(older)

    assert built.succeeded, built.log
    made_at = datetime.fromisoformat(project.labels("latest")[COMMITTED_LABEL])
    assert timedelta() <= datetime.now(UTC) - made_at < timedelta(minutes=10)


def test_a_builder_that_cannot_be_had_costs_the_cache_and_not_the_release(project: Project) -> None:
    project.fail(buildx_create="toomanyrequests: You have reached your pull rate limit")

    built = project.codebuild(commit(1))

    assert built.succeeded, built.log
    assert "building without" in built.log
    [call] = project.calls("docker buildx build")
    assert "--cache-to" not in call
    assert "latest" in project.tags()


def test_a_release_that_is_there_already_is_not_pushed_again_and_is_asked_for(
    released: tuple[Project, runner.Build],
) -> None:
    project, _ = released
    digest = project.tags()["latest"]

    again = project.codebuild(commit(1))

    assert again.succeeded, again.log
    assert f"latest is {digest} already" in again.log
    assert len(project.calls("aws ecr put-image")) == 1
    assert f"--digest {digest} --since " in project.calls("python -m deployer wait")[-1]


# What the deployer says


def test_a_release_that_a_newer_push_took_over_from_is_no_failure(
    released: tuple[Project, runner.Build],
) -> None:
    project, _ = released
    project.fail(superseded="a newer push took over")

    build = project.codebuild(commit(1))

    project.fail()
    assert build.succeeded
    assert "a newer push took over" in build.log


# GitHub


def test_github_releases_as_codebuild_does(project: Project) -> None:
    outputs = {
        "RepositoryUri": project.uri,
        "ReleaseTag": "latest",
        "Platform": "linux/amd64",
        "Checks": CHECKS,
    }
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    cloudformation = project.sandbox.client("cloudformation")
    cloudformation.create_stack(StackName=project.name, TemplateBody=json.dumps(template))

    build = project.github(commit(1), project.name)

    assert build.succeeded, build.log
    assert project.tags()["latest"] == project.tags()[f"git-{commit(1)}"]
    labels = project.labels("latest")
    assert labels["org.opencontainers.image.source"] == "https://example.com/team/service"


def test_github_and_codebuild_run_the_same_commands() -> None:
    spec = runner.buildspec((ROOT / "buildspec.yml").read_text())
    [job] = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()

    on_codebuild = [command for phase in spec["phases"].values() for command in phase["commands"]]
    on_github = [step["run"] for step in job["steps"] if "run" in step]

    # CodeBuild's variables are the environment of GitHub's step; and CodeBuild need not ask the stack.
    bare = [re.sub(r"^([A-Z]+=\S+ )+", "", command) for command in on_codebuild]
    assert bare == [command for command in on_github if "describe-stacks" not in command]


def test_the_workflow_asks_for_outputs_that_the_stack_has() -> None:
    template, problems = cfnlint.decode.decode(str(ROOT / "template.yaml"))
    asked = re.findall(r"\b([A-Z][A-Za-z]+)=[A-Z_]+\b", WORKFLOW.read_text())

    assert problems == []
    assert asked == ["RepositoryUri", "ReleaseTag", "Platform", "Checks"]
    assert set(asked) <= set(template["Outputs"])


def test_the_workflow_may_do_little_and_runs_pinned_actions_only() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    [job] = workflow["jobs"].values()

    assert workflow["permissions"] == {}
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert "secrets." not in WORKFLOW.read_text()
    for step in job["steps"]:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", "a/b@" + "0" * 40))
