"""The whole job, played for real: `make demo`; in containers: `make demo RUNTIME=docker`.

A sandbox starts, the stack of template.yaml is created in it, and six releases are pushed while requests
keep hitting the API in front of `live`. Nothing is scripted but what is pushed: every line is read from the
ledger, the topic or the answers of the service, and the demo fails when anything comes out wrong.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deployer.aws.ledger import DynamoLedger
from deployer.aws.registry import BUILT_BY_LABEL
from deployer.model import Deployment, Moment, Phase, short
from deployer.rollout import ENDED
from sandbox.account import AwsError, Settings
from sandbox.building import images
from sandbox.building.by_docker import DockerClient, DockerFailedError
from sandbox.cli import PARAMETERS, TEMPLATE
from sandbox.cloudformation import stack
from sandbox.ending import end_as_ctrl_c_does
from sandbox.server import RuntimeKind, Sandbox, SandboxStartError
from sandbox.waiting import until

SERVICE = Path(__file__).parents[1] / "service"
RELEASE_TAG = "latest"
_USER_SECONDS = 0.05  # between two requests of a user
_MOST_CALLS = 6  # the control plane grants an account 15 a second
_COLOURS = {
    Phase.SUCCEEDED: "green",
    Phase.REVERTED: "yellow",
    Phase.REJECTED: "yellow",
    Phase.SUPERSEDED: "blue",
    Phase.STUCK: "red",
}

Overrides = Mapping[str, bytes]


@dataclass(frozen=True)
class Release:
    """One push, and what must become of it."""

    story: str
    revision: str
    ends: Phase
    overrides: Callable[[], Overrides] = dict
    indexed: bool = False
    told: str = ""  # a pattern that the message to on-call must match
    shown: bool = False  # is that message shown as on-call would read it?


def _failing_health() -> Overrides:
    """A release that needs a variable nobody has set: its /health answers 503."""
    code = (SERVICE / "chalicelib" / "health.py").read_text()
    needy = _replace(code, 'required = ["ENVIRONMENT"]', 'required = ["ENVIRONMENT", "PAYMENT_API_KEY"]')
    return {"chalicelib/health.py": needy.encode()}


def _dying_on_import() -> Overrides:
    code = (SERVICE / "app.py").read_text()
    return {"app.py": f"import a_module_that_nobody_installed\n{code}".encode()}


def _replace(code: str, old: str, new: str) -> str:
    if old not in code:
        raise SystemExit(
            f"demo: service/app.py has no {old!r} any more; tell sandbox/demo.py how to break it"
        )
    return code.replace(old, new)


RELEASES = (
    Release("the first release", "1-first", Phase.SUCCEEDED, told="is live"),
    Release("a second, healthy release", "2-better", Phase.SUCCEEDED, told="is live"),
    Release(
        "a release whose /health answers 503",
        "3-unwell",
        Phase.REVERTED,
        _failing_health,
        told="(?s)GET /health answered 503.*PAYMENT_API_KEY",
        shown=True,
    ),
    Release(
        "a release that dies on import",
        "4-dead",
        Phase.REVERTED,
        _dying_on_import,
        told="(?s)Runtime.ImportModuleError.*last log lines:.*a_module_that_nobody_installed",
        shown=True,
    ),
    Release(
        "an image index, as buildx makes it with provenance",
        "5-index",
        Phase.REJECTED,
        indexed=True,
        told="--provenance=false --sbom=false --platform linux/amd64",
    ),
    Release("the fixed release", "6-fixed", Phase.SUCCEEDED, told="is live"),
)


class Users:
    """Somebody who keeps asking the service, over HTTP, through the API in front of `live`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="users", daemon=True)
        self.answers: Counter[tuple[str, int]] = Counter()  # (version, status)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stopped.wait(_USER_SECONDS):
            try:
                with urllib.request.urlopen(f"{self._url}/greetings/you", timeout=30) as answer:
                    self.answers[answer.headers["x-sandbox-version"], answer.status] += 1
            except urllib.error.HTTPError as error:
                self.answers[error.headers.get("x-sandbox-version") or "none", error.code] += 1
            except OSError:
                self.answers["none", 0] += 1


