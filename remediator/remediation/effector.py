"""The only writer. One attempt: last look, attempt row, the request, its outcome; and what to make of silence.

Why an effect happens once (each line closes a failure that was measured or walked through):

1. *Last look*: a consistent read; the touched paths still hold the plan's `before`, no pause annotation, nothing
unknown
   is still under way for this effect.
2. *Attempt row*, committed after that read by one conditional statement (epoch current, no live pause). One row is one
   request: those bytes are sent, nothing is read in between, and nothing is sent when more than one second has passed.
3. *Answer*: outcome row. A definite conflict is a new attempt, decided by `decide`, not here.
4. *No answer*: `uncertain`; a consistent read decides (`probe`), never a blind retry.

Nothing here retries a write.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.actions.change import Call, Create, Delete, Effect, Evict, Inverse, Patch, Remove, object_of
from remediator.actions.paths import value_at
from remediator.actions.render import (
    abandon,
    choose_pod,
    generated_id,
    made_by,
    marker_of,
    render,
    resolved,
    still_before,
)
from remediator.errors import (
    CannotSee,
    Conflict,
    EffectError,
    Forbidden,
    NotFound,
    ReadError,
    Refused,
    TargetGone,
    Unavailable,
    Uncertain,
)
from remediator.guardrails.pause import PAUSE_ANNOTATION
from remediator.guardrails.protect import is_protected
from remediator.objects import Object, ObjectRef, annotations_of, generation_of, ref_of, uid_of, version_of
from remediator.ports import Caller, Callers, Clock, Cluster, WriteRequest
from remediator.remediation.events import ActAnswer, Acted, Probed
from remediator.remediation.journal import (
    Attempt,
    AttemptOutcome,
    AttemptRefused,
    Journal,
    NewAttempt,
    StaleRemediation,
)
from remediator.remediation.pausing import pause_scopes, target_scope
from remediator.remediation.proofs import acknowledged, inverse_of, judge, never
from remediator.remediation.refusals import about
from remediator.remediation.state import Remediation

SEND_WITHIN_S = 1.0
"""Longest time between asking for the attempt row and sending its bytes, in seconds of boot time."""

SAID = 2000
"""Most characters that are kept of what was answered to a call."""

LastLook = Callable[[Remediation, Effect, Object | None], Awaitable[Acted | None]]
"""Guards that are asked again right before an effect; None = no objection. Without an object the same bytes are about
to be sent again."""

ClosesAt = Callable[[Remediation, datetime], datetime | None]
"""When the window closes in which the next effect may start; None = it does not."""


def _never_closes(r: Remediation, now: datetime) -> datetime | None:
    return None


DEFINITELY_NOT: frozenset[AttemptOutcome] = frozenset(
    {"conflict", "refused", "gone", "unavailable", "not_sent", "never"}
)
"""Outcomes after which the attempt's request has not happened and never will."""

ACKNOWLEDGED: frozenset[AttemptOutcome] = frozenset({"done", "happened"})
"""Outcomes that prove that the request was carried out, whatever has become of its effect since."""


def effect_of(r: Remediation) -> Effect:
    """The effect that is next, or the undo that is next, with the name of what it makes."""
    if r.undoing:
        return r.undo_left[r.undo_sent]
    assert r.plan is not None
    return resolved(r.plan.steps[r.step].effects[r.effect], generated_id(r.id, r.created_at, r.step))


