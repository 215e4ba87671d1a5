"""What happens when an alarm changes its state: an event for EventBridge, a message for its topics."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

Aws = Callable[[str], Any]


class Queue:
    """A queue that anybody may send to, and what has arrived in it."""

    def __init__(self, aws: Aws) -> None:
        self._sqs = aws("sqs")
        self._url = self._sqs.create_queue(QueueName=f"alarms-{uuid.uuid4()}")["QueueUrl"]
        known = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        self.arn = str(known["Attributes"]["QueueArn"])
        anybody = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": self.arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": policy})

    def receive(self, count: int) -> list[Any]:
        """The next messages, waiting for as many as are wanted, and any that came with them."""
        received: list[Any] = []
        while len(received) < count:
            answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=20)
            assert "Messages" in answer, f"{len(received)} of {count} messages came in 20 seconds"
            for message in answer["Messages"]:
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                received.append(json.loads(message["Body"]))
        return received


class Watched:
    """An alarm, with a rule that sends its events to one queue and a topic that publishes to another."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.name = f"errors-{uuid.uuid4()}"
        self.arn = f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{self.name}"
        self.events, self.pages = Queue(aws), Queue(aws)
        self.topic = str(aws("sns").create_topic(Name=self.name)["TopicArn"])
        aws("sns").subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=self.pages.arn)
        pattern = {
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "resources": [self.arn],
        }
        aws("events").put_rule(Name=self.name, EventPattern=json.dumps(pattern))
        aws("events").put_targets(Rule=self.name, Targets=[{"Id": "1", "Arn": self.events.arn}])
        self.put()

    def put(self, **more: Any) -> None:
        alarm = {
            "AlarmName": self.name,
            "AlarmDescription": "The service fails",
            "Namespace": "AWS/Lambda",
            "MetricName": "Errors",
            "Dimensions": [{"Name": "FunctionName", "Value": "shop"}],
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 0.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "AlarmActions": [self.topic],
        }
        self.aws("cloudwatch").put_metric_alarm(**{**alarm, **more})

    def set(self, value: str, reason: str = "a test", **more: str) -> None:
        self.aws("cloudwatch").set_alarm_state(
            AlarmName=self.name, StateValue=value, StateReason=reason, **more
        )

    def state(self) -> str:
        (alarm,) = self.aws("cloudwatch").describe_alarms(AlarmNames=[self.name])["MetricAlarms"]
        return str(alarm["StateValue"])


@pytest.fixture
def alarm(aws: Aws) -> Watched:
    return Watched(aws)


def test_a_changed_state_is_an_event_in_cloudwatchs_form(alarm: Watched) -> None:
    # when
    alarm.set("ALARM", "3 errors", StateReasonData='{"threshold": 0}')
    (event,) = alarm.events.receive(1)

    # then
    assert (event["source"], event["resources"]) == ("aws.cloudwatch", [alarm.arn])
    detail = event["detail"]
    moments = [detail["previousState"].pop("timestamp"), detail["state"].pop("timestamp")]
    assert moments == sorted(moments)
    assert all(moment.endswith("+0000") for moment in moments)
    assert detail == {
        "alarmName": alarm.name,
        "state": {"value": "ALARM", "reason": "3 errors", "reasonData": '{"threshold": 0}'},
        "previousState": {"value": "INSUFFICIENT_DATA", "reason": "Unchecked: Initial alarm creation"},
        "configuration": {
            "description": "The service fails",
            "metrics": [
                {
                    "id": "m1",
                    "metricStat": {
                        "metric": {
                            "namespace": "AWS/Lambda",
                            "name": "Errors",
                            "dimensions": {"FunctionName": "shop"},
                        },
                        "period": 60,
                        "stat": "Sum",
                    },
                    "returnData": True,
                }
            ],
        },
    }


def test_a_state_that_is_set_again_is_no_change(alarm: Watched) -> None:
    # when
    for value in ("ALARM", "ALARM", "OK", "OK", "ALARM"):
        alarm.set(value)

    # then
    states = [event["detail"]["state"]["value"] for event in alarm.events.receive(3)]
    assert states == ["ALARM", "OK", "ALARM"]


