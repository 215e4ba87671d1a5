"""What the reading verbs ask AWS for, with a short history and with a long one: `make reads` draws the table.

The command talks to the sandbox through a door that counts. What the dashboard's function asks for it is
counted as well.
"""

from __future__ import annotations

import tempfile
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from boto3.dynamodb.types import TypeSerializer
from moto.dynamodb.models import dynamodb_backends

from deployer.aws.record import deployment_item
from deployer.model import (
    CheckResult,
    Deployment,
    Image,
    Moment,
    Origin,
    Phase,
    Source,
    Verdict,
    Version,
    deployment_id,
)
from sandbox.account import ACCOUNT, REGION, Settings
from sandbox.door.watching import FunctionCall
from sandbox.server import Sandbox
from tests.cli.conftest import clean_environment, command
from tests.kills.tables import write
from tests.whole.team import Team

SHORT, LONG = 100, 10_000
VERBS = ("status", "history", "show", "plan", "images", "stats")
_DAYS = 29  # the whole history is in the time that `stats` looks at
_OWN = ("host", "connection", "content-length", "transfer-encoding")
_SERVICES = {"cloudformation": "CloudFormation", "dynamodb": "DynamoDB", "ecr": "ECR", "lambda": "Lambda"}


@dataclass
class Door:
    """Hands requests on, and counts them by service."""

    beyond: str
    counts: Counter[str] = field(default_factory=Counter)
    url: str = ""

    @contextmanager
    def open(self) -> Iterator[None]:
        """While this lasts, `url` leads beyond it."""
        door = self

        class Hatch(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                # Authorization: AWS4-HMAC-SHA256 Credential=key/day/Region/service/aws4_request, ...
                door.counts[self.headers["Authorization"].split("/")[3]] += 1
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kept = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
                asked = urllib.request.Request(
                    f"{door.beyond}{self.path}", data=body or None, headers=kept, method=self.command
                )
                try:
                    with urllib.request.urlopen(asked, timeout=120) as answer:
                        self._answer(answer.status, answer.headers.items(), answer.read())
                except urllib.error.HTTPError as error:
                    self._answer(error.code, error.headers.items(), error.read())

            def _answer(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in (*_OWN, "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = _pass  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                """Nothing to say."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Hatch) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.url = f"http://127.0.0.1:{server.server_port}"
            yield
            server.shutdown()


def past(team: Team, number: int, of: int, now: datetime) -> Deployment:
    """An ended deployment with all that an ordinary one has. Every tenth failed when users had met it."""
    at = now - timedelta(days=_DAYS) * ((of - number) / of)
    digest = f"sha256:{number:064x}"
    failed = number % 10 == 9
    answered = "503 after 0.8 s: connection to the database refused" if failed else "200 after 0.4 s"
    well = Verdict(
        (CheckResult("GET /health", True, '200 with {"status": "ok"}', "200 after 0.4 s", 0.4, 1),)
    )
    asked = replace(well.results[0], passed=not failed, actual=answered)
    moves = [
        (Phase.UPDATING, f"preflight passed; users are on version {number} (sha256:0123456789ab…)"),
        (Phase.VERIFYING, f"version {number + 1} is ready"),
        (Phase.PROMOTING, "GET /health answered 200 after 0.4 s"),
        (Phase.CONFIRMING, f"live points at version {number + 1}"),
        *([(Phase.REVERTING, f"through live: GET /health answered {answered}")] if failed else []),
        (
            Phase.REVERTED if failed else Phase.SUCCEEDED,
            f"live is version {number + 1}: GET /health {answered}",
        ),
    ]
    origin = Origin(f"{number:040x}", "https://github.com/owner/name", at - timedelta(minutes=20), "a build")
    return Deployment(
        deployment_id(at, digest),
        Image(team.repository, digest),
        Source.PUSH,
        at,
        moves[-1][0],
        tuple(Moment(at + timedelta(seconds=4 * n), phase, why) for n, (phase, why) in enumerate(moves, 1)),
        previous=Version(str(number), Image(team.repository, f"sha256:{number - 1:064x}")),
        version=str(number + 1),
        configuration="0123456789abcdef",
        origin=origin,
        before=replace(origin, revision=f"{number - 1:040x}"),
        live=Version(str(number + 1), Image(team.repository, digest)),
        verification=well,
        confirmation=Verdict((asked,)),
    )


def fill(team: Team, deployments: int) -> None:
    """Put so many ended deployments into the team's ledger, behind the sandbox's door: to read ten thousand
    items from requests takes moto two minutes."""
    table, now = dynamodb_backends[ACCOUNT][REGION].get_table(team.outputs["LedgerName"]), datetime.now(UTC)
    serialize = TypeSerializer().serialize
    for number in range(1, deployments + 1):
        ended = past(team, number, deployments, now)
        item = {**deployment_item(ended), "pk": f"{team.function}#history", "sk": ended.id}
        table.put_item({name: serialize(value) for name, value in item.items()})


Costs = dict[str, Counter[str]]
"""Of each verb, requests by service; those of the dashboard's function under `dashboard`."""


def costs(team: Team) -> Costs:
    """Run each verb once, and count."""
    read: Counter[str] = Counter()

    def watch(call: FunctionCall, done: bool) -> bool:
        if done and call.function == team.outputs["DashboardFunctionName"] and call.service != "logs":
            read[call.service] += 1
        return False

    counted: Costs = {}
    door = Door(team.sandbox.url)
    team.sandbox.watch(watch)
    try:
        with door.open(), tempfile.TemporaryDirectory() as home:
            environment = {
                **clean_environment(Path(home)),
                **team.sandbox.environment,
                "AWS_ENDPOINT_URL": door.url,
                "DEPLOYER_STACK": team.name,
            }
            for verb in VERBS:
                door.counts.clear()
                read.clear()
                done = command(environment, verb)
                if done.returncode != 0 or done.stderr:
                    raise RuntimeError(f"deployer {verb}: {done.returncode}, {done.stderr}")
                counted[verb] = Counter({**door.counts, "dashboard": read.total()})
    finally:
        team.sandbox.watch(None)
    return counted


def measure(team: Team) -> dict[int, Costs]:
    """By the length of the history."""
    measured: dict[int, Costs] = {}
    for length in (SHORT, LONG):
        fill(team, length)
        measured[length] = costs(team)
    return measured


def new_team(sandbox: Sandbox) -> Team:
    """A team with one release, whose ledger is nobody else's."""
    team = Team(sandbox, "reads")
    team.release(team.build("the first"))
    return team


def table(measured: dict[int, Costs]) -> str:
    """As it stands in docs/testing.md."""
    heads = [f"{_SERVICES[each]}, {length:,}" for each in _SERVICES for length in measured]
    heads += [f"the dashboard's function, {length:,}" for length in measured]
    lines = ["| requests to, with a history of | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for verb in VERBS:
        numbers = [measured[length][verb][each] for each in (*_SERVICES, "dashboard") for length in measured]
        lines.append(f"| `deployer {verb}` | " + " | ".join(map(str, numbers)) + " |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, and draw the table."""
    with Sandbox(settings=Settings(update_seconds=0.0)) as sandbox:
        drawing = table(measure(new_team(sandbox)))
    print(drawing)  # noqa: T201 - whoever runs it wants to see it
    write("reads", drawing, "make reads")


if __name__ == "__main__":
    main()
