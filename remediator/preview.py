"""`explain`: what would happen now with this alert, and what would have to change. Plans and guards for real, acts
never."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from remediator import views
from remediator.alerts.source import Source
from remediator.alerts.webhook import parse_webhook
from remediator.guardrails.verdict import Answer, gravest
from remediator.limit_views import limit_views
from remediator.objects import ObjectRef
from remediator.playbooks.catalog import Catalog
from remediator.remediation.assembly import Core
from remediator.remediation.decide import decide
from remediator.remediation.events import Chosen, NoneChosen
from remediator.remediation.journal import AlertRecord
from remediator.remediation.places import place_of
from remediator.remediation.state import Candidate, Remediation, State

WOULD = {
    State.OBSERVED: "observe only",
    State.DENIED: "deny",
    State.SUPERSEDED: "do nothing: its alert is proven quiet",
    State.SUGGESTED: "suggest only",
    State.HELD: "hold, and look again",
    State.AWAITING_APPROVAL: "ask for approval",
    State.RESERVED: "act",
    State.ESCALATED: "hand over to a person",
}


class Preview:
    """Walks one alert through choosing, planning and guarding, and stops before anything is written.

    `sources` are the senders as they are configured: what one of them forces on its alerts decides about environments.
    """

    def __init__(self, core: Core, catalog: Callable[[], Catalog], sources: Sequence[Source] = ()) -> None:
        self._core = core
        self._catalog = catalog
        self._sources = {source.name: source for source in sources}

    async def explain(self, alert: dict[str, Any]) -> dict[str, Any]:
        """`alert` as in a webhook, with the `cluster` and `source` that it would come from. Raises: InvalidWebhook,
        JournalUnavailable."""
        clock = self._core.ports.clock
        now = clock.now()
        cluster = str(alert.get("cluster") or next(iter(self._core.ports.clusters)))
        body = {k: v for k, v in alert.items() if k not in ("cluster", "source")}
        name = str(alert.get("source") or "explain")
        source = self._sources.get(name) or Source(name=name, cluster=cluster)
        webhook = parse_webhook(orjson.dumps({"version": "4", "alerts": [body]}), source=source)
        parsed = webhook.alerts[0]
        record = AlertRecord(id="preview", alert=parsed, first_seen=now, last_seen=now)
        entries = self._catalog().candidates(parsed)
        answer: dict[str, Any] = {
            "alert": {"annotations": {}, **body, "endsAt": body.get("endsAt") if parsed.ends_at else None},
            "candidates": [e.name for e in entries],
            "not_chosen": [],
            "remediation": None,
            "acts": False,
            "environment": "",
            "limits": [],
        }
        if not entries:
            refused = "; ".join(map(str, self._catalog().refused(parsed)))
            return answer | {"would": "nothing", "explanation": refused or "no loaded playbook matches its labels"}
        r = Remediation(
            id="r-preview",
            episode="",
            cluster=parsed.cluster,
            target=None,
            root=ObjectRef("Alert", "", parsed.fingerprint),
            created_at=now,
            state=State.RECEIVED,
            since=now,
            due=now,
            alerts=("preview",),
            severity=parsed.severity,
            candidates=tuple(Candidate(playbook=e.name, alert_id="preview") for e in entries),
        )
        event = await self._core.chooser.choose(r, [record])
        decision = decide(r, event, now)
        if isinstance(event, NoneChosen):
            return answer | {"would": "nothing", "explanation": event.reason}
        if isinstance(event, Chosen):
            r = decision.remediation
            made = await self._core.planner.plan(r, [record])
            decision = decide(r, made, clock.now())
            answer["not_chosen"] = list(event.not_chosen)
            answer["environment"] = r.environment
            answer["limits"] = self._limits(r)
        planned = decision.remediation
        answer["remediation"] = views.remediation(planned)
        answer["would"] = WOULD.get(planned.state, planned.state.value)
        answer["explanation"] = planned.reason
        answer["acts"] = planned.state in (State.RESERVED, State.AWAITING_APPROVAL)
        answer["gravest"] = gravest(planned.verdicts).value if planned.verdicts else Answer.PASS.value
        return answer

    def _limits(self, r: Remediation) -> list[dict[str, Any]]:
        """Of the playbook as it is written, not as it is in force."""
        settings, loaded = self._core.settings, self._catalog().get(r.playbook)
        if loaded is None:
            return []
        return limit_views(loaded.playbook, settings.policy, place_of(r, settings.projects))
