"""Events as EventBridge takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from deployer.aws.announcer import EventBridgeAnnouncer
from deployer.model import Announcement
from deployer.ports import LookAgain, Refused

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:shuking-prod"
AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
EVENT = Announcement("Deployment Reverted", (FUNCTION,), '{"phase": "REVERTED"}', AT)


@pytest.fixture(scope="module")
def events_client(silent: Callable[[str], Any]) -> Any:
    return silent("events")


@pytest.fixture
def events(events_client: Any) -> Iterator[Stubber]:
    with Stubber(events_client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_an_event_goes_to_the_default_bus_in_our_name(events: Stubber, events_client: Any) -> None:
    entry = {
        "Source": "self-deploying-lambda",
        "DetailType": "Deployment Reverted",
        "Resources": [FUNCTION],
        "Detail": '{"phase": "REVERTED"}',
        "Time": AT,
    }
    events.add_response(
        "put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}, {"Entries": [entry]}
    )
    EventBridgeAnnouncer(events_client).announce(EVENT)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("InternalFailure", LookAgain),
        ("ThrottlingException", LookAgain),
        ("NotAuthorizedForSourceException", Refused),
        ("MalformedDetail", Refused),
    ],
)
def test_an_entry_that_was_not_taken_is_an_error_although_the_answer_is_200(
    events: Stubber, events_client: Any, code: str, word: type[Exception]
) -> None:
    entry = {"ErrorCode": code, "ErrorMessage": "not \x1b[2J today"}
    events.add_response("put_events", {"FailedEntryCount": 1, "Entries": [entry]})

    with pytest.raises(word, match=f"PutEvents: {code}: not \ufffd.2J today"):
        EventBridgeAnnouncer(events_client).announce(EVENT)


def test_an_answer_that_counts_a_failure_and_shows_none_is_still_one(
    events: Stubber, events_client: Any
) -> None:
    events.add_response("put_events", {"FailedEntryCount": 1, "Entries": []})

    with pytest.raises(Refused, match="PutEvents"):
        EventBridgeAnnouncer(events_client).announce(EVENT)
