"""`schedule:` as a playbook writes it: when it starts without an alert.

    schedule: {cron: "0 2 * * sun#1", zone: Europe/Berlin, catch_up: 2h}

What it means in time, also when clocks change, is told in `remediator.remediation.due_times`.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import field_validator

from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import Duration, Strict, complaint
from remediator.playbooks.windows_model import CronText, Zone

LONGEST_CATCH_UP = timedelta(hours=24)


class Schedule(Strict):
    """Starts whenever `cron` says so on the clocks of `zone`."""

    cron: CronText
    zone: Zone
    catch_up: Duration = timedelta(hours=1)
    """How late it may still start when nobody was there at its time: the latest missed one, never several."""

    @field_validator("zone")
    @classmethod
    def _has_a_zone(cls, value: str) -> str:
        if not value:
            raise complaint("must not be empty", "Use an IANA name such as Europe/Berlin, America/New_York or UTC.")
        return value

    @field_validator("catch_up")
    @classmethod
    def _not_for_ever(cls, value: timedelta) -> timedelta:
        if value > LONGEST_CATCH_UP:
            longest = format_duration(LONGEST_CATCH_UP)
            raise complaint(f"at most {longest}, not {format_duration(value)}", "Let the next time come instead.")
        return value

    @property
    def rule(self) -> str:
        """When, as one text: what has the same text starts at the same times."""
        return f"{self.cron} {self.zone}"
