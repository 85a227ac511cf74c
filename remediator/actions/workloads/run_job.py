"""`run_job`: run a Job that people have written and reviewed beforehand, as a suspended CronJob in the cluster.

The way out for whatever has no action of its own. A playbook says which template and, where the template allows it, the
values of some environment variables; never an image, a command or an argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, NotPossible
from remediator.actions.render import brief
from remediator.actions.view import Get, ListOf, View, Wanted
from remediator.actions.workload import OURS
from remediator.actions.workloads.job_objects import (
    SUSPEND,
    copied_spec,
    create_and_start,
    has_finished,
    job_name,
    plain_annotations,
    plain_labels,
    refuse_not_plain,
)
from remediator.actions.workloads.looking import listed, namespace_name, one_found, one_of, refuse_leaving
from remediator.objects import WORKLOADS, Object, ObjectRef, annotations_of, dig, ref_of
from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import Duration

IS_TEMPLATE = f"{OURS}job-template"
"""Annotation `true` of a CronJob that may be run so; also the label of a Job that says which template it is of."""

MAY_SET = f"{OURS}job-env"
"""Annotation with the environment variables that a playbook may set, separated by commas."""

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_LONGEST_VALUE = 1024
_SHORTEST, _LONGEST = timedelta(seconds=10), timedelta(hours=24)


def _plain(value: object) -> object:
    """Numbers and booleans as YAML would write them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


Value = Annotated[str, BeforeValidator(_plain), Field(max_length=_LONGEST_VALUE)]


