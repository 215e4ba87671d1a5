"""The sandbox as a whole: every part, wired together, behind one port on the loopback."""

import json
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.logs.models import logs_backends
from moto.moto_server.werkzeug_app import MotoRequestHandler
from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

from sandbox.account import ACCOUNT, REGION, AwsError, Settings
from sandbox.alarms import Alarms
from sandbox.awslambda.functions import Functions
from sandbox.awslambda.invocations import send_to_account
from sandbox.bus import Bus
from sandbox.clients import HOST, client, environment
from sandbox.cloudformation import resources
from sandbox.cloudformation.service import CloudFormation
from sandbox.door import wire
from sandbox.door.frontdoor import OWN, FrontDoor
from sandbox.door.iam import Iam
from sandbox.door.watching import Watch
from sandbox.ecr import data_plane
from sandbox.ecr.ecr import LAYERS, Ecr
from sandbox.gateway.access_log import AccessLogs
from sandbox.gateway.apis import Apis
from sandbox.gateway.gateway import Gateway
from sandbox.put_events import PutEvents
from sandbox.running import containers, function_logs
from sandbox.running.docker import Docker, NoDockerError
from sandbox.running.function_logs import FunctionLogs
from sandbox.running.runtime import IDLE_SECONDS, Runtime

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# The stage that the short address of an API leads to.
STAGE = "api"

_SHORT = f"{OWN}{STAGE}"
_APIS = f"{OWN}apis/"
_CUSTOM_RESOURCES = f"{OWN}custom-resources/"
# CloudFormation reads at most this much of a custom resource's answer (User Guide, "Response objects").
_MOST_ANSWER_BYTES = 4096

_STOP_CHECK_SECONDS = 0.05


RuntimeKind = Literal["process", "docker"]


class SandboxStartError(Exception):
    """The sandbox cannot start; the text says why and what to do."""


