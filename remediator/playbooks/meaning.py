"""What is wrong with a playbook's content beyond its shape: matchers, CEL, templates, actions, checks, kinds.

Works on the content as it was read: where the shape is wrong in one place, the author should hear about all other
mistakes at once. So every step here first looks whether what it wants is there at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from remediator.actions.base import Action
from remediator.alerts.matchers import InvalidMatcher, parse_matchers
from remediator.alerts.names import name_problem
from remediator.objects import KINDS
from remediator.people.references import KNOWN, parse_reference
from remediator.playbooks.expressions import (
    FROM_ALERT,
    Environment,
    Expression,
    ExpressionError,
    Scope,
    check_params,
    check_read_again,
    check_roots,
    compile_expression,
)
from remediator.playbooks.model import HOW_TO_START, NOTHING_STARTS_IT, THROUGH_GIT, Param
from remediator.playbooks.params import InvalidParam, ParamValue, param_value
from remediator.playbooks.problems import FieldPath, did_you_mean
from remediator.playbooks.selectors import selector_problem
from remediator.playbooks.shape import Complaint, complaints, short
from remediator.playbooks.templates import TemplateError, has_template, parse_template, render, texts

BEFORE_TARGET = ("alert", "labels", "params")
EVERYTHING = ("alert", "labels", "target", "params")

ArgsModels = Mapping[str, type[BaseModel]]
"""Kind (of a check or a collector) to the model of its arguments."""


WITHOUT_INVERSE = frozenset(
    {
        "rollout_restart",
        "evict_pod",
        "node_command",
        "etcd_snapshot",
        "replace_node",
        "expand_pvc",
        "velero_backup",
        "velero_restore",
        "delete_failed_pods",
        "delete_finished_jobs",
        "renew_certificate",
        "force_sync_secret",
        "pg_cancel",
        "pg_terminate",
    }
)
"""Actions that nothing can take back: the old processes are gone, the volume has grown."""


def goes_through_git(action: object) -> bool:
    """Whether it only changes fields that manifests may hold."""
    return bool(getattr(action, "through_git", False))


@dataclass(slots=True)
class Meaning:
    """One reading of one playbook's content; `find` collects the complaints."""

    content: Mapping[str, Any]
    actions: Mapping[str, Action[Any]]
    checks: ArgsModels
    collectors: ArgsModels | None = None
    """None = not known here, so any kind passes."""
    found: list[Complaint] = field(default_factory=list)
    params: Mapping[str, ParamValue | None] = field(default_factory=dict)
    """None = a parameter without default: its value is not known before planning."""

    def find(self) -> list[Complaint]:
        self.params = dict(self._params())
        self._match()
        self._started_without_alert()
        self._target()
        for index, step in _items(self.content.get("steps")):
            if isinstance(step, Mapping):
                self._step(step, ("steps", index))
        for index, check in _items(_dig(self.content, "verify", "checks")):
            self._one_key(check, self.checks, "check", ("verify", "checks", index))
        for index, collect in _items(self.content.get("collect")):
            self._one_key(collect, self.collectors, "kind of evidence", ("collect", index))
        self._escalate()
        self._approvers()
        self._stray_templates()
        self._empty_keys(self.content, ())
        return self.found

    def _say(self, path: FieldPath, what: str, hint: str = "") -> None:
        self.found.append((path, what, hint))

    # --- params and match ---------------------------------------------------------------------------------------------

    def _params(self) -> Iterator[tuple[str, ParamValue | None]]:
        for name, raw in _pairs(self.content.get("params")):
            try:
                spec = Param.model_validate(raw, by_name=False, by_alias=True)
            except ValidationError:
                yield name, None  # its shape is complained about already
                continue
            for key, value in (("default", spec.default), *(("enum", one) for one in spec.enum or ())):
                try:
                    known = None if value is None else param_value(name, spec, value)
                except InvalidParam as exc:
                    known = None
                    self._say(("params", name, key), str(exc), "Change the value or its bounds.")
                if key == "default":
                    yield name, known

    def _match(self) -> None:
        for index, text in _items(_dig(self.content, "match", "alerts")):
            path = ("match", "alerts", index)
            if not isinstance(text, str):
                continue
            try:
                if not parse_matchers(text):
                    self._say(path, "matches every alert", 'Name at least one label, such as alertname="...".')
            except InvalidMatcher as exc:
                self._say(path, str(exc), "Write it as in Alertmanager: name, then = != =~ or !~, then a quoted value.")
        when = _dig(self.content, "match", "when")
        if isinstance(when, str) and when.strip():
            if when.strip().startswith("${"):
                self._say(("match", "when"), "when is CEL already", "Leave out the ${ and }.")
            else:
                self._expression(when, ("match", "when"))

    def _expression(self, text: str, path: FieldPath) -> None:
        try:
            check_params(compile_expression(text), self.params)
        except ExpressionError as exc:
            self._say(path, exc.what, exc.hint)

    # --- other ways to start ------------------------------------------------------------------------------------------

    @property
    def _alertless(self) -> str:
        """What starts it without an alert, and with nothing in its place; empty = a person can name the target where a
        label would have, and everything else can have come from an alert."""
        if "schedule" in self.content:
            return "its schedule"
        return "a person" if "match" not in self.content and self.content.get("manual") is True else ""

    def _started_without_alert(self) -> None:
        """A schedule names no target, so the playbook has to."""
        if not {"match", "schedule"} & set(self.content) and self.content.get("manual", False) is False:
            self._say(("match",), NOTHING_STARTS_IT, HOW_TO_START)
        if "schedule" in self.content and self.content.get("target") == "from_alert":
            what = "its schedule starts it without an alert, which could name a target"
            self._say(("target",), what, "Name one: {kind, namespace, name}.")

    # --- targets ------------------------------------------------------------------------------------------------------

    def _target(self) -> None:
        target, targets = self.content.get("target"), self.content.get("targets")
        if isinstance(target, Mapping):
            self._object(target, ("target",), BEFORE_TARGET)
        for key, several in (("targets", targets), ("fleet", self.content.get("fleet"))):
            if not isinstance(several, Mapping):
                continue
            self._object(several, (key,), BEFORE_TARGET)
            selector = several.get("selector")
            if isinstance(selector, str) and not has_template(selector) and (problem := selector_problem(selector)):
                self._say((key, "selector"), problem, "Select by labels that only the wanted objects have.")

    def _object(self, spec: Mapping[str, Any], path: FieldPath, roots: tuple[str, ...]) -> None:
        self._templates(spec, path, roots)
        kind, namespace, name = spec.get("kind"), spec.get("namespace", ""), spec.get("name")
        if isinstance(kind, str) and kind and not has_template(kind):
            if kind not in KINDS:
                self._say((*path, "kind"), f"unknown kind {short(kind)}", did_you_mean(kind, KINDS))
            elif KINDS[kind].namespaced and not namespace:
                self._say((*path, "namespace"), f"a {kind} is in a namespace", "Add `namespace:`.")
            elif not KINDS[kind].namespaced and namespace:
                self._say((*path, "namespace"), f"a {kind} has no namespace", "Remove it.")
        known = kind if isinstance(kind, str) else ""
        for key, of_kind, text in (("namespace", "Namespace", namespace), ("name", known, name)):
            if isinstance(text, str) and text and not has_template(text) and (problem := name_problem(of_kind, text)):
                self._say((*path, key), f"{short(text)} is {problem}", "Correct it.")

    # --- steps, checks, evidence --------------------------------------------------------------------------------------

    def _step(self, step: Mapping[str, Any], path: FieldPath) -> None:
        if isinstance(step.get("action"), str):
            self._action(step, step["action"], path)
        if isinstance(step.get("target"), Mapping):
            self._object(step["target"], (*path, "target"), EVERYTHING)
        if "check" in step:
            self._one_key(step["check"], self.checks, "check", (*path, "check"))
        for kind, args in _pairs(step.get("verify")):
            self._args(kind, args, self.checks, "check", (*path, "verify", kind))

    def _action(self, step: Mapping[str, Any], name: str, path: FieldPath) -> None:
        action = self.actions.get(name)
        if action is None:
            self._say((*path, "action"), f"unknown action {short(name)}", did_you_mean(name, self.actions))
            self._templates(step.get("with"), (*path, "with"))
            return
        self._templates(step.get("with"), (*path, "with"))
        self._model(action.params, step.get("with") or {}, (*path, "with"))
        for spec in (step.get("target"), self.content.get("target"), self.content.get("targets")):
            if not isinstance(spec, Mapping):
                continue
            kind = spec.get("kind")
            if kind in KINDS and kind not in action.kinds:
                acts = f"It acts on {', '.join(action.kinds)}."
                self._say((*path, "action"), f"{name} cannot act on a {kind}", acts)
            break  # a step's own target stands before the playbook's
        if step.get("revert") is not None:
            self._reverted(name, (*path, "revert"))
        if step.get("via") in THROUGH_GIT:
            self._through_git(name, action, (*path, "via"))

    def _through_git(self, name: str, action: Action[Any], path: FieldPath) -> None:
        """Whether what the step does can be said in Git at all."""
        if not goes_through_git(action):
            self._say(path, f"{name} changes nothing that Git says, so there is nothing to propose", "Remove it.")
        elif self.content.get("targets") is not None:
            self._say(path, "only a change of a single target is proposed in Git", "Write target, or remove it.")

    def _reverted(self, name: str, path: FieldPath) -> None:
        """Whether what the step does can be taken back later, alone, and without harm."""
        if name in WITHOUT_INVERSE:
            self._say(path, f"{name} has no inverse, so nothing could be taken back", "Remove it.")
        elif name == "rollback":
            self._say(path, "taking back a rollback brings the bad release again", "Remove it.")
        elif self.content.get("targets") is not None:
            self._say(path, "only the effect on a single target is taken back", "Write target, or remove it.")

    def _one_key(self, value: Any, known: ArgsModels | None, noun: str, path: FieldPath) -> None:
        if isinstance(value, Mapping) and len(value) == 1:
            kind, args = next(iter(value.items()))
            self._args(str(kind), args, known, noun, (*path, str(kind)))

    def _args(self, kind: str, args: Any, known: ArgsModels | None, noun: str, path: FieldPath) -> None:
        self._templates(args, path, again=True)
        if known is None:
            return
        if kind not in known:
            self._say(path, f"unknown {noun} {short(kind)}", did_you_mean(kind, known))
        else:
            self._model(known[kind], {} if args is None else args, path)

    def _model(self, model: type[BaseModel], args: Any, path: FieldPath) -> None:
        """Arguments against their model. What cannot be known before planning is left to planning.

        A template made of parameters with defaults is filled in and checked now. Any other one has no value yet: what
        the model says about that value, or about the arguments as a whole, is not counted.
        """
        if not isinstance(args, Mapping):
            return
        filled, open_paths = self._filled(args)
        try:
            model.model_validate(filled, by_alias=True, by_name=False)
        except ValidationError as exc:
            for at, what, hint in complaints(exc, filled, model):
                if not any(at[: len(one)] == one or one[: len(at)] == at for one in open_paths):
                    self._say((*path, *at), what, hint)

    def _filled(self, args: Mapping[str, Any]) -> tuple[Any, list[FieldPath]]:
        """The arguments with what is known filled in, and the paths of the templates that are still open."""
        values = {name: value for name, value in self.params.items() if value is not None}
        scope = Environment(None, datetime.fromtimestamp(0, UTC)).scope(params=values)
        open_paths: list[FieldPath] = []
        return _fill(args, (), scope, open_paths), open_paths

    # --- people -------------------------------------------------------------------------------------------------------

    def _escalate(self) -> None:
        for index, rung in _items(self.content.get("escalate")):
            if not isinstance(rung, Mapping):
                continue
            if rung.get("playbook") and rung["playbook"] == self.content.get("name"):
                self._say(("escalate", index, "playbook"), "escalates to itself", "Name another playbook, or a page.")

    def _approvers(self) -> None:
        for index, text in _items(_dig(self.content, "approval", "approvers")):
            if not isinstance(text, str):
                continue
            try:
                parse_reference(text)
            except ValueError as exc:
                self._say(("approval", "approvers", index), str(exc), f"Known: {KNOWN}.")

    def _empty_keys(self, value: Any, path: FieldPath) -> None:
        """A key with nothing behind it would load as "not given": a guardrail that somebody believes to be set."""
        if value is None and not _may_be_empty(path):
            self._say(path, "nothing is written behind it", "Fill it in, or remove it.")
        for key, item in _pairs(value):
            self._empty_keys(item, (*path, key))
        for index, item in _items(value):
            self._empty_keys(item, (*path, index))

    # --- templates ----------------------------------------------------------------------------------------------------

    def _templates(
        self, value: Any, path: FieldPath, roots: tuple[str, ...] = EVERYTHING, *, again: bool = False
    ) -> None:
        for at, text in texts(value):
            try:
                for expression in parse_template(text).expressions:
                    self._known(expression, roots)
                    if again:
                        check_read_again(expression)
            except (TemplateError, ExpressionError) as exc:
                self._say((*path, *at), exc.what, exc.hint)

    def _known(self, expression: Expression, roots: Collection[str]) -> None:
        check_params(expression, self.params)
        if self._alertless and expression.roots & FROM_ALERT:
            known = tuple(root for root in roots if root not in FROM_ALERT)
            check_roots(expression, known, f"{self._alertless} starts it without an alert")
        check_roots(expression, roots, "it is not known before the target is found")

    def _stray_templates(self) -> None:
        for path, text in texts(self.content):
            if path != ("match", "when") and not _takes_templates(path) and "${" in text.replace("$${", ""):
                self._say(path, "${...} is not filled in here", "Write the value out.")


