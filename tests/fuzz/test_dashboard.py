"""The dashboard's parameters come from whoever looks."""

from __future__ import annotations

from hypothesis import given

from tests.fuzz import targets
from tests.fuzz.strategies import inputs


@given(inputs)
def test_whatever_a_program_asks_gets_an_answer_or_an_error_and_changes_nothing(data: bytes) -> None:
    targets.question(data)


@given(inputs)
def test_whatever_a_viewer_sends_gets_a_page_of_known_elements_only(data: bytes) -> None:
    targets.widget(data)
