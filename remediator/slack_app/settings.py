"""`slack:` of the configuration: how we speak, and how clicks come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from remediator.secret_files import Secret, Section

InstanceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,63}$")]


def _several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Secrets = Annotated[tuple[Secret, ...], BeforeValidator(_several)]
"""One, or several that are all valid, so that they can be rotated without a gap."""


class RelayTarget(Section):
    """Another installation that we forward its clicks to. `secret` signs them; it has the same one in `accept`."""

    url: str = Field(pattern=r"^https?://")
    """Its base address; `/webhooks/slack/relay` is added."""
    secret: Secret


class Relay(Section):
    """One Slack app for several installations: the one that Slack talks to forwards what belongs to the others."""

    instances: Mapping[InstanceName, RelayTarget] = Field(default_factory=dict)
    accept: Secrets = ()
    """What forwarded clicks are signed with, where this installation is one of the others."""


class Slack(Section):
    """The bot token is enough to post. For buttons `signing_secret` (Slack calls us) or `app_token` (we call Slack)."""

    token: Secret
    url: str = "https://slack.com/api/"
    app_id: Annotated[str, StringConstraints(pattern=r"^(A[A-Z0-9]{2,})?$")] = ""
    """Of the app ("Basic Information"); a click that was made in another one is refused."""
    team: Annotated[str, StringConstraints(pattern=r"^(T[A-Z0-9]{2,})?$")] = ""
    """The workspace that clicks may come from."""
    enterprise: Annotated[str, StringConstraints(pattern=r"^(E[A-Z0-9]{2,})?$")] = ""
    """In an enterprise grid: clicks may come from every workspace of it."""
    signing_secret: Secrets = ()
    app_token: Secret | None = None
    """`xapp-…` with connections:write: Socket Mode, no public address needed."""
    relay: Relay = Relay()

    @property
    def interactive(self) -> bool:
        """Whether clicks can reach us."""
        return bool(self.signing_secret or self.app_token or self.relay.accept)

    @model_validator(mode="after")
    def _whose_clicks(self) -> Self:
        if self.interactive:
            for name, said in (("app_id", self.app_id), ("team", self.team)):
                if not said:
                    raise ValueError(f"slack.{name}: needed to tell our clicks from others; see docs/slack.md, step 2")
        if self.relay.instances and not (self.signing_secret or self.app_token):
            raise ValueError("slack.relay.instances: nothing to forward without signing_secret or app_token")
        return self
