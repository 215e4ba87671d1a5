"""No secret comes out anywhere: canaries are planted where secrets are, everything happens that can, and all
that came out is searched. What the service itself answers and logs is shown, bounded: it is asked for that.
"""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from deployer.cli import VERBS
from deployer.model import Deployment, Phase
from sandbox.building import images
from sandbox.running import worker_environment
from sandbox.server import Sandbox
from sandbox.waiting import until
from tests.fuzz.strategies import COMMANDS, EVENTS
from tests.whole.canaries import CHANNELS, Credentialed, Daemon, Outputs, canary, forms, found, web
from tests.whole.team import SERVICE, Team, unwell

DATABASE, KEY, TOKEN = canary("Database"), canary("Key"), canary("Token")
HEADER, BODY = canary("Header"), canary("Body")
SIGNATURE, PASSWORD, STORED, DOCKER = (canary(each) for each in ("Signature", "Password", "Stored", "Docker"))
CHECKS = [
    {"path": "/health", "headers": {"Authorization": f"Bearer {HEADER}"}, "json": {"status": "ok"}},
    {"path": "/greetings", "method": "POST", "headers": {"Content-Type": "application/json", "X": HEADER},
     "body": json.dumps({"name": "Ada", "key": BODY})},
]  # fmt: skip
SIGNED = f"X-Amz-Signature={SIGNATURE}"
NOBODY = "http://127.0.0.1:9"  # the port `discard`, where nobody listens


@dataclass
class Story:
    """What happened, what came out of it, and what must not have."""

    outputs: Outputs
    credentials: Credentialed
    ends: dict[str, Phase]

    @property
    def secrets(self) -> list[str]:
        planted = [DATABASE, KEY, TOKEN, HEADER, BODY, SIGNATURE, PASSWORD, STORED, DOCKER]
        return [*planted, *self.credentials.secrets]


