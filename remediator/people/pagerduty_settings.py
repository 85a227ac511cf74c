"""`pagerduty:` in the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field, model_validator

from remediator.people.join import Join
from remediator.secret_files import Secret, Section

EMAIL = r"^[^@\s<>,;\"]+@[^@\s<>,;\"]+$"


class PagerDutyApi(Section):
    """The REST API: to find incidents and to write notes on them."""

    token: Secret
    """An API key of the account (not read-only), or of the user below."""
    from_email: str = Field(pattern=EMAIL, max_length=254)
    """A user of the account; the notes are signed with it."""
    url: str = Field("https://api.pagerduty.com", pattern=r"^https?://")


class PagerDutyWebhooks(Section):
    """Webhook subscriptions (v3) that lead to `POST /webhooks/pagerduty`."""

    secrets: tuple[Secret, ...] = Field(min_length=1)
    """One for each subscription; and, while it is being replaced, the old one and the new one."""


class PagerDuty(Section):
    """Routing keys by the name of the service; `routes.pagerduty` says which story goes to which."""

    services: Mapping[str, Secret] = Field(min_length=1)
    url: str = Field("https://events.pagerduty.com", pattern=r"^https?://")
    api: PagerDutyApi | None = None
    webhook: PagerDutyWebhooks | None = None
    join: Join | None = None

    @model_validator(mode="after")
    def _consistent(self) -> PagerDuty:
        if self.join is None:
            return self
        if self.api is None and self.webhook is None and not self.join.service:
            raise ValueError("join: needs pagerduty.api, to write notes on those incidents")
        if self.join.service and self.join.service not in self.services:
            raise ValueError(f"join.service: {self.join.service!r} is none of services: {', '.join(self.services)}")
        return self

    def join_objection(self, forced: Sequence[str]) -> str:
        """Why `join` cannot work with labels that the sources write themselves; empty when it can."""
        return self.join.objection(forced) if self.join else ""
