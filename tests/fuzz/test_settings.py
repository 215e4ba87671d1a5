"""The environment, which a template or a person writes."""

from __future__ import annotations

from hypothesis import given

from tests.fuzz import targets
from tests.fuzz.strategies import inputs


@given(inputs)
def test_wrong_settings_are_named_in_one_line(data: bytes) -> None:
    targets.environment(data)
