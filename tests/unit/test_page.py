"""The dashboard's page: what a person sees, and that nobody's text can be more than text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer import page
from deployer.events import Ignored, parse
from deployer.model import (
    Asked,
    Book,
    CheckResult,
    Command,
    Deployment,
    Hold,
    Image,
    Moment,
    Notice,
    Origin,
    Phase,
    Source,
    Verdict,
    Version,
    VersionState,
    deployment_id,
)
from deployer.page.style import style
from deployer.page.timeline import apart, narrow
from deployer.stats import measure
from tests import scenes
from tests.fakes import image
from tests.unit.test_settings import DEPLOYER_ARN as DEPLOYER

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WEEK = page.Span(NOW - timedelta(days=7), NOW)
URI = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shuking-lambda"
LIMIT = 200_000
HEALTHY = "GET /health answered 200 after 0.3 s"
ILL = "GET /health answered 503 after 2.1 s"

ELEMENTS = {
    "br",
    "button",
    "code",
    "cwdb-action",
    "dd",
    "div",
    "dl",
    "dt",
    "form",
    "h2",
    "h3",
    "input",
    "label",
}
ELEMENTS |= {"li", "ol", "p", "pre", "section", "span", "strong", "style"}
ELEMENTS |= {"caption", "table", "tbody", "td", "th", "thead", "tr"}
DRAWN = {"circle", "g", "path", "rect", "svg", "text", "title"}  # SVG
EMPTY = {"br", "input"}
CLASSES = set(re.findall(r"\.([a-z-]+)", style("light"))) | {
    "cwdb-no-default-styles",
    "answer",
    "btn",
    "check",
    "tip",
}
VERBS = {"hold", "resume", "rollback", "retry", "abort"}
# What an attribute may be. Of those with None, the value is foreign, and only has to be text.
ATTRIBUTES: dict[str, str | None] = {
    "dir": "auto",
    "data-part": "[a-z-]+",
    "data-outcome": "[a-z-]+|[A-Z]+",
    "data-verb": "|".join(VERBS),
    "data-label": "expected|actual",
    "scope": "col",
    "tabindex": "0",
    "role": "img|region",
    "aria-hidden": "true",
    "focusable": "false",
    "viewbox": r"[-0-9. ]+",
    "transform": r"translate\([-0-9. ]+\)( scale\([0-9.]+\))?",
    "d": r"[-MLHVZlhvazm0-9., ]+",
    "text-anchor": "end|middle",
    **dict.fromkeys(("width", "height", "x", "y", "r", "rx"), "[0-9.]+"),
    "type": "text|button",
    "name": "by|because",
    "maxlength": "200|700",
    "required": "",
    "action": "call",
    "display": "popup",
    "endpoint": re.escape(DEPLOYER),
    "aria-label": None,
    "value": None,
    "confirmation": r"[ -~…]+",  # no foreign text
}


class Seen(HTMLParser):
    """A browser's view of the page: its elements, its text, and its style sheet. It fails at any element,
    attribute or value that is not ours."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.texts: list[str] = []
        self.style = ""
        self.headline = ""
        self.parts: set[str] = set()
        self.cards: dict[str, str] = {}  # title -> text
        self.tones: dict[str, set[str]] = {}  # title -> what is said by colour
        self.tone: set[str] = set()
        self.banner: set[str] = set()  # the same of the banner
        self.card = 0  # how deep the present card lies
        self.rows: list[list[str]] = []  # of the table of deployments
        self.row = False
        self.tips: list[str] = []  # of the timeline's bars
        self.drawn: list[str] = []  # outcomes of its bars
        self.written: list[str] = []  # its texts
        self.fields: dict[str, str] = {}
        self.actions: dict[str, dict[str, Any]] = {}  # verb -> what its button sends, and asks before
        self.verb = ""
        self.last: tuple[str, str] = ("", "")
        self.feed(html)
        self.close()
        assert not self.inside, f"not closed: {self.inside}"

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        svg = "svg" in self.inside or tag == "svg"
        assert tag in (DRAWN if svg else ELEMENTS), tag
        given = {name: value or "" for name, value in attrs}
        classes = given.pop("class", "").split()
        assert CLASSES.issuperset(classes), classes
        if "title" in given:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", given.pop("title"))
        for name, value in given.items():
            pattern = ATTRIBUTES[name]
            assert pattern is None or re.fullmatch(pattern, value), (name, value)
        self._note(tag, classes, given)
        if tag not in EMPTY:
            self.inside.append(tag)

    def _note(self, tag: str, classes: list[str], given: dict[str, str]) -> None:
        self.parts |= {given["data-part"]} if "data-part" in given else set()
        if "card" in classes:
            self.card, self.tone = len(self.inside) + 1, {*classes} - {"card", "quiet", "act"}
        if "banner" in classes:
            self.banner = {*classes} - {"banner"}
        match tag:
            case "tr":
                self.row = "data-outcome" in given
                if self.row:
                    self.rows.append([])
            case "td" if self.row:
                self.rows[-1].append("")
            case "g" if "data-outcome" in given:
                self.drawn.append(given["data-outcome"])
            case "input":
                self.fields[given["name"]] = given.get("value", "")
            case "cwdb-action":
                assert self.last[0] == "button", "an action is the very next element after its button"
                self.verb = self.last[1]
                self.actions[self.verb] = {"asks": given["confirmation"]}
        self.last = (tag, given.get("data-verb", ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.inside, tag
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag
        if len(self.inside) < self.card:
            self.card = 0

    def handle_data(self, data: str) -> None:
        match self.inside[-1]:
            case "style":
                self.style += data
                return
            case "cwdb-action":
                self.actions[self.verb] |= json.loads(data)
                return
            case "title":
                self.tips.append(data)
                return
            case "text":
                self.written.append(data)
                return
            case "h2":
                self.headline = data
        self.texts.append(data)
        if "td" in self.inside and self.row:
            self.rows[-1][-1] += data
        elif self.inside[-1] == "h3" and self.card == len(self.inside) - 1:
            self.cards[data], self.tones[data] = "", self.tone
        elif self.card:
            self.cards[list(self.cards)[-1]] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_decl(self, decl: str) -> None:
        self.handle_comment(decl)

    def handle_pi(self, data: str) -> None:
        self.handle_comment(data)

    def unknown_decl(self, data: str) -> None:
        self.handle_comment(data)


def deployment(
    name: str, *timeline: tuple[float, Phase, str], minutes_ago: float = 60, **facts: Any
) -> Deployment:
    at = NOW - timedelta(minutes=minutes_ago)
    moments = tuple(
        Moment(at + timedelta(seconds=after), phase, because) for after, phase, because in timeline
    )
    phase = timeline[-1][1] if timeline else Phase.REQUESTED
    made = Deployment(deployment_id(at, name), image(name), Source.PUSH, at, phase, moments)
    return replace(made, **facts)


def good(name: str = "good", number: str = "8", minutes_ago: float = 60) -> Deployment:
    return deployment(
        name,
        (1, Phase.UPDATING, "preflight passed"),
        (5, Phase.PROMOTING, "healthy"),
        (6, Phase.CONFIRMING, "live moved"),
        (9, Phase.SUCCEEDED, HEALTHY),
        minutes_ago=minutes_ago,
        version=number,
        live=Version(number, image(name)),
        origin=Origin(f"git-{name}"),
    )


def reverted(name: str = "bad", minutes_ago: float = 30) -> Deployment:
    return deployment(
        name,
        (1, Phase.UPDATING, "preflight passed"),
        (12, Phase.REVERTING, ILL),
        (18, Phase.REVERTED, "users are on version 8"),
        minutes_ago=minutes_ago,
    )


LIVE = Version("8", image("good"))


def show(
    book: Book | None = Book(),  # noqa: B008  frozen
    history: Sequence[Deployment] | None = (),
    live: Version | None = LIVE,
    theme: str = "light",
    problems: Sequence[str] = (),
    **more: Any,
) -> Seen:
    shown = page.render(
        book,
        history,
        live,
        now=NOW,
        theme=theme,
        service="shuking-prod",
        repository_uri=URI,
        problems=problems,
        **more,
    )
    assert len(shown.encode()) < LIMIT
    return Seen(shown)


# -- what a person sees


def test_before_the_first_release_it_says_how_to_make_one() -> None:
    seen = show()

    assert seen.headline == "no release yet"
    assert f"docker push {URI}:RELEASE_TAG" in seen.text
    assert seen.rows == []
    assert seen.cards["Last failure"] == "none"
    assert (seen.tones["Live"], show(history=[good()]).tones["Live"]) == (set(), {"good"})


def test_what_is_live_is_told_with_its_revision_and_since_when() -> None:
    seen = show(history=[good()])

    assert seen.headline == "the last release is live"
    assert "version 8" in seen.cards["Live"]
    assert "git-good" in seen.cards["Live"]
    assert str(image("good")) in seen.cards["Live"]
    assert "since 2026-03-01 11:00:06 (59 min ago)" in seen.cards["Live"]


def test_users_are_back_on_the_old_version_since_the_revert_of_what_they_met() -> None:
    met = deployment(
        "bad",
        (1, Phase.PROMOTING, "healthy"),
        (2, Phase.CONFIRMING, "live moved"),
        (3, Phase.REVERTING, ILL),
        (5, Phase.REVERTED, "users are on version 8"),
        minutes_ago=10,
        version="9",
        live=LIVE,
    )

    assert "since 2026-03-01 11:50:05" in show(history=[met, good()]).cards["Live"]


def test_a_failure_that_no_user_met_does_not_change_since_when_live_is_there() -> None:
    assert "since 2026-03-01 11:00:06" in show(history=[reverted(), good()]).cards["Live"]


def test_what_a_deployment_under_way_made_live_is_live_since_then() -> None:
    moving = deployment(
        "next",
        (1, Phase.PROMOTING, "healthy"),
        (2, Phase.CONFIRMING, "live moved"),
        minutes_ago=1,
        version="9",
    )

    seen = show(Book(open=(moving,)), [good()], Version("9", image("next")))

    assert "since 2026-03-01 11:59:02" in seen.cards["Live"]


def test_a_live_that_somebody_moved_by_hand_is_told_as_it_is() -> None:
    seen = show(history=[good()], live=Version("5", image("old")))

    assert seen.headline == "live is not on the last release"
    assert "since when: not in the ledger" in seen.cards["Live"]


def test_a_live_version_that_lambda_cannot_run_comes_first() -> None:
    seen = show(history=[good()], live=replace(LIVE, state=VersionState.FAILED, reason="ImageDeleted: gone"))

    assert seen.headline == "the live version cannot run"
    assert "Lambda calls it Failed. ImageDeleted: gone" in seen.cards["Live"]


def test_what_is_under_way_tells_its_phase_its_reason_and_for_how_long() -> None:
    verifying = deployment("next", (2, Phase.VERIFYING, "version 9 is ready"), minutes_ago=0.5)
    waiting = deployment("newest", minutes_ago=0.1)

    seen = show(Book(open=(verifying, waiting)), [good()])

    assert seen.headline == "deploying: verifying"
    told = seen.cards["Under way"]
    assert f"verifying {image('next')}version 9 is ready" in told
    assert "for 28 s, requested 30 s ago" in told
    assert f"waiting {image('newest')}requested 6 s ago" in told


def test_more_requests_than_anybody_reads_are_counted() -> None:
    seen = show(Book(open=tuple(deployment(f"request-{n}") for n in range(8))))

    assert seen.headline == "a release is waiting"
    assert seen.cards["Under way"].endswith("and 3 more")


def test_a_hold_tells_who_why_and_since_when() -> None:
    hold = Hold("alice", "incident 42", NOW - timedelta(hours=3))

    seen = show(Book(hold=hold), [good()])

    assert seen.headline == "held"
    assert seen.cards["Hold"] == "held by aliceincident 42since 2026-03-01 09:00:00 (3 h ago)"


def test_whoever_acted_by_an_arn_is_called_by_name() -> None:
    arn = "arn:aws:sts::123456789012:assumed-role/oncall/alice"
    asked = replace(good(), by=arn, source=Source.RETRY)

    seen = show(Book(hold=Hold(arn, "incident 42", NOW)), [asked])

    assert seen.cards["Hold"].startswith("held by alice (oncall)")
    assert seen.rows[0][4].startswith("retry by alice (oncall). ")


def test_the_last_failure_tells_what_turned_it_round_not_how_it_was_put_back() -> None:
    seen = show(history=[reverted(), good()])

    assert seen.headline == "the last release was reverted"
    assert seen.cards["Last failure"].startswith(f"reverted {image('bad')}{ILL}2026-03-01")


def test_a_failure_that_was_left_behind_calls_nobody() -> None:
    again = replace(good("mended", "9", minutes_ago=5), origin=Origin())

    seen = show(history=[again, reverted()], live=Version("9", image("mended")))

    assert ILL in seen.cards["Last failure"]
    assert seen.tones["Last failure"] == set()
    assert show(history=[reverted()]).tones["Last failure"] == {"bad"}


def test_without_a_failure_it_says_how_far_it_looked() -> None:
    assert show(history=[good()]).cards["Last failure"] == "none in the last 1 deployment"


def test_a_deployment_that_is_stuck_comes_before_everything_else() -> None:
    stuck = deployment("bad", (1, Phase.REVERTING, ILL), (9, Phase.STUCK, "version 8 cannot serve"))

    seen = show(Book(hold=Hold("alice", "incident", NOW)), [stuck], problems=["something"])

    assert seen.headline == "STUCK: a person is needed"
    assert f"{ILL}. Then version 8 cannot serve" in seen.cards["Last failure"]


def test_a_row_is_one_deployment() -> None:
    warned = replace(good(), warnings=("$LATEST was changed by somebody",))

    rows = show(history=[warned]).rows

    assert rows == [
        [
            "2026-03-01 11:00:00",
            "succeeded",
            f"git-good {image('good')}",
            "9 s",
            f"{HEALTHY}. Note: $LATEST was changed by somebody",
        ]
    ]


def test_every_outcome_has_its_word() -> None:
    ends = [
        phase
        for phase in Phase
        if phase.value in {"SUCCEEDED", "REJECTED", "SUPERSEDED", "REVERTED", "STUCK"}
    ]

    rows = show(history=[deployment(end, (1, end, "because")) for end in ends]).rows

    assert [row[1] for row in rows] == ["succeeded", "rejected", "superseded", "reverted", "STUCK"]


def test_the_table_ends_after_twenty() -> None:
    rows = show(history=[good(f"{n}", minutes_ago=n) for n in range(30)]).rows

    assert len(rows) == page.HISTORY


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "0 s"),
        (119, "119 s"),
        (121, "2 min 1 s"),
        (1800, "30 min"),
        (7200, "2 h"),
        (3 * 86400, "3 days"),
    ],
)
def test_how_long_it_took_is_told_as_a_person_would(seconds: float, told: str) -> None:
    assert show(history=[deployment("x", (seconds, Phase.REJECTED, "no"))]).rows[0][3] == told


