"""What a Dockerfile's instructions do: from a build context to an image's files and configuration.

After https://docs.docker.com/reference/dockerfile/. RUN is not executed and base images are not fetched;
what that leaves out is noted. Whatever else cannot be done (ADD, a second stage, flags) is a `BuildError`
with the line.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sandbox.building.context import Context, File
from sandbox.building.dockerfile import BuildError, Instruction, expand

LAMBDA_BASE_ENV = {
    "LANG": "en_US.UTF-8",
    "TZ": ":/etc/localtime",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
}
"""Environment of AWS's base images for Lambda. Without their LD_LIBRARY_PATH: it points into the base image
for the interpreter there, and would mislead the sandbox's own."""

OTHER_BASE_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

BASE_FOLDERS = frozenset({"/", "/home", "/opt", "/root", "/srv", "/tmp", "/usr", "/usr/local", "/var"})
"""Folders of any base image, which COPY copies into where it would otherwise make a file."""

LARGEST_IMAGE = 512 * 1024 * 1024
"""Bytes that all files of a build may have. Lambda takes 10 GB; the sandbox builds in memory."""


@dataclass(frozen=True)
class Step:
    """An instruction's trace in the image: the layer it made, if any, by absolute path."""

    created_by: str
    layer: Mapping[str, File] | None = None


@dataclass
class Stage:
    """What FROM begins: the image so far."""

    env: dict[str, str]
    workdir: str
    folders: set[str]
    entrypoint: list[str] | None = None
    command: list[str] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        return {**self.args, **self.env}


