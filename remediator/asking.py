"""What people start themselves: a playbook, without an alert. Whoever asks (API, Slack, CLI)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog

from remediator import views
from remediator.deciding import Deciding
from remediator.people.account import Account
from remediator.remediation.aim import Start
from remediator.remediation.starting import (
    CannotSeeYet,
    CannotStart,
    NoSuchPlaybook,
    NotForPeople,
    StartedOtherwise,
    Starter,
    Wish,
    parse_target,
)
from remediator.service_errors import InvalidRequest, NotAllowed, NotNow, ServiceError, UnknownId
from remediator.stopping import View, said_in_a_line

log = structlog.get_logger()

_REFUSALS: Mapping[type[CannotStart], tuple[type[ServiceError], str]] = {
    NoSuchPlaybook: (UnknownId, "See what there is: remediator playbooks"),
    NotForPeople: (NotAllowed, "Ask its owner, or do it by hand."),
    CannotSeeYet: (NotNow, "Nothing was started. Try again in a moment."),
    StartedOtherwise: (NotNow, "Use another key for another request."),
    CannotStart: (InvalidRequest, "Nothing was started."),
}
"""How each refusal is answered; the first that fits."""


class Asking(Deciding):
    """People's half of the service, with what they may start. Without a `starter` that is nothing."""

    def __init__(self, *, starter: Starter | None = None, **others: Any) -> None:
        super().__init__(**others)
        self._starter = starter

    async def run(
        self,
        playbook: str,
        who: Account,
        *,
        target: str = "",
        cluster: str = "",
        params: Mapping[str, str] = MappingProxyType({}),
        why: str = "",
        key: str = "",
    ) -> View:
        """Start a playbook without an alert; it is durable when this returns. Whoever asked cannot approve it.

        Raises: InvalidRequest, NotAllowed (no operator, or it is not for people), UnknownId (no such playbook), NotNow
        (cannot be read just now; the key is another's).
        """
        said = said_in_a_line(why, "reason")
        name = await self._check_operator(who)
        if self._starter is None:
            raise NotNow("this service starts nothing")
        if cluster and cluster not in self._clusters:
            raise InvalidRequest(f"no cluster is called {cluster!r}", advice=f"Known: {', '.join(self._clusters)}.")
        try:
            start = Start(target=parse_target(target) if target else None, cluster=cluster, params=params)
            wish = Wish(playbook=playbook, who=name, account=who.key, start=start, why=said, key=key)
            r = await self._starter.by_person(wish)
        except CannotStart as exc:
            kind, advice = next(found for of, found in _REFUSALS.items() if isinstance(exc, of))
            raise kind(str(exc), advice=advice) from exc
        log.info("person_started", remediation=r.id, playbook=playbook, who=name, account=who.key)
        about = f" on {r.target}" if r.target else ""
        return {"message": f"Accepted as {r.id}: {playbook}{about}.", "remediation": views.summary(r)}