def test_what_could_not_be_read_is_said_in_its_place_and_why() -> None:
    seen = show(None, None, LIVE, problems=["the history: AccessDeniedException"])

    assert seen.headline == "not everything could be read"
    assert seen.cards["Could not be read"] == "the history: AccessDeniedException"
    assert seen.cards["Live"].endswith("since when: could not be read")
    assert {seen.cards[name] for name in ("Under way", "Hold", "Messages", "Last failure")} == {
        "could not be read"
    }
    assert "No release yet" not in seen.text


def test_a_live_that_could_not_be_read_leaves_the_rest() -> None:
    seen = show(history=[good()], live=None, problems=["what is live: throttled"])

    assert seen.cards["Live"] == "could not be read"
    assert len(seen.rows) == 1


# -- whether anybody is needed


def test_red_is_what_needs_a_person_and_nothing_else() -> None:
    stuck = deployment("bad", (1, Phase.REVERTING, ILL), (9, Phase.STUCK, "version 8 cannot serve"))

    assert show(history=[stuck]).banner == {"bad"}
    assert show(history=[good()], live=replace(LIVE, state=VersionState.FAILED)).banner == {"bad"}
    for scene in ("empty", "one", "calm", "reverted", "held", "under-way", "five-hundred"):
        assert Seen(scenes.draw(scenes.SCENES[scene]())).banner <= {"good", "care", "busy", "calm"}, scene


