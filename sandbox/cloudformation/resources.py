"""The sandbox's own CloudFormation resource types, for moto to find.

moto looks among the *direct* subclasses of CloudFormationModel, once, and the last class for a type
wins. So it is enough that the modules with ours are imported before the first stack.
"""

from moto.cloudformation.parsing import get_model_map

from sandbox.cloudformation import ecr_resources, lambda_resources, message_resources, moto_resources
from sandbox.cloudformation.custom_resources import answer
from sandbox.cloudformation.resource import connect

__all__ = ["answer", "connect", "supported_types"]

_OURS = (ecr_resources, lambda_resources, message_resources, moto_resources)  # imported for what they define


def supported_types() -> frozenset[str]:
    """The resource types a stack may have: ours and moto's."""
    return frozenset(get_model_map())
