"""What a Dockerfile's instructions do: from a build context to the files and configuration of its stages.

After https://docs.docker.com/reference/dockerfile/. RUN is not executed and base images are not fetched;
what that leaves out is noted. Whatever else cannot be done is a `BuildError` with the line.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

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

WITHOUT_EFFECT = frozenset({"EXPOSE", "HEALTHCHECK", "MAINTAINER", "SHELL", "STOPSIGNAL", "VOLUME"})
"""Instructions that change nothing about how Lambda runs an image."""

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")


@dataclass(frozen=True)
class Entry:
    """A file in an image."""

    file: File
    mode: int
    owner: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Step:
    """An instruction's trace in the image: the layer it made, if any, by absolute path."""

    created_by: str
    layer: Mapping[str, Entry] | None = None


@dataclass
class Stage:
    """What a FROM begins."""

    platform: str
    env: dict[str, str]
    workdir: str
    folders: set[str]
    is_complete: bool
    """False once something is missing that only a base image or a RUN would have brought."""
    entrypoint: list[str] | None = None
    command: list[str] | None = None
    command_is_inherited: bool = True
    user: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        return {**self.args, **self.env}

    def heir(self, platform: str) -> Stage:
        """A stage that begins with this one's files and configuration: `FROM this AS heir`."""
        return replace(
            self,
            platform=platform,
            env=dict(self.env),
            folders=set(self.folders),
            command_is_inherited=True,
            labels=dict(self.labels),
            args={},
            entries=dict(self.entries),
            steps=list(self.steps),
        )


