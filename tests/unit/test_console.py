"""The server of `deployer dashboard`: whom it answers, and what it passes on. Over real HTTP, without AWS."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import deployer.commands.parts.console
from deployer.commands.parts.console.server import Console, Doors
from deployer.commands.parts.target import Unusable
from tests.scenes import SCENES, draw
from tests.unit.test_page import ATTRIBUTES, DRAWN, ELEMENTS

KEY = "the-key"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:shuking-prod-deployer"
SHELL = Path(deployer.commands.parts.console.__file__).parent


@dataclass
class Aws:
    """The two functions: what they were invoked with, and what they answer."""

    looked: list[Mapping[str, object]] = field(default_factory=list)
    acted: list[Mapping[str, object]] = field(default_factory=list)
    page: object = "<div>the page</div>"
    answer: object = "<div>done</div>"
    refusal: str = ""

    def look(self, event: Mapping[str, object]) -> object:
        self.looked.append(event)
        return self.page

    def act(self, event: Mapping[str, object]) -> object:
        if self.refusal:
            raise Unusable(self.refusal)
        self.acted.append(event)
        return self.answer


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
def console(aws: Aws) -> Iterator[Console]:
    doors = Doors(aws.look, aws.act, "shuking-prod-deployer", "shuking-prod", "arn:aws:iam::1:user/ana")
    with Console(doors, KEY) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@dataclass
class Browser:
    """Sends what a browser sends; a header that is None is left out."""

    console: Console

    def send(self, method: str, path: str, body: bytes = b"", **headers: str | None) -> tuple[int, Any, Any]:
        home = f"127.0.0.1:{self.console.port}"
        given = {"Host": home, "Origin": f"http://{home}", "X-Key": KEY, "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}  # type: ignore[misc]
        connection = http.client.HTTPConnection("127.0.0.1", self.console.port, timeout=20)
        connection.putrequest(method, path, skip_host=True)
        lengths = {"Content-Length": str(len(body))} if method == "POST" else {}
        for name, value in {**lengths, **given}.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body or None)
        response = connection.getresponse()
        read = response.read()
        kind = response.getheader("Content-Type", "")
        connection.close()
        return response.status, json.loads(read) if "json" in kind else read.decode(), response.headers

    def post(self, path: str, body: object, **headers: str | None) -> tuple[int, Any]:
        return self.send("POST", path, json.dumps(body).encode(), **headers)[:2]


@pytest.fixture
def browser(console: Console) -> Browser:
    return Browser(console)


def click(**changed: object) -> dict[str, object]:
    """A click on Hold, with something changed."""
    command = {"command": "hold", "request": "page-hold-1"}
    return {
        "endpoint": ARN,
        "command": command,
        "theme": "dark",
        "forms": {"by": "ana", "because": "x"},
        **changed,
    }


def test_it_listens_on_the_loopback_and_nowhere_else(console: Console) -> None:
    assert console.server_address[0] == "127.0.0.1"
    assert console.url == f"http://127.0.0.1:{console.port}/#{KEY}"


@pytest.mark.parametrize("path", ["/", "/shell.css", "/shell.js"])
def test_the_shell_has_no_secret_and_a_policy_that_lets_nothing_foreign_run(
    browser: Browser, path: str
) -> None:
    status, text, headers = browser.send("GET", path, X_Key=None, Origin=None)

    assert status == 200
    assert KEY not in text
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_nothing_else_is_served(browser: Browser) -> None:
    for path in ("/server.py", "/../server.py", "/shell.js?x"):
        assert browser.send("GET", path)[0] == 404
    assert browser.post("/elsewhere", {})[0] == 404
    assert browser.send("PUT", "/look")[0] == 501


def test_the_page_comes_from_the_dashboards_function(browser: Browser, aws: Aws) -> None:
    context = {"theme": "dark", "width": 800, "timeRange": {"start": 1, "end": 2}}

    status, told = browser.post("/look", context)

    assert (status, told["html"], told["by"]) == (200, "<div>the page</div>", "arn:aws:iam::1:user/ana")
    assert aws.looked == [{"widgetContext": context}]


def test_what_is_no_page_is_not_shown_as_one(browser: Browser, aws: Aws) -> None:
    aws.page = {"error": "x"}

    assert browser.post("/look", {})[0] == 502


def test_a_click_goes_to_the_deployer_with_who_and_why(browser: Browser, aws: Aws) -> None:
    status, told = browser.post("/act", click())

    assert (status, told) == (200, {"html": "<div>done</div>"})
    context = {"theme": "dark", "forms": {"all": {"by": "ana", "because": "x"}}}
    assert aws.acted == [{"command": "hold", "request": "page-hold-1", "widgetContext": context}]


def test_an_answer_in_json_is_passed_on_as_json(browser: Browser, aws: Aws) -> None:
    aws.answer = {"error": "<b>"}

    assert browser.post("/act", click()) == (200, {"json": {"error": "<b>"}})


def test_a_refusal_is_shown(browser: Browser, aws: Aws) -> None:
    aws.refusal = "commanding the deployer: AccessDeniedException"

    assert browser.post("/act", click()) == (502, {"error": "commanding the deployer: AccessDeniedException"})


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Key": None},
        {"X_Key": "another"},
        {"X_Key": ""},
        {"Host": "evil.example"},
        {"Host": None},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_nobody_else_gets_in(browser: Browser, aws: Aws, headers: dict[str, str | None]) -> None:
    for path, body in (("/look", {}), ("/act", click())):
        assert browser.post(path, body, **headers)[0] == 403
    assert (aws.looked, aws.acted) == ([], [])


def test_a_page_of_another_name_for_this_machine_gets_not_even_the_shell(browser: Browser) -> None:
    assert browser.send("GET", "/", Host="evil.example")[0] == 403


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"{}", {"Content_Type": "text/plain"}),
        (b"[]", {}),
        (b"{", {}),
        (b"\xff", {}),
        (b"[" * 60_000, {}),
        (b"{}", {"Content_Length": None}),
        (b"{}", {"Content_Length": "-1"}),
        (b"{}", {"Content_Length": "65537"}),
        (b"{}", {"Content_Length": "1" * 5000}),
    ],
)
def test_a_body_is_bounded_json_or_it_is_not_read(
    browser: Browser, aws: Aws, body: bytes, headers: dict[str, str | None]
) -> None:
    assert browser.send("POST", "/look", body, **headers)[0] == 400
    assert aws.looked == []


@pytest.mark.parametrize(
    "changed",
    [
        {"endpoint": ARN + "x"},
        {"endpoint": "arn:aws:lambda:eu-west-1:123456789012:function:shuking-prod"},
        {"endpoint": None},
        {"endpoint": f"{ARN}:live"},
        {"command": {"command": "check"}},
        {"command": {"command": ["hold"]}},
        {"command": "hold"},
        {"command": {"command": "hold", "widgetContext": "x"}},
        {"command": {"command": "hold", "by": "mallory"}},
        {"command": {"command": "retry", "digest": 7}},
        {"command": {"command": "retry", "digest": "a" * 201}},
    ],
)
def test_only_the_pages_own_commands_reach_the_deployer(
    browser: Browser, aws: Aws, changed: dict[str, object]
) -> None:
    assert browser.post("/act", click(**changed))[0] == 400
    assert aws.acted == []


def test_fields_are_bounded_and_texts(browser: Browser, aws: Aws) -> None:
    browser.post("/act", click(forms={"by": "a" * 9999, "because": ["x"], "else": "y"}))
    browser.post("/act", click(forms="x", theme=7))

    assert [each["widgetContext"] for each in aws.acted] == [
        {"theme": "dark", "forms": {"all": {"by": "a" * 700}}},
        {"theme": "light", "forms": {"all": {}}},
    ]


def test_the_shell_knows_the_pages_elements_and_attributes_and_no_others() -> None:
    """So that nothing of the page is lost, and nothing else gets in."""
    script = (SHELL / "shell.js").read_text()
    html, svg, attributes = (
        set(re.findall(r'"([A-Za-z0-9-]+)"', found))
        for found in re.findall(r"new Set\(\[(.*?)\]\)", script, flags=re.DOTALL)[:3]
    )

    assert html == ELEMENTS - {"style", "cwdb-action"}
    assert svg == DRAWN
    kept = {each.lower() for each in attributes} - {"class", "title"}
    assert kept == ATTRIBUTES.keys() - {"type", "action", "display", "endpoint", "confirmation"}
    assert not [each for each in attributes if each.startswith("on")]
    assert not attributes & {"href", "src", "style", "id", "xlink:href", "action", "formaction"}


def test_every_command_of_the_page_is_one_that_the_server_passes_on(browser: Browser, aws: Aws) -> None:
    for name in ("calm", "reverted", "held", "under-way"):
        for raw in re.findall(r"<cwdb-action[^>]*>(.*?)</cwdb-action>", draw(SCENES[name]())):
            command = json.loads(raw.replace("&quot;", '"'))
            assert browser.post("/act", click(command=command))[0] == 200
    assert {each["command"] for each in aws.acted} == {"hold", "resume", "rollback", "retry", "abort"}
