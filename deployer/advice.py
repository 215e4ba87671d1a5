"""What to do next, as commands to paste: after an end, and when an alarm rings. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from deployer.model import Advice, Alarm, Deployment, Phase, Place, Situation, Source


@dataclass(frozen=True)
class Shell:
    """Commands to paste. Without a place they go where the reader's own configuration leads."""

    place: Place | None

    def __call__(self, *words: str) -> str:
        """`deployer` with these words, each quoted where it has to be."""
        where = ("--stack", self.place.stack, "--region", self.place.region) if self.place else ()
        return shlex.join(("deployer", *where, *words))


def after(deployment: Deployment, shell: Shell) -> tuple[Advice, ...]:
    """What to do when a deployment has ended so."""
    digest = deployment.image.digest
    again = shell("retry", digest, "--reason", "it was not to blame")
    resume = shell("resume")
    found: tuple[Advice, ...] = ()
    match deployment.phase:
        case Phase.SUCCEEDED if deployment.source is Source.ROLLBACK:
            found = (
                Advice(
                    "Deployments are held, so that no push undoes this. With the fix pushed, resume", resume
                ),
            )
        case Phase.REVERTED if deployment.source is Source.ROLLBACK:
            found = (
                Advice("Name another version; or push a fix, and resume, for deployments are held", resume),
            )
        case Phase.REVERTED if deployment.source is Source.CONFIGURATION:
            found = (
                Advice(
                    "Put the settings right where they come from (template.yaml). Until then each new "
                    "release is verified with them, too."
                ),
                Advice("If they were not to blame, have the live image deployed with them again", again),
            )
        case Phase.REVERTED:
            found = (
                Advice("Fix it and push again."),
                Advice("If the image was not to blame, deploy the same one again", again),
            )
        case Phase.REJECTED:
            found = (Advice("What is said above."),)
        case Phase.STUCK:
            found = _out_of_stuck(deployment, shell)
        case _:
            pass
    return (*found, *_tripped(deployment, shell))


def _out_of_stuck(deployment: Deployment, shell: Shell) -> tuple[Advice, ...]:
    if not (_left_on_candidate(deployment) and deployment.previous):
        return (
            Advice("Look at the function and the log lines. Pushing a fix works as always."),
            Advice(
                "Or, once the cause is gone, deploy the same image again",
                shell("retry", deployment.image.digest, "--reason", "its cause is gone"),
            ),
        )
    if deployment.no_way_back:
        return (Advice("There is no other version to go to. Push a fix; it deploys as always."),)
    to = deployment.previous.number
    return (
        Advice(
            f"Take users back to version {to}, and hold deployments",
            shell("rollback", "--to", to, "--reason", f"deployment {deployment.id} is stuck"),
        ),
        Advice("Then push a fix, and resume", shell("resume")),
    )


def _tripped(deployment: Deployment, shell: Shell) -> tuple[Advice, ...]:
    """What its end did beside: a hold that nobody asked for."""
    if not deployment.trips:
        return ()
    return (
        Advice(
            "Deployments hold themselves now: this was one too many in a row that did not stay. Once the "
            "cause is mended, resume; what the release tag points at then is deployed, if it was not tried "
            "yet",
            shell("resume"),
        ),
    )


def way_back(
    situation: Situation | None, alarm: Alarm, shell: Shell, placeholders: frozenset[str]
) -> tuple[Advice, ...]:
    """What to do, as commands; only where it is known what they would do."""
    by = situation.brought_by if situation else None
    why = f"alarm {alarm.name}"[:100]
    if situation is None or by is None or by.previous is None:
        hold = Advice("To keep releases away meanwhile", shell("hold", "--reason", why))
        return (Advice("Look for the cause at the function's log."), hold)
    if by.previous.image.digest in placeholders:
        return (Advice("If it is to blame, push a fix; it deploys as always."),)
    if by.phase not in (Phase.SUCCEEDED, Phase.STUCK):
        return (
            Advice("Wait for its end. It comes as a message of its own; what fails is put back by itself."),
        )
    # Pasted twice, by two people perhaps, it is one wish, and does not go back twice.
    back = shell("rollback", "--reason", why, "--request", f"{by.id}-back")
    return (
        Advice(
            "If the release is to blame, take users back to the last good version, and hold deployments", back
        ),
        Advice("Then push a fix, and resume", shell("resume")),
    )


def _left_on_candidate(deployment: Deployment) -> bool:
    live, previous = deployment.live, deployment.previous
    return bool(live and previous and live.number == deployment.version != previous.number)
