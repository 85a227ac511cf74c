"""Lets happen what a story says: to pods, by people, and to everything that the service depends on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from remediator.adapters.simulated import (
    CRASHING,
    HEALTHY,
    NEVER_READY,
    NO_IMAGE,
    OUT_OF_MEMORY,
    Behaviour,
    FailRead,
    LoseReply,
    LoseRequest,
    Reject,
    StatusError,
)
from remediator.adapters.simulated.faults import WriteFault
from remediator.deciding import NEEDS_PERSON, REJECTABLE
from remediator.errors import CannotSee, Conflict, Refused, Unavailable
from remediator.objects import Object, ObjectRef, dig, labels_of, uid_of
from remediator.people.account import Account
from remediator.playbook_tests.model import ApiFault, Happening, PauseWord, Pods, RunWord, Word
from remediator.playbook_tests.placing import place, set_status
from remediator.playbook_tests.record import Refusal
from remediator.playbook_tests.stage import Stage
from remediator.remediation.state import Remediation, State
from remediator.service_errors import ServiceError

BEHAVIOURS: Mapping[str, Behaviour] = {
    "ready": HEALTHY,
    "unready": NEVER_READY,
    "crashing": CRASHING,
    "out_of_memory": OUT_OF_MEMORY,
    "no_image": NO_IMAGE,
}
WRITE_FAULTS: Mapping[str, Callable[[], WriteFault]] = {
    "conflict": lambda: Reject(Conflict("409 Conflict: by the test")),
    "forbidden": lambda: Reject(Refused("403 Forbidden: by the test", forbidden=True)),
    "unavailable": lambda: Reject(Unavailable("connection refused: by the test")),
    "answer_lost": LoseReply,
    "request_lost": LoseRequest,
}


STATES: Mapping[str, Collection[State]] = {"approve": NEEDS_PERSON, "reject": REJECTABLE}


class NotThere(Exception):
    """The story speaks of something that does not exist."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """How some pods behave. `uids` None = all pods of the workload, also later ones."""

    of: ObjectRef
    selector: Mapping[str, str]
    uids: frozenset[str] | None
    image: str
    behaviour: Behaviour

    def holds(self, pod: Object) -> bool:
        if self.uids is not None:
            return uid_of(pod) in self.uids
        if self.image and self.image != _image(pod):
            return False
        return _belongs(pod, self.of, self.selector)


class Director:
    """One per story."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._rules: list[_Rule] = []
        stage.cluster.behave(self._behaviour)

    async def let(self, happening: Happening, number: int) -> None:
        """`number` is its place in the story. Raises: NotThere, StatusError, CannotFill."""
        given = getattr(happening, happening.kind)
        self._stage.record.line(self._stage.now_s(), "happens", _said(happening.kind, given))
        cluster = self._stage.cluster
        match happening.kind:
            case "pods":
                self._pods(given)
            case "release":
                self._release(given.of, given.image)
            case "edit":
                patch = self._stage.filler().fill(given.patch)
                cluster.edit(self._known(given.object), patch, manager=given.manager)
            case "apply":
                place(cluster, self._stage.filler(), given)
            case "status":
                set_status(cluster, self._stage.filler(), self._known(given.of), given.set)
            case "delete":
                cluster.delete(self._known(given))
            case "node_fails":
                cluster.fail_node(self._known(ObjectRef("Node", "", given)).name)
            case "node_returns":
                cluster.recover_node(self._known(ObjectRef("Node", "", given)).name)
            case "approve" | "reject" | "take" | "give_back" as verb:
                await self._says(verb, given, number)
            case "pause" | "resume" as verb:
                await self._pauses(verb, given, number)
            case "run":
                await self._runs(given, number)
            case "silence":
                until = self._stage.clock.now() + given.lasts
                self._stage.alertmanager.silence(given.matchers, given.who, given.why, until)
            case "api":
                self._fault(given)
            case "prometheus":
                self._stage.prometheus.down = given == "down"
            case "alertmanager":
                self._stage.alertmanager.down = given == "down"
            case _:
                down = self._stage.listeners.down
                down.add(happening.kind) if given == "down" else down.discard(happening.kind)

    # The cluster

    def pod_of(self, ref: ObjectRef) -> str:
        """The pod that an alert about a workload names: one that is in trouble, if there is one. Raises: NotThere."""
        pods = self._pods_of(ref)
        if not pods:
            raise NotThere(f"{ref} has no pods")
        troubled = [p for p in pods if (b := self._behaviour(p)) is not None and b is not HEALTHY]
        return str((troubled or sorted(pods, key=_is_ready))[0]["metadata"]["name"])

    def _behaviour(self, pod: Object) -> Behaviour | None:
        return next((rule.behaviour for rule in self._rules if rule.holds(pod)), None)

    def _pods(self, pods: Pods) -> None:
        found = [p for p in self._pods_of(pods.of) if not pods.image or _image(p) == pods.image]
        uids = None
        if pods.count is not None:
            if len(found) < pods.count:
                raise NotThere(f"{pods.of} has {len(found)} such pods, not {pods.count}")
            uids = frozenset(uid_of(p) for p in found[: pods.count])
        rule = _Rule(pods.of, self._selector(pods.of), uids, pods.image, BEHAVIOURS[pods.are])
        self._rules.insert(0, rule)
        self._stage.cluster.reconsider()

    def _release(self, ref: ObjectRef, image: str) -> None:
        workload = self._stage.cluster.peek(self._known(ref))
        assert workload is not None
        first, *others = dig(workload, "spec", "template", "spec", "containers")
        patch = {"spec": {"template": {"spec": {"containers": [{**first, "image": image}, *others]}}}}
        self._stage.cluster.edit(ref, patch, manager="kubectl-set")

    def _known(self, ref: ObjectRef) -> ObjectRef:
        if self._stage.cluster.peek(ref) is None:
            raise NotThere(f"there is no {ref}")
        return ref

    def _selector(self, ref: ObjectRef) -> Mapping[str, str]:
        if ref.kind == "Pod":
            return {}
        return dig(self._stage.cluster.peek(self._known(ref)), "spec", "selector", "matchLabels") or {}

    def _pods_of(self, ref: ObjectRef) -> list[Object]:
        selector = self._selector(ref)
        return [p for p in self._stage.cluster.all("Pod", ref.namespace) if _belongs(p, ref, selector)]

    def _fault(self, fault: ApiFault) -> None:
        kind, name = (fault.object.kind, fault.object.name) if fault.object else ("", "")
        if fault.write is not None:
            made = WRITE_FAULTS[fault.write]()
            self._stage.faults.write(made, verb=fault.verb, kind=kind, name=name, times=fault.times)
        else:
            failed = FailRead(CannotSee("no answer: by the test"))
            self._stage.faults.read(failed, verb=fault.verb, kind=kind, name=name, times=fault.times)

    # People

    async def _says(self, verb: str, word: Word, number: int) -> None:
        account, people = _account(word.who, word.role), self._stage.people

        async def say() -> None:
            r = self._meant(verb, word.playbook)
            match verb:
                case "approve":
                    await people.approve(r.id, account, digest=r.digest)
                case "reject":
                    await people.reject(r.id, account, why=word.why)
                case "take":
                    await people.take(r.id, account)
                case _:
                    await people.give_back(r.id, account)

        await self._try(word.who, number, say)

    async def _pauses(self, verb: str, word: PauseWord, number: int) -> None:
        account, people = _account(word.who, "operator"), self._stage.people

        async def say() -> None:
            if verb == "pause":
                await people.pause(word.scope, account, why=word.why)
            else:
                await people.resume_scope(word.scope, account)

        await self._try(word.who, number, say)

    async def _runs(self, word: RunWord, number: int) -> None:
        account, people = _account(word.who, "operator"), self._stage.people
        ref = word.target
        target = "/".join(part for part in (ref.kind, ref.namespace, ref.name) if part) if ref else ""
        params = {
            name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in word.params.items()
        }

        async def say() -> None:
            await people.run(word.playbook, account, target=target, params=params, why=word.why)

        await self._try(word.who, number, say)

    async def _try(self, who: str, number: int, say: Callable[[], Awaitable[None]]) -> None:
        try:
            await say()
        except (ServiceError, NotThere) as exc:
            now = self._stage.now_s()
            self._stage.record.refusals.append(Refusal(at=now, who=who, text=str(exc), where=number))
            self._stage.record.line(now, "service", f"said no to {who}: {exc}")

    def _meant(self, verb: str, playbook: str) -> Remediation:
        """The newest one that the word can be about; the newest of all will say why not. Raises: NotThere."""
        known = [r for r in self._stage.record.last.values() if not playbook or r.playbook == playbook]
        if not known:
            raise NotThere(f"there is nothing to {verb.replace('_', ' ')}")
        waiting = [r for r in known if r.state in STATES.get(verb, ()) or r.waiting_for == "ask"]
        return (waiting or known)[-1]


def _account(who: str, role: str) -> Account:
    return Account(system="api", id=who, name=who, role=role, via="cli")


def _belongs(pod: Object, ref: ObjectRef, selector: Mapping[str, str]) -> bool:
    if pod["metadata"]["namespace"] != ref.namespace:
        return False
    if ref.kind == "Pod":
        return bool(pod["metadata"]["name"] == ref.name)
    return bool(selector) and selector.items() <= labels_of(pod).items()


def _image(pod: Object) -> str:
    return str(dig(pod, "spec", "containers", default=[{}])[0].get("image", ""))


def _is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in dig(pod, "status", "conditions") or ())


def _said(kind: str, given: object) -> str:
    """`pods of=Deployment shop/cart are=crashing`"""
    if not isinstance(given, BaseModel):
        return f"{kind.replace('_', ' ')} {given}"
    said = (f"{name}={getattr(given, name)}" for name in type(given).model_fields if name in given.model_fields_set)
    return " ".join((kind.replace("_", " "), *said))


__all__ = ["Director", "NotThere", "StatusError"]
