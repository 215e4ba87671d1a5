"""ECR refuses what ECR refuses, by a real boto3 client over HTTP."""

from __future__ import annotations

import base64
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from sandbox.account import AwsError
from sandbox.ecr.ecr import SMALLEST_PART, Ecr
from sandbox.ecr.repository import OCI_INDEX, OCI_MANIFEST
from tests.sandbox.registry import Registry, registry, sha256

PULL = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": ["ecr:BatchGetImage"]}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [PULL]})
MISSING = f"sha256:{'0' * 64}"


@pytest.fixture
def ecr() -> Iterator[Registry]:
    with registry() as found:
        yield found


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


def message(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Message"]


def index_of(*digests: str) -> str:
    children = [{"mediaType": OCI_MANIFEST, "size": 1, "digest": digest} for digest in digests]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children})


# Pushing


def test_a_digest_is_the_sha256_of_the_manifests_very_bytes(ecr: Registry) -> None:
    # given
    manifest = json.dumps(json.loads(ecr.manifest("one")), indent=3) + "\n"

    # when
    image = ecr.aws.put_image(repositoryName="app", imageManifest=manifest, imageTag="latest")["image"]

    # then
    assert image["imageId"] == {"imageDigest": sha256(manifest.encode()), "imageTag": "latest"}
    assert image["imageManifest"] == manifest


def test_a_push_emits_the_event_aws_emits(ecr: Registry) -> None:
    # when
    digest = ecr.push("one", "latest")

    # then
    assert ecr.events == [
        {
            "result": "SUCCESS",
            "repository-name": "app",
            "image-digest": digest,
            "action-type": "PUSH",
            "image-tag": "latest",
            "manifest-media-type": "application/vnd.oci.image.manifest.v1+json",
            "artifact-media-type": "application/vnd.oci.image.config.v1+json",
        }
    ]


def test_a_push_by_digest_only_emits_an_empty_tag(ecr: Registry) -> None:
    # when
    digest = ecr.push("one")

    # then
    assert [(event["image-digest"], event["image-tag"]) for event in ecr.events] == [(digest, "")]


def test_a_refused_push_emits_nothing(ecr: Registry) -> None:
    # when
    with pytest.raises(ClientError):
        ecr.aws.put_image(repositoryName="app", imageManifest=index_of(MISSING), imageTag="latest")

    # then
    assert ecr.events == []


def test_tagging_an_image_that_is_there_is_a_push_of_that_tag(ecr: Registry) -> None:
    # given
    digest = ecr.push("one", "latest")
    [image] = ecr.aws.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "latest"}])["images"]

    # when
    ecr.aws.put_image(repositoryName="app", imageManifest=image["imageManifest"], imageTag="live")

    # then
    assert [(event["image-digest"], event["image-tag"]) for event in ecr.events] == [
        (digest, "latest"),
        (digest, "live"),
    ]
    [detail] = ecr.aws.describe_images(repositoryName="app")["imageDetails"]
    assert detail["imageTags"] == ["latest", "live"]


def test_a_mutable_tag_moves_and_leaves_its_old_image_untagged(ecr: Registry) -> None:
    # given
    old, new = ecr.push("one", "latest"), ecr.push("two", "latest")

    # when
    tagged = ecr.aws.list_images(repositoryName="app", filter={"tagStatus": "TAGGED"})["imageIds"]
    untagged = ecr.aws.list_images(repositoryName="app", filter={"tagStatus": "UNTAGGED"})["imageIds"]

    # then
    assert tagged == [{"imageDigest": new, "imageTag": "latest"}]
    assert untagged == [{"imageDigest": old}]


