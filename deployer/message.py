"""What on-call reads: how a deployment ended, and what rang. Pure: the record in, a subject and a text out.

The first line says what happened and whether users were touched; then what is true now, why, what changed,
what to do and where to look. `chat.py` and `announcement.py` tell the same in other forms.
"""

from __future__ import annotations

import re

from deployer import advice, links
from deployer.advice import Shell
from deployer.model import (
    Advice,
    Alarm,
    CheckResult,
    Deployment,
    Link,
    Message,
    Moment,
    Origin,
    Phase,
    Place,
    Situation,
    Source,
    Version,
)
from deployer.text import line

_OUTCOME = {
    Phase.SUCCEEDED: "is live",
    Phase.REVERTED: "was reverted",
    Phase.REJECTED: "was rejected",
    Phase.SUPERSEDED: "was superseded",
    Phase.STUCK: "is STUCK: a person is needed",
}

# A first line is read in bed: what is longer comes again, whole, under "Why".
_REASON = 300
_HEADLINE = 900
# So much of a subject is seen on a lock screen, or left of it when it is passed on as a text message.
_SEEN = 70
_NAME, _SUBJECTS_NAME, _LEAST = 60, 22, 8
_COMMIT = re.compile(r"([0-9a-f]{12})[0-9a-f]{28}(-dirty)?")


def compose(deployment: Deployment, *, service: str, deployer: str, place: Place | None = None) -> Message:
    """The message about an ended deployment.

    `service` names the service function, `deployer` the Lambda function that deploys. Without `place` there
    are no links, and commands name no stack.
    """
    shell = Shell(place)
    steps = advice.after(deployment, shell)
    found = links.of_deployment(deployment, place, service=service, deployer=deployer) if place else ()
    told = [
        headline(deployment, service=service),
        _asked_by(deployment),
        _now(deployment),
        _why(deployment),
    ]
    changed, compare = _changed(deployment), links.of_change(deployment.before, deployment.origin)
    linked = f"{changed}\n  {compare.what}: {compare.url}" if compare else changed
    rest = [_advised(steps), _where_to_look(deployment, found, shell), _timeline(deployment)]
    return Message(
        _subject(deployment, service),
        _paragraphs(*told, linked, *rest),
        thread=deployment.id,
        brief=_paragraphs(*told, changed),
        advice=steps,
        links=(*((compare,) if compare else ()), *found),
        keywords=(service, name(deployment.origin, deployment.image.digest[:19]), deployment.phase.value),
    )


def headline(deployment: Deployment, *, service: str) -> str:
    """What happened and who saw it, in one line."""
    why = reason(deployment)
    short = why if len(why) <= _REASON else f"{why[:_REASON]}…"
    told = f"{service}: {_what(deployment)} {_OUTCOME[deployment.phase]}: {short}. {_users(deployment)}"
    return line(told, _HEADLINE)


def _subject(deployment: Deployment, service: str) -> str:
    """What happened stands within what is seen of a subject; the reason follows, as far as there is room."""
    outcome, kind = _OUTCOME[deployment.phase], f"rollback to version {deployment.version}"
    if deployment.source is not Source.ROLLBACK:
        most = min(_SUBJECTS_NAME, _SEEN - _LEAST - len(f": {_kind(deployment, '')} {outcome}"))
        kind = _kind(deployment, name(deployment.origin, deployment.image.digest[:19])[:most].rstrip("…"))
    room = max(_LEAST, _SEEN - len(f": {kind} {outcome}"))
    told = f"{service if len(service) <= room else f'{service[: room - 3]}...'}: {kind} {outcome}"
    if deployment.phase in (Phase.SUCCEEDED, Phase.SUPERSEDED, Phase.STUCK):
        return told
    return f"{told}: {reason(deployment)}".replace("…", "")


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def about_alarm(
    alarm: Alarm,
    situation: Situation | None,
    *,
    service: str,
    placeholders: frozenset[str],
    place: Place | None = None,
) -> Message:
    """The message about an alarm of the service: what rang, next to what users are on since when.

    `situation` is None when it could not be read; `service` and `place` as in `compose`. `placeholders` are
    the digests that answer nobody, so that no one is sent back to them.
    """
    shell = Shell(place)
    brought_by = situation.brought_by if situation else None
    told = [
        f"{service}: alarm {alarm.name} went red at {alarm.since:%Y-%m-%d %H:%M:%S} UTC: {alarm.because}",
        _situation(situation, alarm),
        _nothing_to_go_back_to(situation, placeholders),
    ]
    steps = advice.way_back(situation, alarm, shell, placeholders)
    found = links.of_alarm(alarm.since, place, service=service) if place else ()
    look = [f"    {shell('show', brought_by.id)}"] if brought_by else []
    return Message(
        f"{service}: alarm {alarm.name} went red",
        _paragraphs(*told, _advised(steps), _look(look, found)),
        thread=brought_by.id if brought_by else alarm.name,
        brief=_paragraphs(*told),
        advice=steps,
        links=found,
        keywords=(service, alarm.name, "alarm"),
    )


