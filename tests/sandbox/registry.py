"""An ECR of one's own on a free port, and real boto3 clients for what is served."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server

from sandbox.account import REGION
from sandbox.door.wire import application
from sandbox.ecr.ecr import LAYERS, Ecr
from sandbox.ecr.repository import OCI_MANIFEST

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from mypy_boto3_ecr.client import ECRClient


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def serving(app: WSGIApplication) -> Iterator[str]:
    """The address of `app`, answering on the loopback until the block ends."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def client(service: Any, url: str) -> Any:
    """A boto3 client that leaves every check to the service, and does not retry."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )


def allow(environ: WSGIEnvironment, action: str, resource: str) -> None:
    """Everybody may do everything."""


@dataclass
class Registry:
    """A served ECR, and the events it has emitted."""

    ecr: Ecr
    aws: ECRClient
    url: str
    events: list[dict[str, str]] = field(default_factory=list)

    def layer(self, content: bytes) -> dict[str, Any]:
        """Upload a layer in one part, and return its descriptor."""
        digest = sha256(content)
        upload = self.aws.initiate_layer_upload(repositoryName="app")["uploadId"]
        self.aws.upload_layer_part(
            repositoryName="app",
            uploadId=upload,
            partFirstByte=0,
            partLastByte=len(content) - 1,
            layerPartBlob=content,
        )
        self.aws.complete_layer_upload(repositoryName="app", uploadId=upload, layerDigests=[digest])
        return {"mediaType": "application/octet-stream", "size": len(content), "digest": digest}

    def manifest(self, content: str) -> str:
        """The manifest of an image whose one layer and config say `content`, both uploaded."""
        config = {
            **self.layer(f'{{"config": "{content}"}}'.encode()),
            "mediaType": "application/vnd.oci.image.config.v1+json",
        }
        layers = [self.layer(f"layer of {content}".encode())]
        return json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers})

    def push(self, content: str, tag: str | None = None) -> str:
        """Push an image that says `content`, and return its digest."""
        manifest = self.manifest(content)
        if tag is None:
            self.aws.put_image(repositoryName="app", imageManifest=manifest)
        else:
            self.aws.put_image(repositoryName="app", imageManifest=manifest, imageTag=tag)
        return sha256(manifest.encode())


@contextmanager
def registry() -> Iterator[Registry]:
    """An ECR with one empty repository, `app`."""
    events: list[dict[str, str]] = []
    ecr = Ecr(on_push=events.append, url=lambda: found.url)
    routes = {LAYERS.rstrip("/"): _with_whole_path(ecr.layers)}
    with serving(DispatcherMiddleware(application("ecr", ecr, allow), routes)) as url:
        found = Registry(ecr, client("ecr", url), url, events)
        found.aws.create_repository(repositoryName="app")
        yield found


def _with_whole_path(app: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        whole = {**environ, "PATH_INFO": environ["SCRIPT_NAME"] + environ["PATH_INFO"], "SCRIPT_NAME": ""}
        return app(whole, start_response)

    return answer


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
