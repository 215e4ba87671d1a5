"""The deployer's own Lambda function, as people command it, and the alias it moves, as people look at it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployer.aws.errors import translated
from deployer.aws.function import LIVE, MAXIMUM_PAYLOAD
from deployer.text import discreet, line

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# What template.yaml gives the deployer, and some time to get the answer: whoever listens for less would take
# a command that is being followed for one that was lost.
ANSWER_SECONDS = 300 + 20
_TOLD = 600  # bytes of Lambda's words about a function that died


class Died(Exception):
    """The deployer did not answer, it died of an error, or at the end of its time. The message has Lambda's
    words."""


class DeployerFunction:
    """The deployer's function `name`.

    `client` has to listen for `ANSWER_SECONDS`, and never to repeat a request by itself: people decide that.
    """

    def __init__(self, client: LambdaClient, name: str) -> None:
        self._client = client
        self._name = name

    def ask(self, command: Mapping[str, object]) -> object:
        """Have a command followed, and wait for the answer. Raises `Died`.

        After `LookAgain` the deployer may have the command, or not.
        """
        with translated():
            response = self._client.invoke(FunctionName=self._name, Payload=json.dumps(command).encode())
            body = response["Payload"]
            try:
                payload = body.read(MAXIMUM_PAYLOAD)
                body.read(1)  # at the end, botocore compares the length with what was announced
            finally:
                body.close()
        answer = _json(payload)
        if response.get("FunctionError"):
            raise Died(_death(answer, payload))
        return answer


class LiveAlias:
    """The alias `live` of the service function `name`."""

    def __init__(self, client: LambdaClient, name: str) -> None:
        self._client = client
        self._name = name

    def version(self) -> str:
        """The number of the version that it points at."""
        with translated():
            return self._client.get_alias(FunctionName=self._name, Name=LIVE)["FunctionVersion"]


def _json(payload: bytes) -> object:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _death(answer: object, payload: bytes) -> str:
    told = answer if isinstance(answer, dict) else {}
    words = [each for each in (told.get("errorType"), told.get("errorMessage")) if isinstance(each, str)]
    text = ": ".join(words) if words else payload[:_TOLD].decode(errors="replace")
    return line(discreet(text), _TOLD)
