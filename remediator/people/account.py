"""Who somebody is to an outside system, as that system vouches for it at the moment of the click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

System = Literal["api", "slack", "pagerduty", "opsgenie"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account. Its identity is (system, team, id); `name` is only shown, anybody can call himself anything."""

    system: System
    id: str
    """Slack: the user id. API: the name of the token. PagerDuty: the user id. Opsgenie: the user name."""
    team: str = ""
    """Slack: `T…`, or `E…/T…` in an enterprise grid. Empty elsewhere."""
    name: str = ""
    role: str = ""
    """API: the role of the token, which bounds what it can be used for. Empty elsewhere."""
    via: str = "api"
    """How the word came: api, cli, console, slack, pagerduty; for the record."""

    @property
    def key(self) -> str:
        """`slack:T1/U1`, `api:ann`; what quorum counts where the configuration names no person.

        In an enterprise grid a user has one id in all workspaces, so the grid stands in it and not the workspace:
        a click from another workspace is no second person.
        """
        team = self.team.partition("/")[0]
        return f"{self.system}:{team}/{self.id}" if team else f"{self.system}:{self.id}"
