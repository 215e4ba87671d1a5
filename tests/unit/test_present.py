"""How things are, as the question before a command says it."""

from __future__ import annotations

from dataclasses import replace

from deployer import placeholder
from deployer.commands.parts.present import Present
from deployer.model import Book, Deployment, Image, Origin, Phase, Quarantine, Version
from tests.deployments import BAD, HOLD, deployment

ARN = "arn:aws:sts::123456789012:assumed-role/on-call/alice"
FIRST, SECOND, THIRD = (Image("shuking-lambda", "sha256:" + each * 64) for each in "abc")
BEGUN = Image("shuking-lambda", placeholder.image("x86_64").digest)


def release(number: int, image: Image, before: Image, revision: str) -> Deployment:
    """That made version `number` live in place of the version before it."""
    made = deployment(number, Phase.SUCCEEDED)
    previous = Version(str(number - 1), before)
    return replace(
        made, image=image, version=str(number), previous=previous, origin=Origin(revision=revision)
    )


HISTORY = [
    release(4, THIRD, SECOND, "git-3"),
    release(3, SECOND, FIRST, "git-2"),
    release(2, FIRST, BEGUN, "git-1\x1b[31m"),
]


def present(live: str | None = "4", **book: object) -> Present:
    return Present("shuking-prod", live, Book(**book), HISTORY)  # type: ignore[arg-type]  # of a Book's fields


def never(_: str) -> Quarantine | None:
    return None


def test_what_users_are_on_is_told_with_image_and_revision() -> None:
    assert present().users == f"Users are on version 4 (git-3, {THIRD})."
    assert present("2").users == f"Users are on version 2 (git-1\ufffd[31m, {FIRST})."
    assert present("1").users == f"Users are on version 1 ({BEGUN})."
    assert present("99").users == "Users are on version 99."
    assert present(None).users == "What is live could not be read."


def test_who_holds_and_what_goes_on_are_told_if_anybody_or_anything() -> None:
    going = replace(deployment(5, Phase.VERIFYING), image=FIRST)
    busy = present(hold=replace(HOLD, by=ARN), open=(going,))

    assert (present().held, present().under_way) == ("", "")
    assert busy.held == "Deployments are held by alice (on-call) (the database is being moved), hold hold-1."
    assert busy.under_way == (
        f"Deployment {going.id} of git-1\ufffd[31m ({FIRST}) is under way, in VERIFYING."
    )


def test_the_way_back_is_the_last_good_version_and_never_what_a_stack_begins_with() -> None:
    back = present().way_back(never)

    assert back == Version("3", SECOND)
    assert present().way_back(lambda digest: BAD if digest == SECOND.digest else None) == Version("2", FIRST)
    assert present("2").way_back(never) is None
    assert present(None).way_back(never) is None
    assert present("99").way_back(never) is None


def test_every_digest_that_is_remembered_can_be_meant() -> None:
    assert {*present().digests} == {each.digest for each in (FIRST, SECOND, THIRD, BEGUN)}
