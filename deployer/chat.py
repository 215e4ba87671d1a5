"""A message as Amazon Q Developer in chat applications takes it (Slack, Teams). Pure."""

from __future__ import annotations

import json
import re

from deployer.model import Advice, Message
from deployer.text import printable

# A chat message is read on a phone; the whole story is in the mail and in the ledger. The guide names no
# maximum for any of these.
_CHARACTERS = 3000
_TITLE = 250
_STEPS, _STEP = 5, 350
_KEYWORDS, _KEYWORD = 5, 75
_NOT_PLAIN = re.compile(r"[^\w .:()-]")


def chat(message: Message) -> str:
    """The message as a custom notification, in JSON.

    What others wrote stands in a block that is shown as it is, and cannot end it: no link, no mention.
    Titles, steps and keywords have no such block, so what could be markup is left out of them. All links are
    ours.
    https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
    """
    title = _plain(message.subject, _TITLE)
    text = printable(_whole(message.brief or message.body)).replace("`", "'")
    cut = f"{text[:_CHARACTERS]}…" if len(text) > _CHARACTERS else text
    links = "".join(f"\n{_plain(link.what, _TITLE)}: {link.url}" for link in message.links)
    content: dict[str, object] = {
        "textType": "client-markdown",
        "title": title,
        "description": f"```\n{cut.rstrip()}\n```{links}",
    }
    if message.advice:
        content["nextSteps"] = [_step(advice) for advice in message.advice[:_STEPS]]
    if message.keywords:
        content["keywords"] = [_plain(word, _KEYWORD) for word in message.keywords[:_KEYWORDS]]
    metadata = {"threadId": _whole(message.thread)[:_TITLE], "summary": title}
    return json.dumps(
        {"version": "1.0", "source": "custom", "content": content, "metadata": metadata}, ensure_ascii=False
    )


def _step(advice: Advice) -> str:
    """A command that is too long is left to the mail: half of one must not be pasted."""
    text = printable(_whole(advice.text)).replace("`", "'").translate(_NO_MARKUP)
    command = printable(_whole(advice.command)).replace("`", "'").translate(_NO_MARKUP)
    if command and len(text) + len(command) + 4 <= _STEP:
        return f"{text}: `{command}`"
    return text[:_STEP]


_NO_MARKUP = str.maketrans(dict.fromkeys("<>&"))


def _plain(text: str, most: int) -> str:
    return _NOT_PLAIN.sub("", _whole(text)[:most])


def _whole(text: str) -> str:
    """Without half characters, which no JSON parser is glad of."""
    return text.encode(errors="replace").decode()
