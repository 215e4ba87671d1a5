"""The world in memory: fakes with state for every port. Time passes only when somebody sleeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from deployer.controller import Controller, Journal, Ports, Service
from deployer.model import (
    Alarm,
    Announcement,
    Artifact,
    ArtifactKind,
    Asked,
    Book,
    Channel,
    Command,
    Conclusion,
    Configuration,
    Deployment,
    Hold,
    Image,
    Latest,
    Limits,
    Message,
    Notice,
    Phase,
    Place,
    Quarantine,
    Source,
    UpdateStatus,
    Version,
    VersionState,
    deployment_id,
    id_time,
)
from deployer.ports import Answer, AskedBefore, Lease, LeaseLost, LookAgain, Refused
from deployer.rollout import Step
from deployer.smoke import Check

REPOSITORY = "shuking-lambda"
TAG = "latest"
PLACE = Place("shuking-prod", "eu-west-1", "123456789012", REPOSITORY)
START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
CLOCK_SKEW = timedelta(seconds=5)  # the real ledger's, which takes a second to import


def image(name: str) -> Image:
    """An image whose digest is made from a readable name."""
    return Image(REPOSITORY, "sha256:" + hashlib.sha256(name.encode()).hexdigest())


def http(status: int, body: object) -> Answer:
    """What a service behind API Gateway answers."""
    payload = json.dumps({"statusCode": status, "body": json.dumps(body)}).encode()
    return Answer(payload, None, f"answered {status}", "1")


HEALTHY = http(200, {"status": "ok"})
UNHEALTHY = http(503, {"status": "failing"})
PLACEHOLDER = image("placeholder")


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self, budget: float = 300) -> None:
        self.time = START
        self.ends = START + timedelta(seconds=budget)

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def remaining(self) -> float:
        return (self.ends - self.time).total_seconds()

    def new_invocation(self, budget: float = 300) -> None:
        self.ends = self.time + timedelta(seconds=budget)


@dataclass
class FakeRegistry:
    """The repository: tags, digests, and what they are."""

    tags: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    marked: list[tuple[str, str]] = field(default_factory=list)
    refuses_marks: str = ""
    silent: bool = False  # it does not answer
    unreadable: set[str] = field(default_factory=set)  # digests that it does not show

    def tagged(self, tag: str) -> str | None:
        if self.silent:
            raise LookAgain("DescribeImages: ServerException")
        return self.tags.get(tag)

    def artifact(self, digest: str) -> Artifact | None:
        if digest in self.unreadable:
            raise Refused("BatchGetImage: AccessDeniedException: not this one")
        return self.artifacts.get(digest)

    def present(self, digest: str) -> bool:
        if self.silent:
            raise LookAgain("DescribeImages: ServerException")
        return digest in self.artifacts

    def mark(self, digest: str, tag: str) -> None:
        if self.refuses_marks:
            raise Refused(self.refuses_marks)
        if digest not in self.artifacts:
            raise Refused(f"{digest} cannot be tagged {tag}: it is not in the repository")
        self.tags[tag] = digest
        self.marked.append((tag, digest))

    def put(self, pushed: Image, artifact: Artifact | None = None, tag: str = TAG) -> None:
        self.artifacts[pushed.digest] = artifact or Artifact(
            ArtifactKind.IMAGE, "application/vnd.oci.image.manifest.v1+json", "x86_64", 1000
        )
        self.tags[tag] = pushed.digest

    def delete(self, pushed: Image) -> None:
        """By a lifecycle policy, or by somebody's hand: the image goes, and its tags with it."""
        del self.artifacts[pushed.digest]
        for tag in [tag for tag, digest in self.tags.items() if digest == pushed.digest]:
            del self.tags[tag]


