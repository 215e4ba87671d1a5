"""What every CloudFormation resource type of the sandbox's own has in common.

What moto does with a stack and CloudFormation does not: it deletes one in no particular order, and does
not roll a failed update back. Resources therefore take "already gone" for deleted, and can repeat an
update safely.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException

from sandbox.account import AwsError
from sandbox.awslambda.functions import Functions
from sandbox.ecr.ecr import Ecr
from sandbox.gateway.apis import Apis

_GONE = {"ResourceNotFoundException", "RepositoryNotFoundException", "NotFoundException"}

Properties = Mapping[str, Any]
Request = dict[str, Any]


@dataclass(frozen=True)
class Account:
    functions: Functions
    ecr: Ecr
    apis: Apis
    url: Callable[[], str]


# moto constructs the resource classes itself and hands them nothing but properties, so the running
# sandbox's own services have to be found from here. moto's own backends are global to the process
# in the same way: one sandbox per process.
_connected: Account | None = None


def connect(functions: Functions, ecr: Ecr, apis: Apis, url: Callable[[], str]) -> None:
    """Say what stacks work on from now on, and at which URL the sandbox answers."""
    global _connected  # noqa: PLW0603 - see above
    _connected = Account(functions, ecr, apis, url)


def account() -> Account:
    """What `connect` was given."""
    if _connected is None:
        raise RuntimeError("sandbox.cloudformation.resources.connect() comes before the first stack")
    return _connected


class Resource:
    """What moto asks of a resource class, said once. Any of it may raise AwsError, which fails the stack.

    A mixin and no base class: moto sees direct subclasses of CloudFormationModel only.
    A resource fills in `create`, `change` and `remove`, and sets `physical_resource_id` (what `Ref`
    gives) and `attributes` (what `Fn::GetAtt` gives).
    """

    type_name: ClassVar[str]
    name_property: ClassVar[str] = ""
    attribute_names: ClassVar[frozenset[str]] = frozenset()
    replaced_by: ClassVar[frozenset[str]] = frozenset()
    """Properties whose change makes a new resource (the documentation's "Update requires: Replacement")."""
    known: ClassVar[frozenset[str]]
    """All properties the sandbox understands. Any other fails the stack, rather than being ignored."""

    def __init__(self, logical_id: str, stack_id: str, name: str, properties: Properties) -> None:
        self.logical_id = logical_id
        self.stack_id = stack_id
        self.name = name
        self.properties = properties
        self.physical_resource_id = name
        self.attributes: dict[str, str] = {}

    def create(self) -> None:
        raise NotImplementedError

    def change(self, old: Properties) -> None:
        """Bring what exists from the `old` properties to `self.properties`."""
        raise NotImplementedError

    def remove(self) -> None:
        raise NotImplementedError

    # What moto calls

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.type_name

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.name_property

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in cls.attribute_names

    def get_cfn_attribute(self, attribute_name: str) -> str:
        if attribute_name not in self.attributes:
            raise UnformattedGetAttTemplateException
        return self.attributes[attribute_name]

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,  # noqa: ARG003 - moto's signature; there is one account
        region_name: str,  # noqa: ARG003 - moto's signature; there is one region
        **kwargs: Any,
    ) -> Any:
        resource = cls(
            kwargs["LogicalId"], kwargs["StackId"], resource_name, cloudformation_json["Properties"]
        )
        resource._require_known_properties()
        resource.create()
        return resource

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,  # noqa: ARG003 - moto's signature; there is one account
        region_name: str,  # noqa: ARG003 - moto's signature; there is one region
    ) -> Any:
        old: Properties = original_resource.properties
        new: Properties = cloudformation_json["Properties"]
        replaced = any(old.get(name) != new.get(name) for name in cls.replaced_by)
        name = new_resource_name if replaced else original_resource.name
        resource = cls(original_resource.logical_id, original_resource.stack_id, name, new)
        resource._require_known_properties()
        if replaced:
            resource.create()
            original_resource.remove()
        else:
            resource.physical_resource_id = original_resource.physical_resource_id
            resource.attributes = dict(original_resource.attributes)
            resource.change(old)
        return resource

    def delete(self, account_id: str, region_name: str) -> None:  # noqa: ARG002 - moto's signature
        self.remove()

    def is_created(self) -> bool:
        """Wait until it can be used, if that takes time. Raises AwsError when it never can."""
        return True

    def _require_known_properties(self) -> None:
        unknown = set(self.properties) - self.known
        if unknown:
            names, where = ", ".join(sorted(unknown)), type(self).__module__
            raise AwsError("UnsupportedProperty", f"the sandbox does not know {names}; add it in {where}")


@contextlib.contextmanager
def gone_is_deleted() -> Iterator[None]:
    try:
        yield
    except AwsError as error:
        if error.code not in _GONE:
            raise


def only(properties: Properties, *names: str) -> dict[str, Any]:
    """Those of the named properties that are given, under their own names: CloudFormation's are the API's."""
    return {name: properties[name] for name in names if name in properties}
