"""docs/operating.md: each command on the page is run, under its heading's situation, as somebody on call.

What a person fills in (words in capitals) the test fills in, and it answers `--yes` beforehand. Two
situations are written into the ledger, because the sandbox cannot bring them about: STUCK, and
a message that was not delivered.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployer.model import (
    Book,
    Channel,
    Deployment,
    Image,
    Limits,
    Moment,
    Notice,
    Phase,
    Source,
    deployment_id,
)
from deployer.rollout import conclude
from sandbox.building import images
from sandbox.server import Sandbox
from sandbox.waiting import until
from tests.cli.conftest import clean_environment
from tests.whole.team import Team, unwell
from tests.whole.test_on_call import slow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operating.md"
_ACTING = re.compile(r"deployer (rollback|hold|resume|retry|abort|deploy|dead-letters --replay-all)\b")
# What goes on until somebody ends it, or until what it follows has ended.
_LASTING = ("deployer watch", "deployer dashboard")
_SECONDS = 120


def sections(page: str) -> dict[str, list[str]]:
    """The commands under each heading, in order. Lines that belong together are one command."""
    found: dict[str, list[str]] = {}
    heading, open_ = "", False
    for line in page.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("    ") and line.strip():
            words = re.sub(r"\s+# .*", "", line.strip())
            commands = found.setdefault(heading, [])
            if open_:
                commands[-1] += " " + words.removesuffix("\\")
            else:
                commands.append(words.removesuffix("\\"))
            open_ = words.endswith(("|", "\\"))
    return found


COMMANDS = sections(PAGE.read_text())


@dataclass
class OnCall:
    """Somebody on call with a shell, and what they would fill in."""

    team: Team
    environment: Mapping[str, str]
    good: Deployment
    words: dict[str, str] = field(default_factory=dict)
    going_on: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, line: str) -> tuple[int, str]:
        """The exit code, and all that was printed; of what goes on, that it has begun."""
        for name, value in self.filled().items():
            line = re.sub(rf"\b{name}\b", value, line)
        line = line.replace("shuking-prod", self.team.function)
        if _ACTING.match(line):
            line += " --yes"
        if line.startswith(_LASTING):
            return 0, self.start(line)
        done = subprocess.run(
            ["bash", "-c", line],
            # The page says who does this one: an administrator.
            env=self.team.environment if "update-alias" in line else self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def filled(self) -> dict[str, str]:
        hold = self.team.ledger.look().hold
        number = self.good.previous.number if self.good.previous else ""
        return {"HOLD": hold.id if hold else "", "VERSION": number, **self.words}

    def start(self, line: str) -> str:
        started = subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.going_on.append(started)
        assert started.stdout
        return started.stdout.readline()


@pytest.fixture(scope="module")
def account(sandbox: Sandbox) -> tuple[Team, str, str]:
    team = Team(sandbox, "operating", HoldAfterReverts="0", Email="on-call@example.com")
    iam = sandbox.client("iam")
    made = iam.create_role(RoleName="operating-alice", AssumeRolePolicyDocument='{"Statement": []}')
    for policy in ("ViewerPolicyArn", "OperatorPolicyArn"):
        iam.attach_role_policy(RoleName="operating-alice", PolicyArn=team.outputs[policy])
    team.release(team.build("first"))
    second = team.release(team.build("second"))
    return team, made["Role"]["Arn"], second.image.digest


@pytest.fixture
def on_call(account: tuple[Team, str, str], tmp_path: Path) -> Iterator[OnCall]:
    """Two releases are well, users are on the second, and nothing is held."""
    team, role, second = account
    path = team.environment["PATH"]
    session = team.sandbox.environment_as(role, "alice")
    environment = {**clean_environment(tmp_path), **session, "DEPLOYER_STACK": team.name, "PATH": path}
    if team.ledger.look().hold:
        team.command({"command": "resume", "by": "the test"})
    if team.where()[0] != second:
        team.command({"command": "deploy", "digest": second, "by": "the test", "because": "as before"})
    team.settled(second)
    good = team.succeeded(second)[0]
    person = OnCall(team, environment, good, {"DIGEST": good.image.digest})
    yield person
    for started in person.going_on:
        started.send_signal(signal.SIGINT)
        started.communicate(timeout=_SECONDS)
        # Ended by itself, or by Ctrl-C; if that came while it was ending, Python ends by the signal itself.
        assert started.returncode in (0, 1, 130, -signal.SIGINT), started.args


# -- the situations, by heading ------------------------------------------------------------------------------


def nothing(person: OnCall) -> None:
    """As it is."""


def reverted(person: OnCall) -> None:
    ended = person.team.release(person.team.build(f"bad {datetime.now(UTC)}", unwell()))
    assert ended.phase is Phase.REVERTED
    person.words["DIGEST"] = ended.image.digest


def rejected(person: OnCall) -> None:
    index = images.index(person.team.build(f"index {datetime.now(UTC)}"))
    assert person.team.release(index).phase is Phase.REJECTED


def stuck(person: OnCall) -> None:
    """Users are on the new version, and it fails."""
    good = person.good
    with end_of(person, Source.PUSH, good.image) as ended:
        ended.append(
            lambda asked: replace(
                asked,
                phase=Phase.STUCK,
                previous=good.previous,
                live=good.live,
                version=good.version,
                timeline=(
                    Moment(asked.requested_at, Phase.UPDATING, "preflight passed"),
                    Moment(asked.requested_at, Phase.REVERTING, "GET /health answered 503"),
                    Moment(asked.requested_at, Phase.STUCK, "UpdateAlias: AccessDenied"),
                ),
            )
        )


def undelivered(person: OnCall) -> None:
    with end_of(person, Source.PUSH, person.good.image) as ended:
        ended.append(
            lambda asked: replace(
                asked,
                phase=Phase.REJECTED,
                timeline=(Moment(asked.requested_at, Phase.REJECTED, "it is an index"),),
            )
        )
    last = person.team.ledger.history(1)[0]
    notice = Notice(
        last, 1, None, frozenset({Channel.EVENT}), ((Channel.MAIL, "Publish: AuthorizationError"),)
    )
    person.team.ledger.unsent(notice, datetime.now(UTC) + timedelta(hours=1))


@contextmanager
def end_of(
    person: OnCall, source: Source, image: Image
) -> Iterator[list[Callable[[Deployment], Deployment]]]:
    """A deployment in the ledger that ends as the caller says."""
    ledger, at = person.team.ledger, datetime.now(UTC)
    person.team.settled(image.digest)
    lease = until(lambda: ledger.acquire("the test", at, at + timedelta(minutes=1)), "the lease")
    asked = Deployment(deployment_id(at, f"operating {at}"), image, source, at)
    ledger.request(asked)
    ends: list[Callable[[Deployment], Deployment]] = []
    try:
        yield ends
        [how] = ends
        ledger.end(lease, conclude(how(asked), Book(), Limits(), at))
    finally:
        ledger.release(lease)


def held(person: OnCall) -> None:
    told = person.team.command({"command": "hold", "by": "the deployer", "because": "three in a row"})
    assert "held" in told


def slow_release(person: OnCall) -> None:
    team = person.team
    team.upload(team.build(f"slow {datetime.now(UTC)}", slow()))
    going = until(lambda: team.ledger.look().open, "the deployment")[0]
    until(lambda: (team.ledger.find(going.id) or going).phase is Phase.VERIFYING, "its checks")


def dead_letter(person: OnCall) -> None:
    """A push that EventBridge could not hand over."""
    event = (ROOT / "tests/events/eventbridge/push.json").read_text()
    person.team.sandbox.client("sqs").send_message(
        QueueUrl=person.team.outputs["RuleDeadLettersUrl"],
        MessageBody=event,
        MessageAttributes={"ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"}},
    )


def moved_by_hand(person: OnCall) -> None:
    assert person.good.previous
    person.team.lambda_.update_alias(
        FunctionName=person.team.function, Name="live", FunctionVersion=person.good.previous.number
    )


SITUATIONS: dict[str, Callable[[OnCall], None]] = {
    "On call: the runbook": nothing,
    "A release was reverted": reverted,
    "The image was not to blame": reverted,
    "A release was rejected": rejected,
    "A deployment is STUCK": stuck,
    "A release is live and wrong all the same": nothing,
    "Nobody may deploy now": nothing,
    "Deployments hold themselves": held,
    "A deployment has to stop now": slow_release,
    "Somebody pushed, and nothing happens": nothing,
    "Dead letters wait": dead_letter,
    "Sweeps are missing or fail": nothing,
    "A message was not delivered": undelivered,
    "Somebody changed the function by hand": moved_by_hand,
    "How are we doing?": nothing,
    "Without the `deployer` command": nothing,
}
# Where a command is right to say by its exit code that something is wrong: nothing was mended in between
# (retry), the abort turns it round (it ended badly, as asked), or there is a finding (doctor).
CODES = {
    "deployer retry": {1},
    "deployer abort": {0, 1},
    "deployer doctor": {0, 1},
    "deployer dead-letters --replay-all": {0, 1},
}
# What each situation must show: a word of it, printed by one of its commands.
SHOWN = {
    "A release was reverted": "REVERTED",
    "The image was not to blame": "REVERTED",
    "A release was rejected": "REJECTED",
    "A deployment is STUCK": "STUCK",
    "Nobody may deploy now": "held",
    "Deployments hold themselves": "three in a row",
    "A message was not delivered": "AuthorizationError",
    "Dead letters wait": "NO_PERMISSIONS",
    "Without the `deployer` command": '"held"',
}


def test_every_heading_with_commands_has_a_situation() -> None:
    assert list(COMMANDS) == list(SITUATIONS)


@pytest.mark.parametrize("heading", SITUATIONS)
def test_the_commands_do_what_the_page_says(on_call: OnCall, heading: str) -> None:
    SITUATIONS[heading](on_call)

    printed = []
    for line in COMMANDS[heading]:
        code, told = on_call.run(line)
        expected = next((codes for begin, codes in CODES.items() if line.startswith(begin)), {0})
        assert code in expected, f"{line}\n{told}"
        printed.append(told)

    assert SHOWN.get(heading, "") in "\n".join(printed)
    assert os.linesep.join(printed).strip()