class Build:
    """One pass over a Dockerfile's instructions."""

    def __init__(self, context: Context, build_args: Mapping[str, str]) -> None:
        self.notes: list[str] = []
        self._context = context
        self._build_args = build_args
        self._unused_args = set(build_args)
        self._global_args: dict[str, str] = {}
        self._stage: Stage | None = None
        self._taken: set[str] = set()
        self._bytes = 0

    def run(self, instructions: list[Instruction]) -> Stage:
        """The image's files and configuration."""
        for instruction in instructions:
            if instruction.name == "FROM":
                self._from(instruction)
            elif self._stage:
                self._perform(instruction, self._stage)
            elif instruction.name == "ARG":
                self._arg(instruction, self._global_args, {})
            else:
                raise instruction.error(f"{instruction.name} before the first FROM; begin with FROM")
        if not self._stage:
            raise BuildError("the Dockerfile has no FROM")
        unreached = sorted(self._context.overrides.keys() - self._taken - {"Dockerfile", ".dockerignore"})
        if unreached:
            raise BuildError(f"no COPY takes these overrides into the image: {', '.join(unreached)}")
        if self._unused_args:
            self.notes.append(f"no ARG declares: {', '.join(sorted(self._unused_args))}")
        return self._stage

    def _perform(self, instruction: Instruction, stage: Stage) -> None:
        match instruction.name:
            case "ARG":
                self._arg(instruction, stage.args, stage.variables)
            case "ENV":
                stage.env.update(self._pairs(instruction, stage))
            case "LABEL":
                stage.labels.update(self._pairs(instruction, stage))
            case "WORKDIR":
                path = self._expanded(instruction.rest.strip("\"'"), instruction, stage.variables)
                stage.workdir = posixpath.normpath(posixpath.join(stage.workdir, path))
                stage.folders.update(_parents(f"{stage.workdir}/."))
            case "CMD":
                stage.command = _command(instruction)
            case "ENTRYPOINT":
                stage.entrypoint = _command(instruction)
            case "COPY":
                self._copy(instruction, stage)
                return
            case "RUN":
                self._note(instruction, "not executed; the sandbox's own packages stand for what it installs")
            case name:
                raise instruction.error(f"{name} cannot be done without Docker; remove it or use Docker")
        stage.steps.append(Step(str(instruction)))

    # FROM and ARG

    def _from(self, instruction: Instruction) -> None:
        if self._stage:
            raise instruction.error("several stages cannot be built without Docker; keep to one FROM")
        words = [self._expanded(word, instruction, self._global_args) for word in instruction.words()]
        if len(words) not in {1, 3} or not words[0] or (len(words) == 3 and words[1].upper() != "AS"):
            raise instruction.error(f"{instruction} names no image; write FROM image")
        self._stage = _begun(words[0])
        if words[0] != "scratch":
            self._note(instruction, "not fetched; the sandbox's own Python stands for it")

    def _arg(self, instruction: Instruction, into: dict[str, str], variables: Mapping[str, str]) -> None:
        for word in instruction.words():
            name, equals, default = word.partition("=")
            self._unused_args.discard(name)
            if name in self._build_args:
                into[name] = self._build_args[name]
            elif equals:
                into[name] = self._expanded(default, instruction, {**variables, **into})
            elif name in self._global_args:
                into[name] = self._global_args[name]

    # COPY

    def _copy(self, instruction: Instruction, stage: Stage) -> None:
        words = [self._expanded(word, instruction, stage.variables) for word in instruction.words()]
        if len(words) < 2:
            raise instruction.error(f"{instruction} needs a source and a destination")
        *sources, destination = words
        place = posixpath.normpath(posixpath.join(stage.workdir, destination))
        copied: list[tuple[str, File]] = []
        for source in sources:
            copied += self._sourced(instruction, source)
        into_folder = destination.endswith(("/", "/.")) or destination == "." or place in stage.folders
        single = len(sources) == 1 and [name for name, _ in copied] == [posixpath.basename(sources[0])]
        if len(sources) > 1 and not into_folder:
            raise instruction.error(f"several sources need a folder: end {destination!r} with /")
        layer = {}
        for name, file in copied:
            path = place if single and not into_folder else posixpath.join(place, name)
            if path in stage.folders:
                raise instruction.error(f"{path} is a folder, and {name} would replace it")
            layer[path] = file
            stage.folders.update(_parents(path))
        stage.steps.append(Step(str(instruction), layer or None))

    def _sourced(self, instruction: Instruction, source: str) -> Iterator[tuple[str, File]]:
        """The files of one source, each with its path below the destination."""
        normal = posixpath.normpath(source.lstrip("/"))
        if normal.startswith(".."):
            raise instruction.error(f"{source} is outside the folder that is built")
        matches = [""] if normal == "." else self._context.matching(normal)
        if not matches:
            raise instruction.error(f"no file {source} in {self._context.folder} (see its .dockerignore too)")
        for match in matches:
            below = self._context.below(match)
            for path in below or [match]:
                self._taken.add(path)
                file = self._context.read(path)
                self._bytes += len(file.content)
                if self._bytes > LARGEST_IMAGE:
                    message = f"more than {LARGEST_IMAGE} bytes to copy; name what to skip in .dockerignore"
                    raise instruction.error(message)
                name = posixpath.relpath(path, match or ".") if below else posixpath.basename(path)
                yield name, file

    # Words

    def _pairs(self, instruction: Instruction, stage: Stage) -> dict[str, str]:
        # Docker expands a whole line with what was set before it.
        variables = stage.variables
        return {
            self._expanded(key, instruction, variables): self._expanded(value, instruction, variables)
            for key, value in instruction.pairs()
        }

    def _expanded(self, text: str, instruction: Instruction, variables: Mapping[str, str]) -> str:
        missing: set[str] = set()
        try:
            expanded = expand(text, variables, missing)
        except BuildError as error:
            raise instruction.error(str(error)) from error
        if missing:
            self._note(instruction, f"not set, so empty: {', '.join(sorted(missing))}")
        return expanded

    def _note(self, instruction: Instruction, what: str) -> None:
        note = f"line {instruction.line}, {instruction}: {what}"
        if note not in self.notes:
            self.notes.append(note)


def _begun(base: str) -> Stage:
    """A stage on a base image that is not fetched: as much as is known of it."""
    if base == "scratch":
        return Stage({}, "/", {"/"})
    if "lambda/" in base:
        folders = {*BASE_FOLDERS, "/var/task", "/var/runtime", "/var/lang"}
        return Stage(dict(LAMBDA_BASE_ENV), "/var/task", folders, entrypoint=["/lambda-entrypoint.sh"])
    return Stage(dict(OTHER_BASE_ENV), "/", set(BASE_FOLDERS))


def _command(instruction: Instruction) -> list[str]:
    exec_form = instruction.array()
    return exec_form if exec_form is not None else ["/bin/sh", "-c", instruction.rest]


def _parents(path: str) -> set[str]:
    """The folders a path is in: `/a` and `/` of `/a/b`."""
    parents = set()
    while path != "/":
        path = posixpath.dirname(path)
        parents.add(path)
    return parents
