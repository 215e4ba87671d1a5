"""The things a deployment is about, as frozen records. Standard library only, no I/O.

The words are the project's vocabulary: *image*, *candidate*, *live*, *previous*, *deployment*, *check*,
*verdict*, *hold*, *quarantine*. ARCHITECTURE.md explains them; ``rollout.py`` decides with them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class BadDigest(ValueError):
    """A string that is not an image digest (``sha256:`` and 64 lower-case hexadecimal digits)."""


def require_digest(text: str) -> str:
    """Return `text` if it is an image digest, else raise `BadDigest`."""
    if not _DIGEST.fullmatch(text):
        raise BadDigest(f"not an image digest (sha256: and 64 hexadecimal digits): {text[:80]!r}")
    return text


def short(digest: str) -> str:
    """A digest as people read it: its first twelve hexadecimal digits and an ellipsis."""
    return f"{digest[:19]}…"


@dataclass(frozen=True)
class Image:
    """What a deployment deploys: a repository and a digest. A tag is only a way to find a digest."""

    repository: str
    digest: str

    def __post_init__(self) -> None:
        require_digest(self.digest)

    def __str__(self) -> str:
        return short(self.digest)


@dataclass(frozen=True)
class Origin:
    """Where an image comes from, as its labels say: words of whoever built it, which nobody vouches for."""

    revision: str | None = None  # org.opencontainers.image.revision: the commit
    url: str | None = None  # org.opencontainers.image.source: where the source is kept
    committed_at: datetime | None = None  # when the revision was committed
    built_by: str | None = None  # the person, or the build


class ArtifactKind(StrEnum):
    """What a digest in the registry turned out to be."""

    IMAGE = "image"  # one architecture: what Lambda runs
    INDEX = "index"  # a list of images, or an image with an attestation: Lambda refuses it
    OTHER = "other"  # a Helm chart, a signature, a format nobody here knows


@dataclass(frozen=True)
class Artifact:
    """What the registry says about a digest, read before the function is touched."""

    kind: ArtifactKind
    media_type: str
    architecture: str | None = None  # as Lambda names it: x86_64 or arm64; None: not said
    size: int = 0  # bytes of the compressed layers, as the manifest states them
    origin: Origin = Origin()
    problem: str | None = None  # why it could not be read, in a sentence's middle


class VersionState(StrEnum):
    """`State` of a published version. AWS adds states; what is unknown here counts as PENDING."""

    PENDING = "Pending"
    ACTIVE = "Active"
    INACTIVE = "Inactive"  # idle for weeks: the first invocation wakes it
    FAILED = "Failed"


@dataclass(frozen=True)
class Configuration:
    """What a function is besides its code: memory, environment, network ... It is only ever compared.

    `settings` are pairs of a setting's name and a hash of its value: an environment has secrets in it.
    """

    settings: tuple[tuple[str, str], ...] = ()

    @property
    def fingerprint(self) -> str:
        """One word for all of it, to remember which one was tried."""
        return hashlib.sha256(repr(self.settings).encode()).hexdigest()[:16]

    def differences(self, other: Configuration) -> list[str]:
        """The names of the settings that are not the same, sorted."""
        return sorted({name for name, _ in set(self.settings).symmetric_difference(other.settings)})


@dataclass(frozen=True)
class Version:
    """A published version of the service function."""

    number: str
    image: Image
    state: VersionState = VersionState.ACTIVE
    reason: str = ""  # Lambda's own words when the state is FAILED
    configuration: Configuration = Configuration()  # as it was read; what is remembered has none


class UpdateStatus(StrEnum):
    """`LastUpdateStatus` of the function."""

    SUCCESSFUL = "Successful"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"


@dataclass(frozen=True)
class Latest:
    """The function's `$LATEST`."""

    image: Image
    status: UpdateStatus
    revision: str  # RevisionId: goes with every write, so that a stale writer is refused
    architecture: str
    reason: str = ""  # Lambda's own words when the status is FAILED
    configuration: Configuration = Configuration()


