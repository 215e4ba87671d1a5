"""AWS's refusals, and HTTP answers of whoever listens."""

from __future__ import annotations

from hypothesis import given

from tests.fuzz import targets
from tests.fuzz.strategies import inputs


@given(inputs)
def test_a_refusal_is_told_in_one_line_without_secrets(data: bytes) -> None:
    targets.refusal(data)


@given(inputs)
def test_no_http_answer_is_read_beyond_its_limit_or_raises_anything_unexpected(data: bytes) -> None:
    targets.body(data)
