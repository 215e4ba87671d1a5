"""Canaries: values that stand where secrets are, everything that the project puts out, and a way to look."""

from __future__ import annotations

import base64
import json
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, quote_plus

from deployer.announcement import SOURCE
from sandbox.account import Credentials
from sandbox.waiting import until
from tests.cli import stand_in_docker
from tests.cli.conftest import clean_environment, command
from tests.whole.team import Team


def canary(what: str) -> str:
    """A value that occurs nowhere else. Letters and digits alone: quoting and escaping leave it as it is."""
    return f"Canary{what}{uuid.uuid4().hex}"


def forms(secret: str) -> set[str]:
    """How a secret can stand in a text: plain, quoted for a URL, escaped for JSON, or in base64, where it
    looks different at each of three places."""
    raw = secret.encode()
    encoded = set()
    for before in range(3):
        letters = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        # The letters at both ends are shared with whatever stands beside it.
        whole = letters[(before * 8 + 5) // 6 : -1]
        encoded |= {whole, whole.replace("+", "-").replace("/", "_")}
    return {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        quote(secret),
        json.dumps(secret)[1:-1],
        *encoded,
    }


def found(text: str, secrets: Iterable[str]) -> list[str]:
    """The secrets that are in the text, in whichever form."""
    lower = text.lower()
    return [secret for secret in secrets if any(form.lower() in lower for form in forms(secret))]


class Credentialed:
    """What a sandbox hands out to the functions, and remembers."""

    def __init__(self, session: Callable[[str, str], Credentials]) -> None:
        self._session = session
        self.secrets: list[str] = []

    def __call__(self, role_arn: str, name: str = "sandbox") -> Credentials:
        given = self._session(role_arn, name)
        self.secrets += [given.secret_key, given.token]
        return given


class Daemon:
    """What X-Ray's daemon would get."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:{1}".format(*self._socket.getsockname())
        self.received: list[str] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while (datagram := self._socket.recv(65536)) != b"":
            self.received.append(datagram.decode(errors="replace"))

    def send(self, text: str) -> None:
        """As a function does."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            host, _, port = self.address.partition(":")
            sender.sendto(text.encode(), (host, int(port)))

    def close(self) -> None:
        self.send("")  # an empty datagram
        self._thread.join()
        self._socket.close()


@contextmanager
def web(answer: bytes = b"{}") -> Iterator[tuple[str, list[str]]]:
    """A web server that answers everything alike; its address, and what was sent to it."""
    received: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_PUT  # noqa: N815 - http.server's name

        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Outputs:
    """Everything that a team's stack and its command put out, by channel. Reading takes nothing away."""

    def __init__(self, team: Team, daemon: Daemon, home: Path) -> None:
        self.team, self.daemon, self.home = team, daemon, home
        self.answers: list[str] = []
        self.terminal: list[str] = []
        self.custom_resource: list[str] = []
        self._queues = {topic: self._subscribe(team.outputs[topic]) for topic in ("TopicArn", "ChatTopicArn")}
        self._bus = team.listens({"source": [SOURCE]})
        self._messages: dict[str, list[str]] = {}

    def _subscribe(self, topic: str) -> str:
        sqs = self.team.sandbox.client("sqs")
        url = str(sqs.create_queue(QueueName=f"canaries-{uuid.uuid4().hex[:10]}")["QueueUrl"])
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.team.sandbox.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        return url

    # -- doing things, and keeping what comes back

    def invoke(self, function: str, event: object, **how: str) -> str:
        """Invoke a function; what it answers, or how it died."""
        answer = self.team.lambda_.invoke(FunctionName=function, Payload=json.dumps(event), **how)
        told = answer["Payload"].read().decode()
        self.answers.append(told)
        return str(told)

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`deployer <words>` by somebody whose Docker is a stand-in."""
        programs, docker = self.home / "bin", self.home / "docker"
        for folder in (programs, docker):
            folder.mkdir(exist_ok=True)
        start = shlex.join([sys.executable, stand_in_docker.__file__])
        (programs / "docker").write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        (programs / "docker").chmod(0o755)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, stand_in_docker.FOLDER: str(docker), "DEPLOYER_STACK": self.team.name}
        done = command(
            {**clean_environment(self.home), **self.team.sandbox.environment, **own, **environment}, *words
        )
        self.terminal.append(f"$ deployer {words[0]}\n{done.stdout}\n{done.stderr}")
        return done

    # -- looking

    def read(self, channel: str) -> str:
        """Everything that came out there so far."""
        return "\n".join(CHANNELS[channel][0](self))

    def received(self, url: str) -> list[str]:
        """All messages that were ever in a queue."""
        sqs, kept = self.team.sandbox.client("sqs"), self._messages.setdefault(url, [])
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                kept.append(message["Body"])
        return kept

    def logs(self) -> list[str]:
        logs = self.team.sandbox.client("logs")
        groups = [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]]
        lines = []
        for group in groups:
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
                lines += [each["message"] for each in page["events"]]
        return lines

    def dead_letters(self) -> list[str]:
        urls = (self.team.outputs[f"{owner}DeadLettersUrl"] for owner in ("Rule", "Deployer"))
        return [body for url in urls for body in self.received(url)]

    def topic(self, output: str) -> list[str]:
        return self.received(self._queues[output])

    def events(self) -> list[str]:
        return self.received(self._bus)

    def ledger(self) -> list[str]:
        pages = self.team.sandbox.client("dynamodb").get_paginator("scan")
        found = pages.paginate(TableName=self.team.outputs["LedgerName"])
        return [json.dumps(item, default=str, ensure_ascii=False) for page in found for item in page["Items"]]

    def page(self) -> list[str]:
        return [self.invoke(self.team.outputs["DashboardFunctionName"], {"widgetContext": {}})]

    def metrics(self) -> list[str]:
        cloudwatch = self.team.sandbox.client("cloudwatch")
        return [json.dumps(each, default=str) for each in cloudwatch.list_metrics()["Metrics"]]

    # -- leaking, to see that it is noticed

    def log(self, text: str) -> None:
        logs, group = self.team.sandbox.client("logs"), f"/aws/lambda/{self.team.outputs['DeployerName']}"
        logs.create_log_stream(logGroupName=group, logStreamName=text[:40])
        event = {"timestamp": int(time.time() * 1000), "message": text}
        logs.put_log_events(logGroupName=group, logStreamName=text[:40], logEvents=[event])

    def announce(self, text: str) -> None:
        entry = {"Source": SOURCE, "DetailType": "Leak", "Detail": json.dumps({"deep": [{"er": text}]})}
        self.team.sandbox.client("events").put_events(Entries=[entry])
        until(lambda: any(text in event for event in self.events()), "the event")

    def publish(self, output: str, text: str) -> None:
        self.team.sandbox.client("sns").publish(TopicArn=self.team.outputs[output], Message=text)

    def put_item(self, text: str) -> None:
        self.team.sandbox.client("dynamodb").put_item(
            TableName=self.team.outputs["LedgerName"],
            Item={"pk": {"S": "leak"}, "sk": {"S": "leak"}, "deep": {"M": {"er": {"L": [{"S": text}]}}}},
        )

    def show(self, text: str) -> None:
        self.team.command({"command": "hold", "by": "the self-check", "because": text})

    def bury(self, text: str) -> None:
        self.team.sandbox.client("sqs").send_message(
            QueueUrl=self.team.outputs["DeployerDeadLettersUrl"], MessageBody=text
        )

    def measure(self, text: str) -> None:
        self.team.sandbox.client("cloudwatch").put_metric_data(
            Namespace="leak", MetricData=[{"MetricName": text, "Value": 1}]
        )

    def trace(self, text: str) -> None:
        self.daemon.send(text)
        until(lambda: any(text in each for each in self.daemon.received), "the datagram")


Read = Callable[[Outputs], list[str]]
Leak = Callable[[Outputs, str], object]

# What everything comes out by: how it is read, and how a leak of it is made.
CHANNELS: dict[str, tuple[Read, Leak]] = {
    "logs": (Outputs.logs, Outputs.log),
    "mail": (lambda out: out.topic("TopicArn"), lambda out, text: out.publish("TopicArn", text)),
    "chat": (lambda out: out.topic("ChatTopicArn"), lambda out, text: out.publish("ChatTopicArn", text)),
    "events": (Outputs.events, Outputs.announce),
    "ledger": (Outputs.ledger, Outputs.put_item),
    "page": (Outputs.page, Outputs.show),
    "dead letters": (Outputs.dead_letters, Outputs.bury),
    "metrics": (Outputs.metrics, Outputs.measure),
    "traces": (lambda out: out.daemon.received, Outputs.trace),
    "answers": (lambda out: out.answers, lambda out, text: out.answers.append(text)),
    "terminal": (lambda out: out.terminal, lambda out, text: out.run("wait", "--digest", text)),
    "custom resource": (lambda out: out.custom_resource, lambda out, text: out.custom_resource.append(text)),
}
