"""ResourceQuotas: whether larger requests and limits of all copies would still be within them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from remediator.actions.change import NotPossible
from remediator.actions.view import View
from remediator.actions.workloads.looking import listed
from remediator.actions.workloads.new_template import find_container
from remediator.actions.workloads.quantities import exact
from remediator.actions.workloads.resizing import Wish
from remediator.objects import dig, ref_of

_KEYS: dict[tuple[str, str], tuple[str, ...]] = {
    ("requests", "cpu"): ("requests.cpu", "cpu"),
    ("requests", "memory"): ("requests.memory", "memory"),
}
_KEYS |= {("limits", name): (f"limits.{name}",) for name in ("cpu", "memory")}


def refuse_beyond_quota(view: View, pod_spec: Mapping[str, Any], name: str, wish: Wish, *, copies: int) -> None:
    """Raises: NotPossible when a quota of the namespace leaves less than all copies would need more.

    A rollout would stop half-way then: the new pods are refused, and nobody sees it but the ReplicaSet. Quotas with
    scopes count other pods as well as ours, so they are left to the API server.
    """
    _, container = find_container(pod_spec, name, view.ref)
    for quota in listed(view, "quotas"):
        if dig(quota, "spec", "scopes") or dig(quota, "spec", "scopeSelector"):
            continue
        try:
            short = _short_of(quota, container, wish, copies)
        except ValueError as exc:
            raise NotPossible(f"{ref_of(quota)} cannot be compared with what is asked for: {exc}") from None
        if short:
            raise NotPossible(
                f"{ref_of(quota)} leaves too little {short} for {copies} copies: raise the quota, or ask for less"
            )


def _short_of(quota: Mapping[str, Any], container: Mapping[str, Any], wish: Wish, copies: int) -> str:
    """The first key of the quota that does not leave enough; empty when all do."""
    for part, amounts in wish.items():
        for resource, after in amounts.items():
            more = (exact(after) - _present(container, part, resource)) * copies
            for key in _KEYS[part, resource]:
                left = _left(quota, key)
                if left is not None and more > max(left, Fraction(0)):
                    return key
    return ""


def _present(container: Mapping[str, Any], part: str, resource: str) -> Fraction:
    value = dig(container, "resources", part, resource)
    if value is None and part == "requests":
        value = dig(container, "resources", "limits", resource)
    return exact(value or 0)


def _left(quota: Mapping[str, Any], key: str) -> Fraction | None:
    """What is left of one key; None when it is not limited. A quota that nobody has counted yet leaves all of it."""
    hard = dig(quota, "spec", "hard", key)
    if hard is None:
        return None
    return exact(hard) - exact(dig(quota, "status", "used", key) or 0)
