"""What is in the image repository, for `deployer images`. Nothing that runs on Lambda lists it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deployer.aws.errors import translated

if TYPE_CHECKING:  # stubs are no dependency of the deployed package
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import DescribeImagesRequestTypeDef, ImageDetailTypeDef

PAGE_SIZE = 1000  # the most that DescribeImages gives at a time
MOST_PAGES = 10


@dataclass(frozen=True)
class Stored:
    """An image in the repository. Its tags are others' words."""

    digest: str
    tags: tuple[str, ...]
    size: int  # bytes, compressed
    pushed_at: datetime | None


class EcrImages:
    """The images of `repository` (its name, as in ``shuking-lambda``)."""

    def __init__(self, client: ECRClient, repository: str) -> None:
        self._client = client
        self._repository = repository

    def newest(self, limit: int) -> tuple[list[Stored], bool]:
        """The images that were pushed last, the newest first; and whether all were looked at.

        ECR gives them in no order (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html),
        so all of them are read, up to 10,000.
        """
        request: DescribeImagesRequestTypeDef = {
            "repositoryName": self._repository,
            "maxResults": PAGE_SIZE,
        }
        found: list[Stored] = []
        for _ in range(MOST_PAGES):
            with translated():
                page = self._client.describe_images(**request)
            found += [_stored(detail) for detail in page["imageDetails"]]
            following = page.get("nextToken")
            if not following:
                return _newest_first(found)[:limit], True
            request["nextToken"] = following
        return _newest_first(found)[:limit], False


def _stored(detail: ImageDetailTypeDef) -> Stored:
    pushed_at = detail.get("imagePushedAt")
    return Stored(
        detail.get("imageDigest", ""),
        tuple(sorted(detail.get("imageTags", []))),
        detail.get("imageSizeInBytes", 0),
        pushed_at.astimezone(UTC) if pushed_at else None,
    )


def _newest_first(found: list[Stored]) -> list[Stored]:
    never = datetime.min.replace(tzinfo=UTC)
    return sorted(found, key=lambda each: (each.pushed_at or never, each.digest), reverse=True)
