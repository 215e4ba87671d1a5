"""What on-call reads: how a deployment ended, and what rang. Pure: the record in, a subject and a text out.

The first line says what happened and whether users were touched; then what is true now, why, what to do.
"""

from __future__ import annotations

import json
import re
import shlex

from deployer.model import (
    Alarm,
    CheckResult,
    Deployment,
    Message,
    Moment,
    Phase,
    Situation,
    Source,
    Verdict,
    Version,
)

_OUTCOME = {
    Phase.SUCCEEDED: "is live",
    Phase.REVERTED: "was reverted",
    Phase.REJECTED: "was rejected",
    Phase.SUPERSEDED: "was superseded",
    Phase.STUCK: "is STUCK: a person is needed",
}


# A chat message is read on a phone; the whole story is in the mail and in the ledger.
_CHAT_CHARACTERS = 3000
_TITLE_CHARACTERS = 300
_NOT_PLAIN = re.compile(r"[^\w .:()-]")


def compose(deployment: Deployment, *, service: str, deployer: str) -> Message:
    """The message about an ended deployment.

    `service` names the service function, `deployer` the Lambda function that takes commands.
    """
    outcome = _OUTCOME[deployment.phase]
    parts = [
        f"{service}: {_what(deployment)} {outcome}: {reason(deployment)}. {_users(deployment)}",
        _asked_by(deployment),
        _now(deployment),
        _why(deployment),
        _next(deployment, deployer),
        _tripped(deployment, deployer),
        _timeline(deployment),
    ]
    subject = f"{service}: {_what(deployment).replace('…', '')} {outcome}"
    return Message(subject, "\n\n".join(part for part in parts if part) + "\n", thread=deployment.id)


def about_alarm(
    alarm: Alarm, situation: Situation | None, *, service: str, deployer: str, placeholders: frozenset[str]
) -> Message:
    """The message about an alarm of the service: what rang, next to what users are on since when.

    `situation` is None when it could not be read; `service`, `deployer` as in `compose`. `placeholders` are
    the digests that answer nobody, so that no one is sent back to them.
    """
    first = f"{service}: alarm {alarm.name} went red at {alarm.since:%Y-%m-%d %H:%M:%S} UTC: {alarm.because}"
    brought_by = situation.brought_by if situation else None
    parts = [
        first,
        _situation(situation, alarm),
        _way_back(situation, alarm, deployer, placeholders),
    ]
    thread = brought_by.id if brought_by else alarm.name
    subject = f"{service}: alarm {alarm.name} went red"
    return Message(subject, "\n\n".join(part for part in parts if part) + "\n", thread)