@dataclass
class FakeFunction:
    """The service function: `$LATEST`, versions, the alias, and who answers how.

    As strict as Lambda: tests/contracts holds it to what the sandbox does. What takes time there has a moment
    here at which it is done, and whoever looks after that finds it done. The simulation calls it millions of
    times, so what it keeps are plain values.
    """

    clock: FakeClock
    registry: FakeRegistry
    update_seconds: float = 2
    pending_seconds: float = 1  # until a new version, or one that was asleep, is ready
    code: Image = PLACEHOLDER
    architecture: str = "x86_64"
    configuration: Configuration = field(default_factory=Configuration)
    versions: dict[str, Version] = field(default_factory=dict)
    alias: str = "1"
    revision: int = 1
    alias_revision: int = 1
    failed: str = ""  # why the last update failed
    answers: dict[Image, Callable[[], Answer]] = field(default_factory=dict)
    refuses: dict[Image, str] = field(default_factory=dict)  # updates that are not even begun
    never_updates: set[Image] = field(default_factory=set)  # updates that are InProgress for ever
    fails_to_update: dict[Image, str] = field(default_factory=dict)  # updates that are accepted and then fail
    fails_to_start: dict[Image, str] = field(
        default_factory=dict
    )  # a version of it goes from Pending to Failed
    refuses_to_move: str = ""
    exposed: list[Image] = field(default_factory=list)  # every image that `live` ever pointed at
    invoked: list[tuple[str, Image]] = field(default_factory=list)  # what ran
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.versions.setdefault("1", Version("1", self.code))
        self.exposed.append(self.code)
        self.serving = self.code  # what `$LATEST` runs: during an update still the code from before it
        self._done_at: datetime | None = None  # when the update that is under way is done
        self._ready: dict[str, tuple[datetime, Version]] = {}  # of a Pending version: when, and as what
        self._published = max(self.versions, key=int)
        self._published_from = (self.code, self.architecture, self.configuration)

    @property
    def live_image(self) -> Image:
        return self.versions[self.alias].image

    def latest(self) -> Latest:
        if self._updating():
            return Latest(
                self.code,
                UpdateStatus.IN_PROGRESS,
                str(self.revision),
                self.architecture,
                configuration=self.configuration,
            )
        failed = self.failed or self._gone(self.code)
        status = UpdateStatus.FAILED if failed else UpdateStatus.SUCCESSFUL
        return Latest(self.code, status, str(self.revision), self.architecture, failed, self.configuration)

    def version(self, number: str) -> Version:
        if number not in self.versions:
            raise Refused(f"GetFunction: ResourceNotFoundException: Function not found: {number}")
        if number in self._ready:
            at, ready = self._ready[number]
            if self.clock.now() < at:
                return self.versions[number]
            del self._ready[number]
            self.versions[number] = ready
        version = self.versions[number]
        if gone := self._gone(version.image):
            return replace(version, state=VersionState.FAILED, reason=gone)
        return version

    def live(self) -> Version:
        return self.version(self.alias)

    def live_revision(self, number: str) -> str:
        self.calls.append("GetAlias")
        if number != self.alias:
            raise LookAgain(f"live moved from version {number} to {self.alias} meanwhile")
        return str(self.alias_revision)

    def update_code(self, image: Image, architecture: str, revision: str) -> None:
        self.calls.append("UpdateFunctionCode")
        if architecture not in ("x86_64", "arm64"):
            raise Refused(f"an architecture that nobody here knows: {architecture!r}")
        self._require("UpdateFunctionCode", revision)
        if image in self.refuses:
            raise Refused(self.refuses[image])
        artifact = self.registry.artifacts.get(image.digest)
        if artifact is None:
            raise Refused(f"UpdateFunctionCode: InvalidParameterValueException: {image} does not exist")
        if artifact.kind is not ArtifactKind.IMAGE:
            raise Refused(
                "UpdateFunctionCode: InvalidParameterValueException: its media type is not supported"
            )
        self.code, self.architecture = image, architecture
        self._begin_update()

    def publish(self, image: Image, revision: str) -> Version:
        self.calls.append("PublishVersion")
        self._require("PublishVersion", revision)
        if image != self.code:
            raise LookAgain(f"$LATEST is no longer on {image}: somebody changed it")
        made_from = (self.code, self.architecture, self.configuration)
        if made_from == self._published_from:
            return self.version(self._published)
        number = str(int(self._published) + 1)
        self._published, self._published_from = number, made_from
        self.versions[number] = pending = Version(
            number, image, VersionState.PENDING, configuration=self.configuration
        )
        failed = self.failed or self.fails_to_start.get(image, "")
        state = VersionState.FAILED if failed else VersionState.ACTIVE
        ready = Version(number, image, state, failed, self.configuration)
        self._ready[number] = (self.clock.now() + timedelta(seconds=self.pending_seconds), ready)
        self.revision += 1
        return pending

    def point_live(self, version: str, revision: str) -> None:
        self.calls.append("UpdateAlias")
        if self.refuses_to_move:
            raise Refused(self.refuses_to_move)
        if revision != str(self.alias_revision):
            raise LookAgain("UpdateAlias: PreconditionFailedException: somebody was faster")
        if version not in self.versions:
            raise Refused(f"UpdateAlias: ResourceNotFoundException: Function not found: {version}")
        self.move_live(version)

    def invoke(self, qualifier: str, payload: bytes) -> Answer:
        if qualifier == "$LATEST":
            self._updating()
            return self._run(qualifier, self.serving, qualifier)
        version = self.live() if qualifier == "live" else self.version(qualifier)
        if version.state is VersionState.ACTIVE:
            return self._run(qualifier, version.image, version.number)
        if version.state is VersionState.FAILED:
            raise Refused(f"Invoke: CodeArtifactUserFailedException: {version.reason}")
        if version.state is VersionState.INACTIVE:
            self._wake(version)
        raise LookAgain(f"Invoke: ResourceConflictException: version {version.number} is {version.state}")

    # -- what people do, and what happens by itself

    def update_by_hand(self, image: Image) -> None:
        """Whoever does not name the architecture gets Lambda's default."""
        self.update_code(image, "x86_64", self.latest().revision)

    def configure(self, configuration: Configuration) -> None:
        """By somebody's hand, or by CloudFormation: an update like any other."""
        self._require("UpdateFunctionConfiguration", self.latest().revision)
        self.configuration = configuration
        self._begin_update()

    def move_live(self, version: str) -> None:
        """By us, or by somebody's hand."""
        self.alias = version
        self.alias_revision += 1
        self.exposed.append(self.live_image)

    def set_state(self, number: str, state: VersionState, reason: str = "") -> None:
        self._ready.pop(number, None)
        self.versions[number] = replace(self.versions[number], state=state, reason=reason)

    # -- Lambda's own

    def _updating(self) -> bool:
        """Is an update under way? One that is due is done first."""
        if self._done_at is None:
            return False
        if self.clock.now() < self._done_at:
            return True
        self._done_at = None
        self.revision += 1
        self.failed = self.fails_to_update.get(self.code, "") or self._gone(self.code)
        if not self.failed:
            self.serving = self.code
        return False

    def _require(self, call: str, revision: str) -> None:
        if self._updating():
            raise LookAgain(f"{call}: ResourceConflictException: an update is in progress")
        if revision != str(self.revision):
            raise LookAgain(f"{call}: PreconditionFailedException: somebody was faster")

    def _begin_update(self) -> None:
        self.revision += 1
        if self.code in self.never_updates:
            self._done_at = datetime.max.replace(tzinfo=UTC)
        else:
            self._done_at = self.clock.now() + timedelta(seconds=self.update_seconds)

    def _gone(self, image: Image) -> str:
        if image.digest in self.registry.artifacts:
            return ""
        return f"ImageDeleted: The image {image.digest} was deleted from the repository."

    def _wake(self, version: Version) -> None:
        self.versions[version.number] = replace(version, state=VersionState.PENDING)
        self._ready[version.number] = (
            self.clock.now() + timedelta(seconds=self.pending_seconds),
            replace(version, state=VersionState.ACTIVE),
        )

    def _run(self, qualifier: str, image: Image, executed_version: str) -> Answer:
        self.invoked.append((qualifier, image))
        return replace(self.answers.get(image, lambda: HEALTHY)(), executed_version=executed_version)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _of_one_end(one: Notice, other: Notice) -> bool:
    return (one.deployment.id, one.deployment.since) == (other.deployment.id, other.deployment.since)


