"""What a playbook names and this installation does not have. The service refuses to load it, `check` says so before."""

from __future__ import annotations

from collections.abc import Iterator

from remediator.channel_config import no_change_gate
from remediator.config import Config
from remediator.freeze_calendars import unknown_calendars
from remediator.people.places import unknown_notified
from remediator.people.references import nobody_behind
from remediator.playbooks.model import Playbook


def not_here(playbook: Playbook, config: Config) -> Iterator[str]:
    """A line for each, beginning with its field: calendars, approvers, who looks changes up, who else is told."""
    yield from unknown_calendars(playbook.guardrails.windows, config.calendars, "guardrails.windows")
    yield from nobody_behind("approval.approvers", playbook.approval.approvers, config.approvers)
    yield from no_change_gate(playbook.approval.change, config.change_gate)
    yield from unknown_notified(playbook.notify, config.other_places, slack=config.slack is not None)
