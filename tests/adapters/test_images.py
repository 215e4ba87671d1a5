"""What ECR answers about many images."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.stub import Stubber

from deployer.aws.images import MOST_PAGES, EcrImages, Stored
from tests.fakes import START, image


def detail(name: str, minutes: int | None, **more: Any) -> dict[str, Any]:
    pushed = {} if minutes is None else {"imagePushedAt": START + timedelta(minutes=minutes)}
    return {"imageDigest": image(name).digest, **pushed, **more}


def test_the_newest_of_all_pages_come_first(silent: Callable[[str], Any]) -> None:
    client = silent("ecr")
    asked = {"repositoryName": "shuking-lambda", "maxResults": 1000}
    with Stubber(client) as stub:
        page = {"imageDetails": [detail("one", 1), detail("undated", None)], "nextToken": "more"}
        stub.add_response("describe_images", page, asked)
        last = [detail("three", 3, imageTags=["b", "a"], imageSizeInBytes=7), detail("two", 2)]
        stub.add_response("describe_images", {"imageDetails": last}, {**asked, "nextToken": "more"})
        found, complete = EcrImages(client, "shuking-lambda").newest(3)
        stub.assert_no_pending_responses()

    assert complete
    assert [each.digest for each in found] == [image(name).digest for name in ("three", "two", "one")]
    pushed_at = datetime(2026, 3, 1, 3, 3, tzinfo=UTC)
    assert found[0] == Stored(image("three").digest, ("a", "b"), 7, pushed_at)


def test_a_repository_without_end_is_not_read_to_its_end(silent: Callable[[str], Any]) -> None:
    client = silent("ecr")
    with Stubber(client) as stub:
        for number in range(MOST_PAGES):
            page = {"imageDetails": [detail(str(number), number)], "nextToken": "more"}
            stub.add_response("describe_images", page)
        found, complete = EcrImages(client, "shuking-lambda").newest(50)
        stub.assert_no_pending_responses()

    assert not complete
    assert len(found) == MOST_PAGES
