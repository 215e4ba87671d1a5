"""A stack's life in moto, with CloudFormation's statuses and events.

What CloudFormation does while one waits, the sandbox does before it answers. A failed creation is rolled
back, and the stack stays in ROLLBACK_COMPLETE until it is deleted. A failed update is not rolled back: it
stays in UPDATE_FAILED, as with DisableRollback on AWS, and the next update takes it up.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import cast

from moto.cloudformation.models import CloudFormationBackend, Event, Stack, cloudformation_backends
from moto.cloudformation.utils import generate_stack_id

from sandbox.account import ACCOUNT, REGION, AwsError
from sandbox.cloudformation.plans import Plan
from sandbox.cloudformation.updates import OrderedResources, ResourceFailed, Told, reason

_STACK = "AWS::CloudFormation::Stack"
_REVIEWED = "REVIEW_IN_PROGRESS"
_COMPLETE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
_UPDATABLE = {*_COMPLETE, "UPDATE_FAILED"}


class Stacks:
    """The account's stacks. Safe to use from several threads; each stack does one thing at a time."""

    def __init__(self) -> None:
        self._plans: dict[str, Plan] = {}  # by the stack's id
        self._beginning = threading.Lock()

    def find(self, name: str) -> Stack | None:
        """The stack with a name or an id, if there is one."""
        for stack in list(_backend().stacks.values()):
            if name in (stack.name, stack.stack_id):
                return stack
        return None

    def existing(self, name: str) -> Stack:
        """The same; raises AwsError when there is none, or when it has only been reviewed."""
        found = self.find(name)
        if found is None or found.status == _REVIEWED:
            raise AwsError("ValidationError", f"Stack [{name}] does not exist")
        return found

    def updatable(self, name: str) -> Stack:
        """The same; raises AwsError also when something is under way, or has failed for good."""
        found = self.existing(name)
        _require(found, _UPDATABLE.__contains__)
        return found

    def plan(self, stack: Stack) -> Plan | None:
        """What a stack is or, when its creation failed, was to be; None before that."""
        return self._plans.get(stack.stack_id)

    def is_now(self, stack: Stack, plan: Plan) -> bool:
        """Whether a stack is already what it is to become."""
        now = self._plans.get(stack.stack_id)
        return stack.status in _COMPLETE and now is not None and _essence(now) == _essence(plan)

    def reserve(self, name: str, tags: Mapping[str, str], *, for_review: bool) -> Stack:
        """A stack without resources, in REVIEW_IN_PROGRESS; for another review, it may be there already.

        Raises AwsError for any other stack of that name.
        """
        with self._beginning:
            found = self.find(name)
            if found is None:
                stack = _new(generate_stack_id(name, REGION, ACCOUNT), name, tags)
                stack.status = _REVIEWED
                _backend().stacks[stack.stack_id] = stack
                if for_review:
                    _become(stack, _REVIEWED, "User Initiated")
                return stack
        if for_review and found.status == _REVIEWED:
            return found
        raise AwsError("AlreadyExistsException", f"Stack [{name}] already exists")

    def create(self, stack: Stack, plan: Plan) -> None:
        """Create the resources of a stack that has none yet. How that ended is the stack's status."""
        self._begin(stack, "CREATE_IN_PROGRESS", lambda status: status == _REVIEWED)
        _tell(stack, Told(stack.name, stack.stack_id, _STACK, stack.status, "User Initiated"))
        self._plans[stack.stack_id] = plan
        try:
            stack = _with_template(stack, plan)
            stack.create_resources()
        except Exception as error:  # noqa: BLE001 - whatever it is, the stack has failed, and its events say why
            _become(stack, "ROLLBACK_IN_PROGRESS", _why(error, "create"))
            if _delete_resources(stack):
                _become(_emptied(stack), "ROLLBACK_COMPLETE")
            else:
                _become(stack, "ROLLBACK_FAILED")
        else:
            _export(stack)

    def update(self, stack: Stack, plan: Plan) -> None:
        """Bring a stack to what `plan` says. How that ended is its status.

        Raises AwsError if it cannot begin.
        """
        self._begin(stack, "UPDATE_IN_PROGRESS", _UPDATABLE.__contains__)
        try:
            stack.update(json.dumps(plan.prepared), parameters=dict(plan.values), tags=dict(plan.tags))
        except Exception as error:  # noqa: BLE001 - as above
            _become(stack, "UPDATE_FAILED", _why(error, "update"))
        else:
            self._plans[stack.stack_id] = plan
            _export(stack)

    def delete(self, stack: Stack) -> None:
        """Delete a stack and what no policy keeps. Raises AwsError if it cannot begin."""
        self._begin(stack, "DELETE_IN_PROGRESS", lambda s: s == _REVIEWED or not s.endswith("_IN_PROGRESS"))
        _tell(stack, Told(stack.name, stack.stack_id, _STACK, stack.status, "User Initiated"))
        if not _delete_resources(stack):
            _become(stack, "DELETE_FAILED")
            return
        gone = _emptied(stack)
        _become(gone, "DELETE_COMPLETE")
        self._plans.pop(gone.stack_id, None)
        _backend().deleted_stacks[gone.stack_id] = _backend().stacks.pop(gone.stack_id)

    def _begin(self, stack: Stack, status: str, may: Callable[[str], bool]) -> None:
        with self._beginning:
            _require(stack, may)
            stack.status = status