def _situation(situation: Situation | None, alarm: Alarm) -> str:
    if situation is None:
        return "What is live could not be read: look at it first."
    live, by = situation.live, situation.brought_by
    hold = situation.hold
    held = f" Deployments are held by {hold.by} ({hold.because})." if hold else ""
    if by is None or by.previous is None:
        return f"Users are on {_version(live)}. Somebody moved live there by hand, or it was long ago.{held}"
    moved = _moment(by, Phase.CONFIRMING)
    since = moved.at if moved else by.since
    minutes = (alarm.since - since).total_seconds() / 60
    when = f"{minutes:.0f} minutes before" if 0 <= minutes < 120 else f"since {since:%Y-%m-%d %H:%M} UTC"
    state = "" if by.phase is Phase.SUCCEEDED else f" Its deployment is {by.phase}."
    return (
        f"Users are on release {_release(by)}, version {live.number}, {when}.{state} "
        f"Before it: {_version(by.previous)}.{held}"
    )


def _nothing_to_go_back_to(situation: Situation | None, placeholders: frozenset[str]) -> str:
    by = situation.brought_by if situation else None
    if by is None or by.previous is None or by.previous.image.digest not in placeholders:
        return ""
    return "It was the first release, so there is nothing to go back to."


def reason(deployment: Deployment) -> str:
    """Why it ended as it did, in one sentence: what turned it round says more than how it was put back."""
    if deployment.phase in (Phase.REVERTED, Phase.SUPERSEDED) and deployment.failure:
        return deployment.failure
    if deployment.phase is Phase.STUCK and deployment.failure:
        return f"{deployment.failure}. Then {deployment.because}"
    return deployment.because


def _what(deployment: Deployment) -> str:
    return _kind(deployment, name(deployment.origin, str(deployment.image)))


def _kind(deployment: Deployment, name: str) -> str:
    match deployment.source:
        case Source.CONFIGURATION:
            return f"new configuration of {name}"
        case Source.ROLLBACK:
            return f"rollback to version {deployment.version} ({name})"
        case _:
            return f"release {name}"


def name(origin: Origin, digest: str) -> str:
    """An image as people call it: by its source revision, of which a commit's first digits are enough, or
    else by `digest`."""
    revision = line(origin.revision or "", _HEADLINE)
    if commit := _COMMIT.fullmatch(revision):
        revision = commit[1] + (commit[2] or "")
    return (revision if len(revision) <= _NAME else f"{revision[: _NAME - 1]}…") or digest


def _asked_by(deployment: Deployment) -> str:
    """Who wanted it, or what the sweep found."""
    why = f": {deployment.why}" if deployment.why else ""
    if deployment.by is None:
        return f"Somebody{why}." if deployment.source is Source.CONFIGURATION else ""
    return f"Asked for by {deployment.by}{why}."


def _release(deployment: Deployment) -> str:
    return _named(deployment.origin, str(deployment.image))


def _named(origin: Origin, digest: str) -> str:
    return f"{name(origin, digest)} ({digest})" if origin.revision else digest


