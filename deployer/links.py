"""Links that lead from a message to what it is about: pages of the AWS console, and the change in the source.

AWS documents no scheme for the console's addresses; each form below is what the console itself shows, as
found in public repositories, and where that is known, its source is named. A link is built of the stack's
own names and of parts of a label that were looked at, and of nothing else.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit

from deployer.model import Deployment, Image, Link, Origin, Place

# https://docs.aws.amazon.com/general/latest/gr/aws-arns.html has the partitions; a partition that is not
# here gets no links.
_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
# What the function's log says belongs to a moment a little before or after it, and comes late.
_BEFORE, _AFTER = timedelta(minutes=1), timedelta(minutes=5)
_AROUND = timedelta(minutes=15)  # an alarm looks back over some minutes

# Where a source may be kept: what stands before its pages, and how many names lead to it.
_FORGES = {"github.com": ("", 2, 2), "gitlab.com": ("/-", 2, 10)}
_SCP = re.compile(r"git@([a-z.]{1,50}):([^:]{1,300})")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_COMMIT = re.compile(r"(?:git-)?([0-9a-f]{7,64})(?:-dirty)?")


def of_deployment(deployment: Deployment, place: Place, *, service: str, deployer: str) -> tuple[Link, ...]:
    """Where to look when this deployment has ended, the likeliest first."""
    first = deployment.timeline[0].at if deployment.timeline else deployment.requested_at
    begins, ends = first - _BEFORE, deployment.since + _AFTER
    console = _console(place)
    if console is None:
        return ()
    links = []
    if deployment.previous:
        links.append(Link("service log", _log(console, place, f"/aws/lambda/{service}", begins, ends)))
    links.append(Link("deployer log", _log(console, place, f"/aws/lambda/{deployer}", begins, ends)))
    if deployment.version and deployment.version.isascii() and deployment.version.isdecimal():
        links.append(
            Link(f"version {deployment.version}", _version(console, place, service, deployment.version))
        )
    links.append(Link("image", _image(console, place, deployment.image)))
    links.append(Link("dashboard", _dashboard(console, place, service)))
    return tuple(links)


def of_alarm(since: datetime, place: Place, *, service: str) -> tuple[Link, ...]:
    """Where to look when an alarm of the service rang at `since`."""
    console = _console(place)
    if console is None:
        return ()
    log = _log(console, place, f"/aws/lambda/{service}", since - _AROUND, since + _AFTER)
    return (Link("service log", log), Link("dashboard", _dashboard(console, place, service)))


def of_change(before: Origin, after: Origin) -> Link | None:
    """What changed in the source from `before` to `after`, or `after` alone; None if it cannot be linked to.

    Both must be commits of the same repository on GitHub or GitLab. What a label says beyond that is foreign:
    its address is taken apart and never passed on.
    https://docs.github.com/en/pull-requests/committing-changes-to-your-project/viewing-and-comparing-commits/comparing-commits
    https://docs.gitlab.com/user/project/repository/compare_revisions/
    """
    home, commit = _home(after.url), _commit(after.revision)
    if home is None or commit is None:
        return None
    old = _commit(before.revision) if before.url is None or _home(before.url) == home else None
    if old is None or old == commit:
        return Link("commit", f"{home}/commit/{commit}")
    return Link("compare", f"{home}/compare/{old}...{commit}")


def _console(place: Place) -> str | None:
    domain = _CONSOLES.get(place.partition)
    return f"https://{place.region}.{domain}" if domain else None


def _log(console: str, place: Place, group: str, begins: datetime, ends: datetime) -> str:
    """A log group between two moments. The console reads what comes after the # with % written as $, and the
    group's name encoded twice.
    https://stackoverflow.com/questions/60796991/is-there-a-way-to-generate-the-aws-console-urls-for-cloudwatch-log-group-filters
    """
    name = quote(quote(group, safe=""), safe="").replace("%", "$")
    window = quote(f"?start={_milliseconds(begins)}&end={_milliseconds(ends)}", safe="").replace("%", "$")
    return f"{_cloudwatch(console, place)}#logsV2:log-groups/log-group/{name}/log-events{window}"


def _dashboard(console: str, place: Place, service: str) -> str:
    """As the stack's output DashboardUrl."""
    return f"{_cloudwatch(console, place)}#dashboards/dashboard/{service}-{place.region}"


def _cloudwatch(console: str, place: Place) -> str:
    return f"{console}/cloudwatch/home?region={place.region}"


def _version(console: str, place: Place, service: str, number: str) -> str:
    page = f"#/functions/{service}/versions/{number}?tab=configuration"
    return f"{console}/lambda/home?region={place.region}{page}"


def _image(console: str, place: Place, image: Image) -> str:
    where = f"{place.account}/{place.repository}"
    return f"{console}/ecr/repositories/private/{where}/_/image/{image.digest}/details?region={place.region}"


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _commit(revision: str | None) -> str | None:
    found = _COMMIT.fullmatch(revision or "")
    return found[1] if found else None


def _home(url: str | None) -> str | None:
    """The repository's own page, up to where `commit` and `compare` follow; None for anything that is not
    plainly an address of a repository."""
    host, path = _parts(url or "")
    if host not in _FORGES:
        return None
    inner, least, most = _FORGES[host]
    names = path.removesuffix("/").removesuffix(".git").split("/")
    if not least <= len(names) <= most or not all(_NAME.fullmatch(name) for name in names):
        return None
    return f"https://{host}/{'/'.join(names)}{inner}"


def _parts(url: str) -> tuple[str, str]:
    """Host and path of an address as git knows them; empty if there is anything else in it."""
    if scp := _SCP.fullmatch(url):
        return scp[1], scp[2]
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    plain = parts.scheme in ("https", "ssh") and parts.netloc.removeprefix("git@") == parts.hostname
    if not plain or parts.query or parts.fragment:
        return "", ""
    return parts.hostname or "", parts.path.removeprefix("/")
