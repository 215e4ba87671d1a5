"""A Dockerfile's text as instructions: continuations, comments, flags, variables, JSON forms.

After https://docs.docker.com/reference/dockerfile/. What an instruction does is in
`sandbox.building.stages`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

HEREDOC = re.compile(r"(?<!\S)\d*<<-?['\"]?[A-Za-z_]")
NOTHING = re.compile(r"\s*(#.*)?")
FLAG = re.compile(r"(--[a-z-]+)")
VARIABLE = re.compile(
    r"\\(?P<escaped>\$)|\$(?P<bare>[A-Za-z_][A-Za-z0-9_]*)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<rest>[^}]*)\}"
)


class BuildError(Exception):
    """A Dockerfile line that cannot be done here, with its number, and what to do about it."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"Dockerfile line {line}: {message}")
        self.line = line


@dataclass(frozen=True)
class Instruction:
    """`rest` is what follows its name, continuations joined."""

    line: int
    name: str
    rest: str

    def __str__(self) -> str:
        """The instruction on one line, shortened."""
        text = re.sub(r"\s+", " ", f"{self.name} {self.rest}")
        return text if len(text) <= 80 else f"{text[:77]}..."

    def error(self, message: str) -> BuildError:
        return BuildError(message, self.line)

    def words(self) -> list[str]:
        """The rest as words: of a JSON array its strings, else split as a shell does, quotes taken off."""
        return self.array() or self._split()

    def array(self) -> list[str] | None:
        """The strings of the exec form (`["handler"]`), or None for the shell form."""
        if not self.rest.startswith("["):
            return None
        try:
            parsed = json.loads(self.rest)
        except ValueError:
            return None  # Docker too takes a malformed array for the shell form
        if not isinstance(parsed, list) or not all(isinstance(word, str) for word in parsed):
            return None
        return parsed

    def pairs(self) -> list[tuple[str, str]]:
        """`key=value key2="value 2"` of ENV and LABEL, and their old form `key value`."""
        first, _, value = self.rest.partition(" ")
        if "=" not in first:
            if not value.strip():
                raise self.error(f"{self.name} needs key=value")
            return [(first, value.strip())]
        pairs = []
        for word in self._split():
            key, equals, value = word.partition("=")
            if not key or not equals:
                raise self.error(f"{word!r} is not key=value; quote values that contain spaces")
            pairs.append((key, value))
        return pairs

    def _split(self) -> list[str]:
        # `\$` must reach `expand` as it is, and shlex takes backslashes off.
        try:
            return shlex.split(self.rest.replace("\\$", "\\\\$"))
        except ValueError as error:
            raise self.error(f"cannot split {self.rest!r}: {error}") from error


def parse(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile; `BuildError` for one that Docker would not read either."""
    instructions = []
    for line, logical in _logical_lines(text):
        name, _, rest = logical.partition(" ")
        rest = rest.strip()
        if not name.isalpha():
            raise BuildError(f"{name!r} is not an instruction", line)
        if not rest:
            raise BuildError(f"{name} has no arguments", line)
        flag = FLAG.match(rest)
        if flag and name.upper() != "RUN":  # RUN is not executed, however it is flagged
            raise BuildError(f"{name.upper()} {flag[1]} cannot be done without Docker; leave it out", line)
        instructions.append(Instruction(line, name.upper(), rest))
    return instructions


def expand(text: str, variables: Mapping[str, str], missing: set[str]) -> str:
    """`text` with $name, ${name}, and ${name:-word} replaced; adds unset names to `missing`."""

    def value_of(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name, rest = match["bare"] or match["name"], match["rest"] or ""
        value = variables.get(name, "")
        match rest[:2]:
            case ":-":
                return value or rest[2:]
            case "":
                if name not in variables:
                    missing.add(name)
                return value
            case _:
                raise BuildError(f"${{{name}{rest}}} is not supported; use :-")

    return VARIABLE.sub(value_of, text)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each instruction, with continuations joined by a space."""
    lines = enumerate(text.replace("\r\n", "\n").split("\n"), 1)
    for first, line in lines:
        if NOTHING.fullmatch(line):
            directive = re.fullmatch(r"#\s*escape\s*=\s*(\S)\s*", line)
            if directive and directive[1] != "\\":
                raise BuildError("only the escape character \\ is supported", first)
            continue
        parts = [line.strip()]
        while parts[-1].endswith("\\"):
            parts[-1] = parts[-1][:-1].rstrip()
            # Comments and empty lines inside a continuation are dropped.
            following = next((more for _, more in lines if not NOTHING.fullmatch(more)), "")
            parts.append(following.strip())
        logical = " ".join(part for part in parts if part)
        if logical.split(" ", 1)[0].upper() in {"RUN", "COPY", "ADD"} and HEREDOC.search(logical):
            raise BuildError("a heredoc cannot be read here; make it a file", first)
        yield first, logical
