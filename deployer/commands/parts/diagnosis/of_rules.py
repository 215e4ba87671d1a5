"""What starts the deployer, and whether it was started: pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from deployer.commands.parts.diagnosis import patterns, policies, wanted
from deployer.commands.parts.diagnosis.finding import Finding, Mark, Unread, fail, ok, unknown, warning
from deployer.commands.parts.diagnosis.reading import SWEEP_FAILED, SWEEPS_SINCE, Rule, Seen

# A sweep is due each minute; its log line may take another to be found.
_LATE = timedelta(minutes=5)
_NO_SWEEPS = (
    "see the sweep rule above; if that is well, Lambda's concurrency is used up, or the deployer dies: its "
    "log says which"
)
_WITHOUT = {
    "push rule": "no push starts a deployment; sweeps find it up to a minute later",
    "sweep rule": "lost events stay lost, and what was interrupted does not go on",
    "alarm rule": "nobody is told of the service's alarms",
}


def rule(which: str, seen: Seen) -> Finding:
    """Is it enabled, does it fire for what it should, and does it start the deployer?"""
    names, found = seen.names, seen.rules[which]
    without = _WITHOUT[which]
    if isinstance(found, Unread):
        return unknown(which, found)
    if found is None:
        mend = (
            wanted.put_rule(which, names),
            wanted.put_target(which, names),
            wanted.permit_rule(which, names),
        )
        return fail(which, f"it is gone: {without}", "make it again (a permission may still be there)", *mend)
    name = str(found.description["Name"])
    if found.description.get("State") == "DISABLED":
        enable = names.aws("events", "enable-rule", "--name", name)
        return fail(which, f"it is disabled: {without}", "enable it", enable)
    wrong = _schedule(found) if which == "sweep rule" else _pattern(which, seen, found)
    if isinstance(wrong, Finding):
        return wrong
    if wrong:
        again = wanted.put_rule(which, names)
        return fail(which, f"{wrong}: {without}", "put back what the template says", again)
    if not _starts_the_deployer(seen, found):
        target = wanted.put_target(which, names)
        return fail(which, f"it does not start {names.deployer}: {without}", "put its target back", target)
    return _permission(which, seen, found)


def _schedule(found: Rule) -> str | None:
    schedule = found.description.get("ScheduleExpression")
    return (
        None if schedule == wanted.SWEEP_SCHEDULE else f"it fires at {schedule}, not {wanted.SWEEP_SCHEDULE}"
    )


def _pattern(which: str, seen: Seen, found: Rule) -> str | Finding | None:
    """What is wrong with it, if anything is."""
    pattern = str(found.description.get("EventPattern") or "")
    try:
        missed = [event for event in wanted.events(which, seen.names) if not patterns.matches(pattern, event)]
    except patterns.CannotTell as error:
        name = str(found.description["Name"])
        show = seen.names.aws("events", "describe-rule", "--name", name)
        told = f"its pattern has {error}, which is not understood here: {pattern}"
        return Finding(which, Mark.UNKNOWN, told, "look at it by hand", (show,))
    if not missed:
        return None
    meant = (
        f"a push of {seen.names.repository}:{seen.names.release_tag}"
        if which == "push rule"
        else ", ".join(str(event["resources"][0]).rpartition(":")[2] for event in missed)
    )
    return f"its pattern does not match {meant}: {pattern}"


def _starts_the_deployer(seen: Seen, found: Rule) -> bool:
    """With the event as it is: what replaces it would be unreadable to the deployer."""
    arn = seen.names.function_arn(seen.names.deployer)
    changed = {"Input", "InputPath", "InputTransformer"}
    return any(target.get("Arn") == arn and not changed & target.keys() for target in found.targets)


def _permission(which: str, seen: Seen, found: Rule) -> Finding:
    names, policy = seen.names, seen.deployer_policy
    if isinstance(policy, Unread):
        return unknown(which, policy)
    wish = policies.Wish("events.amazonaws.com", wanted.INVOKE, str(found.description["Arn"]))
    try:
        allowed = policies.allows(policy, wish)
    except policies.CannotTell as error:
        show = names.aws("lambda", "get-policy", "--function-name", names.deployer)
        told = f"the policy of {names.deployer} has {error}, which is not understood here"
        return Finding(which, Mark.UNKNOWN, told, "look at it by hand", (show,))
    if not allowed:
        return fail(
            which,
            f"it may not invoke {names.deployer}: {_WITHOUT[which]}",
            "let it",
            wanted.permit_rule(which, names),
        )
    fires = {"sweep rule": "each minute", "push rule": f"for {names.repository}:{names.release_tag}"}
    return ok(
        which, f"enabled; fires {fires.get(which, 'for the alarms of the service')}; starts {names.deployer}"
    )


def sweeps(seen: Seen) -> Finding:
    """When did the deployer sweep last, and did it succeed?"""
    name, names, found = "last sweep", seen.names, seen.sweeps
    if isinstance(found, Unread):
        return unknown(name, found)
    logs = names.command("logs", "--of", "deployer", "--since", "15m")
    if not found:
        age = seen.stack.now - seen.stack.created_at
        if age < _LATE:
            return warning(
                name, "the stack is new, and there was none yet", "the first comes within a minute or two"
            )
        return fail(
            name,
            f"there was none in {_minutes(SWEEPS_SINCE)}: {_WITHOUT['sweep rule']}",
            _NO_SWEEPS,
            logs,
        )
    at = datetime.fromtimestamp(found[-1]["timestamp"] / 1000, UTC)
    ago = max(seen.stack.now - at, timedelta(0))
    told = f"{ago.total_seconds():.0f} s ago, at {at:%H:%M:%S} UTC"
    if ago > _LATE:
        return fail(
            name,
            f"{told}: {_WITHOUT['sweep rule']}",
            _NO_SWEEPS,
            logs,
        )
    failed = [_failed(str(event.get("message", ""))) for event in found]
    if failed[-1]:
        many = f"{sum(failed)} of the last {len(failed)} failed, the newest among them"
        return fail(name, f"{told}; {many}", "the deployer's log says why", logs)
    if any(failed):
        many = f"{sum(failed)} of the {len(failed)} in {_minutes(SWEEPS_SINCE)} failed, the newest did not"
        return warning(name, f"{told}; {many}", "the deployer's log says why", logs)
    return ok(name, told)


def _failed(message: str) -> bool:
    try:
        metrics = json.loads(message)
    except (ValueError, RecursionError):
        return False
    return isinstance(metrics, dict) and SWEEP_FAILED in metrics


def _minutes(time: timedelta) -> str:
    return f"{time.total_seconds() / 60:.0f} minutes"
