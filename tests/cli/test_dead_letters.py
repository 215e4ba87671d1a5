"""`deployer dead-letters`, as on call starts it: real queues, letters as AWS writes them and others."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.waiting import until
from tests.cli.conftest import ROOT, Books, Run
from tests.fakes import image

if TYPE_CHECKING:
    from sandbox.server import Sandbox

DIGEST = image("mine").digest


@dataclass
class Post:
    """Puts letters into the queues of a stack."""

    sqs: Any
    books: Books

    @property
    def deployer(self) -> str:
        name = self.books.outputs["DeployerName"]
        return f"arn:aws:lambda:us-east-1:123456789012:function:{name}"

    def push(self, **detail: object) -> dict[str, object]:
        """A push event of this stack's release tag."""
        of_push = {"action-type": "PUSH", "result": "SUCCESS", "repository-name": self.books.repository}
        return {
            "id": "13cde686-328b-6117-af20-0e5566167482",
            "source": "aws.ecr",
            "detail-type": "ECR Image Action",
            "account": "123456789012",
            "time": "2026-03-01T03:00:00Z",
            "detail": of_push | {"image-tag": "latest", "image-digest": DIGEST} | detail,
        }

    def from_rules(self, body: str) -> str:
        """As EventBridge writes it. Gives the letter's id."""
        said = {
            "TARGET_ARN": self.deployer,
            "ERROR_CODE": "NO_PERMISSIONS",
            "ERROR_MESSAGE": "not authorized",
        }
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in said.items()}
        return self.put("RuleDeadLettersUrl", body, MessageAttributes=typed)

    def from_lambda(self, event: object) -> str:
        """As Lambda writes it. Gives the letter's id."""
        context = {"functionArn": f"{self.deployer}:$LATEST", "condition": "RetriesExhausted"}
        answer = {"errorType": "Unreadable", "errorMessage": "the digest is missing"}
        record = {"requestContext": context, "requestPayload": event, "responsePayload": answer}
        return self.put("DeployerDeadLettersUrl", json.dumps(record))

    def put(self, output: str, body: str, **more: Any) -> str:
        sent = self.sqs.send_message(QueueUrl=self.books.outputs[output], MessageBody=body, **more)
        return str(sent["MessageId"])

    def waiting(self, output: str = "RuleDeadLettersUrl") -> list[str]:
        """The bodies of what can be seen in a queue, which nobody else can see from then on."""
        url = self.books.outputs[output]
        told = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [message["Body"] for message in told.get("Messages", [])]


@pytest.fixture
def post(sandbox: Sandbox, books: Books) -> Post:
    return Post(sandbox.client("sqs"), books)


def test_no_letters_is_one_clear_line(post: Post, deployer: Run) -> None:
    done = deployer("dead-letters")

    assert (done.returncode, done.stdout, done.stderr) == (0, "no dead letters\n", "")


def test_letters_of_both_queues_are_listed_with_what_and_why_and_stay_where_they_are(
    post: Post, deployer: Run
) -> None:
    refused = post.from_rules(json.dumps(post.push()))
    given_up = post.from_lambda(post.push(**{"image-digest": None}))

    done = deployer("dead-letters")
    again = deployer("dead-letters")

    assert done.returncode == 0
    assert f"{refused[:8]}  " in done.stdout
    assert f"push of latest {image('mine')}, 2026-03-01 03:00:00 UTC" in done.stdout
    assert "given up: NO_PERMISSIONS: not authorized" in done.stdout
    assert f"{given_up[:8]}  " in done.stdout
    assert "given up: Unreadable: the digest is missing RetriesExhausted" in done.stdout
    assert "cannot be replayed: the deployer cannot read it: the digest is missing" in done.stdout
    assert "2 letters. " in done.stdout
    assert (again.stdout, again.stderr) == (done.stdout, "")


def test_json_has_every_letter_whole(post: Post, deployer: Run) -> None:
    body = json.dumps(post.push())
    id_ = post.from_rules(body)

    told = json.loads(deployer("dead-letters", "--json").stdout)

    [letter] = told["letters"]
    assert (letter["id"], letter["queue"], letter["replayable"]) == (id_, "RuleDeadLetters", True)
    assert letter["body"] == body
    assert letter["attributes"]["ERROR_CODE"] == "NO_PERMISSIONS"
    assert (told["counted"], told["complete"]) == (1, True)


def test_what_is_no_letter_of_aws_is_shown_without_harm(post: Post, deployer: Run) -> None:
    post.put("RuleDeadLettersUrl", "\u202e no event")
    post.put("DeployerDeadLettersUrl", "[" * 60_000)
    post.put("DeployerDeadLettersUrl", "{}")

    done = deployer("dead-letters")

    assert (done.returncode, done.stderr) == (0, "")
    assert "\ufffd no event" in done.stdout
    assert "it is nested too deeply" in done.stdout
    assert "it is no record of Lambda's" in done.stdout


def test_letters_that_somebody_else_is_reading_are_said_to_be_there(post: Post, deployer: Run) -> None:
    post.from_rules(json.dumps(post.push()))
    assert post.waiting()

    done = deployer("dead-letters")

    assert done.stdout == "no dead letters can be seen now\n"
    assert "RuleDeadLetters: SQS counts 1 and showed 0" in done.stderr


