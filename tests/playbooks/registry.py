"""Small stand-ins for the registries of actions and checks, and short ways to make playbooks, alerts and views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from remediator.actions.base import Action, Params
from remediator.actions.change import Change
from remediator.actions.view import View
from remediator.alerts.alert import Alert
from remediator.objects import Object, ref_of
from remediator.playbooks.loader import load_playbook
from remediator.playbooks.model import LoadedPlaybook

NOW = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


class RollbackParams(Params):
    to: Literal["last_healthy", "previous"] | int = "last_healthy"


class ScaleParams(Params):
    to: int | None = Field(None, ge=0)
    by: int | None = None
    min: int = Field(ge=0)
    max: int = Field(ge=1, le=100)

    @model_validator(mode="after")
    def _one_way(self) -> ScaleParams:
        if (self.to is None) == (self.by is None):
            raise ValueError("give exactly one of to or by")
        return self


class EvictParams(Params):
    select: Literal["alert_pod", "unready", "all"] = "alert_pod"
    max: int | None = Field(None, ge=1)


class RestartParams(Params):
    strategy: Literal["rollout", "evict"] = "rollout"


@dataclass
class StubAction:
    name: str
    params: type[Any]
    kinds: tuple[str, ...] = ("Deployment", "StatefulSet", "DaemonSet")
    needs: frozenset[str] = frozenset()
    disruptive: bool = True
    through_git: bool = False

    def resolve(self, params: Any, view: View) -> Any:
        return params

    def plan(self, params: Any, view: View) -> Change:
        raise NotImplementedError


class CheckArgs(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class OnEmpty(CheckArgs):
    value: float
    while_: str = Field(alias="while")


class PromqlArgs(CheckArgs):
    query: str = Field(min_length=1)
    success: str = Field("< 1", pattern=r"^[<>]=? ")
    failure: str | None = None
    on_empty: OnEmpty | None = None
    tolerance: float | None = Field(None, ge=0)


ACTIONS: Mapping[str, Action[Any]] = {
    action.name: action
    for action in (
        StubAction("rollback", RollbackParams, through_git=True),
        StubAction("scale", ScaleParams, kinds=("Deployment", "StatefulSet"), through_git=True),
        StubAction("evict_pod", EvictParams),
        StubAction("rollout_restart", RestartParams),
    )
}
CHECKS: Mapping[str, type[BaseModel]] = {
    "rollout": CheckArgs,
    "pods_ready": CheckArgs,
    "alert_resolved": CheckArgs,
    "promql": PromqlArgs,
}

MINIMAL = """\
name: {name}
match: {{alerts: ['alertname="{alertname}"']}}
target: from_alert
steps: [{{action: rollback}}]
"""


def text_of(name: str = "a", alertname: str = "Broken", more: str = "") -> str:
    """The smallest playbook, with more top-level lines behind it."""
    return MINIMAL.format(name=name, alertname=alertname) + more


def load(text: str, source: str = "test.yaml") -> LoadedPlaybook:
    return load_playbook(text, source, actions=ACTIONS, checks=CHECKS)


def make(name: str = "a", alertname: str = "Broken", more: str = "") -> LoadedPlaybook:
    return load(text_of(name, alertname, more), f"{name}.yaml")


def make_alert(*, annotations: Any = None, age: Any = timedelta(minutes=5), **labels: str) -> Alert:
    return Alert(
        fingerprint="0123456789abcdef",
        status="firing",
        labels={"alertname": "Broken", **labels},
        annotations=annotations or {},
        starts_at=NOW - age,
    )


def make_view(target: Object, **more: Any) -> View:
    ref = ref_of(target)
    return View(target=target, ref=ref, root=ref, read_at=NOW, **more)
