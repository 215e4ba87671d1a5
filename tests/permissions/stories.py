"""What each grant of template.yaml is for: a story that comes out right with it, and fails without it.

A story is a function of the account; its name is the sentence that docs/iam.md shows. It raises `Failed`, or
what AWS answers, when it does not come out right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from deployer import placeholder
from deployer.aws.ledger import DynamoLedger
from deployer.aws.queue import Message, SqsQueue
from deployer.model import Phase
from sandbox.building import images
from tests.permissions.account import Account

# -- the service and its log


def what_the_service_prints_can_be_read(account: Account) -> None:
    health = {"httpMethod": "GET", "path": "/health"}
    _writes_its_log(account, account.name, lambda: account.invoke(account.name, health, Qualifier="live"))


# -- the deployer


def a_healthy_release_goes_live(account: Account) -> None:
    deployment = account.release()
    account.expect(deployment.phase is Phase.SUCCEEDED, f"{deployment.phase}: {deployment.because}")


def what_is_live_is_kept_from_expiring(account: Account) -> None:
    def failures() -> int:
        return account.log(account.outputs["DeployerName"]).count("could not be kept")

    before = failures()
    deployment = account.release()
    account.wait(
        lambda: account.tagged("live") == deployment.image.digest,
        "the tag live on what is live",
        lambda: failures() > before,
    )


def people_are_told_how_a_release_ended(account: Account) -> None:
    sqs, sns = account.admin("sqs"), account.admin("sns")
    url = sqs.create_queue(QueueName=f"{account.name}-mailbox")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    for topic in (account.outputs["TopicArn"], account.outputs["ChatTopicArn"]):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["QueueArn"])
    account.received(url)
    digest = account.release().image.digest
    told: list[str] = []

    def both() -> bool:
        told.extend(account.received(url))
        return len([message for message in told if digest[:19] in message]) >= 2

    account.wait(
        both,
        "a message to people, and one to the chat",
        lambda: any(notice.tries for notice in account.ledger.look().notices),
    )


def programs_are_told_how_a_release_ended(account: Account) -> None:
    url = account.listens({"source": ["self-deploying-lambda"], "detail": {"service": [account.name]}})
    account.received(url)
    digest = account.release().image.digest
    account.wait(
        lambda: any(digest in event for event in account.received(url)),
        "an event on the account's bus",
        lambda: any(notice.tries for notice in account.ledger.look().notices),
    )


def an_event_the_deployer_cannot_read_is_kept(account: Account) -> None:
    url = account.outputs["DeployerDeadLettersUrl"]
    account.received(url)
    unreadable = {"source": "aws.ecr", "detail-type": "ECR Image Action"}
    account.invoke(account.outputs["DeployerName"], unreadable, InvocationType="Event")
    account.wait(
        lambda: account.received(url),
        "the event among the dead letters",
        lambda: account.said("could not deliver"),
    )


def what_the_deployer_prints_can_be_read(account: Account) -> None:
    name = account.outputs["DeployerName"]
    _writes_its_log(account, name, lambda: account.invoke(name, {"nothing": "for us"}))


def the_deployer_can_be_traced(account: Account) -> None:
    _trace(account, account.outputs["DeployerName"])


# -- the dashboard


def the_dashboard_shows_the_deployments(account: Account) -> None:
    answer = account.invoke(account.outputs["DashboardFunctionName"], {"widgetContext": {"theme": "dark"}})
    page = json.loads(answer["Payload"].read())
    account.expect("could not be read" not in page.lower() and "SUCCEEDED" in page.upper(), "the whole page")


def the_dashboard_plans_a_push(account: Account) -> None:
    digest = images.upload(account.build(), account.admin("ecr"), account.repository, "for-a-plan")
    asked = {"read": "plan", "digest": digest}
    answer = account.invoke(account.outputs["DashboardFunctionName"], asked)
    told = json.loads(answer["Payload"].read())
    account.expect(told.get("would") == "be deployed", str(told))


def what_the_dashboard_prints_can_be_read(account: Account) -> None:
    name = account.outputs["DashboardFunctionName"]
    _writes_its_log(account, name, lambda: account.invoke(name, {"describe": True}))


def the_dashboard_can_be_traced(account: Account) -> None:
    _trace(account, account.outputs["DashboardFunctionName"])


# -- the placeholder


def a_stack_begins_with_an_image(account: Account) -> None:
    account.admin("ecr").batch_delete_image(
        repositoryName=account.repository, imageIds=[{"imageDigest": placeholder.image("arm64").digest}]
    )
    answer = account.ask_cloudformations_way("Create")
    account.expect(answer["Status"] == "SUCCESS", str(answer.get("Reason")))
    account.expect(account.has(placeholder.image("arm64").digest), "the placeholder is in the repository")


def a_stack_takes_its_placeholder_with_it(account: Account) -> None:
    a_stack_begins_with_an_image(account)
    account.ask_cloudformations_way("Delete")
    account.expect(not account.has(placeholder.image("arm64").digest), "the placeholder is gone")


def a_request_the_placeholder_cannot_answer_is_kept(account: Account) -> None:
    url = account.outputs["DeployerDeadLettersUrl"]
    account.received(url)
    account.invoke(f"{account.name}-placeholder", {"RequestType": "Create"}, InvocationType="Event")
    account.wait(
        lambda: account.received(url),
        "the request among the dead letters",
        lambda: account.said("could not deliver"),
    )


def what_the_placeholder_prints_can_be_read(account: Account) -> None:
    name = f"{account.name}-placeholder"
    _writes_its_log(account, name, lambda: account.ask_cloudformations_way("Create"))


# -- people


def a_viewer_finds_the_stack(account: Account) -> None:
    account.as_policy("ViewerPolicy", "cloudformation").describe_stacks(StackName=account.name)


def a_viewer_reads_the_history(account: Account) -> None:
    ledger = _ledger(account, "ViewerPolicy")
    ledger.look()
    [last] = ledger.history(1)
    account.expect(ledger.find(last.id) == last, "the last deployment, by its id")


def a_viewer_sees_which_version_is_live(account: Account) -> None:
    lambda_ = account.as_policy("ViewerPolicy", "lambda")
    lambda_.get_alias(FunctionName=account.name, Name="live")
    lambda_.get_policy(FunctionName=account.name, Qualifier="live")


def a_viewer_sees_the_images(account: Account) -> None:
    account.as_policy("ViewerPolicy", "ecr").describe_images(repositoryName=account.repository)


def a_viewer_sees_the_repositorys_policies(account: Account) -> None:
    ecr, of = account.as_policy("ViewerPolicy", "ecr"), {"repositoryName": account.repository}
    ecr.describe_repositories(repositoryNames=[account.repository])
    ecr.get_repository_policy(**of)
    ecr.get_lifecycle_policy(**of)


def a_viewer_sees_what_starts_the_deployer(account: Account) -> None:
    events = account.as_policy("ViewerPolicy", "events")
    for output in ("PushRuleName", "SweepRuleName", "AlarmRuleName"):
        name = account.outputs[output]
        account.expect(events.describe_rule(Name=name)["State"] == "ENABLED", f"{output} is enabled")
        account.expect(len(events.list_targets_by_rule(Rule=name)["Targets"]) == 1, f"{output} has a target")


def a_viewer_sees_who_may_start_the_deployer(account: Account) -> None:
    policy = account.as_policy("ViewerPolicy", "lambda").get_policy(
        FunctionName=account.outputs["DeployerName"]
    )
    account.expect(len(json.loads(policy["Policy"])["Statement"]) == 3, "three rules")


def a_viewer_counts_dead_letters(account: Account) -> None:
    sqs = account.as_policy("ViewerPolicy", "sqs")
    for output in ("RuleDeadLettersUrl", "DeployerDeadLettersUrl"):
        sqs.get_queue_attributes(QueueUrl=account.outputs[output], AttributeNames=["All"])


def a_viewer_sees_who_gets_the_messages(account: Account) -> None:
    sns = account.as_policy("ViewerPolicy", "sns")
    for output in ("TopicArn", "ChatTopicArn"):
        sns.list_subscriptions_by_topic(TopicArn=account.outputs[output])


def a_viewer_reads_the_logs(account: Account) -> None:
    logs = account.as_policy("ViewerPolicy", "logs")
    for function in (account.name, account.outputs["DeployerName"]):
        group = f"/aws/lambda/{function}"
        [stream, *_] = logs.describe_log_streams(logGroupName=group)["logStreams"]
        logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])
        logs.filter_log_events(logGroupName=group)


def a_viewer_opens_the_dashboard(account: Account) -> None:
    name = f"{account.name}-us-east-1"
    account.as_policy("ViewerPolicy", "cloudwatch").get_dashboard(DashboardName=name)


def a_viewer_sees_alarms_and_curves(account: Account) -> None:
    cloudwatch = account.as_policy("ViewerPolicy", "cloudwatch")
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix=f"{account.name}-")["MetricAlarms"]
    account.expect(len(alarms) == 10, f"ten alarms, not {len(alarms)}")
    metric = {"Namespace": "AWS/Lambda", "MetricName": "Errors"}
    now = datetime.now(UTC)
    cloudwatch.get_metric_data(
        MetricDataQueries=[{"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}],
        StartTime=now - timedelta(hours=1),
        EndTime=now,
    )


def a_viewer_has_the_deployments_drawn(account: Account) -> None:
    lambda_ = account.as_policy("ViewerPolicy", "lambda")
    lambda_.invoke(FunctionName=account.outputs["DashboardFunctionName"], Payload=b'{"describe": true}')


def on_call_holds_and_resumes(account: Account) -> None:
    lambda_ = account.as_policy("OperatorPolicy", "lambda")
    for command in (
        {"command": "hold", "by": "alice", "because": "a story"},
        {"command": "resume", "by": "alice"},
    ):
        answer = lambda_.invoke(FunctionName=account.outputs["DeployerName"], Payload=json.dumps(command))
        told = json.loads(answer["Payload"].read())
        account.expect("error" not in told, str(told))


def on_call_reads_the_dead_letters(account: Account) -> None:
    for queue, letter in _dead_letters(account):
        found = _read(queue)
        account.expect(letter in found, "the letter that was put there")
        queue.put_back(found.values())
        account.expect(letter in _read(queue), "the letter, put back")


def on_call_takes_a_dead_letter_away(account: Account) -> None:
    for queue, letter in _dead_letters(account):
        found = _read(queue)
        queue.delete(found.pop(letter))
        queue.put_back(found.values())
        account.expect(letter not in _read(queue), "the letter is gone")


def _dead_letters(account: Account) -> Iterator[tuple[SqsQueue, str]]:
    """Both queues as on call sees them, with the id of a letter in each."""
    sqs = account.as_policy("OperatorPolicy", "sqs")
    for output in ("RuleDeadLettersUrl", "DeployerDeadLettersUrl"):
        url = account.outputs[output]
        yield (
            SqsQueue(sqs, url),
            account.admin("sqs").send_message(QueueUrl=url, MessageBody="?")["MessageId"],
        )


def _read(queue: SqsQueue) -> dict[str, Message]:
    found: dict[str, Message] = {}
    queue.read(found)
    return found


def a_pusher_logs_in_to_the_registry(account: Account) -> None:
    account.as_policy("PusherPolicy", "ecr").get_authorization_token()


def a_pusher_pushes_an_image(account: Account) -> None:
    ecr = account.as_policy("PusherPolicy", "ecr")
    built = account.build()
    layers = [layer["digest"] for layer in json.loads(built.manifest)["layers"]]
    ecr.batch_check_layer_availability(repositoryName=account.repository, layerDigests=layers[:1])
    digest = images.upload(built, ecr, account.repository, f"git-{built.digest[7:47]}")
    image = [{"imageDigest": digest}]
    ecr.describe_images(repositoryName=account.repository, imageIds=image)
    ecr.batch_get_image(repositoryName=account.repository, imageIds=image)
    ecr.get_download_url_for_layer(repositoryName=account.repository, layerDigest=layers[0])


def a_pusher_finds_the_stack(account: Account) -> None:
    account.as_policy("PusherPolicy", "cloudformation").describe_stacks(StackName=account.name)


def a_pusher_follows_the_release(account: Account) -> None:
    ledger = _ledger(account, "PusherPolicy")
    ledger.look()
    account.expect(bool(ledger.history(1)), "a deployment in the history")


def _writes_its_log(account: Account, function: str, invoke: Callable[[], object]) -> None:
    before = account.log(function)
    invoke()
    account.wait(
        lambda: account.log(function) != before,
        f"a line in the log of {function}",
        lambda: account.said(f"no log in /aws/lambda/{function}:"),
    )


def _ledger(account: Account, policy: str) -> DynamoLedger:
    return DynamoLedger(account.as_policy(policy, "dynamodb"), account.outputs["LedgerName"], account.name)


def _trace(account: Account, function: str) -> None:
    """Lambda looks at the role when tracing is switched on; so a stack cannot even be made without it."""
    lambda_ = account.admin("lambda")
    lambda_.update_function_configuration(FunctionName=function, TracingConfig={"Mode": "PassThrough"})
    account.wait(lambda: _settled(account, function), f"{function} to be updated")
    lambda_.update_function_configuration(FunctionName=function, TracingConfig={"Mode": "Active"})
    account.wait(lambda: _settled(account, function), f"{function} to be updated")


def _settled(account: Account, function: str) -> bool:
    told = account.admin("lambda").get_function_configuration(FunctionName=function)
    return bool(told["LastUpdateStatus"] == "Successful")


STORIES: dict[str, Callable[[Account], None]] = {
    "ServiceRole.WriteItsLog": what_the_service_prints_can_be_read,
    "DeployerRole.LookAtTheService": a_healthy_release_goes_live,
    "DeployerRole.ReleaseTheService": a_healthy_release_goes_live,
    "DeployerRole.MoveLive": a_healthy_release_goes_live,
    "DeployerRole.CheckTheService": a_healthy_release_goes_live,
    "DeployerRole.LookAtTheImages": a_healthy_release_goes_live,
    "DeployerRole.MarkTheImages": what_is_live_is_kept_from_expiring,
    "DeployerRole.KeepTheLedger": a_healthy_release_goes_live,
    "DeployerRole.TellPeople": people_are_told_how_a_release_ended,
    "DeployerRole.TellPrograms": programs_are_told_how_a_release_ended,
    "DeployerRole.KeepWhatFailed": an_event_the_deployer_cannot_read_is_kept,
    "DeployerRole.WriteItsLog": what_the_deployer_prints_can_be_read,
    "DeployerRole.Trace": the_deployer_can_be_traced,
    "DashboardRole.ReadTheLedger": the_dashboard_shows_the_deployments,
    "DashboardRole.LookAtTheImages": the_dashboard_plans_a_push,
    "DashboardRole.LookAtTheService": the_dashboard_shows_the_deployments,
    "DashboardRole.WriteItsLog": what_the_dashboard_prints_can_be_read,
    "DashboardRole.Trace": the_dashboard_can_be_traced,
    "PlaceholderRole.PushThePlaceholder": a_stack_begins_with_an_image,
    "PlaceholderRole.TakeThePlaceholderAway": a_stack_takes_its_placeholder_with_it,
    "PlaceholderRole.KeepWhatFailed": a_request_the_placeholder_cannot_answer_is_kept,
    "PlaceholderRole.WriteItsLog": what_the_placeholder_prints_can_be_read,
    "ViewerPolicy.FindTheStack": a_viewer_finds_the_stack,
    "ViewerPolicy.ReadTheLedger": a_viewer_reads_the_history,
    "ViewerPolicy.LookAtTheService": a_viewer_sees_which_version_is_live,
    "ViewerPolicy.LookAtTheImages": a_viewer_sees_the_images,
    "ViewerPolicy.LookAtTheRepository": a_viewer_sees_the_repositorys_policies,
    "ViewerPolicy.SeeWhatStartsTheDeployer": a_viewer_sees_what_starts_the_deployer,
    "ViewerPolicy.SeeWhoMayStartTheDeployer": a_viewer_sees_who_may_start_the_deployer,
    "ViewerPolicy.CountDeadLetters": a_viewer_counts_dead_letters,
    "ViewerPolicy.SeeWhoIsTold": a_viewer_sees_who_gets_the_messages,
    "ViewerPolicy.ReadTheLogs": a_viewer_reads_the_logs,
    "ViewerPolicy.SeeTheDashboard": a_viewer_opens_the_dashboard,
    "ViewerPolicy.SeeTheNumbers": a_viewer_sees_alarms_and_curves,
    "ViewerPolicy.DrawTheDeployments": a_viewer_has_the_deployments_drawn,
    "OperatorPolicy.CommandTheDeployer": on_call_holds_and_resumes,
    "OperatorPolicy.ReadDeadLetters": on_call_reads_the_dead_letters,
    "OperatorPolicy.TakeDeadLettersAway": on_call_takes_a_dead_letter_away,
    "PusherPolicy.LogInToTheRegistry": a_pusher_logs_in_to_the_registry,
    "PusherPolicy.PushImages": a_pusher_pushes_an_image,
    "PusherPolicy.FindTheStack": a_pusher_finds_the_stack,
    "PusherPolicy.FollowTheRelease": a_pusher_follows_the_release,
}
"""Grant (`<role or policy>.<statement>`) -> the story that needs it."""

_CODEBUILD = "CodeBuild itself uses it, and the sandbox leaves CodeBuild out"
UNSHOWN = {
    "BuildRole.WriteItsLog": _CODEBUILD,
    "BuildRole.ReportTheTests": _CODEBUILD,
    "BuildRole.FetchTheSource": _CODEBUILD,
}
"""Grants that no story here can need, and why."""