@pytest.fixture(scope="module")
def story(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The whole of it, told once."""
    daemon = Daemon()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_environment, "DISCARD", daemon.address)
        credentials = Credentialed(sandbox.iam.session)
        patch.setattr(sandbox.runtime, "_credentials", credentials)
        link, login = sandbox.ecr.get_download_url_for_layer, sandbox.ecr.get_authorization_token
        links: list[str] = []  # in place of the next ones

        def signed(request: dict[str, Any]) -> dict[str, Any]:
            given = link(request)
            return {**given, "downloadUrl": f"{links.pop() if links else given['downloadUrl']}?{SIGNED}"}

        patch.setattr(sandbox.ecr, "get_download_url_for_layer", signed)
        patch.setattr(sandbox.ecr, "get_authorization_token", lambda request: _login(login(request)))
        sandbox.client("secretsmanager").create_secret(Name="canaries", SecretString=STORED)
        team = Team(
            sandbox,
            "canaries",
            # A database that is there without a server: in the memory of the process.
            DatabaseUrl=f"sqlite:///file:{DATABASE}?mode=memory&cache=shared&uri=true",
            GeminiApiKey=KEY,
            Checks=json.dumps(CHECKS),
        )
        outputs = Outputs(team, daemon, tmp_path_factory.mktemp("canaries"))
        told = Story(outputs, credentials, {})
        _releases(told, links)
        _troubles(told)
        _commands(told)
        _command_line(told)
        until(outputs.dead_letters, "what the deployer gave up")
        yield told
    daemon.close()


def _login(given: dict[str, Any]) -> dict[str, Any]:
    [data] = given["authorizationData"]
    token = base64.b64encode(f"AWS:{DOCKER}".encode()).decode()
    return {"authorizationData": [{**data, "authorizationToken": token}]}


def _releases(story: Story, links: list[str]) -> None:
    team = story.outputs.team

    def ended(name: str, digest: str) -> Deployment:
        deployment = team.settled(digest)
        story.ends[name] = deployment.phase
        return deployment

    ended("healthy", team.upload(team.build("canaries: healthy")))
    ended("unwell", team.upload(team.build("canaries: unwell", unwell())))
    ended("index", team.upload(images.index(team.build("canaries: an index"))))
    # A link that http.client does not ask, and says so with all of it; and one that nobody answers, at first.
    links[:] = [f"{NOBODY}/a b"]
    ended("bad link", team.upload(team.build("canaries: a bad link")))
    links[:] = [f"{NOBODY}/blob"]
    ended("silent link", team.upload(team.build("canaries: a silent link")))
    # The database's password, when nobody is there to be told it.
    _set(team, DATABASE_URL=f"postgresql://app:{PASSWORD}@127.0.0.1:9/app", SECRET_TOKEN=TOKEN)
    ended("no database", team.upload(team.build("canaries: no database")))
    _set(team, SECRET_TOKEN=TOKEN)


def _set(team: Team, **changed: str) -> None:
    """Variables of the service, as somebody changes them in the console."""
    before = team.lambda_.get_function_configuration(FunctionName=team.function)["Environment"]["Variables"]
    kept = {**before, "DATABASE_URL": "", **changed}
    team.lambda_.update_function_configuration(FunctionName=team.function, Environment={"Variables": kept})
    until(lambda: _settled(team.lambda_, team.function), "the new variables")


def _troubles(story: Story) -> None:
    outputs, team = story.outputs, story.outputs.team
    with _forbidden(team, "lambda:UpdateFunctionCode"):
        story.ends["refused"] = team.settled(team.upload(team.build("canaries: refused"))).phase
    with _forbidden(team, "dynamodb:Query"):
        outputs.invoke(team.outputs["DeployerName"], _push(team), InvocationType="Event")
        outputs.invoke(team.outputs["DeployerName"], _push(team))
        outputs.invoke(team.outputs["DeployerName"], COMMANDS[1])
        until(outputs.dead_letters, "the event that the deployer gave up")
    _crash(story)
    ring = team.sandbox.client("cloudwatch").set_alarm_state
    for state in ("ALARM", "OK"):
        ring(AlarmName=f"{team.function}-errors", StateValue=state, StateReason="12 datapoints")
    until(lambda: "went red" in outputs.read("mail"), "the alarm's message")
    with web() as (url, received):
        ask = {"RequestType": "Create", "StackId": "s", "RequestId": "r", "LogicalResourceId": "P"}
        properties = {"RepositoryName": team.repository, "RepositoryUri": team.outputs["RepositoryUri"]}
        for architecture, checks in (("arm64", CHECKS), ("x86", CHECKS), ("arm64", [{"headers": [HEADER]}])):
            wanted = {**properties, "Architecture": architecture, "Checks": json.dumps(checks)}
            for address in (f"{url}/a?{SIGNED}", f"{NOBODY}/a?{SIGNED}", f"{NOBODY}/a b?{SIGNED}"):
                event = {**ask, "ResponseURL": address, "ResourceProperties": wanted}
                outputs.invoke(f"{team.name}-placeholder", event)
        outputs.custom_resource += received
    _misconfigured(outputs)


def _push(team: Team) -> dict[str, Any]:
    """A push's event as it was recorded, of the team's repository."""
    event: dict[str, Any] = json.loads((EVENTS / "eventbridge" / "push.json").read_text())
    event["detail"]["repository-name"] = team.repository
    return event


def _misconfigured(outputs: Outputs) -> None:
    """Variables with a secret in them that make a function fail, and say why."""
    names = outputs.team.outputs
    deployer, dashboard = names["DeployerName"], names["DashboardFunctionName"]
    # Nobody looked at these before, as somebody changed them in the console.
    unreadable = json.dumps([{"headers": {"Authorization": [HEADER]}}])
    with _variables(outputs, deployer, CHECKS=unreadable):
        assert "CHECKS[0].headers must be an object of strings" in outputs.invoke(deployer, {})
    # botocore quotes the whole endpoint: in an error that adapters translate, and in one that nobody does.
    for endpoint, told in (
        (f"http://me:{PASSWORD}@127.0.0.1:9", "Could not connect"),
        (f"me:{PASSWORD}@n", "Invalid"),
    ):
        for function, event in ((deployer, _push(outputs.team)), (dashboard, {})):
            with _variables(outputs, function, AWS_ENDPOINT_URL_DYNAMODB=endpoint):
                assert told in outputs.invoke(function, event)


@contextmanager
def _variables(outputs: Outputs, function: str, **changed: str) -> Iterator[None]:
    lambda_ = outputs.team.lambda_
    before = lambda_.get_function_configuration(FunctionName=function)["Environment"]["Variables"]

    def set_to(variables: dict[str, str]) -> None:
        until(lambda: _settled(lambda_, function), "the function")
        lambda_.update_function_configuration(FunctionName=function, Environment={"Variables": variables})
        until(lambda: _settled(lambda_, function), "the new variables")

    set_to({**before, **changed})
    try:
        yield
    finally:
        set_to(before)


def _settled(lambda_: Any, function: str) -> bool:
    told = lambda_.get_function_configuration(FunctionName=function)
    return bool(told["LastUpdateStatus"] == "Successful")


@contextmanager
def _forbidden(team: Team, action: str) -> Iterator[None]:
    role = team.physical("DeployerRole")
    deny = {"Effect": "Deny", "Action": action, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam = team.sandbox.client("iam")
    iam.put_role_policy(RoleName=role, PolicyName="forbidden", PolicyDocument=document)
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="forbidden")


def _crash(story: Story) -> None:
    """All processes are killed while a release is being checked."""
    team = story.outputs.team
    code = (SERVICE / "chalicelib" / "health.py").read_text()
    slow = f"import threading\n\nthreading.Event().wait(3)\n\n{code}".encode()
    digest = team.upload(team.build("canaries: a crash", {"chalicelib/health.py": slow}))
    until(lambda: [d for d in team.ledger.look().open if d.phase is Phase.VERIFYING], "a release under way")
    for pid in team.sandbox.runtime.pids:
        os.kill(pid, signal.SIGKILL)
    story.ends["crash"] = team.ended(digest).phase


def _commands(story: Story) -> None:
    outputs, team = story.outputs, story.outputs.team
    digest = team.where()[0]
    for event in [*COMMANDS, {"command": "no such"}, {"command": "retry", "by": "alice", "digest": digest}]:
        outputs.invoke(team.outputs["DeployerName"], event)
    outputs.invoke(team.outputs["DeployerName"], {"source": "aws.ecr", "detail-type": "ECR Image Action"})
    outputs.invoke(team.outputs["DashboardFunctionName"], {"describe": True})


WHY = ("--reason", "a canary", "--yes")


def _command_line(story: Story) -> None:
    """Every verb, in both ways of telling; when it works, and when it does not."""
    outputs, home = story.outputs, story.outputs.home
    (home / "app").mkdir()
    (home / "app" / "Dockerfile").write_text('FROM scratch\nCMD ["app.handler"]\n')
    digest, newest = outputs.team.where()[0], outputs.team.ledger.history(1)[0].id
    failing = {"statusCode": 503, "body": "the service's own words"}
    with web(json.dumps(failing).encode()) as (url, _):
        words: dict[str, list[list[str]]] = {
            "push": [
                ["push", str(home / "app"), "--tag", "canaries"],
                ["push", str(home / "app"), "--no-wait"],
            ],
            "wait": [["wait", "--digest", digest, "--timeout", "0"]],
            "dead-letters": [["dead-letters"]],
            "checks": [
                ["checks", "--url", url, "--checks", json.dumps(CHECKS)],
                ["checks", "--url", url, "--checks", json.dumps([{"headers": [HEADER]}])],
                ["checks", "--url", f"http://me:{PASSWORD}@127.0.0.1:9", "--wait", "0"],
                ["checks", "--version", "2"],
            ],
            "rollback": [["rollback", "--to", "999", *WHY]],
            "hold": [["hold", *WHY]],
            "resume": [["resume", "--yes"]],
            "retry": [["retry", digest, *WHY]],
            "abort": [["abort", *WHY]],
            "deploy": [["deploy", "f" * 64, *WHY]],
            "watch": [["watch", "--timeout", "0"]],
            "logs": [["logs"], ["logs", "--of", "deployer"]],
            "completion": [["completion", "fish"]],
            "status": [["status"]],
            "history": [["history"]],
            "show": [["show", newest]],
            "plan": [["plan", digest]],
            "images": [["images"]],
            "stats": [["stats"]],
            "doctor": [["doctor"]],
            # It would not end by itself, if it got the port.
            "dashboard": [["dashboard", "--port", url.rstrip("/").rpartition(":")[2]]],
        }
        assert set(words) == set(VERBS), "a verb is missing here"
        for line in (each for lines in words.values() for each in lines):
            outputs.run(*line)
            outputs.run(*line, "--json")
            if line[0] != "checks":
                secrets = {"AWS_SECRET_ACCESS_KEY": TOKEN, "AWS_SESSION_TOKEN": TOKEN}
                outputs.run(*line, AWS_ENDPOINT_URL=f"http://me:{PASSWORD}@127.0.0.1:9", **secrets)
                outputs.run(*line, AWS_ENDPOINT_URL=f"me:{PASSWORD}@nowhere", **secrets)


# -- what was seen


def test_everything_happened_that_was_meant_to(story: Story) -> None:
    assert story.ends == {
        "healthy": Phase.SUCCEEDED,
        "unwell": Phase.REVERTED,
        "index": Phase.REJECTED,
        "bad link": Phase.REJECTED,
        "silent link": Phase.SUCCEEDED,
        "no database": Phase.REVERTED,
        "refused": Phase.REVERTED,
        "crash": Phase.SUCCEEDED,
    }
    log = story.outputs.read("logs")
    for seen in ("has a link that cannot be asked", "Connection refused", "AccessDenied", "signal: killed"):
        assert seen in log
    assert len(story.credentials.secrets) > 10
    assert "FAILED" in story.outputs.read("custom resource")


@pytest.mark.parametrize("channel", CHANNELS)
def test_no_canary_comes_out(story: Story, channel: str) -> None:
    text = story.outputs.read(channel)

    assert len(text) > 100, f"nothing comes out by {channel}"
    assert found(text, story.secrets) == []


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_leak_would_be_found(story: Story, channel: str) -> None:
    secret = canary("Leak")
    before = found(story.outputs.read(channel), [secret])
    _, leak = CHANNELS[channel]

    leak(story.outputs, secret)

    assert before == []
    assert found(story.outputs.read(channel), [secret]) == [secret]


@pytest.mark.parametrize("around", ["", "a", "ab", "abc", "äöü"])
def test_a_secret_is_found_in_every_form(around: str) -> None:
    secret = 'p/a+s"s wörd\\%' + canary("Form")
    whole = f"{around}{secret}{around}"
    encoded = base64.b64encode(whole.encode()).decode()
    texts = [
        whole,
        quote(whole, safe=""),
        quote(whole).lower(),
        json.dumps(whole),
        json.dumps({"x": [whole]}),
        encoded,
        base64.urlsafe_b64encode(whole.encode()).decode(),
    ]

    assert [text for text in texts if not found(text, [secret])] == []
    assert found("nothing", [secret]) == []
    assert len(min(forms(secret), key=len)) > 20
