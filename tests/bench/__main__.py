"""How long the page takes to draw, and how large it is: `make bench`.

Milliseconds on this machine, the quickest of several; for comparing, and no test.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

from tests.scenes import SCENES, Scene, draw, week

ROUNDS = 15


def scenes() -> dict[str, Scene]:
    """What is measured."""
    crowd = SCENES["five-hundred"]()
    return {
        "1 deployment": SCENES["one"](),
        "100 deployments": replace(crowd, history=week(100)),
        "500 deployments": crowd,
        "the longest texts": SCENES["long"](),
        "the longest texts, all escaped": SCENES["hostile"](),
    }


def main() -> int:
    """Print the table; the exit code is 1 if a page is larger than it may be."""
    print(f"{'':32}{'ms':>8}{'bytes':>10}")  # noqa: T201
    most = 0
    for name, scene in scenes().items():
        times = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            page = draw(scene, width=1600)
            times.append(time.perf_counter() - begun)
        size = len(page.encode())
        most = max(most, size)
        print(f"{name:32}{min(times) * 1000:8.1f}{size:10,}")  # noqa: T201
    return 0 if most < 200_000 else 1


if __name__ == "__main__":
    sys.exit(main())
