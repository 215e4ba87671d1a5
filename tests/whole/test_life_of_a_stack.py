"""A stack from its first release to its end: what updates and deletion leave alone."""

from __future__ import annotations

import json
import uuid

import pytest

from deployer import placeholder
from deployer.model import Phase
from sandbox.server import Sandbox
from tests.whole.team import Mailbox, Team, unwell

PLACEHOLDER = placeholder.image("x86_64").digest


@pytest.fixture
def fresh(sandbox: Sandbox) -> Team:
    """A team whose stack has just been made."""
    return Team(sandbox, f"fresh-{uuid.uuid4().hex[:10]}")


def test_a_first_release_that_fails_has_nothing_to_go_back_to_and_says_so(fresh: Team) -> None:
    mailbox = Mailbox(fresh)

    deployment = fresh.release(fresh.build("failing first", unwell()))

    told = mailbox.wait("was reverted")["Message"]
    assert deployment.phase is Phase.REVERTED
    assert "no release was live before this one, so there is nothing to go back to" in told
    assert fresh.where() == (PLACEHOLDER, PLACEHOLDER)
    assert fresh.tags() == {"latest": deployment.image.digest, "placeholder": PLACEHOLDER}


def test_an_alarm_after_the_first_release_sends_nobody_back_to_the_placeholder(fresh: Team) -> None:
    mailbox = Mailbox(fresh)
    first = fresh.settled(fresh.upload(fresh.build("first")))

    fresh.sandbox.client("cloudwatch").set_alarm_state(
        AlarmName=f"{fresh.function}-errors", StateValue="ALARM", StateReason="12 datapoints"
    )

    told = mailbox.wait("went red")["Message"]
    assert f"The last release, first ({first.image})" in told
    assert "there is nothing to go back to" in told
    assert "update-alias" not in told
    assert fresh.tags() == {
        "latest": first.image.digest,
        "live": first.image.digest,
        "placeholder": PLACEHOLDER,
    }


def test_an_update_of_the_stack_leaves_a_release_alone_and_the_next_one_gets_what_changed(
    fresh: Team,
) -> None:
    fresh.release(fresh.build("one"))
    fresh.settled(fresh.upload(fresh.build("two")))
    live, where, tags = fresh.live(), fresh.where(), fresh.tags()

    fresh.deploy(
        Environment="staging",
        MemorySize="256",
        RequestsPerSecond="1",
        RequestBurst="1",
        Checks='[{"path": "/greetings/Ada", "json": {"message": "Hello, Ada!"}}]',
    )
    left_alone = fresh.live(), fresh.where(), fresh.tags()
    deployment = fresh.settled(fresh.upload(fresh.build("three")))

    assert left_alone == (live, where, tags)
    assert deployment.phase is Phase.SUCCEEDED
    assert deployment.verification
    assert [result.name for result in deployment.verification.results] == ["GET /greetings/Ada"]
    assert fresh.where() == (deployment.image.digest, deployment.image.digest)
    assert (fresh.tags()["live"], fresh.tags()["previous"]) == (deployment.image.digest, where[0])
    served = fresh.lambda_.get_function_configuration(FunctionName=fresh.function, Qualifier="live")
    assert (served["MemorySize"], served["Environment"]["Variables"]["ENVIRONMENT"]) == (256, "staging")


def test_more_requests_than_the_api_lets_through_are_turned_away_so_that_a_page_can_read_it(
    fresh: Team,
) -> None:
    fresh.release(fresh.build("asked a lot"))
    fresh.deploy(RequestsPerSecond="1", RequestBurst="1")

    answers = [fresh.ask("/greetings/Ada", Origin="https://app.example.com") for _ in range(5)]

    turned_away = next(answer for answer in answers if answer.status != 200)
    assert answers[0].status == 200
    assert (turned_away.status, json.loads(turned_away.body)) == (429, {"message": "Too Many Requests"})
    assert turned_away.headers["Access-Control-Allow-Origin"] == "*"
    assert "x-sandbox-version" not in turned_away.headers, "the service was not asked"


def test_what_a_deleted_stack_leaves_is_its_releases_and_their_history(fresh: Team) -> None:
    one, two = (fresh.settled(fresh.upload(fresh.build(name))) for name in ("one", "two"))

    fresh.sandbox.client("cloudformation").delete_stack(StackName=fresh.name)

    assert fresh.tags() == {
        "latest": two.image.digest,
        "live": two.image.digest,
        "previous": one.image.digest,
    }
    assert {one.id, two.id} <= {deployment.id for deployment in fresh.ledger.history(10)}
    functions = {each["FunctionName"] for each in fresh.lambda_.list_functions()["Functions"]}
    assert not [name for name in functions if name.startswith(fresh.name)]
    assert fresh.ask("/health").status == 403