@pytest.mark.parametrize("tag", [None, "latest"])
def test_the_same_image_under_the_same_tag_exists_already(ecr: Registry, tag: str | None) -> None:
    # given
    digest = ecr.push("one", tag)
    [image] = ecr.aws.batch_get_image(repositoryName="app", imageIds=[{"imageDigest": digest}])["images"]
    tagged: dict[str, Any] = {"imageTag": tag} if tag else {}

    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.put_image(repositoryName="app", imageManifest=image["imageManifest"], **tagged)

    # then
    assert code(error) == "ImageAlreadyExistsException"
    assert message(error) == (
        f"Image with digest '{digest}' and tag '{tag or 'null'}' already exists in the repository "
        "with name 'app' in registry with id '123456789012'"
    )
    assert len(ecr.events) == 1


def test_an_image_whose_layers_were_not_uploaded_is_refused(ecr: Registry) -> None:
    # given
    manifest = json.loads(ecr.manifest("one"))
    manifest["layers"][0]["digest"] = MISSING

    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.put_image(repositoryName="app", imageManifest=json.dumps(manifest))

    # then
    assert code(error) == "LayersNotFoundException"
    assert message(error) == (
        f"Layers with digests '[{MISSING}]' required for pushing image into repository with name 'app' "
        "in the registry with id '123456789012' do not exist"
    )


def test_layers_of_one_repository_are_not_in_another(ecr: Registry) -> None:
    # given
    manifest = ecr.manifest("one")
    ecr.aws.create_repository(repositoryName="other/app")

    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.put_image(repositoryName="other/app", imageManifest=manifest)

    # then
    assert code(error) == "LayersNotFoundException"


def test_a_digest_that_is_not_the_manifests_is_refused(ecr: Registry) -> None:
    # given
    manifest = ecr.manifest("one")

    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.put_image(repositoryName="app", imageManifest=manifest, imageDigest=MISSING)

    # then
    assert code(error) == "ImageDigestDoesNotMatchException"