def test_a_release_that_was_put_back_can_wait() -> None:
    assert "Users are back where they were. The release needs a fix; it can wait until morning." in (
        show(history=[reverted(), good()]).text
    )


def test_messages_that_were_not_delivered_are_told() -> None:
    book = Book(notices=(Notice(reverted(), 2, NOW + timedelta(seconds=40)), Notice(good())))

    told = show(book, [reverted(), good()]).cards["Messages: 2 not delivered yet"]

    assert f"reverted {image('bad')} tried 2 times, again in 40 s" in told
    assert "not tried yet" in told
    assert show(history=[good()]).cards["Messages"] == "all delivered"


# -- the last failure in full


def test_the_last_failure_tells_the_failed_check_the_change_the_way_and_the_log() -> None:
    told = Seen(scenes.draw(scenes.SCENES["reverted"]())).cards["Last failure"]

    assert 'GET /health200 with {"status": "ok"}503: {"status": "error"' in told
    assert "(3 tries)" in told
    assert "No user met it." in told
    for part in (
        "before",
        "version 30",
        "this release",
        "version 31",
        "built bydana",
        "https://github.com/example",
    ):
        assert part in told
    assert "11:42:16verifying13 sversion 31 is ready" in told
    assert "psycopg.OperationalError" in told


def test_users_who_may_have_met_it_are_told_from_when_until_when() -> None:
    met = deployment(
        "bad",
        (1, Phase.PROMOTING, "healthy"),
        (2, Phase.CONFIRMING, "live moved"),
        (3, Phase.REVERTING, ILL),
        (5, Phase.REVERTED, "users are on version 8"),
        minutes_ago=10,
    )

    assert "Users may have met it from 11:50:01 until 11:50:05." in show(history=[met]).cards["Last failure"]


