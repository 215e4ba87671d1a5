"""ECR's lifecycle policies: what one may say, and which images it expires.

Sources: Amazon ECR User Guide, "Lifecycle policy properties in Amazon ECR" and, in "Automate the cleanup of
images by using lifecycle policies", the evaluation rules. Refusals are worded as in reports of real ones
where there are some.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sandbox.account import AwsError
from sandbox.ecr.repository import Digest, invalid

MOST_RULES = 50
"""Of one policy (Amazon ECR service quotas, "Rules per lifecycle policy")."""
MOST_WILDCARDS = 4
"""In one tag pattern."""

_TAG_STATUSES = ("tagged", "untagged", "any")
_COUNT_TYPES = ("imageCountMoreThan", "sinceImagePushed")
_NOT_SIMULATED = {
    "storageClass": "images in the archive",
    "sinceImagePulled": "the age since the last pull",
    "sinceImageTransitioned": "images in the archive",
    "transition": "the archive",
    "targetStorageClass": "the archive",
}


@dataclass(frozen=True)
class Rule:
    """One rule. `patterns` are wildcard patterns of which an image's tags must match all."""

    priority: int
    tag_status: str
    patterns: tuple[str, ...]
    count_type: str
    count: int

    def selects(self, image: Image) -> bool:
        """Whether the image meets the rule's tagging requirements."""
        if self.tag_status == "tagged":
            return all(any(_wildcard(each).fullmatch(tag) for tag in image.tags) for each in self.patterns)
        return self.tag_status == "any" or not image.tags


@dataclass(frozen=True)
class Image:
    """What a rule looks at. `children` are the images that an index refers to."""

    digest: Digest
    tags: frozenset[str]
    pushed_at: datetime
    children: tuple[Digest, ...] = ()


def expired(rules: Collection[Rule], images: Sequence[Image], now: datetime) -> dict[Digest, int]:
    """The images that a policy expires, each with the priority of the one rule that does it.

    `images` are in the order of their pushes. Rules are evaluated all at once, so each counts every image
    that it selects; then they are applied in turn, and no rule reaches an image that an earlier one selects.
    """
    gone: dict[Digest, int] = {}
    decided: set[Digest] = set()
    for rule in sorted(rules, key=lambda rule: rule.priority):
        selected = [image for image in images if rule.selects(image)]
        for image in _marked(rule, selected, now):
            if image.digest not in decided:
                gone[image.digest] = rule.priority
        decided.update(image.digest for image in selected)
    return _without_referenced(gone, images)


def _marked(rule: Rule, selected: list[Image], now: datetime) -> list[Image]:
    if rule.count_type == "sinceImagePushed":
        return [image for image in selected if (now - image.pushed_at) / timedelta(days=1) > rule.count]
    # Of images pushed in the same moment, the later in the list is the younger.
    oldest_first = sorted(selected, key=lambda image: image.pushed_at)
    return oldest_first[: -rule.count]


def _without_referenced(gone: Mapping[Digest, int], images: Sequence[Image]) -> dict[Digest, int]:
    """An image that an index refers to does not expire before the index."""
    remaining = dict(gone)
    while True:
        kept = {child for image in images if image.digest not in remaining for child in image.children}
        if not kept & remaining.keys():
            return remaining
        remaining = {digest: rule for digest, rule in remaining.items() if digest not in kept}


@lru_cache(maxsize=256)
def _wildcard(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))))


# What PutLifecyclePolicy demands


def parsed(text: str) -> list[Rule]:
    """The rules of a policy. Raises AwsError InvalidParameterException for what ECR refuses, and
    NotImplementedException for what only the sandbox does."""
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        policy = None
    if not isinstance(policy, dict):
        raise _refused("Could not map policyString into LifecyclePolicy.")
    _require_members(policy, {"rules"})
    if not isinstance(policy["rules"], list) or len(policy["rules"]) > MOST_RULES:
        raise _refused(f"rules must be a list of at most {MOST_RULES} rules")
    rules = [_rule(each) for each in policy["rules"]]
    _require_distinct(rules)
    return rules


