"""A failing plan made short: whatever can go while the same promise is still broken goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from deployer.model import short
from tests.fakes import image
from tests.simulation.invariants import Violation
from tests.simulation.plan import HEALTHY, Plan, as_test, draw
from tests.simulation.world import run


def shrink(plan: Plan) -> Plan:
    """The smallest plan that was found which breaks the same invariant. `plan` itself must break one."""
    violation = run(plan).violation
    if violation is None:
        raise ValueError(f"the plan of seed {plan.seed} breaks nothing")
    invariant = violation.invariant
    while True:
        for smaller in _smaller(plan):
            broken = run(smaller).violation
            if broken and broken.invariant == invariant:
                plan = smaller
                break
        else:
            return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with one thing less, or one thing simpler."""
    for fault in plan.faults:
        yield replace(plan, faults=tuple(each for each in plan.faults if each != fault))
    for stimulus in plan.stimuli:
        yield replace(plan, stimuli=tuple(each for each in plan.stimuli if each != stimulus))
    for name in plan.images:
        if plan.images[name] != HEALTHY:
            yield replace(plan, images=plan.images | {name: HEALTHY})
        if not any(stimulus.image == name for stimulus in plan.stimuli):
            yield replace(plan, images={other: how for other, how in plan.images.items() if other != name})
    bare = Plan(plan.seed, ())
    for each in ("begins_with", "first_sweep", "lifetime"):
        if getattr(plan, each) != getattr(bare, each):
            yield replace(plan, **{each: getattr(bare, each)})
    for number, stimulus in enumerate(plan.stimuli):
        for field in ("at", "pushed", "until"):
            rounded = round(getattr(stimulus, field), 1)
            if rounded != getattr(stimulus, field):
                simpler = replace(stimulus, **{field: rounded})
                yield replace(plan, stimuli=(*plan.stimuli[:number], simpler, *plan.stimuli[number + 1 :]))


def story(plan: Plan) -> str:
    """What happens in a plan, line by line: seconds, who, what."""
    lines: list[str] = []
    run(plan, lines.append)
    return named(plan, "\n".join(lines))


def named(plan: Plan, text: str) -> str:
    """The text with images by their names instead of their digests."""
    pushed = (stimulus.image for stimulus in plan.stimuli if stimulus.image)
    for name in dict.fromkeys((*plan.images, *pushed, "base", "placeholder")):
        text = text.replace(short(image(name).digest), f'"{name}"').replace(image(name).digest, f'"{name}"')
    return text


def explained(number: int, violation: Violation) -> str:
    """What did not hold in a schedule, the shortest story of it that was found, and a test of it."""
    plan = shrink(draw(number))
    found = named(plan, str(run(plan).violation))
    return "\n".join(
        [
            f"schedule {number} breaks {named(draw(number), str(violation))}",
            "",
            f"The shortest story that was found breaks {found}",
            "",
            story(plan),
            "",
            "As a test, for tests/simulation/test_found.py:",
            "",
            as_test(plan, f"schedule_{number}", found),
        ]
    )