def chat(message: Message) -> str:
    """The message as Amazon Q Developer in chat applications takes it.

    What others wrote stands in a block that is shown as it is, and cannot end it: no link, no mention. A
    title has no such block, so what could be markup is left out of it.
    https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
    """
    title = _NOT_PLAIN.sub("", message.subject[:_TITLE_CHARACTERS])
    text = message.body.replace("`", "'")
    cut = f"{text[:_CHAT_CHARACTERS]}…" if len(text) > _CHAT_CHARACTERS else text
    return json.dumps(
        {
            "version": "1.0",
            "source": "custom",
            "content": {
                "textType": "client-markdown",
                "title": title,
                "description": f"```\n{cut.rstrip()}\n```",
            },
            "metadata": {"threadId": message.thread[:_TITLE_CHARACTERS], "summary": title},
        },
        ensure_ascii=False,
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


def _way_back(situation: Situation | None, alarm: Alarm, deployer: str, placeholders: frozenset[str]) -> str:
    """What to do, as commands; only where it is known what they would do."""
    by = situation.brought_by if situation else None
    if situation is None or by is None or by.previous is None:
        return "Next: look for the cause at the function's log."
    if by.previous.image.digest in placeholders:
        return (
            "It was the first release, so there is nothing to go back to.\n\n"
            "Next: if it is to blame, push a fix; it deploys as always."
        )
    if by.phase not in (Phase.SUCCEEDED, Phase.STUCK):
        return "Next: wait for its end. It comes as a message of its own; what fails is put back by itself."
    # Pasted twice, by two people perhaps, it is one wish, and does not go back twice.
    back = _command(
        deployer,
        command="rollback",
        by="YOUR NAME",
        because=f"alarm {alarm.name}"[:100],
        request=f"{by.id}-back",
    )
    return (
        "Next: if the release is to blame, take users back to the last good version, and hold deployments:\n"
        f"{back}\nThen push a fix, and resume."
    )


def reason(deployment: Deployment) -> str:
    """Why it ended as it did, in one sentence: what turned it round says more than how it was put back."""
    if deployment.phase in (Phase.REVERTED, Phase.SUPERSEDED) and deployment.failure:
        return deployment.failure
    if deployment.phase is Phase.STUCK and deployment.failure:
        return f"{deployment.failure}. Then {deployment.because}"
    return deployment.because


def _what(deployment: Deployment) -> str:
    match deployment.source:
        case Source.CONFIGURATION:
            return f"new configuration of {_release(deployment)}"
        case Source.ROLLBACK:
            return f"rollback to version {deployment.version} ({deployment.image})"
        case _:
            return f"release {_release(deployment)}"


def _asked_by(deployment: Deployment) -> str:
    """Who wanted it, or what the sweep found."""
    why = f": {deployment.why}" if deployment.why else ""
    if deployment.by is None:
        return f"Somebody{why}." if deployment.source is Source.CONFIGURATION else ""
    return f"Asked for by {deployment.by}{why}."


def _release(deployment: Deployment) -> str:
    return f"{deployment.revision} ({deployment.image})" if deployment.revision else str(deployment.image)


def _users(deployment: Deployment) -> str:
    """Who saw the candidate? Only a deployment that set out to move `live` can have shown it to anybody."""
    previous, live = deployment.previous, deployment.live
    if previous is None:
        return (
            "Nothing had to be changed."
            if deployment.phase is Phase.SUCCEEDED
            else "The function was not touched."
        )
    if deployment.phase is Phase.SUCCEEDED:
        return f"Before it: {_version(previous)}."
    if live is None:
        return "Where live is could not be seen: look at it first."
    met = _moment(deployment, Phase.PROMOTING)
    if met is None and live.image == deployment.image:
        return f"Users are on this very image, as version {live.number}."
    now = f"live is on {_version(live)}"
    if met is None:
        if live.number == previous.number:
            return f"Users stayed on {_version(previous)}; none saw the new one."
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
    verdict = _failed(deployment)
    if verdict is None:
        return ""
    lines = ["Why:", *(_told(result) for result in verdict.results if not result.passed)]
    if verdict.log_tail.strip():
        lines += ["", "The function's last log lines:"]
        lines += [f"    {line}" for line in verdict.log_tail.strip().splitlines()]
    return "\n".join(lines)


def _failed(deployment: Deployment) -> Verdict | None:
    # What users are on comes first: if that fails too, it is what a person has to mend.
    verdicts = (deployment.restoration, deployment.verification, deployment.confirmation)
    return next((verdict for verdict in verdicts if verdict and not verdict.healthy), None)


def _told(result: CheckResult) -> str:
    tries = "1 try" if result.tries == 1 else f"{result.tries} tries"
    return f"  {result.name}: expected {result.expected}, got {result.actual} ({tries})"


def _next(deployment: Deployment, deployer: str) -> str:
    again = _command(deployer, command="retry", digest=deployment.image.digest, by="YOUR NAME")
    resume = _command(deployer, command="resume", by="YOUR NAME")
    match deployment.phase:
        case Phase.SUCCEEDED if deployment.source is Source.ROLLBACK:
            return (
                f"Deployments are held, so that no push undoes this. With the fix pushed, resume:\n{resume}"
            )
        case Phase.REVERTED if deployment.source is Source.ROLLBACK:
            return (
                f"Next: name another version; or push a fix, and resume, for deployments are held:\n{resume}"
            )
        case Phase.REVERTED if deployment.source is Source.CONFIGURATION:
            return (
                "Next: put the settings right where they come from (template.yaml). Until then each new "
                "release is verified with them, too. If they were not to blame, have the live image deployed "
                f"with them again:\n{again}"
            )
        case Phase.REVERTED:
            return (
                "Next: fix it and push again. If the image was not to blame, deploy the same one again:\n"
                f"{again}"
            )
        case Phase.REJECTED:
            return "Next: what is said above."
        case Phase.STUCK if _left_on_candidate(deployment) and deployment.previous:
            if deployment.no_way_back:
                return "Next: there is no other version to go to. Push a fix; it deploys as always."
            back = _command(
                deployer,
                command="rollback",
                to=deployment.previous.number,
                by="YOUR NAME",
                because=f"deployment {deployment.id} is stuck",
            )
            return (
                f"Next: take users back to version {deployment.previous.number}, and hold deployments:\n"
                f"{back}\nThen push a fix, and resume."
            )
        case Phase.STUCK:
            return (
                "Next: look at the function and the log lines. Pushing a fix works as always; or, once the "
                f"cause is gone, deploy the same image again:\n{again}"
            )
        case _:
            return ""


def _tripped(deployment: Deployment, deployer: str) -> str:
    """What its end did beside: a hold that nobody asked for."""
    if not deployment.trips:
        return ""
    resume = _command(deployer, command="resume", by="YOUR NAME")
    return (
        "Deployments hold themselves now: this was one too many in a row that did not stay. Once the cause "
        "is mended, resume; what the release tag points at then is deployed, if it was not tried yet:\n"
        f"{resume}"
    )


def _left_on_candidate(deployment: Deployment) -> bool:
    live, previous = deployment.live, deployment.previous
    return bool(live and previous and live.number == deployment.version != previous.number)


def _command(deployer: str, **payload: str) -> str:
    # The payload as bytes from a pipe: versions 1 and 2 of the AWS CLI agree on no other form.
    return (
        f"    echo {shlex.quote(json.dumps(payload))} | "
        f"aws lambda invoke --function-name {shlex.quote(deployer)} "
        "--cli-read-timeout 0 --payload fileb:///dev/stdin /dev/stdout"
    )


def _timeline(deployment: Deployment) -> str:
    lines = [f"Timeline of deployment {deployment.id} (UTC):"]
    lines += [f"  {m.at:%Y-%m-%d %H:%M:%S}  {m.phase:<10}  {m.because}" for m in deployment.timeline]
    return "\n".join(lines)


def _moment(deployment: Deployment, phase: Phase) -> Moment | None:
    return next((moment for moment in deployment.timeline if moment.phase is phase), None)