class RunJobParams(Params):
    """`template` = a suspended CronJob in the target's namespace, `timeout` ends it, `env` sets what it allows."""

    template: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$")
    timeout: Duration
    env: dict[str, Value] = Field(default_factory=dict, max_length=20)

    @field_validator("timeout")
    @classmethod
    def _bounded(cls, value: timedelta) -> timedelta:
        if not _SHORTEST <= value <= _LONGEST:
            raise ValueError(f"{format_duration(value)} is not within 10s and 24h")
        return value

    @field_validator("env")
    @classmethod
    def _plain_text(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _ENV_NAME.fullmatch(name):
                raise ValueError(f"{name[:60]!r} is no name of an environment variable")
            if not text.isprintable():
                raise ValueError(f"{name} holds line breaks or control characters")
        return value


class RunJob:
    """What it does is up to its template, so it counts as disruptive, as changing data, and as not to be undone."""

    name = "run_job"
    kinds: tuple[str, ...] = (*WORKLOADS, "Namespace", "CronJob", "Service", "PersistentVolumeClaim")
    needs: frozenset[str] = frozenset()
    disruptive = True
    changes_data = True
    rights = (Right("get", "CronJob"), Right("list", "Job"), Right("create", "Job"), Right("patch", "Job"))
    params = RunJobParams

    def wants(self, params: RunJobParams, view: View) -> Mapping[str, Wanted]:
        namespace = namespace_name(view)
        return {
            "template": Get(ObjectRef("CronJob", namespace, params.template)),
            "jobs": ListOf(kind="Job", namespace=namespace, labels=f"{IS_TEMPLATE}={params.template}"),
        }

    def resolve(self, params: RunJobParams, view: View) -> RunJobParams:
        return params

    def plan(self, params: RunJobParams, view: View) -> Change:
        """Raises: NotPossible for what is no template, or was told what it does not allow; a hold while one runs."""
        refuse_leaving(view)
        namespace = namespace_name(view)
        template = one_found(view, "template")
        if template is None:
            raise NotPossible(f"there is no CronJob {params.template} in {namespace}: somebody has to write it first")
        spec = _checked(template)
        _refuse_env(template, spec, params.env)
        running = [ref_of(job).name for job in listed(view, "jobs") if not has_finished(job)]
        if running:
            raise NotPossible(f"{ref_of(template)} is running already ({one_of(running)})", hold=True)
        said = "".join(f", {name}={brief(value)}" for name, value in sorted(params.env.items()))
        return Change(
            effects=create_and_start(
                ObjectRef("Job", namespace, job_name(params.template)), _body(template, spec, params)
            ),
            summary=f"run {params.template} for at most {format_duration(params.timeout)}{said}",
            notes=("what it does is up to its template, and is not taken back", *_by_tag(spec)),
        )


def _checked(template: Object) -> Mapping[str, Any]:
    """The Job's spec of a template that may be run. Raises: NotPossible."""
    ref = ref_of(template)
    if annotations_of(template).get(IS_TEMPLATE) != "true":
        raise NotPossible(f'{ref} is no template: whoever has reviewed it annotates it with {IS_TEMPLATE}: "true"')
    if not dig(template, *SUSPEND):
        raise NotPossible(f"{ref} runs by its own timetable: a template has spec.suspend: true")
    if dig(template, "metadata", "deletionTimestamp") is not None:
        raise NotPossible(f"{ref} is being deleted")
    meta = dig(template, "spec", "jobTemplate", "metadata") or {}
    spec: Mapping[str, Any] = dig(template, "spec", "jobTemplate", "spec") or {}
    refuse_not_plain(spec, meta.get("labels") or {}, ref)
    if dig(spec, "template", "spec", "restartPolicy") != "Never":
        raise NotPossible(f"{ref} would start its containers again by itself: a template has restartPolicy: Never")
    return spec


def _refuse_env(template: Object, spec: Mapping[str, Any], env: Mapping[str, str]) -> None:
    """Only what the template lists, has as a plain value, and does not put into a command line."""
    ref = ref_of(template)
    allowed = {name.strip() for name in annotations_of(template).get(MAY_SET, "").split(",")} - {""}
    containers = _containers(spec)
    for name in env:
        if name not in allowed:
            known = one_of(allowed) if allowed else "none"
            raise NotPossible(f"{ref} does not let a playbook set {name} ({MAY_SET} allows: {known})")
        entries = [e for c in containers for e in c.get("env") or () if e.get("name") == name]
        if not entries or any("valueFrom" in e for e in entries):
            raise NotPossible(f"{ref} has no plain environment variable {name}: declare it there with a value")
        if any(f"$({name})" in text for container in containers for text in _expanded(container)):
            raise NotPossible(
                f"{ref} puts {name} into a command line or variable, where a value could become a command"
            )


def _expanded(container: Mapping[str, Any]) -> list[str]:
    """Where Kubernetes fills in $(NAME): a shell may be waiting behind it, also by way of another variable."""
    lines = [*(container.get("command") or ()), *(container.get("args") or ())]
    return [str(text) for text in (*lines, *(entry.get("value") or "" for entry in container.get("env") or ()))]


def _body(template: Object, spec: Mapping[str, Any], params: RunJobParams) -> dict[str, Any]:
    meta = dig(template, "spec", "jobTemplate", "metadata") or {}
    copied = {k: v for k, v in copied_spec(spec).items() if k != "ttlSecondsAfterFinished"}
    for container in _containers(copied):
        for entry in container.get("env") or ():
            if entry.get("name") in params.env:
                entry["value"] = _literal(params.env[entry["name"]])
    return {
        "metadata": {
            "labels": {**plain_labels(meta.get("labels")), IS_TEMPLATE: params.template},
            "annotations": plain_annotations(meta.get("annotations")),
        },
        "spec": {**copied, "activeDeadlineSeconds": int(params.timeout.total_seconds()), "backoffLimit": 0},
    }


def _literal(value: str) -> str:
    """Kubernetes reads `$(NAME)` in a value as another variable, maybe a secret one; `$$` is a plain dollar."""
    return value.replace("$", "$$")


def _containers(spec: Mapping[str, Any]) -> list[Any]:
    pod = dig(spec, "template", "spec") or {}
    return [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]


def _by_tag(spec: Mapping[str, Any]) -> tuple[str, ...]:
    tagged = [str(c.get("image", "")) for c in _containers(spec) if "@sha256:" not in str(c.get("image", ""))]
    return (f"not bound to a digest, so it may have changed since the review: {one_of(tagged)}",) if tagged else ()
