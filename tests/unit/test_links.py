"""Links out of a message: their form, and that nothing foreign gets into one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deployer import links
from deployer.model import Deployment, Image, Moment, Origin, Phase, Place, Source, Version

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
DIGEST = "sha256:" + "c" * 64
PLACE = Place("shop", "eu-west-1", "123456789012", "team/shop")
ENDED = Deployment(
    "20260301T030000Z-1",
    Image("team/shop", DIGEST),
    Source.PUSH,
    START - timedelta(hours=1),
    Phase.REVERTED,
    (
        Moment(START, Phase.UPDATING, "preflight passed"),
        Moment(START + timedelta(seconds=90), Phase.REVERTED, "users are on version 7"),
    ),
    previous=Version("7", Image("team/shop", DIGEST)),
    version="8",
)
SHA, OLD = "3f2a" * 10, "91bc" * 10


def told(deployment: Deployment, place: Place = PLACE) -> dict[str, str]:
    found = links.of_deployment(deployment, place, service="shop-prod", deployer="shop-prod-deployer")
    return {link.what: link.url for link in found}


def test_each_link_is_what_the_console_itself_shows() -> None:
    """The start is a minute before the first look at the image, the end five after the end: 1772333940 is
    2026-03-01 02:59:00 UTC."""
    home = "https://eu-west-1.console.aws.amazon.com"
    window = "log-events$3Fstart$3D1772333940000$26end$3D1772334390000"

    assert told(ENDED) == {
        "service log": f"{home}/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/"
        f"$252Faws$252Flambda$252Fshop-prod/{window}",
        "deployer log": f"{home}/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/"
        f"$252Faws$252Flambda$252Fshop-prod-deployer/{window}",
        "version 8": f"{home}/lambda/home?region=eu-west-1#/functions/shop-prod/versions/8?tab=configuration",
        "image": f"{home}/ecr/repositories/private/123456789012/team/shop/_/image/{DIGEST}/details"
        "?region=eu-west-1",
        "dashboard": f"{home}/cloudwatch/home?region=eu-west-1#dashboards/dashboard/shop-prod-eu-west-1",
    }


@pytest.mark.parametrize(
    ("partition", "region", "home"),
    [
        ("aws-cn", "cn-north-1", "https://cn-north-1.console.amazonaws.cn/"),
        ("aws-us-gov", "us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com/"),
    ],
)
def test_other_partitions_have_consoles_of_their_own(partition: str, region: str, home: str) -> None:
    found = told(ENDED, replace(PLACE, partition=partition, region=region))

    assert all(url.startswith(home) for url in found.values())


def test_a_partition_that_nobody_here_knows_gets_no_links() -> None:
    assert told(ENDED, replace(PLACE, partition="aws-iso")) == {}


def test_what_was_never_touched_has_neither_a_version_nor_a_log_of_the_service() -> None:
    assert told(replace(ENDED, previous=None, version=None)).keys() == {"deployer log", "image", "dashboard"}
    assert "version 8/../x" not in str(told(replace(ENDED, version="8/../x")))


def test_an_alarm_links_to_what_was_logged_around_it() -> None:
    log, dashboard = links.of_alarm(START, PLACE, service="shop-prod")

    assert log.url.endswith("log-events$3Fstart$3D1772333100000$26end$3D1772334300000")
    assert dashboard.what == "dashboard"


@pytest.mark.parametrize(
    ("url", "home"),
    [
        ("https://github.com/acme/shop", "https://github.com/acme/shop"),
        ("https://github.com/acme/shop.git", "https://github.com/acme/shop"),
        ("https://github.com/acme/shop/", "https://github.com/acme/shop"),
        ("git@github.com:acme/shop.git", "https://github.com/acme/shop"),
        ("ssh://git@github.com/acme/shop.git", "https://github.com/acme/shop"),
        ("https://gitlab.com/acme/group/shop", "https://gitlab.com/acme/group/shop/-"),
    ],
)
def test_a_change_is_linked_to_where_its_source_is_kept(url: str, home: str) -> None:
    link = links.of_change(Origin(OLD, url), Origin(SHA, url))

    assert link
    assert (link.what, link.url) == ("compare", f"{home}/compare/{OLD}...{SHA}")


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "http://github.com/acme/shop",
        "https://github.com.evil.example/acme/shop",
        "https://evil.example/github.com/acme/shop",
        "https://alice:secret@github.com/acme/shop",
        "https://github.com@evil.example/acme/shop",
        "https://github.com:8443/acme/shop",
        "https://github.com/acme/shop?next=https://evil.example",
        "https://github.com/acme/shop#<script>",
        "https://github.com/acme/../../evil",
        "https://github.com/acme/shop/issues",
        "https://github.com/acme",
        "https://github.com//shop",
        "https://github.com/acme/sh op",
        "https://github.com/acme/shop\nhttps://evil.example",
        "https://GITHUB.com/acme/%2e%2e",
        "https://gitlab.example.com/acme/shop",
        "https://[::1/acme/shop",
        "javascript:alert(1)",
        "git@evil.example:acme/shop.git",
        "git@github.com:acme:shop",
    ],
)
def test_an_address_that_is_not_plainly_a_repositorys_is_never_passed_on(url: str | None) -> None:
    assert links.of_change(Origin(OLD, url), Origin(SHA, url)) is None


@pytest.mark.parametrize(
    "revision", [None, "", "main", "first", "3f2a", "3F2A91B", "3f2a91b...main", "x" * 99]
)
def test_what_is_no_commit_is_not_linked_to(revision: str | None) -> None:
    assert links.of_change(Origin(), Origin(revision, "https://github.com/acme/shop")) is None


def test_without_a_commit_before_it_the_commit_alone_is_shown() -> None:
    home = "https://github.com/acme/shop"
    for before in (
        Origin(),
        Origin("first", home),
        Origin(OLD, "https://github.com/acme/other"),
        Origin(SHA),
    ):
        link = links.of_change(before, Origin(f"git-{SHA}-dirty", home))

        assert link
        assert (link.what, link.url) == ("commit", f"{home}/commit/{SHA}")
