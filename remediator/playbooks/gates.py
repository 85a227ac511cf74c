"""What a step through Git waits for, though nobody has written it down: that people merge it. Pure.

    - {action: scale, with: {...}, via: pr}
    - {check: {pull_request: {}}}           # this is added, unless it is there

The checks of the playbook are about a change that has been made, so they are asked after that.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

from remediator.playbooks.fields import Duration, parse_duration
from remediator.playbooks.model import Check, Playbook, Step, Verify

PULL_REQUEST = "pull_request"
MERGED_WITHIN = timedelta(hours=2)
SHORTEST, LONGEST = timedelta(minutes=5), timedelta(hours=12)


def _in_bounds(value: timedelta) -> timedelta:
    if not SHORTEST <= value <= LONGEST:
        raise ValueError("within is between 5m and 12h: its target stays locked for as long")
    return value


Within = Annotated[Duration, AfterValidator(_in_bounds)]
"""How long people have to merge it."""


def with_gates(spec: Playbook) -> Playbook:
    """The playbook as it is run."""
    steps: list[Step] = []
    for index, step in enumerate(spec.steps):
        steps.append(step)
        following = spec.steps[index + 1].check if index + 1 < len(spec.steps) else None
        if step.via == "pr" and (following is None or following.kind != PULL_REQUEST):
            steps.append(Step(check=Check(kind=PULL_REQUEST)))
    return spec if len(steps) == len(spec.steps) else spec.model_copy(update={"steps": tuple(steps)})


def gate_lasts(check: Check, verify: Verify) -> timedelta:
    """How long a gate is waited for."""
    if check.kind != PULL_REQUEST:
        return verify.timeout
    return parse_duration(check.args.get("within", MERGED_WITHIN))
