"""A digest by its beginning."""

from __future__ import annotations

import pytest

from deployer.commands.parts.digests import NoSuchDigest, whole

ONE, TWO = "sha256:ab12cd34" + "0" * 56, "sha256:ab12cd34" + "1" * 56
OTHER = "sha256:" + "f" * 64


@pytest.mark.parametrize(
    "text", [ONE, ONE.removeprefix("sha256:"), "ab12cd340", "sha256:ab12cd340", "sha256:ab12cd340…"]
)
def test_a_beginning_that_only_one_has_is_that_one(text: str) -> None:
    assert whole(text, [OTHER, ONE, TWO, ONE]) == ONE


def test_a_whole_digest_need_not_be_known() -> None:
    assert whole(ONE, []) == ONE


@pytest.mark.parametrize(
    ("text", "because"),
    [
        (
            "ab12cd34",
            "is the beginning of several: sha256:ab12cd340000…, sha256:ab12cd341111…. Give more of it",
        ),
        ("ab12cd3", "too short: give 8 digits of the digest at least, not 7"),
        (
            "00000000",
            "no deployment that is remembered is of a digest that begins with 00000000. Give all 64",
        ),
        ("sha256:", "not an image's digest"),
        ("AB12CD34", "not an image's digest .* nor the beginning of one: 'AB12CD34'"),
        ("latest", "not an image's digest"),
        ("0" * 65, "not an image's digest"),
        ("ab12cd34\n", "not an image's digest"),
    ],
)
def test_what_is_no_digest_or_several_is_refused(text: str, because: str) -> None:
    with pytest.raises(NoSuchDigest, match=because):
        whole(text, [ONE, TWO, OTHER])