@pytest.mark.parametrize(
    "manifest",
    [
        "no JSON",
        "[]",
        "{}",
        '{"schemaVersion": 1, "name": "app"}',
        '{"schemaVersion": 2, "config": {}, "layers": []}',
        '{"schemaVersion": 2, "mediaType": "text/plain"}',
        f'{{"schemaVersion": 2, "mediaType": "{OCI_MANIFEST}"}}',
        f'{{"schemaVersion": 2, "mediaType": "{OCI_MANIFEST}", "config": 7, "layers": []}}',
        f'{{"schemaVersion": 2, "mediaType": "{OCI_INDEX}", "manifests": [{{"digest": "sha256:1"}}]}}',
        f'{{"schemaVersion": 2, "mediaType": "{OCI_INDEX}", "manifests": {{"a": 1}}}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_manifest_of_today_is_refused(ecr: Registry, manifest: str) -> None:
    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.put_image(repositoryName="app", imageManifest=manifest)

    # then
    assert code(error) == "InvalidParameterException"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([MISSING, OCI_INDEX]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.fixed_dictionaries(
        {"schemaVersion": st.just(2)},
        optional={
            "mediaType": st.sampled_from([OCI_MANIFEST, OCI_INDEX]) | ANYTHING,
            "artifactType": ANYTHING,
            "config": ANYTHING,
            "layers": ANYTHING,
            "manifests": ANYTHING,
        },
    )
)
def test_any_manifest_is_taken_and_described_or_refused(manifest: dict[str, Any]) -> None:
    # given
    ecr = Ecr(on_push=lambda detail: None, url=lambda: "")
    ecr.create_repository({"repositoryName": "app"})

    # when
    try:
        ecr.put_image({"repositoryName": "app", "imageManifest": json.dumps(manifest), "imageTag": "a"})
    except AwsError as refusal:
        outcome = refusal.code
    else:
        [detail] = ecr.describe_images({"repositoryName": "app"})["imageDetails"]
        outcome = detail["imageManifestMediaType"]

    # then
    assert outcome in {
        "InvalidParameterException",
        "LayersNotFoundException",
        "ReferencedImagesNotFoundException",
        OCI_INDEX,
    }


def test_half_a_surrogate_pair_is_no_manifest(ecr: Registry) -> None:
    # given
    manifest = f'{{"schemaVersion": 2, "mediaType": "{OCI_INDEX}", "manifests": [], "x": "\ud800"}}'

    # when
    with pytest.raises(AwsError) as error:
        ecr.ecr.put_image({"repositoryName": "app", "imageManifest": manifest})

    # then
    assert error.value.code == "InvalidParameterException"


def test_a_manifest_may_leave_its_media_type_to_the_request(ecr: Registry) -> None:
    # given
    manifest = json.loads(ecr.manifest("one"))
    del manifest["mediaType"]

    # when
    image = ecr.aws.put_image(
        repositoryName="app", imageManifest=json.dumps(manifest), imageManifestMediaType=OCI_MANIFEST
    )["image"]

    # then
    assert image["imageManifestMediaType"] == OCI_MANIFEST


@pytest.mark.parametrize("tag", ["-latest", "a/b", "ünï", "x" * 129])
def test_a_tag_that_docker_could_not_write_is_refused(ecr: Registry, tag: str) -> None:
    # given
    manifest = ecr.manifest("one")

    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.put_image(repositoryName="app", imageManifest=manifest, imageTag=tag)

    # then
    assert code(error) == "InvalidParameterException"


def test_who_hears_of_a_push_may_read_the_image_from_another_thread(ecr: Registry) -> None:
    # given: a listener that, like Lambda, pulls what was pushed before the push returns
    pulled: list[str] = []

    def pull() -> None:
        pulled.append(other.find("app", "latest").digest)

    def on_push(detail: dict[str, str]) -> None:
        thread = threading.Thread(target=pull)
        thread.start()
        thread.join(timeout=10)

    other = Ecr(on_push, url=lambda: ecr.url)
    other.create_repository({"repositoryName": "app"})

    # when
    index = index_of()
    other.put_image({"repositoryName": "app", "imageManifest": index, "imageTag": "latest"})

    # then
    assert pulled == [sha256(index.encode())]


# Immutable tags


def test_an_immutable_tag_is_never_overwritten(ecr: Registry) -> None:
    # given
    ecr.aws.put_image_tag_mutability(repositoryName="app", imageTagMutability="IMMUTABLE")
    first = ecr.push("one", "v1")

    # when
    with pytest.raises(ClientError) as error:
        ecr.push("two", "v1")

    # then
    assert code(error) == "ImageTagAlreadyExistsException"
    assert "The image tag 'v1' already exists in the 'app' repository and cannot be overwritten" in message(
        error
    )
    assert ecr.ecr.find("app", "v1").digest == first


@pytest.mark.parametrize(
    ("mutability", "movable", "fixed"),
    [("IMMUTABLE_WITH_EXCLUSION", "latest-dev", "v1"), ("MUTABLE_WITH_EXCLUSION", "v1", "latest-dev")],
)
def test_tags_that_match_an_exclusion_filter_are_excepted(
    ecr: Registry, mutability: Any, movable: str, fixed: str
) -> None:
    # given
    ecr.aws.put_image_tag_mutability(
        repositoryName="app",
        imageTagMutability=mutability,
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "latest*"}],
    )
    ecr.push("one", movable)
    ecr.push("two", fixed)

    # when
    moved = ecr.push("three", movable)
    with pytest.raises(ClientError) as error:
        ecr.push("four", fixed)

    # then
    assert ecr.ecr.find("app", movable).digest == moved
    assert code(error) == "ImageTagAlreadyExistsException"


