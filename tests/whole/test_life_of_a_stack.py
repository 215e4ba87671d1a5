"""A stack from its first release to its end: what updates and deletion leave alone."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from itertools import count

import pytest

from deployer import placeholder
from deployer.model import Deployment, Phase
from sandbox.server import Sandbox
from sandbox.waiting import until
from tests.whole.team import Mailbox, Team, unwell

PLACEHOLDER = placeholder.image("x86_64").digest


def fresh(sandbox: Sandbox) -> Team:
    """A team whose stack has just been made."""
    return Team(sandbox, f"fresh-{uuid.uuid4().hex[:10]}")


# Before and after the first release


@dataclass(frozen=True)
class Beginners:
    """A team whose first release failed."""

    team: Team
    mailbox: Mailbox
    failed: Deployment


@pytest.fixture(scope="module")
def beginners(sandbox: Sandbox) -> Beginners:
    team = fresh(sandbox)
    mailbox = Mailbox(team)
    return Beginners(team, mailbox, team.settled(team.upload(team.build("failing first", unwell()))))


def test_a_first_release_that_fails_has_nothing_to_go_back_to_and_says_so(beginners: Beginners) -> None:
    team = beginners.team

    told = beginners.mailbox.wait("was reverted")["Message"]

    assert beginners.failed.phase is Phase.REVERTED
    assert "no release was live before this one, so there is nothing to go back to" in told
    assert team.where() == (PLACEHOLDER, PLACEHOLDER)
    assert team.tags() == {"latest": beginners.failed.image.digest, "placeholder": PLACEHOLDER}


def test_an_alarm_after_the_first_release_sends_nobody_back_to_the_placeholder(beginners: Beginners) -> None:
    team = beginners.team
    first = team.settled(team.upload(team.build("first")))

    team.sandbox.client("cloudwatch").set_alarm_state(
        AlarmName=f"{team.function}-errors", StateValue="ALARM", StateReason="12 datapoints"
    )

    told = beginners.mailbox.wait("went red")["Message"]
    assert f"Users are on release first ({first.image})" in told
    assert "there is nothing to go back to" in told
    assert "rollback" not in told
    digest = first.image.digest
    assert team.tags() == {"latest": digest, "live": digest, "placeholder": PLACEHOLDER}


# An update


@dataclass(frozen=True)
class Updated:
    """A team with two releases, whose stack was then updated; what was live before and after that."""

    team: Team
    before: tuple[object, ...]
    after: tuple[object, ...]
    live: str
    """Digest."""


@pytest.fixture(scope="module")
def updated(sandbox: Sandbox) -> Updated:
    team = fresh(sandbox)

    def look() -> tuple[object, ...]:
        return team.live(), team.where(), team.tags()

    for name in ("one", "two"):
        last = team.settled(team.upload(team.build(name)))
    before = look()
    team.deploy(
        Environment="staging",
        MemorySize="256",
        RequestsPerSecond="1",
        RequestBurst="1",
        Checks='[{"path": "/greetings/Ada", "json": {"message": "Hello, Ada!"}}]',
    )
    return Updated(team, before, look(), last.image.digest)


def test_an_update_of_the_stack_leaves_a_release_alone(updated: Updated) -> None:
    assert updated.after == updated.before


def test_more_requests_than_the_api_lets_through_are_turned_away_so_that_a_page_can_read_it(
    updated: Updated,
) -> None:
    answers = [updated.team.ask("/greetings/Ada", Origin="https://app.example.com") for _ in range(5)]

    turned_away = next(answer for answer in answers if answer.status != 200)
    assert answers[0].status == 200
    assert (turned_away.status, json.loads(turned_away.body)) == (429, {"message": "Too Many Requests"})
    assert turned_away.headers["Access-Control-Allow-Origin"] == "*"
    assert "x-sandbox-version" not in turned_away.headers, "the service was not asked"


def test_the_release_after_an_update_gets_what_has_changed(updated: Updated) -> None:
    team, live, numbers = updated.team, [updated.live], count(3)

    def release() -> Deployment | None:
        deployment = team.settled(team.upload(team.build(f"release {next(numbers)}")))
        live.append(team.where()[0])
        verdict = deployment.verification
        asked = [result.name for result in verdict.results] if verdict else []
        return deployment if asked == ["GET /greetings/Ada"] else None

    # A sweep that began before the update may take one up yet, and knows nothing of it.
    deployment = until(release, "a release with the new checks")

    assert deployment.phase is Phase.SUCCEEDED
    assert team.where() == (deployment.image.digest, deployment.image.digest)
    *_, before, now = live
    assert (team.tags()["live"], team.tags()["previous"]) == (now, before)
    served = team.lambda_.get_function_configuration(FunctionName=team.function, Qualifier="live")
    assert (served["MemorySize"], served["Environment"]["Variables"]["ENVIRONMENT"]) == (256, "staging")


# The end


def test_what_a_deleted_stack_leaves_is_its_releases_and_their_history(sandbox: Sandbox) -> None:
    team = fresh(sandbox)
    one, two = (team.settled(team.upload(team.build(name))) for name in ("one", "two"))

    team.sandbox.client("cloudformation").delete_stack(StackName=team.name)

    latest, previous = two.image.digest, one.image.digest
    assert team.tags() == {"latest": latest, "live": latest, "previous": previous}
    assert {one.id, two.id} <= {deployment.id for deployment in team.ledger.history(10)}
    functions = {each["FunctionName"] for each in team.lambda_.list_functions()["Functions"]}
    assert not [name for name in functions if name.startswith(team.name)]
    assert team.ask("/health").status == 403
