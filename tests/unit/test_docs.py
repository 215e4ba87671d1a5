"""Documents that show the code are drawn from it."""

from __future__ import annotations

import re
import struct
import zlib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from docs import draw_costs, draw_pictures, png
from docs.draw_phases import PAGE, diagram, page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README, TESTING = ROOT / "README.md", DOCS / "testing.md"


def test_the_phase_diagram_is_what_the_table_says() -> None:
    text = PAGE.read_text()

    assert page(text) == text, "run `make docs`"


def test_every_move_is_drawn() -> None:
    assert "    VERIFYING --> PROMOTING: healthy" in diagram()
    assert "    STUCK --> [*]" in diagram()


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="the page must have the lines"):
        page("nothing here")


def test_the_table_of_costs_is_what_its_reckoning_gives() -> None:
    text = draw_costs.PAGE.read_text()

    assert draw_costs.page(text) == text, "run `make docs`"


@pytest.mark.parametrize(("name", "document"), draw_pictures.pictures().items())
def test_a_picture_is_of_what_the_deployer_shows_and_sends_now(name: str, document: str) -> None:
    picture = (draw_pictures.FOLDER / f"{name}.png").read_bytes()

    assert png.comment(picture) == draw_pictures.mark(document), "run `make pictures`"
    assert len(picture) < 150_000
    assert f"docs/pictures/{name}.png" in README.read_text()


def _png(kind: int, body: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A picture of 2 by 4 pixels."""
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 2, 4, 8, kind, 0, 0, 0)),
        *more,
        (b"IDAT", zlib.compress(body, 9)),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in (*parts, (b"IEND", b""))
    )


def test_a_smaller_picture_has_the_same_pixels() -> None:
    """In a line each: as it is, like the one to the left, like the one above, and by Paeth's rule."""
    red, blue, same = b"\xff\0\0", b"\0\0\xff", bytes(3)
    lines = (b"\0", red, red, b"\1", blue, same, b"\2", same, same, b"\4", same, same)
    indexed = b"\0\1\1" + b"\0\0\0" * 3

    assert png.smaller(_png(2, b"".join(lines)), "a word") == _png(
        3, indexed, (b"PLTE", blue + red), (b"tEXt", b"Comment\0a word")
    )


def test_a_picture_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="colour type 0"):
        png.smaller(_png(0, bytes(12)), "")


def test_a_line_of_costs_says_how_it_is_reckoned() -> None:
    sweeps = draw_costs.idle()[0]

    assert sweeps.dollars == pytest.approx(43_800 * (0.25 * 0.5 * 0.0000166667 + 0.2 / 1e6))
    assert "43,800 * (0.25 s * 0.5 GB" in sweeps.reckoning


def test_no_folder_of_tests_is_passed_over(request: pytest.FixtureRequest) -> None:
    """pytest leaves out folders by their names, without a word."""
    left_out = request.config.getini("norecursedirs")
    tests = Path(__file__).parents[1]

    folders = {part for path in tests.rglob("test_*.py") for part in path.relative_to(tests).parts[:-1]}
    assert {"build", "unit"} <= folders
    assert not [name for name in folders for pattern in left_out if fnmatch(name, pattern)]


def test_every_incident_has_its_story() -> None:
    tests = Path(__file__).parents[1]
    rows = re.findall(r"^\| (\S+/\S+?)[, |].*\| `(test_\w+)` \|$", TESTING.read_text(), re.MULTILINE)
    sources = [path.read_text() for path in tests.rglob("test_*.py")]

    assert len(rows) >= 15
    for source, story in rows:
        told = [text.partition(f"def {story}(")[2].partition("\n\n\n")[0] for text in sources]
        assert any(source in each for each in told), f"{story} does not name {source}"


def commands_by_heading(text: str) -> list[list[str]]:
    """The command lines beneath each heading, the page's title first, without their comments."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if re.match(r"#+ ", line):
            found.append([])
        elif line.startswith("    ") and line.strip():
            found[-1].append(re.sub(r"\s+# .*", "", line).rstrip())
    return found


def test_the_korean_runbook_has_the_commands_of_the_runbook_under_the_same_headings() -> None:
    runbook, korean = (
        commands_by_heading(path.read_text()) for path in (DOCS / "operating.md", DOCS / "ko/operating.md")
    )

    assert sum(map(len, runbook)) >= 30, "the commands of the runbook are not found any more"
    assert len(korean) == len(runbook), "a heading is in one of the pages only"
    assert korean == runbook


def test_a_changed_command_in_a_runbook_is_noticed_and_a_translated_comment_is_not() -> None:
    page = "# Title\n\n    deployer show   # why\n\n## Next\n\n- or\n\n      deployer watch\n"

    assert commands_by_heading(page) == [["    deployer show"], ["      deployer watch"]]
    assert commands_by_heading(page.replace("# why", "# 이유")) == commands_by_heading(page)
    assert commands_by_heading(page.replace("watch", "abort")) != commands_by_heading(page)