def _require(stack: Stack, may: Callable[[str], bool]) -> None:
    if not may(stack.status):
        raise AwsError(
            "ValidationError", f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated."
        )


def _backend() -> CloudFormationBackend:
    return cloudformation_backends[ACCOUNT][REGION]


def _essence(plan: Plan) -> object:
    return plan.prepared, plan.values, plan.tags


def _with_template(stack: Stack, plan: Plan) -> Stack:
    """The same stack with a template, for moto makes one with it. Nothing is created yet."""
    built = _new(stack.stack_id, stack.name, plan.tags, json.dumps(plan.prepared), plan.values)
    resources = cast("OrderedResources", built.resource_map)
    resources.tell = lambda told: _tell(built, told)  # type: ignore[method-assign]
    return _replaced(stack, built)


def _emptied(stack: Stack) -> Stack:
    """The same stack without resources and outputs: moto creates what it finds there when it is asked."""
    _withdraw_exports(stack)
    return _replaced(stack, _new(stack.stack_id, stack.name, stack.tags))


def _new(
    stack_id: str,
    name: str,
    tags: Mapping[str, str],
    body: str | None = None,
    values: Mapping[str, str] | None = None,
) -> Stack:
    return Stack(  # type: ignore[abstract]  # only to the eye
        stack_id,
        name,
        body or {},
        dict(values or {}),
        ACCOUNT,
        REGION,
        tags=dict(tags),
        cross_stack_resources=_backend().exports,
    )


def _replaced(old: Stack, new: Stack) -> Stack:
    new.events, new.status, new.creation_time = old.events, old.status, old.creation_time
    _backend().stacks[new.stack_id] = new
    return new


def _export(stack: Stack) -> None:
    _withdraw_exports(stack)
    for export in stack.exports:
        _backend().exports[export.name] = export


def _withdraw_exports(stack: Stack) -> None:
    exports = _backend().exports
    for name in [name for name, each in exports.items() if each.exporting_stack_id == stack.stack_id]:
        del exports[name]


def _delete_resources(stack: Stack) -> bool:
    """Whether that went well; events tell of each."""
    try:
        stack.resource_map.delete()
    except ResourceFailed:
        return False
    return True


def _why(error: Exception, what: str) -> str:
    if isinstance(error, ResourceFailed):
        return f"The following resource(s) failed to {what}: [{error}]."
    return reason(error)


def _become(stack: Stack, status: str, why: str | None = None) -> None:
    stack.status = status
    _tell(stack, Told(stack.name, stack.stack_id, _STACK, status, why))


def _tell(stack: Stack, told: Told) -> None:
    event = Event(
        stack_id=stack.stack_id,
        stack_name=stack.name,
        logical_resource_id=told.logical_id,
        physical_resource_id=told.physical_id,
        resource_type=told.type,
        resource_status=told.status,
        resource_status_reason=told.reason,
        resource_properties=None,
    )
    stack.events.append(event)
