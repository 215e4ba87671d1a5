"""A message in Slack or Teams."""

from __future__ import annotations

import json
from typing import Any

from deployer.chat import chat
from deployer.model import Advice, Link, Message

NASTY = "```\n<!channel> [click](https://evil.example)"


def note(message: Message) -> Any:
    return json.loads(chat(message))


def test_a_chat_message_shows_what_others_wrote_as_it_is_and_bounded() -> None:
    told = note(Message("subject", NASTY + "x" * 9000, "t-1"))

    description = told["content"]["description"]
    assert description.startswith("```\n'''\n<!channel>")
    assert description.endswith("…\n```")
    assert description.count("`") == 6
    assert len(description) < 3100
    assert told["content"]["title"] == told["metadata"]["summary"] == "subject"
    assert told["metadata"]["threadId"] == "t-1"


def test_the_chat_gets_the_story_without_the_commands_which_are_its_next_steps() -> None:
    advice = (Advice("Push a fix."), Advice("Or go back", "deployer rollback"))
    told = note(Message("s", "brief, then all of it", "t", "brief", advice))

    assert told["content"]["description"] == "```\nbrief\n```"
    assert told["content"]["nextSteps"] == ["Push a fix.", "Or go back: `deployer rollback`"]


def test_links_stand_outside_of_the_block_so_that_they_can_be_followed() -> None:
    told = note(Message("s", "b", "t", links=(Link("image", "https://eu-west-1.console.aws.amazon.com/x"),)))

    assert told["content"]["description"].endswith("```\nimage: https://eu-west-1.console.aws.amazon.com/x")


def test_neither_titles_nor_keywords_nor_steps_can_be_markup() -> None:
    advice = (Advice("Go back", f"deployer rollback --reason '{NASTY}'"),)
    told = note(Message(NASTY, "b", "t", advice=advice, keywords=(NASTY, "v1")))

    shown = [told["content"]["title"], *told["content"]["keywords"]]
    assert not set("`<>[]/!*_~@") & set("".join(shown))
    [step] = told["content"]["nextSteps"]
    assert step.count("`") == 2
    assert "<" not in step


def test_a_command_that_is_too_long_is_left_to_the_mail() -> None:
    """Half of one must not be pasted."""
    told = note(Message("s", "b", "t", advice=(Advice("Go back", "deployer " + "x" * 400),)))

    assert told["content"]["nextSteps"] == ["Go back"]


def test_there_are_never_more_steps_and_keywords_than_a_phone_shows() -> None:
    told = note(Message("s", "b", "t", advice=(Advice("a"),) * 50, keywords=("k" * 500,) * 50))

    assert len(told["content"]["nextSteps"]) == 5
    assert [len(word) for word in told["content"]["keywords"]] == [75] * 5


def test_half_characters_and_what_moves_a_cursor_do_not_get_there() -> None:
    told = chat(Message("s\ud800", "b\ud800\x1b[2J", "t\ud800"))

    assert told.encode()
    assert "\x1b" not in json.loads(told)["content"]["description"]