# -- the timeline


def drawn(history: Sequence[Deployment], width: int = 1000, span: page.Span = WEEK, **more: Any) -> Seen:
    return show(history=history, span=span, ranged=history, width=width, **more)


def test_a_bar_is_a_deployment_in_the_order_of_time() -> None:
    seen = drawn([reverted(), good()])

    assert seen.drawn == ["succeeded", "reverted"]
    assert seen.tips == [
        f"2026-03-01 11:00:00, succeeded in 9 s: git-good {image('good')}",
        f"2026-03-01 11:30:00, reverted in 18 s: {image('bad')}",
    ]
    assert "git-good" in seen.written
    assert "2 deployments: 1 succeeded, 1 reverted" in seen.cards["Deployments of the last 7 days"]


def test_what_is_under_way_is_the_last_bar() -> None:
    going = deployment("next", (2, Phase.VERIFYING, "version 9 is ready"), minutes_ago=0.5)

    seen = drawn([good()], book=Book(open=(going,)))

    assert seen.drawn == ["succeeded", "under-way"]
    assert "verifying for 30 s" in seen.tips[-1]


@pytest.mark.parametrize("width", [400, 800, 1600])
def test_five_hundred_deployments_are_intervals_that_count_all_of_them(width: int) -> None:
    seen = drawn(scenes.week(500), width)

    assert 0 < len(seen.drawn) <= width // 15
    counts = [int(found) for tip in seen.tips for found in re.findall(r": (\d+) deployments?, ", tip)]
    assert sum(counts) == 500


