"""`channels:`, `grafana:` and `tracing:` in the configuration: where messages go besides Slack and PagerDuty."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from remediator.people.beside import DashboardMatch
from remediator.people.severity import SevName
from remediator.playbooks.fields import Duration
from remediator.secret_files import Secret, Section

ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Timeout = Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(seconds=25))]
"""Below the 30 s after which the outbox cuts a delivery off."""


class Reached(Section):
    """A server that we send to over HTTPS."""

    url: str = Field(pattern=r"^https?://[^/\s]")
    ca: Path | None = None
    """The certificate authority, where it is not one that everybody knows."""
    insecure: bool = False
    """Allow http: whoever is on the way can read along and answer in its place."""

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if self.url.startswith("http:") and not self.insecure and not _on_this_machine(self.url):
            raise ValueError("url is http, so anybody on the way can read along; use https, or write insecure: true")
        return self


def _on_this_machine(url: str) -> bool:
    host = url.removeprefix("http://").partition("/")[0].rpartition("@")[2]
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    return name in ("localhost", "127.0.0.1", "::1")


class AppriseChannel(Section):
    """One of the services that the library apprise knows: e-mail, Teams, Telegram, Mattermost and many more."""

    url: Secret
    """The service's apprise URL, which holds its password or token and is therefore a secret as a whole."""
    timeout: Timeout = timedelta(seconds=20)


class WebhookChannel(Reached):
    """A program of yours, or a status page."""

    secret: Secret | None = None
    """What the signature is made with."""
    headers: Mapping[str, Secret] = Field(default_factory=dict)
    """Credentials of a receiver that checks no signature."""
    template: Any = None
    """The body, where it is not ours to choose: `${...}` in its texts is filled in."""
    timeout: Timeout = timedelta(seconds=10)

    @model_validator(mode="after")
    def _authenticated(self) -> Self:
        if self.secret is None and not self.headers:
            raise ValueError(
                "give secret, so that the receiver knows our messages from others, or headers with its credentials"
            )
        return self


class JiraChannel(Reached):
    kind: Literal["jira"]
    project: str = Field(pattern=r"^[A-Z][A-Z0-9_]{1,30}$")
    type: str = "Task"
    user: str = ""
    """Jira Cloud: the account's e-mail address; `token` is its API token then, else a personal access token."""
    token: Secret
    priorities: Mapping[SevName, str] = Field(default_factory=dict)
    """Our severity to a priority's name."""
    owners: Mapping[str, str] = Field(default_factory=dict)
    """A playbook's owner to an assignee: an account id in Jira Cloud, a user name elsewhere."""
    fields: Mapping[str, Any] = Field(default_factory=dict)
    """Further fields, as Jira's API takes them."""


class ServiceNowChannel(Reached):
    kind: Literal["servicenow"]
    table: Literal["incident", "change_request"] = "incident"
    user: str = Field(min_length=1)
    token: Secret
    """The user's password."""
    priorities: Mapping[SevName, Annotated[int, Field(ge=1, le=3)]] = Field(default_factory=dict)
    """Our severity to urgency and impact, 1 to 3."""
    owners: Mapping[str, str] = Field(default_factory=dict)
    """A playbook's owner to an assignment group."""
    fields: Mapping[str, Any] = Field(default_factory=dict)


class GitHubChannel(Reached):
    kind: Literal["github"]
    url: str = Field("https://api.github.com", pattern=r"^https?://[^/\s]")
    repo: str = Field(pattern=r"^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$")
    token: Secret
    labels: tuple[str, ...] = ("remediator",)
    owners: Mapping[str, str] = Field(default_factory=dict)
    """A playbook's owner to a login."""


class ChangeGate(Reached):
    """Where changes are looked up that a playbook's `approval.change: required` asks for."""

    kind: Literal["servicenow"]
    user: str = Field(min_length=1)
    token: Secret
    """The user's password."""
    states: tuple[str, ...] = Field(("-1",), min_length=1)
    """ServiceNow's values of the states in which work may be done; -1 is Implement."""


TicketChannel = Annotated[JiraChannel | ServiceNowChannel | GitHubChannel, Field(discriminator="kind")]


def no_change_gate(change: str, gate: ChangeGate | None) -> tuple[str, ...]:
    """Why a playbook cannot be loaded that asks for a change."""
    wanting = change == "required" and gate is None
    return ("approval.change: nobody can look changes up; set change_gate in the configuration",) if wanting else ()


class Channel(Section):
    """One named destination: exactly one of the three."""

    apprise: AppriseChannel | None = None
    webhook: WebhookChannel | None = None
    ticket: TicketChannel | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(part is not None for part in (self.apprise, self.webhook, self.ticket)) != 1:
            raise ValueError("give exactly one of apprise, webhook, ticket")
        return self

    @property
    def carried_by(self) -> Literal["apprise", "webhook", "ticket"]:
        """The outbox channel."""
        return "apprise" if self.apprise else "webhook" if self.webhook else "ticket"


class Dashboard(DashboardMatch):
    """Where annotations about some targets are drawn. Every field that is given must match; `*` is a wildcard."""


class GrafanaConfig(Reached):
    token: Secret
    """Of a service account that may write annotations."""
    dashboards: tuple[Dashboard, ...] = ()
    """Without a match the annotation belongs to no dashboard and is found by its tags."""


class TracingConfig(Section):
    """Traces over OTLP/HTTP; needs the optional extra `remediator[otel]`."""

    endpoint: str = Field(pattern=r"^https?://[^/\s]")
    """With its path: `http://collector:4318/v1/traces`."""
    headers: Mapping[str, Secret] = Field(default_factory=dict)
