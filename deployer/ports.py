"""What the controller needs from the world, in our words. `deployer/aws` provides it; tests have fakes.

Three things can go wrong with a call, whatever AWS names them; adapters translate once:

* `LookAgain`: not now (throttled, busy, somebody was faster). Nothing is known to be broken: observe again.
* `Refused`: no, and asking again would not help. The message is AWS's own, for people.
* `LeaseLost`: another deployer has taken over. Stop at once, write nothing.

Anything else is unexpected and ends the invocation; Lambda's retry or the next sweep goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from deployer.model import (
    Announcement,
    Artifact,
    Book,
    Command,
    Conclusion,
    Deployment,
    Image,
    Latest,
    Message,
    Notice,
    Quarantine,
    Version,
)


class LookAgain(Exception):
    """Not now: the world has to be looked at again before anything else is tried."""


class Refused(Exception):
    """AWS will not do it, however often it is asked."""


class AskedBefore(Exception):
    """A command with this request's id is in the ledger already: somebody followed it."""


class LeaseLost(Exception):
    """Another deployer holds the lease now; this one must not write any more."""


@dataclass(frozen=True)
class Answer:
    """What an invocation gave back."""

    payload: bytes
    function_error: str | None  # Lambda's FunctionError: the code did not answer, it died
    log_tail: str  # at most the last 4 KB of the invocation's log
    executed_version: str


class Function(Protocol):
    """The service function."""

    def latest(self) -> Latest:
        """`$LATEST`, by GetFunction."""

    def version(self, number: str) -> Version:
        """A published version, by GetFunction."""

    def live(self) -> Version:
        """The version that the alias `live` points at, by GetFunction."""

    def live_revision(self, number: str) -> str:
        """The alias's RevisionId. Raises `LookAgain` if it no longer points at version `number`."""

    def update_code(self, image: Image, architecture: str, revision: str) -> None:
        """Start to put `$LATEST` on `image`."""

    def publish(self, image: Image, revision: str) -> Version:
        """Publish `$LATEST` as a version, if it holds `image`. The same again gives the same version."""

    def point_live(self, version: str, revision: str) -> None:
        """Move `live` to `version`, all traffic at once."""

    def invoke(self, qualifier: str, payload: bytes) -> Answer:
        """Invoke a version, or `live`, and wait for its answer."""


class Registry(Protocol):
    """The image repository."""

    def tagged(self, tag: str) -> str | None:
        """The digest that `tag` points at now, or None."""

    def artifact(self, digest: str) -> Artifact | None:
        """What `digest` is, read from its manifest and config, or None if it is gone."""

    def present(self, digest: str) -> bool:
        """Is `digest` still in the repository?"""

    def mark(self, digest: str, tag: str) -> None:
        """Put `tag` on `digest`, taking it off whatever had it. The same again does nothing."""


@dataclass(frozen=True)
class Lease:
    """The right to write, until `expires`. `token` grows with every holder: the fence."""

    holder: str
    token: int
    expires: datetime


class Ledger(Protocol):
    """What the deployer remembers. A write under a lease that is not the newest raises `LeaseLost`."""

    def look(self) -> Book:
        """What is going on now: one consistent read, however long the history is."""

    def request(self, deployment: Deployment) -> bool:
        """Note a new request. False if one with this id was noted before, ended or not."""

    def acquire(self, holder: str, now: datetime, expires: datetime) -> Lease | None:
        """The lease, or None while another holder has one that has not expired.

        The same holder asking again takes over from itself: that is Lambda's retry of what died.
        """

    def release(self, lease: Lease) -> None:
        """Give the lease back, if it is still ours."""

    def record(self, lease: Lease, deployment: Deployment, *, begins: bool = False) -> None:
        """Write down an open deployment. Raises `LookAgain` if it is not open any more, or if it `begins` to
        touch the function and a hold came in between that it may not pass."""

    def forget(self, lease: Lease, request: Deployment) -> None:
        """Take a request that waits out again, with no trace and no notice: another one is for both."""

    def end(self, lease: Lease, conclusion: Conclusion) -> None:
        """In one transaction: move the deployment from the open ones to history, leave a notice to be sent,
        and remember what the conclusion says. The same again does nothing."""

    def sent(self, notice: Notice) -> None:
        """The notice was delivered, or given up, everywhere: forget it. Of an end that somebody deleted by
        hand, and that came anew, nothing is forgotten."""

    def unsent(self, notice: Notice, again_at: datetime) -> None:
        """The notice could not be delivered everywhere: keep where it is done, and why not elsewhere, count
        the try, and wait. What somebody else found done stays done."""

    def quarantine(self, digest: str) -> Quarantine | None:
        """Why `digest` is in quarantine, or None."""

    def command(self, request: str) -> Command | None:
        """The command with this request's id, if one was followed."""

    def ask(self, command: Command) -> bool:
        """Note the deployment that the command asks for, unless it joins one, and set its hold if there is
        none. False if that deployment was noted before. Raises `AskedBefore`."""

    def hold(self, command: Command) -> bool:
        """Set the command's hold. False if deployments are held already. Raises `AskedBefore`."""

    def resume(self, command: Command) -> bool:
        """Lift the command's hold, and forget reverts. False if it is another one. Raises `AskedBefore`."""

    def abort(self, command: Command) -> bool:
        """Note that the command's deployment is to be turned round. False if it is not open, or if that was
        noted before. Raises `AskedBefore`."""

    def quarantines(self, limit: int) -> list[Quarantine]:
        """The digests that are in quarantine, at most `limit` of them, in their own order."""

    def history(
        self, limit: int, since: datetime | None = None, until: datetime | None = None
    ) -> list[Deployment]:
        """The deployments that ended, newest first: those that were asked for from `since` on and before
        `until`, both to the second."""

    def find(self, deployment_id: str) -> Deployment | None:
        """A deployment by its id, open or ended."""

    def beginning(self, beginning: str, limit: int) -> list[Deployment]:
        """The deployments that ended whose ids begin so, newest first."""


class Notifier(Protocol):
    """Where people are told."""

    def send(self, message: Message) -> None:
        """Deliver to people, or raise."""

    def chat(self, message: Message) -> None:
        """Deliver to chat channels, or raise."""


class Announcer(Protocol):
    """Where programs are told."""

    def announce(self, announcement: Announcement) -> None:
        """Put it where everybody in the account can listen, or raise."""


class Clock(Protocol):
    """Time comes in."""

    def now(self) -> datetime:
        """The time, with a zone."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""

    def remaining(self) -> float:
        """Seconds that this invocation may still use."""
