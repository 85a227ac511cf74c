"""Which pod and which container a program runs in, for the actions that run one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from remediator.actions.base import Params
from remediator.actions.change import NotPossible
from remediator.actions.pods import created_at, name_of, pod_has_finished, pod_is_leaving, pod_is_ready
from remediator.actions.refusals import refuse_unreadable
from remediator.actions.view import Ask, View
from remediator.objects import Object, annotations_of, dig, labels_of

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"

Name = Annotated[str, Field(pattern=NAME)]
Word = Annotated[str, Field(min_length=1, max_length=500)]


class InPod(Params):
    """Where: the pod that the alert names, the oldest ready one, or one by its `name`.

    With `labels`, exactly one ready pod may carry them all (the primary of a database). `container`: by default the
    annotated or the only one.
    """

    pod: Literal["alert_pod", "any_ready", "named"] = "any_ready"
    name: str = Field("", max_length=253)
    labels: Mapping[str, str] = Field(default_factory=dict, max_length=10)
    container: str = Field("", max_length=63)

    @model_validator(mode="after")
    def _one_way(self) -> InPod:
        if (self.pod == "named") != bool(self.name):
            raise ValueError("name belongs to pod: named, and that needs a name")
        if self.labels and self.pod != "any_ready":
            raise ValueError(f"labels choose among the ready pods; they do not go with pod: {self.pod}")
        return self


P = TypeVar("P", bound=InPod)


def pinned(params: P, view: View) -> P:
    """The params with the pod by its name: what is approved is what runs. Raises: NotPossible."""
    if params.pod == "named":
        return params
    return params.model_copy(update={"pod": "named", "name": name_of(_chosen(params, view)), "labels": {}})


def pod_of(params: InPod, view: View) -> Object:
    """The pod; it belongs to the target, runs and stays. Raises: NotPossible."""
    refuse_unreadable(view, "pods")
    pod = _chosen(params, view)
    if pod_is_leaving(pod) or pod_has_finished(pod):
        raise NotPossible(f"pod {name_of(pod)} is going away or has finished")
    return pod


def _chosen(params: InPod, view: View) -> Object:
    """Raises: NotPossible."""
    refuse_unreadable(view, "pods")
    if params.pod == "any_ready":
        return _ready(params, view)
    wanted = params.name if params.pod == "named" else view.alert_pod
    if not wanted:
        raise NotPossible("the alert names no pod; `pod: any_ready` takes one that is ready")
    for pod in view.pods:
        if name_of(pod) == wanted:
            return pod
    raise NotPossible(f"pod {wanted:.253} does not exist any more, or is not a pod of {view.ref}")


def _ready(params: InPod, view: View) -> Object:
    fitting = [
        pod
        for pod in view.pods
        if pod_is_ready(pod) and all(labels_of(pod).get(key) == value for key, value in params.labels.items())
    ]
    carrying = f" with {', '.join(f'{k}={v}' for k, v in sorted(params.labels.items()))}" if params.labels else ""
    if not fitting:
        raise NotPossible(f"{view.ref} has no ready pod{carrying}", hold=True)
    if params.labels and len(fitting) > 1:
        names = ", ".join(sorted(map(name_of, fitting))[:5])
        raise NotPossible(f"several pods of {view.ref}{carrying}: {names}. Labels that only one carries are needed")
    return min(fitting, key=lambda pod: (created_at(pod), name_of(pod)))


def container_of(params: InPod, pod: Object, allowed: Sequence[str] = ()) -> str:
    """Its name; it runs. `allowed` are those the operator lists, empty = any. Raises: NotPossible."""
    names = [str(one.get("name", "")) for one in dig(pod, "spec", "containers") or ()]
    annotated = annotations_of(pod).get(DEFAULT_CONTAINER, "")
    listed = [name for name in names if name in allowed]
    only = names[0] if len(names) == 1 else listed[0] if len(listed) == 1 else ""
    chosen = params.container or (annotated if annotated in names else only)
    if not chosen:
        raise NotPossible(f"pod {name_of(pod)} has several containers: say `container`, one of {', '.join(names)}")
    if chosen not in names:
        raise NotPossible(f"pod {name_of(pod)} has no container {chosen:.63}; it has {', '.join(names)}")
    if allowed and chosen not in allowed:
        raise NotPossible(f"the operator's list allows this in {', '.join(allowed)} only, not in container {chosen}")
    for status in dig(pod, "status", "containerStatuses") or ():
        if status.get("name") == chosen and dig(status, "state", "running") is not None:
            return chosen
    raise NotPossible(f"container {chosen} of pod {name_of(pod)} does not run", hold=True)


def about_command(view: View, command: str, args: Sequence[str], container: str) -> Ask:
    """Whether the operator's list has this command here, and the words that would run."""
    request = {"about": "command", "command": command, "args": list(args), "container": container}
    return Ask("exec", view.ref.namespace, request)


def listed(view: View, key: str = "command") -> Mapping[str, Any]:
    """The answer to `about_command`. Raises: NotPossible where the list does not have it."""
    found: Mapping[str, Any] = view.found[key]
    if not found.get("allowed"):
        raise NotPossible(str(found.get("why") or "the operator's list does not have this command"))
    return found
