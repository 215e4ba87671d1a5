"""Draw the fields and the example in docs/events.md: from the schema, and from what the deployer composes.

`make docs` runs it; a test fails when the page is not up to date.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployer.announcement import SOURCE
from deployer.model import Announcement, Artifact, ArtifactKind, Origin
from docs.drawn import redrawn
from tests.fakes import UNHEALTHY, World, image

PAGE = Path(__file__).parent / "events.md"
SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parent / "deployment-event.schema.json").read_text(encoding="utf-8")
)


def page(text: str) -> str:
    """The page with fresh drawings."""
    return redrawn(redrawn(text, "fields", _table()), "example", _example())


def fields() -> Iterator[tuple[str, str, str]]:
    """Path, type and meaning of every field, in the schema's order. What occurs again is shown once."""
    known: dict[str, str] = {}
    for name, field in SCHEMA["properties"].items():
        yield from _described(name, field, known)


def as_delivered(announcement: Announcement) -> dict[str, Any]:
    """The event, without what EventBridge adds by itself."""
    return {
        "source": SOURCE,
        "detail-type": announcement.detail_type,
        "time": f"{announcement.at:%Y-%m-%dT%H:%M:%SZ}",
        "resources": list(announcement.resources),
        "detail": json.loads(announcement.detail),
    }


def example() -> dict[str, Any]:
    """The event about a release that failed its check before users could see it."""
    world = World()
    world.push("good", _made("91bc02" * 6 + "91bc", "GitHub run 4711"))
    world.answers("bad", UNHEALTHY)
    world.push("bad", _made("3f2a91" * 6 + "3f2a", "alice"))
    assert image("bad").digest in world.announcer.announced[-1].detail  # noqa: S101 - or the page shows another
    return as_delivered(world.announcer.announced[-1])


def _made(revision: str, by: str) -> Artifact:
    committed = datetime(2026, 3, 1, 2, 40, tzinfo=UTC)
    origin = Origin(revision, "https://github.com/acme/shuking", committed, by)
    return Artifact(ArtifactKind.IMAGE, "application/vnd.oci.image.manifest.v1+json", "x86_64", 1000, origin)


def _table() -> str:
    lines = ["| field | type | meaning |", "|---|---|---|"]
    lines += [f"| `{path}` | {kind} | {meaning} |" for path, kind, meaning in fields()]
    return "\n".join(lines) + "\n"


def _example() -> str:
    return f"```json\n{json.dumps(example(), indent=2, ensure_ascii=False)}\n```\n"


def _described(path: str, field: dict[str, Any], known: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    name = next((each["$ref"] for each in field.get("oneOf", [field]) if "$ref" in each), None)
    whole = SCHEMA["$defs"][name.rpartition("/")[2]] if name else field
    if name in known:
        yield path, _kind(field, whole), f"{field['description']}; with fields as `{known[name]}`"
        return
    yield path, _kind(field, whole), field["description"]
    if name:
        known[name] = path
    for below, inside in ((path, whole), (f"{path}[]", whole.get("items", {}))):
        for each, described in inside.get("properties", {}).items():
            yield from _described(f"{below}.{each}", described, known)


def _kind(field: dict[str, Any], whole: dict[str, Any]) -> str:
    if "const" in whole:
        return f"`{json.dumps(whole['const'])}`"
    if "enum" in whole:
        return ", ".join(f"`{each}`" for each in whole["enum"])
    kind = whole["type"]
    names = [kind] if isinstance(kind, str) else list(kind)
    names += ["null"] if "oneOf" in field else []
    timely = whole.get("format") == "date-time"
    return " or ".join("time" if timely and name == "string" else name for name in names)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
