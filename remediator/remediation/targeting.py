"""From an alert to the object that a playbook with `target: from_alert` acts on.

What the labels say (`alerts/labels.py`) is looked up here, with reads only. Nothing is guessed: a pod's name does not
tell its Deployment, its controllers do, by uid. Where the labels give two answers that disagree, where an object is
not there, where a label holds no name, the answer is `TargetUnclear`, which denies and shows what was found. What we
cannot see (timeouts, missing permission) stays a `ReadError`, which holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from remediator.alerts.alert import Alert
from remediator.alerts.labels import Hint, InvalidHint, LabelRules, Reading, read_labels
from remediator.errors import NotFound, RemediatorError
from remediator.objects import KINDS, Object, ObjectRef, controller_of, dig, kind_name, ref_of, uid_of
from remediator.playbooks.problems import did_you_mean
from remediator.ports import Cluster

_MAX_OWNERS = 5
"""Longest chain of controllers that is followed. The longest in use is 4: Pod, ReplicaSet, Deployment, an
operator's."""

_MAX_SHOWN = 5
"""Objects that one message lists at most."""

# Between a pod and what people act on. A bare one of these is acted on itself.
_PARTS = ("Pod", "ReplicaSet")

# Where a program stores or runs. Hints of the other kinds are about the program itself, so they must agree.
_PLACES = frozenset({"PersistentVolumeClaim", "Node"})

# Come and go by themselves. A label that names one which is gone does not contradict a label that names its workload.
_SHORT_LIVED = frozenset({"Pod", "ReplicaSet"})


class TargetUnclear(RemediatorError):
    """The alert does not lead to exactly one object. Denies; the message shows what was found and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The one object an alert is about.

    `root` is the topmost controller (for an autoscaler: of what it scales), the key of locks and episodes; it may be
    of a kind that we do not know. `root_uid` is its uid, as what it controls says. `pod` is the pod that the alert
    names, where it still exists. `because` says for people which label chose the target. `snapshot` is the target as it
    was just read.
    """

    ref: ObjectRef
    root: ObjectRef
    uid: str
    root_uid: str = ""
    pod: str = ""
    because: str
    snapshot: Object = field(repr=False, compare=False)


async def resolve_from_alert(cluster: Cluster, alert: Alert, rules: LabelRules) -> Resolved:
    """Find the object that an alert is about.

    Raises: TargetUnclear (deny); Forbidden or CannotSee (hold).
    """
    reading = read_labels(alert.labels, rules)
    hints = _readable(reading)
    look = _Look(cluster)
    chosen, others = hints[0], hints[1:]
    answer = await _answer(look, chosen, rules)
    notes = [answer.because]
    pod = answer.pod
    for other in others:
        if _same_family(chosen, other):
            note, pod_of_it = await _agreement(look, answer, chosen, other)
            notes.append(note)
            pod = pod or pod_of_it
    notes += [f"ignored {label}: {reason}" for label, reason in sorted(reading.ignored.items())]
    return Resolved(
        ref=answer.target.ref,
        root=answer.chain[-1].ref,
        uid=answer.target.uid,
        root_uid=answer.chain[-1].uid,
        pod=pod,
        because="; ".join(notes),
        snapshot=answer.target.snapshot,
    )


async def resolve_named(cluster: Cluster, ref: ObjectRef) -> Resolved:
    """The object that a person has named, with what stands above it: a pod's name means its workload here as well.

    Raises: TargetUnclear (deny); Forbidden or CannotSee (hold).
    """
    if ref.kind not in KINDS:
        raise TargetUnclear(f"unknown kind {ref.kind!r:.60}. {did_you_mean(ref.kind, KINDS)}")
    look = _Look(cluster)
    try:
        found = await look.get(ref)
    except NotFound as exc:
        raise TargetUnclear(f"{ref} does not exist in cluster {cluster.name}") from exc
    chain = await look.chain(found)
    target = _target(chain)
    return Resolved(
        ref=target.ref,
        root=chain[-1].ref,
        uid=target.uid,
        root_uid=chain[-1].uid,
        pod=ref.name if ref.kind == "Pod" else "",
        because=f"{ref} was named{_owners(chain)}",
        snapshot=target.snapshot,
    )


