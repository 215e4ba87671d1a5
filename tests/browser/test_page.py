"""The page in a real Chromium: drawn, clicked, attacked, and judged by axe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, expect

from deployer import page
from deployer.commands.parts.console.server import Console, Doors
from deployer.model import Deployment
from deployer.stats import measure
from sandbox.server import Sandbox
from tests.browser import chromium
from tests.cli.conftest import ROOT, clean_environment
from tests.scenes import NOW, SCENES, WEEK, Scene, draw, worded
from tests.whole.team import Team

KEY = "the-key-of-a-test"
SECONDS = 60_000  # milliseconds, for what a real deployment takes on a busy machine


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if chromium.found() is None:
        pytest.skip(chromium.NONE)
    # Of the module, because Playwright's event loop would be in the way of whoever else wants one.
    with chromium.opened() as running:
        yield running


@dataclass
class Tab:
    """A tab, and everything that happened in it that somebody would notice."""

    page: Page
    noticed: list[str] = field(default_factory=list)  # dialogs, errors, lines on the console
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("dialog", self._dialog)
        self.page.on("pageerror", lambda error: self.noticed.append(f"error: {error}"))
        self.page.on("console", self._line)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _dialog(self, dialog: Dialog) -> None:
        self.noticed.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _line(self, line: ConsoleMessage) -> None:
        self.noticed.append(f"{line.type}: {line.text}")


@contextmanager
def a_tab(browser: Browser, theme: str = "light", width: int = 1200) -> Iterator[Tab]:
    """A tab of a person who has never been here before."""
    scheme: Any = theme
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    try:
        yield Tab(context.new_page())
    finally:
        context.close()


# -- with the real stack behind it


@dataclass(frozen=True)
class Account:
    team: Team
    first: Deployment
    second: Deployment
    url: str  # of the dashboard


@pytest.fixture(scope="module")
def account(
    browser: Browser, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Account]:
    """Two releases are live one after the other; on call, with the policies for that, has the dashboard."""
    team = Team(sandbox, "browser")
    first, second = (team.release(team.build(revision)) for revision in ("first", "second"))
    iam = sandbox.client("iam")
    role = iam.create_role(RoleName="browser-on-call", AssumeRolePolicyDocument='{"Statement": []}')["Role"]
    for policy in ("ViewerPolicyArn", "OperatorPolicyArn"):
        iam.attach_role_policy(RoleName="browser-on-call", PolicyArn=team.outputs[policy])
    started = subprocess.Popen(
        [sys.executable, "-m", "deployer", "dashboard", "--json"],
        env={
            **clean_environment(tmp_path_factory.mktemp("home")),
            **sandbox.environment_as(str(role["Arn"]), "alice"),
            "DEPLOYER_STACK": team.name,
        },
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        yield Account(team, first, second, json.loads(started.stdout.readline())["url"])
    finally:
        os.kill(started.pid, signal.SIGINT)
        started.communicate(timeout=30)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_of_the_real_stack_is_drawn(account: Account, browser: Browser, theme: str) -> None:
    with a_tab(browser, theme) as tab:
        tab.page.goto(account.url)
        expect(tab.page.get_by_role("heading", level=1)).to_have_text("Deployments", timeout=SECONDS)
        expect(tab.page.get_by_role("heading", level=2).first).to_be_visible(timeout=SECONDS)

        shown = tab.page.locator("#widget .deployments").inner_text()
        marks = tab.page.locator("svg [data-outcome]")
        assert account.team.function in shown
        assert f"version {account.team.live()}" in shown
        assert "second" in shown
        assert marks.count() == 2
        assert all(box and box["height"] > 0 for box in (marks.nth(n).bounding_box() for n in range(2)))
        assert tab.page.locator("button[data-verb=rollback]").is_enabled()
        assert tab.page.evaluate("document.documentElement.scrollWidth") == 1200
        assert tab.page.evaluate("document.documentElement.dataset.theme") == theme
        assert tab.noticed == []


def test_a_rollback_that_is_clicked_moves_users_and_says_who_and_why(
    account: Account, browser: Browser
) -> None:
    team = account.team
    assert team.live() == account.second.version
    with a_tab(browser) as tab:
        tab.page.goto(account.url)
        button = tab.page.locator("button[data-verb=rollback]")
        expect(button).to_be_visible(timeout=SECONDS)
        who, why = tab.page.get_by_label("Who"), tab.page.get_by_label("Why")
        expect(who).to_have_value("arn:aws:sts::123456789012:assumed-role/browser-on-call/alice")
        who.fill("alice")
        why.fill("incident 42 <b>")

        button.click()
        expect(tab.page.locator("#question")).to_contain_text("last good version")
        tab.page.get_by_role("button", name="No", exact=True).click()
        expect(tab.page.locator("#confirm")).to_be_hidden()
        assert not [url for url in tab.requests if url.endswith("/act")]
        assert team.live() == account.second.version

        button.click()
        tab.page.get_by_role("button", name="Yes, do it").click()
        expect(tab.page.locator("#popup")).to_be_visible(timeout=SECONDS)

        assert team.live() == account.first.version
        expect(tab.page.locator("#answer")).to_contain_text("succeeded")
        tab.page.get_by_role("button", name="Close").click()
        expect(tab.page.locator("button[data-verb=resume]")).to_be_visible(timeout=SECONDS)
        expect(tab.page.locator("#widget .deployments")).to_contain_text(f"version {account.first.version}")
        assert tab.noticed == []

    hold = team.ledger.look().hold
    assert hold is not None
    assert hold.because.endswith("incident 42 <b>")
    assert "alice" in hold.by


# -- attacked

PAYLOADS = (
    '"><script>owned=1;alert(1)</script>',
    "'><img src=http://127.0.0.1:9/owned onerror=owned=1>",
    "</style></pre></title></text><svg onload=owned=1><style>*{display:none}",
    '<iframe srcdoc="<script>top.owned=1</script>"></iframe>',
    '" autofocus onfocus="owned=1" x="',
    '<cwdb-action action="call" endpoint="owned">{}</cwdb-action>',
    '<!--<meta http-equiv="refresh" content="0;url=http://127.0.0.1:9/owned">',
    "<a href=javascript:owned=1>owned</a><base href=http://127.0.0.1:9/>",
    "<link rel=stylesheet href=http://127.0.0.1:9/owned><form action=http://127.0.0.1:9/>",
)
FRAME = '<!doctype html><html lang="en"><meta charset="utf-8"><title>page</title><body>'
SKELETON = """() => [...document.body.querySelectorAll('*')].map(
    (each) => [each.localName, ...each.getAttributeNames()].join(' '))"""


def pages(said: str) -> Iterator[str]:
    """Every page, with `said` wherever somebody else's text can stand."""
    scene = worded(said, said)
    yield page.render(
        scene.book,
        scene.history,
        scene.live,
        now=NOW,
        theme="light",
        service=said,
        repository_uri=said,
        problems=(said,),
        span=WEEK,
        ranged=scene.history,
        stats=measure(scene.history, WEEK.since, WEEK.until),
        deployer=said,
        fields={"by": said, "because": said},
    )
    yield page.cannot(said, "light")
    yield page.answer({"error": said}, "light")
    yield page.answer({"held": {"by": said, "because": said}}, "light")
    yield page.answer({"resumed": {"by": said, "because": said}}, "light")
    yield page.answer({"deployment": said, "phase": said, "because": said}, "light")
    yield page.answer({"what": said}, "light")