def _rule(rule: Any) -> Rule:
    _require_members(rule, {"rulePriority", "selection", "action"}, {"description"})
    _require_members(rule["action"], {"type"})
    _require_one_of(rule["action"]["type"], ("expire",), "type")
    selection = rule["selection"]
    _require_members(
        selection,
        {"tagStatus", "countType", "countNumber"},
        {"tagPatternList", "tagPrefixList", "countUnit"},
    )
    _require_one_of(selection["tagStatus"], _TAG_STATUSES, "tagStatus")
    _require_one_of(selection["countType"], _COUNT_TYPES, "countType")
    unit = "days" if selection["countType"] == "sinceImagePushed" else None
    if selection.get("countUnit") != unit:
        raise _refused(
            "countUnit must be days with countType=sinceImagePushed, and left out with any other countType"
        )
    return Rule(
        priority=_positive(rule["rulePriority"], "rulePriority"),
        tag_status=selection["tagStatus"],
        patterns=_patterns(selection),
        count_type=selection["countType"],
        count=_positive(selection["countNumber"], "countNumber"),
    )


def _patterns(selection: Mapping[str, Any]) -> tuple[str, ...]:
    lists = {name: selection[name] for name in ("tagPatternList", "tagPrefixList") if name in selection}
    if selection["tagStatus"] != "tagged":
        if lists:
            raise _refused(f"{' and '.join(lists)} must be left out unless tagStatus=TAGGED.")
        return ()
    for name, each in lists.items():
        if not isinstance(each, list) or not all(isinstance(text, str) and text for text in each):
            raise _refused(f"{name} must be a list of texts that are not empty")
    patterns = lists.get("tagPatternList", [])
    if not any(lists.values()):
        raise _refused("Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.")
    if any(pattern.count("*") > MOST_WILDCARDS for pattern in patterns):
        raise _refused(f"a tag pattern may hold at most {MOST_WILDCARDS} wildcards (*)")
    if any("*" in prefix for prefix in lists.get("tagPrefixList", [])):
        raise _refused("a tag prefix holds no wildcards (*); use tagPatternList")
    return (*patterns, *(f"{prefix}*" for prefix in lists.get("tagPrefixList", [])))


def _require_distinct(rules: Sequence[Rule]) -> None:
    priorities = [rule.priority for rule in rules]
    if len(set(priorities)) < len(priorities):
        raise _refused("rulePriority must be unique across the rules")
    untagged = [rule for rule in rules if rule.tag_status == "untagged"]
    if len(untagged) > 1:
        raise _refused("Only one rule can select Untagged images per storage class")
    if any(rule.tag_status == "any" and rule.priority < max(priorities) for rule in rules):
        raise _refused("Rule for tagStatus=ANY must have the lowest priority per storage class")
    tags = [frozenset(rule.patterns) for rule in rules if rule.tag_status == "tagged"]
    if len(set(tags)) < len(tags):
        raise _refused("The set of rules must contain a unique set of tag patterns and prefixes")


def _require_members(value: Any, required: Collection[str], optional: Collection[str] = frozenset()) -> None:
    if not isinstance(value, dict):
        raise _refused(f"an object is needed where {json.dumps(value)[:100]} stands")
    if missing := sorted(set(required) - value.keys()):
        raise _refused(f"object has missing required properties ({json.dumps(missing)})")
    for name in sorted(value.keys() - set(required) - set(optional)):
        _require_simulated(name)
        shown = json.dumps([name[:100]])
        raise _refused(f"object instance has properties which are not allowed by the schema: ({shown})")


def _require_one_of(value: Any, known: Sequence[str], name: str) -> None:
    if value not in known:
        _require_simulated(value)
        shown = json.dumps(value)[:100]
        raise _refused(f"{name} {shown} is not one of {json.dumps(list(known))}")


def _require_simulated(word: Any) -> None:
    if isinstance(word, str) and word in _NOT_SIMULATED:
        raise AwsError(
            "NotImplementedException",
            f"The sandbox does not simulate {_NOT_SIMULATED[word]}: it refuses {word} in a lifecycle policy.",
            501,
        )


def _positive(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _refused(f"{name} must be a whole number of at least 1, not {json.dumps(value)[:100]}")
    return value


def _refused(why: str) -> AwsError:
    return invalid("LifecyclePolicyText", f"Lifecycle policy validation failure: {why}")