@dataclass
class FakeLedger:
    """What the deployer remembers."""

    book: Book = field(default_factory=Book)
    ended: dict[str, Deployment] = field(default_factory=dict)
    quarantined: dict[str, Quarantine] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)
    held_lease: Lease | None = None
    token: int = 0
    recorded: list[Deployment] = field(default_factory=list)
    busy: int = 0  # so many calls for the lease meet somebody's write

    def look(self) -> Book:
        """In the order of ids, as DynamoDB keeps them."""
        book = self.book
        holder = self.held_lease.holder if self.held_lease else None
        if len(book.open) < 2 and len(book.notices) < 2 and len(book.aborts) < 2:
            return replace(book, leased_to=holder)
        return replace(
            book,
            open=tuple(sorted(book.open, key=lambda d: d.id)),
            notices=tuple(sorted(book.notices, key=lambda n: n.deployment.id)),
            aborts=tuple(sorted(book.aborts, key=lambda a: a.deployment or "")),
            leased_to=holder,
        )

    def request(self, deployment: Deployment) -> bool:
        if self.find(deployment.id):
            return False
        self.book = replace(self.book, open=(*self.book.open, deployment))
        return True

    def acquire(self, holder: str, now: datetime, expires: datetime) -> Lease | None:
        if self.busy:
            self.busy -= 1
            raise LookAgain("TransactionConflictException")
        held = self.held_lease
        if held and held.holder != holder and not _seconds(held.expires) < _seconds(now - CLOCK_SKEW):
            return None
        self.token += 1
        self.held_lease = Lease(holder, self.token, expires)
        return self.held_lease

    def release(self, lease: Lease) -> None:
        if self.held_lease == lease:
            self.held_lease = None

    def record(self, lease: Lease, deployment: Deployment, *, begins: bool = False) -> None:
        self._fence(lease, begins=begins)
        stopped = self.book.hold and not deployment.passes_any_hold and self.book.hold.id != deployment.passes
        if begins and stopped:
            raise LookAgain(f"{deployment.id} cannot begin: a hold came in between, or the lease is lost")
        if not any(d.id == deployment.id for d in self.book.open):
            raise LookAgain(f"{deployment.id} is not open any more: it ended, or was never requested")
        self.recorded.append(deployment)
        self.book = replace(
            self.book, open=tuple(deployment if d.id == deployment.id else d for d in self.book.open)
        )

    def forget(self, lease: Lease, request: Deployment) -> None:
        self._fence(lease)
        self.book = replace(self.book, open=tuple(d for d in self.book.open if d.id != request.id))

    def end(self, lease: Lease, conclusion: Conclusion) -> None:
        self._fence(lease)
        deployment = conclusion.deployment
        if deployment.id in self.ended:
            return
        self.book = replace(
            self.book,
            open=tuple(d for d in self.book.open if d.id != deployment.id),
            aborts=tuple(a for a in self.book.aborts if a.deployment != deployment.id),
            settled=conclusion.settled or self.book.settled,
            configured=conclusion.configured or self.book.configured,
            hold=self.book.hold or conclusion.hold,
            reverts=conclusion.reverts,
            # One a deployment, as the table's key is: that of an end which somebody deleted makes way.
            notices=(*(n for n in self.book.notices if n.deployment.id != deployment.id), Notice(deployment)),
        )
        self.ended[deployment.id] = deployment
        digest = deployment.image.digest
        if conclusion.quarantine:
            self.quarantined[digest] = conclusion.quarantine
        if conclusion.pardoned:
            self.quarantined.pop(digest, None)

    def sent(self, notice: Notice) -> None:
        kept = tuple(n for n in self.book.notices if not _of_one_end(n, notice))
        self.book = replace(self.book, notices=kept)

    def unsent(self, notice: Notice, again_at: datetime) -> None:
        def tried(known: Notice) -> Notice:
            done = known.done | notice.done
            return replace(known, tries=known.tries + 1, again_at=again_at, done=done, errors=notice.errors)

        kept = tuple(tried(known) if _of_one_end(known, notice) else known for known in self.book.notices)
        self.book = replace(self.book, notices=kept)

    def quarantine(self, digest: str) -> Quarantine | None:
        return self.quarantined.get(digest)

    def command(self, request: str) -> Command | None:
        return self.commands.get(request)

    def ask(self, command: Command) -> bool:
        self._first(command)
        if command.wish and not self.request(command.wish):
            return False
        self.book = replace(self.book, hold=self.book.hold or command.hold)
        return self._keep(command)

    def hold(self, command: Command) -> bool:
        self._first(command)
        if self.book.hold:
            return False
        self.book = replace(self.book, hold=command.hold)
        return self._keep(command)

    def resume(self, command: Command) -> bool:
        self._first(command)
        if self.book.hold is None or self.book.hold != command.hold:
            return False
        self.book = replace(self.book, hold=None, reverts=0)
        return self._keep(command)

    def abort(self, command: Command) -> bool:
        self._first(command)
        known = any(a.deployment == command.deployment for a in self.book.aborts)
        if known or not any(d.id == command.deployment for d in self.book.open):
            return False
        self.book = replace(self.book, aborts=(*self.book.aborts, command))
        return self._keep(command)

    def _first(self, command: Command) -> None:
        if command.asked.request in self.commands:
            raise AskedBefore(f"request {command.asked.request} was followed before")

    def _keep(self, command: Command) -> bool:
        self.commands[command.asked.request] = replace(command, wish=None)
        return True

    def quarantines(self, limit: int) -> list[Quarantine]:
        return sorted(self.quarantined.values(), key=lambda each: each.digest)[:limit]

    def history(
        self, limit: int, since: datetime | None = None, until: datetime | None = None
    ) -> list[Deployment]:
        found = [
            each
            for each in self.ended.values()
            if (since is None or each.id >= id_time(since)) and (until is None or each.id < id_time(until))
        ]
        return sorted(found, key=lambda d: d.id, reverse=True)[:limit]

    def beginning(self, beginning: str, limit: int) -> list[Deployment]:
        found = [each for each in self.ended.values() if each.id.startswith(beginning)]
        return sorted(found, key=lambda d: d.id, reverse=True)[:limit]

    def find(self, deployment_id: str) -> Deployment | None:
        return self.ended.get(deployment_id) or next(
            (d for d in self.book.open if d.id == deployment_id), None
        )

    def _fence(self, lease: Lease, *, begins: bool = False) -> None:
        if lease.token != self.token:
            if begins:  # the real ledger asks for both in one condition, and cannot say which it was
                raise LookAgain("it cannot begin: a hold came in between, or the lease is lost")
            raise LeaseLost(f"{lease.holder} held the lease with token {lease.token}")


