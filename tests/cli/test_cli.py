"""The command as a whole: all of it is described, starting is quick, Lambda knows nothing of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

import deployer.cli
import deployer.commands
from deployer.commands.parts.standing import EXIT_CODES
from deployer.model import Phase
from deployer.settings import DEFAULT_CHECKS
from sandbox.cloudformation import stack
from tests.cli.conftest import ROOT, Books, Run, command
from tests.fakes import image

if TYPE_CHECKING:
    from sandbox.server import Sandbox

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
MAIN = deployer.cli.main
VERBS: dict[str, click.Command] = {
    name: found for name in deployer.cli.VERBS if (found := MAIN.get_command(click.Context(MAIN), name))
}


def section(verb: str) -> str:
    """What the page says of a verb."""
    _, _, rest = PAGE.partition(f"\n## deployer {verb}\n")
    return rest.partition("\n## ")[0]


def options(of: click.Command) -> set[str]:
    return {name for each in of.params for name in each.opts if name.startswith("--")}


def documented(text: str) -> set[str]:
    """The options in a table's first column."""
    return set(re.findall(r"^\| `(--[a-z-]+)` \|", text, flags=re.MULTILINE))


def test_a_file_is_a_verb_and_a_verb_is_a_file() -> None:
    folder = Path(deployer.commands.__file__).parent
    files = {path.stem.replace("_", "-") for path in folder.glob("*.py")} - {"--init--"}

    assert files == set(deployer.cli.VERBS) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_described_on_the_page(verb: str) -> None:
    text = section(verb)

    assert text, f"docs/commands.md has no section '## deployer {verb}'"
    assert documented(text) == options(VERBS[verb])
    assert "**Does**: " in text
    assert "**Does not**: " in text
    assert "Exit codes: " in text
    assert re.search(rf"^    deployer (--\S+ \S+ )*{verb}\b", text, flags=re.MULTILINE), "an example"


def test_the_options_before_the_verb_are_described_on_the_page() -> None:
    head = PAGE.partition("\n## ")[0]

    assert documented(head) == options(MAIN)


def test_the_page_describes_no_verb_that_is_not_there() -> None:
    assert re.findall(r"^## deployer (\S+)$", PAGE, flags=re.MULTILINE) == list(VERBS)


def test_the_page_has_every_exit_code() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, flags=re.MULTILINE)}

    assert codes == {*EXIT_CODES.values(), 2, deployer.cli.INTERRUPTED}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_says_in_its_help_what_it_is(verb: str) -> None:
    found = VERBS[verb]

    assert found.help
    assert found.help.partition("\n")[0].endswith(".")
    for part in ("Does: ", "Does not: ", "Exit codes:\n", "130  interrupted"):
        assert part in found.help
    for option in found.params:
        assert isinstance(option, click.Argument) or getattr(option, "help", None), option.name


def test_help_lists_every_verb(environment: dict[str, str]) -> None:
    done = command(environment, "--help")

    assert done.returncode == 0
    for verb in VERBS:
        assert re.search(rf"^  {verb} ", done.stdout, flags=re.MULTILINE)


def test_a_verb_that_is_not_there_is_said_to_be(environment: dict[str, str]) -> None:
    done = command(environment, "launch")

    assert done.returncode == 2
    assert "No such command 'launch'" in done.stderr


@pytest.mark.parametrize("words", [["--help"], *([verb, "--help"] for verb in VERBS)], ids=" ".join)
def test_starting_loads_nothing_that_is_slow(words: list[str]) -> None:
    loaded = modules_after(f"from deployer.cli import main; main({words!r}, standalone_mode=False)")

    assert not loaded & {"boto3", "botocore", "rich", "aws_lambda_powertools", "urllib3"}


def test_only_the_verb_that_was_asked_for_is_loaded() -> None:
    loaded = modules_after("from deployer.cli import main; main(['wait', '--help'], standalone_mode=False)")

    assert {name for name in loaded if re.fullmatch(r"deployer\.commands\.[a-z_]+", name)} == {
        "deployer.commands.wait",
        "deployer.commands.parts",
    }


def test_lambda_code_knows_nothing_of_the_command() -> None:
    loaded = modules_after("import deployer.handler, deployer.placeholder")

    assert not [name for name in loaded if name.startswith(("click", "deployer.commands", "deployer.cli"))]
    assert "click==" not in (ROOT / "deployer" / "requirements.txt").read_text(encoding="utf-8")


def modules_after(code: str) -> set[str]:
    """What Python has loaded after running `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('loaded:', *sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_the_default_checks_are_the_templates() -> None:
    template: dict[str, Any] = stack.read(ROOT / "template.yaml")

    assert template["Parameters"]["Checks"]["Default"] == DEFAULT_CHECKS


def test_the_template_has_every_output_that_the_command_reads() -> None:
    read = {
        name
        for path in (ROOT / "deployer" / "commands").rglob("*.py")
        for name in re.findall(r'\.output\("(\w+)"\)', path.read_text(encoding="utf-8"))
    }

    assert "LedgerName" in read
    assert read <= stack.read(ROOT / "template.yaml")["Outputs"].keys()


def test_wait_needs_no_more_than_the_page_says(
    sandbox: Sandbox, books: Books, environment: dict[str, str], deployer: Run
) -> None:
    policy = re.search(r"<!-- policy of wait -->\n```json\n(.*?)```", PAGE, flags=re.DOTALL)
    assert policy
    [table] = [each for each in sandbox.client("dynamodb").list_tables()["TableNames"] if books.stack in each]
    document = policy[1].replace("<stack>", books.stack).replace("<table>", table)
    iam, role = sandbox.client("iam"), f"{books.stack}-ci"
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=role, PolicyName="wait", PolicyDocument=document)
    session = sandbox.client("sts").assume_role(RoleArn=arn, RoleSessionName="ci")["Credentials"]
    environment["AWS_ACCESS_KEY_ID"] = session["AccessKeyId"]
    environment["AWS_SECRET_ACCESS_KEY"] = session["SecretAccessKey"]
    environment["AWS_SESSION_TOKEN"] = session["SessionToken"]
    digest = image("mine").digest
    books.end(books.update(books.ask(digest)), Phase.SUCCEEDED, "live is version 2")

    done = deployer("wait", "--digest", digest, "--timeout", "0")
    iam.delete_role_policy(RoleName=role, PolicyName="wait")
    without = deployer("wait", "--digest", digest, "--timeout", "0")

    assert done.returncode == 0, done.stderr
    assert without.returncode == 2
    assert "AccessDenied" in without.stderr
