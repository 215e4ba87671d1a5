"""The table, edited by hand or by a newer deployer: read and shown everywhere, or refused with a reason."""

from __future__ import annotations

from hypothesis import example, given

from tests.fuzz import targets
from tests.fuzz.strategies import inputs


@given(inputs)
@example(b"\x00" + b"]" * 40 + b"\x00\xb6\x00")  # a name of 10,000 characters was the chat's title
def test_an_item_that_can_be_read_can_be_shown_and_written_again(data: bytes) -> None:
    targets.item(data)


@given(inputs)
def test_a_hold_is_read_or_refused(data: bytes) -> None:
    targets.hold(data)
