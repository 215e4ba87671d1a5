"""Would `sam deploy --guided` get through its questions? Run with SAM's own Python, it asks SAM's own code.

For each function that SAM takes for one with an image to push, the guide offers to make a repository and asks
a Docker engine for the image; an ImageUri that is not plain text ends it with a TypeError (seen with 1.170).
What names an image in ECR is left alone.
"""

from __future__ import annotations

import sys

from samcli.lib.providers.sam_function_provider import SamFunctionProvider  # type: ignore[import-not-found]
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider  # type: ignore[import-not-found]


def main(template: str) -> str | None:
    """None when it would; else what is in its way."""
    stacks, _ = SamLocalStackProvider.get_stacks(template)
    functions = list(SamFunctionProvider(stacks, ignore_code_extraction_warnings=True).get_all())
    if not functions:
        return f"SAM finds no function in {template}"
    for function in functions:
        if function.packagetype == "Image":
            return (
                f"sam deploy --guided would want to push an image for {function.full_path}: "
                f"its ImageUri reads as {function.imageuri!r}, which is no image in ECR"
            )
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