@dataclass
class FakeNotifier:
    """People, with all their mail."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    chatted: list[Message] = field(default_factory=list)
    broken: bool = False
    chat_is_broken: bool = False

    def send(self, message: Message) -> None:
        if self.broken:
            raise LookAgain("Publish: the topic cannot be reached")
        self.sent.append((message.subject, message.body))

    def chat(self, message: Message) -> None:
        if self.chat_is_broken:
            raise LookAgain("Publish: the chat's topic cannot be reached")
        self.chatted.append(message)


@dataclass
class FakeAnnouncer:
    """The event bus, with everything that was put on it."""

    announced: list[Announcement] = field(default_factory=list)
    broken: bool = False

    def announce(self, announcement: Announcement) -> None:
        if self.broken:
            raise LookAgain("PutEvents: the bus cannot be reached")
        self.announced.append(announcement)


class Memory(Journal):
    """A journal that remembers."""

    def __init__(self) -> None:
        self.steps: list[tuple[Phase, Step]] = []
        self.notes: list[str] = []
        self.left_unprotected: list[str] = []
        self.failed: list[Channel] = []  # tries to tell of an end
        self.gave_up: list[Channel] = []

    def step(self, deployment: Deployment, step: Step) -> None:
        self.steps.append((deployment.phase, step))

    def note(self, message: str, deployment: Deployment | None = None) -> None:
        self.notes.append(message)

    def undelivered(self, notice: Notice, channel: Channel, error: Exception) -> None:
        self.failed.append(channel)

    def given_up(self, notice: Notice, channel: Channel) -> None:
        self.gave_up.append(channel)

    def unprotected(self, error: Exception) -> None:
        self.left_unprotected.append(str(error))


class World:
    """Everything together, and the few things a story does to it."""

    def __init__(self, limits: Limits | None = None, checks: tuple[Check, ...] | None = None) -> None:
        self.clock = FakeClock()
        self.registry = FakeRegistry()
        self.function = FakeFunction(self.clock, self.registry)
        self.ledger = FakeLedger()
        self.notifier = FakeNotifier()
        self.announcer = FakeAnnouncer()
        self.journal = Memory()
        self.registry.put(PLACEHOLDER, tag="placeholder")
        self.service = Service(
            function="shuking-prod",
            deployer="shuking-deployer",
            repository=REPOSITORY,
            release_tag=TAG,
            checks=checks or (Check(json={"status": "ok"}),),
            placeholders=frozenset({PLACEHOLDER.digest}),
            limits=limits or Limits(),
            place=PLACE,
        )
        self.events = 0

    def controller(self, holder: str = "invocation-1") -> Controller:
        ports = Ports(self.function, self.registry, self.ledger, self.notifier, self.announcer, self.clock)
        return Controller(self.service, ports, holder, self.journal)

    def request(self, name: str, event_id: str | None = None) -> Deployment:
        """The request that a push event of this image becomes."""
        self.events += 1
        seed = event_id or f"event-{self.events}"
        now = self.clock.now()
        return Deployment(deployment_id(now, seed), image(name), Source.PUSH, now)

    def push(self, name: str, artifact: Artifact | None = None, event_id: str | None = None) -> Deployment:
        """Push an image under the release tag, and let the event arrive. Gives back how it ended."""
        self.registry.put(image(name), artifact)
        request = self.request(name, event_id)
        self.deliver(request)
        return self.outcome(request)

    def deliver(self, request: Deployment) -> None:
        """An event arrives in an invocation of its own."""
        self.clock.new_invocation()
        self.controller().push(request)
        self.clock.sleep(1)

    def sweep(self) -> None:
        self.clock.new_invocation()
        self.controller("sweep").sweep()
        self.clock.sleep(1)

    def outcome(self, request: Deployment) -> Deployment:
        found = self.ledger.find(request.id)
        assert found, f"{request.id} was lost"
        return found

    def hold(self, by: str = "alice", because: str = "incident 42") -> Hold:
        return self.controller().hold(self.asked(by, because))

    def resume(self, by: str = "alice") -> Hold:
        return self.controller().resume(self.asked(by, ""))

    def retry(self, name: str, by: str = "alice", passes: str | None = None) -> Deployment:
        return self.controller().deploy(
            self.asked(by, "it was not to blame"), image(name), Source.RETRY, passes
        )

    def deploy(self, name: str, by: str = "alice", passes: str | None = None) -> Deployment:
        return self.controller().deploy(self.asked(by, "a hotfix"), image(name), Source.DEPLOY, passes)

    def rollback(self, to: str | Image | None = None, by: str = "alice") -> Deployment:
        return self.controller().rollback(self.asked(by, "users complain"), to)

    def abort(self, deployment: str | None = None, by: str = "alice") -> Deployment:
        return self.controller().abort(self.asked(by, "wrong branch"), deployment)

    def ring(self, alarm: str) -> None:
        self.controller().alarm(Alarm(alarm, "Threshold Crossed", self.clock.now()))

    def asked(self, by: str, because: str) -> Asked:
        """A command as its caller gives it: each with a request id of its own."""
        self.events += 1
        return Asked(f"request-{self.events}", by, because)

    def answers(self, name: str, answer: Answer) -> None:
        self.function.answers[image(name)] = lambda: answer

    @property
    def mail(self) -> str:
        """The last message that people got."""
        return "\n".join(self.notifier.sent[-1])
