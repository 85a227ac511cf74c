"""`fence_node`: tell Kubernetes that a node is powered off, so that its pods and volumes may move at once.

The out-of-service taint deletes pods by force and detaches their volumes without asking the node. On a node that still
runs, two writers then share one volume. So two proofs are needed, and a person's yes on top.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import Field, model_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_TIME, Change, FieldChange, NotPossible, Patch
from remediator.actions.nodes.node import OUT_OF_SERVICE, Ready, copies, ready_of, refuse_leaving, some
from remediator.actions.nodes.standing import full_name, pods_on, roots_of
from remediator.actions.owners import managers_of
from remediator.actions.pods import pod_has_finished
from remediator.actions.times import parse_time
from remediator.actions.view import ListOf, Query, View, Wanted
from remediator.actions.workload import OURS
from remediator.objects import Object, annotations_of, controller_of, dig, ref_of, uid_of
from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import PositiveDuration
from remediator.ports import FIELD_MANAGER, Sample

POWERED_OFF = f"{OURS}powered-off"
"""Annotation in which a person writes when the node was switched off (RFC 3339)."""

FENCED = f"{OURS}fenced"
"""Annotation with the time of our taint."""

TAINT = {"key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"}
TAINT_PATH = ("spec", "taints", f"[key={OUT_OF_SERVICE}]")
FENCED_PATH = ("metadata", "annotations", FENCED)

AHEAD = timedelta(minutes=2)
"""How far a person's clock may be ahead of ours."""

FRESH = timedelta(minutes=5)
"""How old the sample may be that says "off"."""


class FenceNodeParams(Params):
    """How the second proof is given: by a person, or by the power supply."""

    not_ready_for: PositiveDuration = Field(timedelta(minutes=10), ge=timedelta(minutes=5), le=timedelta(hours=24))
    """How long the kubelet must have been silent. That is the first proof."""
    powered_off_query: str = Field("", max_length=2000)
    """PromQL that gives exactly one sample with the value 1 while this node has no power, and names the node or one of
    its addresses. Empty: only the annotation `remediator.dev/powered-off` counts."""
    max_silent: int = Field(1, ge=1, le=5)
    """More nodes that are silent at once look like a broken network, not like nodes without power."""

    @model_validator(mode="after")
    def _no_blank_query(self) -> FenceNodeParams:
        if self.powered_off_query and not self.powered_off_query.strip():
            raise ValueError("powered_off_query is blank: write PromQL, or leave it out")
        return self


class FenceNode:
    """Undo takes the taint away; pods that were deleted meanwhile do not come back."""

    name = "fence_node"
    kinds: tuple[str, ...] = ("Node",)
    needs: frozenset[str] = frozenset()
    disruptive = True
    changes_data = True
    rights = (Right("patch", "Node"), Right("list", "Node"), Right("list", "Pod"))
    params = FenceNodeParams

    def resolve(self, params: FenceNodeParams, view: View) -> FenceNodeParams:
        return params

    def wants(self, params: FenceNodeParams, view: View) -> Mapping[str, Wanted]:
        wanted: dict[str, Wanted] = {"nodes": ListOf(kind="Node"), "pods": pods_on(view.ref.name)}
        if params.powered_off_query:
            wanted["powered_off"] = Query(params.powered_off_query)
        return wanted

    def plan(self, params: FenceNodeParams, view: View) -> Change:
        """Raises: NotPossible as long as one of the two proofs is missing."""
        refuse_leaving(view)
        if any(taint.get("key") == OUT_OF_SERVICE for taint in dig(view.target, "spec", "taints") or ()):
            raise NotPossible(f"{view.ref} is out of service already")
        since = _silent_since(params, view)
        _refuse_many_silent(params, view)
        proof = f"silent since {since:%H:%M:%S} UTC, {_second_proof(params, view, since)}"
        pods = [pod for pod in view.found["pods"] if not pod_has_finished(pod)]
        return Change(
            effects=(_patch(view),),
            summary=f"take out of service: {copies(len(pods), 'pod')} deleted by force, volumes detached",
            reduces_capacity=True,
            needs_approval=f"it must be without power, or data is destroyed: {proof}",
            notes=tuple(_notes(pods)),
            touches=roots_of(pods),
        )