def test_a_new_alarm_has_no_data_and_an_updated_one_keeps_its_state(alarm: Watched) -> None:
    # given
    new = alarm.state()
    alarm.set("ALARM")

    # when
    alarm.put(Threshold=5.0)

    # then
    assert (new, alarm.state()) == ("INSUFFICIENT_DATA", "ALARM")


def test_a_metric_math_alarm_describes_its_expression(alarm: Watched) -> None:
    # given
    alarm.aws("cloudwatch").put_metric_alarm(
        AlarmName=alarm.name,
        EvaluationPeriods=1,
        Threshold=0.1,
        ComparisonOperator="GreaterThanThreshold",
        Metrics=[
            {"Id": "rate", "Expression": "errors / 10", "Label": "Rate", "ReturnData": True},
            {
                "Id": "errors",
                "MetricStat": {
                    "Metric": {"Namespace": "AWS/Lambda", "MetricName": "Errors"},
                    "Period": 60,
                    "Stat": "Sum",
                },
                "ReturnData": False,
            },
        ],
    )

    # when
    alarm.set("ALARM")
    (event,) = alarm.events.receive(1)

    # then
    assert event["detail"]["configuration"]["metrics"] == [
        {"id": "rate", "returnData": True, "expression": "errors / 10", "label": "Rate"},
        {
            "id": "errors",
            "returnData": False,
            "metricStat": {
                "metric": {"namespace": "AWS/Lambda", "name": "Errors", "dimensions": {}},
                "period": 60,
                "stat": "Sum",
            },
        },
    ]


def test_an_alarm_tells_the_topics_of_its_new_state_and_no_other(alarm: Watched) -> None:
    # when: nobody wants to hear of OK
    alarm.set("OK")
    alarm.set("ALARM", "3 errors")
    (page,) = alarm.pages.receive(1)

    # then
    assert page["Subject"] == f'ALARM: "{alarm.name}" in US East (N. Virginia)'
    message = json.loads(page["Message"])
    assert {
        name: message[name] for name in ("AlarmName", "NewStateValue", "NewStateReason", "OldStateValue")
    } == {
        "AlarmName": alarm.name,
        "NewStateValue": "ALARM",
        "NewStateReason": "3 errors",
        "OldStateValue": "OK",
    }
    assert message["Trigger"]["Dimensions"] == [{"value": "shop", "name": "FunctionName"}]


def test_an_alarm_whose_actions_are_off_tells_no_topic(alarm: Watched) -> None:
    # given
    alarm.put(ActionsEnabled=False)

    # when
    alarm.set("ALARM", "unheard")
    alarm.set("OK")
    alarm.put()
    alarm.set("ALARM", "heard")

    # then
    (page,) = alarm.pages.receive(1)
    assert json.loads(page["Message"])["NewStateReason"] == "heard"


def test_a_topic_that_does_not_let_cloudwatch_publish_hears_nothing(
    alarm: Watched, capfd: pytest.CaptureFixture[str]
) -> None:
    # given
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": alarm.topic,
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:cloudwatch:*:*:alarm:another"}},
    }

    def allow(**change: Any) -> None:
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, **change}]})
        alarm.aws("sns").set_topic_attributes(
            TopicArn=alarm.topic, AttributeName="Policy", AttributeValue=policy
        )

    # when
    allow()
    alarm.set("ALARM", "unheard")
    alarm.set("OK")
    allow(Condition={"ArnLike": {"aws:SourceArn": alarm.arn}})
    alarm.set("ALARM", "heard")

    # then
    (page,) = alarm.pages.receive(1)
    assert json.loads(page["Message"])["NewStateReason"] == "heard"
    assert f"the policy of {alarm.topic} does not let cloudwatch" in capfd.readouterr().err


@pytest.mark.parametrize(
    "action",
    [
        "arn:aws:sns:us-east-1:123456789012:never-there",
        "arn:aws:lambda:us-east-1:123456789012:function:shop",
    ],
)
def test_an_action_that_cannot_be_carried_out_is_said_and_keeps_the_event(
    alarm: Watched, action: str, capfd: pytest.CaptureFixture[str]
) -> None:
    # given
    alarm.put(AlarmActions=[action])

    # when
    alarm.set("ALARM")

    # then
    (event,) = alarm.events.receive(1)
    assert event["detail"]["state"]["value"] == "ALARM"
    assert action in capfd.readouterr().err
