"""What doctor says of what it read: each thing right, wrong and unreadable."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployer import placeholder
from deployer.commands.parts.diagnosis import of_stack, patterns, policies, wanted
from deployer.commands.parts.diagnosis.finding import Finding, Mark, Unread
from deployer.commands.parts.diagnosis.findings import all_of
from deployer.commands.parts.diagnosis.names import ALARMS, QUEUES, RULES, Names
from deployer.commands.parts.diagnosis.reading import Rule, Seen, StackSeen, Waiting, inspected
from deployer.model import (
    Book,
    Deployment,
    Hold,
    Moment,
    Notice,
    Phase,
    Quarantine,
    Source,
)
from sandbox.cloudformation import stack
from tests.fakes import START, image

ROOT = Path(__file__).parents[2]
ARN = "arn:aws:lambda:us-east-1:123456789012:function:shop"
OUTPUTS = {
    "RepositoryUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/shop",
    "ReleaseTag": "latest",
    "Platform": "linux/amd64",
    "ServiceFunctionName": "shop",
    "LiveAliasArn": f"{ARN}:live",
    "ApiId": "abc123",
    "DeployerName": "shop-deployer",
    "DashboardFunctionName": "shop-dashboard",
    "LedgerName": "ledger",
    "TopicArn": "arn:aws:sns:us-east-1:123456789012:topic",
    "ChatTopicArn": "arn:aws:sns:us-east-1:123456789012:chat",
    "RuleDeadLettersUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/rules",
    "DeployerDeadLettersUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/deployer",
    "PushRuleName": "shop-push",
    "SweepRuleName": "shop-sweep",
    "AlarmRuleName": "shop-alarm",
}
NAMES = Names("stack", OUTPUTS)
LIVE, BEFORE = image("live").digest, image("before").digest
NOW = START
STACK = StackSeen("UPDATE_COMPLETE", "", NOW - timedelta(days=9), NOW, NOW)


def statement(service: str, source: str, resource: str = ARN) -> dict[str, Any]:
    """As AddPermission writes it."""
    return {
        "Sid": "x",
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "lambda:InvokeFunction",
        "Resource": resource,
        "Condition": {"ArnLike": {"AWS:SourceArn": source}},
    }


def policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Id": "default", "Statement": list(statements)})


def rule(which: str, **description: Any) -> Rule:
    shape: dict[str, Any] = {"Name": OUTPUTS[RULES[which]], "Arn": NAMES.rule_arn(which), "State": "ENABLED"}
    if which == "sweep rule":
        shape["ScheduleExpression"] = "rate(1 minute)"
    else:
        shape["EventPattern"] = json.dumps(wanted.pattern(which, NAMES))
    return Rule(shape | description, [{"Id": "deployer", "Arn": NAMES.function_arn("shop-deployer")}])


def swept(seconds_ago: float, *, failed: bool = False) -> dict[str, Any]:
    """A line of the deployer's log at the end of a sweep."""
    metrics = {"EventSweepDue": [1.0]} | ({"SweepFailed": [1.0]} if failed else {})
    at = NOW - timedelta(seconds=seconds_ago)
    return {"timestamp": int(at.timestamp() * 1000), "message": json.dumps(metrics)}


def state(digest: str = LIVE, **more: Any) -> dict[str, Any]:
    return {
        "version": "7",
        "state": "Active",
        "state_reason": "",
        "last_update": "Successful",
        "last_update_reason": "",
        "architecture": "x86_64",
        "digest": digest,
    } | more


def ended(phase: Phase = Phase.SUCCEEDED, **more: Any) -> Deployment:
    timeline = (Moment(NOW, phase, f"because of {phase}"),)
    made = Deployment(
        "20260301T030000Z-0123abcd", image("live"), Source.PUSH, NOW, phase, timeline, version="7"
    )
    return replace(made, **more)


def alarm(name: str, value: str = "OK", **more: Any) -> dict[str, Any]:
    return {"AlarmName": f"shop-{name}", "StateValue": value, "StateReason": "2 datapoints"} | more


