"""What an end means to whoever looks at it, on the page and on a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from deployer.model import Deployment, Phase

# Beside a tone the word is always there, too: colour alone tells some people nothing.
TONES = {
    Phase.SUCCEEDED: "good",
    Phase.REVERTED: "bad",
    Phase.REJECTED: "care",
    Phase.SUPERSEDED: "calm",
    Phase.STUCK: "bad",
}
FAILURES = frozenset({Phase.REVERTED, Phase.REJECTED, Phase.STUCK})


def last_failure(history: Iterable[Deployment]) -> Deployment | None:
    """The newest deployment that failed, in a history with the newest first."""
    return next((each for each in history if each.phase in FAILURES), None)