class Build:
    """One pass over a Dockerfile's instructions."""

    def __init__(self, context: Context, platform: str, build_args: Mapping[str, str]) -> None:
        self.notes: list[str] = []
        self._context = context
        self._build_args = build_args
        self._unused_args = set(build_args)
        self._predefined = {
            f"{when}{what}": value
            for when in ("TARGET", "BUILD")
            for what, value in {"PLATFORM": f"linux/{platform}", "OS": "linux", "ARCH": platform}.items()
        }
        self._platform = platform
        self._global_args: dict[str, str] = {}
        self._stages: list[Stage] = []
        self._names: dict[str, Stage] = {}
        self._taken: set[str] = set()
        self._bytes = 0

    def run(self, instructions: list[Instruction]) -> Stage:
        """The last stage: the image."""
        for instruction in instructions:
            if instruction.name == "FROM":
                self._from(instruction)
            elif self._stages:
                self._perform(instruction, self._stages[-1])
            elif instruction.name == "ARG":
                self._arg(instruction, self._global_args, self._predefined, self._predefined)
            else:
                raise instruction.error(f"{instruction.name} before the first FROM; begin with FROM")
        if not self._stages:
            raise BuildError("the Dockerfile has no FROM")
        unreached = sorted(self._context.overrides.keys() - self._taken - {"Dockerfile", ".dockerignore"})
        if unreached:
            raise BuildError(f"no COPY takes these overrides into the image: {', '.join(unreached)}")
        if self._unused_args:
            self.notes.append(f"no ARG declares: {', '.join(sorted(self._unused_args))}")
        return self._stages[-1]

    def _perform(self, instruction: Instruction, stage: Stage) -> None:
        match instruction.name:
            case "ARG":
                defaults = {**self._predefined, **self._global_args}
                self._arg(instruction, stage.args, defaults, stage.variables)
            case "ENV":
                stage.env.update(self._pairs(instruction, stage))
            case "LABEL":
                stage.labels.update(self._pairs(instruction, stage))
            case "WORKDIR":
                path = self._expanded(instruction.rest.strip("\"'"), instruction, stage.variables)
                stage.workdir = posixpath.normpath(posixpath.join(stage.workdir, path))
                stage.folders.update(_parents(f"{stage.workdir}/."))
            case "USER":
                stage.user = self._expanded(instruction.rest, instruction, stage.variables)
            case "CMD":
                stage.command, stage.command_is_inherited = _command(instruction), False
            case "ENTRYPOINT":
                stage.entrypoint = _command(instruction)
                if stage.command_is_inherited:
                    stage.command = None  # a base image's CMD was for its own ENTRYPOINT
            case "COPY" | "ADD":
                self._copy(instruction, stage)
                return
            case "RUN":
                self._note(instruction, "not executed; the sandbox's own packages stand for what it installs")
                stage.is_complete = False
            case name if name in WITHOUT_EFFECT:
                self._note(instruction, "left out; it changes nothing on Lambda")
            case name:
                raise instruction.error(f"{name} cannot be done without Docker; remove it or use Docker")
        stage.steps.append(Step(str(instruction)))

    # FROM and ARG

    def _from(self, instruction: Instruction) -> None:
        variables = {**self._predefined, **self._global_args}
        words = [self._expanded(word, instruction, variables) for word in instruction.words()]
        if len(words) not in {1, 3} or not words[0] or (len(words) == 3 and words[1].upper() != "AS"):
            raise instruction.error(f"{instruction} names no image; write FROM image [AS name]")
        platform = self._platform
        if "platform" in instruction.flags:
            platform = self._expanded(instruction.flags["platform"], instruction, variables)
            platform = platform.removeprefix("linux/").removesuffix("/v8")
            if platform not in {"amd64", "arm64"}:
                raise instruction.error(f"Lambda runs linux/amd64 and linux/arm64, not {platform!r}")
        earlier = self._names.get(words[0].lower())
        if earlier is None:
            self._stages.append(_begun(words[0], platform))
            if words[0] != "scratch":
                self._note(instruction, "not fetched; the sandbox's own Python stands for it")
        else:
            self._stages.append(earlier.heir(platform))
        if len(words) == 3:
            self._names[words[2].lower()] = self._stages[-1]

    def _arg(
        self,
        instruction: Instruction,
        into: dict[str, str],
        outer: Mapping[str, str],
        variables: Mapping[str, str],
    ) -> None:
        for word in instruction.words():
            name, equals, default = word.partition("=")
            self._unused_args.discard(name)
            if name in self._build_args:
                into[name] = self._build_args[name]
            elif equals:
                into[name] = self._expanded(default, instruction, {**variables, **into})
            elif name in outer:
                into[name] = outer[name]

    # COPY and ADD

    def _copy(self, instruction: Instruction, stage: Stage) -> None:
        unknown = sorted(instruction.flags.keys() - {"from", "chown", "chmod", "link"})
        if unknown:
            raise instruction.error(f"{instruction.name} --{unknown[0]} cannot be done without Docker")
        words = [self._expanded(word, instruction, stage.variables) for word in instruction.words()]
        if len(words) < 2:
            raise instruction.error(f"{instruction} needs a source and a destination")
        *sources, destination = words
        place = posixpath.normpath(posixpath.join(stage.workdir, destination))
        copied: list[tuple[str, Entry]] = []
        for source in sources:
            copied += self._sourced(instruction, source)
        into_folder = destination.endswith(("/", "/.")) or destination == "." or place in stage.folders
        single = len(sources) == 1 and [name for name, _ in copied] == [posixpath.basename(sources[0])]
        if len(sources) > 1 and not into_folder:
            raise instruction.error(f"several sources need a folder: end {destination!r} with /")
        layer = {}
        for name, entry in copied:
            path = place if single and not into_folder else posixpath.join(place, name)
            if path in stage.folders:
                raise instruction.error(f"{path} is a folder, and {name} would replace it")
            layer[path] = self._as_flagged(instruction, entry, stage)
            stage.folders.update(_parents(path))
        stage.entries.update(layer)
        stage.steps.append(Step(str(instruction), layer or None))

    def _sourced(self, instruction: Instruction, source: str) -> Iterator[tuple[str, Entry]]:
        """The files of one source, each with its path below the destination."""
        if source.startswith("<<"):
            raise instruction.error("a heredoc as source cannot be done without Docker; make it a file")
        if "from" in instruction.flags:
            yield from self._from_stage(instruction, source)
            return
        if instruction.name == "ADD" and (re.match(r"\w+://|git@", source) or source.endswith(ARCHIVES)):
            raise instruction.error(f"ADD of {source} cannot be done without Docker; COPY a local file")
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
                yield name, Entry(file, 0o755 if file.executable else 0o644)

    def _from_stage(self, instruction: Instruction, source: str) -> Iterator[tuple[str, Entry]]:
        name = self._expanded(instruction.flags["from"], instruction, self._global_args).lower()
        earlier = dict(enumerate(self._stages[:-1]))
        stage = earlier.get(int(name)) if name.isdecimal() else self._names.get(name)
        path = posixpath.normpath(posixpath.join("/", source))
        found = False
        for candidate, entry in (stage.entries if stage else {}).items():
            if candidate == path or candidate.startswith(path.rstrip("/") + "/"):
                found = True
                below = posixpath.relpath(candidate, path)
                yield (posixpath.basename(path) if below == "." else below), entry
        if not found and stage is not None and stage.is_complete:
            raise instruction.error(f"no file {path} in the stage {name}")
        if stage is None or not stage.is_complete:
            made_by = "that stage's RUN or base image" if stage else f"the image {name}, which is not fetched"
            self._note(instruction, f"what only {made_by} brings is left out")

    def _as_flagged(self, instruction: Instruction, entry: Entry, stage: Stage) -> Entry:
        chmod = self._expanded(instruction.flags.get("chmod", ""), instruction, stage.variables)
        if chmod and not re.fullmatch(r"[0-7]{3,4}", chmod):
            raise instruction.error(f"--chmod={chmod} cannot be done without Docker; write it in octal")
        chown = self._expanded(instruction.flags.get("chown", ""), instruction, stage.variables)
        owner = re.fullmatch(r"(\d+)(?::(\d+))?", chown)
        if chown and owner is None:
            self._note(instruction, f"--chown={chown} left out; names of users are the base image's")
        return Entry(
            entry.file,
            int(chmod, 8) if chmod else entry.mode,
            (int(owner[1]), int(owner[2] or owner[1])) if owner else entry.owner,
        )

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


def _begun(base: str, platform: str) -> Stage:
    """A stage on a base image that is not fetched: as much as is known of it."""
    if base == "scratch":
        return Stage(platform, {}, "/", {"/"}, is_complete=True)
    if "lambda/" in base:
        stage = Stage(platform, dict(LAMBDA_BASE_ENV), "/var/task", set(BASE_FOLDERS), is_complete=False)
        stage.folders |= {"/var/task", "/var/runtime", "/var/lang"}
        stage.entrypoint = ["/lambda-entrypoint.sh"]
        return stage
    return Stage(platform, dict(OTHER_BASE_ENV), "/", set(BASE_FOLDERS), is_complete=False)


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