@dataclass(frozen=True)
class CheckResult:
    """One smoke request: what was asked, what came back, and whether that was right."""

    name: str  # "GET /health"
    passed: bool
    expected: str
    actual: str  # "200 after 0.4 s", "503: {…}", "Runtime.ImportModuleError: …"
    seconds: float
    tries: int


@dataclass(frozen=True)
class Verdict:
    """The outcome of all checks against one version."""

    results: tuple[CheckResult, ...]
    log_tail: str = ""  # the function's last log lines, when a check failed

    @property
    def healthy(self) -> bool:
        """True if there was at least one check and all of them passed."""
        return bool(self.results) and all(result.passed for result in self.results)

    def __str__(self) -> str:
        if not self.results:
            return "no check was run"
        told = [result for result in self.results if not result.passed] or list(self.results)
        return "; ".join(f"{result.name} answered {result.actual}" for result in told)


class Phase(StrEnum):
    """Where a deployment is. The moves between phases are in `rollout.MOVES`."""

    REQUESTED = "REQUESTED"
    UPDATING = "UPDATING"
    VERIFYING = "VERIFYING"
    PROMOTING = "PROMOTING"
    CONFIRMING = "CONFIRMING"
    REVERTING = "REVERTING"
    SUCCEEDED = "SUCCEEDED"
    REJECTED = "REJECTED"
    SUPERSEDED = "SUPERSEDED"
    REVERTED = "REVERTED"
    STUCK = "STUCK"


class Source(StrEnum):
    """Who asked for a deployment."""

    PUSH = "push"  # an event said that the release tag was pushed
    SWEEP = "sweep"  # the sweep found the release tag on a digest nobody had told us about
    CONFIGURATION = "configuration"  # the sweep found $LATEST's configuration changed under the live image
    RETRY = "retry"  # a person wants this digest, although it may be in quarantine
    DEPLOY = "deploy"  # a person wants this digest
    ROLLBACK = "rollback"  # a person wants users back on an earlier version


@dataclass(frozen=True)
class Moment:
    """One line of a deployment's timeline."""

    at: datetime
    phase: Phase
    because: str


@dataclass(frozen=True)
class Deployment:
    """One attempt to make `image` live."""

    id: str
    image: Image
    source: Source
    requested_at: datetime
    phase: Phase = Phase.REQUESTED
    timeline: tuple[Moment, ...] = ()
    by: str | None = None  # the person who asked for it; None: nobody did
    why: str | None = None  # in that person's words
    passes: str | None = None  # the id of the hold that it may pass
    leaving: str | None = None  # of a rollback: the version that it is meant to leave; None: any
    previous: Version | None = None  # live when this deployment began to touch the function
    version: str | None = None  # the candidate's version number, once published; a rollback's from the start
    configuration: str | None = None  # fingerprint of the configuration that was published
    origin: Origin = Origin()  # of the image
    before: Origin = Origin()  # of the image that was live when this deployment began
    ending: Phase | None = None  # what REVERTING will end as: REVERTED or SUPERSEDED
    updates: int = 0  # how many changes of $LATEST's code AWS has accepted in this phase
    blamed: bool = False  # the image itself was seen to fail, so it goes into quarantine
    live: Version | None = None  # what `live` was on when the phase last changed; None: not known
    no_way_back: bool = False  # it was seen that `previous` could not serve
    aborted: bool = False  # a person turned it round
    trips: str | None = None  # the id of the hold that its end set: one revert too many in a row
    warnings: tuple[str, ...] = ()
    verification: Verdict | None = None  # of the candidate version, while users are on `previous`
    confirmation: Verdict | None = None  # of the candidate through `live`
    restoration: Verdict | None = None  # of what users are on after a revert

    @property
    def revision(self) -> str | None:
        """The image's source revision, if its label says."""
        return self.origin.revision

    @property
    def since(self) -> datetime:
        """When the present phase began."""
        return self.timeline[-1].at if self.timeline else self.requested_at

    @property
    def passes_any_hold(self) -> bool:
        """A rollback implies a hold, so none is in its way."""
        return self.source is Source.ROLLBACK

    @property
    def because(self) -> str:
        """Why it is in its present phase."""
        return self.timeline[-1].because if self.timeline else ""

    @property
    def failed_verdict(self) -> Verdict | None:
        """The verdict that a person has to look at. What users are on comes first: if that fails too, it is
        what has to be mended."""
        verdicts = (self.restoration, self.verification, self.confirmation)
        return next((verdict for verdict in verdicts if verdict and not verdict.healthy), None)

    @property
    def failure(self) -> str | None:
        """Why it was turned round, if it was: the sentence it entered REVERTING with."""
        return next((m.because for m in self.timeline if m.phase is Phase.REVERTING), None)