def _users(deployment: Deployment) -> str:
    """Who saw the candidate? Only a deployment that set out to move `live` can have shown it to anybody."""
    previous, live = deployment.previous, deployment.live
    if previous is None:
        return (
            "Nothing had to be changed."
            if deployment.phase is Phase.SUCCEEDED
            else "The function was not touched."
        )
    before = f"version {previous.number} ({name(deployment.before, str(previous.image))})"
    if deployment.phase is Phase.SUCCEEDED:
        return f"Before it: {before}."
    if live is None:
        return "Where live is could not be seen: look at it first."
    met = _moment(deployment, Phase.PROMOTING)
    if met is None and live.image == deployment.image:
        return f"Users are on this very image, as version {live.number}."
    now = f"live is on {before if live.number == previous.number else _version(live)}"
    if met is None:
        if live.number == previous.number:
            return f"Users stayed on {before}; none saw the new one."
        return f"This deployment moved no user: {now}."
    if live.number == deployment.version:
        return f"Users are on the new version, since {met.at:%H:%M:%S} UTC or shortly after."
    between = f"between {met.at:%H:%M:%S} and {deployment.since:%H:%M:%S} UTC"
    return f"Some users may have met the new version {between}; now {now}."


def _version(version: Version) -> str:
    return f"version {version.number} ({version.image})"


def _now(deployment: Deployment) -> str:
    told = deployment.because in reason(deployment)
    lines = [] if told else [f"Now: {deployment.because}."]
    lines += [f"Note: {warning}." for warning in deployment.warnings]
    return "\n".join(lines)


def _why(deployment: Deployment) -> str:
    verdict = deployment.failed_verdict
    why = reason(deployment)
    if verdict is None:
        return f"Why: {why}." if len(why) > _REASON else ""
    lines = ["Why:", *(_told(result) for result in verdict.results if not result.passed)]
    if verdict.log_tail.strip():
        lines += ["", "The function's last log lines:"]
        lines += [f"    {line}" for line in verdict.log_tail.strip().splitlines()]
    return "\n".join(lines)


def _changed(deployment: Deployment) -> str:
    """From which source to which, and who made it."""
    origin, previous = deployment.origin, deployment.previous
    after = f"{_release(deployment)}"
    lines = [f"Changed: {after}"]
    if previous and previous.image != deployment.image:
        lines = [f"Changed: {_named(deployment.before, str(previous.image))} -> {after}"]
    by = f"built by {line(origin.built_by, _REASON)}" if origin.built_by else ""
    at = f"committed {origin.committed_at:%Y-%m-%d %H:%M} UTC" if origin.committed_at else ""
    if by or at:
        lines.append(f"  {', '.join(each for each in (at, by) if each)}")
    return "\n".join(lines)


def _told(result: CheckResult) -> str:
    tries = "1 try" if result.tries == 1 else f"{result.tries} tries"
    return f"  {result.name}: expected {result.expected}, got {result.actual} ({tries})"


def _advised(steps: tuple[Advice, ...]) -> str:
    if not steps:
        return ""
    lines = ["Next:"]
    for each in steps:
        lines.append(f"  {each.text}{':' if each.command else ''}")
        lines += [f"    {each.command}"] if each.command else []
    return "\n".join(lines)


def _where_to_look(deployment: Deployment, found: tuple[Link, ...], shell: Shell) -> str:
    commands = [f"    {shell('show', deployment.id)}"]
    if deployment.failed_verdict:
        begins = deployment.timeline[0].at if deployment.timeline else deployment.requested_at
        commands.append(f"    {shell('logs', '--since', f'{begins:%Y-%m-%dT%H:%M:%SZ}')}")
    return _look(commands, found)


def _look(commands: list[str], found: tuple[Link, ...]) -> str:
    lines = [*commands, *(f"  {link.what}: {link.url}" for link in found)]
    return "\n".join(["Where to look:", *lines]) if lines else ""


def _timeline(deployment: Deployment) -> str:
    lines = [f"Timeline of deployment {deployment.id} (UTC):"]
    lines += [f"  {m.at:%Y-%m-%d %H:%M:%S}  {m.phase:<10}  {m.because}" for m in deployment.timeline]
    return "\n".join(lines)


def _moment(deployment: Deployment, phase: Phase) -> Moment | None:
    return next((moment for moment in deployment.timeline if moment.phase is phase), None)