def test_an_image_that_is_there_takes_an_excluded_tag_and_no_fixed_one(ecr: Registry) -> None:
    # given a repository in which only `latest` and `live` move
    ecr.aws.put_image_tag_mutability(
        repositoryName="app",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[
            {"filterType": "WILDCARD", "filter": "latest"},
            {"filterType": "WILDCARD", "filter": "live"},
        ],
    )
    first, second = ecr.push("one", "v1"), ecr.push("two", "v2")
    manifest = ecr.ecr.find("app", first).manifest.decode()
    later = ecr.ecr.find("app", second).manifest.decode()
    ecr.aws.put_image(repositoryName="app", imageManifest=manifest, imageTag="live")
    del ecr.events[:]

    # when
    ecr.aws.put_image(repositoryName="app", imageManifest=later, imageTag="live")
    with pytest.raises(ClientError) as fixed:
        ecr.aws.put_image(repositoryName="app", imageManifest=later, imageTag="v1")
    ecr.aws.put_image(repositoryName="app", imageManifest=later, imageTag="v3")

    # then: each tag that was set is a push of its own, and nothing else is
    assert code(fixed) == "ImageTagAlreadyExistsException"
    assert [ecr.ecr.find("app", tag).digest for tag in ("live", "v1", "v3")] == [second, first, second]
    assert [(event["action-type"], event["image-tag"], event["image-digest"]) for event in ecr.events] == [
        ("PUSH", "live", second),
        ("PUSH", "v3", second),
    ]


def test_a_moving_tag_may_be_taken_off_and_its_image_keeps_the_fixed_one(ecr: Registry) -> None:
    # given
    ecr.aws.put_image_tag_mutability(
        repositoryName="app",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "live"}],
    )
    digest = ecr.push("one", "v1")
    manifest = ecr.ecr.find("app", digest).manifest.decode()
    ecr.aws.put_image(repositoryName="app", imageManifest=manifest, imageTag="live")
    del ecr.events[:]

    # when
    answer = ecr.aws.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "live"}])

    # then
    assert answer["imageIds"] == [{"imageDigest": digest, "imageTag": "live"}]
    assert ecr.ecr.find("app", "v1").digest == digest
    assert [(event["action-type"], event["image-tag"]) for event in ecr.events] == [("DELETE", "live")]


@pytest.mark.parametrize(
    ("mutability", "filters"),
    [("IMMUTABLE_WITH_EXCLUSION", []), ("IMMUTABLE", ["latest*"]), ("IMMUTABLE_WITH_EXCLUSION", ["*a*b*"])],
)
def test_exclusion_filters_and_mutability_must_fit(
    ecr: Registry, mutability: Any, filters: list[str]
) -> None:
    # given
    exclusions: list[Any] = [{"filterType": "WILDCARD", "filter": each} for each in filters]
    excluded: dict[str, Any] = {"imageTagMutabilityExclusionFilters": exclusions} if exclusions else {}

    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.create_repository(repositoryName="other", imageTagMutability=mutability, **excluded)

    # then
    assert code(error) == "InvalidParameterException"


# Indexes


def test_children_of_an_index_are_untagged_pushes_before_it(ecr: Registry) -> None:
    # given
    child = ecr.push("one")

    # when
    index = index_of(child)
    ecr.aws.put_image(repositoryName="app", imageManifest=index, imageTag="latest")

    # then
    digest = sha256(index.encode())
    assert [(event["image-digest"], event["image-tag"]) for event in ecr.events] == [
        (child, ""),
        (digest, "latest"),
    ]
    assert ecr.events[1]["manifest-media-type"] == OCI_INDEX
    assert "artifact-media-type" not in ecr.events[1]


def test_an_index_of_images_that_are_not_there_is_refused(ecr: Registry) -> None:
    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.put_image(repositoryName="app", imageManifest=index_of(MISSING))

    # then
    assert code(error) == "ReferencedImagesNotFoundException"


def test_a_child_cannot_be_deleted_before_its_index(ecr: Registry) -> None:
    # given
    child = ecr.push("one")
    index = index_of(child)
    ecr.aws.put_image(repositoryName="app", imageManifest=index, imageTag="latest")

    # when
    refused = ecr.aws.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": child}])
    together = ecr.aws.batch_delete_image(
        repositoryName="app", imageIds=[{"imageTag": "latest"}, {"imageDigest": child}]
    )

    # then
    [failure] = refused["failures"]
    assert failure["failureCode"] == "ImageReferencedByManifestList"
    assert failure["failureReason"] == (
        f"Requested image referenced by manifest list: [{sha256(index.encode())}]"
    )
    assert together["failures"] == []
    assert ecr.aws.list_images(repositoryName="app")["imageIds"] == []


