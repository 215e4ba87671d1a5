"""200 pushes of the release tag in a few seconds, and where each of them ended: `make burst`.

    python -m tests.kills.burst [PUSHES]

Writes the figures of 200 into docs/testing.md. Exit status 1: something was not as it must be afterwards.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from deployer.model import Phase
from sandbox.building.images import BuiltImage
from sandbox.door.watching import FunctionCall
from sandbox.ending import end_as_ctrl_c_does
from sandbox.server import Sandbox
from sandbox.waiting import until
from tests.kills import tables
from tests.kills.tables import counted, rounded_up
from tests.kills.trial import CHECKS, FAST, Kind, dead_letters, service
from tests.whole.team import Mailbox, Team

PUSHES = 200
LONGEST_SECONDS = 300


@dataclass(frozen=True)
class Burst:
    """What came of it."""

    pushes: int
    pushing: float
    """Seconds that the pushes took."""
    seconds: float
    """From the first push until no event and no request waited any more."""
    ends: Counter[Phase]
    live_is_last: bool
    told: int
    """Of how many releases people got a message."""
    left: int
    """Open deployments and messages that wait."""
    given_up: int
    """Events in a dead-letter queue."""
    calls: Counter[str]

    @property
    def right(self) -> bool:
        """The last one is live, and all are accounted for."""
        accounted = self.ends.total() == self.told == self.pushes and self.left == self.given_up == 0
        return self.live_is_last and self.ends[Phase.SUCCEEDED] >= 1 and accounted

    def __str__(self) -> str:
        ends = ", ".join(f"{number} {phase}" for phase, number in sorted(self.ends.items()))
        live = "the last one" if self.live_is_last else "**another one**"
        return (
            f"{self.pushes} pushes within {rounded_up(self.pushing)} s "
            f"ended within {rounded_up(self.seconds)} s: {ends}. Live is {live}.\n"
            f"People were told of {self.told}; {self.left} were left open or untold; "
            f"{self.given_up} events were given up.\n"
        )


def push_many(pushes: int) -> Burst:
    """Push that many images, each under the release tag, one right after the other."""
    made: list[FunctionCall] = []

    def watch(call: FunctionCall, done: bool) -> bool:
        if done and call.function == team.outputs["DeployerName"]:
            made.append(call)
        return False

    with Sandbox(settings=FAST) as sandbox:
        team = Team(sandbox, "burst", Checks=CHECKS)
        # No sweep helps.
        sandbox.client("events").disable_rule(Name=team.physical("SweepSchedule"))
        mailbox = Mailbox(team)
        # What is slow of a push is done before, under tags that nobody listens to.
        built = [team.build(_revision(number), service(Kind.HEALTHY)) for number in range(pushes)]
        for number, image in enumerate(built):
            team.upload(image, f"before-{number}")
        sandbox.watch(watch)
        began = time.monotonic()
        for image in built:
            team.ecr.put_image(
                repositoryName=team.repository,
                imageManifest=image.manifest.decode(),
                imageManifestMediaType=image.media_type,
                imageTag="latest",
            )
        pushing = time.monotonic() - began
        until(
            lambda: made and not sandbox.functions.events_under_way and not team.ledger.look().open,
            "every push to end",
            LONGEST_SECONDS,
        )
        seconds = time.monotonic() - began
        book, wanted = team.ledger.look(), {image.digest for image in built}
        ended = [each for each in team.ledger.history(2 * pushes) if each.image.digest in wanted]
        return Burst(
            pushes,
            pushing,
            seconds,
            Counter(each.phase for each in ended),
            team.where() == (built[-1].digest, built[-1].digest),
            _told(built, mailbox),
            len(book.open) + len(book.notices),
            dead_letters(team, sandbox.client("sqs")),
            counted(made),
        )


def _revision(number: int) -> str:
    return f"burst-{number:04}"


def _told(built: Sequence[BuiltImage], mailbox: Mailbox) -> int:
    """Of how many there is a message. What was never looked at is named by its digest, not its revision."""
    subjects = " ".join(message["Subject"] for message in mailbox.about("release "))
    return sum(
        _revision(number) in subjects or image.digest.removeprefix("sha256:")[:12] in subjects
        for number, image in enumerate(built)
    )


def main(words: list[str]) -> int:
    """The exit status."""
    end_as_ctrl_c_does()
    burst = push_many(int(words[0]) if words else PUSHES)
    made = ", ".join(f"{number} {service}" for service, number in sorted(burst.calls.items()))
    sys.stdout.write(f"{burst}In {burst.seconds:.1f} s, with these calls: {made}.\n")
    if burst.pushes == PUSHES:
        tables.write("burst", str(burst), by="make burst")
    return 0 if burst.right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
