"""What must hold in every schedule, whatever goes wrong. The numbers are those of the design's invariants.

Checked as it happens, against the true order of commits and requests and against every change of an object, not against
what a process believes.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remediator.actions.paths import value_at
from remediator.adapters.sql import events as events_sql
from remediator.guardrails.facts import Pause
from remediator.guardrails.policy import limits_in_force
from remediator.ports import ABANDONED, MessageRef
from remediator.remediation.holds import holds_of
from remediator.remediation.journal import Attempt, Committed
from remediator.remediation.pausing import pause_scopes
from remediator.remediation.state import HOLDING, Plan, Remediation, State, StepOutcome, load
from tests.sim.coverage import Coverage
from tests.sim.forge import APP, AUTOMATED
from tests.sim.landings import Landings, says

if TYPE_CHECKING:
    from remediator.remediation.draft import Decision
    from tests.sim.store import Commit
    from tests.sim.world import World

TOLD = {"escalated", "denied", "suggested", "ended_by_person", "next_rung"}
QUIET = (State.SUCCEEDED, State.OBSERVED, State.SUPERSEDED)
HOUR_S = 3600.0
TOLD_IN_ORDER = "select key, kind, payload from outbox where channel = 'slack' order by id"


@dataclass(slots=True)
class Row:
    """An attempt row, with the true time of its commit, and the one request that it stands for."""

    attempt: Attempt
    at: float
    by: str
    sent: bool = False


class Checks:
    def __init__(self, world: World) -> None:
        self.world = world
        self.violations: list[str] = []
        self.latest: dict[str, Remediation] = {}
        self.reasons: dict[str, str] = {}
        self.plans: dict[str, list[Plan]] = defaultdict(list)
        self.proposed: dict[tuple[str, str], Plan] = {}
        """What people were shown first under a digest."""
        self.rows: list[Row] = []
        self._live: dict[str, str] = {}
        self._reserved: list[tuple[float, str]] = []
        self._ended: dict[str, float] = {}
        self._stopped: dict[str, str] = {}
        self.notices: dict[str, Counter[str]] = defaultdict(Counter)
        self.sometimes: Counter[str] = Counter()
        self.coverage = Coverage()
        self.landings = Landings(self)

    def happened(self, what: str) -> None:
        self.coverage.reach("fault", what)

    def decided(self, decision: Decision) -> None:
        """A process heard that this was committed."""
        self.coverage.decided(decision)

    def broken(self, number: int, text: str) -> None:
        self.violations.append(f"[{number}] at {self.world.loop.now:.3f} s: {text}")
        self.world.say(f"VIOLATION {self.violations[-1]}")

    # --- commits ---------------------------------------------------------------------------------------------------

    def committed(self, commit: Commit) -> None:
        match commit.result:
            case Pause() as pause:
                self._live[pause.id] = pause.scope
            case Attempt() as attempt:
                self._attempted(commit, attempt)
            case Committed(remediation=r):
                self._moved(commit, r)
            case Remediation(state=state):
                self.coverage.reach("state", state.value)
            case _:
                pass
        if commit.name == "join":
            self.coverage.joined()
        if commit.name == "resume":
            ended = {f"p-{i}" for (i,) in self.world.store.rows("select id from pauses where ended_at is not null")}
            self._live = {k: v for k, v in self._live.items() if k not in ended}

    def _attempted(self, commit: Commit, attempt: Attempt) -> None:
        self.rows.append(Row(attempt, commit.at, commit.by))
        r = self.latest[attempt.remediation_id]
        rows = self.world.store.rows
        ((epoch,),) = rows("select epoch from remediations where id = ?", r.id)
        if attempt.epoch != epoch:
            self.broken(5, f"attempt row of {attempt.effect_id} with epoch {attempt.epoch}, {epoch} is in force")
        if not rows("select 1 from reservations where held_by = ? and released_at is null", r.id):
            self.broken(7, f"attempt row of {attempt.effect_id} without a reservation")
        covering = set(self._live.values()) & set(pause_scopes(r))
        if covering:
            self.broken(13, f"attempt row of {attempt.effect_id} although {covering} is paused")
        if r.state in State.__members__.values() and r.state not in HOLDING:
            self.broken(6, f"attempt row of {attempt.effect_id} in state {r.state.value}")
        if r.mode == "approve":
            people = {c.who for c in r.consents if c.digest == r.digest} - {r.requester}
            if len(people) < (r.spec.approval.quorum if r.spec else 1):
                self.broken(14, f"attempt row of {attempt.effect_id} with {sorted(people)} for digest {r.digest[:8]}")
        if r.mode not in ("approve", "auto"):
            self.broken(3, f"attempt row of {attempt.effect_id} in mode {r.mode}")
        if attempt.remediation_id in self._stopped:
            self.broken(14, f"attempt row of {attempt.effect_id} after {self._stopped[attempt.remediation_id]}")

    def _moved(self, commit: Commit, r: Remediation) -> None:
        before = self.latest.get(r.id)
        self.latest[r.id] = r
        if r.plan is not None and (not self.plans[r.id] or self.plans[r.id][-1] != r.plan):
            self.plans[r.id].append(r.plan)
        if r.plan is not None and r.digest:
            self.proposed.setdefault((r.id, r.digest), r.plan)
        if commit.name == "reserve":
            self._reserved.append((commit.at, r.id))
            self.sometimes["reserved"] += 1
        if before is None or before.state is not r.state:
            self.sometimes[r.state.value] += 1
            if r.ended:
                self.sometimes[f"{r.state.value} {r.outcome.value}"] += 1
        if r.ended and before is not None and before.ended:
            self.broken(18, f"{r.id} ended again: {before.state} -> {r.state}")
        if r.ended:
            self._ended.setdefault(r.id, commit.at)
        if r.state is State.REJECTED:
            self._stopped[r.id] = r.reason
        if before is not None and len(r.consents) > len(before.consents):
            self._consented(before, r)
        self._exclusive(r)

    def _consented(self, before: Remediation, r: Remediation) -> None:
        given = r.consents[-1]
        if given.digest != before.digest:
            self.broken(14, f"{r.id}: a yes for {given.digest[:8]} counts for {before.digest[:8]}")
        if before.state is State.AWAITING_APPROVAL and before.approval_expires is not None:
            late = (given.at - before.approval_expires).total_seconds()
            if late >= 0.0:
                self.broken(14, f"{r.id}: a yes counts {late:.1f} s after the proposal expired")

    def _exclusive(self, changed: Remediation) -> None:
        """[7] One at a time on a target, and whoever works holds its locks."""
        if changed.state not in HOLDING:
            return
        root = changed.root
        others = [
            r.id
            for r in self.latest.values()
            if r.state in HOLDING and r.id != changed.id and (r.cluster, r.root) == (changed.cluster, root)
        ]
        if others:
            self.broken(7, f"{changed.id} and {others} both work on {root}")
        mine = {k for (k,) in self.world.store.rows("select key from locks where remediation_id = ?", changed.id)}
        if changed.plan is not None and not set(changed.plan.locks) <= mine:
            self.broken(7, f"{changed.id} is {changed.state.value} without its locks: has {sorted(mine)}")

    # --- requests --------------------------------------------------------------------------------------------------

    def sent(self, by: str, request: Any) -> None:
        """A request to the API server leaves a process."""
        if ABANDONED.encode() in request.body:
            return
        rows = [x for x in self.rows if x.attempt.request == request and x.by == by and not x.sent]
        self._leaves(by, rows, f"{request.verb} {request.ref}: {request.body!r}")

    def calls(self, by: str, via: str, place: str, request: Mapping[str, Any], key: str) -> None:
        """A request to somebody else leaves a process."""
        rows = [x for x in self.rows if x.by == by and not x.sent and says(x.attempt.request, via, place, request, key)]
        if self._leaves(by, rows, f"{request} to {via} at {place} as {key}"):
            self.landings.calls(rows[-1].attempt.effect_id, rows[-1].attempt.request.ref)

    def _leaves(self, by: str, rows: Sequence[Row], what: str) -> bool:
        """[6, 13] With a row of its own, and soon after it; False where the process was frozen in between."""
        now = self.world.loop.now
        if not rows:
            self.broken(6, f"{by} sends without a row of its own: {what}")
            return False
        row = rows[-1]
        row.sent = True
        frozen = any(
            start < now and end > row.at
            for p in self.world.everybody
            if p.name == by
            for start, end in p.gate.frozen_at
        )
        if now - row.at > 1.0 and not frozen:
            self.broken(13, f"{by} sends {row.attempt.effect_id} {now - row.at:.2f} s after its row")
        if frozen:
            self.sometimes["sent by a thawed process"] += 1
        return not frozen

    # --- the end ---------------------------------------------------------------------------------------------------

    def at_the_end(self) -> None:
        store, world = self.world.store, self.world
        if self.violations:
            return
        for problem in world.loop.problems:
            self.broken(22, f"an error that nobody handled: {problem}")
        for text in world.failures:
            self.broken(22, f"work failed: {text}")
        remediations = {
            i: self._as_stored(i, version)
            for i, version in store.rows("select id, version from remediations order by seq")
        }
        for r in remediations.values():
            if not r.ended:
                self.broken(18, f"{r.id} has not ended: {r.state.value} since {r.since:%H:%M:%S}, {r.reason[:200]}")
            if (line := self._broken_chain(r.id)) is not None:
                self.broken(21, f"the record of {r.id} is broken at line {line}")
            if r.ended:
                self._told(r)
            if r.reverts and r.state is State.DENIED:
                self.coverage.reach("revert", "left as it is")
        self._alerts_have_verdicts()
        left = store.rows("select key, remediation_id from locks")
        if left and all(r.ended for r in remediations.values()):
            self.broken(26, f"locks without a living holder: {left}")
        self._last_words()
        self._effects_once()
        self._holds_end(remediations)
        self._rates(remediations)
        self._ladders(remediations)

    def _as_stored(self, remediation_id: str, version: int) -> Remediation:
        known = self.latest.get(remediation_id)
        if known is not None and known.version == version:
            return known
        return load(self.world.store.rows("select doc from remediations where id = ?", remediation_id)[0][0])

    def _broken_chain(self, remediation_id: str) -> int | None:
        found: int | None = self.world.store.look(lambda c: events_sql.broken_at(c, remediation_id))
        return found

    def _told(self, r: Remediation) -> None:
        """[18] Whatever is no success reaches a person, once."""
        lines = self.world.store.rows("select data from events where remediation_id = ?", r.id)
        given = Counter(n for (data,) in lines for n in json.loads(data).get("notices", ()) if n in TOLD)
        if r.state in QUIET and r.outcome.value != "inconclusive" and not given:
            return
        if given.total() != 1:
            self.broken(18, f"{r.id} ended {r.state.value} {r.outcome.value}: people were told {dict(given)}")
        if not self.world.store.rows("select 1 from outbox where key like ? limit 1", f"%{r.episode}%"):
            self.broken(18, f"{r.id}: nothing about episode {r.episode} in the outbox")

    def _last_words(self) -> None:
        """[18] Whatever Slack did, all was sent at last, and each message says what was said last."""
        store, slack = self.world.store, self.world.slack
        if self.world.scenario.chat is None:
            return
        rows = store.rows("select id, key, kind, state, error from outbox where channel = 'slack' order by id")
        for row_id, key, kind, state, error in rows:
            if state not in ("sent", "superseded"):
                self.broken(18, f"message {row_id} ({kind} of {key}) is {state}: {error}")
        last = last_words(store.rows(TOLD_IN_ORDER))
        places = {key: MessageRef(c, ts) for key, c, ts in store.rows("select key, channel, ts from message_refs")}
        for key, text in last.items():
            shown = slack.messages.get(places[key]) if key in places else None
            if shown != text:
                self.broken(18, f"people see {shown!r} for {key}, the last word was {text!r}")
            self.coverage.reach("message", "the last word was seen")

    def _alerts_have_verdicts(self) -> None:
        rows = self.world.store.rows("select fingerprint, verdict, undecided_at from alerts")
        known = {f for f, _, _ in rows}
        for missing in self.world.alertmanager.acknowledged - known:
            self.broken(27, f"acknowledged alert {missing} is lost")
        for found, verdict, undecided in rows:
            if undecided is not None or not verdict:
                self.broken(21, f"alert {found} has no verdict ({verdict!r})")

    def _effects_once(self) -> None:
        """[6] By the API server's own audit."""
        owners = {(x.attempt.request.ref, x.attempt.request.body): x.attempt for x in self.rows}
        taken: dict[str, set[str]] = defaultdict(set)
        patched: Counter[str] = Counter()
        for entry in self.world.cluster.audit:
            if ABANDONED.encode() in entry.body:
                continue
            attempt = owners.get((entry.ref, entry.body))
            if attempt is None:
                self.broken(6, f"{entry.verb} {entry.ref} without a row")
                continue
            self.sometimes["effects"] += 1
            self.sometimes["effects that landed late"] += entry.late
            taken[attempt.effect_id].add(attempt.uid)
            patched[attempt.effect_id] += entry.verb in ("patch", "delete")
        for effect, times in patched.items():
            if times > 1:
                self.broken(6, f"{effect} was carried out {times} times")
        for effect, uids in taken.items():
            if len(uids) > 1:
                self.broken(6, f"{effect} took {len(uids)} objects")

    def _holds_end(self, remediations: dict[str, Remediation]) -> None:
        """[6] Drift correction is on again, whoever did it. What is in doubt a person was told of."""
        held = [hold for r in remediations.values() for hold in holds_of(r)]
        if not held:
            return
        self.coverage.reach("hold", "taken")
        rows = dict(self.world.store.rows("select effect_id, detail from holds where settled_at is not null"))
        for hold in held:
            if hold.effect_id not in rows:
                self.broken(6, f"hold {hold.effect_id} is not ended")
            elif "somebody changed it since" in rows[hold.effect_id]:
                self.coverage.reach("hold", "ended by somebody")
        doubtful = any(r.outcome is StepOutcome.UNCERTAIN for r in remediations.values())
        if value_at(self.world.cluster.peek(APP) or {}, AUTOMATED) is None and not doubtful:
            self.broken(6, f"{APP} is still held: {rows}")

    def _rates(self, remediations: dict[str, Remediation]) -> None:
        """[8] In every true sliding hour, counted at the end, when all refunds are known."""
        rows = self.world.store.rows(
            "select remediation_id, at, playbook, namespace, target_key, refunded_at from reservations order by id"
        )
        # One reservation has a row for each of its targets; after a clock was set back the next one has the same time.
        made: list[list[Any]] = []
        for row in rows:
            if made and made[-1][0][:2] == row[:2] and row[4] not in {r[4] for r in made[-1]}:
                made[-1].append(row)
            else:
                made.append([row])
        if [same[0][0] for same in made] != [i for _, i in self._reserved]:
            self.broken(8, "reservations differ from the commits that made them")
            return
        taken: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
        limits: dict[tuple[str, str], int] = {}
        for (at, _), same in zip(self._reserved, made, strict=True):
            for remediation_id, _, name, namespace, target, refunded in same:
                r = remediations[remediation_id]
                if refunded is not None or r.spec is None or r.releases:
                    continue
                found = limits_in_force(r.spec, self.world.policy)
                for scope, limit in (
                    (("target", target), found.rate_target),
                    (("playbook", f"{name} in {namespace}"), found.rate_playbook),
                    (("namespace", namespace), found.rate_namespace),
                ):
                    taken[scope][remediation_id] = at
                    limits[scope] = limit
        for scope, times in taken.items():
            ordered = sorted(times.values())
            for at in ordered:
                count = sum(1 for t in ordered if at - HOUR_S < t <= at)
                if count > limits[scope]:
                    self.broken(8, f"{count} reservations for {scope} within an hour, the limit is {limits[scope]}")
                    return

    def _ladders(self, remediations: dict[str, Remediation]) -> None:
        """[18] Attempts of an episode, counted in ladders that had an effect."""
        ladders: dict[str, set[str]] = defaultdict(set)
        for r in remediations.values():
            top = r
            while top.parent in remediations:
                top = remediations[top.parent]
            if r.reverts:
                continue  # no attempt of its own
            if any(m.startswith(f"{r.id}/") for m in self.landings.landed):
                ladders[r.episode].add(top.id)
        for episode, found in ladders.items():
            most = int(self.world.scenario.limits["max_attempts"])
            if len(found) > most:
                self.broken(18, f"episode {episode} had {sorted(found)}, at most {most} ladders are allowed")


def last_words(rows: Iterable[Sequence[str]]) -> dict[str, str]:
    """By key, of rows as `TOLD_IN_ORDER` gives them: what was stored last, whichever row carried it to people.

    A row that was sent may say what a newer one said, which was superseded for it; and it may have been a repetition
    that became a new message, so that rows which were sent earlier come after it. A repetition says nothing of its own.
    """
    return {key: json.loads(payload)["text"] for key, kind, payload in rows if kind in ("post", "update")}
