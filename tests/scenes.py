"""What the dashboard may have to show, from nothing at all to more than anybody reads.

For looking at it (`python -m tests.browser.shots FOLDER`), for browser tests and for measuring.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from deployer import page
from deployer.model import (
    Book,
    CheckResult,
    Deployment,
    Hold,
    Image,
    Moment,
    Notice,
    Origin,
    Phase,
    Source,
    Verdict,
    Version,
    deployment_id,
)
from deployer.stats import measure
from tests.fakes import image

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WEEK = page.Span(NOW - timedelta(days=7), NOW)
URI = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shuking-lambda"
DEPLOYER = "arn:aws:lambda:eu-west-1:123456789012:function:shuking-prod-deployer"

HEALTHY = "GET /health answered 200 after 0.3 s"
ILL = 'GET /health answered 503: {"status": "error", "database": "connection refused"} after 2.1 s'
LOG = """START RequestId: 6b1c9d50-3a3f-4a52-9a5e-5d0b3c6c3a77 Version: VERSION
[INFO] 2026-03-01T11:42:26Z loading settings from /var/task/settings.toml
[ERROR] 2026-03-01T11:42:28Z psycopg.OperationalError: connection to server at "10.0.3.7", port 5432 failed
Traceback (most recent call last):
  File "/var/task/app.py", line 41, in health
    with engine.connect() as connection:
