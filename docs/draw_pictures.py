"""Draw the pictures in README.md: the page and a message, of one release that was reverted.

`make pictures` runs it, and needs a Chromium. The release is one of tests/scenes.py; what is drawn of it is
what the deployer itself would show and send. A test fails when they are not up to date.
"""

from __future__ import annotations

import hashlib
import html
import sys
from pathlib import Path

from playwright.sync_api import Browser

from deployer.message import compose
from deployer.model import Message, Place
from docs import png
from tests.browser import chromium
from tests.scenes import SCENES, draw

FOLDER = Path(__file__).parent / "pictures"
SCENE = "reverted"
WIDTH = 1200
GROUND = {"light": "#ffffff", "dark": "#161d26"}
PLACE = Place("shuking-prod", "eu-west-1", "123456789012", "shuking-lambda")
# The switches make letters of grey alone, the same on every screen: half the bytes.
SWITCHES = ("--disable-lcd-text", "--disable-font-subpixel-positioning")
HEIGHT = """() => {
    const table = document.querySelector("[data-part=history]");
    return table ? Math.floor(table.getBoundingClientRect().top) : document.documentElement.scrollHeight;
}"""
# What a plain-text mail looks like in a mail program: the subject, who from and to, and the text as it is.
MAIL = """
body { margin: 0; background: #fff; color: #1c1c1e; font: 14px/1.5 "DejaVu Sans", sans-serif; }
header { padding: 20px 28px 14px; border-bottom: 1px solid #d8dadf; background: #f6f7f9; }
h1 { margin: 0 0 8px; font-size: 18px; line-height: 1.35; }
header p { margin: 0; color: #5b6069; font-size: 13px; }
pre { margin: 0; padding: 20px 28px 26px; font: 13px/1.5 "DejaVu Sans Mono", monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; }
"""


def message() -> Message:
    """What on-call gets about the release that the page shows."""
    reverted = SCENES[SCENE]().history[0]
    return compose(reverted, service="shuking-prod", deployer="shuking-prod-deployer", place=PLACE)


def mail() -> str:
    """The message as a mail."""
    told = message()
    return (
        f"<style>{MAIL}</style><header><h1>{html.escape(told.subject)}</h1>"
        "<p>From: AWS Notifications &lt;no-reply@sns.amazonaws.com&gt; &nbsp; To: on-call</p></header>"
        f"<pre>{html.escape(told.body)}</pre>"
    )


def pictures() -> dict[str, str]:
    """The document that each picture is of, by the picture's name."""
    scene = SCENES[SCENE]()
    bodies = {f"page-{theme}": (ground, draw(scene, theme, WIDTH)) for theme, ground in GROUND.items()}
    bodies["message"] = ("#ffffff", mail())
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>picture</title>'
    return {
        name: f'{head}<body style="margin:0;background:{ground}">{body}'
        for name, (ground, body) in bodies.items()
    }


def mark(document: str) -> str:
    """What a picture of this document carries: its letters differ between machines, its words do not."""
    return hashlib.sha256(document.encode()).hexdigest()


def picture(browser: Browser, document: str) -> bytes:
    """As tall as it needs to be, without the table of the page."""
    tab = browser.new_page(viewport={"width": WIDTH, "height": 400})
    tab.set_content(document)
    tall = tab.evaluate(HEIGHT)
    drawn = tab.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": tall})
    tab.close()
    return png.smaller(drawn, mark(document))


def main() -> int:
    """Draw them all; the exit code is 1 if there is nothing to draw with."""
    if chromium.found() is None:
        print(chromium.NONE, file=sys.stderr)  # noqa: T201
        return 1
    FOLDER.mkdir(exist_ok=True)
    with chromium.opened(*SWITCHES) as browser:
        for name, document in pictures().items():
            (FOLDER / f"{name}.png").write_bytes(picture(browser, document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
