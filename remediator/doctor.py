"""`doctor`: is everything there that the service needs, and what to do where it is not. Asks each dependency once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Protocol

import structlog

from remediator.errors import JournalUnavailable, RemediatorError
from remediator.people.outbox_rows import Letters
from remediator.ports import ChatError, Clock, Cluster, Queries, Reachable, Silences
from remediator.remediation.journal import Journal

log = structlog.get_logger()

PATIENCE_S = 10.0
"""For each question; they are asked side by side."""
SKEW = timedelta(seconds=5)
"""Between our clock and an API server's, whose answer has whole seconds."""
LATE = timedelta(minutes=15)
"""A message that waits longer has a problem."""
LETTERS_SINCE = timedelta(hours=24)
_MOST_RIGHTS = 50
"""Questions to one API server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One answer. `ok` None: it could not be tried, which is no problem by itself. `next` is the next step."""

    check: str
    ok: bool | None
    said: str
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """What an action writes: a verb on a kind, in a namespace (empty: all)."""

    verb: str
    kind: str
    namespace: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        what = f"{self.kind}/{self.subresource}" if self.subresource else self.kind
        return f"{self.verb} {what}" + (f" in {self.namespace}" if self.namespace else "")


class Scoped(Protocol):
    """A chat that tells what its token may do."""

    async def scopes(self) -> frozenset[str]:
        """Raises: ChatError."""
        ...


Check = Callable[[], Awaitable[Finding]]


