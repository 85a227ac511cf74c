"""From `pagerduty:` in the configuration to everything that talks to PagerDuty."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from remediator.adapters.pagerduty import PagerDuty
from remediator.adapters.pagerduty_rest import PagerDutyRest
from remediator.people.carrier import Carrier
from remediator.people.carriers.pagerduty import PagerDutyCarrier
from remediator.people.carriers.pagerduty_change import CHANNEL as CHANGES
from remediator.people.carriers.pagerduty_change import ChangeCarrier
from remediator.people.carriers.pagerduty_join import Groups, JoinedResolveCarrier
from remediator.people.carriers.pagerduty_note import NoteCarrier
from remediator.people.incidents import JOINED_RESOLVE, NOTES
from remediator.people.pagerduty_settings import PagerDuty as Settings
from remediator.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """Nothing is sent yet. `incidents` is None where `pagerduty.api` is not configured."""

    services: Mapping[str, PagerDuty]
    carriers: Mapping[str, Carrier]
    """By the channel of their rows in the outbox."""
    incidents: PagerDutyRest | None
    closing: tuple[Callable[[], Awaitable[None]], ...]


def connect_pagerduty(settings: Settings, clock: Clock, groups: Groups | None) -> Connected:
    """`groups`: Alertmanager, where it is configured. Raises: InvalidConfig, naming a secret that cannot be read."""
    keys = {name: key.read() for name, key in settings.services.items()}
    token = settings.api.token.read() if settings.api else ""
    services = {name: PagerDuty(key, endpoint=settings.url) for name, key in keys.items()}
    carriers: dict[str, Carrier] = {"pagerduty": PagerDutyCarrier(services), CHANGES: ChangeCarrier(services)}
    rest = None
    if settings.api is not None:
        rest = PagerDutyRest(token, settings.api.from_email, clock, url=settings.api.url)
        carriers[NOTES] = NoteCarrier(rest)
    if settings.join is not None and settings.join.service and groups is not None:
        carriers[JOINED_RESOLVE] = JoinedResolveCarrier(services, groups, clock)
    closing = (*(service.close for service in services.values()), *((rest.close,) if rest else ()))
    return Connected(services=services, carriers=carriers, incidents=rest, closing=closing)
