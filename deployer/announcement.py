"""The end of a deployment as an event for programs. docs/events.md describes it. Pure."""

from __future__ import annotations

import json
from typing import cast

from deployer import facts, links
from deployer.message import headline
from deployer.model import Announcement, Deployment, Place
from deployer.text import first

SOURCE = "self-deploying-lambda"
SCHEMA = 1
# "The total entry size must be less than 256KB": the User Guide, "Calculating PutEvents event entry size".
# AWS announced 1 MB in January 2026; not all of its guides say so yet, nor does every target take as much. So
# it is the old limit, less what stands around the detail.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html
MAXIMUM_DETAIL = 256 * 1024 - 4096

# What is too large is tried again with texts of so many bytes and lists of so many items. The last always
# fits: a deployment has fewer than three hundred texts then, and JSON writes a byte with six at most. The
# shortest text is longer than a digest, an id or a time, none of which is ever cut.
_STEPS = ((1000, 200), (400, 50), (200, 20), (100, 8))


def announcement(deployment: Deployment, *, service: str, deployer: str, place: Place) -> Announcement:
    """The event about an ended deployment. `service` and `deployer` as in `message.compose`."""
    found = links.of_deployment(deployment, place, service=service, deployer=deployer)
    compare = links.of_change(deployment.before, deployment.origin)
    told: facts.Facts = {
        "schema": SCHEMA,
        "service": service,
        "stack": place.stack,
        "headline": headline(deployment, service=service),
        "shortened": False,
        **facts.of_deployment(deployment),
        "links": [
            {"what": link.what, "url": link.url} for link in (*((compare,) if compare else ()), *found)
        ],
    }
    function = f"arn:{place.partition}:lambda:{place.region}:{place.account}:function:{service}"
    return Announcement(
        f"Deployment {deployment.phase.title()}", (function,), _fitting(told), deployment.since
    )


def _fitting(told: facts.Facts) -> str:
    written = _written(told)
    for text, items in _STEPS:
        if len(written.encode()) <= MAXIMUM_DETAIL:
            break
        # Addresses are ours, few and bounded; cut, they would lead nowhere.
        kept = {"links": told["links"], "shortened": True}
        written = _written(cast("facts.Facts", _shortened(told, text, items)) | kept)
    return written


def _written(told: facts.Facts) -> str:
    # A ledger holds no half characters, but what has just ended need not have come from there.
    return json.dumps(told, ensure_ascii=False).encode(errors="replace").decode()


def _shortened(value: object, text: int, items: int) -> object:
    match value:
        case str():
            return first(value, text)
        case dict():
            return {key: _shortened(each, text, items) for key, each in value.items()}
        case list():
            return [_shortened(each, text, items) for each in value[:items]]
        case _:
            return value
