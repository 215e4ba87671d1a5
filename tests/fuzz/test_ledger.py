"""The table, edited by hand or by a newer deployer: read and shown everywhere, or refused with a reason."""

from __future__ import annotations

from hypothesis import given

from tests.fuzz import targets
from tests.fuzz.strategies import inputs


@given(inputs)
def test_an_item_that_can_be_read_can_be_shown_and_written_again(data: bytes) -> None:
    targets.item(data)


@given(inputs)
def test_a_hold_is_read_or_refused(data: bytes) -> None:
    targets.hold(data)
