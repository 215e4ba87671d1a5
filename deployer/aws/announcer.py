"""`ports.Announcer` on Amazon EventBridge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.announcement import SOURCE
from deployer.aws.errors import translated
from deployer.model import Announcement
from deployer.ports import LookAgain, Refused
from deployer.text import discreet, line

if TYPE_CHECKING:  # stubs are no dependency of the deployed package
    from mypy_boto3_events import EventBridgeClient

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html: these are
# "retryable errors"; of all other codes it says that they are not.
_PASSING = frozenset({"InternalFailure", "ThrottlingException"})
_TOLD = 600


class EventBridgeAnnouncer:
    """Whoever listens to the account's default event bus."""

    def __init__(self, client: EventBridgeClient) -> None:
        self._client = client

    def announce(self, announcement: Announcement) -> None:
        """Put it on the bus, or raise `LookAgain` or `Refused`: PutEvents answers 200 also for an entry that
        it did not take, and says so beside it."""
        with translated():
            response = self._client.put_events(
                Entries=[
                    {
                        "Source": SOURCE,
                        "DetailType": announcement.detail_type,
                        "Resources": list(announcement.resources),
                        "Detail": announcement.detail,
                        "Time": announcement.at,
                    }
                ]
            )
        if not response["FailedEntryCount"]:
            return
        code = next((entry.get("ErrorCode", "") for entry in response["Entries"]), "")
        message = next((entry.get("ErrorMessage", "") for entry in response["Entries"]), "")
        told = line(discreet(f"PutEvents: {code}: {message}"), _TOLD)
        raise LookAgain(told) if code in _PASSING else Refused(told)