def test_a_time_range_without_deployments_says_so_and_the_table_has_the_newest_all_the_same() -> None:
    hour = page.Span(NOW - timedelta(minutes=20), NOW)

    seen = show(history=[good()], span=hour, ranged=[], stats=measure([good()], hour.since, hour.until))

    assert seen.cards["Deployments of the last 20 min"].startswith("None.")
    assert "The newest deployments; none ended in the time range" in seen.text
    assert len(seen.rows) == 1
    assert "figures" not in seen.parts


def test_the_table_is_of_the_time_range_and_what_is_so_now_is_not() -> None:
    then = page.Span(NOW - timedelta(days=3), NOW - timedelta(days=2))
    old = reverted("old", minutes_ago=60 * 50)

    seen = show(history=[good(), old], span=then, ranged=[old])

    assert seen.headline == "the last release is live"
    assert [row[1] for row in seen.rows] == ["reverted"]
    assert "Deployments of Feb 26, 12:00 to Feb 27, 12:00" in seen.cards


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60).map(sorted), st.floats(0.1, 16))
def test_bars_never_cover_each_other_and_stay_in_their_order(wanted: list[float], gap: float) -> None:
    places = apart(wanted, gap, 0, 1000)

    assert all(b - a >= gap - 1e-6 for a, b in pairwise(places))
    assert places[0] >= -1e-6
    assert places[-1] <= 1000 + 1e-6
    if all(b - a >= gap for a, b in pairwise(wanted)) and wanted[-1] <= 1000 - gap:
        assert places == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("git-64ae671", "git-64ae671"),
        ("x" * 50, "x" * 12 + "…"),
        ("릴리스실패다", "릴리스실패다"),
        ("字" * 9, "字" * 6 + "…"),
    ],
)
def test_a_name_is_as_long_as_there_is_room(name: str, shown: str) -> None:
    assert narrow(name, 12) == shown