async def resolve_root(cluster: Cluster, found: Resolved) -> Resolved:
    """The same with the topmost controller as what is acted on, read and checked by uid.

    Raises: TargetUnclear (deny); Forbidden or CannotSee (hold).
    """
    try:
        root = await cluster.get(found.root)
    except NotFound as exc:
        raise TargetUnclear(f"{found.ref} is controlled by {found.root}, which is gone; it is being deleted") from exc
    if uid_of(root) != found.root_uid:
        raise TargetUnclear(
            f"{found.ref} belongs to an older {found.root} (uid {found.root_uid}) that was deleted since"
        )
    because = f"{found.because}; the steps act on {found.root}"
    return replace(found, ref=found.root, uid=uid_of(root), because=because, snapshot=root)


def _readable(reading: Reading) -> Sequence[Hint]:
    invalid = [str(hint) for hint in reading.hints if isinstance(hint, InvalidHint)]
    if invalid:
        raise TargetUnclear(f"{'; '.join(invalid)}. Correct the alert rule, or say under config labels: what it means")
    if not reading.hints:
        ignored = "; ".join(f"{label}: {reason}" for label, reason in sorted(reading.ignored.items()))
        raise TargetUnclear(
            "no label of this alert names an object"
            + (f" (ignored: {ignored})" if ignored else "")
            + "; give the playbook a target:, or say under config labels: which label names it"
        )
    return [hint for hint in reading.hints if isinstance(hint, Hint)]


@dataclass(frozen=True, slots=True)
class _Link:
    """One object of a chain of controllers. `found` is None for a kind that we do not know and did not read."""

    ref: ObjectRef
    uid: str
    found: Object | None


@dataclass(frozen=True, slots=True)
class _Target:
    ref: ObjectRef
    uid: str
    snapshot: Object


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one hint led to: the object to act on, and the chain from the named object up to its root."""

    target: _Target
    chain: Sequence[_Link]
    because: str
    pod: str = ""


class _Look:
    """Reads of one resolution; no object is read twice."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._seen: dict[ObjectRef, Object] = {}

    async def get(self, ref: ObjectRef) -> Object:
        """Raises: ReadError."""
        if ref not in self._seen:
            self._seen[ref] = await self.cluster.get(ref)
        return self._seen[ref]

    async def chain(self, found: Object) -> list[_Link]:
        """The object and its controllers, each checked by uid.

        Raises: TargetUnclear, Forbidden, CannotSee.
        """
        links = [_Link(ref_of(found), uid_of(found), found)]
        while len(links) <= _MAX_OWNERS:
            owner = await self._owner(links[-1])
            if owner is None:
                return links
            links.append(owner)
            if owner.found is None:
                return links
        raise TargetUnclear(
            f"{links[0].ref} has more than {_MAX_OWNERS} controllers above it; name the target yourself"
        )

    async def _owner(self, link: _Link) -> _Link | None:
        if link.found is None:
            return None
        if link.ref.kind == "HorizontalPodAutoscaler":  # also where KEDA controls it: the incident is the workload's
            return await self._scaled(link)
        controller = controller_of(link.found)
        if controller is None:
            return None
        kind, name, uid = (str(controller.get(key)) for key in ("kind", "name", "uid"))
        if kind == "Node":
            raise TargetUnclear(f"{link.ref} is a static pod: a file on Node {name} runs it, not the API server")
        if not _is_ours(kind, str(controller.get("apiVersion"))):
            known_as = kind_name(str(controller.get("apiVersion")), kind)
            return _Link(ObjectRef(known_as, link.ref.namespace, name), uid, None)
        ref = ObjectRef(kind, link.ref.namespace, name)
        try:
            owner = await self.get(ref)
        except NotFound as exc:
            raise TargetUnclear(f"{link.ref} is controlled by {ref}, which is gone; it is being deleted") from exc
        if uid_of(owner) != uid:
            raise TargetUnclear(f"{link.ref} belongs to an older {ref} (uid {uid}) that was deleted since")
        return _Link(ref, uid, owner)

    async def _scaled(self, link: _Link) -> _Link | None:
        """What an autoscaler scales: both are one incident and must share a lock."""
        scaled = dig(link.found, "spec", "scaleTargetRef") or {}
        kind, name = str(scaled.get("kind")), str(scaled.get("name"))
        if not _is_ours(kind, str(scaled.get("apiVersion"))):
            known_as = kind_name(str(scaled.get("apiVersion")), kind)
            return _Link(ObjectRef(known_as, link.ref.namespace, name), "", None)
        ref = ObjectRef(kind, link.ref.namespace, name)
        try:
            found = await self.get(ref)
        except NotFound:
            return None  # an autoscaler without its workload is still the object the alert is about
        return _Link(ref, uid_of(found), found)


