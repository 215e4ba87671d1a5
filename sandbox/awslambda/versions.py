"""The state of functions: `$LATEST`, published versions, aliases; and what is under way with them.

Nothing here runs in the background. What takes time on AWS has a moment at which it is done, and whoever
looks after that moment finds it done: any clock will do.

Sources: AWS Lambda Developer Guide, "Lambda function states" and "Manage Lambda function versions"; recorded
answers of AWS.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.awslambda.packages import Code, ImageCode, Packages

LATEST = "$LATEST"
ARN_PREFIX = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"

IDLE_SECONDS = 14 * 86_400.0
"""So long without an invocation, and an image has to be made ready anew. AWS says weeks, not how many."""

_NAME = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d):)?(?:(?P<account>\d{12}):)?"
    r"(?:function:)?(?P<name>[a-zA-Z0-9_-]+)(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]+))?"
)


def function_arn(name: str, qualifier: str | None = None) -> str:
    """The ARN of a function, or of a version or alias of it."""
    return f"{ARN_PREFIX}{name}" + (f":{qualifier}" if qualifier else "")


def new_revision() -> str:
    return str(uuid.uuid4())


def conflict(message: str) -> AwsError:
    """409 ResourceConflictException: not now, or not twice."""
    return AwsError("ResourceConflictException", message, 409)


def not_found(message: str) -> AwsError:
    """404 ResourceNotFoundException."""
    return AwsError("ResourceNotFoundException", message, 404)


def parse_name(text: str) -> tuple[str, str | None]:
    """A function's name and qualifier from a name, a partial ARN or an ARN."""
    match = _NAME.fullmatch(text)
    if match is None:
        raise AwsError(
            "ValidationException",
            f"1 validation error detected: Value '{text}' at 'functionName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {_NAME.pattern}",
        )
    if match["region"] not in (None, REGION):
        raise not_found(f"Functions from '{match['region']}' are not reachable in this region ('{REGION}')")
    if match["account"] not in (None, ACCOUNT):
        raise AwsError(
            "AccessDeniedException",
            f"The sandbox has one account, {ACCOUNT}; {text} is in another",
            403,
        )
    return match["name"], match["qualifier"]


@dataclass
class Version:
    """`$LATEST` or a published version: configuration and code, and what Lambda is doing with it.

    `members` are those of botocore's FunctionConfiguration that the user sets. `identity` changes whenever
    what runs changes, so a worker process that was started for another identity is never used.
    """

    function: str
    number: str
    members: dict[str, Any]
    code: Code
    modified: float
    under_way: Literal["creating", "updating"] | None
    done_at: float
    revision: str = field(default_factory=new_revision)
    identity: str = field(default_factory=new_revision)
    origin: dict[str, Any] = field(default_factory=dict)
    """Of a published version: `$LATEST`'s members when it was published."""
    failure: str | None = None
    """Why the update to this code failed."""
    used: float = 0.0
    """When it was invoked last, in the clock's seconds."""
    asleep: bool = False
    waking: bool = False

    @property
    def arn(self) -> str:
        """`$LATEST`'s ARN carries no qualifier."""
        return function_arn(self.function, None if self.number == LATEST else self.number)

    def settle(self, now: float, packages: Packages) -> bool:
        """Finish what is due. True when it finished just now."""
        done = self.under_way is not None and now >= self.done_at
        if done:
            if self.under_way == "updating" and not packages.still_exists(self.code):
                # Lambda could not fetch it. That `$LATEST` describes it all the same could not be verified.
                self.failure = self._gone()
            self.under_way, self.waking = None, False
            if self.number == LATEST:
                # An update changes the revision when it starts and once more when it completes.
                self.revision = new_revision()
        if self.under_way is None and isinstance(self.code, ImageCode):
            self.asleep = self.asleep or now - max(self.used, self.modified, self.done_at) >= IDLE_SECONDS
        return done

    def wake(self, done_at: float) -> None:
        """Make what was asleep ready again: Pending until then."""
        self.under_way, self.done_at = "creating", done_at
        self.asleep, self.waking = False, True

    def state(self, packages: Packages) -> dict[str, str]:
        """State and LastUpdateStatus, each with reason and code, as FunctionConfiguration has them."""
        if self.under_way == "creating":
            if self.waking:
                return _status("State", "Pending", "The function is being restored.", "Restoring")
            return _status("State", "Pending", "The function is being created.", "Creating")
        if self.under_way == "updating":
            busy = _status("LastUpdateStatus", "InProgress", "The function is being created.", "Creating")
            return {"State": "Active", **busy}
        if self.failure:
            return {"State": "Active", **_status("LastUpdateStatus", "Failed", self.failure, "ImageDeleted")}
        if not packages.still_exists(self.code):
            state = _status("State", "Failed", self._gone(), "ImageDeleted")
        elif self.asleep:
            state = _status("State", "Inactive", "The function is idle.", "Idle")
        else:
            state = {"State": "Active"}
        return {**state, "LastUpdateStatus": "Successful"}

    def _gone(self) -> str:
        if not isinstance(self.code, ImageCode):
            raise TypeError(f"only an image can go, not {type(self.code).__name__}")
        return f"The image {self.code.digest} was deleted from the repository {self.code.repository}."

    def describe(self) -> dict[str, Any]:
        """FunctionConfiguration without the states, which lists leave out."""
        moment = datetime.fromtimestamp(self.modified, UTC)
        return {
            **self.members,
            "FunctionName": self.function,
            "FunctionArn": self.arn,
            "Version": self.number,
            "CodeSha256": self.code.sha256,
            "CodeSize": self.code.size,
            "RevisionId": self.revision,
            "LastModified": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000",
        }


