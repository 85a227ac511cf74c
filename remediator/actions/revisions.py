"""The pod templates that a workload has had, and which of them was healthy. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediator.actions.view import Revision, View
from remediator.actions.workload import POD_TEMPLATE_HASH, REVISION_ANNOTATION, Workload, template_hash
from remediator.objects import Object, annotations_of, controller_of, dig, uid_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRevision:
    """One template in a workload's history: a ReplicaSet's or a ControllerRevision's.

    `template` is ready to be written back: without pod-template-hash and `$patch`. `number` moves: a rollback to 3
    makes it the highest. `evidence` is what the observer recorded about it, if anything.
    """

    number: int
    template: Mapping[str, Any]
    template_hash: str
    evidence: Revision | None = None

    @property
    def healthy(self) -> bool:
        return self.evidence is not None and self.evidence.healthy and not self.evidence.known_bad

    @property
    def known_bad(self) -> bool:
        return self.evidence is not None and self.evidence.known_bad


def past_revisions(view: View) -> tuple[PastRevision, ...]:
    """All revisions that the target controls, newest number first; the present template is usually the first.

    Objects of another controller, without a readable number, or without a template are skipped.
    """
    owner = uid_of(view.target)
    evidence = {row.template_hash: row for row in view.observed if row.workload_uid == owner}
    found = []
    for obj in view.revisions:
        controller = controller_of(obj)
        number, template = _number(obj), _template(obj)
        if controller is None or controller.get("uid") != owner or number is None or template is None:
            continue
        hashed = template_hash(template)
        found.append(
            PastRevision(number=number, template=template, template_hash=hashed, evidence=evidence.get(hashed))
        )
    return tuple(sorted(found, key=lambda revision: revision.number, reverse=True))


def last_healthy(workload: Workload, view: View) -> PastRevision | None:
    """The newest revision on record as healthy that we have not rolled back from; may be the present one."""
    return next((revision for revision in past_revisions(view) if revision.healthy), None)


def pushes_out(workload: Workload, view: View) -> str:
    """The last healthy revision that one more restart would remove from history, for people; empty when none is lost.

    Kubernetes keeps `revisionHistoryLimit` old revisions. A restart turns the present one into an old one, so about ten
    restarts remove the release that a rollback would need. Nothing is lost while the present template is itself known
    healthy (every restart keeps it), or while the healthy one is in history twice.
    """
    good = last_healthy(workload, view)
    if good is None or good.template_hash == workload.template_hash:
        return ""
    kept = past_revisions(view)[: workload.history_limit]
    if any(revision.template_hash == good.template_hash for revision in kept):
        return ""
    return (
        f"revision {good.number} is the last healthy one, and {workload.history_limit} old revisions are kept: "
        f"one more restart would remove it, and nothing could be rolled back to"
    )


def _number(obj: Object) -> int | None:
    """The revision: a field of a ControllerRevision, an annotation of a ReplicaSet (missing = 0)."""
    if obj.get("kind") == "ControllerRevision":
        value = obj.get("revision")
        return value if isinstance(value, int) else None
    text = annotations_of(obj).get(REVISION_ANNOTATION, "0")
    return int(text) if text.isdecimal() else None


def _template(obj: Object) -> dict[str, Any] | None:
    """The pod template as the workload had it."""
    path = ("data", "spec", "template") if obj.get("kind") == "ControllerRevision" else ("spec", "template")
    raw = dig(obj, *path)
    if not isinstance(raw, Mapping):
        return None
    template = {key: value for key, value in raw.items() if key != "$patch"}
    labels = dig(template, "metadata", "labels")
    if labels and POD_TEMPLATE_HASH in labels:
        kept = {key: value for key, value in labels.items() if key != POD_TEMPLATE_HASH}
        template["metadata"] = {**template["metadata"], "labels": kept}
    return template