class Doctor:
    """`reach`: what can be tried without disturbing anybody, by name. `rights`: what the loaded playbooks write in a
    cluster. `scopes`: what the configuration needs of the chat, each with what for. `more`: checks of others."""

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        clusters: Mapping[str, Cluster],
        queries: Queries | None = None,
        silences: Silences | None = None,
        reach: Mapping[str, Reachable] | None = None,
        chat: Scoped | None = None,
        scopes: Callable[[], Mapping[str, str]] = dict,
        rights: Callable[[str], Iterable[Right]] = lambda cluster: (),
        more: Mapping[str, Check] | None = None,
    ) -> None:
        self._journal, self._clock, self._clusters = journal, clock, clusters
        self._queries, self._silences = queries, silences
        self._reach = dict(reach or {})
        self._chat, self._scopes, self._rights = chat, scopes, rights
        self._more = dict(more or {})
        self._turn = asyncio.Lock()

    async def examine(self) -> dict[str, Any]:
        """`{"ok": bool, "findings": [...]}`. Never raises: what fails is a finding. One examination at a time."""
        async with self._turn:
            answers = await asyncio.gather(*(self._ask(name, check) for name, check in self._checks().items()))
            letters = await self._letters()
        findings = [*answers, *letters]
        return {"ok": all(f.ok is not False for f in findings), "findings": [asdict(f) for f in findings]}

    def _checks(self) -> dict[str, Check]:
        checks: dict[str, Check] = {"store": self._store}
        for name, cluster in self._clusters.items():
            checks[f"cluster {name}"] = lambda c=cluster: self._cluster(c)  # type: ignore[misc]
            checks[f"rights in {name}"] = lambda c=cluster: self._allowed(c)  # type: ignore[misc]
        if self._queries is not None:
            checks["Prometheus"] = self._prometheus
        if self._silences is not None:
            checks["Alertmanager"] = self._alertmanager
        for name, way in self._reach.items():
            checks[name] = lambda n=name, w=way: self._answers(n, w)  # type: ignore[misc]
        if self._chat is not None:
            checks["Slack scopes"] = self._may_do
        return checks | self._more

    async def _ask(self, name: str, check: Check) -> Finding:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await check()
        except TimeoutError:
            said = f"no answer within {PATIENCE_S:g} s"
        except (RemediatorError, ChatError) as exc:
            said = str(exc)
        except Exception as exc:
            log.exception("doctor_check_broken", check=name)
            said = f"the check itself failed: {type(exc).__name__}"
        return Finding(check=name, ok=False, said=said, next=_NEXT.get(name.split()[0], ""))

    async def _store(self) -> Finding:
        begin = self._clock.boot()
        await self._journal.ping()
        took = self._clock.boot() - begin
        slow = took > 1.0
        said = f"a write took {took * 1000:.0f} ms"
        return Finding(check="store", ok=not slow, said=said, next=_NEXT["store"] if slow else "")

    async def _cluster(self, cluster: Cluster) -> Finding:
        begin = self._clock.now()
        theirs = await cluster.server_time()
        now = self._clock.now()
        # Somewhere between asking and hearing, and up to a second later than it says.
        ahead = max(begin - theirs - timedelta(seconds=1), theirs - now, timedelta(0))
        name = f"cluster {cluster.name}"
        if ahead <= SKEW:
            return Finding(check=name, ok=True, said="answers; clocks agree")
        said = f"answers, but its clock and ours differ by {ahead.total_seconds():.0f} s"
        return Finding(check=name, ok=False, said=said, next="Let both machines take the time from NTP.")

    async def _allowed(self, cluster: Cluster) -> Finding:
        name = f"rights in {cluster.name}"
        rights = list(dict.fromkeys(self._rights(cluster.name)))[:_MOST_RIGHTS]
        if not rights:
            return Finding(check=name, ok=None, said="no loaded playbook writes anything")
        asked = [cluster.allowed(r.verb, r.kind, r.namespace, subresource=r.subresource) for r in rights]
        denied = [r for r, yes in zip(rights, await asyncio.gather(*asked), strict=True) if not yes]
        if not denied:
            return Finding(check=name, ok=True, said=f"{len(rights)} of {len(rights)} that the playbooks need")
        named = [r for r in denied if r.namespace]
        said = "may not " + ", ".join(map(str, (named or denied)[:10]))
        if named:
            return Finding(
                check=name, ok=False, said=said, next="Grant them, such as by write.namespaces of the chart."
            )
        # With one role for each namespace this is as it should be; only names of namespaces could tell.
        return Finding(check=name, ok=None, said=f"{said} in all namespaces; no project names any to ask about")

    async def _prometheus(self) -> Finding:
        assert self._queries is not None
        await self._queries.instant("vector(1)")
        return Finding(check="Prometheus", ok=True, said="answers")

    async def _alertmanager(self) -> Finding:
        assert self._silences is not None
        found = await self._silences.active()
        return Finding(check="Alertmanager", ok=True, said=f"answers; {len(found)} active silences")

    async def _answers(self, name: str, way: Reachable) -> Finding:
        await way.probe()
        return Finding(check=name, ok=True, said="answers")

    async def _may_do(self) -> Finding:
        assert self._chat is not None
        given = await self._chat.scopes()
        if not given:
            return Finding(check="Slack scopes", ok=None, said="Slack does not tell them")
        needed = self._scopes()
        missing = {scope: why for scope, why in needed.items() if scope not in given}
        if not missing:
            return Finding(check="Slack scopes", ok=True, said=f"all {len(needed)} that the configuration needs")
        said = "missing: " + "; ".join(f"{scope} ({why})" for scope, why in missing.items())
        advice = "Add them under OAuth & Permissions of the app, and install it to the workspace again."
        return Finding(check="Slack scopes", ok=False, said=said, next=advice)

    async def _letters(self) -> Sequence[Finding]:
        """The outbox, one finding for each channel that has something to say."""
        now = self._clock.now()
        try:
            async with asyncio.timeout(PATIENCE_S):
                letters = await self._journal.letters(now - LETTERS_SINCE)
        except (JournalUnavailable, TimeoutError) as exc:
            said = str(exc) or f"no answer within {PATIENCE_S:g} s"
            return (Finding(check="outbox", ok=False, said=said, next=_NEXT["store"]),)
        if not letters:
            return (Finding(check="outbox", ok=True, said="nothing waits, nothing was given up"),)
        return tuple(outbox_finding(one, now - one.oldest_at if one.oldest_at else timedelta(0)) for one in letters)


def outbox_finding(letters: Letters, waits: timedelta) -> Finding:
    """`waits`: how long the oldest pending message has."""
    late = waits > LATE
    said = f"{letters.pending} wait"
    if waits:
        said += f", the oldest for {words(waits)}"
    if letters.dead:
        said += f"; {letters.dead} given up within a day"
    if letters.error:
        said += f"; last error: {letters.error}"
    bad = late or letters.dead > 0
    advice = "Mend what the error names. What was given up is not sent any more; the console shows what it told."
    return Finding(check=f"outbox {letters.channel}", ok=not bad, said=said, next=advice if bad else "")


def words(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


_NEXT = {
    "store": "Look at the disk below store.path: full, slow or read-only?",
    "cluster": "Look at clusters[].kubeconfig, the network policy and the API server.",
    "rights": "Look at clusters[].kubeconfig, the network policy and the API server.",
    "Prometheus": "Look at prometheus.url and its credentials.",
    "Alertmanager": "Look at alertmanager.url and its credentials.",
    "Slack": "Look at slack.token: the bot token of an app that is installed in the workspace.",
    "PagerDuty": "Look at pagerduty.services and at the way out to PagerDuty.",
}
