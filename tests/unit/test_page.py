"""The dashboard's page: what a person sees, and that nobody's text can be more than text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer import page
from deployer.model import (
    Book,
    Deployment,
    Hold,
    Image,
    Moment,
    Origin,
    Phase,
    Source,
    Version,
    VersionState,
    deployment_id,
)
from tests.fakes import image

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
URI = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shuking-lambda"
LIMIT = 200_000
HEALTHY = "GET /health answered 200 after 0.3 s"
ILL = "GET /health answered 503 after 2.1 s"

ELEMENTS = {"code", "div", "h2", "h3", "p", "pre", "span", "strong", "style"}
ELEMENTS |= {"table", "tbody", "td", "th", "thead", "tr"}
CLASSES = {"badge", "card", "cards", "cwdb-no-default-styles", "deployments", "fact", "head", "muted", "open"}
CLASSES |= {"bad", "busy", "calm", "care", "good", "reason", "revision", "time", "took", "word"}


class Seen(HTMLParser):
    """A browser's view of the page: its elements, its text, and its style sheet."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.texts: list[str] = []
        self.style = ""
        self.cards: dict[str, str] = {}  # title -> text
        self.tones: dict[str, set[str]] = {}  # title -> what is said by colour
        self.tone: set[str] = set()
        self.card = 0  # how deep the present card lies
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()
        assert not self.inside, f"not closed: {self.inside}"

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def headline(self) -> str:
        return self.texts[1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS
        for name, value in attrs:
            match name:
                case "class":
                    classes = (value or "").split()
                    assert CLASSES.issuperset(classes)
                    if "card" in classes:
                        self.card, self.tone = len(self.inside), {*classes} - {"card"}
                case "title":
                    assert re.fullmatch(r"sha256:[0-9a-f]{64}", value or "")
                case _:
                    assert (name, value) == ("dir", "auto")
        self.inside.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag
        if len(self.inside) == self.card:
            self.card = 0

    def handle_data(self, data: str) -> None:
        if self.inside[-1] == "style":
            self.style += data
            return
        self.texts.append(data)
        if "td" in self.inside:
            self.rows[-1][-1] += data
        elif self.inside[-1] == "h3":
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


def test_the_last_failure_tells_what_turned_it_round_not_how_it_was_put_back() -> None:
    seen = show(history=[reverted(), good()])

    assert seen.headline == "the last release was reverted"
    assert ILL in seen.cards["Last failure"]
    assert "users are on" not in seen.cards["Last failure"]


def test_a_failure_that_was_left_behind_calls_nobody() -> None:
    again = replace(good("mended", "9", minutes_ago=5), origin=Origin())

    seen = show(history=[again, reverted()], live=Version("9", image("mended")))

    assert ILL in seen.cards["Last failure"]
    assert seen.tones["Last failure"] == set()
    assert show(history=[reverted()]).tones["Last failure"] == {"bad"}


def test_without_a_failure_it_says_how_far_it_looked() -> None:
    assert show(history=[good()]).cards["Last failure"] == "none in the last 20 deployments"


def test_a_deployment_that_is_stuck_comes_before_everything_else() -> None:
    stuck = deployment("bad", (1, Phase.REVERTING, ILL), (9, Phase.STUCK, "version 8 cannot serve"))

    seen = show(Book(hold=Hold("alice", "incident", NOW)), [stuck], problems=["something"])

    assert seen.headline == "STUCK: a person is needed"
    assert f"{ILL}. Then version 8 cannot serve" in seen.cards["Last failure"]


def test_a_row_is_one_deployment() -> None:
    warned = replace(good(), warnings=("$LATEST was changed by somebody",))

    rows = show(history=[warned]).rows

    assert rows[1:] == [
        [
            "2026-03-01 11:00:00",
            "succeeded",
            "git-good",
            str(image("good")),
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

    assert [row[1] for row in rows[1:]] == ["succeeded", "rejected", "superseded", "reverted", "STUCK"]


def test_the_table_ends_after_twenty() -> None:
    rows = show(history=[good(f"{n}", minutes_ago=n) for n in range(30)]).rows

    assert len(rows) == 1 + page.HISTORY


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
    assert show(history=[deployment("x", (seconds, Phase.REJECTED, "no"))]).rows[1][4] == told


def test_what_could_not_be_read_is_said_in_its_place_and_why() -> None:
    seen = show(None, None, LIVE, problems=["the history: AccessDeniedException"])

    assert seen.headline == "not everything could be read"
    assert seen.cards["Could not be read"] == "the history: AccessDeniedException"
    assert seen.cards["Live"].endswith("since when: could not be read")
    assert {seen.cards[name] for name in ("Under way", "Hold", "Last failure")} == {"could not be read"}
    assert "No release yet" not in seen.text


def test_a_live_that_could_not_be_read_leaves_the_rest() -> None:
    seen = show(history=[good()], live=None, problems=["what is live: throttled"])

    assert seen.cards["Live"] == "could not be read"
    assert len(seen.rows) == 2


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
    where: dict[str, Any] = {"origin": Origin(text), "warnings": (text, text), "version": text}
    ends = (Phase.STUCK, Phase.REVERTED, Phase.SUCCEEDED)
    history = [
        deployment(f"{n}", (1, Phase.REVERTING, text), (2, ends[n % 3], text), minutes_ago=n, **where)
        for n in range(rows)
    ]
    under_way = tuple(deployment(f"{n}", (1, Phase.VERIFYING, text), **where) for n in range(rows))
    live = Version(text, Image(text, image("0").digest), VersionState.FAILED, text)
    return page.render(
        Book(text, Hold(text, text, NOW), under_way),
        history,
        live,
        now=NOW,
        theme="dark",
        service=text,
        repository_uri=text,
        problems=[text] * rows,
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
    assert len(seen.rows) == 4


@given(st.text(st.characters()))
def test_a_problem_alone_is_a_page_too(text: str) -> None:
    assert list(Seen(page.cannot(text, "light")).cards) == ["Could not be read"]


@pytest.mark.parametrize("worst", ["'", "\0", "<", "字", "🦀", "\ud800", "\u202e", "e\u0301"])
def test_the_page_stays_small_whatever_is_in_the_ledger(worst: str) -> None:
    assert len(foreign_everywhere(worst * 100_000, rows=100).encode()) < LIMIT


def test_a_text_that_turns_round_what_is_read_does_not() -> None:
    assert "\u202e" not in foreign_everywhere("release\u202egnp.exe")
