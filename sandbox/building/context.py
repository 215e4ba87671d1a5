"""What a build may copy from: a folder's files, without those its .dockerignore names."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sandbox.building.dockerfile import BuildError

MOST_FILES = 50_000
"""Files in a context; more is a forgotten .dockerignore."""


@dataclass(frozen=True)
class File:
    """A regular file (`content`) or a symbolic link (`target`)."""

    content: bytes = b""
    target: str | None = None
    executable: bool = False


@dataclass
class Context:
    """The folder's files by their relative POSIX path; contents are read when asked for.

    `overrides` are files that replace or join the folder's, as if they were in it.
    """

    folder: Path
    overrides: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise BuildError(f"{self.folder} is not a folder")
        for path in self.overrides:
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise BuildError(f"override {path!r} is not a path inside the folder")
        ignored = _Ignore(self.text(".dockerignore") or "")
        added = {path for path in self.overrides if not ignored.matches(path)}
        self._paths = sorted({*_walk(self.folder, ignored), *added})

    def text(self, path: str) -> str | None:
        """The text of a file, ignored or not; None if there is none."""
        if path in self.overrides:
            return self.overrides[path].decode()
        try:
            return (self.folder / path).read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise BuildError(f"cannot read {self.folder / path}: {error}") from error

    def matching(self, source: str) -> list[str]:
        """The paths below the file, folder or wildcard pattern `source` that match it, sorted.

        Of a folder that is the folder's own path, not its files': see `below`.
        """
        pattern = _glob(source)
        matches = {
            "/".join(parts[:depth])
            for parts in (PurePosixPath(path).parts for path in self._paths)
            for depth in range(1, len(parts) + 1)
            if pattern.fullmatch("/".join(parts[:depth]))
        }
        return sorted(matches)

    def below(self, folder: str) -> list[str]:
        """The files in a folder and its folders (of "", all); empty for a file."""
        prefix = f"{folder}/" if folder else ""
        return [path for path in self._paths if path.startswith(prefix)]

    def read(self, path: str) -> File:
        """A file of the context."""
        if path in self.overrides:
            return File(self.overrides[path])
        try:
            mode = (self.folder / path).lstat().st_mode
            if stat.S_ISLNK(mode):
                return File(target=os.readlink(self.folder / path))  # noqa: PTH115 - Path normalises it
            return File((self.folder / path).read_bytes(), executable=bool(mode & stat.S_IXUSR))
        except OSError as error:
            raise BuildError(f"cannot read {self.folder / path}: {error}") from error


def _walk(folder: Path, ignored: _Ignore) -> Iterator[str]:
    count = 0
    for directory, folders, files in os.walk(folder):
        inside = Path(directory).relative_to(folder)
        folders[:] = [name for name in folders if not ignored.prunes((inside / name).as_posix())]
        links = [name for name in folders if (Path(directory) / name).is_symlink()]
        for name in [*files, *links]:
            path, relative = Path(directory) / name, (inside / name).as_posix()
            if ignored.matches(relative) or not (path.is_symlink() or path.is_file()):
                continue  # sockets and pipes: Docker leaves them out of the context too
            count += 1
            if count > MOST_FILES:
                raise BuildError(
                    f"{folder} holds more than {MOST_FILES} files; name what to skip in .dockerignore"
                )
            yield relative


class _Ignore:
    """A .dockerignore: the last pattern that matches a path or a folder above it decides; `!` takes back."""

    def __init__(self, text: str) -> None:
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        for raw in text.splitlines():
            line = raw.strip()
            if line and not line.startswith("#"):
                keeps = line.startswith("!")
                self._rules.append((keeps, _glob(line.removeprefix("!").strip())))

    def prunes(self, folder: str) -> bool:
        """Whether nothing below the folder can be in the context."""
        return self.matches(folder) and not any(keeps for keeps, _ in self._rules)

    def matches(self, path: str) -> bool:
        parts = path.split("/")
        candidates = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        ignored = False
        for keeps, pattern in self._rules:
            if any(pattern.fullmatch(candidate) for candidate in candidates):
                ignored = not keeps
        return ignored


def _glob(pattern: str) -> re.Pattern[str]:
    """Go's filepath.Match, and `**` for any number of folders, as .dockerignore and COPY read patterns."""
    normal = os.path.normpath(f"/{pattern}").lstrip("/")
    expression = ""
    for token in re.findall(r"\*\*/?|\*|\?|\[\^?[^]]+\]|\\.|.", normal):
        match token:
            case "**/":
                expression += "(?:.*/)?"
            case "**":
                expression += ".*"
            case "*":
                expression += "[^/]*"
            case "?":
                expression += "[^/]"
            case _ if token.startswith("[") and len(token) > 1:
                expression += token
            case _:
                expression += re.escape(token[-1])
    try:
        return re.compile(expression, re.DOTALL)
    except re.error as error:
        raise BuildError(f"cannot read the pattern {pattern!r}: {error}") from error