class Sandbox:
    """An AWS account on this machine. A context manager: `with Sandbox() as sandbox: ...`.

    `port` 0 takes any free one. One sandbox at a time in a process, because moto keeps its state in it.
    With `runtime` "docker", images are pushed to `registry`, which listens on `registry_port`, and run as
    containers; with "process" there is no registry but ECR's API.
    """

    _running: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        port: int = 0,
        settings: Settings | None = None,
        *,
        runtime: RuntimeKind = "process",
        registry_port: int = 0,
    ) -> None:
        self._port = port
        self.settings = settings or Settings()
        self._clients: dict[str, Any] = {}
        self._making_a_client = threading.Lock()
        self._kind = runtime
        self._registry_port = registry_port
        self._docker: Docker | None = None

    def start(self) -> Self:
        """Begin to answer, with an empty account. Raises SandboxStartError."""
        if not Sandbox._running.acquire(blocking=False):
            raise SandboxStartError(
                "This process runs a sandbox already. Use that one, or stop() it before you start another."
            )
        try:
            listener = _listen(self._port)
            self._port = listener.getsockname()[1]
            _empty_moto()
            self._wire_up()
            self._server = _serve(listener, self._door)
            self._start_docker()
        except BaseException:
            Sandbox._running.release()
            raise
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_CHECK_SECONDS,), name="sandbox", daemon=True
        )
        self._thread.start()
        self.bus.start()
        return self

    def stop(self) -> None:
        """Answer no more, end every process that was started, remove what was written."""
        for made in self._clients.values():
            made.close()
        self._clients.clear()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.bus.close()
        self.functions.close()
        self.runtime.stop()
        if self._docker is not None:
            self._docker.close()
        shutil.rmtree(self._state, ignore_errors=True)
        Sandbox._running.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it answers on, once started."""
        return self._port

    @property
    def url(self) -> str:
        """What AWS_ENDPOINT_URL has to be."""
        return f"http://{HOST}:{self._port}"

    @property
    def api_url(self) -> str:
        """The stage `api` of the API that was created last, without a slash at the end."""
        return f"{self.url}{_SHORT}"

    @property
    def registry(self) -> data_plane.DataPlane | None:
        """What `docker push` pushes to, with `runtime` "docker"."""
        return self._docker.registry if self._docker else None

    @property
    def environment(self) -> dict[str, str]:
        """What makes any AWS program talk to this sandbox, as its administrator."""
        return environment(self.url)

    def environment_as(self, role_arn: str, name: str = "sandbox") -> dict[str, str]:
        """The same as somebody who has assumed a role; `name` is the session's. Raises AwsError without it.

        Its trust policy is not asked: who may assume it is not what is tried this way.
        """
        session = self.iam.session(role_arn, name)
        return {
            **self.environment,
            "AWS_ACCESS_KEY_ID": session.access_key,
            "AWS_SECRET_ACCESS_KEY": session.secret_key,
            "AWS_SESSION_TOKEN": session.token,
        }

    def client(self, service: str) -> Any:
        """The administrator's boto3 client of a service; it shows a refusal at once instead of retrying.

        Always the same one: boto3 takes a tenth of a second for each, and threads may share it.
        """
        with self._making_a_client:
            if service not in self._clients:
                self._clients[service] = client(service, self.environment)
            return self._clients[service]

    def watch(self, watch: Watch | None) -> None:
        """Have `watch` told what processes of functions call, see `sandbox.door.watching`; None: nobody."""
        self._door.watch = watch

    def _wire_up(self) -> None:
        self._state = Path(tempfile.mkdtemp(prefix="sandbox-"))
        self.iam = Iam()
        self.ecr = Ecr(on_push=self._put_ecr_event, url=lambda: self.url)
        if self._kind == "docker":
            try:
                self._docker = Docker(self.ecr, self._state, self._registry_port)
            except NoDockerError as problem:
                shutil.rmtree(self._state)
                raise SandboxStartError(str(problem)) from None
        self.runtime = Runtime(
            credentials=self.iam.session,
            endpoint_url=lambda: self.url,
            write_log=FunctionLogs(self.iam.role_allows).write,
            state_dir=self._state,
            run_image=self._docker.run_image if self._docker else None,
            idle_seconds=containers.IDLE_SECONDS if self._docker else IDLE_SECONDS,
        )
        self.functions = Functions(
            ecr=self.ecr,
            runtime=self.runtime,
            fetch_zip=_fetch,
            role_exists=self.iam.role_exists,
            role_allows=self.iam.role_allows,
            send=send_to_account,
            settings=self.settings,
        )
        self.bus = Bus(self.functions.submit, self.functions.function_policy)
        self.apis = Apis(self.iam.role_trusts)
        self.gateway = Gateway(
            self.apis,
            self.functions.run,
            self.functions.function_policy,
            AccessLogs(lambda: self.apis.log_role, self.iam.role_allows, _write_access_log),
        )
        resources.connect(functions=self.functions, ecr=self.ecr, apis=self.apis, url=lambda: self.url)
        cloudformation = CloudFormation(_fetch)
        stacks = wire.application("cloudformation", cloudformation, self.iam.authorize)
        self._door = FrontDoor(
            self.iam,
            strict={
                "lambda": wire.application(
                    "lambda", self.functions, self.iam.authorize, self.functions.authorize_further
                ),
                "ecr": wire.application("ecr", self.ecr, self.iam.authorize),
                **{
                    f"cloudformation:{operation}": stacks
                    for operation in wire.operations("cloudformation", cloudformation)
                },
            },
            own=self._own,
            # The door has asked IAM before: for each entry, which `wire` does not know of.
            put_events=wire.application("events", PutEvents(self.bus.put_event), lambda *_: None),
            alarms=Alarms(self.bus.put_event),
            process=self.runtime.worker,
        )

    def _start_docker(self) -> None:
        if self._docker is None:
            return
        try:
            self._docker.start(self.url)
        except NoDockerError as problem:
            self._server.server_close()
            self._docker.registry.close()
            self.runtime.stop()
            shutil.rmtree(self._state, ignore_errors=True)
            raise SandboxStartError(str(problem)) from None

    def _put_ecr_event(self, detail: Mapping[str, str]) -> None:
        # The registry is there before the bus, whose targets need the registry.
        self.bus.put_event("aws.ecr", "ECR Image Action", detail)

    def _own(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """What is below `/_sandbox/`: nothing of it exists on AWS."""
        if environ.get("PATH_INFO", "").startswith(LAYERS):
            return self.ecr.layers(environ, start_response)
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.path == f"{OWN}ready":
            return Response("ready\n", content_type="text/plain; charset=utf-8")
        if request.path == _SHORT or request.path.startswith((f"{_SHORT}/", _APIS)):
            return self._answer_of_api(request)
        if request.path.startswith(_CUSTOM_RESOURCES) and request.method == "PUT":
            request.max_content_length = _MOST_ANSWER_BYTES
            token = request.path.removeprefix(_CUSTOM_RESOURCES)
            return Response(status=200 if resources.answer(token, request.get_data()) else 403)
        if request.path == data_plane.WEBHOOK and request.method == "POST" and self._docker is not None:
            word = request.headers.get("Authorization", "")
            return Response(status=self._docker.registry.told(word, request.get_data()))
        known = f"{OWN}ready, {_SHORT}/..., {_APIS}<api-id>/<stage>/..."
        return Response(f"There is nothing at {request.path}. There is: {known}\n", 404)

    def _answer_of_api(self, request: Request) -> Response:
        """`/_sandbox/apis/<api-id>/<stage>/<path>`, and in short `/_sandbox/api/<path>`."""
        path = _path_as_sent(request)
        if path.startswith(_APIS):
            api_id, _, rest = path.removeprefix(_APIS).partition("/")
            stage, _, rest = rest.partition("/")
            return self.gateway.respond(request, api_id, stage, f"/{rest}")
        newest = self.apis.newest_with(STAGE)
        if newest is None:
            message = f"No API has a stage '{STAGE}' yet. Create the stack that has one: `sandbox up` does."
            return Response(json.dumps({"message": message}), 503, content_type="application/json")
        return self.gateway.respond(request, newest, STAGE, path.removeprefix(_SHORT) or "/")


def _path_as_sent(request: Request) -> str:
    """API Gateway hands a path over with its percent signs, which WSGI has decoded already."""
    return urlsplit(str(request.environ["REQUEST_URI"])).path


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port), backlog=128)
    except OSError as problem:
        reason = os.strerror(problem.errno or 0)
        raise SandboxStartError(
            f"Cannot listen on {HOST}:{port}: {reason}. If a sandbox runs there already, use it or "
            "stop it; or take another port: make sandbox SANDBOX_PORT=4600."
        ) from None


class _QuietHandler(MotoRequestHandler):
    """Requests are not worth a line each; errors still are."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def _serve(listener: socket.socket, door: FrontDoor) -> BaseWSGIServer:
    # werkzeug copies the descriptor; given only a port, it would end the process when that is taken.
    with listener:
        return make_server(
            HOST,
            listener.getsockname()[1],
            door,
            threaded=True,
            request_handler=_QuietHandler,
            fd=listener.fileno(),
        )


def _empty_moto() -> None:
    BackendDict.reset()
    reset_model_data()


def _write_access_log(group: str, stream: str, line: str) -> None:
    """As API Gateway does, which creates a stream on the way, but no group. Raises AwsError without one."""
    if group not in logs_backends[ACCOUNT][REGION].groups:
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
    function_logs.put(group, stream, [(int(time.time() * 1000), line)])


def _fetch(bucket: str, key: str, version: str | None = None) -> bytes:
    try:
        found = s3_backends[ACCOUNT]["aws"].get_object(bucket, key, version)
    except MissingBucket:
        raise AwsError("NoSuchBucket", f"The bucket {bucket} does not exist.", 404) from None
    if found is None:
        raise AwsError("NoSuchKey", f"{bucket} has no object {key}.", 404)
    content: bytes = found.value
    return content
