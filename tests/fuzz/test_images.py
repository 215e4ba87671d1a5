"""What was pushed, and what ECR says of it."""

from __future__ import annotations

from hypothesis import given

from tests.fuzz import targets
from tests.fuzz.strategies import inputs


@given(inputs)
def test_no_manifest_raises_anything_or_says_more_than_a_line(data: bytes) -> None:
    targets.manifest(data)


@given(inputs)
def test_no_config_raises_anything_or_says_more_than_a_line(data: bytes) -> None:
    targets.config(data)


@given(inputs)
def test_no_answer_of_the_registry_raises_anything_or_says_more_than_a_line(data: bytes) -> None:
    targets.registry_answer(data)
