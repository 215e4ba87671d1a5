"""What waits for people, and whether they hear of it: pure."""

from __future__ import annotations

from deployer.commands.parts.diagnosis.finding import Finding, Unread, fail, ok, unknown, warning
from deployer.commands.parts.diagnosis.reading import Seen


def dead_letters(seen: Seen) -> Finding:
    """Does something wait in a dead-letter queue?"""
    name, names = "dead letters", seen.names
    counted = {}
    for queue, found in seen.queues.items():
        if isinstance(found, Unread):
            return unknown(name, found)
        counted[queue] = found.visible + found.hidden
    if any(counted.values()):
        told = ", ".join(f"{many} in {queue}" for queue, many in counted.items() if many)
        return fail(
            name,
            f"{told}: events that could not be handled",
            "see which and why, mend the reason, and replay them (--replay ID) or drop them (--drop ID)",
            names.command("dead-letters"),
        )
    return ok(name, "none")


def subscriptions(seen: Seen) -> Finding:
    """Does anybody get the messages? Whoever has not confirmed gets none: in place of an ARN stands
    PendingConfirmation. https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html"""
    name, names = "subscriptions", seen.names
    confirmed, pending = {}, 0
    for topic, found in seen.subscriptions.items():
        if isinstance(found, Unread):
            return unknown(name, found)
        sure = [each for each in found if str(each.get("SubscriptionArn")).startswith("arn:")]
        confirmed[topic] = len(sure)
        pending += sum(1 for each in found if each.get("SubscriptionArn") == "PendingConfirmation")
    also = f"; {pending} did not confirm yet" if pending else ""
    if any(confirmed.values()):
        told = ", ".join(f"{many} to {topic}" for topic, many in confirmed.items() if many)
        return ok(name, f"{told}{also}")
    return fail(
        name,
        f"nobody gets the messages{also}: a revert would be a secret",
        "confirm the subscription in the mail that AWS sent; or subscribe somebody, who has to confirm, too",
        names.aws(
            *("sns", "subscribe", "--topic-arn", names.outputs["TopicArn"], "--protocol", "email"),
            *("--notification-endpoint", "ADDRESS"),
        ),
    )


def alarms(seen: Seen) -> Finding:
    """Is an alarm red, or gone, or silenced?"""
    name, names, found = "alarms", seen.names, seen.alarms
    if isinstance(found, Unread):
        return unknown(name, found)
    red = [each for each in found if each.get("StateValue") == "ALARM"]
    if red:
        told = "; ".join(f"{each['AlarmName']}: {each.get('StateReason', '')}" for each in red)
        which = [str(each["AlarmName"]) for each in red]
        show = names.aws("cloudwatch", "describe-alarms", "--alarm-names", *which)
        return fail(name, f"red: {told}", "each says in its description what to do", show)
    gone = sorted(set(names.alarms) - {str(each["AlarmName"]) for each in found})
    if gone:
        return fail(
            name,
            f"gone: {', '.join(gone)}. What they watch over would go unseen",
            "CloudFormation makes it again when it is taken out of the template and put back: deploy twice",
            "sam build && sam deploy",
        )
    silent = [str(each["AlarmName"]) for each in found if not each.get("ActionsEnabled", True)]
    if silent:
        enable = names.aws("cloudwatch", "enable-alarm-actions", "--alarm-names", *silent)
        return warning(name, f"silenced: {', '.join(silent)}", "let them speak", enable)
    return ok(name, f"none of {len(found)} is red")