# Reading


def test_an_image_is_described_with_its_size_and_types(ecr: Registry) -> None:
    # given
    digest = ecr.push("one", "latest")
    manifest = json.loads(ecr.ecr.find("app", digest).manifest)

    # when
    [detail] = ecr.aws.describe_images(repositoryName="app", imageIds=[{"imageTag": "latest"}])[
        "imageDetails"
    ]

    # then
    assert detail["imageDigest"] == digest
    assert detail["imageSizeInBytes"] == manifest["config"]["size"] + manifest["layers"][0]["size"]
    assert detail["imageManifestMediaType"] == OCI_MANIFEST
    assert detail["artifactMediaType"] == "application/vnd.oci.image.config.v1+json"
    assert detail["imagePushedAt"] == ecr.ecr.find("app", digest).pushed_at.replace(
        microsecond=detail["imagePushedAt"].microsecond
    )


def test_an_index_is_as_large_as_its_largest_image(ecr: Registry) -> None:
    # given
    small, large = ecr.push("one"), ecr.push("one" * 1000)

    # when
    ecr.aws.put_image(repositoryName="app", imageManifest=index_of(small, large))
    details = ecr.aws.describe_images(repositoryName="app")["imageDetails"]

    # then
    sizes = {detail["imageDigest"]: detail["imageSizeInBytes"] for detail in details}
    assert sizes[sha256(index_of(small, large).encode())] == sizes[large] > sizes[small]


def test_an_image_that_is_not_there_is_named_as_ecr_names_it(ecr: Registry) -> None:
    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.describe_images(repositoryName="app", imageIds=[{"imageTag": "nope"}])

    # then
    assert code(error) == "ImageNotFoundException"
    assert message(error) == (
        "The image with imageId {imageDigest:'null', imageTag:'nope'} does not exist within the repository "
        "with name 'app' in the registry with id '123456789012'"
    )


def test_images_that_cannot_be_got_are_failures_among_those_that_can(ecr: Registry) -> None:
    # given
    one, two = ecr.push("one", "latest"), ecr.push("two", "other")
    asked: list[Any] = [
        {"imageTag": "latest"},
        {"imageDigest": two},
        {"imageTag": "nope"},
        {"imageDigest": "latest"},
        {"imageDigest": one, "imageTag": "other"},
        {},
    ]

    # when
    answer = ecr.aws.batch_get_image(repositoryName="app", imageIds=asked)

    # then
    assert [image["imageId"] for image in answer["images"]] == [
        {"imageDigest": one, "imageTag": "latest"},
        {"imageDigest": two},
    ]
    assert [failure["failureCode"] for failure in answer["failures"]] == [
        "ImageNotFound",
        "InvalidImageDigest",
        "ImageTagDoesNotMatchDigest",
        "MissingDigestAndTag",
    ]


def test_only_accepted_media_types_are_given(ecr: Registry) -> None:
    # given
    ecr.push("one", "latest")

    # when
    answers = [
        ecr.aws.batch_get_image(
            repositoryName="app", imageIds=[{"imageTag": "latest"}], acceptedMediaTypes=[accepted]
        )
        for accepted in (OCI_MANIFEST, OCI_INDEX)
    ]

    # then
    assert [len(answer["images"]) for answer in answers] == [1, 0]
    assert [len(answer["failures"]) for answer in answers] == [0, 1]


def test_pages_follow_each_other_without_gap_or_repeat(ecr: Registry) -> None:
    # given
    digests = [ecr.push(str(number), f"v{number}") for number in range(5)]

    # when
    described = ecr.aws.get_paginator("describe_images").paginate(
        repositoryName="app", PaginationConfig={"PageSize": 2}
    )
    listed = ecr.aws.get_paginator("list_images").paginate(
        repositoryName="app", PaginationConfig={"PageSize": 2}
    )

    # then
    assert [[detail["imageDigest"] for detail in page["imageDetails"]] for page in described] == [
        digests[:2],
        digests[2:4],
        digests[4:],
    ]
    assert [len(page["imageIds"]) for page in listed] == [2, 2, 1]


