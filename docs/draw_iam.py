"""Draw docs/iam.md from template.yaml: who may do what, on what, why, and what fails without it.

`make docs` runs it; a test fails when the page is not what the template says. Why an action is granted is the
comment beside it in the template; what fails without a grant is the story that tests/permissions shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.permissions.account import Account
from tests.permissions.stories import STORIES, UNSHOWN

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "template.yaml"
PAGE = ROOT / "docs" / "iam.md"

_HEAD = """\
# Who may do what

Drawn from [template.yaml](../template.yaml) by `make docs`; a test fails when it is not up to date. Nothing
is granted that no story needs: `tests/permissions` takes each statement away, one at a time, and sees its
story fail. `…` stands for the Region and account of the stack;
`Repository.Arn` and its like are resources of the template.

What an action is checked against is what AWS's Service Authorization Reference says, as the sandbox knows it.
No grant was seen at work on AWS itself.

Besides, resources let others in by policies of their own: the repository lets Lambda pull for this function,
the alias lets this API invoke it, the deployer lets three rules start it, and the rules' dead-letter queue
lets two of them write.
"""


@dataclass(frozen=True)
class Grant:
    """One statement of a role or policy. `actions` are (action, why) pairs."""

    owner: str
    sid: str
    actions: tuple[tuple[str, str], ...]
    resources: tuple[str, ...]

    @property
    def name(self) -> str:
        """How stories name it."""
        return f"{self.owner}.{self.sid}"


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    described = dict(_owners())
    for owner, grants in _by_owner().items():
        parts.append(f"## {owner}\n\n{described[owner]}\n")
        if grants:
            parts.append(_table(grants))
    return "\n".join(parts)


def grants() -> list[Grant]:
    """Every statement that the template grants somebody, in its order."""
    return [grant for found in _by_owner().values() for grant in found]


def _table(found: list[Grant]) -> str:
    lines = ["| statement | may | on | without it fails |", "|---|---|---|---|"]
    for grant in found:
        may = "<br>".join(f"`{action}` {why}" for action, why in grant.actions)
        on = "<br>".join(f"`{resource}`" for resource in grant.resources)
        lines.append(f"| {grant.sid} | {may} | {on} | {_story(grant)} |")
    return "\n".join([*lines, ""])


def _story(grant: Grant) -> str:
    if grant.name in UNSHOWN:
        return f"not shown: {UNSHOWN[grant.name]}"
    return told(STORIES[grant.name])


def told(story: Callable[[Account], None]) -> str:
    """A story's name as a sentence."""
    return story.__name__.replace("_", " ")


# -- reading the template, comments included ---------------------------------------------------------------


def _by_owner() -> dict[str, list[Grant]]:
    lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
    return {
        name: [
            _grant(name, statement, lines)
            for document in _documents(properties)
            for statement in _at(document, "Statement").value
        ]
        for name, properties in _roles_and_policies()
    }


def _owners() -> Iterator[tuple[str, str]]:
    for name, properties in _roles_and_policies():
        told = _text(_at(properties, "Description"))
        borrowed = _find(properties, "ManagedPolicyArns")
        if borrowed is not None:
            told += f". Also has: {', '.join(_text(each) for each in borrowed.value)}"
        yield name, f"{told.rstrip('.')}."


def _roles_and_policies() -> Iterator[tuple[str, yaml.Node]]:
    root = yaml.compose(TEMPLATE.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    for key, resource in _at(root, "Resources").value:
        if _text(_at(resource, "Type")) in {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy"}:
            yield key.value, _at(resource, "Properties")


def _documents(properties: yaml.Node) -> Iterator[yaml.Node]:
    inline = _find(properties, "Policies")
    if inline is not None:
        yield from (_at(policy, "PolicyDocument") for policy in inline.value)
    document = _find(properties, "PolicyDocument")
    if document is not None:
        yield document


def _grant(owner: str, statement: yaml.Node, lines: list[str]) -> Grant:
    resource = _at(statement, "Resource")
    resources = resource.value if resource.tag == "tag:yaml.org,2002:seq" else [resource]
    return Grant(
        owner,
        _text(_at(statement, "Sid")),
        tuple(
            (action.value, lines[action.start_mark.line].partition(" # ")[2])
            for action in _at(statement, "Action").value
        ),
        tuple(_short(_text(each)) for each in resources),
    )


def _short(resource: str) -> str:
    return resource.replace("arn:${AWS::Partition}:", "").replace("${AWS::Region}:${AWS::AccountId}", "…")


def _text(node: yaml.Node) -> str:
    """A scalar, whatever its tag (`!Sub`, `!Ref`, `!GetAtt`), as one line."""
    return " ".join(str(node.value).split())


def _at(node: yaml.Node | None, key: str) -> yaml.Node:
    found = _find(node, key)
    if found is None:
        raise KeyError(f"template.yaml: there is no {key} where one belongs")
    return found


def _find(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
