"""From the configuration to the carriers of every channel that is neither Slack nor PagerDuty."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import assert_never
from urllib.parse import urlsplit

from remediator.adapters.apprise_chat import AppriseCarrier, Mailbox
from remediator.adapters.grafana import GrafanaCarrier
from remediator.adapters.json_api import Endpoint
from remediator.adapters.json_out import Headers, JsonOut, basic, bearer, no_headers, trusting
from remediator.adapters.tickets.carrier import PATIENT, TicketCarrier, TicketSystem
from remediator.adapters.tickets.changes import ServiceNowChanges
from remediator.adapters.tickets.github import HEADERS, GitHub
from remediator.adapters.tickets.jira import Jira
from remediator.adapters.tickets.servicenow import ServiceNow
from remediator.adapters.webhook_out import Hook, WebhookCarrier
from remediator.channel_config import (
    AppriseChannel,
    ChangeGate,
    Channel,
    GitHubChannel,
    GrafanaConfig,
    JiraChannel,
    Reached,
    ServiceNowChannel,
    WebhookChannel,
)
from remediator.people.carrier import Carrier
from remediator.ports import Clock
from remediator.secret_files import Secret

JIRA_CLOUD = ".atlassian.net"

Close = Callable[[], Awaitable[None]]


def connect_channels(
    channels: Mapping[str, Channel], grafana: GrafanaConfig | None, clock: Clock
) -> tuple[dict[str, Carrier], list[Close]]:
    """Carriers of what is configured, by the channel of their rows, and how to close them. Nothing is sent yet.

    Raises: InvalidConfig, naming a secret or certificate that cannot be read.
    """
    boxes = {n: _mailbox(c.apprise) for n, c in channels.items() if c.apprise}
    hooks = {n: _hook(n, c.webhook) for n, c in channels.items() if c.webhook}
    systems = {n: _system(n, c.ticket) for n, c in channels.items() if c.ticket}
    carriers: dict[str, Carrier] = {}
    closing: list[Close] = []
    if boxes:
        carriers["apprise"] = letters = AppriseCarrier(boxes)
        closing.append(letters.close)
    if hooks:
        carriers["webhook"] = calls = WebhookCarrier(hooks, clock)
        closing.append(calls.close)
    if systems:
        carriers["ticket"] = tickets = TicketCarrier(systems)
        closing.append(tickets.close)
    if grafana is not None:
        carriers["grafana"] = drawn = GrafanaCarrier(_out("Grafana", grafana, bearer(_checked(grafana.token))))
        closing.append(drawn.close)
    return carriers, closing


def _mailbox(where: AppriseChannel) -> Mailbox:
    return Mailbox(_checked(where.url), where.timeout.total_seconds())


def connect_changes(where: ChangeGate) -> ServiceNowChanges:
    """Raises: InvalidConfig."""
    tls = trusting(where.ca, "change_gate")
    endpoint = Endpoint(
        name="ServiceNow",
        url=where.url,
        user=where.user,
        password=_checked(where.token),
        ssl=tls if isinstance(tls, ssl.SSLContext) else None,
    )
    return ServiceNowChanges(endpoint, where.states)


def _checked(secret: Secret) -> Callable[[], str]:
    """The secret's reader, once it has been read. Raises: InvalidConfig."""
    secret.read()
    return secret.read


def _out(name: str, where: Reached, login: Headers, **more: object) -> JsonOut:
    return JsonOut(name, where.url, login=login, tls=trusting(where.ca, name), **more)  # type: ignore[arg-type]


def _hook(name: str, where: WebhookChannel) -> Hook:
    readers = {header: _checked(secret) for header, secret in where.headers.items()}
    login: Headers = (lambda: {header: read() for header, read in readers.items()}) if readers else no_headers
    out = _out(f"webhook {name}", where, login, timeout_s=where.timeout.total_seconds())
    return Hook(out, _checked(where.secret) if where.secret else None, where.template)


def _system(name: str, where: JiraChannel | ServiceNowChannel | GitHubChannel) -> TicketSystem:
    token = _checked(where.token)
    match where:
        case JiraChannel():
            login = basic(where.user, token) if where.user else bearer(token)
            return Jira(
                _out(f"Jira {name}", where, login, patient=PATIENT),
                project=where.project,
                issue_type=where.type,
                cloud=(urlsplit(where.url).hostname or "").endswith(JIRA_CLOUD),
                owners=where.owners,
                priorities={sev.value: shown for sev, shown in where.priorities.items()},
                fields=where.fields,
            )
        case ServiceNowChannel():
            return ServiceNow(
                _out(f"ServiceNow {name}", where, basic(where.user, token), patient=PATIENT),
                table=where.table,
                owners=where.owners,
                priorities={sev.value: weight for sev, weight in where.priorities.items()},
                fields=where.fields,
            )
        case GitHubChannel():
            out = _out(f"GitHub {name}", where, bearer(token), headers=HEADERS, patient=PATIENT)
            return GitHub(out, repo=where.repo, labels=where.labels, owners=where.owners)
        case _:
            assert_never(where)
