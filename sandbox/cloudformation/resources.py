"""The sandbox's own CloudFormation resource types, for moto to find.

moto looks among the *direct* subclasses of CloudFormationModel, once, and the last class for a type
wins. So it is enough that the modules with ours are imported before the first stack.
"""

from moto.cloudformation.parsing import get_model_map

from sandbox.cloudformation import (
    api_resources,
    cloudwatch_resources,
    ecr_resources,
    iam_resources,
    lambda_resources,
    left_out,
    message_resources,
    moto_resources,
)
from sandbox.cloudformation.custom_resources import answer
from sandbox.cloudformation.resource import connect
from sandbox.cloudformation.updates import keep_the_order

__all__ = ["answer", "connect", "supported_types"]

# Imported for what they define.
_OURS = (
    api_resources,
    cloudwatch_resources,
    ecr_resources,
    iam_resources,
    lambda_resources,
    left_out,
    message_resources,
    moto_resources,
)
keep_the_order()


def supported_types() -> frozenset[str]:
    """The resource types a stack may have: ours and moto's, with those that `left_out` says are not done."""
    return frozenset(get_model_map())
