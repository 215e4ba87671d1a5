"""What template.yaml declares, and doctor compares with or puts back: pure. A test compares the two."""

from __future__ import annotations

import json
from typing import Any

from deployer.commands.parts.diagnosis.names import RULES, Names

PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
SWEEP_SCHEDULE = "rate(1 minute)"
INVOKE = "lambda:InvokeFunction"
# Tags that move beside the release tag.
MOVING = ("live", "previous", "buildcache")
_KEPT = 100  # of all other images
_PERMISSIONS = {
    "push rule": "PushMayStartTheDeployer",
    "sweep rule": "SweepMayStartTheDeployer",
    "alarm rule": "AlarmMayStartTheDeployer",
}


def repository_policy(names: Names) -> str:
    """Lambda may pull the service's images."""
    arn = names.function_arn(names.service)
    statement = {
        "Sid": "LambdaPullsTheServicesImages",
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": list(PULL),
        "Condition": {"StringLike": {"aws:sourceArn": [arn, f"{arn}:*"]}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def lifecycle_policy(names: Names) -> str:
    """Each of these tags keeps its image; of all others the newest stay."""
    described = {
        "live": "What is live stays",
        "previous": "The way back stays",
        "placeholder": "What the stack begins with stays",
        names.release_tag: "The newest release stays",
        "buildcache": "The build cache stays",
    }
    rules = [
        _rule(priority, text, 1, tagStatus="tagged", tagPatternList=[tag])
        for priority, (tag, text) in enumerate(described.items(), 1)
    ]
    rules.append(_rule(len(rules) + 1, "Of all others, the newest", _KEPT, tagStatus="any"))
    return json.dumps({"rules": rules})


def _rule(priority: int, text: str, count: int, **selection: object) -> dict[str, Any]:
    counted = {"countType": "imageCountMoreThan", "countNumber": count}
    return {
        "rulePriority": priority,
        "description": text,
        "selection": {**selection, **counted},
        "action": {"type": "expire"},
    }


def pattern(rule: str, names: Names) -> dict[str, Any]:
    """Of a rule that has one."""
    if rule == "push rule":
        detail = {"action-type": ["PUSH"], "result": ["SUCCESS"]}
        of_ours = {"repository-name": [names.repository], "image-tag": [names.release_tag]}
        return {
            "source": ["aws.ecr"],
            "detail-type": ["ECR Image Action"],
            "detail": {**detail, **of_ours},
        }
    return {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "resources": alarm_arns(names),
        "detail": {"state": {"value": ["ALARM"]}},
    }


def events(rule: str, names: Names) -> list[dict[str, Any]]:
    """Events that the rule has to match, as AWS writes them: what is not in them no pattern may ask for.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
    """
    envelope = {"version": "0", "account": names.account, "region": names.region}
    if rule == "push rule":
        detail = {
            "result": "SUCCESS",
            "action-type": "PUSH",
            "repository-name": names.repository,
            "image-tag": names.release_tag,
        }
        event = {"source": "aws.ecr", "detail-type": "ECR Image Action", "resources": [], "detail": detail}
        return [{**envelope, **event}]
    return [
        {
            **envelope,
            "source": "aws.cloudwatch",
            "detail-type": "CloudWatch Alarm State Change",
            "resources": [arn],
            "detail": {"alarmName": arn.rpartition(":")[2], "state": {"value": "ALARM"}},
        }
        for arn in alarm_arns(names)
    ]


def alarm_arns(names: Names) -> list[str]:
    """The service's alarms, which the deployer tells people of; the others are the deployer's own."""
    before = f"arn:{names.partition}:cloudwatch:{names.region}:{names.account}:alarm:{names.service}-"
    return [f"{before}{alarm}" for alarm in ("errors", "throttles", "server-errors")]


def put_rule(rule: str, names: Names) -> str:
    """PutRule replaces all of a rule but its targets, and enables it.
    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html"""
    name = names.outputs[RULES[rule]]
    if rule == "sweep rule":
        return names.aws("events", "put-rule", "--name", name, "--schedule-expression", SWEEP_SCHEDULE)
    return names.aws(
        "events", "put-rule", "--name", name, "--event-pattern", json.dumps(pattern(rule, names))
    )


def put_target(rule: str, names: Names) -> str:
    """The deployer, and for what must not be lost the dead-letter queue."""
    target: dict[str, Any] = {"Id": "deployer", "Arn": names.function_arn(names.deployer)}
    if rule == "sweep rule":
        target["RetryPolicy"] = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    else:
        target["RetryPolicy"] = {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400}
        target["DeadLetterConfig"] = {"Arn": names.queue_arn("RuleDeadLetters")}
    name = names.outputs[RULES[rule]]
    return names.aws("events", "put-targets", "--rule", name, "--targets", json.dumps([target]))


def permit_rule(rule: str, names: Names) -> str:
    """Let the rule invoke the deployer."""
    return names.aws(
        "lambda",
        "add-permission",
        *("--function-name", names.deployer, "--statement-id", _PERMISSIONS[rule], "--action", INVOKE),
        *("--principal", "events.amazonaws.com", "--source-arn", names.rule_arn(rule) or ""),
    )


def permit_api(names: Names) -> str:
    """Let the API invoke the alias."""
    api = f"arn:{names.partition}:execute-api:{names.region}:{names.account}:{names.outputs['ApiId']}/*"
    return names.aws(
        "lambda",
        "add-permission",
        *("--function-name", names.service, "--qualifier", "live", "--statement-id", "ApiMayInvokeLive"),
        *("--action", INVOKE, "--principal", "apigateway.amazonaws.com", "--source-arn", api),
    )


def put_repository_policy(names: Names) -> str:
    """The policy of template.yaml. What else stood in it is gone."""
    return names.aws(
        "ecr",
        "set-repository-policy",
        *("--repository-name", names.repository, "--policy-text", repository_policy(names)),
    )


def put_lifecycle_policy(names: Names) -> str:
    """The same for the lifecycle policy."""
    return names.aws(
        "ecr",
        "put-lifecycle-policy",
        *("--repository-name", names.repository, "--lifecycle-policy-text", lifecycle_policy(names)),
    )


def put_mutability(names: Names) -> str:
    """The tags that move may move."""
    tags = (names.release_tag, *MOVING)
    return names.aws(
        "ecr",
        "put-image-tag-mutability",
        *("--repository-name", names.repository, "--image-tag-mutability", "IMMUTABLE_WITH_EXCLUSION"),
        "--image-tag-mutability-exclusion-filters",
        *(f"filterType=WILDCARD,filter={tag}" for tag in tags),
    )


def kept_tags(names: Names) -> tuple[str, ...]:
    """The tags whose images must not expire."""
    return ("live", "previous", names.release_tag)
