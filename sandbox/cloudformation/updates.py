"""A stack's creation, update and deletion in CloudFormation's order, and what is told of each resource.

moto removes first, then adds, then changes: a new API deployment would freeze the body from before the
update, and what is removed would still be in use. CloudFormation adds and changes, dependencies first, and
cleans up when everything else is done. It deletes what depends on others before those; moto in any order.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moto.cloudformation import models
from moto.cloudformation.parsing import ResourceMap, parse_and_update_resource
from moto.core.exceptions import ServiceException
from werkzeug.exceptions import HTTPException

from sandbox.account import AwsError


@dataclass(frozen=True)
class Told:
    """One line of a stack's events, about one of its resources."""

    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str | None = None


class ResourceFailed(Exception):
    """A resource cannot be created, updated or deleted. Its events say why; the text is its logical id."""


class OrderedResources(ResourceMap):
    """A stack's resources. The template names dependencies first: `template.prepare` sees to that.

    Creating, updating and deleting raise ResourceFailed at the first resource that fails, with everything
    as it is then: what was reached is new, the rest is old, and both can be updated or deleted again.
    """

    _created = False

    def tell(self, told: Told) -> None:
        """Called with what happens to each resource; whoever has the stack replaces it."""

    def __getitem__(self, key: str) -> Any:
        """A resource, created on the way when it is not there yet."""
        if key in self._parsed_resources or key not in self._resource_json_map:
            return super().__getitem__(key)
        with self._told("CREATE", key, self._resource_json_map[key]):
            resource = super().__getitem__(key)
            if resource is not None:
                resource.is_created()  # Waits until it is
        return resource

    def create(self, template: dict[str, Any]) -> bool:
        """Create them all; True if they are ready to be used."""
        ready = super().create(template)
        self._created = True
        return ready

    def delete(self) -> None:
        """Delete what no DeletionPolicy keeps. RetainExceptOnCreate keeps nothing of a failed creation."""
        self._resource_json_map = dict(self._resource_json_map)
        for name in reversed(list(self._resource_json_map)):
            self._remove(name, kept=self._is_kept(name))

    def _is_kept(self, name: str) -> bool:
        policy = self._resource_json_map[name].get("DeletionPolicy")
        return policy == "Retain" or (policy == "RetainExceptOnCreate" and self._created)

    def update(self, template: dict[str, Any], parameters: dict[str, Any] | None = None) -> None:
        """Bring the resources to what `template` says."""
        actions = self.build_resource_diff(template, parameters)
        self._template = template
        if parameters:
            self.input_parameters = parameters
        self.load_mapping()
        self.load_parameters()
        self.load_conditions()
        self._resource_json_map = dict(self._resource_json_map)
        for name, declaration in template["Resources"].items():
            if name in actions["Modify"]:
                with self._told("UPDATE", name, declaration):
                    self._parsed_resources[name] = parse_and_update_resource(
                        name, declaration, self, self._account_id, self._region_name
                    )
                self._resource_json_map[name] = declaration
            elif name in actions["Add"]:
                self._add(name, declaration)
        for name in reversed(list(self._resource_json_map)):
            if name in actions["Remove"]:
                policy = str(self._resource_json_map[name].get("DeletionPolicy"))
                self._remove(name, kept=policy.startswith("Retain"))
        self._resource_json_map = template["Resources"]  # the same, dependencies first again

    def _add(self, name: str, declaration: Mapping[str, Any]) -> None:
        self._resource_json_map[name] = declaration
        try:
            self[name]
        except ResourceFailed:
            del self._resource_json_map[name]
            raise

    def _remove(self, name: str, *, kept: bool) -> None:
        resource, declaration = self._parsed_resources.get(name), self._resource_json_map[name]
        if resource is not None and not isinstance(resource, str):
            if kept:
                self._tell("DELETE_SKIPPED", name, declaration)
            else:
                with self._told("DELETE", name, declaration):
                    self._delete_resource(resource, declaration)
            del self._parsed_resources[name]
        # moto creates whatever is named here and not there.
        del self._resource_json_map[name]

    @contextmanager
    def _told(self, what: str, name: str, declaration: Mapping[str, Any]) -> Iterator[None]:
        self._tell(f"{what}_IN_PROGRESS", name, declaration)
        try:
            yield
        except ResourceFailed:
            raise
        except Exception as error:
            self._tell(f"{what}_FAILED", name, declaration, reason(error))
            raise ResourceFailed(name) from error
        self._tell(f"{what}_COMPLETE", name, declaration)

    def _tell(self, status: str, name: str, declaration: Mapping[str, Any], why: str | None = None) -> None:
        physical_id = getattr(self._parsed_resources.get(name), "physical_resource_id", None)
        self.tell(Told(name, str(physical_id or ""), str(declaration["Type"]), status, why))


def reason(error: Exception) -> str:
    """Why something failed, for people. A bug must not look like a refusal of AWS, and be seen."""
    match error:
        case AwsError() | ServiceException():
            return f"{error.message} ({error.code})"
        case HTTPException():  # moto's older kind of error, whose code is the HTTP status
            return str(getattr(error, "message", error.description))
        case _:
            traceback.print_exception(error, file=sys.stderr)
            return f"the sandbox failed; its traceback is on its stderr: {type(error).__name__}: {error}"


def keep_the_order() -> None:
    """Have moto's stacks use it. moto names the class in one place, and offers no other way in."""
    models.ResourceMap = OrderedResources  # type: ignore[attr-defined]