EVENTS = "events.amazonaws.com"
IMAGE = {"kind": "image", "media_type": "manifest", "architecture": "x86_64", "size": 1, "problem": None}
FUNCTION = {
    "latest": state(version="$LATEST"),
    "live": state(),
    "unset": ["DATABASE_URL"],
    "image": IMAGE,
}
WELL = Seen(
    names=NAMES,
    stack=STACK,
    repository={
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [
            {"filterType": "WILDCARD", "filter": tag} for tag in ("latest", *wanted.MOVING)
        ],
    },
    repository_policy=wanted.repository_policy(NAMES),
    lifecycle_policy=wanted.lifecycle_policy(NAMES),
    tags={
        "release": {"imageDigest": LIVE, "imageStatus": "ACTIVE"},
        "live": {"imageDigest": LIVE},
        "previous": {"imageDigest": BEFORE},
    },
    quarantine=None,
    alias={"FunctionVersion": "7"},
    alias_policy=policy(
        statement("apigateway.amazonaws.com", "arn:aws:execute-api:us-east-1:123456789012:abc123/*")
    ),
    deployer_policy=policy(*(statement(EVENTS, NAMES.rule_arn(which) or "") for which in RULES)),
    function=FUNCTION,
    rules={which: rule(which) for which in RULES},
    sweeps=[swept(90), swept(30)],
    queues={queue: Waiting(0, 0) for queue in QUEUES},
    book=Book(),
    history=[ended()],
    subscriptions={"Topic": [{"SubscriptionArn": f"{OUTPUTS['TopicArn']}:1"}], "ChatTopic": []},
    alarms=[alarm(name) for name in ALARMS],
)


def found(**changed: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in all_of(replace(WELL, **changed))}


def marks(findings: Mapping[str, Finding]) -> dict[str, Mark]:
    """Those that are not ok."""
    return {name: each.mark for name, each in findings.items() if each.mark is not Mark.OK}


def open_since(phase: Phase, seconds: float, name: str = "mine") -> Deployment:
    at = NOW - timedelta(seconds=seconds)
    timeline = () if phase is Phase.REQUESTED else (Moment(at, phase, "so it is"),)
    return Deployment(name, image(name), Source.PUSH, at, phase, timeline)


def lifecycle(*rules: tuple[str, int]) -> str:
    """Of (tag pattern or `any`, count) in this order."""
    made = []
    for priority, (pattern, count) in enumerate(rules, 1):
        tagged = (
            {"tagStatus": "any"} if pattern == "any" else {"tagStatus": "tagged", "tagPatternList": [pattern]}
        )
        selection = {**tagged, "countType": "imageCountMoreThan", "countNumber": count}
        made.append({"rulePriority": priority, "selection": selection, "action": {"type": "expire"}})
    return json.dumps({"rules": made})


def rules_with(which: str, changed: object) -> dict[str, Any]:
    return {**WELL.rules, which: changed}