def poked(tab: Tab) -> None:
    """What a person would do that might set something off."""
    tab.page.mouse.move(300, 300)
    for each in tab.page.locator("input").all():
        each.focus()
    tab.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markup_in_any_foreign_text_is_text(browser: Browser, payload: str) -> None:
    """The page is judged by its skeleton: the same elements and attributes as with a harmless text."""
    harmless = "x" * len(payload)
    with a_tab(browser) as tab:
        for number, (hostile, calm) in enumerate(zip(pages(payload), pages(harmless), strict=True)):
            tab.page.set_content(FRAME + calm)
            skeleton = tab.page.evaluate(SKELETON)
            tab.page.set_content(FRAME + hostile)
            poked(tab)

            assert tab.page.evaluate(SKELETON) == skeleton, number
            assert tab.page.evaluate("typeof owned") == "undefined", number
            assert payload in tab.page.locator("body").inner_text().replace("\\", ""), (
                number
            )  # JSON escapes quotes
        assert tab.noticed == []
        assert tab.requests == []


def test_these_attacks_would_be_noticed(browser: Browser) -> None:
    """The same eyes on markup that nobody escaped."""
    noticed = []
    for payload in PAYLOADS:
        with a_tab(browser) as tab:
            tab.page.set_content(f'{FRAME}<input value="{payload}"><p>{payload}</p>', wait_until="commit")
            poked(tab)
            skeleton = tab.page.evaluate(SKELETON)
            noticed.append(bool(tab.requests or tab.noticed) or skeleton != ["input value", "p"])
    assert all(noticed), noticed