def deployment_id(requested_at: datetime, seed: str) -> str:
    """An id that sorts by time and is the same for the same event, however often it is delivered.

    `seed` is the event's own id; EventBridge repeats it when it delivers an event again.
    """
    return f"{id_time(requested_at)}-{hashlib.sha256(seed.encode()).hexdigest()[:8]}"


def id_time(requested_at: datetime) -> str:
    """What the id of a deployment begins with that was asked for in that second. It sorts before all of them,
    and after all that were asked for earlier."""
    moment = requested_at.astimezone(UTC)
    return f"{moment.year:04}{moment:%m%dT%H%M%SZ}"


@dataclass(frozen=True)
class Hold:
    """Deployments are frozen. What is to pass it must name it, by its id."""

    by: str
    because: str
    since: datetime
    id: str = ""  # empty: one that nothing can pass


@dataclass(frozen=True)
class Asked:
    """Who asks, and why. The same `request` again is the same wish: it is followed once."""

    request: str
    by: str
    because: str


@dataclass(frozen=True)
class Command:
    """What a person asked for, and what it is about: kept, so that it is followed once."""

    verb: str
    asked: Asked
    at: datetime
    deployment: str | None = None  # the id of the deployment that it asks for, or turns round
    hold: Hold | None = None  # the hold that it sets or lifts
    wish: Deployment | None = None  # the deployment that it asks for, if it is a new one; not kept with it


@dataclass(frozen=True)
class Quarantine:
    """A digest that failed. Neither an event nor a sweep deploys it again."""

    digest: str
    deployment: str
    because: str


class Channel(StrEnum):
    """Where the end of a deployment is told. Each has a state of its own, and is in no other's way."""

    MAIL = "mail"  # people: owed for ever
    CHAT = "chat"  # chat channels
    EVENT = "event"  # the account's event bus, for programs


@dataclass(frozen=True)
class Notice:
    """A deployment's end that has not been told everywhere yet."""

    deployment: Deployment
    tries: int = 0
    again_at: datetime | None = None  # not before; None: as soon as possible
    done: frozenset[Channel] = frozenset()  # told there, or given up
    errors: tuple[tuple[Channel, str], ...] = ()  # why the last try failed, where it did

    @property
    def owed(self) -> tuple[Channel, ...]:
        """Where it has still to be told, people first."""
        return tuple(channel for channel in Channel if channel not in self.done)


@dataclass(frozen=True)
class Place:
    """Where a service is: what a command that is pasted, and a link into the console, have to name."""

    stack: str
    region: str
    account: str
    repository: str
    partition: str = "aws"


@dataclass(frozen=True)
class Link:
    """A page of the console, or of whoever keeps the source. The address is built here, of parts that were
    looked at: nobody else's address is ever passed on."""

    what: str
    url: str


