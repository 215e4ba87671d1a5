"""ECR's lifecycle policies: what they expire, when the sandbox applies them, and which it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from sandbox.account import AwsError
from sandbox.ecr.ecr import Ecr
from sandbox.ecr.lifecycle import Image, Rule, expired, parsed
from sandbox.ecr.repository import OCI_INDEX
from tests.sandbox.registry import Registry, registry, sha256

NOW = datetime(2026, 3, 4, tzinfo=UTC)


@pytest.fixture
def ecr() -> Iterator[Registry]:
    with registry() as served:
        yield served


def rule(
    priority: int, *patterns: str, count: int = 1, status: str | None = None, **selection: Any
) -> dict[str, Any]:
    """A rule as a policy writes it: of tagged images if there are patterns."""
    selected = {
        "tagStatus": status or ("tagged" if patterns else "any"),
        **({"tagPatternList": list(patterns)} if patterns else {}),
        "countType": "imageCountMoreThan",
        "countNumber": count,
        **selection,
    }
    return {"rulePriority": priority, "selection": selected, "action": {"type": "expire"}}


def older_than(days: int) -> dict[str, Any]:
    return {"countType": "sinceImagePushed", "countUnit": "days", "countNumber": days}


def policy(*rules: dict[str, Any]) -> str:
    return json.dumps({"rules": list(rules)})


def image(name: str, days: float, *tags: str, children: tuple[str, ...] = ()) -> Image:
    """An image that was pushed so many days ago."""
    return Image(name, frozenset(tags), NOW - timedelta(days=days), children)


def result(rules: list[dict[str, Any]], *images: Image) -> dict[str, int]:
    return expired(parsed(policy(*rules)), images, NOW)


# The User Guide's own examples ("Examples of lifecycle policies in Amazon ECR")

BETA_AND_PROD = (
    image("A", 10, "beta-1", "prod-1"),
    image("B", 9, "beta-2", "prod-2"),
    image("C", 8, "beta-3"),
)


def test_what_a_higher_rule_keeps_no_lower_one_expires() -> None:
    assert result([rule(1, "prod*"), rule(2, "beta*")], *BETA_AND_PROD) == {"A": 1}


def test_the_order_of_the_rules_decides() -> None:
    assert result([rule(2, "prod*"), rule(1, "beta*")], *BETA_AND_PROD) == {"A": 1, "B": 1}


def test_an_image_must_have_all_tags_of_a_list() -> None:
    images = (
        image("A", 12, "alpha-1"),
        image("B", 11, "beta-1"),
        image("C", 10, "alpha-2", "beta-2"),
        image("D", 4, "alpha-3"),
        image("E", 3, "beta-3"),
        image("F", 2, "alpha-4", "beta-4"),
    )

    assert result([rule(1, "alpha*", "beta*", **older_than(5))], *images) == {"C": 1}
    prefixes = {"tagStatus": "tagged", "tagPrefixList": ["alpha", "beta"], **older_than(5)}
    assert result([rule(1, **prefixes)], *images) == {"C": 1}


def test_further_tags_do_not_take_an_image_out_of_a_rule() -> None:
    images = (
        image("A", 10, "alpha-1", "beta-1", "gamma-1"),
        image("B", 9, "alpha-2", "beta-2"),
        image("C", 8, "alpha-3", "beta-3", "gamma-2"),
    )

    assert result([rule(1, "alpha*", "beta*")], *images) == {"A": 1, "B": 1}


# Further rules of evaluation


def test_a_rule_counts_images_that_another_has_decided_about() -> None:
    # given: "latest" is the youngest image of all, and claimed by the first rule
    images = (image("old", 3, "v1"), image("older", 4), image("new", 1, "latest"))

    # then: the last rule keeps one image in all, which is that one
    assert result([rule(1, "latest"), rule(2)], *images) == {"old": 2, "older": 2}


def test_untagged_and_tagged_images_are_told_apart() -> None:
    images = (image("A", 3), image("B", 2), image("C", 1, "v1"))

    assert result([rule(1, status="untagged")], *images) == {"A": 1}
    assert result([rule(1, "*")], *images) == {}


def test_an_age_is_reached_when_it_is_exceeded() -> None:
    images = (image("exactly", 5), image("longer", 5.0001))

    assert result([rule(1, **older_than(5))], *images) == {"longer": 1}


def test_of_images_pushed_at_once_the_later_stays() -> None:
    assert result([rule(1)], image("A", 1), image("B", 1)) == {"A": 1}


def test_an_image_that_an_index_refers_to_does_not_expire_before_it() -> None:
    # given
    child, alone = image("child", 9), image("alone", 9)
    index = image("index", 1, "v1", children=("child",))
    inner = image("inner", 8, children=("child",))
    outer = image("outer", 1, "v1", children=("inner",))
    untagged = [rule(1, status="untagged", **older_than(5))]

    # then
    assert result(untagged, child, alone, index) == {"alone": 1}
    assert result(untagged, child, inner, outer) == {}
    assert result([rule(1, **older_than(5))], child, index) == {}
    everything = [rule(1, status="any", countType="sinceImagePushed", countUnit="days", countNumber=1)]
    assert result(everything, child, image("index", 2, children=("child",))) == {"child": 1, "index": 1}


TAGS = st.sampled_from(["live", "previous", "release-1", "release-2", "sha-1", "beta"])
FURTHER = st.lists(
    st.one_of(
        st.builds(lambda pattern, count: rule(0, pattern, count=count), TAGS, st.integers(1, 3)),
        st.builds(lambda pattern, days: rule(0, pattern, **older_than(days)), TAGS, st.integers(1, 3)),
        st.builds(lambda prefix: rule(0, f"{prefix}*"), st.sampled_from(["r", "s", "l", ""])),
    ),
    max_size=4,
    unique_by=lambda each: tuple(each["selection"]["tagPatternList"]),
)


@given(
    further=FURTHER,
    last=st.sampled_from([None, rule(0), rule(0, **older_than(1))]),
    untagged=st.booleans(),
    pushes=st.lists(st.tuples(st.integers(0, 5), TAGS, st.integers(0, 60)), max_size=30),
)
def test_what_is_tagged_live_is_never_expired(
    further: list[dict[str, Any]],
    last: dict[str, Any] | None,
    untagged: bool,
    pushes: list[tuple[int, str, int]],
) -> None:
    # given: a rule of its own for `live`, before any others
    rules = [rule(1, "live")]
    rules += [each for each in further if each["selection"]["tagPatternList"] != ["live"]]
    rules += [rule(0, status="untagged")] if untagged else []
    rules += [last] if last else []
    text = policy(*({**each, "rulePriority": number} for number, each in enumerate(rules, start=1)))
    clock = [NOW]
    ecr = Ecr(lambda _: None, url=lambda: "", now=lambda: clock[0])
    ecr.create_repository({"repositoryName": "app"})
    ecr.put_lifecycle_policy({"repositoryName": "app", "lifecyclePolicyText": text})
    live = None

    for number, tag, hours in pushes:
        # when: images are pushed and tagged anew, and time goes by
        clock[0] += timedelta(hours=hours)
        manifest = index_of(note=str(number))
        digest = sha256(manifest.encode())
        try:
            ecr.put_image({"repositoryName": "app", "imageManifest": manifest, "imageTag": tag})
        except AwsError:  # it has this tag already
            ecr.expire_images("app")
        live = digest if tag == "live" else live

        # then
        if live:
            assert ecr.find("app", "live").digest == live


@given(
    ages=st.lists(st.integers(0, 9), max_size=12),
    tags=st.data(),
    rules=st.lists(
        st.tuples(st.sampled_from(["a", "b*", "*"]), st.integers(1, 4), st.booleans()), max_size=3
    ),
)
def test_an_image_is_expired_by_the_first_rule_that_selects_it_or_by_none(
    ages: list[int], tags: st.DataObject, rules: list[tuple[str, int, bool]]
) -> None:
    # given
    names = st.sets(st.sampled_from(["a", "b1", "b2", "c"]))
    images = [image(str(number), age, *tags.draw(names)) for number, age in enumerate(ages)]
    kinds = {True: "sinceImagePushed", False: "imageCountMoreThan"}
    made = [
        Rule(priority, "tagged", (pattern,), kinds[by_age], count)
        for priority, (pattern, count, by_age) in enumerate(rules, start=1)
    ]

    # when
    gone = expired(made, images, NOW)

    # then
    for each in images:
        if each.digest in gone:
            assert gone[each.digest] == next(r.priority for r in made if r.selects(each))


# In the registry


def index_of(*children: str, note: str = "") -> str:
    """An index: an image that needs no layers."""
    manifests = [{"mediaType": OCI_INDEX, "size": 1, "digest": child} for child in children]
    return json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests, "annotations": {"is": note}}
    )


def test_a_push_expires_what_the_policy_says_and_tells_nobody(ecr: Registry) -> None:
    # given
    ecr.aws.put_lifecycle_policy(
        repositoryName="app", lifecyclePolicyText=policy(rule(1, "live"), rule(2, "v*"))
    )
    first = ecr.push("one", "v1")
    live = ecr.push("two", "live")
    ecr.aws.put_image(
        repositoryName="app",
        imageManifest=ecr.ecr.find("app", live).manifest.decode(),
        imageTag="v2",
    )

    # when
    third = ecr.push("three", "v3")

    # then
    left = {each["imageDigest"] for each in ecr.aws.describe_images(repositoryName="app")["imageDetails"]}
    assert left == {live, third}
    assert first not in left
    with pytest.raises(AwsError, match="ImageNotFoundException"):
        ecr.ecr.find("app", "v1")
    assert {event["action-type"] for event in ecr.events} == {"PUSH"}


def test_a_new_policy_expires_what_is_there_already(ecr: Registry) -> None:
    # given
    ecr.push("one", "v1")
    second = ecr.push("two", "v2")

    # when
    ecr.aws.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=policy(rule(1)).ljust(100))

    # then
    (left,) = ecr.aws.describe_images(repositoryName="app")["imageDetails"]
    assert left["imageDigest"] == second


def test_children_stay_until_their_index_is_pushed(ecr: Registry) -> None:
    # given
    text = policy(rule(1, status="untagged")).ljust(100)
    ecr.aws.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=text)
    children = [ecr.push("one"), ecr.push("two")]

    # when
    ecr.aws.put_image(repositoryName="app", imageManifest=index_of(*children), imageTag="latest")

    # then
    left = {each["imageDigest"] for each in ecr.aws.describe_images(repositoryName="app")["imageDetails"]}
    assert set(children) < left


def test_time_alone_expires_when_the_policy_is_applied_again() -> None:
    # given
    clock = [NOW]
    ecr = Ecr(lambda _: None, url=lambda: "", now=lambda: clock[0])
    ecr.create_repository({"repositoryName": "app"})
    pushed = ecr.put_image({"repositoryName": "app", "imageManifest": index_of(), "imageTag": "v1"})
    without_policy = ecr.expire_images("app")
    ecr.put_lifecycle_policy(
        {"repositoryName": "app", "lifecyclePolicyText": policy(rule(1, **older_than(3)))}
    )

    # when
    clock[0] += timedelta(days=2)
    too_early = ecr.expire_images("app")
    clock[0] += timedelta(days=2)
    in_time = ecr.expire_images("app")

    # then
    assert (without_policy, too_early) == ([], [])
    assert in_time == [pushed["image"]["imageId"]["imageDigest"]]


# Policies that ECR refuses


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([rule(1, "a"), rule(1, "b")], "rulePriority must be unique"),
        ([rule(1), rule(2, "a")], "tagStatus=ANY must have the lowest priority"),
        ([rule(1, status="untagged"), rule(2, status="untagged")], "Only one rule can select Untagged"),
        ([rule(1, "a"), rule(2, "a", **older_than(3))], "unique set of tag patterns"),
        ([rule(1, status="tagged")], "Must specify tagPrefixList or tagPatternList"),
        ([rule(1, status="tagged", tagPatternList=[])], "Must specify tagPrefixList or tagPatternList"),
        ([rule(1, "a", status="untagged")], "tagPatternList must be left out"),
        ([rule(1, status="any", tagPrefixList=[])], "tagPrefixList must be left out"),
        ([rule(1, "*a*b*c*d*")], "at most 4 wildcards"),
        ([rule(1, "a", tagPatternList="a")], "tagPatternList must be a list of texts"),
        ([rule(1, status="some")], 'tagStatus "some" is not one of'),
        ([rule(1, countType="imageSize")], 'countType "imageSize" is not one of'),
        ([rule(1, countUnit="days")], "countUnit must be days with countType=sinceImagePushed"),
        ([rule(1, countType="sinceImagePushed")], "countUnit must be days"),
        ([rule(1, **{**older_than(3), "countUnit": "hours"})], "countUnit must be days"),
        ([rule(1, count=0)], "countNumber must be a whole number of at least 1, not 0"),
        ([rule(1, countNumber=True)], "countNumber must be a whole number"),
        ([rule(1, countNumber="3")], "countNumber must be a whole number"),
        ([rule(0)], "rulePriority must be a whole number"),
        ([rule(1, colour="red")], 'not allowed by the schema: \\(\\["colour"\\]\\)'),
        ([{"rulePriority": 1}], "missing required properties"),
        ([rule(1) | {"action": {"type": "keep"}}], 'type "keep" is not one of'),
        ([rule(1) | {"selection": "any"}], "an object is needed"),
        (["any"], "an object is needed"),
        ([rule(number, str(number)) for number in range(1, 52)], "at most 50 rules"),
    ],
)
def test_a_policy_that_ecr_refuses_is_refused_with_the_reason(
    ecr: Registry, rules: list[Any], why: str
) -> None:
    # when
    with pytest.raises(ClientError, match=why) as refusal:
        ecr.aws.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=policy(*rules).ljust(100))

    # then
    assert refusal.value.response["Error"]["Code"] == "InvalidParameterException"
    assert "Lifecycle policy validation failure" in str(refusal.value)
    with pytest.raises(ClientError, match="LifecyclePolicyNotFoundException"):
        ecr.aws.get_lifecycle_policy(repositoryName="app")


@pytest.mark.parametrize("text", ["no JSON", "[]", "[" * 5000, '{"rules": 1}', '{"rules": [], "more": 1}'])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(AwsError, match="InvalidParameterException"):
        parsed(text)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"action": {"type": "transition", "targetStorageClass": "archive"}}, "targetStorageClass"),
        ({"action": {"type": "transition"}}, "transition"),
        ({"selection": rule(1)["selection"] | {"storageClass": "archive"}}, "storageClass"),
        ({"selection": rule(1)["selection"] | {"countType": "sinceImagePulled"}}, "sinceImagePulled"),
    ],
)
def test_what_only_the_sandbox_refuses_says_so(change: dict[str, Any], word: str) -> None:
    with pytest.raises(AwsError, match=f"The sandbox does not simulate .* refuses {word}") as refusal:
        parsed(policy(rule(1) | change))

    assert refusal.value.code == "NotImplementedException"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    selection=st.fixed_dictionaries(
        {},
        optional={
            "tagStatus": st.sampled_from(["tagged", "untagged", "any"]) | JSON,
            "tagPatternList": st.lists(st.text(max_size=5)) | JSON,
            "tagPrefixList": st.lists(st.text(max_size=5)) | JSON,
            "countType": st.sampled_from(["imageCountMoreThan", "sinceImagePushed"]) | JSON,
            "countUnit": st.just("days") | JSON,
            "countNumber": st.integers() | JSON,
        },
    )
    | JSON,
    priority=st.integers() | JSON,
)
def test_any_policy_is_taken_or_refused(selection: Any, priority: Any) -> None:
    # given
    text = json.dumps(
        {"rules": [{"rulePriority": priority, "selection": selection, "action": {"type": "expire"}}]}
    )

    # when
    try:
        rules = parsed(text)
    except AwsError as refusal:
        outcome = {refusal.code}
    else:
        outcome = set(expired(rules, [image("A", 9, "a"), image("B", 8)], NOW))

    # then
    assert outcome <= {"A", "B", "InvalidParameterException", "NotImplementedException"}
