"""What a service function does: in memory, and in the sandbox through the real adapter.

What cannot agree:

| in memory | in the sandbox | why |
|---|---|---|
| an update or a version fails when a test says so | only when its image is gone | AWS has more reasons |
| a version falls asleep when it is told to | after 14 days without an invocation | stories need not wait |
| `$LATEST` is never asleep | it sleeps as versions do | nobody invokes it, and updates do not mind |
| errors are short | errors are in AWS's words | people read them; nothing is decided by them |
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deployer.model import Image, UpdateStatus, VersionState
from deployer.ports import LookAgain, Refused
from tests.contracts.functions import PENDING_SECONDS, UPDATE_SECONDS, Hands, Memory, Sandbox, released
from tests.sandbox import lambdas

NEVER_PUSHED = "sha256:" + "00" * 32


@pytest.fixture(scope="module")
def sandboxed() -> Iterator[lambdas.World]:
    with lambdas.world() as made:
        yield made


@pytest.fixture(params=["memory", "sandbox"])
def there(request: pytest.FixtureRequest) -> Hands:
    return Memory() if request.param == "memory" else Sandbox(request.getfixturevalue("sandboxed"))


def update(there: Hands, candidate: Image) -> None:
    there.function.update_code(candidate, "x86_64", there.function.latest().revision)


def updated(there: Hands, candidate: Image) -> None:
    update(there, candidate)
    there.wait(UPDATE_SECONDS)


# -- updates


def test_an_update_is_in_progress_and_then_done(there: Hands) -> None:
    # given
    candidate, before = there.push("two"), there.function.latest()

    # when
    update(there, candidate)
    during = there.function.latest()
    there.wait(UPDATE_SECONDS - 1)
    still = there.function.latest()
    there.wait(1)
    after = there.function.latest()

    # then
    assert (before.image, before.status) == (there.first, UpdateStatus.SUCCESSFUL)
    assert (during.image, during.status) == (candidate, UpdateStatus.IN_PROGRESS)
    assert still == during
    assert (after.image, after.status) == (candidate, UpdateStatus.SUCCESSFUL)
    assert after.configuration == before.configuration


def test_the_revision_changes_when_an_update_starts_when_it_is_done_and_when_a_version_is_made(
    there: Hands,
) -> None:
    candidate, seen = there.push("two"), [there.function.latest().revision]
    update(there, candidate)
    seen.append(there.function.latest().revision)
    there.wait(UPDATE_SECONDS)
    seen.append(there.function.latest().revision)
    there.function.publish(candidate, seen[-1])
    seen.append(there.function.latest().revision)
    there.wait(UPDATE_SECONDS)

    assert len(set(seen)) == 4
    assert there.function.latest().revision == seen[-1]


def test_moving_live_does_not_change_the_revision_of_latest_nor_the_other_way_round(there: Hands) -> None:
    live = there.function.live_revision("1")
    number = released(there, there.push("two"))
    assert there.function.live_revision("1") == live

    latest = there.function.latest()
    there.function.point_live(number, live)
    assert there.function.latest() == latest


def test_during_an_update_nothing_else_can_be_begun_and_the_old_code_serves(there: Hands) -> None:
    # given
    candidate, other = there.push("two"), there.push("three")
    update(there, candidate)
    during = there.function.latest()

    # when
    with pytest.raises(LookAgain, match="ResourceConflictException"):
        there.function.update_code(other, "x86_64", during.revision)
    with pytest.raises(LookAgain, match="ResourceConflictException"):
        there.function.publish(candidate, during.revision)

    # then
    assert there.function.latest() == during
    assert there.ran(there.function.invoke("$LATEST", b"{}")) == there.first
    assert there.ran(there.function.invoke("live", b"{}")) == there.first
    there.wait(UPDATE_SECONDS)
    assert there.ran(there.function.invoke("$LATEST", b"{}")) == candidate
    assert there.ran(there.function.invoke("live", b"{}")) == there.first


def test_who_saw_an_older_state_changes_nothing(there: Hands) -> None:
    # given
    stale, candidate = there.function.latest().revision, there.push("two")
    there.update(candidate)
    there.wait(UPDATE_SECONDS)
    before = there.function.latest()

    # then
    with pytest.raises(LookAgain, match="PreconditionFailedException"):
        there.function.update_code(there.first, "x86_64", stale)
    with pytest.raises(LookAgain, match="PreconditionFailedException"):
        there.function.publish(candidate, stale)
    assert there.function.latest() == before


def test_a_revision_of_an_update_that_was_under_way_is_stale_when_that_is_done(there: Hands) -> None:
    candidate = there.push("two")
    update(there, candidate)
    during = there.function.latest().revision
    there.wait(UPDATE_SECONDS)
    with pytest.raises(LookAgain, match="PreconditionFailedException"):
        there.function.publish(candidate, during)


def test_what_lambda_does_not_take_is_refused_and_changes_nothing(there: Hands) -> None:
    # given
    before, index, gone = there.function.latest(), there.push_index("a list"), there.push("gone")
    there.delete(gone)

    # then
    for candidate, why in (
        (Image(there.first.repository, NEVER_PUSHED), "does not exist"),
        (gone, "does not exist"),
        (index, "media type"),
    ):
        with pytest.raises(Refused, match=f"InvalidParameterValueException.*{why}"):
            there.function.update_code(candidate, "x86_64", before.revision)
    with pytest.raises(Refused, match="riscv64"):
        there.function.update_code(there.push("two"), "riscv64", before.revision)
    assert there.function.latest() == before


def test_the_architecture_is_the_one_that_was_asked_for(there: Hands) -> None:
    candidate = there.push("two", "arm64")
    there.function.update_code(candidate, "arm64", there.function.latest().revision)
    there.wait(UPDATE_SECONDS)
    assert there.function.latest().architecture == "arm64"
    there.configure()
    there.wait(UPDATE_SECONDS)
    assert there.function.latest().architecture == "arm64"


def test_an_update_that_fails_says_why_and_the_old_code_serves_on(there: Hands) -> None:
    # given: an image that goes while Lambda fetches it
    candidate, fix = there.push("two"), there.push("three")
    update(there, candidate)
    during = there.function.latest()
    there.delete(candidate)

    # when
    still = there.function.latest()
    there.wait(UPDATE_SECONDS)
    failed = there.function.latest()

    # then
    assert still == during
    assert (failed.image, failed.status) == (candidate, UpdateStatus.FAILED)
    assert failed.reason.startswith("ImageDeleted: ")
    assert failed.revision != during.revision
    assert there.ran(there.function.invoke("$LATEST", b"{}")) == there.first

    # when
    updated(there, fix)

    # then
    latest = there.function.latest()
    assert (latest.image, latest.status, latest.reason) == (fix, UpdateStatus.SUCCESSFUL, "")


def test_latest_whose_image_was_deleted_has_failed_until_it_is_updated(there: Hands) -> None:
    there.delete(there.first)
    latest = there.function.latest()
    assert (latest.status, latest.reason[:14]) == (UpdateStatus.FAILED, "ImageDeleted: ")

    update(there, there.push("two"))
    assert there.function.latest().status is UpdateStatus.IN_PROGRESS
    there.wait(UPDATE_SECONDS)
    assert there.function.latest().status is UpdateStatus.SUCCESSFUL


# -- versions


def test_a_new_version_is_pending_and_then_active(there: Hands) -> None:
    # given
    candidate = there.push("two")
    updated(there, candidate)

    # when
    made = there.function.publish(candidate, there.function.latest().revision)

    # then
    assert (made.number, made.image, made.state) == ("2", candidate, VersionState.PENDING)
    assert there.function.version("2").state is VersionState.PENDING
    with pytest.raises(LookAgain, match=r"ResourceConflictException.*Pending"):
        there.function.invoke("2", b"{}")
    there.wait(PENDING_SECONDS)
    assert there.function.version("2").state is VersionState.ACTIVE
    assert there.ran(there.function.invoke("2", b"{}")) == candidate
    assert there.function.live().number == "1"


def test_publishing_again_gives_the_same_version(there: Hands) -> None:
    # given
    candidate = there.push("two")
    number = released(there, candidate)
    before = there.function.latest()

    # when
    again = there.function.publish(candidate, before.revision)

    # then
    assert again == there.function.version(number)
    assert there.function.latest() == before


def test_publishing_what_a_version_is_made_of_already_gives_that_version(there: Hands) -> None:
    again = there.function.publish(there.first, there.function.latest().revision)
    assert again == there.function.version("1")


def test_a_change_that_was_taken_back_is_no_change(there: Hands) -> None:
    for candidate in (there.push("two"), there.first):
        updated(there, candidate)
    assert there.function.publish(there.first, there.function.latest().revision).number == "1"


def test_an_image_that_comes_back_after_another_version_is_a_version_of_its_own(there: Hands) -> None:
    released(there, there.push("two"))
    assert released(there, there.first) == "3"
    assert there.function.version("3").image == there.first


def test_another_configuration_makes_another_version_of_the_same_image(there: Hands) -> None:
    # given
    candidate = there.push("two")
    released(there, candidate)
    before = there.function.latest()

    # when
    there.configure()
    during = there.function.latest()
    there.wait(UPDATE_SECONDS)
    made = there.function.publish(candidate, there.function.latest().revision)

    # then
    assert (during.status, during.revision == before.revision) == (UpdateStatus.IN_PROGRESS, False)
    assert (made.number, made.image) == ("3", candidate)
    assert made.configuration == there.function.version("3").configuration
    assert made.configuration == there.function.latest().configuration
    assert made.configuration.differences(there.function.version("2").configuration) == ["Timeout"]


def test_a_version_is_never_made_of_an_image_that_somebody_slipped_in(there: Hands) -> None:
    meant, slipped_in = there.push("two"), there.push("three")
    updated(there, meant)
    there.update(slipped_in)
    there.wait(UPDATE_SECONDS)
    before = there.function.latest()
    with pytest.raises(LookAgain, match="somebody changed it"):
        there.function.publish(meant, before.revision)
    assert there.function.latest() == before


def test_a_version_that_idled_for_weeks_refuses_the_first_invocation_and_is_woken_by_it(there: Hands) -> None:
    # given
    there.idle()
    assert there.function.version("1").state is VersionState.INACTIVE

    # when
    with pytest.raises(LookAgain, match=r"ResourceConflictException.*Inactive"):
        there.function.invoke("1", b"{}")

    # then
    assert there.function.version("1").state is VersionState.PENDING
    with pytest.raises(LookAgain, match=r"ResourceConflictException.*Pending"):
        there.function.invoke("live", b"{}")
    there.wait(PENDING_SECONDS)
    assert there.function.version("1").state is VersionState.ACTIVE
    assert there.ran(there.function.invoke("live", b"{}")) == there.first


def test_a_function_that_idled_for_weeks_can_be_updated(there: Hands) -> None:
    there.idle()
    assert there.function.latest().status is UpdateStatus.SUCCESSFUL
    assert released(there, there.push("two")) == "2"


def test_a_version_whose_image_was_deleted_has_failed_until_it_is_pushed_again(there: Hands) -> None:
    # given
    candidate = there.push("two")
    number = released(there, candidate)
    there.move_live(number)
    there.delete(candidate)

    # then
    version = there.function.version(number)
    assert (version.state, version.reason[:14]) == (VersionState.FAILED, "ImageDeleted: ")
    assert there.function.live() == version
    for qualifier in (number, "live"):
        with pytest.raises(Refused, match="CodeArtifactUserFailedException"):
            there.function.invoke(qualifier, b"{}")

    assert there.push("two") == candidate
    assert there.function.version(number).state is VersionState.ACTIVE
    assert there.ran(there.function.invoke("live", b"{}")) == candidate


def test_a_version_whose_image_is_deleted_while_it_is_made_ready_fails(there: Hands) -> None:
    candidate = there.push("two")
    updated(there, candidate)
    there.function.publish(candidate, there.function.latest().revision)

    there.delete(candidate)

    there.wait(PENDING_SECONDS)
    assert there.function.version("2").state is VersionState.FAILED
    with pytest.raises(Refused):
        there.function.invoke("2", b"{}")


def test_a_version_that_nobody_made_is_refused(there: Hands) -> None:
    with pytest.raises(Refused, match="ResourceNotFoundException"):
        there.function.version("7")
    with pytest.raises(Refused, match="ResourceNotFoundException"):
        there.function.invoke("7", b"{}")


# -- the alias


def test_live_moves_for_whoever_saw_where_it_is(there: Hands) -> None:
    # given
    candidate = there.push("two")
    number = released(there, candidate)
    seen = there.function.live_revision("1")

    # when
    there.function.point_live(number, seen)

    # then
    assert (there.function.live().number, there.function.live().image) == (number, candidate)
    with pytest.raises(LookAgain, match="PreconditionFailedException"):
        there.function.point_live("1", seen)
    assert there.function.live().number == number
    there.function.point_live("1", there.function.live_revision(number))
    assert there.function.live().number == "1"


def test_who_expects_live_elsewhere_looks_again(there: Hands) -> None:
    number = released(there, there.push("two"))
    seen = there.function.live_revision("1")
    there.move_live(number)
    with pytest.raises(LookAgain, match=f"live moved from version 1 to {number}"):
        there.function.live_revision("1")
    with pytest.raises(LookAgain):
        there.function.point_live("1", seen)
    assert there.function.live_revision(number) != seen


def test_live_that_was_moved_away_and_back_is_not_as_it_was(there: Hands) -> None:
    number = released(there, there.push("two"))
    seen = there.function.live_revision("1")
    there.move_live(number)
    there.move_live("1")
    with pytest.raises(LookAgain):
        there.function.point_live(number, seen)


def test_live_never_points_at_a_version_that_nobody_made(there: Hands) -> None:
    with pytest.raises(Refused, match="ResourceNotFoundException"):
        there.function.point_live("7", there.function.live_revision("1"))
    assert there.function.live().number == "1"


def test_nothing_but_the_deployer_keeps_live_from_a_version_that_cannot_serve(there: Hands) -> None:
    candidate = there.push("two")
    updated(there, candidate)
    there.function.publish(candidate, there.function.latest().revision)
    there.function.point_live("2", there.function.live_revision("1"))
    with pytest.raises(LookAgain):
        there.function.invoke("live", b"{}")


def test_an_answer_says_which_version_gave_it(there: Hands) -> None:
    candidate = there.push("two")
    number = released(there, candidate)
    assert there.function.invoke("live", b"{}").executed_version == "1"
    assert there.function.invoke(number, b"{}").executed_version == number
    there.move_live(number)
    moved = there.function.invoke("live", b"{}")
    assert (moved.executed_version, there.ran(moved)) == (number, candidate)
    assert there.ran(there.function.invoke("1", b"{}")) == there.first