def test_a_token_nobody_gave_is_refused(ecr: Registry) -> None:
    for token in ("nonsense", base64.b64encode(b"x").decode(), base64.b64encode(b"-1").decode()):
        with pytest.raises(ClientError, match="InvalidParameterException"):
            ecr.aws.list_images(repositoryName="app", nextToken=token)


# Deleting


def test_the_last_tag_takes_its_image_along(ecr: Registry) -> None:
    # given
    digest = ecr.push("one", "a")
    manifest = ecr.ecr.find("app", digest).manifest.decode()
    ecr.aws.put_image(repositoryName="app", imageManifest=manifest, imageTag="b")
    del ecr.events[:]

    # when
    ecr.aws.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "a"}])
    still_there = ecr.ecr.find("app", digest).digest
    ecr.aws.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "b"}])

    # then
    assert still_there == digest
    with pytest.raises(AwsError, match="ImageNotFoundException"):
        ecr.ecr.find("app", digest)
    assert [(event["action-type"], event["image-tag"]) for event in ecr.events] == [
        ("DELETE", "a"),
        ("DELETE", "b"),
    ]


def test_a_digest_is_deleted_with_all_its_tags(ecr: Registry) -> None:
    # given
    digest = ecr.push("one", "a")
    manifest = ecr.ecr.find("app", digest).manifest.decode()
    ecr.aws.put_image(repositoryName="app", imageManifest=manifest, imageTag="b")

    # when
    answer = ecr.aws.batch_delete_image(
        repositoryName="app", imageIds=[{"imageDigest": digest}, {"imageDigest": MISSING}]
    )

    # then
    assert [each["imageTag"] for each in answer["imageIds"]] == ["a", "b"]
    assert [each["failureCode"] for each in answer["failures"]] == ["ImageNotFound"]
    assert ecr.aws.list_images(repositoryName="app")["imageIds"] == []


# Layers