def _is_ours(kind: str, api_version: str) -> bool:
    """Whether this is the kind that we mean by that name: other groups have a Job or a Service too."""
    return kind in KINDS and KINDS[kind].api_version.rpartition("/")[0] == api_version.rpartition("/")[0]


async def _answer(look: _Look, hint: Hint, rules: LabelRules) -> _Answer:
    match hint.lookup:
        case "none" | "owner":
            return await _by_name(look, hint)
        case "selector":
            return await _by_selector(look, hint)
        case "node address":
            answer = await _by_node_address(look, hint)
        case "address":
            answer = await _by_node_address(look, hint) or await _by_pod_ip(look, hint, rules)
        case _:
            assert_never(hint.lookup)
    if answer is None:
        what = "node" if hint.lookup == "node address" else "node and no running pod"
        raise TargetUnclear(f"{_said(hint)}, but no {what} of this cluster has that address")
    return answer


async def _by_name(look: _Look, hint: Hint) -> _Answer:
    ref = ObjectRef(hint.kind, hint.namespace, hint.name)
    try:
        found = await look.get(ref)
    except NotFound as exc:
        more = ", and no other label names its workload" if hint.kind == "Pod" else ""
        raise TargetUnclear(f"{_said(hint)}, but {ref} does not exist{more}") from exc
    chain = await look.chain(found)
    pod = hint.name if hint.kind == "Pod" else ""
    return _Answer(_target(chain), chain, f"{_said(hint)}{_owners(chain)}", pod)


async def _by_selector(look: _Look, hint: Hint) -> _Answer:
    """The one workload behind a service."""
    ref = ObjectRef("Service", hint.namespace, hint.name)
    try:
        service = await look.get(ref)
    except NotFound as exc:
        raise TargetUnclear(f"{_said(hint)}, but {ref} does not exist") from exc
    selector: Mapping[str, str] = dig(service, "spec", "selector") or {}
    if not selector:  # an empty selector means "not mine to choose", never "all pods"
        raise TargetUnclear(f"{_said(hint)}, but {ref} has no selector, so it does not say which pods are behind it")
    labels = ",".join(f"{name}={value}" for name, value in sorted(selector.items()))
    pods = (await look.cluster.list("Pod", hint.namespace, labels=labels)).items
    answers = [await look.chain(pod) for pod in pods if _is_running(pod)]
    targets = {_target(chain).ref: chain for chain in answers}
    if len(targets) != 1:
        found = f"pods of {_listed(targets)}" if targets else "no running pod"
        raise TargetUnclear(f"{_said(hint)}, but {ref} selects {found}")
    chain = next(iter(targets.values()))
    return _Answer(_target(chain), chain, f"{_said(hint)}, which selects pods of {_target(chain).ref}")


async def _by_node_address(look: _Look, hint: Hint) -> _Answer | None:
    nodes = (await look.cluster.list("Node")).items
    found = [node for node in nodes if hint.name in _addresses(node)]
    if len(found) > 1:
        raise TargetUnclear(f"{_said(hint)}, but that is an address of {_listed(ref_of(node) for node in found)}")
    if not found:
        return None
    chain = [_Link(ref_of(found[0]), uid_of(found[0]), found[0])]
    return _Answer(_target(chain), chain, f"{_said(hint)}, an address of {chain[0].ref}")


