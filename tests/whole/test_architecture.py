"""The architecture is changed before anything was released: docs/deploying.md, "Change the architecture"."""

from __future__ import annotations

from deployer import placeholder
from deployer.model import Phase
from sandbox.building import images
from sandbox.server import Sandbox
from tests.whole.team import SERVICE, Team


def test_the_old_architectures_placeholder_stays_a_placeholder(sandbox: Sandbox) -> None:
    team = Team(sandbox, "rebuilt")
    team.deploy(Architecture="arm64")

    wrong = team.release(team.build("for the old architecture"))
    right = team.release(
        images.build(SERVICE, build_args={"REVISION": "for the new one"}, architecture="arm64")
    )

    assert wrong.phase is Phase.REJECTED
    assert right.phase is Phase.SUCCEEDED
    assert any("nothing to go back to" in warning for warning in right.warnings)
    assert not set(placeholder.digests()) & {team.tags().get("live"), team.tags().get("previous")}
