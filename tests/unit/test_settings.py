"""Settings: a start that cannot succeed says everything that is wrong."""

from __future__ import annotations

import pytest

from deployer.settings import BadSettings, DashboardSettings, read, read_dashboard
from deployer.smoke import Check

DEPLOYER_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:shuking-prod-deployer"
GOOD = {
    "FUNCTION_NAME": "shuking-prod",
    "REPOSITORY_URI": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/shuking-lambda",
    "RELEASE_TAG": "latest",
    "TABLE_NAME": "ledger",
    "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:people",
    "CHAT_TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:chat",
    "PLACEHOLDER_DIGEST": "sha256:" + "0" * 64,
    "STACK_NAME": "shuking",
}


def test_the_repository_uri_says_account_and_name() -> None:
    settings = read(GOOD)

    assert settings.account == "123456789012"
    assert settings.repository == "team/shuking-lambda"


@pytest.mark.parametrize(
    ("partition", "region"), [("aws", "eu-west-1"), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")]
)
def test_the_topic_says_where_all_of_it_is(partition: str, region: str) -> None:
    settings = read({**GOOD, "TOPIC_ARN": f"arn:{partition}:sns:{region}:123456789012:shuking-Topic-1"})

    assert (settings.stack_name, settings.partition, settings.region) == ("shuking", partition, region)


def test_without_checks_the_health_page_is_checked() -> None:
    assert read(GOOD).checks == (Check(json={"status": "ok"}),)
    assert read({**GOOD, "CHECKS": ""}).checks == (Check(json={"status": "ok"}),)


def test_checks_can_be_set() -> None:
    assert read({**GOOD, "CHECKS": '[{"path": "/ready"}]'}).checks == (Check(path="/ready"),)


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(BadSettings) as caught:
        read({})

    for name in GOOD:
        assert f"{name} is not set" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "because"),
    [
        ("REPOSITORY_URI", "docker.io/library/x", "REPOSITORY_URI is not the URI of an ECR repository"),
        ("CHECKS", "no", "CHECKS is not JSON"),
        ("PLACEHOLDER_DIGEST", "latest", "not an image digest"),
        ("TOPIC_ARN", "arn:aws:sqs:eu-west-1:123456789012:people", "TOPIC_ARN is not the ARN of a topic"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str, because: str) -> None:
    with pytest.raises(BadSettings, match=because):
        read({**GOOD, name: value})


def test_the_dashboard_needs_less() -> None:
    needed = {name: GOOD[name] for name in ("FUNCTION_NAME", "REPOSITORY_URI", "TABLE_NAME")}

    assert read_dashboard({**needed, "DEPLOYER_ARN": DEPLOYER_ARN}) == DashboardSettings(
        "shuking-prod", GOOD["REPOSITORY_URI"], "ledger", DEPLOYER_ARN
    )


@pytest.mark.parametrize("wrong", ["shuking-prod-deployer", f"{DEPLOYER_ARN}:live", f'{DEPLOYER_ARN}">'])
def test_the_dashboards_buttons_go_to_a_function_and_nowhere_else(wrong: str) -> None:
    with pytest.raises(BadSettings, match="DEPLOYER_ARN is not the ARN of a Lambda function"):
        read_dashboard({**GOOD, "DEPLOYER_ARN": wrong})


def test_everything_that_the_dashboard_misses_is_named_at_once() -> None:
    with pytest.raises(BadSettings) as caught:
        read_dashboard({"REPOSITORY_URI": "docker.io/library/x"})

    assert str(caught.value) == (
        "the dashboard cannot start: FUNCTION_NAME is not set; REPOSITORY_URI is not the URI of an ECR "
        "repository: 'docker.io/library/x'; TABLE_NAME is not set; DEPLOYER_ARN is not set"
    )