def _patch(view: View) -> Patch:
    return Patch(
        ref=view.ref,
        uid=uid_of(view.target),
        changes=(
            FieldChange(path=TAINT_PATH, before=None, after=TAINT),
            FieldChange(path=FENCED_PATH, before=annotations_of(view.target).get(FENCED), after=GENERATED_TIME),
        ),
    )


def _silent_since(params: FenceNodeParams, view: View) -> datetime:
    """First proof. `False` is said by a kubelet that runs: such a node has power."""
    ready: Ready = ready_of(view.target)
    if ready.status != "Unknown":
        word = "ready" if ready.status == "True" else "not ready, and says so itself"
        raise NotPossible(f"{view.ref} is {word}: its kubelet answers, so it has power")
    if ready.since is None:
        raise NotPossible(f"{view.ref} has never reported: nobody knows since when it is silent")
    silent = view.read_at - ready.since
    if silent < params.not_ready_for:
        raise NotPossible(
            f"{view.ref} is silent for {format_duration(max(silent, timedelta(0)))}, "
            f"not_ready_for is {format_duration(params.not_ready_for)}",
            hold=True,
        )
    return ready.since


def _refuse_many_silent(params: FenceNodeParams, view: View) -> None:
    others = [n for n in view.found["nodes"] if ref_of(n) != view.ref]
    silent = sorted(ref_of(node).name for node in others if ready_of(node).status == "Unknown")
    if len(silent) + 1 > params.max_silent:
        raise NotPossible(
            f"{some(silent)} {'is' if len(silent) == 1 else 'are'} silent too, max_silent is {params.max_silent}: "
            "that looks like a broken network, behind which nodes go on writing",
            hold=True,
        )


def _second_proof(params: FenceNodeParams, view: View, silent_since: datetime) -> str:
    """The proof in words. Raises: NotPossible when neither the annotation nor the query proves it."""
    if POWERED_OFF in annotations_of(view.target):
        return _said_by_a_person(view, silent_since)
    if not params.powered_off_query:
        raise NotPossible(
            f"nothing proves that {view.ref} has no power: switch it off, then write the time into its annotation "
            f"{POWERED_OFF}"
        )
    if not any(_says(params.powered_off_query, name) for name in _names(view.target)):
        raise NotPossible(f"powered_off_query names neither {view.ref.name} nor an address of it: it may mean another")
    samples: Sequence[Sample] = view.found["powered_off"]
    if len(samples) != 1:
        raise NotPossible(
            f"powered_off_query gives {copies(len(samples), 'sample')}, exactly one is a proof", hold=True
        )
    if samples[0].value != 1 or view.read_at - samples[0].at > FRESH:
        raise NotPossible(f"powered_off_query does not say 1 now: {view.ref} may have power", hold=True)
    return "and powered_off_query says that it is off"


def _said_by_a_person(view: View, silent_since: datetime) -> str:
    """The time must lie after the node fell silent: an older one is about an earlier failure."""
    text = annotations_of(view.target)[POWERED_OFF]
    writers = managers_of(view.target, ("metadata", "annotations", POWERED_OFF))
    if any(writer.name == FIELD_MANAGER for writer in writers):
        raise NotPossible(f"{POWERED_OFF} of {view.ref} was written by ourselves, which proves nothing")
    try:
        at = parse_time(text)
    except ValueError:
        raise NotPossible(f"{POWERED_OFF} of {view.ref} is no time: write it like 2025-06-01T12:00:00Z") from None
    if at > view.read_at + AHEAD:
        raise NotPossible(f"{POWERED_OFF} of {view.ref} lies in the future: correct it")
    if at < silent_since:
        raise NotPossible(f"{POWERED_OFF} of {view.ref} is older than its silence: it is about an earlier failure")
    return f"and {writers[0].name if writers else 'a person'} wrote that it was switched off"


def _says(query: str, name: str) -> bool:
    """Whether the query holds this name as a whole: `worker-1` is not in `worker-10`."""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", query) is not None


def _names(node: Object) -> tuple[str, ...]:
    addresses = dig(node, "status", "addresses") or ()
    return (ref_of(node).name, *(str(a.get("address")) for a in addresses if a.get("address")))


def _notes(pods: Sequence[Object]) -> list[str]:
    notes = [
        f"it stays out of service until the taint {OUT_OF_SERVICE} is removed: only when it is known to run again",
        "what its pods had not written to their volumes is lost",
    ]
    if bare := [full_name(pod) for pod in pods if controller_of(pod) is None]:
        notes.append(f"nobody makes {some(bare)} again")
    return notes
