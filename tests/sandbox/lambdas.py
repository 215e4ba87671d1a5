"""A Lambda of one's own behind a real boto3 client: with a clock to turn, and images in name only."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.account import ACCOUNT, REGION, AwsError, Credentials, Settings
from sandbox.awslambda.functions import Functions
from sandbox.door.wire import application
from sandbox.running.programs import Invocation, Program
from sandbox.running.runtime import Runtime
from tests.sandbox.registry import client, serving

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

ROLE = f"arn:aws:iam::{ACCOUNT}:role/service"
REPOSITORY_URI = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/app"
REPOSITORY_ARN = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/app"
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:service"
PULL_POLICY = {
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Condition": {"StringLike": {"aws:sourceArn": f"{FUNCTION_ARN}*"}},
        }
    ]
}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def zipped(**modules: str) -> bytes:
    """A zip with a Python module per argument."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for name, source in modules.items():
            writer.writestr(f"{name}.py", source)
    return archive.getvalue()


@dataclass(frozen=True)
class Image:
    manifest: bytes
    media_type: str
    digest: str


@dataclass
class Images:
    """A registry with one repository, `app`."""

    stored: dict[str, Image] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    pull_policy: Mapping[str, Any] | None = field(default_factory=lambda: PULL_POLICY)

    def push(self, tag: str, *, architecture: str = "amd64", media_type: str = MANIFEST) -> str:
        """An image of its own for each tag and architecture; its digest."""
        config = json.dumps({"architecture": architecture, "config": {"Cmd": ["app.handler"]}}).encode()
        self.blobs[digest_of(config)] = config
        manifest = json.dumps(
            {
                "config": {"mediaType": CONFIG, "digest": digest_of(config)},
                "layers": [],
                "annotations": {"of": tag},
            }
        ).encode()
        image = Image(manifest, media_type, digest_of(manifest))
        self.stored[image.digest] = image
        self.tags[tag] = image.digest
        return image.digest

    def find(self, repository: str, reference: str) -> Image:
        digest = self.tags.get(reference, reference)
        if repository != "app" or digest not in self.stored:
            raise AwsError("ImageNotFoundException", f"no {reference}")
        return self.stored[digest]

    def blob(self, repository: str, digest: str) -> bytes:
        return self.blobs[digest]

    def policy(self, repository: str) -> Mapping[str, Any] | None:
        if repository != "app":
            raise AwsError("RepositoryNotFoundException", f"no {repository}")
        return self.pull_policy


class Recorder(Runtime):
    """A runtime that answers at once, with what it was asked to run."""

    def __init__(self) -> None:
        self.retired: list[str] = []

    def invoke(
        self,
        program: Program,
        payload: bytes,
        *,
        invoked_arn: str,
        request_id: str | None = None,
    ) -> Invocation:
        seen = {"arn": invoked_arn, "code": program.code.sha256}
        return Invocation(request_id or "r", 200, json.dumps(seen).encode(), program.version, None, b"tail")

    def retire(self, identity: str) -> None:
        self.retired.append(identity)


@dataclass
class World:
    """Everything a test of the control plane touches."""

    aws: Any
    functions: Functions
    images: Images
    clock: list[float]
    roles: set[str]
    denied: set[tuple[str, str]]
    """(action, resource) that no role may do."""
    denied_callers: set[tuple[str, str]]
    """The same for whoever calls Lambda."""

    def wait(self, seconds: float) -> None:
        self.clock[0] += seconds

    def create(self, tag: str = "v1", **more: Any) -> Any:
        """The function `service` from an image, created and settled."""
        digest = self.images.push(tag)
        request = {
            "FunctionName": "service",
            "PackageType": "Image",
            "Role": ROLE,
            "Code": {"ImageUri": f"{REPOSITORY_URI}@{digest}"},
        }
        created = self.aws.create_function(**{**request, **more})
        self.wait(10)
        return created

    def update(self, tag: str, **more: Any) -> Any:
        """Begin to update `service` to a new image with this tag."""
        digest = self.images.push(tag)
        return self.aws.update_function_code(
            FunctionName="service", ImageUri=f"{REPOSITORY_URI}@{digest}", **more
        )

    def publish(self, tag: str) -> str:
        """A ready version of a new image; its number."""
        self.update(tag)
        self.wait(10)
        number = str(self.aws.publish_version(FunctionName="service")["Version"])
        self.wait(10)
        return number


@contextmanager
def world() -> Iterator[World]:
    """A Lambda whose updates take 6 seconds of a clock that stands still."""
    clock = [1_000_000.0]
    images, roles = Images(), {ROLE}
    denied: set[tuple[str, str]] = set()
    denied_callers: set[tuple[str, str]] = set()

    def authorize(environ: WSGIEnvironment, action: str, resource: str) -> None:
        if (action, resource) in denied_callers:
            message = f"User: x is not authorized to perform: {action} on resource: {resource}"
            raise AwsError("AccessDeniedException", message, 403)

    functions = Functions(
        images,
        Recorder(),
        fetch_zip=_no_bucket,
        role_exists=lambda role: role in roles,
        role_allows=lambda _, action, resource: (action, resource) not in denied,
        settings=Settings(update_seconds=6.0),
        send=lambda *_: None,
        clock=lambda: clock[0],
    )
    with serving(application("lambda", functions, authorize, functions.authorize_further)) as url:
        yield World(client("lambda", url), functions, images, clock, roles, denied, denied_callers)
    functions.close()


def _no_bucket(bucket: str, key: str) -> bytes:
    raise AwsError("NoSuchBucket", "The specified bucket does not exist")


class Log:
    """CloudWatch Logs that keep lines in the order they came."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.groups: set[str] = set()

    def write(self, role_arn: str, group: str, stream: str, events: list[tuple[int, str]]) -> None:
        self.groups.add(group)
        self.lines += [line for _, line in events]


@contextmanager
def running(state_dir: Path, log: Log | None = None, **more: Any) -> Iterator[Runtime]:
    """A real runtime, for three at a time; its workers' credentials name their role and function.

    `more` is for the runtime.
    """
    runtime = Runtime(
        credentials=lambda role, name: Credentials(f"key of {role}", f"secret of {name}", "token"),
        endpoint_url=lambda: "http://127.0.0.1:9",
        write_log=(log or Log()).write,
        state_dir=state_dir / "with a space",
        concurrency=3,
        **more,
    )
    yield runtime
    runtime.stop()
