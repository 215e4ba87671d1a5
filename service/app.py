"""The service: a plain Chalice app (`chalice local` runs it). What Lambda adds is in lambda_handler.py.

Configuration, from the environment:

    ENVIRONMENT        required: `production`, `staging` ...; `local` and `development` ask for less
    GEMINI_API_KEY     required, except in `local` and `development`
    DATABASE_URL       optional: `postgresql://...`, or `sqlite:///...`, which needs no server
    CORS_ALLOW_ORIGIN  optional: comma-separated origins whose pages may read the answers, or `*`
    REVISION           what was built, e.g. a commit; set by the Dockerfile
"""

import os
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import unquote

from chalice.app import BadRequestError, Chalice, CORSConfig, MultiDict, NotFoundError, Request, Response
from chalicelib import cors, health

NAME = "shuking"
VERSION = "1.0.0"
GREETINGS = {"en": "Hello", "de": "Hallo", "fr": "Bonjour", "zh": "你好"}

app = Chalice(app_name=NAME)


@app.middleware("http")
def share_across_origins(request: Request, get_response: Callable[[Any], Response]) -> Response:
    response = get_response(request)
    allowed = os.environ.get("CORS_ALLOW_ORIGIN", "")
    response.headers.update(cors.headers(request.headers.get("origin"), allowed))
    return response


@app.route("/")
def index() -> dict[str, str]:
    return {"name": NAME, "version": VERSION}


@app.route("/health")
def show_health() -> Response:
    checks = health.checks(os.environ)
    failing = [name for name, result in checks.items() if result["status"] != "ok"]
    if failing:
        app.log.error("/health is failing: %s", {name: checks[name] for name in failing})
    return Response(
        {
            "status": "failing" if failing else "ok",
            "service": NAME,
            "version": VERSION,
            "revision": os.environ.get("REVISION") or "unknown",
            "checks": checks,
        },
        headers={"Cache-Control": "no-store"},
        status_code=503 if failing else 200,
    )


@app.route("/greetings/{name}")
def greet(name: str) -> dict[str, str]:
    # API Gateway passes path parameters on as they were sent, percent-encoded; so does `chalice local`.
    return greeting(unquote(name))


@app.route("/greetings", methods=["POST"])
def greet_whom_the_body_names() -> dict[str, str]:
    request = app.current_request
    match request.json_body if request else None:
        case {"name": str(name)} if name.strip():
            return greeting(name)
    raise BadRequestError('Send a JSON object with a name, {"name": "Ada"}, as application/json')


def greeting(name: str) -> dict[str, str]:
    query = (app.current_request and app.current_request.query_params) or MultiDict({})
    language = query.get("language", "en")
    if language not in GREETINGS:
        raise BadRequestError(f"language: one of {', '.join(GREETINGS)}")
    return {"message": f"{GREETINGS[language]}, {name}!"}


@app.route("/{proxy+}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], content_types=["*/*"])
def nothing_here() -> NoReturn:
    """Where every path goes that no other route has: API Gateway's own name for such a resource."""
    raise NotFoundError("Nothing is at this path")


def preflight(**_parameters: str) -> Response:
    """Answer a browser that asks before it sends a request to us from a page of another origin.

    Behind a greedy `{proxy+}` resource nobody else does: API Gateway passes OPTIONS on like any other method.
    """
    request = app.current_request
    methods = sorted(app.routes[request.path]) if request else []
    return Response(
        "",
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": ",".join(methods),
            "Access-Control-Allow-Headers": CORSConfig().allow_headers,
            "Access-Control-Max-Age": "600",
        },
    )


for route in tuple(app.routes):
    app.route(route, methods=["OPTIONS"], content_types=["*/*"])(preflight)
