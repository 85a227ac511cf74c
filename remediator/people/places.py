"""Whether every place that routes, ladders and digests name is there. Pure; for loading the configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from remediator.people.digests import Digest
from remediator.people.escalation import Escalation
from remediator.people.routes import Routes
from remediator.people.severity import Sev, Severities
from remediator.playbooks.problems import did_you_mean


def unknown_places(
    routes: Routes,
    escalation: Escalation | None,
    digests: Sequence[Digest],
    severities: Severities,
    *,
    services: Collection[str],
    known: Collection[str],
    sources: Collection[str],
    slack: bool,
) -> Iterator[str]:
    """A line for each name that nobody has configured. `services` of the pager, `known` of `channels`."""
    for index, route in enumerate(routes.others):
        for name in route.to:
            if name not in known:
                yield f"routes.others[{index}].to: {name} is not one of `channels`. {_add(name, known)}"
    for where, name in routes.pagerduty.named():
        if name not in services:
            yield f"routes.pagerduty.{where}: no service of pagerduty.services is called {name}. {_add(name, services)}"
    for name in sorted(severities.by_source.keys() - set(sources)):
        yield f"severities.by_source: no source is called {name}. {_hint(name, sources)}"
    if digests and not slack:
        yield "digests: they go to Slack channels, and `slack` is not configured"
    if escalation is not None:
        yield from _of_ladders(routes, escalation, services, known, slack=slack)


def unknown_notified(places: Sequence[str], known: Collection[str], *, slack: bool) -> Iterator[str]:
    """What a playbook's `notify` names and nobody has configured."""
    for index, place in enumerate(places):
        if place.startswith("slack:"):
            if not slack:
                yield f"notify[{index}]: {place} cannot be told, `slack` is not configured"
        elif place not in known:
            yield f"notify[{index}]: {place} is not one of `channels` in the configuration. {_add(place, known)}"


def _of_ladders(
    routes: Routes, escalation: Escalation, services: Collection[str], known: Collection[str], *, slack: bool
) -> Iterator[str]:
    for name in sorted(escalation.others() - set(known)):
        yield f"escalation: {name} is not one of `channels`. {_add(name, known)}"
    for name in sorted(escalation.services() - set(services)):
        yield f"escalation: no service of pagerduty.services is called {name}. {_add(name, services)}"
    if not routes.pagerduty.default_service:
        for sev in Sev:
            last = [where for where in escalation.ladder(sev)[-1].to if where.person]
            if all(where.kind == "page" for where in last):
                yield (
                    f"escalation: the ladder of {sev} ends at `page`, which needs routes.pagerduty.default_service; "
                    "set it, or end at somebody else"
                )
    uses_slack = any(
        w.kind in ("slack", "incident_channel") for sev in Sev for r in escalation.ladder(sev) for w in r.to
    )
    if uses_slack and not slack:
        yield "escalation: a rung calls somebody in Slack, and `slack` is not configured"


def _add(name: str, known: Collection[str]) -> str:
    """The next step where a name can also be added."""
    return _hint(name, known) if known else "Add it there, or remove it here."


def _hint(name: str, known: Collection[str]) -> str:
    return did_you_mean(name, sorted(known))
