"""A digest by its beginning, as people copy one out of a message. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from deployer.model import short
from deployer.text import shown

LEAST_DIGITS = 8
_BEGINNING = re.compile(r"(?:sha256:)?(?P<digits>[0-9a-f]{1,64})…?")


class NoSuchDigest(ValueError):
    """It is no beginning of a digest, or of none or of several that are known; the message says which."""


def whole(text: str, known: Iterable[str]) -> str:
    """The digest that `text` is, or is the beginning of. A whole one need not be known.

    Raises `NoSuchDigest`.
    """
    found = _BEGINNING.fullmatch(text)
    if found is None:
        raise NoSuchDigest(f"not an image's digest (sha256:ab12...), nor the beginning of one: {shown(text)}")
    digits = found["digits"]
    if len(digits) == 64:
        return f"sha256:{digits}"
    if len(digits) < LEAST_DIGITS:
        raise NoSuchDigest(f"too short: give {LEAST_DIGITS} digits of the digest at least, not {len(digits)}")
    meant = sorted({each for each in known if each.removeprefix("sha256:").startswith(digits)})
    if not meant:
        raise NoSuchDigest(
            f"no deployment that is remembered is of a digest that begins with {digits}. "
            "Give all 64 digits, if it was never deployed"
        )
    if len(meant) > 1:
        raise NoSuchDigest(
            f"{digits} is the beginning of several: {', '.join(map(short, meant[:5]))}. Give more of it"
        )
    return meant[0]