@dataclass(frozen=True)
class Advice:
    """What to do next: a sentence, and the command to paste, if there is one."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class Message:
    """For people: one line, and the whole story. Messages of one `thread` belong together.

    The rest is what the story has in it, for forms that show it in their own way.
    """

    subject: str
    body: str
    thread: str
    brief: str = ""  # the story without commands, links and timeline; empty: the body
    advice: tuple[Advice, ...] = ()
    links: tuple[Link, ...] = ()
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True)
class Announcement:
    """For programs: an event as EventBridge takes it. `detail` is JSON."""

    detail_type: str
    resources: tuple[str, ...]
    detail: str
    at: datetime


@dataclass(frozen=True)
class Alarm:
    """An alarm of the service went red. Name and reason are CloudWatch's own words."""

    name: str
    because: str
    since: datetime


@dataclass(frozen=True)
class Situation:
    """What users are on, and how that came to be."""

    live: Version
    brought_by: Deployment | None  # the deployment that put `live` there; None: none that is remembered
    hold: Hold | None = None


@dataclass(frozen=True)
class Marks:
    """Where the registry's tags `live` and `previous` are: the digests that must not expire."""

    live: str | None = None
    previous: str | None = None


@dataclass(frozen=True)
class Book:
    """What the ledger says now: one read, however long the history is."""

    settled: str | None = None  # the release tag's digest that was dealt with last
    hold: Hold | None = None
    open: tuple[Deployment, ...] = ()
    notices: tuple[Notice, ...] = ()
    aborts: tuple[Command, ...] = ()  # of open deployments
    reverts: int = 0  # deployments in a row that did not stay
    configured: str | None = None  # fingerprint of the configuration that was dealt with last
    leased_to: str | None = None  # who has the lease, or had it when it died


@dataclass(frozen=True)
class Conclusion:
    """What is remembered when a deployment has ended, all in one write."""

    deployment: Deployment
    settled: str | None = None  # the release tag's digest that need not be looked at again
    configured: str | None = None  # the configuration that need not be looked at again
    quarantine: Quarantine | None = None  # its digest is bad: the image was seen to fail
    pardoned: bool = False  # its digest is not bad: what is live has passed its checks, whatever was before
    reverts: int = 0  # in a row, this one included
    hold: Hold | None = None  # so many that deployments hold themselves


@dataclass(frozen=True)
class View:
    """The world, as one turn of the loop sees it. `rollout.decide` knows nothing else.

    A field that its phase has no use for is None: every read costs a request, and the control plane
    grants an account 15 a second (GetFunction, 100).
    """

    now: datetime
    deployment: Deployment
    latest: Latest
    live: Version
    newer: Deployment | None = None  # a request that came after this deployment
    hold: Hold | None = None
    abort: Command | None = None  # a person wants this deployment turned round
    quarantine: Quarantine | None = None  # of the candidate's digest
    artifact: Artifact | None = None  # of the candidate; None in REQUESTED: it is gone
    before: Origin | None = None  # of what is live, read in REQUESTED if the registry told
    origin: Origin | None = None  # of a rollback's target, read in REQUESTED if the registry told
    way_back: bool = True  # is the image that a revert, or a rollback, would need still in the registry?
    candidate: Version | None = None  # the published candidate
    previous: Version | None = None  # `deployment.previous` as it is now, when users are to go back to it
    live_revision: str | None = None  # the alias's RevisionId
    refused: str | None = None  # the last action was refused for good: which, and AWS's words
    missed: str | None = None  # the last action was tried and met a "not now"; AWS's words
    placeholders: frozenset[str] = frozenset()  # digests of what a stack begins with: never a way back


@dataclass(frozen=True)
class Limits:
    """How long a phase may last before it counts as failed. Seconds."""

    free: float = 600  # somebody else's update is under way: how long to wait for our turn
    update: float = 1500  # a 10 GB image takes minutes; this covers several Lambda lives
    checks: float = 600
    revert: float = 1800
    tries: int = 2  # how often an update that AWS accepts and then fails is tried
    reverts: int = 3  # after so many in a row, deployments hold themselves; 0: never