class Effector:
    """Sends the effect that is next, and finds out what became of one that was not answered."""

    def __init__(
        self,
        clusters: Mapping[str, Cluster],
        journal: Journal,
        clock: Clock,
        closes_at: ClosesAt = _never_closes,
        callers: Callers | None = None,
    ) -> None:
        self._clusters = clusters
        self._callers = callers or {}
        self._journal = journal
        self._clock = clock
        self._closes_at = closes_at

    async def act(self, r: Remediation, last_look: LastLook) -> Acted:
        """One go at the next effect (or undo). Raises: JournalUnavailable, StaleRemediation (fenced)."""
        unsettled = await self._unsettled(r)
        if unsettled:
            if not r.resend:
                return self._acted(r, "uncertain", "an earlier attempt has no clear answer")
            acted = await self._may_send_again(r, unsettled[-1], last_look)
            acted = acted or await self._send(r, _same_again(r, unsettled[-1], self._not_after(r)))
            if acted.answer not in ("done", "busy", "not_sent", "cannot_see", "uncertain"):
                # A clear answer to this request says nothing about the one before, which may still land: nothing is
                # given back and nobody takes over before it is proven what became of that one.
                return self._acted(r, "uncertain", f"an earlier attempt has no clear answer; this one: {acted.detail}")
            # What was created stays: the earlier request would make it again once it is gone.
            return replace(acted, inverse=None) if isinstance(effect_of(r), Create) else acted
        if not r.undoing and r.plan is not None and not r.plan.steps[r.step].effects:
            return self._acted(r, "nothing_to_do", "this step has no effect")
        cluster = self._clusters[r.cluster]
        effect = effect_of(r)
        try:
            looked, space = await asyncio.gather(
                self._look(cluster, r, effect), self._namespace(r, _namespace_of(effect))
            )
        except NotFound as exc:
            return self._acted(r, "refused", f"it does not exist any more: {exc}")
        except ReadError as exc:
            return self._acted(r, "cannot_see", f"last look failed: {exc}")
        if looked is None and isinstance(effect, Evict | Delete):
            return self._acted(r, "nothing_to_do", "no pod fits the rule any more")
        if looked is None and isinstance(effect, Remove):
            return self._acted(r, "nothing_to_do", f"{effect.ref} is gone already")
        objection = (
            self._compare(r, effect, looked) or self._paused(r, space) or await last_look(r, effect, looked or {})
        )
        if objection is not None:
            return objection
        request = render(
            effect,
            looked,
            effect_id=r.effect_id,
            now=self._clock.now(),
            generated=generated_id(r.id, r.created_at, r.step),
            made_by=r.id,
        )
        attempt = NewAttempt(
            remediation_id=r.id,
            effect_id=r.effect_id,
            epoch=r.epoch,
            uid=uid_of(looked or {}),
            resource_version=version_of(looked or {}),
            generation=generation_of(looked or {}),
            request=request,
            pause_scopes=_covering(r, request.ref),
            not_after=self._not_after(r),
        )
        return await self._send(r, attempt)

    def _not_after(self, r: Remediation) -> datetime | None:
        """An undo is never kept from finishing by a window that closes."""
        return None if r.undoing else self._closes_at(r, self._clock.now())

    async def _may_send_again(self, r: Remediation, last: Attempt, last_look: LastLook) -> Acted | None:
        """A pause in the journal refuses the attempt row; annotations and silences must be looked for, also for a
        resend. What its owner has protected since is out of reach too: a call carries no version that would stop it.
        Raises: JournalUnavailable."""
        ref = last.request.ref
        try:
            space, looked = await self._namespace(r, ref.namespace), await self._found(r, ref)
        except ReadError as exc:
            return self._acted(r, "cannot_see", f"last look failed: {exc}")
        for obj in filter(None, (space, looked)):
            if closed := self._paused(r, obj) or self._protected(r, obj):
                return closed
        return await last_look(r, effect_of(r), None)

    async def _namespace(self, r: Remediation, namespace: str) -> Object | None:
        """None where there is none: its objects are gone as well. Raises: ReadError."""
        return await self._found(r, ObjectRef("Namespace", "", namespace)) if namespace else None

    async def _found(self, r: Remediation, ref: ObjectRef) -> Object | None:
        """None where there is none. Raises: ReadError."""
        try:
            return await self._clusters[r.cluster].get(ref)
        except NotFound:
            return None

    def _paused(self, r: Remediation, looked: Object | None) -> Acted | None:
        if looked is None or (why := annotations_of(looked).get(PAUSE_ANNOTATION)) is None:
            return None
        return self._acted(r, "paused", f"{ref_of(looked)} is paused by annotation: {why}")

    def _protected(self, r: Remediation, looked: Object) -> Acted | None:
        return self._acted(r, "deny", f"{ref_of(looked)} is protected by annotation") if is_protected(looked) else None

    async def _look(self, cluster: Cluster, r: Remediation, effect: Effect) -> Object | None:
        """The object as it is now; for a pod rule the pod to take. None when there is none, and that is an answer.
        Raises: ReadError, NotFound where there has to be one."""
        if isinstance(effect, Patch | Call):
            return await cluster.get(effect.ref)
        if isinstance(effect, Create | Remove):
            try:
                return await cluster.get(effect.ref)
            except NotFound:
                return None
        rule = effect.pod
        if rule.select == "named":
            try:
                pods: tuple[Object, ...] = (await cluster.get(ObjectRef("Pod", rule.namespace, rule.name)),)
            except NotFound:
                return None
        else:
            pods = (await cluster.list("Pod", rule.namespace, labels=rule.selector)).items
        return choose_pod(rule, pods, {d.taken_uid for d in r.done if d.taken_uid}, r.created_at)

    def _compare(self, r: Remediation, effect: Effect, looked: Object | None) -> Acted | None:
        """People win: a touched field that somebody changed after planning is left alone, and so is a pod (which is
        chosen only now, so that no guardrail has seen it) that its owner has marked."""
        if isinstance(effect, Create):
            if looked is None:
                return None
            if marker_of(looked) == r.effect_id:
                return self._acted(r, "uncertain", "it exists already and carries this effect's marker")
            return self._acted(r, "refused", f"{effect.ref} exists already, and this is not what made it")
        assert looked is not None
        if isinstance(effect, Evict | Delete):
            return self._paused(r, looked) or self._protected(r, looked)
        if isinstance(effect, Patch) and not effect.subresource and _carries_marker(r, effect, looked):
            return self._acted(r, "uncertain", "the object already carries this effect's marker")
        if paused := self._paused(r, looked):
            return paused
        if isinstance(effect, Patch) and effect.made_here and made_by(looked) != r.id:
            return self._acted(r, "refused", f"{effect.ref} was not made by this remediation")
        if isinstance(effect, Remove | Call) and (protected := self._protected(r, looked)):
            return protected
        changed = still_before(effect, looked)
        if changed is None:
            return None
        reached = isinstance(effect, Patch) and all(value_at(looked, c.path) == c.after for c in effect.changes)
        if r.undoing and reached:
            return self._acted(r, "nothing_to_do", "already as it was before")
        return self._acted(r, "changed", f"changed by someone else, left alone: {changed}")

    async def _send(self, r: Remediation, attempt: NewAttempt) -> Acted:
        """Row, request, outcome."""
        started = self._clock.boot()
        row = await self._journal.record_attempt(attempt, self._clock.now())
        if isinstance(row, AttemptRefused):
            if row.why == "fenced":
                raise StaleRemediation(row.detail)
            return self._acted(r, "paused" if row.why == "paused" else "hold", row.detail)
        if self._clock.boot() - started > SEND_WITHIN_S:
            return await self._finish(r, row, "not_sent", "not_sent", "more than 1 s since the attempt row: not sent")
        try:
            answer = await self._carry_out(r, row.request)
        except Conflict as exc:
            return await self._finish(r, row, "conflict", "conflict", str(exc))
        except TargetGone as exc:
            gone: ActAnswer = "refused" if row.request.verb in ("patch", "create") else "nothing_to_do"
            return await self._finish(r, row, "gone", gone, str(exc))
        except Refused as exc:
            why = str(exc) if row.request.verb == "call" else about(row.request.ref, str(exc))
            return await self._finish(r, row, "refused", "refused", why)
        except Unavailable as exc:
            after = timedelta(seconds=exc.retry_after_s) if exc.retry_after_s else None
            no: ActAnswer = "budget" if exc.disruption_budget else "busy"
            return await self._finish(r, row, "unavailable", no, str(exc), retry_after=after)
        except (Uncertain, EffectError) as exc:
            return await self._finish(r, row, "uncertain", "uncertain", f"no clear answer: {exc}")
        await self._journal.record_outcome(row.id, "done", "", self._clock.now())
        return self._done(r, row, answer)

    async def _finish(
        self,
        r: Remediation,
        row: Attempt,
        outcome: AttemptOutcome,
        answer: ActAnswer,
        detail: str,
        retry_after: timedelta | None = None,
    ) -> Acted:
        await self._journal.record_outcome(row.id, outcome, detail, self._clock.now())
        return self._acted(r, answer, detail, retry_after=retry_after)

    async def _carry_out(self, r: Remediation, request: WriteRequest) -> Object:
        """Send the recorded bytes. Raises: EffectError."""
        if request.verb != "call":
            return await self._clusters[r.cluster].write(request)
        said = json.loads(request.body)
        caller = self._caller(r, said["via"])
        if caller is None:
            raise Refused(f"nothing is configured that can be called by {said['via']}")
        return await caller.send(said["place"], said["request"], key=said["key"])

    def _caller(self, r: Remediation, via: str) -> Caller | None:
        return self._callers.get(r.cluster, {}).get(via)

    def _done(self, r: Remediation, row: Attempt, answer: Object) -> Acted:
        effect = effect_of(r)
        match effect:
            case Evict() | Delete():
                return self._acted(r, "done", f"took {row.request.ref}", taken_uid=row.uid)
            case Create():
                return self._acted(r, "done", "", undo=inverse_of(effect, answer), made=ref_of(answer))
            case Call():
                said = str(answer.get("says", ""))[:SAID]
                return self._acted(r, "done", "", undo=inverse_of(effect, answer), said=said)
            case _:
                return self._acted(r, "done", "", undo=inverse_of(effect, answer))

    def _acted(
        self,
        r: Remediation,
        answer: ActAnswer,
        detail: str,
        *,
        undo: Inverse | None = None,
        taken_uid: str = "",
        made: ObjectRef | None = None,
        said: str = "",
        retry_after: timedelta | None = None,
    ) -> Acted:
        return Acted(
            effect_id=r.effect_id,
            answer=answer,
            detail=detail,
            inverse=undo,
            taken_uid=taken_uid,
            made=made,
            said=said,
            retry_after=retry_after,
        )

    # --- silence --------------------------------------------------------------------------------------------------

    async def unanswered(self, r: Remediation) -> bool:
        """Whether an attempt of the next effect may have happened or may still happen."""
        return bool(await self._unsettled(r))

    async def _unsettled(self, r: Remediation) -> list[Attempt]:
        """Attempts of the next effect that may have happened or may still happen, oldest first.

        All of them, not only the last one: a resend that met a conflict says nothing about the request before it.
        """
        attempts = await self._journal.attempts(r.id)
        return [a for a in attempts if a.effect_id == r.effect_id and a.outcome not in DEFINITELY_NOT]

    async def probe(self, r: Remediation) -> Probed:
        """What became of the attempts without an answer, by a consistent read. Raises: JournalUnavailable."""
        unsettled = await self._unsettled(r)
        last = unsettled[-1] if unsettled else None
        answered = next((a for a in unsettled if a.outcome in ACKNOWLEDGED), None)
        effect = effect_of(r)
        if isinstance(effect, Call) and answered is not None:
            found = acknowledged(r.effect_id, effect, answered)
        elif isinstance(effect, Call):
            found = await self._ask_caller(r, effect, last)
        else:
            before = last or await self._journal.last_attempt(r.id, r.effect_id)
            ref = before.request.ref if before else object_of(effect)
            if ref is None:
                return Probed(effect_id=r.effect_id, answer="never", detail="nothing of it was ever sent")
            try:
                looked: Object | None = await self._clusters[r.cluster].get(ref)
            except NotFound:
                looked = None
            except (CannotSee, Forbidden) as exc:
                return Probed(effect_id=r.effect_id, answer="cannot_see", detail=f"cannot see what became of it: {exc}")
            found = judge(r.effect_id, effect, last, looked)
            if answered is not None and found.answer != "happened":
                # It was done, and somebody has undone it since: what is not there any more is not made again.
                found = acknowledged(r.effect_id, effect, answered)
            elif isinstance(effect, Create):
                found = await self._of_several(r, found, looked, unsettled)
        if found.answer in ("happened", "never"):
            await self._settle(unsettled, found)
        return found

    async def _of_several(
        self, r: Remediation, found: Probed, looked: Object | None, unsettled: list[Attempt]
    ) -> Probed:
        """A create is bound to nothing but its name: an earlier one may be under way, and lands when that is free.

        Raises: JournalUnavailable.
        """
        if found.answer == "happened" and len(unsettled) > 1:
            return replace(found, inverse=None)  # it would be there again
        attempts = await self._journal.attempts(r.id) if found.answer == "again" and looked is None else ()
        if any(a.effect_id == r.effect_id and a.outcome == "conflict" for a in attempts):
            gone = "the name was taken when it was sent again, and is free now: somebody may have removed what it made"
            return Probed(effect_id=r.effect_id, answer="person", detail=gone)
        return found

    async def _ask_caller(self, r: Remediation, effect: Call, last: Attempt | None) -> Probed:
        """Only who was called can tell; where it cannot, a person has to, unless twice is as good as once."""
        if last is None:
            return never(r.effect_id)
        said = json.loads(last.request.body)
        caller = self._caller(r, said["via"])
        try:
            became = "unknown" if caller is None else await caller.find(said["place"], said["request"], key=said["key"])
        except ReadError as exc:
            return Probed(effect_id=r.effect_id, answer="cannot_see", detail=f"cannot see what became of it: {exc}")
        if became == "happened":
            undo = inverse_of(effect, {})
            return Probed(effect_id=r.effect_id, answer="happened", detail="the other side has done it", inverse=undo)
        if became == "never":
            return Probed(effect_id=r.effect_id, answer="never", detail="the other side never got it, and never will")
        if effect.repeatable:
            return Probed(effect_id=r.effect_id, answer="again", detail="it may be done twice without harm")
        return Probed(effect_id=r.effect_id, answer="person", detail="it cannot be found out whether it was done")

    async def _settle(self, unsettled: list[Attempt], found: Probed) -> None:
        """Write down what is proven. Attempts of one effect carry the same bytes: at most one of them happened."""
        proven = any(a.outcome in ACKNOWLEDGED for a in unsettled)
        open_ones = [a for a in unsettled if a.outcome not in ACKNOWLEDGED]
        for index, attempt in enumerate(reversed(open_ones)):
            happened = found.answer == "happened" and index == 0 and not proven
            outcome: AttemptOutcome = "happened" if happened else "never"
            await self._journal.record_outcome(attempt.id, outcome, found.detail, self._clock.now())

    async def give_up(self, r: Remediation) -> Probed:
        """Before a person takes over: move the resourceVersion, so that nothing under way can land later."""
        found = await self.probe(r)
        effect = effect_of(r)
        if found.answer != "again" or not isinstance(effect, Patch | Remove):
            return (
                found
                if found.answer != "again"
                else Probed(effect_id=r.effect_id, answer="person", detail=found.detail)
            )
        cluster = self._clusters[r.cluster]
        unsettled = await self._unsettled(r)
        try:
            looked = await cluster.get(effect.ref)
            if any(version_of(looked) != attempt.resource_version for attempt in unsettled):
                return await self.probe(r)
            await cluster.write(abandon(looked, r.effect_id))
        except Conflict:
            return await self.probe(r)
        except (ReadError, EffectError) as exc:
            return Probed(effect_id=r.effect_id, answer="cannot_see", detail=f"could not make sure: {exc}")
        detail = "given up: the object was moved on, so the unanswered write can never land"
        found = Probed(effect_id=r.effect_id, answer="abandoned", detail=detail)
        await self._settle(unsettled, found)
        return found


def _covering(r: Remediation, ref: ObjectRef) -> tuple[str, ...]:
    """With the object itself: a pod is chosen at the last look, and may be paused by its own name."""
    return tuple(dict.fromkeys((*pause_scopes(r), target_scope(r.cluster, ref.key))))


def _namespace_of(effect: Effect) -> str:
    return effect.pod.namespace if isinstance(effect, Evict | Delete) else effect.ref.namespace


def _carries_marker(r: Remediation, effect: Patch, looked: Object) -> bool:
    return marker_of(looked) == r.effect_id and (effect.made_here or uid_of(looked) == effect.uid)


def _same_again(r: Remediation, last: Attempt, not_after: datetime | None) -> NewAttempt:
    """The same bytes under a row of their own: one row is one request."""
    return NewAttempt(
        remediation_id=r.id,
        effect_id=r.effect_id,
        epoch=r.epoch,
        uid=last.uid,
        resource_version=last.resource_version,
        generation=last.generation,
        request=last.request,
        pause_scopes=_covering(r, last.request.ref),
        not_after=not_after,
    )
