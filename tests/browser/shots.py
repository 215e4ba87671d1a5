"""Pictures of the page as a browser draws it: every scene, in both themes, in three widths.

    python -m tests.browser.shots FOLDER [SCENE ...]

Needs a Chromium; the variable CHROMIUM names another than Debian's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.browser import chromium
from tests.scenes import SCENES, draw

WIDTHS = (400, 800, 1600)
GROUND = {"light": "#ffffff", "dark": "#161d26"}


def main(folder: Path, names: list[str]) -> int:
    """Draw them; the exit code is 1 if one is wider than its window."""
    folder.mkdir(parents=True, exist_ok=True)
    wide = 0
    with chromium.opened() as browser:
        for name in names or list(SCENES):
            scene = SCENES[name]()
            for theme, ground in GROUND.items():
                for width in WIDTHS:
                    html = draw(scene, theme, width)
                    tab = browser.new_page(viewport={"width": width, "height": 600})
                    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>page</title>'
                    tab.set_content(f'{head}<body style="margin:0;background:{ground}">{html}')
                    needs = tab.evaluate("document.documentElement.scrollWidth")
                    wide += needs > width
                    tab.screenshot(path=folder / f"{name}-{theme}-{width}.png", full_page=True)
                    print(f"{name}-{theme}-{width}: {len(html.encode()):,} bytes, {needs} px wide")  # noqa: T201
                    tab.close()
    return 1 if wide else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
