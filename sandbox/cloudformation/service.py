"""CloudFormation's operations that read a template, change a stack, or are about change sets.

moto keeps the stacks and answers whatever else is asked about them. These are ours because moto knows no
`Transform`, checks no parameter, forgets a change set's outputs and tags, and answers a resource that fails
with an error where CloudFormation has a status.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.cloudformation.models import Stack

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.cloudformation.lifecycle import Stacks
from sandbox.cloudformation.plans import (
    Asked,
    Fetch,
    Plan,
    make_plan,
    read_request,
    summary_of,
    template_text,
)
from sandbox.cloudformation.template import Template
from sandbox.door.calls import stack_arn

_TEMPLATE = {"TemplateBody", "TemplateURL", "Parameters", "Capabilities", "Tags"}
_KNOWN = {
    "CreateStack": {*_TEMPLATE, "StackName"},
    "UpdateStack": {*_TEMPLATE, "StackName", "UsePreviousTemplate"},
    "CreateChangeSet": {
        *_TEMPLATE,
        "StackName",
        "UsePreviousTemplate",
        "ChangeSetName",
        "ChangeSetType",
        "Description",
    },
    "ExecuteChangeSet": {"ChangeSetName", "StackName"},
    "DeleteStack": {"StackName"},
}
_HARMLESS = {"ClientRequestToken", "ClientToken"}
_NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a change set."
)


@dataclass
class ChangeSet:
    id: str
    name: str
    stack_id: str
    stack_name: str
    creates: bool
    description: str | None
    plan: Plan | None = None
    changes: list[dict[str, Any]] = field(default_factory=list)
    status: str = "CREATE_IN_PROGRESS"
    execution: str = "UNAVAILABLE"
    reason: str | None = None
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    def summary(self) -> dict[str, Any]:
        told = {
            "ChangeSetId": self.id,
            "ChangeSetName": self.name,
            "StackId": self.stack_id,
            "StackName": self.stack_name,
            "Description": self.description,
            "CreationTime": self.since,
            "Status": self.status,
            "ExecutionStatus": self.execution,
            "StatusReason": self.reason,
        }
        return {name: value for name, value in told.items() if value is not None}


class CloudFormation:
    """Implements for `door.wire` what the module says. Safe to use from several threads."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._stacks = Stacks()
        self._change_sets: dict[str, ChangeSet] = {}  # by their ids
        self._lock = threading.Lock()  # over the change sets

    def resource(self, operation: str, request: dict[str, Any]) -> str:  # noqa: ARG002 - all are about a stack
        """The stack's ARN."""
        return stack_arn(request)

    def create_stack(self, request: dict[str, Any]) -> dict[str, Any]:
        _require_known("CreateStack", request)
        plan = make_plan(read_request(request, self._fetch, None), reviewed=False)
        stack = self._stacks.reserve(request["StackName"], plan.tags, for_review=False)
        self._stacks.create(stack, plan)
        return {"StackId": stack.stack_id}

    def update_stack(self, request: dict[str, Any]) -> dict[str, Any]:
        _require_known("UpdateStack", request)
        stack = self._stacks.updatable(request["StackName"])
        asked = read_request(request, self._fetch, self._stacks.plan(stack))
        plan = make_plan(asked, reviewed=False)
        if self._stacks.is_now(stack, plan):
            raise AwsError("ValidationError", "No updates are to be performed.")
        self._stacks.update(stack, plan)
        return {"StackId": stack.stack_id}

    def delete_stack(self, request: dict[str, Any]) -> dict[str, Any]:
        """A stack that is not there is deleted, as on AWS."""
        _require_known("DeleteStack", request)
        stack = self._stacks.find(request["StackName"])
        if stack is not None:
            self._stacks.delete(stack)
            self._drop(stack.stack_id)
        return {}

    def get_template(self, request: dict[str, Any]) -> dict[str, Any]:
        """The template as it was given. What moto gets is not what AWS would show as "Processed"."""
        if request.get("TemplateStage") == "Processed":
            raise AwsError(
                "NotImplementedException", "The sandbox shows a template as it was given only.", 501
            )
        if "ChangeSetName" in request:
            plan = self._change_set(request).plan
        else:
            plan = self._stacks.plan(self._stacks.existing(request["StackName"]))
        return {"TemplateBody": plan.text if plan else "", "StagesAvailable": ["Original"]}

    def get_template_summary(self, request: dict[str, Any]) -> dict[str, Any]:
        """A template's parameters and types, as given or a stack's. It does not say what to acknowledge."""
        if "StackName" in request:
            plan = self._stacks.plan(self._stacks.existing(request["StackName"]))
            text = plan.text if plan else ""
        else:
            text = template_text(request, self._fetch, None)
        return summary_of(text)

    def create_change_set(self, request: dict[str, Any]) -> dict[str, Any]:
        _require_known("CreateChangeSet", request)
        name, creates = request["StackName"], request.get("ChangeSetType", "UPDATE") == "CREATE"
        if creates:
            asked = read_request(request, self._fetch, None)
            stack = self._stacks.reserve(name, asked.tags, for_review=True)
        else:
            stack = self._stacks.updatable(name)
            asked = read_request(request, self._fetch, self._stacks.plan(stack))
        made = self._add(stack, request, creates=creates)
        self._review(made, stack, asked)
        return {"Id": made.id, "StackId": made.stack_id}

    def describe_change_set(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self._change_set(request)
        values = found.plan.values if found.plan else {}
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
        return {**found.summary(), "Parameters": parameters, "Changes": found.changes}

    def list_change_sets(self, request: dict[str, Any]) -> dict[str, Any]:
        asked = request["StackName"]
        found = [each for each in self._all() if asked in (each.stack_name, each.stack_id)]
        return {"Summaries": [each.summary() for each in found]}

    def delete_change_set(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self._change_set(request)
        with self._lock:
            self._change_sets.pop(found.id, None)
        return {}

    def execute_change_set(self, request: dict[str, Any]) -> dict[str, Any]:
        _require_known("ExecuteChangeSet", request)
        found = self._change_set(request)
        stack = self._stacks.find(found.stack_id)
        if stack is None or found.plan is None or found.execution != "AVAILABLE":
            raise AwsError(
                "InvalidChangeSetStatus",
                f"ChangeSet [{found.id}] cannot be executed in its current status of [{found.status}]",
            )
        (self._stacks.create if found.creates else self._stacks.update)(stack, found.plan)
        found.execution = "EXECUTE_COMPLETE"
        self._drop(found.stack_id, but=found)
        return {}

    def _review(self, made: ChangeSet, stack: Stack, asked: Asked) -> None:
        """A change set is there before its template is transformed: what is refused then is its status."""
        try:
            plan = make_plan(asked, reviewed=True)
        except AwsError as refusal:
            made.status, made.reason = "FAILED", refusal.message
            return
        if not made.creates and self._stacks.is_now(stack, plan):
            made.status, made.reason = "FAILED", _NO_CHANGES
            return
        made.plan, made.changes = plan, _changes(stack, plan.prepared)
        made.status, made.execution = "CREATE_COMPLETE", "AVAILABLE"

    def _add(self, stack: Stack, request: Mapping[str, Any], *, creates: bool) -> ChangeSet:
        name = request["ChangeSetName"]
        arn = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/{name}/{uuid.uuid4()}"
        made = ChangeSet(arn, name, stack.stack_id, stack.name, creates, request.get("Description"))
        with self._lock:
            if any(
                (each.stack_id, each.name) == (made.stack_id, name) for each in self._change_sets.values()
            ):
                raise AwsError("AlreadyExistsException", f"ChangeSet [{name}] already exists")
            self._change_sets[arn] = made
        return made

    def _all(self) -> list[ChangeSet]:
        with self._lock:
            return list(self._change_sets.values())

    def _change_set(self, request: Mapping[str, Any]) -> ChangeSet:
        name, stack = request["ChangeSetName"], request.get("StackName")
        for each in self._all():
            if name == each.id or (name == each.name and stack in (each.stack_name, each.stack_id)):
                return each
        raise AwsError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist")

    def _drop(self, stack_id: str, but: ChangeSet | None = None) -> None:
        """What is left over once a stack was changed or deleted can be executed no more."""
        for each in self._all():
            if each.stack_id == stack_id and each is not but:
                with self._lock:
                    self._change_sets.pop(each.id, None)


def _changes(stack: Stack, prepared: Template) -> list[dict[str, Any]]:
    """What would be done to which resource. Whether a change replaces it is not said: moto cannot tell."""
    now = stack.resource_map
    changes = []
    for action, names in now.build_resource_diff(prepared).items():
        for name in names:
            declared = prepared["Resources"].get(name) or now._resource_json_map[name]
            change = {"Action": action, "LogicalResourceId": name, "ResourceType": declared["Type"]}
            if action != "Add":
                change["PhysicalResourceId"] = str(getattr(now[name], "physical_resource_id", name))
            changes.append({"Type": "Resource", "ResourceChange": change})
    return changes


def _require_known(operation: str, request: Mapping[str, Any]) -> None:
    """Refuse what would be ignored. An SDK also sends what is switched off."""
    unknown = sorted(name for name in request.keys() - _KNOWN[operation] - _HARMLESS if request[name])
    if unknown:
        raise AwsError(
            "NotImplementedException", f"The sandbox knows no {', '.join(unknown)} of {operation}.", 501
        )
