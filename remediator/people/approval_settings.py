"""`approvals:` and `opsgenie:` in the configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from remediator.people.approvers import CACHE
from remediator.people.references import Approver
from remediator.playbooks.fields import Duration, Strict
from remediator.secret_files import Secret, Section

LONGEST_CACHE = timedelta(minutes=10)
"""For so long somebody may still approve after the shift."""


Lead = Annotated[str, StringConstraints(pattern=r"^[CGDUW][A-Z0-9]{2,}$")]
"""A Slack channel's or member's ID."""


class BreakGlass(Strict):
    """One person, with a reason, in place of the quorum. Without this section nobody can."""

    who: tuple[Approver, ...] = Field(min_length=1)
    leads: tuple[Lead, ...] = Field(min_length=1)
    """Who is told of it at once, in Slack."""


class Opsgenie(Section):
    """To read who is on call."""

    api_key: Secret
    url: str = Field("https://api.opsgenie.com", pattern=r"^https?://")
    """`https://api.eu.opsgenie.com` for accounts in the EU."""


class ApprovalSettings(Strict):
    cache: Annotated[Duration, Field(ge=timedelta(0), le=LONGEST_CACHE)] = CACHE
    """How long it is remembered who is on call and who is in a group."""
    break_glass: BreakGlass | None = None