def _status(member: str, status: str, reason: str, code: str) -> dict[str, str]:
    return {member: status, f"{member}Reason": reason, f"{member}ReasonCode": code}


@dataclass
class Alias:
    """A name for a version, or for two by weight."""

    name: str
    version: str
    description: str
    weights: dict[str, float]
    revision: str = field(default_factory=new_revision)


@dataclass
class EventConfig:
    """How asynchronous invocations of one qualifier are retried and where they end."""

    modified: float
    retries: int | None = None
    age_seconds: int | None = None
    destinations: dict[str, Any] = field(default_factory=dict)


@dataclass
class Function:
    """All there is under one function name."""

    name: str
    latest: Version
    serving: Version
    """What `$LATEST` runs: during an update still the code from before it."""
    versions: dict[str, Version] = field(default_factory=dict)
    published: int = 0
    aliases: dict[str, Alias] = field(default_factory=dict)
    statements: dict[str | None, list[dict[str, Any]]] = field(default_factory=dict)
    """Resource policies by qualifier."""
    policy_revisions: dict[str | None, str] = field(default_factory=dict)
    event_configs: dict[str, EventConfig] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def settle(self, now: float, packages: Packages) -> str | None:
        """Finish what is due. The identity of what `$LATEST` runs no longer, if there is one."""
        for version in self.versions.values():
            version.settle(now, packages)
        if not self.latest.settle(now, packages) or self.latest.failure:
            return None
        replaced, self.serving = self.serving, replace(self.latest)
        return replaced.identity if replaced.identity != self.serving.identity else None

    def last_published(self) -> Version | None:
        return max(self.versions.values(), key=lambda v: int(v.number), default=None)

    def require_settled(self) -> None:
        """Refuse to change a function that is being created or updated."""
        if self.latest.under_way == "creating":
            raise conflict(
                "The operation cannot be performed at this time. "
                "The function is currently in the following state: Pending"
            )
        if self.latest.under_way == "updating":
            raise conflict(
                "The operation cannot be performed at this time. An update is in progress for resource: "
                f"{function_arn(self.name)}"
            )

    def require_revision(self, expected: str | None) -> None:
        """Refuse a change that was decided on an older state of `$LATEST`."""
        require_revision(expected, self.latest.revision)


def require_revision(expected: str | None, actual: str) -> None:
    """412 PreconditionFailedException unless no revision or the current one is given."""
    if expected is not None and expected != actual:
        raise AwsError(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
            412,
        )


class Catalog:
    """Every function of the account, behind one lock; what is due is settled before anybody looks."""

    def __init__(self, clock: Callable[[], float], retire: Callable[[str], None], packages: Packages) -> None:
        """`retire` is told each identity that runs no longer."""
        self._lock = threading.RLock()
        self._functions: dict[str, Function] = {}
        self._retire = retire
        self._packages = packages
        self.clock = clock

    @contextmanager
    def open(self) -> Iterator[dict[str, Function]]:
        with self._lock:
            now = self.clock()
            for function in self._functions.values():
                if replaced := function.settle(now, self._packages):
                    self._retire(replaced)
            yield self._functions

    @contextmanager
    def function(self, name: str, qualifier: str | None = None) -> Iterator[Function]:
        """One function; `qualifier` only words the error."""
        with self.open() as functions:
            if name not in functions:
                raise not_found(f"Function not found: {function_arn(name, qualifier)}")
            yield functions[name]


def find_version(function: Function, qualifier: str | None) -> tuple[Version, str]:
    """The version a qualifier names, and the ARN that says it as the caller did.

    An alias with weights is described by its main version. Raises 404 as AWS words it.
    """
    if qualifier is None:
        return function.latest, function_arn(function.name)
    arn = function_arn(function.name, qualifier)
    if qualifier == LATEST:
        return function.latest, arn
    if qualifier in function.versions:
        return function.versions[qualifier], arn
    if qualifier in function.aliases:
        version = function.aliases[qualifier].version
        return (function.latest if version == LATEST else function.versions[version]), arn
    raise not_found(f"Function not found: {arn}")