def test_the_figures_are_those_of_the_time_range() -> None:
    committed = NOW - timedelta(minutes=75)
    known = replace(good(), origin=Origin("git-good", None, committed))

    seen = show(history=[known], span=WEEK, ranged=[known], stats=measure([known], WEEK.since, WEEK.until))

    assert seen.cards["Deployments a day"] == "0.11 came to users"
    assert seen.cards["Change failure rate"] == "0%0 of 1 failed; 0 caught before users"
    assert seen.cards["Time to restore"] == "noneno failure that users met"
    assert seen.cards["Lead time"] == "15 minfrom commit to live, in the middle of 1"


# -- the buttons


def buttons(book: Book, history: Sequence[Deployment], **more: Any) -> dict[str, dict[str, Any]]:
    return show(book, history, deployer=DEPLOYER, **more).actions


HOLD = Hold("alice", "incident 42", NOW, "hold-1")
GOING = deployment("next", (2, Phase.VERIFYING, "version 9 is ready"), minutes_ago=0.5)


def test_there_is_a_button_for_what_makes_sense_now_and_for_nothing_else() -> None:
    assert set(buttons(Book(), [])) == {"hold"}
    assert set(buttons(Book(), [good()])) == {"hold", "rollback"}
    assert set(buttons(Book(hold=HOLD), [good()])) == {"resume", "rollback"}
    assert set(buttons(Book(), [reverted(), good()])) == {"hold", "rollback", "retry"}
    assert set(buttons(Book(open=(GOING,)), [good()])) == {"hold", "abort"}
    assert show(None, None, problems=["no"], deployer=DEPLOYER).actions == {}
    assert show(history=[good()]).actions == {}


def test_what_is_on_its_way_back_or_was_aborted_is_not_aborted_again() -> None:
    back = deployment("next", (2, Phase.REVERTING, ILL), minutes_ago=0.5)
    aborted = Command("abort", Asked("a", "alice", "x"), NOW, GOING.id)

    assert set(buttons(Book(open=(back,)), [good()])) == {"hold"}
    assert set(buttons(Book(open=(GOING,), aborts=(aborted,)), [good()])) == {"hold"}


def test_a_failure_that_a_newer_release_left_behind_is_not_retried() -> None:
    assert "retry" not in buttons(Book(), [good(minutes_ago=5), reverted(minutes_ago=30)])


def test_a_button_sends_what_the_deployer_takes() -> None:
    found = buttons(Book(hold=HOLD, open=(GOING,)), [reverted(), good()])

    assert found["retry"]["digest"] == image("bad").digest
    assert found["retry"]["hold"] == "hold-1"
    assert found["abort"]["deployment"] == GOING.id
    for verb, sent in found.items():
        fields = {"forms": {"all": {"by": "alice", "because": "incident 42"}}}
        sent.pop("asks")
        asked = parse(
            {**sent, "widgetContext": fields},
            repository="shuking-lambda",
            account="1",
            release_tag="latest",
            request_id="r",
        )
        assert sent["command"] == verb
        assert not isinstance(asked, Ignored)
        assert asked.asked == Asked(sent["request"], "alice", "incident 42")  # type: ignore[union-attr]


def test_a_double_click_is_one_wish_and_a_click_on_a_later_page_is_another() -> None:
    first, again = (buttons(Book(), [good()])["hold"]["request"] for _ in range(2))
    held = buttons(Book(hold=HOLD), [good()])["rollback"]["request"]

    assert first == again
    assert held != buttons(Book(), [good()])["rollback"]["request"]
    later = page.render(Book(), [good()], LIVE, now=NOW + timedelta(seconds=1), theme="light", service="s",
                        repository_uri=URI, deployer=DEPLOYER)  # fmt: skip
    assert Seen(later).actions["hold"]["request"] != first


def test_what_was_typed_in_is_still_there() -> None:
    seen = show(history=[good()], deployer=DEPLOYER, fields={"by": '"><b>', "because": "x"})

    assert seen.fields == {"by": '"><b>', "because": "x"}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"error": "nothing is held"}, "It was not donenothing is held"),
        ({"held": {"id": "1", "by": "<b>", "because": "x"}}, "Deployments are heldby <b>: x"),
        ({"resumed": {"id": "1", "by": "ana", "because": "x"}}, "The hold is liftedit was ana's: x"),
        ({"deployment": "2026-1", "phase": "SUCCEEDED", "because": "well"}, "2026-1succeeded: well"),
        ({"ignored": "no"}, '{"ignored": "no"}'),
        (["<script>"], '["<script>"]'),
    ],
)
def test_what_the_deployer_answers_to_a_button_is_readable(answer: object, told: str) -> None:
    assert told in Seen(page.answer(answer, "dark")).text