def test_a_dropped_letter_is_printed_whole_before_it_is_gone(post: Post, deployer: Run) -> None:
    body = f'{{"for": "nobody", "long": "{"x" * 5000} \u202e"}}'
    id_ = post.from_rules(body)
    other = post.from_rules(json.dumps(post.push()))

    done = deployer("dead-letters", "--drop", id_[:6], "--yes")

    assert done.returncode == 0, done.stderr
    printed, _, end = done.stdout.rpartition("dropped: ")
    assert json.loads(printed)["body"] == body
    assert end.startswith(id_[:8])
    assert "\u202e" not in done.stdout
    assert f"{other[:8]}  " in deployer("dead-letters").stdout
    assert post.waiting() == [json.dumps(post.push())]


def test_a_dropped_letter_is_in_the_json_too(post: Post, deployer: Run) -> None:
    id_ = post.from_rules("not for us")

    done = deployer("dead-letters", "--drop", id_, "--yes", "--json")

    [letter] = json.loads(done.stdout)["letters"]
    assert (letter["id"], letter["body"], letter["outcome"]) == (id_, "not for us", "dropped")
    assert '"body": "not for us"' in done.stderr


@pytest.mark.parametrize(
    ("option", "answer", "end"),
    [
        ("--drop", "n\n", (1, "nothing was done")),
        ("--replay", "\n", (1, "nothing was done")),
        ("--drop", "", (2, "nobody answered")),
    ],
)
def test_without_a_yes_nothing_is_done(
    post: Post, environment: dict[str, str], option: str, answer: str, end: tuple[int, str]
) -> None:
    id_ = post.from_rules(json.dumps(post.push()))

    with started(environment, option, id_) as process:
        _, errors = process.communicate(answer)

    assert process.returncode == end[0]
    assert f"Error: {end[1]}" in errors
    assert post.waiting() == [json.dumps(post.push())]


def test_a_person_who_says_yes_is_followed(post: Post, environment: dict[str, str]) -> None:
    id_ = post.from_rules("not for us")

    with started(environment, "--drop", id_) as process:
        process.communicate("y\n")

    assert process.returncode == 0
    assert post.waiting() == []


def test_interrupted_at_the_question_it_puts_everything_back(post: Post, environment: dict[str, str]) -> None:
    body = json.dumps(post.push())
    id_ = post.from_rules(body)

    with started(environment, "--replay", id_) as process:
        assert process.stderr
        until(lambda: "push of latest" in str(process.stderr and process.stderr.readline()), "the question")
        until(lambda: process.stderr and process.stderr.read(4) == "Hand", "the question")
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read()

    assert process.returncode == 130
    assert errors.endswith("deployer: interrupted; a deployment that has been asked for goes on\n")
    assert post.waiting() == [body]


def started(environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "deployer", "dead-letters", *words],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_lambda_does_not_accept_is_kept_and_exits_with_1(post: Post, deployer: Run) -> None:
    """The stack of this test has no deployer."""
    body = json.dumps(post.push())
    id_ = post.from_rules(body)

    done = deployer("dead-letters", "--replay", id_, "--yes")

    assert done.returncode == 1
    assert f"kept: {id_[:8]}" in done.stderr
    assert "handing the event to the deployer: Invoke: ResourceNotFoundException" in done.stderr
    assert post.waiting() == [body]


def test_what_the_deployer_cannot_read_is_not_replayed_and_exits_with_1(post: Post, deployer: Run) -> None:
    post.from_lambda(post.push(**{"image-digest": None}))

    done = deployer("dead-letters", "--replay-all", "--json")

    assert done.returncode == 1
    [letter] = json.loads(done.stdout)["letters"]
    assert letter["outcome"] == "kept"
    assert letter["because"].startswith("the deployer cannot read it")
    assert len(post.waiting("DeployerDeadLettersUrl")) == 1


def test_replaying_all_of_nothing_is_fine(post: Post, deployer: Run) -> None:
    done = deployer("dead-letters", "--replay-all")

    assert (done.returncode, done.stdout) == (0, "no dead letters\n")


@pytest.mark.parametrize("option", ["--replay", "--drop"])
def test_an_id_that_no_letter_has_exits_with_2_and_nothing_is_done(
    post: Post, deployer: Run, option: str
) -> None:
    id_ = post.from_rules("not for us")

    done = deployer("dead-letters", option, id_, option, "nobodys", "--yes")

    assert done.returncode == 2
    assert "there is no letter nobodys. `deployer dead-letters` lists them. Nothing was done" in done.stderr
    assert post.waiting() == ["not for us"]


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (("--replay", "1234", "--drop", "1234"), "do not go together"),
        (("--replay-all", "--drop", "1234"), "do not go together"),
        (("--yes",), "--yes goes with"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what(deployer: Run, words: tuple[str, ...], because: str) -> None:
    done = deployer("dead-letters", *words)

    assert done.returncode == 2
    assert because in done.stderr


def test_without_the_right_to_read_it_is_said_to_be_so(
    post: Post, sandbox: Sandbox, environment: dict[str, str], deployer: Run
) -> None:
    iam, role = sandbox.client("iam"), f"{post.books.stack}-nobody"
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({}))["Role"]["Arn"]
    finds = {"Effect": "Allow", "Action": "cloudformation:DescribeStacks", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [finds]})
    iam.put_role_policy(RoleName=role, PolicyName="finds", PolicyDocument=policy)
    environment.update(sandbox.environment_as(arn))

    done = deployer("dead-letters")

    assert done.returncode == 2
    assert "reading RuleDeadLetters: GetQueueAttributes: AccessDenied" in done.stderr
