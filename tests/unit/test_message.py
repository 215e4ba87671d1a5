"""What on-call reads."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deployer.message import about_alarm, compose
from deployer.model import (
    Alarm,
    CheckResult,
    Deployment,
    Hold,
    Image,
    Message,
    Moment,
    Origin,
    Phase,
    Place,
    Situation,
    Source,
    Verdict,
    Version,
)
from deployer.rollout import ENDED

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
CANDIDATE = Image("shuking-lambda", "sha256:" + "c" * 64)
PREVIOUS = Version("7", Image("shuking-lambda", "sha256:" + "a" * 64))
PLACEHOLDER = Version("1", Image("shuking-lambda", "sha256:" + "e" * 64))
PLACE = Place("shop stack", "eu-west-1", "123456789012", "shuking-lambda")
ILL = Verdict(
    (CheckResult("GET /health", False, '200 with {"status": "ok"}', "503 after 2.1 s: {}", 2.1, 2),),
    "START RequestId: 1\nKeyError: 'DATABASE_URL'\n",
)


def ended(*timeline: tuple[Phase, str], **facts: object) -> Deployment:
    moments = tuple(
        Moment(START + timedelta(seconds=second), phase, because)
        for second, (phase, because) in enumerate(timeline, start=1)
    )
    bare = Deployment("20260301T030000Z-1", CANDIDATE, Source.PUSH, START, timeline[-1][0], moments)
    return replace(bare, **facts)  # type: ignore[arg-type]  # a test's own keyword arguments, passed on


def message(deployment: Deployment) -> Message:
    return compose(deployment, service="shuking-prod", deployer="shuking-deployer", place=PLACE)


def pasted(told: Message, verb: str) -> list[str]:
    """The words of the one command with this verb, as a shell reads them."""
    [line] = [
        each for each in told.body.splitlines() if each.startswith("    deployer ") and f" {verb}" in each
    ]
    words = shlex.split(line)
    assert words[:5] == ["deployer", "--stack", "shop stack", "--region", "eu-west-1"]
    return words[5:]


REVERTED = ended(
    (Phase.UPDATING, "preflight passed"),
    (Phase.VERIFYING, "version 8 is ready"),
    (Phase.REVERTING, "GET /health answered 503 after 2.1 s: {}"),
    (Phase.REVERTED, "users are on version 7 (sha256:aaaaaaaaaaaa…): GET /health answered 200 after 0.1 s"),
    previous=PREVIOUS,
    live=PREVIOUS,
    version="8",
    origin=Origin("git-3f2a91"),
    before=Origin("git-91bc02"),
    verification=ILL,
)
ORIGIN = Origin("3f2a" * 10, "https://github.com/acme/shop", START - timedelta(minutes=10), "alice")
BEFORE = Origin("91bc" * 10, "https://github.com/acme/shop")


def test_the_first_line_says_what_happened_and_that_nobody_saw_it() -> None:
    first = message(REVERTED).body.splitlines()[0]

    assert first == (
        "shuking-prod: release git-3f2a91 was reverted: GET /health answered 503 after 2.1 s: {}. "
        "Users stayed on version 7 (git-91bc02); none saw the new one."
    )


def test_a_commit_is_named_by_its_first_digits_and_what_has_no_revision_by_its_digest() -> None:
    committed = replace(REVERTED, origin=Origin("3f2a91" + "0" * 34 + "-dirty"), before=Origin())

    first = message(committed).body.splitlines()[0]

    assert "release 3f2a91000000-dirty was reverted" in first
    assert "Users stayed on version 7 (sha256:aaaaaaaaaaaa…);" in first


def test_a_long_reason_is_cut_in_the_first_line_and_whole_below_it() -> None:
    long = f"it is an index. Build it so: docker buildx build {'--option ' * 50}."
    told = message(ended((Phase.REJECTED, long)))

    assert len(told.body.splitlines()[0]) < 450
    assert f"Why: {long}" in told.body


def test_a_reason_of_several_lines_leaves_the_first_line_one() -> None:
    told = message(ended((Phase.REJECTED, "a\nb\x1b[2Jc\r\nd")))

    assert "was rejected: a b\ufffd[2Jc d." in told.body.splitlines()[0]


def test_the_subject_is_one_plain_line() -> None:
    subject = message(REVERTED).subject

    assert subject == (
        "shuking-prod: release git-3f2a91 was reverted: GET /health answered 503 after 2.1 s: {}"
    )


@pytest.mark.parametrize("phase", sorted(ENDED))
@pytest.mark.parametrize("source", Source)
def test_what_happened_to_what_stands_in_the_first_70_letters_of_a_subject(
    phase: Phase, source: Source
) -> None:
    told = ended((phase, "because"), origin=Origin("r" * 200), source=source, version="12345")

    subject = compose(told, service="s" * 50, deployer="d", place=PLACE).subject

    outcome = {"STUCK": "is STUCK: a person is needed", "SUCCEEDED": "is live"}.get(
        phase, f"was {phase.lower()}"
    )
    assert subject.startswith("ssss")
    assert ("to version 12345 " if source is Source.ROLLBACK else "rrrrrrrr") in subject[:70]
    assert outcome in subject[:70]


def test_a_revert_tells_what_was_expected_what_came_and_what_the_log_said() -> None:
    body = message(REVERTED).body

    assert 'GET /health: expected 200 with {"status": "ok"}, got 503 after 2.1 s: {} (2 tries)' in body
    assert "    KeyError: 'DATABASE_URL'\n" in body
    assert "Now: users are on version 7" in body
    assert "2026-03-01 03:00:03  REVERTING   GET /health answered 503" in body


def test_the_command_it_offers_can_be_pasted() -> None:
    told = message(REVERTED)

    assert pasted(told, "retry") == ["retry", CANDIDATE.digest, "--reason", "it was not to blame"]
    assert pasted(told, "show") == ["show", REVERTED.id]
    assert pasted(told, "logs") == ["logs", "--since", "2026-03-01T03:00:01Z"]


def test_without_a_place_a_command_goes_where_its_readers_own_configuration_leads() -> None:
    told = compose(REVERTED, service="shuking-prod", deployer="shuking-deployer")

    assert f"    deployer retry {CANDIDATE.digest} --reason" in told.body
    assert "https://" not in told.body


def test_what_changed_is_told_with_who_made_it_and_where_to_read_it() -> None:
    told = message(replace(REVERTED, origin=ORIGIN, before=BEFORE))

    assert (
        "Changed: 91bc91bc91bc (sha256:aaaaaaaaaaaa…) -> 3f2a3f2a3f2a (sha256:cccccccccccc…)\n"
        "  committed 2026-03-01 02:50 UTC, built by alice\n"
        f"  compare: https://github.com/acme/shop/compare/{BEFORE.revision}...{ORIGIN.revision}\n"
    ) in told.body
    assert "compare" in [link.what for link in told.links]
    assert "https://" not in told.brief


def test_whoever_built_it_stays_on_one_line() -> None:
    told = message(replace(REVERTED, origin=Origin(built_by="x\nNext:\n  rm -rf /\x1b[2J")))

    assert "  built by x Next: rm -rf /\ufffd[2J\n" in told.body


def test_links_lead_to_the_logs_the_version_the_image_and_the_dashboard() -> None:
    told = message(REVERTED)

    assert [link.what for link in told.links] == [
        "service log",
        "deployer log",
        "version 8",
        "image",
        "dashboard",
    ]
    assert all(f"  {link.what}: {link.url}\n" in told.body for link in told.links)


def test_the_timeline_is_the_last_part() -> None:
    """`deployer wait` leaves it out: it has told it move by move."""
    assert message(REVERTED).body.strip().rpartition("\n\n")[2].startswith("Timeline of deployment")


MOVED_BACK = ended(
    (Phase.UPDATING, "preflight passed"),
    (Phase.PROMOTING, "GET /health answered 200"),
    (Phase.CONFIRMING, "live points at version 8"),
    (Phase.REVERTING, "through live: GET /health answered 503"),
    (Phase.REVERTED, "users are on version 7"),
    previous=PREVIOUS,
    live=PREVIOUS,
    version="8",
    confirmation=ILL,
)


def test_users_who_may_have_met_a_bad_version_are_not_passed_over() -> None:
    body = message(MOVED_BACK).body

    assert (
        "Some users may have met the new version between 03:00:02 and 03:00:05 UTC; "
        "now live is on version 7 (sha256:aaaaaaaaaaaa…)." in body
    )
    assert "got 503 after 2.1 s" in body


def test_a_live_alias_that_a_person_moved_is_told_as_it_is() -> None:
    elsewhere = Version("5", Image("shuking-lambda", "sha256:" + "5" * 64))

    body = message(replace(REVERTED, live=elsewhere)).body

    assert "This deployment moved no user: live is on version 5 (sha256:555555555555…)." in body
    assert "Where live is could not be seen" in message(replace(REVERTED, live=None)).body


def test_a_retry_of_what_is_live_says_what_users_are_on() -> None:
    on_it = Version("8", CANDIDATE)

    body = message(replace(REVERTED, live=on_it, previous=on_it)).body

    assert "Users are on this very image, as version 8." in body


def test_a_superseded_deployment_says_by_what() -> None:
    superseded = ended(
        (Phase.UPDATING, "preflight passed"),
        (Phase.REVERTING, "a newer release was pushed: sha256:dddddddddddd…"),
        (Phase.SUPERSEDED, "users stayed on version 7 (sha256:aaaaaaaaaaaa…)"),
        previous=PREVIOUS,
        live=PREVIOUS,
    )

    first = message(superseded).body.splitlines()[0]

    assert "was superseded: a newer release was pushed: sha256:dddddddddddd…. Users stayed on" in first


def test_a_success_says_so_and_offers_nothing_to_do() -> None:
    succeeded = ended(
        (Phase.UPDATING, "preflight passed"),
        (Phase.SUCCEEDED, "live is version 8: GET /health answered 200 after 0.1 s"),
        previous=PREVIOUS,
        warnings=("no release was live before",),
    )

    told = message(succeeded)

    assert told.subject == "shuking-prod: release sha256:cccccccccccc is live"
    assert "Before it: version 7 (sha256:aaaaaaaaaaaa…)." in told.body
    assert "Note: no release was live before." in told.body
    assert "Next:" not in told.body
    assert "Why:" not in told.body


def test_what_was_live_already_needed_nothing() -> None:
    told = message(ended((Phase.SUCCEEDED, "sha256:cccccccccccc… is live already, as version 8")))

    assert "Nothing had to be changed." in told.body


def test_a_rejection_says_that_the_function_was_not_touched() -> None:
    told = message(ended((Phase.REJECTED, "it is an image index")))

    assert "was rejected: it is an image index. The function was not touched." in told.body
    assert "Now:" not in told.body


def test_stuck_says_first_what_failed_and_then_what_could_not_be_undone() -> None:
    on_it = Version("8", CANDIDATE)
    gone = Moment(START, Phase.STUCK, "version 7 is no way back: its image is gone from the registry")
    stuck = replace(MOVED_BACK, phase=Phase.STUCK, timeline=(*MOVED_BACK.timeline[:-1], gone), live=on_it)

    told = message(stuck)

    assert told.subject.endswith("is STUCK: a person is needed")
    assert "GET /health answered 503. Then version 7 is no way back" in told.body
    assert "Users are on the new version, since 03:00:02 UTC or shortly after." in told.body
    assert pasted(told, "rollback") == [
        *("rollback", "--to", "7"),
        *("--reason", f"deployment {stuck.id} is stuck"),
    ]
    assert " retry " not in told.body
    hopeless = message(replace(stuck, no_way_back=True)).body
    assert "There is no other version to go to. Push a fix" in hopeless
    assert "rollback" not in hopeless


def test_a_hold_that_a_stuck_deployment_set_is_told_beside_the_way_back() -> None:
    gone = Moment(START, Phase.STUCK, "live could not be moved back")
    on_it = Version("8", CANDIDATE)
    stuck = replace(MOVED_BACK, phase=Phase.STUCK, timeline=(*MOVED_BACK.timeline[:-1], gone), live=on_it)

    told = message(replace(stuck, trips="breaker-1")).body

    assert " rollback --to 7 " in told
    assert "Deployments hold themselves now" in told
    assert told.count(" resume\n") == 2
    assert "hold themselves" not in message(stuck).body


def test_a_stuck_deployment_that_no_user_met_says_so() -> None:
    stuck = ended(
        (Phase.UPDATING, "preflight passed"),
        (Phase.REVERTING, "GET /health answered 503"),
        (Phase.STUCK, "putting $LATEST back failed"),
        previous=PREVIOUS,
        live=PREVIOUS,
    )

    assert "none saw the new one" in message(stuck).body
    assert pasted(message(stuck), "retry")[-1] == "its cause is gone"


def test_when_both_fail_what_users_are_on_is_shown() -> None:
    both = replace(
        REVERTED,
        phase=Phase.STUCK,
        restoration=Verdict(
            (CheckResult("GET /health", False, "200", "500 after 0.3 s", 0.3, 2),), "no database"
        ),
    )

    assert "got 500 after 0.3 s" in message(both).body
    assert "no database" in message(both).body


def test_a_check_that_was_tried_once_says_once() -> None:
    once = replace(ILL, results=(replace(ILL.results[0], tries=1),), log_tail=" ")

    body = message(replace(REVERTED, verification=once)).body

    assert "(1 try)" in body
    assert "log lines" not in body


ALARM = Alarm("shuking-prod-errors", "Threshold Crossed: 1 datapoint", START + timedelta(minutes=9))
LIVE = Version("8", CANDIDATE)
HELD = Hold("bob", "incident 42", START)
RELEASED = ended(
    (Phase.CONFIRMING, "live points at version 8"),
    (Phase.SUCCEEDED, "live is version 8"),
    previous=PREVIOUS,
    origin=Origin("git-3f2a91"),
    version="8",
)


def rang(situation: Situation | None, alarm: Alarm = ALARM) -> Message:
    return about_alarm(
        alarm,
        situation,
        service="shuking-prod",
        place=PLACE,
        placeholders=frozenset({PLACEHOLDER.image.digest}),
    )


def test_an_alarm_is_told_with_the_release_that_users_are_on_and_the_way_back() -> None:
    told = rang(Situation(LIVE, RELEASED))

    assert told.subject == "shuking-prod: alarm shuking-prod-errors went red"
    assert told.body.startswith(
        "shuking-prod: alarm shuking-prod-errors went red at 2026-03-01 03:09:00 UTC: Threshold Crossed"
    )
    assert "release git-3f2a91 (sha256:cccccccccccc…), version 8, 9 minutes before." in told.body
    assert pasted(told, "rollback") == [
        *("rollback", "--reason", "alarm shuking-prod-errors"),
        *("--request", f"{RELEASED.id}-back"),
    ]
    assert [link.what for link in told.links] == ["service log", "dashboard"]
    assert told.thread == RELEASED.id


def test_a_release_of_last_week_is_told_with_its_date() -> None:
    told = rang(Situation(LIVE, RELEASED), replace(ALARM, since=START + timedelta(days=7)))

    assert "version 8, since 2026-03-01 03:00 UTC." in told.body


def test_a_hold_is_told_and_does_not_stop_the_way_back() -> None:
    told = rang(Situation(LIVE, RELEASED, HELD))

    assert "Deployments are held by bob (incident 42)." in told.body
    assert pasted(told, "rollback")


def test_an_alarm_about_a_release_that_is_stuck_says_so_and_goes_back_to_what_was_before_that_one() -> None:
    told = rang(Situation(LIVE, replace(RELEASED, phase=Phase.STUCK)))

    assert "Its deployment is STUCK. Before it: version 7" in told.body
    assert pasted(told, "rollback")


def test_an_alarm_while_a_release_is_confirmed_leaves_it_to_the_deployer() -> None:
    told = rang(Situation(LIVE, replace(RELEASED, phase=Phase.CONFIRMING)))

    assert "what fails is put back by itself" in told.body
    assert "rollback" not in told.body


def test_an_alarm_after_the_first_release_sends_nobody_back_to_the_placeholder() -> None:
    told = rang(Situation(LIVE, replace(RELEASED, previous=PLACEHOLDER)))

    assert "It was the first release, so there is nothing to go back to" in told.body
    assert "rollback" not in told.body


def test_an_alarm_on_what_somebody_put_live_by_hand_gives_no_way_back() -> None:
    told = rang(Situation(PREVIOUS, None, HELD))

    assert "Users are on version 7 (sha256:aaaaaaaaaaaa…). Somebody moved live there by hand" in told.body
    assert "rollback" not in told.body
    assert told.thread == "shuking-prod-errors"


def test_an_alarm_is_told_although_nothing_else_can_be_read() -> None:
    told = rang(None)

    assert "What is live could not be read" in told.body
    assert "rollback" not in told.body


def test_an_alarms_words_cannot_end_the_quotes_of_a_command() -> None:
    told = rang(Situation(LIVE, RELEASED), replace(ALARM, name="x'; rm -rf /; '"))

    assert pasted(told, "rollback")[:3] == ["rollback", "--reason", "alarm x'; rm -rf /; '"]