@contextmanager
def shell(look: Callable[[Any], object]) -> Iterator[str]:
    """The address of the shell around what `look` draws."""
    doors = Doors(look=look, act=lambda event: {}, deployer="deployer", service="shuking-prod", by="dana")
    with Console(doors, KEY) as console:
        serving = Thread(target=console.serve_forever)
        serving.start()
        try:
            yield console.url
        finally:
            console.shutdown()
            serving.join()


def test_the_shell_runs_nothing_even_if_the_pages_escaping_failed(browser: Browser) -> None:
    raw = "".join(f"<p>{payload}</p>" for payload in PAYLOADS)
    with shell(lambda event: f"<div><style>p{{color:red}}</style>{raw}</div>") as url, a_tab(browser) as tab:
        tab.page.goto(url)
        expect(tab.page.locator("#widget")).to_have_attribute("aria-busy", "false")
        poked(tab)

        made = tab.page.evaluate(
            "() => [...document.getElementById('widget').shadowRoot.querySelectorAll('*')]"
            ".flatMap((each) => [each.localName, ...each.getAttributeNames()])"
        )
        assert {
            "script",
            "img",
            "iframe",
            "a",
            "base",
            "link",
            "meta",
            "style",
            "onload",
            "onerror",
        }.isdisjoint(made)
        assert "p" in made
        assert tab.page.evaluate("typeof owned") == "undefined"
        # The one thing that may be noticed is that the browser was not allowed to.
        assert all("Content Security Policy" in each for each in tab.noticed), tab.noticed
        home = url.partition("#")[0]
        assert all(each.startswith(home) for each in tab.requests)


# -- for everybody


def grave(tab: Tab) -> list[str]:
    """What axe finds that keeps somebody from reading or using the page."""
    found = Axe().run(tab.page).response["violations"]
    return [
        f"{each['id']}: {node['html']} {node['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["empty", "one", "five-hundred", "reverted", "stuck", "held", "under-way"])
def test_axe_finds_nothing_grave(browser: Browser, name: str, theme: str) -> None:
    scene: Scene = SCENES[name]()

    def look(event: Any) -> str:
        return draw(scene, page.theme(event), event["widgetContext"]["width"])

    with shell(look) as url, a_tab(browser, theme) as tab:
        tab.page.goto(url)
        expect(tab.page.locator("#widget")).to_have_attribute("aria-busy", "false", timeout=SECONDS)
        assert tab.page.evaluate("document.documentElement.dataset.theme") == theme
        assert grave(tab) == []
        button = tab.page.locator("button[data-verb=hold]")
        if button.count():
            button.click()
            expect(tab.page.locator("#confirm")).to_be_visible()
            assert grave(tab) == []
        assert tab.noticed == []


def test_axe_would_see_what_is_grave(browser: Browser) -> None:
    def look(event: object) -> str:
        return '<div><input name="by"><p class="pale">pale</p><style>.pale{color:#eee}</style></div>'

    with shell(look) as url, a_tab(browser) as tab:
        tab.page.goto(url)
        expect(tab.page.locator("#widget")).to_have_attribute("aria-busy", "false")
        assert {each.partition(":")[0] for each in grave(tab)} >= {"label", "color-contrast"}
