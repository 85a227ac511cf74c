"""What is left where engineers look anyway: Kubernetes Events on the target, annotations on Grafana's dashboards.

Messages like all others: made with the transition that they tell of, committed with it, sent from the outbox. They tell
of what was done and how it ended; what was only thought about is in Slack, the console and the journal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from remediator.objects import ObjectRef
from remediator.people.inert import inert
from remediator.people.markup import safe_url, short
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.story import Story
from remediator.people.wording import title

CONTROLLER = "remediator.dev"
"""Who reports our Events; by it our own words are told from evidence."""
NOTE_LIMIT = 1024
"""Of an Event's message."""
TEXT_LIMIT = 1000
TAG_LIMIT = 100

EventType = Literal["Normal", "Warning"]

_VERDICTS: Mapping[str, tuple[str, EventType]] = {
    "succeeded": ("RemediationSucceeded", "Normal"),
    "superseded": ("RemediationSuperseded", "Normal"),
    "inconclusive": ("RemediationInconclusive", "Warning"),
    "undone": ("RemediationUndone", "Warning"),
    "undo_failed": ("RemediationUndoFailed", "Warning"),
    "failed": ("RemediationFailed", "Warning"),
    "refused": ("RemediationRefused", "Warning"),
    "uncertain": ("RemediationUncertain", "Warning"),
}
"""State, or outcome of an escalated one, to an Event's reason and type; anything else is `RemediationStopped`."""


class DashboardMatch(BaseModel):
    """Which dashboard (and panel) a target belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uid: str
    panel: int | None = None
    cluster: tuple[str, ...] = ()
    namespace: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    """Names of objects, without kind and namespace."""
    team: tuple[str, ...] = ()

    def holds(self, story: Story, name: str) -> bool:
        asked = (
            (self.cluster, story.cluster),
            (self.namespace, story.namespace),
            (self.target, name),
            (self.team, story.team),
        )
        return all(not globs or any(fnmatchcase(value, glob) for glob in globs) for globs, value in asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What the operator wants. `dashboards` None = no Grafana."""

    kubernetes_events: bool = False
    dashboards: tuple[DashboardMatch, ...] | None = None


NOTHING_BESIDE = Beside()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effected:
    """One effect that was acknowledged with this transition."""

    id: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a transition did to which object. `verdict`: a state of this transition after which nothing more is done."""

    target: ObjectRef
    uid: str
    effects: tuple[Effected, ...] = ()
    acted_at: datetime
    """When the first effect was acknowledged."""
    verdict: bool = False


def beside(story: Story, scene: Scene | None, wanted: Beside) -> tuple[OutboxMessage, ...]:
    """The rows of one transition. Pure; nothing for a remediation that has done nothing (`scene` None)."""
    if scene is None or not (scene.effects or scene.verdict):
        return ()
    events = _events(story, scene) if wanted.kubernetes_events else ()
    return (*events, *_annotations(story, scene, wanted.dashboards))


def _events(story: Story, scene: Scene) -> tuple[OutboxMessage, ...]:
    who = f"playbook {story.playbook}, remediation {story.remediation_id}"
    told = [
        (f"acted/{e.id}", "Remediating", "Normal", f"{e.summary.replace(' -> ', ' → ')} ({who})") for e in scene.effects
    ]
    if scene.verdict:
        word = story.outcome if story.state == "escalated" else story.state
        reason, kind = _VERDICTS.get(word, ("RemediationStopped", "Warning"))
        told.append((f"{story.state}/{story.outcome}", reason, kind, f"{title(story)}: {story.explanation} ({who})"))
    key = f"kubernetes_event/{story.cluster}/{story.remediation_id}"
    ref = scene.target
    return tuple(
        OutboxMessage(
            channel="kubernetes_event",
            destination=story.cluster,
            key=key,
            kind="event",
            payload={
                "kind": ref.kind,
                "namespace": ref.namespace,
                "name": ref.name,
                "uid": scene.uid,
                "reason": reason,
                "type": kind,
                "note": short(note, NOTE_LIMIT),
                "at": story.now.isoformat(),
                "id": hashlib.sha256(f"{key}/{once}".encode(errors="replace")).hexdigest()[:16],
            },
            once=f"{key}/{once}",
        )
        for once, reason, kind, note in told
    )


def _annotations(
    story: Story, scene: Scene, dashboards: tuple[DashboardMatch, ...] | None
) -> tuple[OutboxMessage, ...]:
    """One annotation for each dashboard, from the first effect to the verdict; brought up to date in place."""
    if dashboards is None:
        return ()
    found = [d for d in dashboards if d.holds(story, scene.target.name)]
    places = dict.fromkeys((d.uid, d.panel) for d in found) or {("", None): None}
    return tuple(_annotation(story, scene, uid, panel) for uid, panel in places)


def _annotation(story: Story, scene: Scene, uid: str, panel: int | None) -> OutboxMessage:
    assert scene.acted_at is not None
    console = safe_url(story.console_url)
    text = inert(f"{title(story)}: {story.headline}. {story.explanation}", TEXT_LIMIT)
    tags = {
        "remediator": "",
        "cluster": story.cluster,
        "namespace": story.namespace,
        scene.target.kind.lower(): scene.target.name,
        "playbook": story.playbook,
        "state": story.state,
    }
    payload: dict[str, Any] = {
        "time": _milliseconds(scene.acted_at),
        "timeEnd": _milliseconds(story.now if scene.verdict else scene.acted_at),
        "text": f'{text} <a href="{console.replace("&", "&amp;")}">console</a>' if console else text,
        "tags": [
            short(f"{name}:{value}" if value else name, TAG_LIMIT)
            for name, value in tags.items()
            if value or name == "remediator"
        ],
        **({"dashboardUID": uid} if uid else {}),
        **({"panelId": panel} if panel is not None else {}),
    }
    destination = uid or "organisation"
    return OutboxMessage(
        channel="grafana",
        destination=destination,
        key=f"grafana/{destination}/{panel or 0}/{story.remediation_id}",
        kind="update",
        payload=payload,
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
