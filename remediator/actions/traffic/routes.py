"""Rules and backends of an HTTPRoute or an Istio VirtualService, in one form. Pure.

Both keep their rules and backends in plain lists, in which a position means little once somebody edits them. So a
change of a weight also names, with equal values before and after, what tells the rule and the backend apart: where that
has changed meanwhile, nothing is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.delivery.standing import said
from remediator.actions.paths import Path
from remediator.actions.view import View
from remediator.alerts.names import name_problem
from remediator.objects import Object, dig

HTTP_ROUTE = "HTTPRoute.gateway.networking.k8s.io"
VIRTUAL_SERVICE = "VirtualService.networking.istio.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One destination of a rule. `called` are the names it answers to, the first one for people.

    `service` is (namespace, name) of the Service behind it, None where there is none to look at. `subset` is Istio's.
    `written` is the weight as it stands there, None where the default counts.
    """

    called: tuple[str, ...]
    path: Path
    weight: int
    written: Any
    service: tuple[str, str] | None
    subset: str
    guards: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `name` for people: its own, or its number. `guards` bind the number to what the rule matches."""

    name: str
    path: Path
    backends: tuple[Backend, ...]
    guards: tuple[FieldChange, ...]


def rules_of(view: View) -> tuple[Rule, ...]:
    """All rules of a route of either kind."""
    if view.ref.kind == HTTP_ROUTE:
        return tuple(_gateway_rule(rule, number, view) for number, rule in enumerate(_items(view, "rules")))
    return tuple(_istio_rule(rule, number, view) for number, rule in enumerate(_items(view, "http")))


def choose_rule(view: View, backend: str, rule: str) -> tuple[Rule, Backend]:
    """The rule of that name or number, or the only one that has the backend. Raises: NotPossible."""
    found = [(one, b) for one in rules_of(view) if rule in ("", one.name) for b in one.backends if backend in b.called]
    if not found:
        where = f"rule {rule} of {view.ref}" if rule else str(view.ref)
        known = sorted({b.called[0] for one in rules_of(view) for b in one.backends})
        raise NotPossible(f"{where} has no backend {backend} (there are: {said(', '.join(known)) or 'none'})")
    if len({one.path for one, _ in found}) > 1:
        names = ", ".join(said(one.name) for one, _ in found)
        raise NotPossible(f"several rules of {view.ref} have the backend {backend}: say which, rule: one of {names}")
    if len(found) > 1:
        raise NotPossible(f"{view.ref} has the backend {backend} more than once in one rule: name it more exactly")
    return found[0]


def _items(view: View, key: str) -> Sequence[Mapping[str, Any]]:
    found = dig(view.target, "spec", key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list | tuple) else []


def _gateway_rule(rule: Mapping[str, Any], number: int, view: View) -> Rule:
    path = ("spec", "rules", str(number))
    refs = [ref for ref in rule.get("backendRefs") or () if isinstance(ref, Mapping)]
    backends = []
    for index, ref in enumerate(refs):
        at = (*path, "backendRefs", str(index))
        service = None
        if ref.get("kind", "Service") == "Service" and not ref.get("group"):
            service = _service(str(ref.get("namespace") or view.ref.namespace), str(ref.get("name", "")))
        backends.append(
            Backend(
                called=(str(ref.get("name", "")), f"{ref.get('name', '')}:{ref.get('port', '')}"),
                path=(*at, "weight"),
                weight=_number(ref.get("weight"), 1),
                written=ref.get("weight"),
                service=service,
                subset="",
                guards=_guards(at, ref, ("group", "kind", "namespace", "name", "port")),
            )
        )
    return Rule(name=_name(rule, number), path=path, backends=tuple(backends), guards=_guards(path, rule, ("matches",)))


def _istio_rule(rule: Mapping[str, Any], number: int, view: View) -> Rule:
    path = ("spec", "http", str(number))
    routes = [route for route in rule.get("route") or () if isinstance(route, Mapping)]
    backends = []
    for index, route in enumerate(routes):
        at = (*path, "route", str(index))
        host, subset = (str(dig(route, "destination", key, default="")) for key in ("host", "subset"))
        short = host.partition(".")[0]
        full = (f"{host}/{subset}", f"{short}/{subset}", subset) if subset else (host, short)
        backends.append(
            Backend(
                called=tuple(dict.fromkeys(full)),
                path=(*at, "weight"),
                # The only destination gets everything, whatever it says; among several, none said is none.
                weight=_number(route.get("weight"), 100 if len(routes) == 1 else 0),
                written=route.get("weight"),
                service=_cluster_service(host, view.ref.namespace),
                subset=subset,
                guards=_guards(at, route, ("destination",)),
            )
        )
    return Rule(name=_name(rule, number), path=path, backends=tuple(backends), guards=_guards(path, rule, ("match",)))


def _name(rule: Mapping[str, Any], number: int) -> str:
    return str(rule.get("name") or number)


def _number(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _guards(path: Path, item: Object, keys: Sequence[str]) -> tuple[FieldChange, ...]:
    """Equal before and after: compared at the last look, shown to nobody, and harmless on the wire."""
    return tuple(FieldChange(path=(*path, k), before=item[k], after=item[k]) for k in keys if item.get(k) is not None)


def _cluster_service(host: str, namespace: str) -> tuple[str, str] | None:
    """`reviews`, `reviews.shop` and `reviews.shop.svc.cluster.local`; None for a host outside the cluster."""
    name, _, rest = host.partition(".")
    where, _, domain = rest.partition(".")
    if domain and not (domain == "svc" or domain.startswith("svc.")):
        return None
    return _service(where or namespace, name)


def _service(namespace: str, name: str) -> tuple[str, str] | None:
    """None for what Kubernetes would not take as names: they go into a selector."""
    if name_problem("Namespace", namespace) or name_problem("Service", name):
        return None
    return namespace, name