# -- both themes


def test_the_theme_is_in_the_colours() -> None:
    light, dark = (show(theme=theme).style for theme in ("light", "dark"))

    assert page.PALETTES["light"].page in light
    assert page.PALETTES["dark"].page in dark
    assert page.PALETTES["light"].page not in dark


def test_a_theme_that_nobody_knows_is_shown_in_the_light_one() -> None:
    assert show(theme="</style>").style == show(theme="light").style


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(theme: str) -> None:
    palette = page.PALETTES[theme]
    plain = [
        (text, behind) for text in (palette.text, palette.muted) for behind in (palette.page, palette.card)
    ]

    # https://www.w3.org/TR/WCAG22/#contrast-minimum
    # What calls a person: the page's colour on the tone's.
    plain.append((palette.page, palette.bad[0]))
    for text, behind in (*plain, palette.good, palette.bad, palette.care, palette.busy, palette.calm):
        assert contrast(text, behind) >= 4.5, f"{text} on {behind}"


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# -- foreign text


def foreign_everywhere(text: str, rows: int = 3) -> str:
    """The page when `text` stands wherever a text of somebody else can stand."""
    origin = Origin(text, text, NOW, text)
    ill = CheckResult(text, False, text, text, 1, 1)
    where: dict[str, Any] = {"origin": origin, "before": origin, "warnings": (text, text), "version": text}
    where |= {"by": text, "why": text, "verification": Verdict((ill,) * rows, text)}
    where["previous"] = Version(text, Image(text, image("0").digest))
    ends = (Phase.STUCK, Phase.REVERTED, Phase.SUCCEEDED)
    history = [
        deployment(f"{n}", (1, Phase.REVERTING, text), (2, ends[n % 3], text), minutes_ago=n, **where)
        for n in range(rows)
    ]
    under_way = tuple(deployment(f"{n}", (1, Phase.VERIFYING, text), **where) for n in range(rows))
    live = Version(text, Image(text, image("0").digest), VersionState.FAILED, text)
    return page.render(
        Book(text, Hold(text, text, NOW, "hold-1"), under_way, (Notice(history[0]),) * rows),
        history,
        live,
        now=NOW,
        theme="dark",
        service=text,
        repository_uri=text,
        problems=[text] * rows,
        span=WEEK,
        ranged=history,
        stats=measure(history, WEEK.since, WEEK.until),
        deployer=DEPLOYER,
        fields={"by": text, "because": text},
        width=2000,
    )


HOSTILE = [
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "</style><style>*{display:none}</style>",
    "<cwdb-action action=call endpoint=arn:aws:lambda:x>{}</cwdb-action>",
    "<a href=javascript:alert(1)>x</a>",
    "<!-- <![CDATA[ <?php ]]>",
    "&lt;script&gt;&#60;b&#62;",
    "$text ${page} {} %s",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_shown_as_it_is(text: str) -> None:
    seen = Seen(foreign_everywhere(text))

    assert text in seen.cards["Hold"]
    assert seen.style == show(theme="dark").style


@given(
    st.text(st.characters())
    | st.lists(st.sampled_from([*HOSTILE, "<", ">", '"', "'", "&", "=", " "])).map("".join)
)
def test_no_text_becomes_more_than_text(text: str) -> None:
    seen = Seen(foreign_everywhere(text))  # fails at any element, attribute or value that is not ours

    assert seen.style == show(theme="dark").style
    assert len(seen.rows) == 3


@given(st.text(st.characters()))
def test_a_problem_alone_is_a_page_too(text: str) -> None:
    assert list(Seen(page.cannot(text, "light")).cards) == ["Could not be read"]


@pytest.mark.parametrize("worst", ["'", "\0", "<", "字", "🦀", "\ud800", "\u202e", "e\u0301"])
def test_the_page_stays_small_whatever_is_in_the_ledger(worst: str) -> None:
    assert len(foreign_everywhere(worst * 100_000, rows=500).encode()) < LIMIT


def test_a_text_that_turns_round_what_is_read_does_not() -> None:
    assert "\u202e" not in foreign_everywhere("release\u202egnp.exe")
