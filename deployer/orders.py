"""What a command asks for, or why it makes no sense now. Pure: what the ledger says comes in.

A command that can be followed becomes a `Command`, which the ledger keeps under the id of its request: the
same request again is followed once. What it asks of a deployment is decided by `rollout`, as for any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from deployer import rollout
from deployer.model import (
    Asked,
    Book,
    Command,
    Deployment,
    Hold,
    Image,
    Phase,
    Quarantine,
    Source,
    Version,
    deployment_id,
)
from deployer.text import who


class Senseless(Exception):
    """A command that makes no sense as things are; the message says why, for the person who gave it."""


def hold(asked: Asked, book: Book, now: datetime) -> Command:
    """Freeze deployments. One that is under way ends first; no other begins.

    Raises `Senseless` if they are held already: two reasons need two people to agree.
    """
    if book.hold:
        raise Senseless(
            f"deployments are held already, by {who(book.hold.by)} ({book.hold.because}); "
            "resume first to hold for another reason"
        )
    return Command("hold", asked, now, hold=_hold(asked, now))


def resume(asked: Asked, book: Book, now: datetime) -> Command:
    """Lift the hold that is there now, and no later one. Raises `Senseless` if there is none, or while a
    rollback needs it."""
    if book.hold is None:
        raise Senseless("nothing is held, so there is nothing to resume")
    if back := _rollback_in(book):
        raise Senseless(
            f"deployment {back.id} takes users back to version {back.version}: resume when it has ended"
        )
    return Command("resume", asked, now, hold=book.hold)


def abort(asked: Asked, book: Book, now: datetime, deployment: str | None) -> Command:
    """Turn round the deployment that is under way. `deployment` is the one that is meant, if it was said.

    Raises `Senseless` if there is none, if it is another one, or if it is on its way back already.
    """
    going = rollout.underway(book)
    if going is None:
        waiting = f"; {len(book.open)} that wait can be held" if book.open else ""
        raise Senseless(f"no deployment is under way, so there is nothing to abort{waiting}")
    if deployment not in (None, going.id):
        raise Senseless(f"deployment {deployment} is not under way; {going.id} ({going.image}) is")
    if going.phase is Phase.REVERTING:
        raise Senseless(f"deployment {going.id} is on its way back already: {going.because}")
    before = next((each.asked for each in book.aborts if each.deployment == going.id), None)
    if before:
        raise Senseless(f"{who(before.by)} has aborted deployment {going.id} already: {before.because}")
    return Command("abort", asked, now, deployment=going.id)


def deploy(
    asked: Asked,
    book: Book,
    now: datetime,
    image: Image,
    source: Source,
    *,
    passes: str | None,
    quarantine: Quarantine | None,
) -> Command:
    """Deploy an image by its digest: `source` is DEPLOY, or RETRY, which is not stopped by a quarantine.

    `passes` is the id of the hold that the person knows of and wants to pass. Raises `Senseless` under a hold
    that is not named, and, unless it is a retry, if the image is in quarantine.
    """
    if book.hold and passes is None:
        raise Senseless(f"{_held(book.hold)}. Resume first, or name the hold to pass it: {book.hold.id}")
    if book.hold and passes != book.hold.id:
        raise Senseless(f"{_held(book.hold)}, and that hold is {book.hold.id}, not {passes}")
    for same in book.open:
        # Whoever lost patience gives the command again: while it is open, it is still the same wish.
        if (same.source, same.image, same.passes) == (source, image, passes):
            return Command(source.value, asked, now, deployment=same.id)
    if quarantine and source is not Source.RETRY:
        raise Senseless(f"{_quarantined(image, quarantine)}. Retry it if it was not to blame")
    deployment = Deployment(
        deployment_id(now, asked.request), image, source, now, by=asked.by, why=asked.because, passes=passes
    )
    return Command(source.value, asked, now, deployment=deployment.id, wish=deployment)


def rollback(
    asked: Asked,
    book: Book,
    now: datetime,
    live: Version,
    target: Version | None,
    *,
    quarantine: Quarantine | None,
    named: bool,
) -> Command:
    """Take users back to `target`, and hold deployments, so that no push undoes it. A hold that is there
    already stays, and does not stop it.

    `named` says that a person chose the target; else it is the last good version, or None if none is known.
    `quarantine` is the target's. Raises `Senseless` if there is no target, if it is in quarantine, if users
    are on it, or if it is not clear what is to be left.
    """
    going = rollout.underway(book)
    if back := _rollback_in(book):
        raise Senseless(f"a rollback to version {back.version} is under way already: deployment {back.id}")
    if going and not named:
        raise Senseless(
            f"deployment {going.id} ({going.image}) is under way and in {going.phase}: abort it, "
            "wait for its end, or say which other version users are to be on"
        )
    if target is None:
        raise Senseless(f"what was live before version {live.number} is not known: say which version")
    if target.number == live.number and going:
        raise Senseless(
            f"users are on version {live.number}, and deployment {going.id} ({going.image}) is under way: "
            "abort it, and hold, to keep them there"
        )
    if target.number == live.number:
        raise Senseless(f"users are on version {live.number} already")
    if quarantine:
        raise Senseless(f"version {target.number} is no good: {_quarantined(target.image, quarantine)}")
    held = book.hold or _hold(asked, now)
    deployment = Deployment(
        deployment_id(now, asked.request),
        target.image,
        Source.ROLLBACK,
        now,
        by=asked.by,
        why=asked.because,
        leaving=None if named else live.number,
        version=target.number,
    )
    return Command("rollback", asked, now, deployment=deployment.id, hold=held, wish=deployment)


def earlier(live: Version, history: Sequence[Deployment]) -> Iterator[Version]:
    """What users were on before `live`, and before that, the latest first, as far as `history` (newest first)
    tells. What failed is not among it, for users were never left on it; nor is a rollback a step."""
    seen = [live.number]
    while (before := _before(seen[-1], history)) and before.number not in seen:
        seen.append(before.number)
        yield before


def version_of(image_digest: str, history: Sequence[Deployment]) -> str | None:
    """The version with this image that was live last; None: none is known to have been."""
    return next(
        (
            each.version
            for each in history
            if each.image.digest == image_digest and each.phase is Phase.SUCCEEDED and each.version
        ),
        None,
    )


def _rollback_in(book: Book) -> Deployment | None:
    return next((each for each in book.open if each.source is Source.ROLLBACK), None)


def _before(number: str, history: Sequence[Deployment]) -> Version | None:
    """What the last deployment that took users to version `number`, and left them there, took them from."""
    return next(
        (
            each.previous
            for each in history
            if each.version == number
            and each.source is not Source.ROLLBACK
            and each.phase in (Phase.SUCCEEDED, Phase.STUCK)
            and each.previous is not None
            and each.previous.number != number
        ),
        None,
    )


def _hold(asked: Asked, now: datetime) -> Hold:
    return Hold(asked.by, asked.because, now, id=deployment_id(now, asked.request))


def _quarantined(image: Image, quarantine: Quarantine) -> str:
    return f"{image} is in quarantine since deployment {quarantine.deployment}: {quarantine.because}"


def _held(hold: Hold) -> str:
    return f"deployments are held by {who(hold.by)} ({hold.because})"
