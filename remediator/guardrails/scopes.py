"""What the counting guardrails count by, and what a pause covers in words."""

from __future__ import annotations

from remediator.guardrails.facts import Facts


def target_keys(facts: Facts) -> frozenset[str]:
    """Root targets as `Run.target_key` spells them; the named objects too, should a run be recorded under one."""
    refs = {ref for target in facts.targets for ref in (target.ref, target.root)}
    return frozenset(f"{facts.cluster}/{ref.key}" for ref in refs)


def namespaces(facts: Facts) -> frozenset[str]:
    """Namespaces of the root targets; cluster-scoped ones count as ""."""
    return frozenset(target.root.namespace for target in facts.targets)


EPISODE = "episode:"
"""Kind of the scope that a person's taking has: it covers one episode, whatever is tried for it."""


def episode_scope(episode_id: str) -> str:
    return EPISODE + episode_id


def describe_scope(scope: str) -> str:
    """The stored scope of a pause as people write it: `namespace shop in eu`."""
    kind, _, rest = scope.partition(":")
    if kind in ("playbook", "episode"):
        return f"{kind} {rest}"
    if kind in ("namespace", "target"):
        cluster, _, name = rest.partition("/")
        return f"{kind} {name.replace('//', '/')} in {cluster}"
    return scope
