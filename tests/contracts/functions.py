"""The service function twice: in memory and in the sandbox; and what the world does to it meanwhile.

The sandbox's Lambda is the one that `make sandbox` starts, behind its real HTTP, with two things exchanged: a
clock to turn, and a runtime that answers which code it was asked to run. Images that really run are in
tests/adapters/test_function_in_sandbox.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from deployer.aws.function import LambdaFunction
from deployer.model import (
    Artifact,
    ArtifactKind,
    Configuration,
    Image,
    VersionState,
)
from deployer.ports import Answer, Function
from tests.fakes import HEALTHY, FakeClock, FakeFunction, FakeRegistry, image
from tests.sandbox import lambdas

UPDATE_SECONDS = 6.0  # what an update takes
PENDING_SECONDS = 2.0  # what a new version takes to be ready
ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}


class Hands(Protocol):
    """A function with version 1, which is live, and the hands of whoever else is there."""

    @property
    def function(self) -> Function:
        """The port."""

    @property
    def first(self) -> Image:
        """The image of version 1."""

    def push(self, name: str, architecture: str = "x86_64") -> Image:
        """An image in the registry."""

    def push_index(self, name: str) -> Image:
        """A list of images in the registry."""

    def delete(self, image: Image) -> None:
        """A lifecycle policy, or somebody, deletes it."""

    def wait(self, seconds: float) -> None:
        """Time passes."""

    def idle(self) -> None:
        """Nobody invokes anything for weeks."""

    def update(self, image: Image) -> None:
        """Somebody puts `$LATEST` on an image by hand."""

    def configure(self) -> None:
        """Somebody changes a setting of `$LATEST`, each time to another one."""

    def move_live(self, version: str) -> None:
        """Somebody moves the alias by hand."""

    def ran(self, answer: Answer) -> Image:
        """The image whose code gave this answer."""


def released(there: Hands, candidate: Image) -> str:
    """Update and publish as the deployer does, and wait until the version is ready: its number."""
    there.function.update_code(candidate, "x86_64", there.function.latest().revision)
    there.wait(UPDATE_SECONDS)
    number = there.function.publish(candidate, there.function.latest().revision).number
    there.wait(PENDING_SECONDS)
    return number


@dataclass
class Memory:
    """The in-memory world."""

    clock: FakeClock = field(default_factory=FakeClock)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    first: Image = field(default_factory=lambda: image("first"))
    timeout: int = 3

    def __post_init__(self) -> None:
        self.push("first")
        self.function = FakeFunction(
            self.clock,
            self.registry,
            update_seconds=UPDATE_SECONDS,
            pending_seconds=PENDING_SECONDS,
            code=self.first,
        )

    def push(self, name: str, architecture: str = "x86_64") -> Image:
        self.registry.put(image(name), Artifact(ArtifactKind.IMAGE, lambdas.MANIFEST, architecture), tag=name)
        return image(name)

    def push_index(self, name: str) -> Image:
        self.registry.put(image(name), Artifact(ArtifactKind.INDEX, lambdas.INDEX), tag=name)
        return image(name)

    def delete(self, image: Image) -> None:
        self.registry.delete(image)

    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def idle(self) -> None:
        self.wait(20 * 86_400)
        for number, version in list(self.function.versions.items()):
            if self.function.version(number).state is VersionState.ACTIVE:
                self.function.set_state(number, VersionState.INACTIVE)
            assert version.number == number

    def update(self, image: Image) -> None:
        self.function.update_by_hand(image)

    def configure(self) -> None:
        self.timeout += 1
        self.function.configure(Configuration((("Timeout", str(self.timeout)),)))

    def move_live(self, version: str) -> None:
        self.function.move_live(version)

    def ran(self, answer: Answer) -> Image:
        assert answer.payload == HEALTHY.payload
        return self.function.invoked[-1][1]


@dataclass
class Sandbox:
    """A function of its own in the sandbox's Lambda."""

    world: lambdas.World
    name: str = field(default_factory=lambda: f"service-{uuid4()}")
    timeout: int = 3

    def __post_init__(self) -> None:
        self.world.create(self._tag("first"), FunctionName=self.name, Publish=True)
        self.first = Image("app", self.world.images.tags[self._tag("first")])
        self.world.aws.create_alias(FunctionName=self.name, Name="live", FunctionVersion="1")
        self.function = LambdaFunction(self.world.aws, self.world.aws, self.name, lambdas.REPOSITORY_URI)

    def push(self, name: str, architecture: str = "x86_64") -> Image:
        tag = self._tag(name)
        return Image("app", self.world.images.push(tag, architecture=ARCHITECTURES[architecture]))

    def push_index(self, name: str) -> Image:
        return Image("app", self.world.images.push(self._tag(name), media_type=lambdas.INDEX))

    def delete(self, image: Image) -> None:
        del self.world.images.stored[image.digest]

    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    def idle(self) -> None:
        self.wait(20 * 86_400)

    def update(self, image: Image) -> None:
        uri = f"{lambdas.REPOSITORY_URI}@{image.digest}"
        self.world.aws.update_function_code(FunctionName=self.name, ImageUri=uri)

    def configure(self) -> None:
        self.timeout += 1
        self.world.aws.update_function_configuration(FunctionName=self.name, Timeout=self.timeout)

    def move_live(self, version: str) -> None:
        self.world.aws.update_alias(FunctionName=self.name, Name="live", FunctionVersion=version)

    def ran(self, answer: Answer) -> Image:
        return Image("app", f"sha256:{json.loads(answer.payload)['code']}")

    def _tag(self, name: str) -> str:
        return f"{self.name} {name}"
