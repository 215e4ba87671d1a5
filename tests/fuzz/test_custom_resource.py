"""Requests of CloudFormation, or of whoever may invoke the function in its place."""

from __future__ import annotations

from hypothesis import given

from tests.fuzz import targets
from tests.fuzz.strategies import inputs


@given(inputs)
def test_a_request_with_an_address_gets_one_answer_that_cloudformation_reads(data: bytes) -> None:
    targets.request(data)
