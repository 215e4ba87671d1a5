"""What is built from the template is refused when it would not run on Lambda."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_package import Unusable, main

HANDLER = "part.handler.on_event"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as `sam build` leaves it, with one function that uses what the runtime brings."""
    (tmp_path / "template.yaml").write_text(f"""
        Resources:
          Function: {{Type: AWS::Serverless::Function, Properties: {{CodeUri: Function, Handler: {HANDLER}}}}}
          Image: {{Type: AWS::Serverless::Function, Properties: {{PackageType: Image}}}}
          Topic: {{Type: AWS::SNS::Topic}}
    """)
    (tmp_path / "Function/part").mkdir(parents=True)
    write(tmp_path, "import six\n\n\ndef on_event(event, context): ...\n")
    return tmp_path


def write(built: Path, code: str) -> None:
    (built / "Function/part/handler.py").write_text(code)


def test_a_usable_package_is_told_with_its_size(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(built, ["six"])

    assert capsys.readouterr().out == f"Function: 0.0 MB unpacked, {HANDLER} can be called\n"
    assert not list(built.rglob("__pycache__"))


def test_what_only_people_need_is_not_there(built: Path) -> None:
    write(built, "import click\n\n\ndef on_event(event, context): ...\n")

    with pytest.raises(Unusable, match="No module named 'click'"):
        main(built, ["six"])


def test_what_the_runtime_does_not_bring_is_not_there(built: Path) -> None:
    with pytest.raises(Unusable, match="No module named 'six'"):
        main(built, [])


def test_nothing_of_this_checkout_is_there(built: Path) -> None:
    write(built, "import deployer\n\n\ndef on_event(event, context): ...\n")

    with pytest.raises(Unusable, match="No module named 'deployer'"):
        main(built, ["six"])


@pytest.mark.parametrize("code", ["", "on_event = 1"], ids=["missing", "no function"])
def test_a_handler_that_cannot_be_called_is_named(built: Path, code: str) -> None:
    write(built, code)

    with pytest.raises(Unusable, match=r"part\.handler has no function on_event"):
        main(built, ["six"])


@pytest.mark.parametrize("name", ["click", "rich", "moto", "boto3"])
def test_a_package_with_more_than_it_needs_is_refused(built: Path, name: str) -> None:
    (built / "Function" / name).mkdir()

    with pytest.raises(Unusable, match=f"holds {name}"):
        main(built, ["six"])


def test_a_template_without_functions_is_refused(built: Path) -> None:
    (built / "template.yaml").write_text("Resources: {}")

    with pytest.raises(Unusable, match="has no function"):
        main(built, ["six"])