END RequestId: 6b1c9d50-3a3f-4a52-9a5e-5d0b3c6c3a77
REPORT RequestId: 6b1c9d50-3a3f-4a52-9a5e-5d0b3c6c3a77 Duration: 2104.31 ms Memory Used: 118 MB"""


@dataclass(frozen=True)
class Scene:
    """A moment in the life of a service."""

    book: Book = Book()  # noqa: RUF009  frozen
    history: tuple[Deployment, ...] = ()
    live: Version | None = None
    problems: tuple[str, ...] = ()
    service: str = "shuking-prod"


def draw(scene: Scene, theme: str = "light", width: int = 1000, span: page.Span = WEEK) -> str:
    """The page."""
    ranged = [each for each in scene.history if span.holds(each.since)]
    return page.render(
        scene.book,
        None if scene.problems else scene.history,
        scene.live,
        now=NOW,
        theme=theme,
        service=scene.service,
        repository_uri=URI,
        problems=scene.problems,
        span=span,
        ranged=None if scene.problems else ranged,
        stats=None if scene.problems else measure(scene.history, span.since, span.until),
        deployer=DEPLOYER,
        fields={"by": "dana", "because": ""} if scene.history else {},
        width=width,
    )


def succeeded(number: int, at: datetime, scale: float = 1, **facts: object) -> Deployment:
    """One that went well. `scale` 1 takes half a minute."""
    return _made(
        number,
        at,
        scale,
        (2, Phase.UPDATING, "preflight passed: one image for x86_64, 61 MB"),
        (17, Phase.VERIFYING, f"version {number} is ready"),
        (24, Phase.PROMOTING, HEALTHY),
        (26, Phase.CONFIRMING, f"live moved from version {number - 1} to version {number}"),
        (31, Phase.SUCCEEDED, HEALTHY),
        **{"live": Version(str(number), _image(number)), **facts},
    )


def reverted(number: int, at: datetime, scale: float = 1, **facts: object) -> Deployment:
    """One whose version was ill, before users met it."""
    ill = CheckResult(
        "GET /health", False, '200 with {"status": "ok"}', ILL.removeprefix("GET /health answered "), 2.1, 3
    )
    return _made(
        number,
        at,
        scale,
        (2, Phase.UPDATING, "preflight passed: one image for x86_64, 61 MB"),
        (16, Phase.VERIFYING, f"version {number} is ready"),
        (29, Phase.REVERTING, ILL),
        (41, Phase.REVERTED, f"users are on version {number - 1}, and it is well: {HEALTHY}"),
        **{
            "verification": Verdict((ill,), LOG.replace("VERSION", f"{number}")),
            "blamed": True,
            "live": Version(str(number - 1), _image(number - 1)),
            **facts,
        },
    )


def rejected(number: int, at: datetime, **facts: object) -> Deployment:
    """One that Lambda could not have run."""
    why = "the image is for arm64, and the function runs x86_64: build with --platform linux/amd64"
    return _made(number, at, 1, (2, Phase.REJECTED, why), **{"previous": None, "version": None, **facts})


def superseded(number: int, at: datetime) -> Deployment:
    """One that a newer push overtook."""
    return _made(number, at, 1, (3, Phase.SUPERSEDED, "a newer push came before it began"), version=None)


def stuck(number: int, at: datetime) -> Deployment:
    """One that could not be put back."""
    bad = CheckResult("GET /health", False, '200 with {"status": "ok"}', "502: the image was deleted", 0.2, 3)
    made = reverted(
        number,
        at,
        live=Version(str(number), _image(number)),
        restoration=Verdict((bad,), LOG.replace("VERSION", f"{number - 1}")),
    )
    end = Moment(made.since, Phase.STUCK, f"version {number - 1} cannot serve: ImageDeleted")
    return replace(made, phase=Phase.STUCK, timeline=(*made.timeline[:-1], end))


def week(count: int = 24, seed: int = 7) -> tuple[Deployment, ...]:
    """Some days of a team that pushes often; the newest first."""
    lots = random.Random(seed)
    found = []
    for n in range(count):
        at = NOW - timedelta(days=6.6) * (1 - (n + 1) / count) ** 1.05 - timedelta(minutes=19)
        lot, scale = lots.random(), lots.uniform(0.7, 1.5)
        if lot < 0.08:
            found.append(reverted(n + 8, at, scale))
        elif lot < 0.13:
            found.append(rejected(n + 8, at))
        elif lot < 0.18:
            found.append(superseded(n + 8, at))
        else:
            found.append(succeeded(n + 8, at, scale * (6 if lot > 0.97 else 1)))
    return tuple(reversed(found))


def _live(history: Sequence[Deployment]) -> Version | None:
    return next((each.live for each in history if each.phase is Phase.SUCCEEDED), None)


def _calm() -> Scene:
    history = (succeeded(33, NOW - timedelta(minutes=18)), *week()[1:])
    return Scene(history=history, live=_live(history))


def _reverted() -> Scene:
    history = (reverted(31, NOW - timedelta(minutes=18)), *week()[1:])
    return Scene(history=history, live=_live(history))


def _stuck() -> Scene:
    history = (stuck(33, NOW - timedelta(minutes=18)), *week()[1:])
    book = Book(notices=(Notice(history[0], 3, NOW + timedelta(seconds=40)),))
    return Scene(book, history, Version("33", _image(33)))


def _held() -> Scene:
    hold = Hold(
        "arn:aws:sts::123456789012:assumed-role/oncall/alice", "incident 42", NOW - timedelta(hours=3), "h-1"
    )
    return replace(_calm(), book=Book(hold=hold))


def _under_way() -> Scene:
    going = _made(
        40,
        NOW - timedelta(seconds=24),
        1,
        (2, Phase.UPDATING, "preflight passed"),
        (17, Phase.VERIFYING, "version 40 is ready"),
    )
    waits = _made(41, NOW - timedelta(seconds=6), 1)
    return replace(_calm(), book=Book(open=(going, waits)))


def _crowd() -> Scene:
    history = week(500)
    return Scene(history=history, live=_live(history))


def _one() -> Scene:
    history = (succeeded(2, NOW - timedelta(minutes=18), previous=None),)
    return Scene(history=history, live=_live(history))


def worded(said: str, service: str) -> Scene:
    """`said` wherever a text of somebody else can stand."""
    origin = Origin(said, said, NOW - timedelta(hours=2), said)
    result = CheckResult(said, False, said, said, 2.1, 3)
    made = [
        replace(
            each,
            origin=origin,
            before=origin,
            by=said,
            why=said,
            warnings=(said,),
            verification=Verdict((result,) * 7, (said + "\n") * 40),
            timeline=tuple(replace(moment, because=said) for moment in each.timeline),
        )
        for each in (reverted(33, NOW - timedelta(minutes=18)), *week()[1:])
    ]
    going = replace(made[1], phase=Phase.VERIFYING, timeline=made[1].timeline[:2])
    book = Book(hold=Hold(said, said, NOW, "h-1"), open=(going,) * 7, notices=(Notice(made[0], 2),) * 7)
    return Scene(book, tuple(made), Version("32", _image(32)), service=service)


def _unreadable() -> Scene:
    problem = "the history: Query: AccessDeniedException: not authorized to perform: dynamodb:Query"
    return replace(_calm(), problems=(problem,))


LONG = (
    "release-of-the-quarterly-report-service-with-a-name-that-does-not-end-" * 4 + "and words after it. " * 20
)
SCENES: dict[str, Callable[[], Scene]] = {
    "empty": lambda: Scene(live=Version("1", image("placeholder"))),
    "one": _one,
    "calm": _calm,
    "reverted": _reverted,
    "stuck": _stuck,
    "held": _held,
    "under-way": _under_way,
    "unreadable": _unreadable,
    "five-hundred": _crowd,
    "long": lambda: worded(LONG, "shuking-production-with-a-name-of-fifty-characters"),
    "hostile": lambda: worded("'\"><img src=x onerror=alert(1)>&" * 100, "shuking-prod"),
    "right-to-left": lambda: worded("شحن الإصدار ٤٢ فشل: לא ניתן להתחבר למסד הנתונים", "shuking-prod"),
    "cjk": lambda: worded("릴리스 실패: データベースに接続できません。请检查网络连接。", "shuking-prod"),
}


def _image(number: int) -> Image:
    return image(f"release {number}")


def _made(
    number: int, at: datetime, scale: float, *line: tuple[float, Phase, str], **facts: object
) -> Deployment:
    moments = tuple(Moment(at + timedelta(seconds=after * scale), phase, why) for after, phase, why in line)
    commit = _image(number).digest[7:14]
    before = Origin(f"git-{_image(number - 1).digest[7:14]}")
    origin = Origin(
        f"git-{commit}", "https://github.com/example/shuking", at - timedelta(minutes=14 + number % 9), "dana"
    )
    made = Deployment(
        deployment_id(at, f"{number}"),
        _image(number),
        Source.PUSH,
        at,
        line[-1][1] if line else Phase.REQUESTED,
        moments,
        previous=Version(str(number - 1), _image(number - 1)),
        version=str(number),
        origin=origin,
        before=before,
    )
    return replace(made, **facts)  # type: ignore[arg-type]
