"""A stack's update and deletion in CloudFormation's order.

moto removes first, then adds, then changes: a new API deployment would freeze the body from before the
update, and what is removed would still be in use. CloudFormation adds and changes, dependencies first, and
cleans up when everything else is done. It deletes what depends on others before those; moto in any order.
"""

from __future__ import annotations

from typing import Any

from moto.cloudformation import models
from moto.cloudformation.parsing import ResourceMap, parse_and_update_resource


class OrderedResources(ResourceMap):
    """A stack's resources. The template names dependencies first: `stack.prepare` sees to that."""

    _created = False

    def create(self, template: dict[str, Any]) -> bool:
        """Create them all; True if they are ready to be used."""
        ready = super().create(template)
        self._created = True
        return ready

    def delete(self) -> None:
        """Delete what no DeletionPolicy keeps. RetainExceptOnCreate keeps nothing of a failed creation.

        The first deletion that fails ends it, with the stack as it is then.
        """
        for name in reversed(self._resource_json_map):
            resource = self._parsed_resources.get(name)
            if resource is not None and not isinstance(resource, str) and not self._is_kept(name):
                self._delete_resource(resource, self._resource_json_map[name])
                del self._parsed_resources[name]

    def _is_kept(self, name: str) -> bool:
        policy = self._resource_json_map[name].get("DeletionPolicy")
        return policy == "Retain" or (policy == "RetainExceptOnCreate" and self._created)

    def update(self, template: dict[str, Any], parameters: dict[str, Any] | None = None) -> None:
        """Bring the resources to what `template` says."""
        actions = self.build_resource_diff(template, parameters)
        before = self._resource_json_map
        self._template = template
        if parameters:
            self.input_parameters = parameters
        self.load_mapping()
        self.load_parameters()
        self.load_conditions()
        self._resource_json_map = template["Resources"]
        for name, declaration in template["Resources"].items():
            if name in actions["Modify"]:
                self._parsed_resources[name] = parse_and_update_resource(
                    name, declaration, self, self._account_id, self._region_name
                )
            else:
                self[name]  # creates it when it is new
        for name in reversed(before):
            if name in actions["Remove"]:
                resource = self._parsed_resources.pop(name, None)
                kept = str(before[name].get("DeletionPolicy")).startswith("Retain")
                if resource is not None and not kept:
                    self._delete_resource(resource, before[name])


def keep_the_order() -> None:
    """Have moto's stacks use it. moto names the class in one place, and offers no other way in."""
    models.ResourceMap = OrderedResources  # type: ignore[attr-defined]
