"""Documents that show the code are drawn from it."""

from __future__ import annotations

import pytest

from docs.draw_phases import PAGE, diagram, page


def test_the_phase_diagram_is_what_the_table_says() -> None:
    text = PAGE.read_text()

    assert page(text) == text, "run `make docs`"


def test_every_move_is_drawn() -> None:
    assert "    VERIFYING --> PROMOTING: healthy" in diagram()
    assert "    STUCK --> [*]" in diagram()


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="the page must have the lines"):
        page("nothing here")
