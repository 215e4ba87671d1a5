"""The buttons: commands to the deployer, whose function alone may change anything.

CloudWatch calls the function that a `cwdb-action` names, with its JSON, when somebody clicks the element
right before it and confirms; with the viewer's own credentials, so that who may only look cannot act
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_interactivity.html).
The form's fields go along in `widgetContext.forms.all`. Any element can be tagged: a `button` is one that the
keyboard reaches and that Enter and Space click, which an anchor without an address is not.

No foreign text is in what is asked before: who knows how the console writes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deployer.model import Book, Deployment, Phase, Source, Version, short
from deployer.outcomes import last_failure
from deployer.page.html import NOTHING, Html, element, foreign, text, void, words
from deployer.page.sight import Sight
from deployer.rollout import underway
from deployer.text import who

_BY, _BECAUSE = 700, 200  # characters, as events.py takes them: an ARN is long


@dataclass(frozen=True)
class Action:
    """A button."""

    verb: str
    label: str
    asks: str  # before it is done
    payload: Mapping[str, str]


def actions(sight: Sight, *, deployer: str, fields: Mapping[str, str]) -> Html:
    """The form, with what makes sense now. `deployer` is the ARN of its function; `fields` is what was typed
    in before."""
    if sight.book is None:
        return NOTHING
    offered = list(_offered(sight.book, sight.history or (), sight.live))
    state = _state(sight.book, sight)
    buttons = [part for action in offered for part in _button(action, deployer, state)]
    note = "Sent to the deployer, which writes down who and why. It takes the operator's policy."
    return element(
        "form",
        element("h3", words("Act")),
        _field("by", "Who", _BY, fields.get("by", "")),
        _field("because", "Why", _BECAUSE, fields.get("because", "")),
        element("span", *buttons, of="buttons"),
        element("p", words(note), of="muted"),
        of="card act",
        data_part="act",
    )


def _field(name: str, label: str, most: int, value: str) -> Html:
    typed = {"value": value} if value else {}
    given = {"name": name, "type": "text", "maxlength": str(most), "dir": "auto", "required": "", **typed}
    return element("label", words(label), void("input", 4 * most, **given), of=label.lower())


def _button(action: Action, deployer: str, state: str) -> Iterator[Html]:
    request = hashlib.sha256(f"{action.verb} {state}".encode()).hexdigest()[:24]
    payload = {"command": action.verb, **action.payload, "request": f"page-{action.verb}-{request}"}
    yield element("button", words(action.label), of="btn", type="button", data_verb=action.verb)
    # The very next element, without so much as a blank between them.
    yield element(
        "cwdb-action",
        text(json.dumps(payload), 1200),
        action="call",
        endpoint=deployer,
        display="popup",
        confirmation=action.asks,
        size=400,
    )


def _offered(book: Book, history: Sequence[Deployment], live: Version | None) -> Iterator[Action]:
    going = underway(book)
    if book.hold:
        yield Action(
            "resume", "Resume", "Resume deployments? What was pushed meanwhile is deployed right away.", {}
        )
    else:
        yield Action(
            "hold", "Hold", "Hold deployments? What is under way ends; nothing that is pushed begins.", {}
        )
    if (
        going
        and going.phase is not Phase.REVERTING
        and not any(a.deployment == going.id for a in book.aborts)
    ):
        yield Action(
            "abort",
            "Abort",
            f"Turn round the deployment of {short(going.image.digest)}? Users end where they were before it.",
            {"deployment": going.id},
        )
    back = any(each.source is Source.ROLLBACK for each in book.open)
    if live and not going and not back and any(each.phase is Phase.SUCCEEDED for each in history):
        yield Action(
            "rollback",
            "Roll back",
            "Take users back to the last good version before this one, and hold deployments?",
            {},
        )
    if failed := _to_retry(book, history):
        passing = " It passes the hold." if book.hold else ""
        hold = {"hold": book.hold.id} if book.hold and book.hold.id else {}
        yield Action(
            "retry",
            "Retry the failed release",
            f"Deploy {short(failed.image.digest)} again, although it failed?{passing}",
            {"digest": failed.image.digest, **hold},
        )


def _to_retry(book: Book, history: Sequence[Deployment]) -> Deployment | None:
    """The last failure, unless something newer went live since: then a retry would bring back the past."""
    failed = last_failure(history)
    if failed is None or (book.hold and not book.hold.id):
        return None
    since = [each for each in history if each.id > failed.id]
    if any(each.phase is Phase.SUCCEEDED for each in since):
        return None
    return None if any(each.image == failed.image for each in book.open) else failed


def _state(book: Book, sight: Sight) -> str:
    """What the person has seen. A double click is one wish; the same button on a page drawn later is another,
    because nothing in the ledger tells a second hold from the first once that was lifted."""
    seen = [
        sight.history[0].id if sight.history else "",
        sight.live.number if sight.live else "",
        book.hold.id if book.hold else "",
        *(f"{each.id} {each.phase}" for each in book.open),
    ]
    return f"{sight.now.isoformat(timespec='seconds')} {seen}"


def answer(said: object) -> Html:
    """What the deployer answered to a button, for people."""
    told = said if isinstance(said, dict) else {}
    lines: list[Html] = []
    match told:
        case {"error": why}:
            lines += [element("h2", words("It was not done")), element("p", foreign(str(why)))]
        case {"held": dict(hold)}:
            lines += [element("h2", words("Deployments are held")), _whose("by ", ": ", hold)]
        case {"resumed": dict(hold)}:
            lines += [element("h2", words("The hold is lifted")), _whose("it was ", "'s: ", hold)]
        case {"deployment": which, "phase": phase, "because": why}:
            ended = element("strong", text(str(phase).lower()))
            lines += [element("h2", text(str(which))), element("p", ended, words(": "), foreign(str(why)))]
        case _:
            lines += [element("p", foreign(json.dumps(said, default=str, ensure_ascii=False)))]
    return element("div", *lines, of="answer")


def _whose(before: str, between: str, hold: Mapping[str, object]) -> Html:
    by, because = who(str(hold.get("by", ""))), str(hold.get("because", ""))
    return element("p", words(before), foreign(by), words(between), foreign(because))
