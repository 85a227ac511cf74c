"""`project`: what a playbook touches is its project's, whatever chose it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remediator.actions.change import Change, Evict, FieldChange, Patch, PodRule
from remediator.guardrails import project as guard
from remediator.guardrails.explain import explain_one
from remediator.guardrails.facts import EffectiveLimits, Facts
from remediator.guardrails.order import Guard, evaluate
from remediator.guardrails.verdict import Answer
from remediator.objects import ObjectRef
from remediator.playbooks.model import Mode
from remediator.playbooks.projects import GATED, Project
from tests.guardrails.make import evict, facts, playbook, target


def project(**changes: Any) -> Project:
    return Project.model_validate(
        {
            "name": "shop",
            "playbooks": {"folders": ["/playbooks/shop"]},
            "clusters": ["prod"],
            "namespaces": ["shop", "shop-*"],
            "mode": "auto",
            **changes,
        }
    )


def asked(given: Facts, **changes: Any) -> tuple[Answer, str]:
    verdict = guard.check(replace(given, project=project(**changes)))
    assert verdict.guardrail == "project"
    return verdict.answer, explain_one(verdict)


def at(namespace: str, *, kind: str = "Deployment", name: str = "api", change: Change | None = None) -> Any:
    """A target somewhere; its change writes the Deployment shop/api unless another one is given."""
    ref = ObjectRef(kind, namespace, name)
    return replace(target(change=change), ref=ref, root=ref)


def writes(namespace: str, kind: str = "HorizontalPodAutoscaler") -> Change:
    patch = Patch(ref=ObjectRef(kind, namespace, "api"), uid="u", changes=(FieldChange(("spec",), 1, 2),))
    return Change(effects=(patch,), summary="write")


def test_without_projects_it_says_so():
    verdict = guard.check(facts())
    assert (verdict.answer, verdict.reason) == (Answer.NOT_APPLICABLE, "no projects are configured")


def test_inside_it_passes_and_counts_what_it_looked_at():
    assert asked(facts()) == (Answer.PASS, "pass: project. 1 object in project shop.")
    assert asked(facts(at("shop"), at("shop-eu", change=writes("shop-eu")))) == (
        Answer.PASS,
        "pass: project. 3 objects in project shop.",
    )


@pytest.mark.parametrize(
    ("given", "changes", "reason"),
    [
        pytest.param(
            facts(at("pay", change=writes("pay"))),
            {},
            "namespace pay is none of project shop, which has shop, shop-*",
            id="namespace",
        ),
        pytest.param(facts(at("shops", change=writes("shop"))), {}, "namespace shops is none", id="nearly"),
        pytest.param(facts(), {"clusters": ["staging"]}, "cluster prod is none of project shop", id="cluster"),
        pytest.param(facts(target(), at("pay")), {}, "namespace pay is none", id="the second of two targets"),
        pytest.param(
            facts(replace(target(), ref=ObjectRef("Pod", "pay", "x"))),
            {},
            "namespace pay",
            id="target, not its root",
        ),
        pytest.param(
            facts(replace(target(), root=ObjectRef("Deployment", "pay", "x"))),
            {},
            "namespace pay",
            id="root controller",
        ),
        pytest.param(facts(target(change=writes("pay"))), {}, "namespace pay is none", id="an object that is written"),
        pytest.param(
            facts(target(change=Change(effects=(Evict(pod=PodRule(namespace="pay", select="oldest")),), summary="e"))),
            {},
            "namespace pay is none",
            id="a pod that is taken",
        ),
        pytest.param(facts(at("", kind="Node", name="n1")), {}, "Node n1 lies in no namespace", id="node"),
        pytest.param(
            facts(target(change=writes("", kind="Node"))),
            {},
            "Node api lies in no namespace",
            id="node that is written",
        ),
        pytest.param(
            facts(at("", kind="Namespace", name="pay", change=writes("", "Namespace"))),
            {"cluster_scoped": True},
            "namespace pay is none",
            id="another's Namespace",
        ),
    ],
)
def test_outside_it_denies(given, changes, reason):
    answer, text = asked(given, **changes)
    assert answer is Answer.DENY
    assert reason.lower() in text.lower()  # a sentence begins with a capital
    assert text.endswith("The operator may change projects[shop].")


def test_nodes_when_the_project_has_them():
    node = at("", kind="Node", name="n1", change=evict_in("shop"))
    assert asked(facts(node), cluster_scoped=True)[0] is Answer.PASS
    assert asked(facts(replace(node, change=evict_in("pay"))), cluster_scoped=True)[0] is Answer.DENY


def evict_in(namespace: str) -> Change:
    (effect,) = evict().effects
    assert isinstance(effect, Evict)
    return Change(effects=(replace(effect, pod=replace(effect.pod, namespace=namespace)),), summary="evict")


@pytest.mark.parametrize("action", sorted(GATED - {"schedule"}))
def test_gated_actions_are_off_unless_listed(action):
    given = facts(playbook=playbook(steps=[{"action": "rollout_restart"}, {"action": action}]))
    assert asked(given) == (
        Answer.DENY,
        f"deny: project. {action if '_' in action else action.capitalize()} is not allowed in project shop. "
        "The operator may list it in projects[shop].actions.",
    )
    assert asked(given, actions=["rollout_restart", action])[0] is Answer.PASS
    assert asked(given, actions=[action])[0] is Answer.DENY


def test_a_mode_above_the_projects_highest():
    """As after a restart with a lower one, for what was under way."""
    given = facts(limits=EffectiveLimits(mode=Mode.AUTO, mode_ceiling=Mode.AUTO))
    assert asked(given, mode="approve") == (
        Answer.DENY,
        "deny: project. Mode auto is above approve, the highest of project shop. "
        "projects[shop].mode may be raised by the operator.",
    )
    lowered = replace(given, limits=EffectiveLimits(mode=Mode.APPROVE, mode_ceiling=Mode.APPROVE))
    assert asked(lowered, mode="approve")[0] is Answer.PASS


def test_an_unknown_project_holds():
    """Projects are configured, but not the one of this remediation: that is no permission."""
    given = facts(project=None, unknown={"project": "project pay is not configured any more"})
    (verdict,) = evaluate(given, (Guard(guard.NAME, guard.READS, guard.check),))
    assert (verdict.guardrail, verdict.answer, verdict.cannot_see) == ("project", Answer.HOLD, True)
    assert "project pay is not configured any more" in verdict.reason