def test_a_layer_in_parts_comes_back_by_its_download_url(ecr: Registry) -> None:
    # given
    content = bytes(range(256)) * (SMALLEST_PART // 256) + b"the rest"
    digest = sha256(content)
    upload = ecr.aws.initiate_layer_upload(repositoryName="app")["uploadId"]

    # when
    for first, part in ((0, content[:SMALLEST_PART]), (SMALLEST_PART, content[SMALLEST_PART:])):
        ecr.aws.upload_layer_part(
            repositoryName="app",
            uploadId=upload,
            partFirstByte=first,
            partLastByte=first + len(part) - 1,
            layerPartBlob=part,
        )
    ecr.aws.complete_layer_upload(repositoryName="app", uploadId=upload, layerDigests=[digest])
    url = ecr.aws.get_download_url_for_layer(repositoryName="app", layerDigest=digest)["downloadUrl"]

    # then
    assert url.startswith(f"{ecr.url}/_sandbox/layers/")
    with urllib.request.urlopen(url) as response:
        assert response.read() == content
    assert ecr.ecr.blob("app", digest) == content


def test_a_download_url_of_nothing_is_not_found(ecr: Registry) -> None:
    for path in (f"app/{MISSING}", f"other/{MISSING}", "", "../../etc/passwd"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{ecr.url}/_sandbox/layers/{path}")


def test_parts_must_follow_each_other(ecr: Registry) -> None:
    # given
    upload = ecr.aws.initiate_layer_upload(repositoryName="app")["uploadId"]
    part: dict[str, Any] = {"repositoryName": "app", "uploadId": upload, "layerPartBlob": b"four"}
    ecr.aws.upload_layer_part(**part, partFirstByte=0, partLastByte=3)

    # when
    with pytest.raises(ClientError) as gap:
        ecr.aws.upload_layer_part(**part, partFirstByte=5, partLastByte=8)
    with pytest.raises(ClientError) as lie:
        ecr.aws.upload_layer_part(**part, partFirstByte=4, partLastByte=9)

    # then
    assert code(gap) == code(lie) == "InvalidLayerPartException"
    assert gap.value.response["lastValidByteReceived"] == 3  # type: ignore[typeddict-item] # modelled


def test_parts_but_the_last_have_five_megabytes(ecr: Registry) -> None:
    # given
    upload = ecr.aws.initiate_layer_upload(repositoryName="app")["uploadId"]
    part: dict[str, Any] = {"repositoryName": "app", "uploadId": upload, "layerPartBlob": b"four"}
    ecr.aws.upload_layer_part(**part, partFirstByte=0, partLastByte=3)
    ecr.aws.upload_layer_part(**part, partFirstByte=4, partLastByte=7)

    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.complete_layer_upload(
            repositoryName="app", uploadId=upload, layerDigests=[sha256(b"fourfour")]
        )

    # then
    assert code(error) == "LayerPartTooSmallException"


def test_a_layer_with_another_digest_is_refused(ecr: Registry) -> None:
    # given
    upload = ecr.aws.initiate_layer_upload(repositoryName="app")["uploadId"]
    ecr.aws.upload_layer_part(
        repositoryName="app", uploadId=upload, partFirstByte=0, partLastByte=3, layerPartBlob=b"four"
    )

    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.complete_layer_upload(repositoryName="app", uploadId=upload, layerDigests=[MISSING])

    # then
    assert code(error) == "InvalidLayerException"


def test_a_layer_that_is_there_already_is_said_to_be(ecr: Registry) -> None:
    # given
    layer = ecr.layer(b"four")

    # when
    with pytest.raises(ClientError) as error:
        ecr.layer(b"four")
    found = ecr.aws.batch_check_layer_availability(
        repositoryName="app", layerDigests=[layer["digest"], MISSING, "nonsense"]
    )

    # then
    assert code(error) == "LayerAlreadyExistsException"
    assert [each["layerAvailability"] for each in found["layers"]] == ["AVAILABLE", "UNAVAILABLE"]
    assert [each["failureCode"] for each in found["failures"]] == ["InvalidLayerDigest"]


def test_an_upload_needs_parts_and_a_beginning(ecr: Registry) -> None:
    # given
    upload = ecr.aws.initiate_layer_upload(repositoryName="app")["uploadId"]
    nobodys = "00000000-0000-0000-0000-000000000000"

    # when
    with pytest.raises(ClientError) as empty:
        ecr.aws.complete_layer_upload(repositoryName="app", uploadId=upload, layerDigests=[MISSING])
    with pytest.raises(ClientError) as unknown:
        ecr.aws.complete_layer_upload(repositoryName="app", uploadId=nobodys, layerDigests=[MISSING])

    # then
    assert code(empty) == "EmptyUploadException"
    assert code(unknown) == "UploadNotFoundException"


# Repositories


def test_a_repository_says_how_it_was_made(ecr: Registry) -> None:
    # when
    ecr.aws.create_repository(
        repositoryName="team/shop",
        imageTagMutability="IMMUTABLE",
        imageScanningConfiguration={"scanOnPush": True},
        tags=[{"Key": "owner", "Value": "us"}],
    )
    [found] = ecr.aws.describe_repositories(repositoryNames=["team/shop"])["repositories"]

    # then
    assert found["repositoryArn"] == "arn:aws:ecr:us-east-1:123456789012:repository/team/shop"
    assert found["repositoryUri"] == "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/shop"
    assert found["imageTagMutability"] == "IMMUTABLE"
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    assert ecr.aws.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"] == [
        {"Key": "owner", "Value": "us"}
    ]


def test_a_repository_that_exists_is_not_made_again(ecr: Registry) -> None:
    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.create_repository(repositoryName="app")

    # then
    assert code(error) == "RepositoryAlreadyExistsException"


def test_a_name_that_is_no_repositorys_is_refused(ecr: Registry) -> None:
    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.create_repository(repositoryName="App!")

    # then
    assert code(error) == "InvalidParameterException"


@pytest.mark.parametrize(
    "request_", [{"repositoryName": "nope"}, {"repositoryName": "app", "registryId": "1" * 12}]
)
def test_a_repository_or_registry_that_is_not_there_is_refused(ecr: Registry, request_: Any) -> None:
    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.list_images(**request_)

    # then
    assert code(error) == "RepositoryNotFoundException"


def test_a_repository_with_images_goes_only_by_force(ecr: Registry) -> None:
    # given
    ecr.push("one")

    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.delete_repository(repositoryName="app")
    ecr.aws.delete_repository(repositoryName="app", force=True)

    # then
    assert code(error) == "RepositoryNotEmptyException"
    assert ecr.aws.describe_repositories()["repositories"] == []


def test_a_repository_policy_is_kept_until_it_is_deleted(ecr: Registry) -> None:
    # when
    ecr.aws.set_repository_policy(repositoryName="app", policyText=POLICY)

    # then
    assert ecr.aws.get_repository_policy(repositoryName="app")["policyText"] == POLICY
    assert ecr.ecr.policy("app") == json.loads(POLICY)
    ecr.aws.delete_repository_policy(repositoryName="app")
    assert ecr.ecr.policy("app") is None
    with pytest.raises(ClientError, match="RepositoryPolicyNotFoundException"):
        ecr.aws.get_repository_policy(repositoryName="app")


def test_a_lifecycle_policy_is_kept(ecr: Registry) -> None:
    # given
    expiry = {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 5}
    text = json.dumps({"rules": [{"rulePriority": 1, "selection": expiry, "action": {"type": "expire"}}]})

    # when
    with pytest.raises(ClientError) as error:
        ecr.aws.get_lifecycle_policy(repositoryName="app")
    ecr.aws.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=text)

    # then
    assert code(error) == "LifecyclePolicyNotFoundException"
    assert ecr.aws.get_lifecycle_policy(repositoryName="app")["lifecyclePolicyText"] == text


