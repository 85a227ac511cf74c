"""Which pauses cover a remediation. The attempt row is refused by the store when one of these scopes is paused.

An episode that a person has taken is a pause of that episode, so that the store orders the taking with our effects.
"""

from __future__ import annotations

from collections.abc import Iterable

from remediator.actions.change import object_of
from remediator.guardrails.facts import Pause
from remediator.guardrails.scopes import episode_scope
from remediator.remediation.state import Remediation

EVERYTHING = "everything"


def playbook_scope(name: str) -> str:
    return f"playbook:{name}"


def namespace_scope(cluster: str, namespace: str) -> str:
    return f"namespace:{cluster}/{namespace}"


def target_scope(cluster: str, key: str) -> str:
    """`key` as ObjectRef.key gives it: `Kind/namespace/name`."""
    return f"target:{cluster}/{key}"


def pause_scopes(r: Remediation) -> tuple[str, ...]:
    """Every scope whose pause stops this remediation: everything, its playbook and episode, its namespaces, its
    targets."""
    scopes = [EVERYTHING, playbook_scope(r.playbook), episode_scope(r.episode)]
    refs = {ref for ref in (r.target, r.root, *(r.plan.targets if r.plan else ())) if ref is not None}
    steps = r.plan.steps if r.plan else ()
    refs |= {ref for s in steps for e in s.effects if (ref := object_of(e)) is not None}
    for ref in sorted(refs):
        scopes.append(target_scope(r.cluster, ref.key))
        if ref.namespace:
            scopes.append(namespace_scope(r.cluster, ref.namespace))
    return tuple(dict.fromkeys(scopes))


def taking(r: Remediation, pauses: Iterable[Pause]) -> Pause | None:
    """The first of these by which a person has taken its episode."""
    scope = episode_scope(r.episode)
    return next((p for p in pauses if p.scope == scope), None)
