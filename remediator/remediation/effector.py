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
from datetime import datetime, timedelta

from remediator.actions.change import GENERATED_TIME, Effect, NotPossible, Patch
from remediator.actions.render import abandon, choose_pod, inverse, marker_of, render, still_before
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
from remediator.objects import Object, ObjectRef, annotations_of, dig, generation_of, ref_of, uid_of, version_of
from remediator.ports import Clock, Cluster
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
from remediator.remediation.state import Remediation

SEND_WITHIN_S = 1.0
"""Longest time between asking for the attempt row and sending its bytes, in seconds of boot time."""

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


def effect_of(r: Remediation) -> Effect:
    """The effect that is next, or the undo that is next."""
    if r.undoing:
        return r.undo_left[r.undo_sent]
    assert r.plan is not None
    return r.plan.steps[r.step].effects[r.effect]


class Effector:
    """Sends the effect that is next, and finds out what became of one that was not answered."""

    def __init__(
        self,
        clusters: Mapping[str, Cluster],
        journal: Journal,
        clock: Clock,
        closes_at: ClosesAt = _never_closes,
    ) -> None:
        self._clusters = clusters
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
            return acted
        if not r.undoing and r.plan is not None and not r.plan.steps[r.step].effects:
            return self._acted(r, "nothing_to_do", "this step has no effect")
        cluster = self._clusters[r.cluster]
        effect = effect_of(r)
        try:
            looked, paused = await asyncio.gather(
                self._look(cluster, r, effect), self._paused_namespace(r, _namespace_of(effect))
            )
        except NotFound as exc:
            return self._acted(r, "refused", f"it does not exist any more: {exc}")
        except ReadError as exc:
            return self._acted(r, "cannot_see", f"last look failed: {exc}")
        if looked is None:
            return self._acted(r, "nothing_to_do", "no pod fits the rule any more")
        objection = self._compare(r, effect, looked) or paused or await last_look(r, effect, looked)
        if objection is not None:
            return objection
        request = render(effect, looked, effect_id=r.effect_id, now=self._clock.now())
        attempt = NewAttempt(
            remediation_id=r.id,
            effect_id=r.effect_id,
            epoch=r.epoch,
            uid=uid_of(looked),
            resource_version=version_of(looked),
            generation=generation_of(looked),
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
        resend. Raises: JournalUnavailable."""
        ref = last.request.ref
        try:
            paused = await self._paused_namespace(r, ref.namespace)
            looked = await self._clusters[r.cluster].get(ref)
        except NotFound:
            return None  # the request will find nothing either
        except ReadError as exc:
            return self._acted(r, "cannot_see", f"last look failed: {exc}")
        return paused or self._paused(r, ref, looked) or await last_look(r, effect_of(r), None)

    async def _paused_namespace(self, r: Remediation, namespace: str) -> Acted | None:
        """Raises: ReadError."""
        if not namespace:
            return None
        ref = ObjectRef("Namespace", "", namespace)
        try:
            return self._paused(r, ref, await self._clusters[r.cluster].get(ref))
        except NotFound:
            return None  # its objects are gone as well

    def _paused(self, r: Remediation, ref: ObjectRef, looked: Object) -> Acted | None:
        why = annotations_of(looked).get(PAUSE_ANNOTATION)
        return None if why is None else self._acted(r, "paused", f"{ref} is paused by annotation: {why}")

    def _protected(self, r: Remediation, looked: Object) -> Acted | None:
        return self._acted(r, "deny", f"{ref_of(looked)} is protected by annotation") if is_protected(looked) else None

    async def _look(self, cluster: Cluster, r: Remediation, effect: Effect) -> Object | None:
        """The object as it is now; for a pod rule the pod to take, None when there is none."""
        if isinstance(effect, Patch):
            return await cluster.get(effect.ref)
        rule = effect.pod
        if rule.select == "named":
            try:
                pods: tuple[Object, ...] = (await cluster.get(ObjectRef("Pod", rule.namespace, rule.name)),)
            except NotFound:
                return None
        else:
            pods = (await cluster.list("Pod", rule.namespace, labels=rule.selector)).items
        return choose_pod(rule, pods, {d.taken_uid for d in r.done if d.taken_uid}, r.created_at)

    def _compare(self, r: Remediation, effect: Effect, looked: Object) -> Acted | None:
        """People win: a touched field that somebody changed after planning is left alone, and so is a pod (which is
        chosen only now, so that no guardrail has seen it) that its owner has marked."""
        if not isinstance(effect, Patch):
            return self._paused(r, ref_of(looked), looked) or self._protected(r, looked)
        if marker_of(looked) == r.effect_id and uid_of(looked) == effect.uid:
            return self._acted(r, "uncertain", "the object already carries this effect's marker")
        if paused := self._paused(r, effect.ref, looked):
            return paused
        changed = still_before(effect, looked)
        if changed is None:
            return None
        if r.undoing and all(dig(looked, *c.path) == c.after for c in effect.changes):
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
            answer = await self._clusters[r.cluster].write(row.request)
        except Conflict as exc:
            return await self._finish(r, row, "conflict", "conflict", str(exc))
        except TargetGone as exc:
            gone: ActAnswer = "refused" if row.request.verb == "patch" else "nothing_to_do"
            return await self._finish(r, row, "gone", gone, str(exc))
        except Refused as exc:
            return await self._finish(r, row, "refused", "refused", str(exc))
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

    def _done(self, r: Remediation, row: Attempt, answer: Object) -> Acted:
        effect = effect_of(r)
        if isinstance(effect, Patch):
            return self._acted(r, "done", "", undo=_inverse(effect, answer))
        return self._acted(r, "done", f"took {row.request.ref}", taken_uid=row.uid)

    def _acted(
        self,
        r: Remediation,
        answer: ActAnswer,
        detail: str,
        *,
        undo: Patch | None = None,
        taken_uid: str = "",
        retry_after: timedelta | None = None,
    ) -> Acted:
        return Acted(
            effect_id=r.effect_id,
            answer=answer,
            detail=detail,
            inverse=undo,
            taken_uid=taken_uid,
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
        last = unsettled[-1] if unsettled else await self._journal.last_attempt(r.id, r.effect_id)
        effect = effect_of(r)
        if last is None and not isinstance(effect, Patch):
            return Probed(effect_id=r.effect_id, answer="never", detail="nothing of it was ever sent")
        ref = last.request.ref if last else effect.ref  # type: ignore[union-attr]  # a patch, as just asked
        try:
            looked = await self._clusters[r.cluster].get(ref)
        except NotFound:
            looked = None
        except (CannotSee, Forbidden) as exc:
            return Probed(effect_id=r.effect_id, answer="cannot_see", detail=f"cannot see what became of it: {exc}")
        if isinstance(effect, Patch):
            found = judge_patch(r.effect_id, effect, unsettled[-1] if unsettled else None, looked)
        else:
            assert last is not None
            found = judge_pod(r.effect_id, last, looked) if unsettled else _never(r.effect_id)
        if found.answer in ("happened", "never"):
            await self._settle(unsettled, found)
        return found

    async def _settle(self, unsettled: list[Attempt], found: Probed) -> None:
        """Write down what is proven. Attempts of one effect carry the same bytes: at most one of them happened."""
        for index, attempt in enumerate(reversed(unsettled)):
            outcome: AttemptOutcome = "happened" if found.answer == "happened" and index == 0 else "never"
            await self._journal.record_outcome(attempt.id, outcome, found.detail, self._clock.now())

    async def give_up(self, r: Remediation) -> Probed:
        """Before a person takes over: move the resourceVersion, so that nothing under way can land later."""
        found = await self.probe(r)
        effect = effect_of(r)
        if found.answer != "again" or not isinstance(effect, Patch):
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
    return effect.ref.namespace if isinstance(effect, Patch) else effect.pod.namespace


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


def _inverse(effect: Patch, answer: Object) -> Patch | None:
    try:
        return inverse(effect, answer)
    except NotPossible:
        return None


def _holds_what_we_sent(effect: Patch, looked: Object) -> bool:
    return all(GENERATED_TIME in json.dumps(c.after) or dig(looked, *c.path) == c.after for c in effect.changes)


def _never(effect_id: str) -> Probed:
    return Probed(effect_id=effect_id, answer="never", detail="nothing of it is under way")


def judge_patch(effect_id: str, effect: Patch, last: Attempt | None, looked: Object | None) -> Probed:
    """Marker, resourceVersion, generation, managedFields: in this order, each a proof. Pure.

    `last` is the newest attempt without a settled outcome; None = there is none, and only the marker can tell.
    """

    def say(answer: str, detail: str, undo: Patch | None = None) -> Probed:
        return Probed(effect_id=effect_id, answer=answer, detail=detail, inverse=undo)  # type: ignore[arg-type]

    if looked is None or uid_of(looked) != effect.uid:
        return say("never", f"{effect.ref} is gone, or another object by that name")
    if marker_of(looked) == effect_id:
        # The undo is only bound to values that are still ours: what somebody changed since is left alone.
        undo = _inverse(effect, looked) if _holds_what_we_sent(effect, looked) else None
        return say("happened", "our marker is on the object", undo)
    if last is None:
        return _never(effect_id)
    if version_of(looked) == last.resource_version:
        return say("again", "resourceVersion is still the attempt's: it has not happened yet")
    generation = generation_of(looked)
    if generation is not None:
        if generation == last.generation:
            return say("never", "only the status moved since: the attempt's precondition can never hold again")
        return say("person", "the spec moved and our marker is not there: cannot tell by looking")
    if _written_since(looked, last.at):
        return say("person", "somebody wrote it since and our marker is not there: cannot tell by looking")
    return say("never", "nobody wrote its spec since: the attempt's precondition can never hold again")


def judge_pod(effect_id: str, last: Attempt, looked: Object | None) -> Probed:
    """An eviction or deletion is bound to a uid: gone or going is done, and the same request again can only hit it."""
    if looked is None or uid_of(looked) != last.uid or dig(looked, "metadata", "deletionTimestamp"):
        return Probed(effect_id=effect_id, answer="happened", detail="the pod is gone or going", taken_uid=last.uid)
    if last.request.verb == "delete" and version_of(looked) != last.resource_version:
        return Probed(
            effect_id=effect_id, answer="never", detail="the pod moved on: its precondition cannot hold again"
        )
    return Probed(effect_id=effect_id, answer="again", detail="the pod is still there, untouched")


def _written_since(looked: Object, at: datetime) -> bool:
    """Whether managedFields shows a write of anything but the status since then; their times have whole seconds."""
    entries = dig(looked, "metadata", "managedFields")
    if not entries:
        return True
    start = at.replace(microsecond=0)
    for entry in entries:
        if entry.get("subresource") == "status":
            continue
        time = entry.get("time")
        if time is None or datetime.fromisoformat(str(time).replace("Z", "+00:00")) >= start:
            return True
    return False