def alarms_with(*changed: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    names = {each["AlarmName"] for each in changed}
    return [each for each in WELL.alarms if each["AlarmName"] not in names] + list(changed)  # type: ignore[union-attr]


def test_when_all_is_well_nothing_else_is_said() -> None:
    findings = found()

    assert marks(findings) == {}
    assert all(not each.fix and not each.commands and each.seen for each in findings.values())
    assert len(findings) == 24


DENIED = json.loads(wanted.repository_policy(NAMES))["Statement"]
WRONG: list[tuple[dict[str, Any], str, Mark, str, str]] = [
    # changed, finding, mark, words of what was seen, words of a command or of the fix
    (
        {"repository_policy": None},
        "repository policy",
        Mark.FAIL,
        "it has none",
        "aws ecr set-repository-policy",
    ),
    (
        {
            "repository_policy": wanted.repository_policy(
                replace(NAMES, outputs=OUTPUTS | {"ServiceFunctionName": "o"})
            )
        },
        "repository policy",
        Mark.FAIL,
        "does not let Lambda do ecr:BatchGetImage for shop",
        "aws ecr set-repository-policy",
    ),
    (
        {"repository_policy": policy({**DENIED[0], "Action": "ecr:BatchGetImage"})},
        "repository policy",
        Mark.FAIL,
        "ecr:GetDownloadUrlForLayer",
        "aws ecr set-repository-policy",
    ),
    (
        {"repository_policy": policy(*DENIED, {**DENIED[0], "Effect": "Deny"})},
        "repository policy",
        Mark.FAIL,
        "does not let",
        "aws ecr set-repository-policy",
    ),
    (
        {
            "repository_policy": policy(
                {**DENIED[0], "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
            )
        },
        "repository policy",
        Mark.UNKNOWN,
        "the condition IpAddress on aws:SourceIp",
        "aws ecr get-repository-policy",
    ),
    (
        {"repository": None},
        "tags may move",
        Mark.FAIL,
        "no repository team/shop",
        "aws ecr create-repository",
    ),
    (
        {"repository": {"imageTagMutability": "IMMUTABLE"}},
        "tags may move",
        Mark.FAIL,
        "latest, live, previous cannot be moved once set: the next push is refused",
        "filterType=WILDCARD,filter=latest",
    ),
    (
        {
            "repository": {
                "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [{"filter": "li*"}],
            }
        },
        "tags may move",
        Mark.FAIL,
        "live cannot be moved",
        "put-image-tag-mutability",
    ),
    (
        {"function": {**FUNCTION, "image": {"error": "BatchGetImage: AccessDenied: no"}}},
        "release tag",
        Mark.UNKNOWN,
        "BatchGetImage: AccessDenied: no",
        "by hand",
    ),
    (
        {"function": {**FUNCTION, "image": None}},
        "release tag",
        Mark.FAIL,
        "no longer, in the registry",
        "deployer --stack stack push",
    ),
    ({"lifecycle_policy": None}, "lifecycle policy", Mark.WARNING, "there is none", "put-lifecycle-policy"),
    ({"lifecycle_policy": "[]"}, "lifecycle policy", Mark.FAIL, "cannot be read", "put-lifecycle-policy"),
    (
        {"lifecycle_policy": lifecycle(("live", 1), ("any", 5), ("previous", 1), ("latest", 1))},
        "lifecycle policy",
        Mark.FAIL,
        "may expire the image with the tag previous, latest",
        "put-lifecycle-policy",
    ),
    (
        {"lifecycle_policy": lifecycle(("l*", 1), ("live", 1), ("previous", 1), ("latest", 1))},
        "lifecycle policy",
        Mark.FAIL,
        "tag live, previous, latest",
        "put-lifecycle-policy",
    ),
    (
        {"tags": {**WELL.tags, "release": None}, "function": {**FUNCTION, "image": None}},
        "release tag",
        Mark.WARNING,
        "nothing was pushed as latest yet",
        "deployer --stack stack push",
    ),
    (
        {"function": {**FUNCTION, "image": {**IMAGE, "architecture": "arm64"}}},
        "release tag",
        Mark.FAIL,
        "built for arm64, the function runs on x86_64",
        "deployer --stack stack push",
    ),
    (
        {"function": {**FUNCTION, "image": {**IMAGE, "kind": "index"}}},
        "release tag",
        Mark.FAIL,
        "--provenance=false",
        "deployer --stack stack push",
    ),
    (
        {"quarantine": Quarantine(LIVE, "20260301T030000Z-0123abcd", "GET /health answered 503")},
        "quarantine",
        Mark.FAIL,
        "GET /health answered 503",
        f"deployer --stack stack retry {LIVE}",
    ),
    (
        {"rules": rules_with("push rule", rule("push rule", State="DISABLED"))},
        "push rule",
        Mark.FAIL,
        "it is disabled: no push starts a deployment",
        "aws events enable-rule --name shop-push",
    ),
    ({"rules": rules_with("alarm rule", None)}, "alarm rule", Mark.FAIL, "it is gone", "aws events put-rule"),
    (
        {
            "rules": rules_with(
                "push rule", rule("push rule", EventPattern='{"detail": {"image-tag": ["stable"]}}')
            )
        },
        "push rule",
        Mark.FAIL,
        "does not match a push of team/shop:latest",
        "aws events put-rule --name shop-push --event-pattern",
    ),
    (
        {"rules": rules_with("push rule", rule("push rule", EventPattern='{"source": [{"prefix": "aws"}]}'))},
        "push rule",
        Mark.UNKNOWN,
        "a filter on 'source'",
        "aws events describe-rule --name shop-push",
    ),
    (
        {
            "rules": rules_with(
                "alarm rule",
                rule("alarm rule", EventPattern=json.dumps({"resources": wanted.alarm_arns(NAMES)[:2]})),
            )
        },
        "alarm rule",
        Mark.FAIL,
        "does not match shop-server-errors",
        "aws events put-rule",
    ),
    (
        {"rules": rules_with("sweep rule", rule("sweep rule", ScheduleExpression="rate(1 day)"))},
        "sweep rule",
        Mark.FAIL,
        "it fires at rate(1 day)",
        "--schedule-expression 'rate(1 minute)'",
    ),
    (
        {"rules": rules_with("sweep rule", replace(rule("sweep rule"), targets=[]))},
        "sweep rule",
        Mark.FAIL,
        "it does not start shop-deployer",
        "aws events put-targets --rule shop-sweep",
    ),
    (
        {
            "rules": rules_with(
                "push rule",
                replace(
                    rule("push rule"),
                    targets=[
                        {
                            "Id": "deployer",
                            "Arn": NAMES.function_arn("shop-deployer"),
                            "InputPath": "$.detail",
                        }
                    ],
                ),
            )
        },
        "push rule",
        Mark.FAIL,
        "it does not start shop-deployer",
        "aws events put-targets --rule shop-push",
    ),
    ({"sweeps": []}, "last sweep", Mark.FAIL, "none in 15 minutes", "logs --of deployer --since 15m"),
    (
        {"sweeps": [], "stack": replace(STACK, created_at=NOW - timedelta(minutes=2))},
        "last sweep",
        Mark.WARNING,
        "the stack is new",
        "within a minute",
    ),
    ({"sweeps": [swept(600)]}, "last sweep", Mark.FAIL, "600 s ago", "logs --of deployer"),
    (
        {"sweeps": [swept(90), swept(30, failed=True)]},
        "last sweep",
        Mark.FAIL,
        "1 of the last 2 failed, the newest among them",
        "logs --of deployer",
    ),
    (
        {"sweeps": [swept(90, failed=True), swept(30)]},
        "last sweep",
        Mark.WARNING,
        "1 of the 2 in 15 minutes failed",
        "logs --of deployer",
    ),
    (
        {"book": Book(hold=Hold("alice", "incident 42", NOW, "h1"))},
        "hold",
        Mark.FAIL,
        "alice holds deployments since 2026-03-01 03:00 UTC: incident 42",
        "deployer --stack stack resume",
    ),
    (
        {"book": Book(hold=Hold("the deployer", "three in a row did not stay", NOW, "h1"), reverts=3)},
        "hold",
        Mark.FAIL,
        "three in a row did not stay",
        "deployer --stack stack resume",
    ),
    (
        {"book": Book(open=(open_since(Phase.UPDATING, 1800),))},
        "under way",
        Mark.FAIL,
        "mine is UPDATING for 30 minutes: so it is",
        "deployer --stack stack abort",
    ),
    (
        {"book": Book(open=(open_since(Phase.REQUESTED, 1800),))},
        "under way",
        Mark.FAIL,
        "mine is REQUESTED for 30 minutes: not begun",
        "logs --of deployer",
    ),
    (
        {"history": [ended(Phase.STUCK)]},
        "last deployment",
        Mark.FAIL,
        "ended STUCK: because of STUCK",
        "deployer --stack stack show 20260301T030000Z-0123abcd",
    ),
    (
        {"history": [ended(warnings=("no way back",))]},
        "last deployment",
        Mark.WARNING,
        "warning: no way back",
        "show 20260301T030000Z-0123abcd",
    ),
    (
        {"function": {**FUNCTION, "latest": state(last_update="Failed", last_update_reason="ImageDeleted")}},
        "function",
        Mark.FAIL,
        "its last update Failed: ImageDeleted",
        "push",
    ),
    (
        {"function": {**FUNCTION, "latest": state(last_update="InProgress")}},
        "function",
        Mark.WARNING,
        "InProgress",
        "wait",
    ),
    (
        {"function": {**FUNCTION, "latest": state(architecture="arm64")}},
        "architecture",
        Mark.FAIL,
        "the function is arm64, the stack's images are built for x86_64",
        f"--architectures x86_64 --image-uri {OUTPUTS['RepositoryUri']}@{LIVE}",
    ),
    (
        {"function": {**FUNCTION, "unset": ["DATABASE_URL", "GEMINI_API_KEY"]}},
        "settings",
        Mark.FAIL,
        "GEMINI_API_KEY is not set",
        'sam deploy --parameter-overrides GeminiApiKey="$KEY"',
    ),
    (
        {"function": {**FUNCTION, "unset": None}},
        "settings",
        Mark.UNKNOWN,
        "which variables are set cannot be told",
        "by hand",
    ),
    (
        {"function": {**FUNCTION, "live": state(state="Failed", state_reason="ImageDeleted: gone")}},
        "live",
        Mark.FAIL,
        "is Failed: ImageDeleted: gone",
        "deployer --stack stack rollback",
    ),
    (
        {"function": {**FUNCTION, "live": state(state="Inactive")}},
        "live",
        Mark.WARNING,
        "nobody asked for weeks",
        "wakes it",
    ),
    (
        {"function": {**FUNCTION, "live": state(state="Deactivating")}},
        "live",
        Mark.WARNING,
        "is Deactivating",
        "look again",
    ),
    (
        {"alias": {"FunctionVersion": "7", "RoutingConfig": {"AdditionalVersionWeights": {"6": 0.25}}}},
        "live",
        Mark.FAIL,
        "somebody sends 25% of requests to version 6",
        "--routing-config 'AdditionalVersionWeights={}'",
    ),
    (
        {"alias": None},
        "live",
        Mark.FAIL,
        "no alias live",
        "create-alias --function-name shop --name live --function-version 7",
    ),
    ({"alias": None, "history": []}, "live", Mark.FAIL, "no alias live", "list-versions-by-function"),
    (
        {"alias_policy": None},
        "API",
        Mark.FAIL,
        "users get 500",
        "aws lambda add-permission --function-name shop --qualifier live",
    ),
    (
        {
            "alias_policy": policy(
                statement("apigateway.amazonaws.com", "arn:aws:execute-api:us-east-1:123456789012:other/*")
            )
        },
        "API",
        Mark.FAIL,
        "may not invoke live",
        "execute-api:us-east-1:123456789012:abc123/*",
    ),
    (
        {"tags": {**WELL.tags, "live": {"imageDigest": BEFORE}}},
        "live is kept",
        Mark.FAIL,
        "ECR may expire what is live",
        "the next sweep puts it right",
    ),
    ({"tags": {**WELL.tags, "live": None}}, "live is kept", Mark.FAIL, "on no image", "logs --of deployer"),
    (
        {"tags": {**WELL.tags, "live": {"imageDigest": LIVE, "imageStatus": "ARCHIVED"}}},
        "live is kept",
        Mark.FAIL,
        "is ARCHIVED",
        "push",
    ),
    (
        {"tags": {**WELL.tags, "live": None}, "book": Book(open=(open_since(Phase.CONFIRMING, 2),))},
        "live is kept",
        Mark.WARNING,
        "a deployment is under way",
        "when it has ended",
    ),
    ({"tags": {**WELL.tags, "previous": None}}, "way back", Mark.WARNING, "nothing to go back to", "logs"),
    (
        {"queues": {**WELL.queues, "RuleDeadLetters": Waiting(1, 1)}},
        "dead letters",
        Mark.FAIL,
        "2 in RuleDeadLetters",
        "deployer --stack stack dead-letters",
    ),
    (
        {"alarms": alarms_with(alarm("errors", "ALARM"))},
        "alarms",
        Mark.FAIL,
        "red: shop-errors: 2 datapoints",
        "aws cloudwatch describe-alarms --alarm-names shop-errors",
    ),
    ({"alarms": alarms_with()[1:]}, "alarms", Mark.FAIL, "gone: shop-errors", "sam deploy"),
    (
        {"alarms": alarms_with(alarm("errors", ActionsEnabled=False))},
        "alarms",
        Mark.WARNING,
        "silenced: shop-errors",
        "enable-alarm-actions --alarm-names shop-errors",
    ),
    (
        {"subscriptions": {"Topic": [{"SubscriptionArn": "PendingConfirmation"}], "ChatTopic": []}},
        "subscriptions",
        Mark.FAIL,
        "nobody gets the messages; 1 did not confirm yet",
        "aws sns subscribe --topic-arn arn:aws:sns:us-east-1:123456789012:topic",
    ),
    (
        {"book": Book(notices=(Notice(ended(), tries=4),))},
        "messages",
        Mark.FAIL,
        "nobody was told of the end of 20260301T030000Z-0123abcd after 4 tries",
        "logs --of deployer",
    ),
    (
        {"stack": replace(STACK, here=NOW + timedelta(minutes=3))},
        "clock",
        Mark.WARNING,
        "180 s ahead of AWS's",
        "set it",
    ),
]


@pytest.mark.parametrize(
    ("changed", "name", "mark", "words", "mend"), WRONG, ids=[f"{each[1]}: {each[3][:30]}" for each in WRONG]
)
def test_what_is_wrong_is_the_one_thing_said_to_be_with_what_mends_it(
    changed: dict[str, Any], name: str, mark: Mark, words: str, mend: str
) -> None:
    findings = found(**changed)

    assert marks(findings) == {name: mark}
    assert words in findings[name].seen
    assert mend in "\n".join([findings[name].fix, *findings[name].commands])


@pytest.mark.parametrize("which", RULES)
def test_a_rule_that_may_not_start_the_deployer_is_found_with_the_command_that_lets_it(which: str) -> None:
    others = [statement(EVENTS, NAMES.rule_arn(each) or "") for each in RULES if each != which]

    findings = found(deployer_policy=policy(*others))

    assert marks(findings) == {which: Mark.FAIL}
    assert "it may not invoke shop-deployer" in findings[which].seen
    [command] = findings[which].commands
    assert shlex.split(command)[-1] == NAMES.rule_arn(which)


@pytest.mark.parametrize(
    "book",
    [
        Book(open=(open_since(Phase.UPDATING, 1200),)),
        Book(open=(open_since(Phase.UPDATING, 60), open_since(Phase.REQUESTED, 1800, "waits"))),
        Book(notices=(Notice(ended()),)),
        Book(reverts=2),
    ],
)
def test_what_goes_its_way_is_well(book: Book) -> None:
    assert marks(found(book=book)) == {}


def test_the_placeholder_needs_no_tag_live() -> None:
    function = {**FUNCTION, "live": state(placeholder.image("x86_64").digest)}

    assert marks(found(function=function, tags={**WELL.tags, "live": None})) == {}


READ = [each.name for each in fields(Seen) if each.name not in ("names", "stack")]
KEYED = {"tags": ("release", "live", "previous"), "rules": tuple(RULES), "queues": tuple(QUEUES)}
KEYED["subscriptions"] = ("Topic", "ChatTopic")
UNREAD = [(name, key) for name in READ for key in KEYED.get(name, ("",))]
TOUCHES = {
    "repository": {"tags may move"},
    "repository_policy": {"repository policy"},
    "lifecycle_policy": {"lifecycle policy"},
    "tags release": {"release tag", "quarantine"},
    "tags live": {"live is kept"},
    "tags previous": {"way back"},
    "quarantine": {"quarantine"},
    "alias": {"live"},
    "alias_policy": {"API"},
    "deployer_policy": set(RULES),
    "function": {"release tag", "function", "architecture", "settings", "live", "live is kept"},
    **{f"rules {which}": {which} for which in RULES},
    "sweeps": {"last sweep"},
    **{f"queues {queue}": {"dead letters"} for queue in QUEUES},
    "book": {"hold", "under way", "messages"},
    "history": {"last deployment"},
    **{f"subscriptions {topic}": {"subscriptions"} for topic in ("Topic", "ChatTopic")},
    "alarms": {"alarms"},
}


@pytest.mark.parametrize(("name", "key"), UNREAD)
@pytest.mark.parametrize("refused", [True, False])
def test_what_could_not_be_read_is_unknown_and_nothing_else_is(name: str, key: str, refused: bool) -> None:
    unread = Unread("GetIt: AccessDenied: no", refused=refused)

    findings = found(**{name: {**getattr(WELL, name), key: unread} if key else unread})

    assert marks(findings) == dict.fromkeys(TOUCHES[f"{name} {key}".strip()], Mark.UNKNOWN)
    for each in findings.values():
        if each.mark is Mark.UNKNOWN:
            assert ("not allowed to look: " in each.seen) is refused
            assert ("ViewerPolicy" in each.fix) is refused


@pytest.mark.parametrize(
    ("status", "missing", "mark", "words"),
    [
        ("CREATE_COMPLETE", [], Mark.OK, "with all its outputs"),
        ("UPDATE_ROLLBACK_COMPLETE", [], Mark.WARNING, "before its last update, which failed"),
        ("UPDATE_IN_PROGRESS", [], Mark.FAIL, "UPDATE_IN_PROGRESS"),
        ("ROLLBACK_COMPLETE", ["ReleaseTag"], Mark.FAIL, "ROLLBACK_COMPLETE"),
        ("UPDATE_ROLLBACK_FAILED", [], Mark.FAIL, "UPDATE_ROLLBACK_FAILED"),
        ("UPDATE_COMPLETE", ["ApiId"], Mark.FAIL, "has no output ApiId"),
    ],
)
def test_a_stack_is_complete_or_why_not(status: str, missing: list[str], mark: Mark, words: str) -> None:
    finding = of_stack.stack("shop", replace(STACK, status=status), missing, "see events")

    assert finding.mark is mark
    assert words in finding.seen
    assert bool(finding.fix) is (mark is not Mark.OK)


def test_a_command_to_paste_leads_where_this_one_looked_and_is_quoted() -> None:
    names = replace(NAMES, stack="my stack", place=("--profile", "prod", "--region", "eu-west-1"))

    assert names.command("resume") == "deployer --stack 'my stack' --profile prod --region eu-west-1 resume"
    assert names.aws("events", "x") == "aws events x --profile prod --region eu-west-1"


@pytest.mark.parametrize(
    ("body", "failed", "words"),
    [
        (b'{"errorType": "Runtime.ExitError"}', True, "shop-dashboard failed: {"),
        (b'"<html>"', False, "older than this command"),
        (b'{"latest": {}}', False, "older than this command"),
        (b"[" * 5000, False, "older than this command"),
        (b"\xff", False, "older than this command"),
        (b'{"error": "the dashboard cannot start"}', False, "says: the dashboard cannot start"),
    ],
)
def test_a_dashboard_that_does_not_answer_is_no_answer(body: bytes, failed: bool, words: str) -> None:
    unread = inspected("shop-dashboard", body, failed=failed)

    assert isinstance(unread, Unread)
    assert words in unread.because


@pytest.mark.parametrize(
    "function",
    [
        {"latest": None, "live": 5, "unset": "x"},
        {"latest": {}, "live": {}, "unset": [5]},
        {"latest": {"error": "no"}, "live": {"error": "no"}, "unset": None, "image": {"error": "no"}},
        {"latest": {}, "live": {}, "unset": [], "image": {"kind": 5, "size": "x"}},
    ],
)
def test_an_answer_of_any_shape_is_judged_without_harm(function: dict[str, Any]) -> None:
    assert found(function=function)


# -- policies of resources

WISH = policies.Wish("events.amazonaws.com", "lambda:InvokeFunction", NAMES.rule_arn("push rule") or "")
SERVICE = {"Service": EVENTS}


@pytest.mark.parametrize(
    ("allowed", "more"),
    [
        (True, {}),
        (True, {"Principal": "*"}),
        (True, {"Principal": {"AWS": "*"}}),
        (True, {"Action": ["lambda:*"]}),
        (True, {"Condition": {"StringEquals": {"AWS:SourceAccount": "123456789012"}}}),
        (True, {"Condition": {"ArnEquals": {"aws:SourceArn": [WISH.source, "other"]}}}),
        (False, {"Effect": "Deny"}),
        (False, {"Principal": {"Service": "s3.amazonaws.com"}}),
        (False, {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}),
        (False, {"Action": "lambda:GetFunction"}),
        (False, {"Condition": {"ArnLike": {"AWS:SourceArn": f"{WISH.source}-2"}}}),
        (False, {"Condition": {"StringEquals": {"AWS:SourceAccount": "210987654321"}}}),
        (False, {"Condition": {"StringEquals": {"AWS:SourceArn": "arn:*"}}}),
    ],
)
def test_a_policy_allows_what_its_statement_says(allowed: bool, more: dict[str, Any]) -> None:
    one = {"Effect": "Allow", "Principal": SERVICE, "Action": "lambda:InvokeFunction"} | more

    assert policies.allows(policy(one), WISH) is allowed


@pytest.mark.parametrize("text", [None, "{}", "[]", '{"Statement": []}', '{"Statement": ["?"]}'])
def test_an_empty_policy_allows_nothing(text: str | None) -> None:
    assert policies.allows(text, WISH) is False


@pytest.mark.parametrize(
    "unclear",
    [
        {"Principal": SERVICE, "NotAction": "x"},
        {"NotPrincipal": SERVICE, "Action": "*"},
        {"Principal": SERVICE, "Action": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {"Principal": SERVICE, "Action": "*", "Condition": ["?"]},
    ],
)
def test_a_policy_that_is_not_understood_is_not_said_to_be_right_or_wrong(unclear: dict[str, Any]) -> None:
    plain = {"Effect": "Allow", "Principal": SERVICE, "Action": "*"}
    with pytest.raises(policies.CannotTell):
        policies.allows(policy({"Effect": "Allow", **unclear}), WISH)
    with pytest.raises(policies.CannotTell):
        policies.allows(policy(plain, {"Effect": "Deny", **unclear}), WISH)

    assert policies.allows(policy(plain, {"Effect": "Allow", **unclear}), WISH)


def test_a_policy_that_is_no_json_is_not_understood() -> None:
    with pytest.raises(policies.CannotTell, match="not JSON"):
        policies.allows("{" * 5000, WISH)


# -- patterns of rules


def test_the_sample_of_a_push_is_what_aws_sends() -> None:
    real = json.loads((ROOT / "tests" / "events" / "eventbridge" / "push.json").read_text())
    names = replace(NAMES, outputs=OUTPUTS | {"RepositoryUri": "host/shuking-lambda"})
    [ours] = wanted.events("push rule", names)

    assert {key: value for key, value in real.items() if key in ours and key != "detail"} == {
        key: value for key, value in ours.items() if key != "detail"
    }
    assert ours["detail"].items() <= real["detail"].items()
    assert patterns.matches(json.dumps(wanted.pattern("push rule", names)), real)


def test_the_sample_of_an_alarm_is_what_aws_sends() -> None:
    real = json.loads((ROOT / "tests" / "events" / "eventbridge" / "alarm.json").read_text())
    ours = wanted.events("alarm rule", NAMES)[0]

    assert ours.keys() <= real.keys()
    assert real["source"] == ours["source"]
    assert real["detail-type"] == ours["detail-type"]
    assert real["detail"]["state"]["value"] == ours["detail"]["state"]["value"]


@pytest.mark.parametrize(
    ("matched", "pattern"),
    [
        (True, {}),
        (True, {"resources": ["b", "x"]}),
        (True, {"detail": {"tag": ["latest", "stable"]}}),
        (False, {"resources": ["x"]}),
        (False, {"detail": {"tag": []}}),
        (False, {"detail": {"tag": {"deeper": ["x"]}}}),
        (False, {"detail": {"other": ["latest"]}}),
    ],
)
def test_a_pattern_matches_when_each_field_has_one_of_its_values(matched: bool, pattern: object) -> None:
    event = {"resources": ["a", "b"], "detail": {"tag": "latest"}}

    assert patterns.matches(json.dumps(pattern), event) is matched


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 5000, '{"$or": []}', '{"a": "b"}', '{"a": [{"exists": true}]}']
)
def test_a_pattern_that_is_not_understood_is_not_said_to_match(text: str) -> None:
    with pytest.raises(patterns.CannotTell):
        patterns.matches(text, {"a": "b"})


# -- what is put back is what the template says


def template() -> dict[str, Any]:
    found: dict[str, Any] = stack.read(ROOT / "template.yaml")
    return found


def test_the_alarms_are_the_templates() -> None:
    alarms = {
        each["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("${ServiceName}-")
        for each in template()["Resources"].values()
        if each["Type"] == "AWS::CloudWatch::Alarm"
    }

    assert alarms == set(ALARMS)


def test_the_lifecycle_policy_is_the_templates() -> None:
    text = template()["Resources"]["Repository"]["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"][
        "Fn::Sub"
    ]

    assert json.loads(wanted.lifecycle_policy(NAMES)) == json.loads(text.replace("${ReleaseTag}", "latest"))


def test_the_tags_that_move_are_the_templates() -> None:
    filters = template()["Resources"]["Repository"]["Properties"]["ImageTagMutabilityExclusionFilters"]
    values = [each["ImageTagMutabilityExclusionFilterValue"] for each in filters]

    assert values == [{"Ref": "ReleaseTag"}, *wanted.MOVING]
