"""`deployer push`, with a stand-in for Docker that pushes into the sandbox's ECR."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployer.commands.parts.revision import built_by
from tests.cli.conftest import Books, Run, StandIn
from tests.cli.stand_in_docker import Behaviour
from tests.whole.team import Team

if TYPE_CHECKING:
    from sandbox.server import Sandbox

LABEL = "org.opencontainers.image"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service's folder, in a git checkout with everything committed."""
    made = tmp_path / "checkout" / "shop"
    made.mkdir(parents=True)
    (made / "Dockerfile").write_text('FROM scratch\nARG REVISION=\nCOPY app.py /\nCMD ["app.handler"]\n')
    (made / "app.py").write_text("handler = None\n")
    git(made, "init", "--quiet")
    git(made, "add", ".")
    git(made, "commit", "--quiet", "--message", "A shop")
    git(made, "config", "user.name", "Alice of the shop")
    git(made, "remote", "add", "origin", "https://alice:secret@git.example.com/team/shop.git")
    return made


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=Alice", "-c", "user.email=alice@example.com"]
    return subprocess.run(
        ["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True
    ).stdout.strip()


def options(call: dict[str, Any], option: str) -> dict[str, str]:
    """The NAME=VALUE pairs of an option."""
    words = call["words"]
    pairs = [words[place + 1] for place, word in enumerate(words) if word == option]
    return dict(pair.split("=", 1) for pair in pairs)


def tagged(sandbox: Sandbox, books: Books, tag: str = "latest") -> str:
    found = sandbox.client("ecr").describe_images(
        repositoryName=books.repository, imageIds=[{"imageTag": tag}]
    )
    return str(found["imageDetails"][0]["imageDigest"])


def test_what_is_pushed_is_what_ecr_has_under_the_release_tag(
    sandbox: Sandbox, books: Books, docker: StandIn, deployer: Run, folder: Path
) -> None:
    done = deployer("push", str(folder), "--no-wait")

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == tagged(sandbox, books)
    assert "building" in done.stderr


def test_one_plain_image_is_built_for_the_stacks_platform_and_says_its_revision(
    books: Books, docker: StandIn, deployer: Run, folder: Path
) -> None:
    deployer("push", str(folder), "--no-wait")

    call, revision = docker.called("buildx", "build"), git(folder, "rev-parse", "HEAD")
    assert {"--provenance=false", "--sbom=false", "--load"} <= set(call["words"])
    assert call["words"][call["words"].index("--platform") + 1] == "linux/arm64"
    assert call["words"][-1] == str(folder)
    assert options(call, "--build-arg") == {"REVISION": revision}
    labels = options(call, "--label")
    assert labels.pop(f"{LABEL}.created").endswith("Z")
    assert labels == {
        f"{LABEL}.revision": revision,
        f"{LABEL}.source": "https://git.example.com/team/shop.git",
        "self-deploying-lambda.committed-at": git(folder, "show", "--no-patch", "--format=%cI", "HEAD"),
        "self-deploying-lambda.built-by": "Alice of the shop",
    }


def test_a_build_on_ci_is_named_by_its_id_and_a_name_is_one_short_line(folder: Path) -> None:
    assert built_by(folder, {"CODEBUILD_BUILD_ID": "shop:1"}) == "CodeBuild shop:1"
    assert built_by(folder, {"GITHUB_RUN_ID": "17"}) == "GitHub run 17"
    assert built_by(folder, {"CI_JOB_ID": "9"}) == "GitLab job 9"

    git(folder, "config", "user.name", "A\x1b[2J " + "x" * 999)
    told = built_by(folder, {"CI": "true"})

    assert told
    assert told.isprintable()
    assert len(told.encode()) <= 200


def test_a_name_that_git_does_not_know_is_the_users_at_this_machine(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(folder, "config", "--unset", "user.name")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setenv("LOGNAME", "carol")

    assert str(built_by(folder, {})).startswith("carol@")


def test_a_folder_goes_live(
    sandbox: Sandbox, environment: dict[str, str], docker: StandIn, deployer: Run
) -> None:
    team = Team(sandbox, "pushes")
    environment["DEPLOYER_STACK"] = "pushes"

    done = deployer("push")

    digest, *moves = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert team.where() == (digest, digest)
    phases = [line.split()[1] for line in moves if line[2:3] == ":"]
    assert phases == ["UPDATING", "VERIFYING", "PROMOTING", "CONFIRMING", "SUCCEEDED"]
    assert "is live: live is version 2" in done.stdout


@pytest.mark.parametrize("file", ["app.py", "not known to git yet.py"])
def test_a_change_that_is_not_committed_is_said(
    books: Books, docker: StandIn, deployer: Run, folder: Path, file: str
) -> None:
    (folder / file).write_text("handler = 1\n")

    deployer("push", str(folder), "--no-wait")

    revision = options(docker.called("buildx", "build"), "--build-arg")["REVISION"]
    assert revision == f"{git(folder, 'rev-parse', 'HEAD')}-dirty"


def test_a_change_outside_of_the_folder_is_not_in_the_image(
    books: Books, docker: StandIn, deployer: Run, folder: Path
) -> None:
    (folder.parent / "notes.txt").write_text("mine\n")

    deployer("push", str(folder), "--no-wait")

    revision = options(docker.called("buildx", "build"), "--build-arg")["REVISION"]
    assert not revision.endswith("-dirty")


def test_outside_of_a_checkout_the_image_says_no_revision(
    books: Books, docker: StandIn, deployer: Run, folder: Path
) -> None:
    shutil.rmtree(folder / ".git")

    done = deployer("push", str(folder), "--no-wait")

    assert done.returncode == 0, done.stderr
    assert "is in no git checkout" in done.stderr
    call = docker.called("buildx", "build")
    assert options(call, "--build-arg") == {}
    assert options(call, "--label").keys() == {f"{LABEL}.created", "self-deploying-lambda.built-by"}


def test_without_buildx_the_old_builder_makes_the_same_image(
    sandbox: Sandbox, books: Books, docker: StandIn, deployer: Run, folder: Path
) -> None:
    docker.behave(Behaviour.NO_BUILDX)

    done = deployer("push", str(folder), "--no-wait")

    assert done.returncode == 0, done.stderr
    assert docker.called("build")["DOCKER_BUILDKIT"] == "0"
    assert done.stdout.strip() == tagged(sandbox, books)


def test_dockers_password_goes_through_a_pipe_and_nowhere_else(
    books: Books, docker: StandIn, deployer: Run, folder: Path
) -> None:
    done = deployer("push", str(folder), "--no-wait")

    password = "sandbox"  # the sandbox's ECR gives this one to everybody
    assert docker.called("login")["stdin"] == password
    assert not [call for call in docker.calls if password in " ".join(call["words"])]
    assert password not in done.stdout + done.stderr


def test_another_tag_is_pushed_and_not_waited_for(
    sandbox: Sandbox, books: Books, docker: StandIn, deployer: Run, folder: Path
) -> None:
    done = deployer("push", str(folder), "--tag", "try-1")

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == tagged(sandbox, books, "try-1")
    assert "not deployed: only a push of the release tag latest is" in done.stderr


def test_the_end_is_waited_for_with_the_exit_codes_of_wait(
    books: Books, docker: StandIn, deployer: Run, folder: Path
) -> None:
    done = deployer("push", str(folder), "--timeout", "0")

    digest = done.stdout.strip()
    assert done.returncode == 4
    assert f"nothing was seen of a deployment of {digest}" in done.stderr


def test_with_json_stdout_is_one_object(
    sandbox: Sandbox, books: Books, docker: StandIn, deployer: Run, folder: Path
) -> None:
    docker.behave(Behaviour.NO_BUILDX)  # the old builder talks on stdout

    pushed = deployer("push", str(folder), "--no-wait", "--json")
    waited = deployer("push", str(folder), "--timeout", "0", "--json")

    told = json.loads(pushed.stdout)
    assert (told["digest"].partition(":")[0], told["pushed"].partition("/")[2]) == (
        "sha256",
        f"{books.repository}:latest",
    )
    assert json.loads(waited.stdout)["outcome"] == "never seen"


def test_a_docker_that_says_no_digest_is_asked_for_it(
    sandbox: Sandbox, books: Books, docker: StandIn, deployer: Run, folder: Path
) -> None:
    docker.behave(Behaviour.SAYS_NO_DIGEST)

    done = deployer("push", str(folder), "--no-wait")

    assert done.stdout.strip() == tagged(sandbox, books)


def test_a_credential_helper_that_logs_in_by_itself_is_let_to(
    books: Books, docker: StandIn, deployer: Run, folder: Path
) -> None:
    """awslabs/amazon-ecr-credential-helper#102: `docker login` fails although pushing works."""
    docker.behave(Behaviour.HELPER)

    done = deployer("push", str(folder), "--no-wait")

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("how", "because"),
    [
        (Behaviour.NO_DAEMON, "Cannot connect to the Docker daemon"),
        (Behaviour.LOGIN_REFUSED, "could not log in to 123456789012.dkr.ecr.us-east-1.amazonaws.com"),
        (Behaviour.FORGETS_LOGINS, "no basic auth credentials. Docker is not logged in, or you may not push"),
        (Behaviour.PUSHES_ELSEWHERE, "ECR has no such image in"),
    ],
)
@pytest.mark.usefixtures("books")
def test_what_docker_cannot_do_exits_with_2_in_dockers_words(
    docker: StandIn, deployer: Run, folder: Path, how: Behaviour, because: str
) -> None:
    docker.behave(how)

    done = deployer("push", str(folder))

    assert done.returncode == 2
    assert because in done.stderr
    assert "sandbox" not in done.stderr.rpartition("Error: ")[2]  # the password
    assert done.stdout == ""


def test_a_build_that_fails_pushes_nothing(
    books: Books, docker: StandIn, deployer: Run, folder: Path
) -> None:
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY missing.py /\n")

    done = deployer("push", str(folder))

    assert done.returncode == 2
    assert "missing.py" in done.stderr  # docker's own words
    assert "could not be built (docker's exit code 1" in done.stderr
    assert not [call for call in docker.calls if call["words"][0] == "push"]


def test_a_tag_that_may_not_move_is_told_with_what_to_do(
    make_books: Callable[..., Books], docker: StandIn, deployer: Run, folder: Path
) -> None:
    make_books(mutability="IMMUTABLE")
    deployer("push", str(folder), "--no-wait")
    (folder / "app.py").write_text("handler = 2\n")

    done = deployer("push", str(folder), "--no-wait")

    assert done.returncode == 2
    assert "immutable" in done.stderr
    assert "The repository moves no tag: push another one with --tag" in done.stderr


def test_without_docker_it_says_where_to_go_on(
    environment: dict[str, str], deployer: Run, folder: Path
) -> None:
    environment["PATH"] = str(folder)

    done = deployer("push", str(folder))

    assert done.returncode == 2
    assert "there is no docker on PATH" in done.stderr


def test_a_stack_that_is_not_there_is_found_out_before_anything_is_built(
    docker: StandIn, deployer: Run, folder: Path
) -> None:
    done = deployer("--stack", "nowhere", "push", str(folder))

    assert done.returncode == 2
    assert "there is no stack nowhere" in done.stderr
    assert [call["words"][0] for call in docker.calls] == ["version"]


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (("tests",), "tests has no Dockerfile"),
        (("nowhere",), "Directory 'nowhere' does not exist"),
        (("service", "--tag", "-x"), "not an image tag: '-x'"),
        (("service", "--tag", "a:b"), "not an image tag: 'a:b'"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what(deployer: Run, words: tuple[str, ...], because: str) -> None:
    done = deployer("push", *words)

    assert done.returncode == 2
    assert because in done.stderr