def _may_be_empty(path: FieldPath) -> bool:
    """`rollout:` without arguments, and whatever the models of arguments say about nothing."""
    match path:
        case ("steps", _, "with" | "check" | "verify", _, *_) | ("verify", "checks", _, _, *_) | ("collect", _, _, *_):
            return True
        case _:
            return False


def _takes_templates(path: FieldPath) -> bool:
    match path:
        case ("target" | "targets" | "fleet" | "collect" | "description", *_):
            return True
        case ("guardrails", "blockers", *_):
            return True  # refused by their own model
        case ("steps", _, "check", "pull_request", *_) | ("steps", _, "with", "also_in", *_):
            return False  # read as written: how long a lock is kept, which namespaces are named
        case ("steps", _, "with" | "target" | "verify" | "check", *_):
            return True
        case ("verify", "checks", *_):
            return True
        case _:
            return False


def _fill(value: Any, path: FieldPath, scope: Scope, open_paths: list[FieldPath]) -> Any:
    if isinstance(value, Mapping):
        return {key: _fill(item, (*path, str(key)), scope, open_paths) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_fill(item, (*path, index), scope, open_paths) for index, item in enumerate(value)]
    if not has_template(value):
        return value
    try:
        return render(value, scope)
    except TemplateError:
        open_paths.append(path)
        return value


def _items(value: Any) -> Iterator[tuple[int, Any]]:
    return enumerate(value) if isinstance(value, list | tuple) else enumerate(())


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    return iter([(str(key), item) for key, item in value.items()]) if isinstance(value, Mapping) else iter(())


def _dig(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
