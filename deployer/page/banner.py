"""The one thing to know first: what is the matter, and whether anybody is needed."""

from __future__ import annotations

from dataclasses import dataclass

from deployer.model import Deployment, Phase, Source, Version, VersionState
from deployer.page.html import Html, element, text, void, words
from deployer.page.marks import mark, word
from deployer.page.sight import Sight
from deployer.times import stamp


@dataclass(frozen=True)
class _Headline:
    tone: str
    mark: str
    first: str
    then: str


def banner(service: str, sight: Sight) -> Html:
    """The page's head."""
    head = _headline(sight)
    return element(
        "div",
        mark(head.mark, head.tone, 30),
        element(
            "div",
            element("h2", words(head.first), data_part="headline"),
            element("p", words(head.then)),
            of="told",
        ),
        element(
            "p",
            element("strong", text(service), auto=True),
            void("br"),
            words(f"as of {stamp(sight.now)} UTC"),
            of="when",
        ),
        of=f"banner {head.tone}",
        data_part="banner",
    )


def _headline(sight: Sight) -> _Headline:
    """What needs a person comes before what does not, and nothing else is red."""
    newest = sight.history[0] if sight.history else None
    if newest and newest.phase is Phase.STUCK:
        return _Headline(
            "bad",
            "stuck",
            "STUCK: a person is needed",
            "What was begun could not be put right by itself. Below is what failed.",
        )
    if sight.live and sight.live.state is VersionState.FAILED:
        return _Headline(
            "bad",
            "stuck",
            "the live version cannot run",
            "A person is needed: users get errors. Roll back, or push a fix.",
        )
    if sight.problems:
        return _Headline(
            "bad",
            "stuck",
            "not everything could be read",
            "What is missing is named below. The rest is as it is shown.",
        )
    if sight.book and sight.book.hold:
        return _Headline(
            "care", "held", "held", "What is pushed is not deployed until somebody resumes. Users are served."
        )
    if sight.book and sight.book.open:
        begun = next((each for each in sight.book.open if each.phase is not Phase.REQUESTED), None)
        said = f"deploying: {word(begun.phase)}" if begun else "a release is waiting"
        then = "Nobody is needed: it ends live, or everything is put back by itself."
        return _Headline("busy", "under way", said, then)
    if newest is None:
        return _Headline("calm", "nothing", "no release yet", "Push an image to make the first.")
    return _ended(newest, sight.live)


def _ended(newest: Deployment, live: Version | None) -> _Headline:
    said = f"the last release was {word(newest.phase)}"
    kind = word(newest.phase)
    match newest.phase:
        case Phase.REJECTED:
            then = "Users were never touched. The release needs a fix; it can wait until morning."
        case Phase.REVERTED:
            then = "Users are back where they were. The release needs a fix; it can wait until morning."
        case Phase.SUPERSEDED:
            then = "Nobody is needed: a newer push took its place."
        case _ if live and live.image != newest.image:
            said, kind = "live is not on the last release", "held"
            return _Headline("care", kind, said, "Somebody moved it by hand.")
        case _ if newest.source is Source.ROLLBACK:
            said, kind = "users were taken back", "held"
            return _Headline("care", kind, said, "Somebody rolled back. The next push is deployed.")
        case _:
            return _Headline("good", kind, "the last release is live", "Nobody is needed.")
    return _Headline("calm" if newest.phase is Phase.SUPERSEDED else "care", kind, said, then)
