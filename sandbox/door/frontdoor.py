"""The sandbox's one door: every HTTP request comes in here and is sent to the service it is signed for."""

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request, Response

from sandbox.account import AwsError
from sandbox.alarms import Alarms
from sandbox.door.calls import UnknownCallError, read_operation, signing_scope
from sandbox.door.iam import Iam
from sandbox.door.watching import FunctionCall, Watch, read_call
from sandbox.door.wire import query_refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

OWN = "/_sandbox/"
_PUT_EVENTS = "AWSEvents.PutEvents"
_NO_API_GATEWAY = AwsError("NotImplementedException", "The sandbox makes REST APIs from stacks only.", 501)


class Process(Protocol):
    """What runs a function and calls AWS."""

    @property
    def function(self) -> str:
        """The function's name."""

    def die(self) -> None:
        """End now, in the middle of whatever it does."""


class FrontDoor:
    """Routes by the SigV4 credential scope's service.

    `strict` maps a service (`lambda`) or an operation (`cloudformation:CreateStack`) to the application that
    stands for it; these check permissions for themselves. `own` takes what is below `/_sandbox/`. Everything
    else is moto's, after `iam` has let it pass; but for EventBridge's PutEvents, which `put_events` takes,
    and API Gateway, where moto would take what leads nowhere.
    `alarms` watches what CloudWatch is asked. `process` finds a function's process by its access key; what it
    calls, `watch` is told, if anybody watches.
    """

    def __init__(
        self,
        iam: Iam,
        *,
        strict: Mapping[str, "WSGIApplication"],
        own: "WSGIApplication",
        put_events: "WSGIApplication",
        alarms: Alarms,
        process: Callable[[str], Process | None],
    ) -> None:
        self.watch: Watch | None = None
        self._process = process
        self._iam = iam
        self._strict = strict
        self._own = own
        self._put_events = put_events
        self._alarms = alarms
        self._moto = DomainDispatcherApplication(create_backend_app)
        # moto looks at a condition and writes in two steps; on AWS a conditional write is one.
        self._dynamodb = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not _is_loopback(environ.get("HTTP_HOST", "")):
            return _foreign_host(environ)(environ, start_response)
        if environ.get("PATH_INFO", "").startswith(OWN):
            return self._own(environ, start_response)
        access_key, service = signing_scope(environ)
        if _from_a_web_page(environ) or not service:
            return _unsigned()(environ, start_response)
        process = self._process(access_key) if self.watch else None
        if process is None:
            return self._pass(environ, start_response, service)
        call = read_call(environ, process.function)
        if self._dies(process, call, done=False):
            return Response(status=503)(environ, start_response)  # nobody is there to read it
        answer = self._pass(environ, start_response, service)
        self._dies(process, call, done=True)
        return answer

    def _dies(self, process: Process, call: FunctionCall, *, done: bool) -> bool:
        dies = self.watch is not None and self.watch(call, done)
        if dies:
            process.die()
        return dies

    def _pass(
        self, environ: "WSGIEnvironment", start_response: "StartResponse", service: str
    ) -> Iterable[bytes]:
        if strict := self._strict_part(environ, service):
            return strict(environ, start_response)
        try:
            self._iam.authorize_request(environ)
        except AwsError as refusal:
            return _refusal(environ, service, refusal)(environ, start_response)
        if environ.get("HTTP_X_AMZ_TARGET") == _PUT_EVENTS:
            return self._put_events(environ, start_response)
        if service == "apigateway":
            return _refusal(environ, service, _NO_API_GATEWAY)(environ, start_response)
        return self._ask_moto(environ, start_response, service)

    def _strict_part(self, environ: "WSGIEnvironment", service: str) -> "WSGIApplication | None":
        if service != "cloudformation":
            return self._strict.get(service)
        try:
            operation = read_operation(environ, service)
        except UnknownCallError:
            return None
        return self._strict.get(f"{service}:{operation.name}")

    def _ask_moto(
        self, environ: "WSGIEnvironment", start_response: "StartResponse", service: str
    ) -> Iterable[bytes]:
        answer: Iterable[bytes]
        if service == "dynamodb":
            with self._dynamodb:
                answer = self._moto(environ, start_response)
        elif service == "monitoring":
            with self._alarms.watched():
                answer = self._moto(environ, start_response)
        else:
            answer = self._moto(environ, start_response)
        return answer


def _is_loopback(host: str) -> bool:
    """Whether a request was sent to this machine by its name. A web page's domain that was pointed
    at 127.0.0.1 (DNS rebinding) was not."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name in {"127.0.0.1", "localhost", "[::1]"} or name.endswith(".localhost")


def _from_a_web_page(environ: "WSGIEnvironment") -> bool:
    """Browsers name the page a request comes from; no SDK does. A page must not drive a sandbox that
    runs code, and anybody may write "sandbox" for an access key."""
    return "HTTP_ORIGIN" in environ or environ.get("HTTP_SEC_FETCH_SITE", "none") not in {
        "none",
        "same-origin",
    }


def _foreign_host(environ: "WSGIEnvironment") -> Response:
    text = f"The sandbox answers on 127.0.0.1 and localhost, not as {environ.get('HTTP_HOST', '')!r}.\n"
    return Response(text, 421, content_type="text/plain; charset=utf-8")


def _unsigned() -> Response:
    body = {
        "message": "Missing Authentication Token",
        "hint": "This is an AWS endpoint: use the AWS CLI or an SDK with AWS_ENDPOINT_URL. "
        f"The service behind its API Gateway is at {OWN}api/ (try {OWN}api/health).",
    }
    return Response(json.dumps(body), 403, content_type="application/json")


def _refusal(environ: "WSGIEnvironment", service: str, refusal: AwsError) -> Response:
    """A refusal in the form the caller's SDK reads: XML for the query protocol and S3, else JSON."""
    request_id = str(uuid.uuid4())
    if service == "s3":
        what = f"<Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message>"
        xml = f"<Error>{what}<RequestId>{request_id}</RequestId></Error>"
        return Response(xml, refusal.status, content_type="text/xml")
    if Request(environ).mimetype == "application/x-www-form-urlencoded":
        return query_refusal(refusal, refusal.status or 400)
    headers: dict[str, Any] = {"x-amzn-RequestId": request_id, "x-amzn-ErrorType": refusal.code}
    body = json.dumps({"__type": refusal.code, "message": refusal.message})
    return Response(body, refusal.status, headers, content_type="application/x-amz-json-1.0")