def test_a_policy_that_is_no_policy_is_refused(ecr: Registry) -> None:
    for text in ("no JSON", "[]", "{}"):
        with pytest.raises(ClientError, match="InvalidParameterException"):
            ecr.aws.set_repository_policy(repositoryName="app", policyText=text)
        with pytest.raises(ClientError, match="InvalidParameterException"):
            ecr.aws.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=text.ljust(100))


def test_resource_tags_come_and_go(ecr: Registry) -> None:
    # given
    arn = "arn:aws:ecr:us-east-1:123456789012:repository/app"

    # when
    ecr.aws.tag_resource(resourceArn=arn, tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    ecr.aws.untag_resource(resourceArn=arn, tagKeys=["a", "never there"])

    # then
    assert ecr.aws.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "b", "Value": "2"}]


def test_the_authorization_token_is_what_docker_login_takes(ecr: Registry) -> None:
    # when
    [data] = ecr.aws.get_authorization_token()["authorizationData"]

    # then
    assert base64.b64decode(data["authorizationToken"]).startswith(b"AWS:")
    assert data["proxyEndpoint"] == "https://123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("operation", "request_", "resource"),
    [
        ("PutImage", {"repositoryName": "app"}, "repository/app"),
        ("DescribeRepositories", {}, "repository/*"),
        ("DescribeRepositories", {"repositoryNames": ["app"]}, "repository/app"),
        ("DescribeRepositories", {"repositoryNames": ["app", "other"]}, "repository/*"),
        ("TagResource", {"resourceArn": "arn:aws:ecr:us-east-1:123456789012:repository/x"}, "repository/x"),
    ],
)
def test_iam_is_asked_about_the_repository(
    ecr: Registry, operation: str, request_: dict[str, Any], resource: str
) -> None:
    assert ecr.ecr.resource(operation, request_) == f"arn:aws:ecr:us-east-1:123456789012:{resource}"


def test_iam_is_asked_about_no_repository_for_a_token(ecr: Registry) -> None:
    assert ecr.ecr.resource("GetAuthorizationToken", {}) == "*"
