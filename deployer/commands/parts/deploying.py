"""Asking for a deployment of a digest: `deploy`, and `retry`, which a quarantine does not stop."""

from __future__ import annotations

from dataclasses import dataclass

from deployer.commands.parts import present
from deployer.commands.parts.acting import Manner, act, wished, words
from deployer.commands.parts.target import Target, plain, understood
from deployer.model import Book, Quarantine


@dataclass(frozen=True)
class Asked:
    """What a person typed."""

    verb: str
    digest: str  # or its beginning
    reason: str
    past_hold: str | None
    request: str | None


def ask_to_deploy(target: Target, asked: Asked, manner: Manner) -> int:
    """Ask for it and follow it. The exit code."""
    stack = target.find()
    ledger = stack.ledger()
    digest = present.digest(stack, ledger, asked.digest, "DIGEST")
    about = {"digest": digest} | ({"hold": asked.past_hold} if asked.past_hold else {})

    def announced() -> str:
        now = present.read(stack, ledger)
        with understood("reading the ledger"):
            bad = ledger.quarantine(digest)
        return now.sentences(
            f"{now.service}: {now.image(digest)} will be verified and made live, or everything put back.",
            now.users,
            _quarantine(asked.verb, bad),
            _hold(now, asked.past_hold),
            now.under_way,
        )

    def next_(book: Book) -> str:
        if book.hold:
            past = words(
                stack, asked.verb, digest, "--reason", asked.reason, "--past-hold", plain(book.hold.id)
            )
            return f"Past that hold: {past}\nOr lift it first: {words(stack, 'resume')}"
        if asked.verb == "deploy" and ledger.quarantine(digest):
            retry = words(stack, "retry", digest, "--reason", "...")
            return f"If the image was not to blame: {retry}"
        return ""

    wish = wished(asked.verb, asked.reason, asked.request, about)
    return act(stack, wish, manner, announced, present.after_a_no(ledger, next_))


def _quarantine(verb: str, bad: Quarantine | None) -> str:
    if bad is None:
        return ""
    then = "This passes it." if verb == "retry" else "So this will be refused; `deployer retry` passes it."
    return f"It is in quarantine: {plain(bad.because)}. {then}"


def _hold(now: present.Present, past_hold: str | None) -> str:
    hold = now.book.hold
    if hold is None:
        return ""
    if past_hold == hold.id:
        return f"{now.held} It is passed, and stays."
    return f"{now.held} So this will be refused, unless --past-hold names it."
