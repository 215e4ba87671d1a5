"""Having the deployer run its checks, and reading what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import click

from deployer.aws.deployer import Died
from deployer.commands.parts.acting import no_permission
from deployer.commands.parts.target import Stack, Unusable, plain, understood
from deployer.model import BadDigest, CheckResult, Image, Verdict
from deployer.ports import LookAgain, Refused
from deployer.text import shown


@dataclass(frozen=True)
class Checked:
    """Which version answered, with which image, and how. `not_run`: the checks after the one that failed."""

    version: str
    image: Image
    verdict: Verdict
    not_run: tuple[str, ...]


class BadAnswer(ValueError):
    """It is no outcome of checks."""


def check(stack: Stack, version: str | None) -> Checked:
    """Have the checks run, on a version or on what is live. Raises `Unusable`, or ClickException, whose exit
    code is 1, if they come to no verdict."""
    name, about = plain(stack.output("DeployerName")), {"version": version} if version else {}
    with understood(f"asking {name} for checks"):
        by = stack.caller().arn()
        try:
            answer = stack.deployer().ask({"command": "check", "by": by, **about})
        except Died as error:
            raise click.ClickException(f"no verdict: the deployer died: {plain(str(error))}") from error
        except LookAgain as error:
            raise click.ClickException(f"no verdict: {plain(str(error))}. Ask again") from error
        except Refused as error:
            if "AccessDenied" not in str(error):
                raise
            raise Unusable(no_permission(stack, "checks", error)) from error
    if isinstance(answer, dict) and isinstance(answer.get("error"), str):
        raise click.ClickException(plain(answer["error"]))
    try:
        return read(answer)
    except BadAnswer as error:
        raise Unusable(
            f"{name} answered {error}. Are the deployer and this command of one release?"
        ) from None


def read(answer: object) -> Checked:
    """The deployer's answer. Raises `BadAnswer`."""
    try:
        match answer:
            case {
                "version": str(version),
                "image": {"repository": str(repository), "digest": str(digest)},
                "results": list(results),
                "log_tail": str(log_tail),
                "not_run": list(not_run),
            }:
                verdict = Verdict(tuple(_result(each) for each in results), log_tail)
                return Checked(version, Image(repository, digest), verdict, tuple(map(str, not_run)))
    except (BadAnswer, BadDigest, OverflowError):  # seconds of hundreds of digits are no float
        pass
    raise BadAnswer(f"what is no outcome of checks: {shown(answer)}")


def _result(given: object) -> CheckResult:
    match given:
        case {
            "name": str(name),
            "passed": bool(passed),
            "expected": str(expected),
            "actual": str(actual),
            "seconds": float(seconds) | int(seconds),
            "tries": int(tries),
        }:
            return CheckResult(name, passed, expected, actual, float(seconds), tries)
    raise BadAnswer("no result")
