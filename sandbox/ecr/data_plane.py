"""ECR's data plane: a real registry, for `docker login`, `docker push` and `docker pull`.

The CNCF registry (Debian's docker-registry) runs beside the sandbox and tells it of each manifest that was
pushed; manifest, tag and layers are copied into the sandbox's ECR, which does what it does with any push.
What only the registry has is no image of any function.

Sources: distribution.github.io/distribution, "Configuration" and "Notifications"; the OCI distribution spec.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sandbox.account import AwsError
from sandbox.clients import HOST
from sandbox.ecr.ecr import PASSWORD, USER, Ecr
from sandbox.ecr.repository import INDEXES, MANIFESTS, TAG, blobs
from sandbox.telling import say

WEBHOOK = "/_sandbox/registry"
"""Where the registry tells of pushes; nobody else knows the word that goes with it."""
PROGRAM = "docker-registry"
INSTALL = "On Debian: apt-get install docker-registry"

# USER and PASSWORD, as `htpasswd -nbB` writes them. No secret: whoever reaches the loopback is administrator.
_HTPASSWD = f"{USER}:$2b$05$PuI3re/t0mDFsdF6c2oK6evxdaTSq6B.jU63Ozqq9Aa7ELIrLn6SK\n"
_START_SECONDS = 15.0
_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_KINDS = MANIFESTS | INDEXES


class RegistryError(Exception):
    """The registry cannot be started, or does not give what it must have; the text says why."""


class DataPlane:
    """A registry on the loopback, in front of the sandbox's ECR."""

    def __init__(self, ecr: Ecr, folder: Path, port: int = 0) -> None:
        """`folder` is for what is pushed; `port` 0 takes any free one."""
        self._ecr = ecr
        self._folder = folder
        self._word = secrets.token_urlsafe()
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._taking = threading.Lock()

    @property
    def address(self) -> str:
        """What the name of an image begins with: `127.0.0.1:5599`."""
        return f"{HOST}:{self._port}"

    def start(self, url: str) -> None:
        """Start the registry, which tells the sandbox at `url` of pushes. Raises RegistryError."""
        if shutil.which(PROGRAM) is None:
            raise RegistryError(f"there is no {PROGRAM} here. {INSTALL}")
        self._port = _free(self._port)
        self._folder.mkdir(parents=True)
        (self._folder / "htpasswd").write_text(_HTPASSWD)
        (self._folder / "config.json").write_text(json.dumps(self._settings(url)))  # JSON is YAML, too
        log = self._folder / "log"
        started = threading.Event()
        threading.Thread(target=self._keep, args=(log, started), name="registry", daemon=True).start()
        started.wait()
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RegistryError(f"{PROGRAM} does not start: {_last_line(log)}")
            time.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """End the registry. What was pushed is in the folder; its owner removes it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def image(self, repository: str, digest: str) -> str:
        """The name by which an engine pulls an image of ECR's from here. Raises RegistryError or AwsError."""
        try:
            self._fetch(repository, f"manifests/{digest}", method="HEAD")
        except RegistryError:
            self._put(repository, digest)  # it was pushed through ECR's own API
        return f"{self.address}/{repository}@{digest}"

    def told(self, word: str, notification: bytes) -> int:
        """Take what the registry tells of, and answer with an HTTP status; any but 200 and it tells again."""
        if not hmac.compare_digest(word.encode(), f"Bearer {self._word}".encode()):
            return 403
        try:
            events = json.loads(notification)["events"]
            pushes = [event["target"] for event in events if event["action"] == "push"]
            manifests = [each for each in pushes if each["mediaType"] in _KINDS]
        except (ValueError, KeyError, TypeError):
            return 400
        try:
            with self._taking:  # in the order they are told: an index comes after its images
                for target in manifests:
                    self._take(target["repository"], target["digest"], target.get("tag"))
        except (RegistryError, OSError) as problem:
            say(f"the registry tells of a push that cannot be read yet: {problem}")
            return 503
        return 200

    def _take(self, repository: str, digest: str, tag: str | None) -> None:
        """Copy what was pushed into ECR. What that refuses, the registry has taken already: it is told."""
        if tag is not None and not TAG.fullmatch(tag):
            tag = None
        manifest, media_type = self._fetch(repository, f"manifests/{digest}")
        put = {"repositoryName": repository, "imageManifest": manifest.decode(), "imageDigest": digest}
        try:
            if media_type in MANIFESTS:
                for blob in _stored(json.loads(manifest)):
                    self._take_blob(repository, blob["digest"])
            self._ecr.put_image(
                {**put, "imageManifestMediaType": media_type, **({"imageTag": tag} if tag else {})}
            )
        except AwsError as refusal:
            if refusal.code != "ImageAlreadyExistsException":  # the same digest, and the same tag or none
                say(f"ECR refuses what was pushed as {repository}:{tag or digest}: {refusal}")

    def _take_blob(self, repository: str, digest: str) -> None:
        request = {"repositoryName": repository, "layerDigests": [digest]}
        checked = self._ecr.batch_check_layer_availability(request)
        if any(layer["layerAvailability"] == "AVAILABLE" for layer in checked["layers"]):
            return
        content, _ = self._fetch(repository, f"blobs/{digest}")
        upload = self._ecr.initiate_layer_upload(request)["uploadId"]
        part = {"partFirstByte": 0, "partLastByte": len(content) - 1, "layerPartBlob": content}
        self._ecr.upload_layer_part({**request, "uploadId": upload, **part})
        self._ecr.complete_layer_upload({**request, "uploadId": upload})

    def _put(self, repository: str, digest: str) -> None:
        image = self._ecr.find(repository, digest)
        for blob in _stored(image.parsed()):
            self.upload(repository, blob["digest"], self._ecr.blob(repository, blob["digest"]))
        self.put_manifest(repository, digest, image.manifest, image.media_type)

    # The distribution API, for what no `docker push` sends

    def upload(self, repository: str, digest: str, content: bytes) -> None:
        """Upload a layer or config, if the registry has not got it. Raises RegistryError."""
        with suppress(RegistryError):
            self._fetch(repository, f"blobs/{digest}", method="HEAD")
            return
        location = self._ask(f"/v2/{repository}/blobs/uploads/", method="POST").headers["Location"]
        separator = "&" if "?" in location else "?"
        self._ask(f"{location}{separator}digest={digest}", content, method="PUT")

    def put_manifest(self, repository: str, reference: str, manifest: bytes, media_type: str) -> None:
        """Put a manifest under a tag or its digest, when all it names is there. Raises RegistryError."""
        path = f"/v2/{repository}/manifests/{reference}"
        self._ask(path, manifest, method="PUT", headers={"Content-Type": media_type})

    def manifest(self, repository: str, reference: str) -> tuple[bytes, str]:
        """The manifest under a tag or digest, and its media type. Raises RegistryError."""
        return self._fetch(repository, f"manifests/{reference}")

    def config(self, repository: str, manifest: bytes) -> bytes:
        """The config a manifest names. Raises RegistryError."""
        return self._fetch(repository, f"blobs/{json.loads(manifest)['config']['digest']}")[0]

    def _fetch(self, repository: str, what: str, method: str = "GET") -> tuple[bytes, str]:
        headers = {"Accept": ", ".join(sorted(_KINDS))}
        answer = self._ask(f"/v2/{repository}/{what}", method=method, headers=headers)
        return answer.content, answer.headers.get("Content-Type", "")

    def _ask(
        self,
        path: str,
        content: bytes | None = None,
        *,
        method: str,
        headers: Mapping[str, str] | None = None,
    ) -> _Answer:
        url = path if path.startswith("http://") else f"http://{self.address}{path}"
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        sent = {"Authorization": f"Basic {login}", "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(url, content, {**sent, **(headers or {})}, method=method)
        try:
            with _OPENER.open(request, timeout=_SECONDS) as answer:
                return _Answer(answer.read(), dict(answer.headers))
        except (OSError, http.client.HTTPException) as problem:
            reason = problem.read(500).decode() if isinstance(problem, urllib.error.HTTPError) else ""
            raise RegistryError(f"{method} {url}: {problem} {reason}".strip()) from None

    # The process

    def _keep(self, log: Path, started: threading.Event) -> None:
        """Start it and wait for its end: it is killed when this thread ends, which the sandbox's end ends."""
        command = ["setpriv", "--pdeathsig", "KILL", PROGRAM, "serve", str(self._folder / "config.json")]
        try:
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as problem:
            log.write_text(f"{command[0]}: {problem}")
        finally:
            started.set()
        if self._process is not None:
            status = self._process.wait()
            if status not in {0, -signal.SIGKILL}:
                say(f"{PROGRAM} has ended with {status}: {_last_line(log)}")

    def _answers(self) -> bool:
        try:
            self._ask("/v2/", method="GET")
        except RegistryError:
            return False
        return True

    def _settings(self, url: str) -> dict[str, Any]:
        return {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self._folder / "data")}},
            "http": {"addr": self.address, "secret": self._word},
            "auth": {"htpasswd": {"realm": "sandbox", "path": str(self._folder / "htpasswd")}},
            "notifications": {
                "endpoints": [
                    {
                        "name": "sandbox",
                        "url": f"{url}{WEBHOOK}",
                        "headers": {"Authorization": [f"Bearer {self._word}"]},
                        "timeout": f"{_SECONDS:g}s",
                        "threshold": 5,
                        "backoff": "1s",
                        "ignore": {"mediatypes": ["application/octet-stream"], "actions": ["pull", "mount"]},
                    }
                ]
            },
        }


class _Answer:
    def __init__(self, content: bytes, headers: Mapping[str, str]) -> None:
        self.content = content
        self.headers = headers


# A proxy of this machine leads away from its loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _stored(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The blobs a registry keeps: a foreign layer lies elsewhere."""
    return [blob for blob in blobs(manifest) if "urls" not in blob]


def _free(port: int) -> int:
    try:
        with socket.create_server((HOST, port)) as listener:
            return int(listener.getsockname()[1])
    except OSError as problem:
        raise RegistryError(f"the registry cannot listen on {HOST}:{port}: {problem.strerror}") from None


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it says nothing"
