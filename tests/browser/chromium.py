"""A real Chromium: Debian's, or the one that the variable CHROMIUM names. Playwright brings none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NONE = "no Chromium here: `apt-get install chromium`, or name one in the variable CHROMIUM"


def found() -> str | None:
    """Where it is."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


@contextmanager
def opened(*switches: str) -> Iterator[Browser]:
    """One without a window, with more `switches`. Raises FileNotFoundError when there is none."""
    program = found()
    if program is None:
        raise FileNotFoundError(NONE)
    # Root has no user namespace to lock a renderer into, and Chromium does not start without being told so.
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*alone, *switches])
        try:
            yield browser
        finally:
            browser.close()