async def _by_pod_ip(look: _Look, hint: Hint, rules: LabelRules) -> _Answer | None:
    pods = (await look.cluster.list("Pod", hint.namespace, fields=f"status.podIP={hint.name}")).items
    # Asked again here, because a pod that ended keeps the IP that another one got since.
    found = [pod for pod in pods if dig(pod, "status", "podIP") == hint.name and _is_running(pod)]
    if len(found) > 1:
        raise TargetUnclear(f"{_said(hint)}, but that is the IP of {_listed(ref_of(pod) for pod in found)}")
    if not found:
        return None
    ref = ref_of(found[0])
    if rules.runs_exporter(ref.name):
        raise TargetUnclear(f"{_said(hint)}, the IP of {ref}: an exporter, which reports on something else")
    chain = await look.chain(found[0])
    return _Answer(_target(chain), chain, f"{_said(hint)}, the IP of {ref}{_owners(chain)}", ref.name)


async def _agreement(look: _Look, answer: _Answer, chosen: Hint, other: Hint) -> tuple[str, str]:
    """How a second hint fits the answer, for the explanation, and the pod that it names.

    Raises: TargetUnclear where it does not fit, showing both.
    """
    ref = ObjectRef(other.kind, other.namespace, other.name)
    if any(link.ref == ref for link in answer.chain):
        return f"{_said(other)} agrees", ""
    try:
        found = await look.get(ref)
    except NotFound as exc:
        if other.kind in _SHORT_LIVED:
            return f"{_said(other)}, which no longer exists", ""
        raise TargetUnclear(f"{answer.because}; but {_said(other)}, and {ref} does not exist") from exc
    chain = await look.chain(found)
    if any(link.ref == subject for link in chain for subject in _subjects(answer)):
        return f"{_said(other)} agrees", other.name if other.kind == "Pod" else ""
    raise TargetUnclear(
        f"two answers: {_said(chosen)}, that is {answer.target.ref}; {_said(other)}, that is {_target(chain).ref}. "
        "Say under config labels: which label is right for this alert"
    )


def _subjects(answer: _Answer) -> Sequence[ObjectRef]:
    """What a fitting second hint leads to: the target, and for an autoscaler also what it scales."""
    if answer.target.ref.kind == "HorizontalPodAutoscaler":
        return [link.ref for link in answer.chain[:2]]
    return [answer.target.ref]


def _same_family(chosen: Hint, other: Hint) -> bool:
    """Whether two hints are about the same program. A kind from the config is: that is why it was named."""
    return chosen.kind not in _PLACES and other.kind not in _PLACES


def _target(chain: Sequence[_Link]) -> _Target:
    """The object to act on: the named one, or for a pod its workload. A part is acted on only where nothing that we
    know controls it."""
    known = [(link, link.found) for link in chain if link.found is not None]
    link, found = next(((link, found) for link, found in known if link.ref.kind not in _PARTS), known[-1])
    return _Target(link.ref, link.uid, found)


def _is_running(pod: Object) -> bool:
    """Not ended for good: its containers may be down, but the pod is one that the service counts on."""
    return dig(pod, "status", "phase") not in ("Succeeded", "Failed")


def _addresses(node: Object) -> set[str]:
    addresses = dig(node, "status", "addresses") or ()
    return {ref_of(node).name, *(str(address.get("address")) for address in addresses)}


def _said(hint: Hint) -> str:
    """`pod="api-7d9-x" in shop`: the label that chose, and what it said."""
    return f'{hint.label}="{hint.name}"' + (f" in {hint.namespace}" if hint.namespace else "")


def _owners(chain: Sequence[_Link]) -> str:
    """`, of ReplicaSet shop/api-7d9, of Deployment shop/api`."""
    verb = "scaling" if chain[0].ref.kind == "HorizontalPodAutoscaler" else "of"
    return "".join(f", {verb} {link.ref}" for link in chain[1:])


def _listed(refs: Iterable[ObjectRef]) -> str:
    names = sorted(str(ref) for ref in refs)
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return ", ".join(names[:_MAX_SHOWN]) + more
