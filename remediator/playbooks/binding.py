"""From a playbook's templates to the values of one remediation: names checked, arguments in their models' types.

Everything here raises TemplateError and nothing else: while planning, a template error denies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from remediator.alerts.names import name_problem
from remediator.objects import KINDS, ObjectRef
from remediator.playbooks.expressions import Scope
from remediator.playbooks.model import FleetSpec, TargetSpec, TargetsSpec
from remediator.playbooks.names import is_label_value
from remediator.playbooks.problems import FieldPath, did_you_mean, path_text
from remediator.playbooks.selectors import selector_problem
from remediator.playbooks.shape import complaints
from remediator.playbooks.templates import TemplateError, as_text, parse_template, render, render_text

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class BoundTarget:
    """`cluster` is empty where the playbook does not say: the alert's."""

    ref: ObjectRef
    cluster: str


@dataclass(frozen=True, slots=True)
class BoundSelector:
    """Several objects of `kind` in one namespace by a label selector that is not empty; at most `max` of them where
    they are targets, 0 = they are only counted."""

    kind: str
    namespace: str
    selector: str
    max: int = 0


def bind_target(spec: TargetSpec, scope: Scope, path: FieldPath = ("target",)) -> BoundTarget:
    """The object that `spec` names. Raises: TemplateError, also for names that Kubernetes would not take."""
    kind = _kind(spec.kind, scope, path)
    name = render_text(spec.name, scope, (*path, "name"))
    _check_name(kind, name, (*path, "name"))
    namespace = ""
    if KINDS[kind].namespaced:
        namespace = _namespace(spec.namespace, scope, path)
    elif spec.namespace:
        raise TemplateError(f"{path_text((*path, 'namespace'))}: a {kind} has no namespace", "Remove it.")
    cluster = render_text(spec.cluster, scope, (*path, "cluster"))
    if cluster and not is_label_value(cluster):
        raise TemplateError(f"{path_text((*path, 'cluster'))}: {cluster!r:.80} is no cluster name")
    return BoundTarget(ObjectRef(kind, namespace, name), cluster)


def bind_targets(spec: TargetsSpec, scope: Scope, path: FieldPath = ("targets",)) -> BoundSelector:
    """The selection that `spec` asks for. Raises: TemplateError, also for a selector that selects everything."""
    kind = _kind(spec.kind, scope, path)
    namespace = _namespace(spec.namespace, scope, path)
    return BoundSelector(kind, namespace, _selector(spec.selector, scope, (*path, "selector")), spec.max)


def bind_fleet(spec: FleetSpec, scope: Scope, path: FieldPath = ("fleet",)) -> BoundSelector:
    """The objects among which the target is one. Raises: TemplateError, also for a selector that selects everything."""
    kind = _kind(spec.kind, scope, path)
    namespace = _namespace(spec.namespace, scope, path) if KINDS[kind].namespaced else ""
    return BoundSelector(kind, namespace, _selector(spec.selector, scope, (*path, "selector")))


def bind_args(model: type[M], args: Mapping[str, Any], scope: Scope, path: FieldPath) -> M:
    """Arguments of an action (`with`) with their templates filled in, as the action's model.

    Raises: TemplateError for everything that is wrong with them.
    """
    values = render(args, scope, path)
    try:
        return model.model_validate(values, by_alias=True, by_name=False)
    except ValidationError as exc:
        said = list(complaints(exc, values, model))
        what = "; ".join(f"{path_text((*path, *at))}: {what}" for at, what, _ in said)
        raise TemplateError(what, said[0][2] if said else "") from None


def _kind(text: str, scope: Scope, path: FieldPath) -> str:
    kind = render_text(text, scope, (*path, "kind"))
    if kind not in KINDS:
        raise TemplateError(f"{path_text((*path, 'kind'))}: unknown kind {kind!r:.80}", did_you_mean(kind, KINDS))
    return kind


def _namespace(text: str, scope: Scope, path: FieldPath) -> str:
    namespace = render_text(text, scope, (*path, "namespace"))
    _check_name("Namespace", namespace, (*path, "namespace"))
    return namespace


def _check_name(kind: str, name: str, path: FieldPath) -> None:
    if problem := name_problem(kind, name):
        raise TemplateError(f"{path_text(path)}: {name!r:.80} is {problem}")


def _selector(text: str, scope: Scope, path: FieldPath) -> str:
    """A value that goes into a selector is one label value: a comma in it would be another requirement."""
    at = path_text(path)
    for expression in parse_template(text).expressions:
        value = as_text(expression, render("${" + expression.text + "}", scope, path))
        if not value or not is_label_value(value):
            raise TemplateError(f"{at}: {expression.text} gives {value!r:.80}, which is no label value")
    selector = render(text, scope, path)
    selector = selector if isinstance(selector, str) else str(selector)
    if problem := selector_problem(selector):
        raise TemplateError(f"{at}: {problem}", "Select by labels that only the wanted objects have.")
    return selector
