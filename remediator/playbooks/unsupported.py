"""What the language has room for and the service does not do yet: said at load, so that nobody waits for it in vain."""

from __future__ import annotations

from remediator.playbooks.model import Playbook


def unsupported(playbook: Playbook) -> tuple[str, ...]:
    """A line for each; empty when everything the playbook says has an effect."""
    found = []
    if playbook.match is not None and playbook.match.status == "resolved":
        found.append("match.status: resolved alerts start nothing yet; remove it")
    for index, step in enumerate(playbook.steps):
        if step.repeatable:
            found.append(
                f"steps[{index}].repeatable: every action there is can be proved, so nothing is repeated; remove it"
            )
    return tuple(found)
