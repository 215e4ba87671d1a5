"""Which source a folder holds, by git, and who builds it: what an image says of where it comes from."""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from deployer.text import line

_GIT_SECONDS = 30
_WORD = 200  # bytes; the deployer keeps no more of a label
# What a build on CI is called, from the first of these variables that is set; `CI` alone names no build.
_BUILDS = {
    "CODEBUILD_BUILD_ID": "CodeBuild {}",  # docs.aws.amazon.com/codebuild, "Environment variables"
    "GITHUB_RUN_ID": "GitHub run {}",  # docs.github.com/actions, "Default environment variables"
    "CI_JOB_ID": "GitLab job {}",  # docs.gitlab.com/ci/variables
}


def revision(folder: Path) -> str | None:
    """The commit that `folder` is checked out from, with ``-dirty`` if anything in the folder differs from
    it; None outside of a git checkout, or without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    # A file that git does not know yet is built into the image as well.
    changed = _git(folder, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    return commit if changed == "" else f"{commit}-dirty"


def source(folder: Path) -> str | None:
    """Where the checkout comes from, without a password that may be in it; None if git does not know."""
    url = _git(folder, "remote", "get-url", "origin")
    if not url or "://" not in url:
        return url or None  # git@host:path holds no password
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def committed_at(folder: Path) -> str | None:
    """When the commit that `folder` is checked out from was made, as ISO 8601; None if git does not know."""
    return _git(folder, "show", "--no-patch", "--format=%cI", "HEAD") or None


def built_by(folder: Path, environment: Mapping[str, str] = os.environ) -> str | None:
    """Who builds: the build on CI, or the person, by the name git has for them, or else by user and machine;
    one short line. None if nobody can be named."""
    for variable, words in _BUILDS.items():
        if environment.get(variable):
            return line(words.format(environment[variable]), _WORD)
    name = _git(folder, "config", "user.name")
    try:
        found = name or f"{getpass.getuser()}@{platform.node()}"
    except (OSError, KeyError):  # a user without a name, as in some containers
        return None
    return line(found, _WORD)


def _git(folder: Path, *words: str) -> str | None:
    """What git says, or None where it cannot."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        asked = subprocess.run(  # noqa: S603  fixed words, and a folder that follows -C
            [git, "-C", str(folder), *words],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