class Mail:
    """On-call's mailbox: a queue that is subscribed to the topic."""

    def __init__(self, client: Callable[[str], Any], topic: str) -> None:
        self._sqs = client("sqs")
        self._queue = self._sqs.create_queue(QueueName="demo-mailbox")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        arn = attributes["Attributes"]["QueueArn"]
        client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def read(self, digest: str) -> tuple[str, str]:
        """The subject and text of the message about a release; others are left out."""

        def about_it() -> tuple[str, str] | None:
            for message in self._received():
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                told = json.loads(message["Body"])
                if short(digest) in told["Message"]:
                    return told["Subject"], told["Message"]
            return None

        return until(about_it, f"a message about {short(digest)}")

    def _received(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self._sqs.receive_message(QueueUrl=self._queue).get("Messages", [])
        return messages


class Demo:
    """Plays the releases and keeps what did not come out as it should."""

    def __init__(
        self, sandbox: Sandbox, outputs: Mapping[str, str], console: Console, docker: DockerClient | None
    ) -> None:
        self.sandbox, self.outputs, self.console, self.docker = sandbox, outputs, console, docker
        self.ledger = DynamoLedger(
            sandbox.client("dynamodb"), outputs["LedgerName"], outputs["ServiceFunctionName"]
        )
        self.lambda_, self.ecr = sandbox.client("lambda"), sandbox.client("ecr")
        self.mail = Mail(sandbox.client, outputs["TopicArn"])
        self.users = Users(sandbox.api_url)
        self.repository = outputs["RepositoryUri"].partition("/")[2]
        self.good: set[str] = set()  # digests that users may meet
        self.wrong: list[str] = []
        self.seconds: dict[str, float] = {}  # deployment id -> from the push to live
        self.calls: Counter[str] = Counter()  # of the deployer to Lambda, for the last healthy release

    def play(self) -> None:
        """All releases, one after the other, and what the users got meanwhile."""
        for number, release in enumerate(RELEASES, start=1):
            self.console.print()
            self.console.rule(Text(f"{number}. {release.story}", style="bold"), align="left")
            self._play(release)
            if number == 1:
                self.users.start()
        time.sleep(1)  # let users meet the last release, too
        self.users.stop()

    def _play(self, release: Release) -> None:
        before, trail = self._where(), Counter(self.sandbox.iam.trail)
        digest, pushed_at = self._push(release)
        ended = self._follow(digest)
        subject, text = self.mail.read(digest)
        after = self._where()
        if release.ends is Phase.SUCCEEDED:
            self.good.add(digest)
            self.calls = self._calls_to_lambda(self.sandbox.iam.trail - trail)
            self.seconds[ended.id] = (_reached(ended, Phase.CONFIRMING) - pushed_at).total_seconds()
        expected = digest if release.ends is Phase.SUCCEEDED else before[0]
        self._expect(ended.phase is release.ends, f"it ended {ended.phase}, and must end {release.ends}")
        self._expect(after == (expected, expected), f"live and $LATEST must be on {short(expected)}: {after}")
        self._expect(bool(re.search(release.told, text)), f"the message must say {release.told!r}")
        quarantined = self.ledger.quarantine(digest) is not None
        self._expect(quarantined is (release.ends is Phase.REVERTED), f"quarantined: {quarantined}")
        if release.ends is Phase.REJECTED:
            self._expect(len(ended.timeline) == 1, "the function must not be touched")
        if release.shown:
            self.console.print(Text(f"  On-call reads:\n\n    Subject: {subject}\n", style="bold"))
            self._say("".join(f"    {line}".rstrip() + "\n" for line in text.splitlines()))
        else:
            self._say(f"  message: {subject}")

    def _push(self, release: Release) -> tuple[str, datetime]:
        """Build it and push it under the release tag: its digest, and when it was pushed."""
        began = datetime.now(UTC)
        digest = self._build(release) if self.docker is None else self._build_by_docker(self.docker, release)
        self._say(f"  pushed {self.repository}:{RELEASE_TAG}, {short(digest)}")
        if self.docker is None:
            return digest, began
        # Docker builds and uploads for seconds before there is an image in ECR.
        until(lambda: self._pushed_at(digest), f"{short(digest)} in ECR")
        return digest, self._pushed_at(digest) or began

    def _build(self, release: Release) -> str:
        built: images.BuiltImage | images.BuiltIndex = images.build(
            SERVICE,
            build_args={"REVISION": release.revision},
            labels={BUILT_BY_LABEL: "the demo"},
            overrides=release.overrides(),
        )
        if release.indexed:
            assert isinstance(built, images.BuiltImage)
            built = images.index(built)
        return images.upload(built, self.ecr, self.repository, RELEASE_TAG)

    def _build_by_docker(self, docker: DockerClient, release: Release) -> str:
        tag = f"not-{RELEASE_TAG}" if release.indexed else RELEASE_TAG
        image = docker.build(
            SERVICE,
            f"{self.repository}:{tag}",
            build_args={"REVISION": release.revision},
            overrides=release.overrides(),
        )
        return docker.push_index(image, RELEASE_TAG) if release.indexed else docker.push(image)

    def _pushed_at(self, digest: str) -> datetime | None:
        try:
            return self.sandbox.ecr.find(self.repository, digest).pushed_at
        except AwsError:
            return None

    def _follow(self, digest: str) -> Deployment:
        """Print each move as it appears in the ledger, until the deployment of `digest` has ended."""
        told: list[Moment] = []

        def ended() -> Deployment | None:
            known = (*self.ledger.look().open, *self.ledger.history(len(RELEASES)))
            found = next((deployment for deployment in known if deployment.image.digest == digest), None)
            if found is None:
                return None
            for moment in found.timeline[len(told) :]:
                self._print_move(moment)
                told.append(moment)
            return found if found.phase in ENDED else None

        try:
            return until(ended, f"the end of the deployment of {short(digest)}")
        except TimeoutError:
            self._show_log()
            raise

    def _print_move(self, moment: Moment) -> None:
        time_of_day = f"  {moment.at:%H:%M:%S.%f}"[:-3]
        phase = Text(f"{moment.phase:<10}", style=_COLOURS.get(moment.phase, "cyan"))
        self.console.print(Text(time_of_day, style="dim"), phase, Text(moment.because), soft_wrap=True)

    def _show_log(self) -> None:
        group = f"/aws/lambda/{self.outputs['DeployerName']}"
        events = self.sandbox.client("logs").filter_log_events(logGroupName=group)["events"]
        self.console.print(Text("The deployer's last log lines:", style="red"))
        for event in events[-20:]:
            self._say(f"  {event['message'].rstrip()}")

    def _where(self) -> tuple[str, str]:
        """The digests that `live` and `$LATEST` are on, as Lambda says."""
        name = self.outputs["ServiceFunctionName"]
        live = self.lambda_.get_function(FunctionName=name, Qualifier="live")
        latest = self.lambda_.get_function(FunctionName=name)
        return tuple(f"sha256:{each['Configuration']['CodeSha256']}" for each in (live, latest))  # type: ignore[return-value]  # two of two

    def _say(self, text: str) -> None:
        """As it is: a line that is longer than the terminal stays one line, so that it can be copied."""
        self.console.print(Text(text), soft_wrap=True)

    def _calls_to_lambda(self, trail: Counter[tuple[str, str]]) -> Counter[str]:
        return Counter(
            {
                action.removeprefix("lambda:"): count
                for (caller, action), count in trail.items()
                if caller == self.outputs["DeployerName"] and action.startswith("lambda:")
            }
        )

    def _expect(self, right: bool, otherwise: str) -> None:
        if not right:
            self.wrong.append(otherwise)
            self.console.print(Text(f"  WRONG: {otherwise}", style="bold red"))

    def report(self) -> None:
        """History, users, times; and what users got that they should not have."""
        self.console.print()
        self.console.print(self._history())
        self.console.print(self._answers())
        self._times()
        self._count_calls()

    def _history(self) -> Table:
        table = Table(title="History, the newest first", title_justify="left")
        for column in ("deployment", "revision", "image", "ended", "seconds to live"):
            table.add_column(column, overflow="fold")
        # Two that were pushed in the same second do not sort by their ids.
        for deployment in sorted(self.ledger.history(len(RELEASES)), key=lambda d: d.since, reverse=True):
            seconds = self.seconds.get(deployment.id)
            table.add_row(
                deployment.id,
                deployment.revision or "",
                str(deployment.image),
                Text(deployment.phase, style=_COLOURS[deployment.phase]),
                f"{seconds:.2f}" if seconds else "",
            )
        return table

    def _answers(self) -> Table:
        name = self.outputs["ServiceFunctionName"]
        table = Table(title="What users got", title_justify="left")
        for column in ("version", "image", "status", "requests"):
            table.add_column(column)
        for (version, status), requests in sorted(self.users.answers.items()):
            digest = ""
            if version.isdigit():
                found = self.lambda_.get_function(FunctionName=name, Qualifier=version)
                digest = f"sha256:{found['Configuration']['CodeSha256']}"
            table.add_row(version, short(digest) if digest else "none", str(status), str(requests))
            self._expect(status == 200, f"{requests} requests were answered {status}")
            self._expect(digest in self.good, f"{requests} requests were answered by version {version}")
        asked = sum(self.users.answers.values())
        self._expect(asked > 0, "no user asked anything")
        table.caption = f"{asked} requests"
        return table

    def _times(self) -> None:
        settings = self.sandbox.settings
        simulated = settings.update_seconds + settings.publish_seconds
        own = [seconds - simulated for seconds in self.seconds.values()]
        self._say(
            f"From push to live, beyond the simulated update of {simulated:g} s: first {own[0]:.2f} s (the "
            f"deployer starts cold), then {', '.join(f'{each:.2f} s' for each in own[1:])} (warm; the new "
            "version's own cold start included)."
        )

    def _count_calls(self) -> None:
        """GetFunction has a generous limit of its own, and InvokeFunction is not of the control plane."""
        calls = dict(sorted(self.calls.items()))
        apart = {name: calls.pop(name, 0) for name in ("GetFunction", "InvokeFunction")}
        told = ", ".join(f"{name} {count}" for name, count in calls.items())
        beside = ", ".join(f"{name} {count}" for name, count in apart.items())
        total = sum(calls.values())
        self._say(f"The deployer's calls to Lambda for the last release: {told}; apart from these, {beside}.")
        self._expect(0 < total <= _MOST_CALLS, f"{total} control-plane calls; at most {_MOST_CALLS} are fine")


def _reached(deployment: Deployment, phase: Phase) -> datetime:
    return next((m.at for m in deployment.timeline if m.phase is phase), deployment.since)


def main() -> int:
    """Play it. 0 if everything came out as it must, 130 if it was interrupted, else 1."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description="Six releases under traffic.")
    parser.add_argument("--runtime", choices=["process", "docker"], default="process", help="of the images")
    runtime = parser.parse_args().runtime
    end_as_ctrl_c_does()
    try:
        return _play(runtime)
    except (SandboxStartError, DockerFailedError) as problem:
        print(f"demo: {problem}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; everything it started has ended", file=sys.stderr)  # noqa: T201
        return 130


def _play(runtime: RuntimeKind) -> int:
    # A pipe has no width; tables are as wide as they need to be, up to a wide terminal's.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    began = time.monotonic()
    docker = DockerClient() if runtime == "docker" else None
    # The sandbox ends first: an image that runs cannot be removed.
    with docker or nullcontext(), Sandbox(settings=Settings(), runtime=runtime) as sandbox:
        if docker is not None:
            assert sandbox.registry is not None
            docker.login(sandbox.registry)
        console.print(Text(f"sandbox: {sandbox.url}; creating the stack of {TEMPLATE.name}"))
        with console.status("every function and version takes its simulated time to become ready"):
            outputs = stack.deploy(sandbox.client, TEMPLATE, PARAMETERS)
        demo = Demo(sandbox, outputs, console, docker)
        try:
            demo.play()
        except TimeoutError as waited:
            console.print(Text(f"demo: {waited}", style="bold red"))
            return 1
        demo.report()
    console.print(Text(f"The demo took {time.monotonic() - began:.0f} s."))
    if demo.wrong:
        console.print(Text(f"{len(demo.wrong)} things are not as they must be:", style="bold red"))
        for wrong in demo.wrong:
            console.print(Text(f"  {wrong}", style="red"))
        return 1
    console.print(Text("No user request was answered by a bad version, and none failed.", style="bold green"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
