"""Least privilege, both ways: with the template's policies every story comes out right, and none is granted
too much: each statement, taken away, makes its story fail."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from deployer.model import Phase
from deployer.ports import Refused
from docs import draw_iam
from docs.draw_iam import grants, told
from sandbox.server import Sandbox
from tests.permissions.account import Account, Failed
from tests.permissions.stories import STORIES, UNSHOWN

_right: set[str] = set()  # stories that have come out right in this process; once is enough


@pytest.fixture(scope="module")
def account(sandbox: Sandbox) -> Account:
    return Account(sandbox, "permissions")


def test_every_grant_has_a_story_or_says_why_not_and_every_story_a_grant() -> None:
    assert {grant.name for grant in grants()} == STORIES.keys() | UNSHOWN.keys()
    assert not STORIES.keys() & UNSHOWN.keys()


def test_the_page_about_permissions_is_what_the_template_says() -> None:
    assert draw_iam.page() == draw_iam.PAGE.read_text(encoding="utf-8"), "run `make docs`"


def test_every_grant_on_the_page_has_a_reason_for_each_action() -> None:
    for grant in grants():
        for action, why in grant.actions:
            assert len(why) > 5, (grant.name, action)


@pytest.mark.parametrize("grant", STORIES)
def test_a_story_comes_out_right_with_its_grant_and_fails_without_it(account: Account, grant: str) -> None:
    story = STORIES[grant]
    if story.__name__ not in _right:
        story(account)
        _right.add(story.__name__)

    with account.without(*grant.split(".")), pytest.raises((Failed, ClientError, Refused)) as failure:
        story(account)

    print(f"without {grant}, {told(story)} fails: {failure.value}"[:300])  # noqa: T201 - for whoever runs -s


def test_a_grant_that_is_given_back_works_again(account: Account) -> None:
    grant, story = next(iter(STORIES.items()))
    with account.without(*grant.split(".")):
        pass

    story(account)


def test_without_its_borrowed_policy_api_gateway_writes_no_access_log(account: Account) -> None:
    iam, role = account.admin("iam"), account.physical("ApiGatewayRole")
    [borrowed] = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]

    def logged(path: str) -> bool:
        account.request(path)
        return path in account.log_of(f"/aws/apigateway/{account.name}")

    assert account.wait(lambda: logged("/greetings/with"), "a line in the access log")
    iam.detach_role_policy(RoleName=role, PolicyArn=borrowed["PolicyArn"])
    try:
        assert not logged("/greetings/without")
    finally:
        iam.attach_role_policy(RoleName=role, PolicyArn=borrowed["PolicyArn"])


def test_without_its_permission_the_api_does_not_reach_live(account: Account) -> None:
    lambda_, statement = account.admin("lambda"), account.physical("ApiMayInvokeLive")
    alias = {"FunctionName": account.name, "Qualifier": "live"}
    policy = json.loads(lambda_.get_policy(**alias)["Policy"])
    [whole] = [each for each in policy["Statement"] if each["Sid"] == statement]

    assert account.request("/greetings/you") == 200
    lambda_.remove_permission(**alias, StatementId=statement)
    try:
        assert account.request("/greetings/you") == 500
    finally:
        lambda_.add_permission(
            **alias,
            StatementId=statement,
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=whole["Condition"]["ArnLike"]["AWS:SourceArn"],
        )


def test_without_the_repositorys_policy_lambda_cannot_pull_a_release(account: Account) -> None:
    ecr = account.admin("ecr")
    policy = ecr.get_repository_policy(repositoryName=account.repository)["policyText"]

    ecr.delete_repository_policy(repositoryName=account.repository)
    try:
        assert account.release().phase is Phase.REVERTED
    finally:
        ecr.set_repository_policy(repositoryName=account.repository, policyText=policy)
