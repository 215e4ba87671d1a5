"""Resource types of SQS and SNS that moto does not have."""

from __future__ import annotations

import json

from moto.core.common_models import CloudFormationModel
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from sandbox.account import ACCOUNT, REGION
from sandbox.cloudformation.resource import Properties, Resource


class QueuePolicy(Resource, CloudFormationModel):
    """Who may use some queues."""

    type_name = "AWS::SQS::QueuePolicy"
    replaced_by = frozenset({"Queues"})
    known = frozenset({"Queues", "PolicyDocument"})

    def create(self) -> None:
        self._set(json.dumps(self.properties["PolicyDocument"]))

    def change(self, old: Properties) -> None:  # noqa: ARG002 - setting it again changes nothing
        self.create()

    def remove(self) -> None:
        backend = sqs_backends[ACCOUNT][REGION]
        for url in self.properties["Queues"]:
            if _queue_name(url) in backend.queues:
                backend.set_queue_attributes(_queue_name(url), {"Policy": ""})

    def _set(self, policy: str) -> None:
        for url in self.properties["Queues"]:
            sqs_backends[ACCOUNT][REGION].set_queue_attributes(_queue_name(url), {"Policy": policy})


class Subscription(Resource, CloudFormationModel):
    """A subscription to a topic. No e-mail leaves the sandbox."""

    type_name = "AWS::SNS::Subscription"
    known = frozenset({"TopicArn", "Protocol", "Endpoint"})
    replaced_by = known

    def create(self) -> None:
        subscription = sns_backends[ACCOUNT][REGION].subscribe(
            self.properties["TopicArn"], self.properties["Endpoint"], self.properties["Protocol"]
        )
        self.physical_resource_id = subscription.arn

    def change(self, old: Properties) -> None:
        pass

    def remove(self) -> None:
        sns_backends[ACCOUNT][REGION].unsubscribe(self.physical_resource_id)


def _queue_name(url: str) -> str:
    return url.rsplit("/", 1)[-1]
