"""Health and budgets: min_available, disruption_budget, rollout_in_progress, last_good_revision, ownership."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.actions.change import FieldChange
from remediator.actions.view import Revision
from remediator.actions.workload import read_workload, takes_by_rollout
from remediator.actions.workloads.rollout_restart import RolloutRestart, RolloutRestartParams
from remediator.guardrails import disruption_budget, last_good_revision, min_available, ownership, rollout_in_progress
from remediator.guardrails.facts import EffectiveLimits, TargetFacts
from remediator.guardrails.verdict import Answer
from remediator.ports import MARKER
from tests.actions.make import daemonset, deployment, hash_of, hpa, owner, pdb, pod, replicaset, statefulset, view
from tests.actions.test_workload import TAKES
from tests.guardrails.make import a_patch, evict, facts, restart, rollback, run, scale, target

# --- min_available ----------------------------------------------------------------------------------------------------


def limits(keep: str | int = "60%", floor: str | int = 1) -> EffectiveLimits:
    return EffectiveLimits(min_available=keep, min_available_floor=floor)


@pytest.mark.parametrize(
    ("ready", "desired", "takes", "keep", "answer"),
    [
        pytest.param(5, 5, 2, "60%", Answer.PASS, id="3 of 5 remain"),
        pytest.param(5, 5, 3, "60%", Answer.HOLD, id="2 of 5 would remain"),
        pytest.param(3, 5, 1, "60%", Answer.HOLD, id="broken copies use up the budget"),
        pytest.param(3, 5, 0, "60%", Answer.PASS, id="nothing taken passes, however few there are"),
        pytest.param(0, 5, 0, "60%", Answer.PASS, id="nothing left, nothing taken"),
        pytest.param(3, 3, 1, "60%", Answer.PASS, id="60 % of 3 is 1.8: 2 remain"),
        pytest.param(2, 2, 1, "60%", Answer.HOLD, id="60 % of 2 is 1.2: 2 must remain"),
        pytest.param(1, 1, 1, "60%", Answer.ASK, id="the only copy asks a person"),
        pytest.param(2, 2, 2, "60%", Answer.HOLD, id="both copies do not"),
        pytest.param(5, 5, 4, 1, Answer.PASS, id="a number of copies: one remains"),
        pytest.param(5, 5, 5, 1, Answer.HOLD, id="never the last healthy one"),
        pytest.param(100, 100, 99, "1%", Answer.PASS, id="1 % of 100 is 1"),
        pytest.param(2, 2, 1, 3, Answer.HOLD, id="more than there are"),
    ],
)
def test_min_available(ready, desired, takes, keep, answer):
    obj = deployment(desired, ready)
    verdict = min_available.check(facts(target(obj, evict(takes), pods=pods(obj, ready)), limits=limits(keep)))
    assert verdict.answer is answer


def pods(obj: Any, ready: int) -> tuple[Any, ...]:
    return tuple(pod(f"p{n}", obj) for n in range(ready))


def test_the_operators_floor_counts_too():
    obj = deployment(5)
    one = target(obj, evict(2), pods=pods(obj, 5))
    assert min_available.check(facts(one, limits=limits(1, 1))).answer is Answer.PASS
    assert min_available.check(facts(one, limits=limits(1, "80%"))).answer is Answer.HOLD


def test_the_only_copy_goes_once_a_person_has_approved():
    one = target(deployment(1), restart(deployment(1), takes=1))
    assert min_available.check(facts(one, approved=True)).answer is Answer.PASS


def test_what_is_taken_from_something_that_cannot_be_counted_asks_a_person():
    one = pod("x", deployment())
    verdict = min_available.check(facts(target(one, evict(1))))
    assert verdict.answer is Answer.ASK
    assert "no workload whose copies can be counted" in verdict.reason
    assert min_available.check(facts(target(one, evict(0)))).answer is Answer.PASS


def test_between_evictions_a_pod_that_is_going_is_no_copy_any_more():
    """The Deployment's status lags behind the pods: the second eviction must not count the first one's pod."""
    obj = deployment(3, 3)
    seen = (pod("a", obj, leaving=True), pod("b", obj), pod("c", obj))
    assert min_available.check(facts(target(obj, evict(1), pods=seen))).answer is Answer.HOLD
    assert min_available.check(facts(target(obj, evict(1), pods=pods(obj, 3)))).answer is Answer.PASS
    mixed = replace(evict(1), effects=(*evict(1).effects, *restart(obj).effects))
    assert min_available.check(facts(target(obj, mixed, pods=seen))).answer is Answer.HOLD


@pytest.mark.parametrize(
    ("one", "reason", "changes"),
    [
        pytest.param(
            target(deployment(5, 3), evict(1), pods=pods(deployment(), 3)),
            "3 of 5 ready, this takes 1 ready copy, 3 must remain",
            "passes when ready >= 4. Rollback takes none and is still possible",
            id="eviction",
        ),
        pytest.param(
            target(deployment(5), scale(deployment(5), 5, 1, takes=4)),
            "5 of 5 ready, this takes 4 ready copies, 3 must remain",
            "passes when it keeps at least 3 copies",
            id="scale down",
        ),
        pytest.param(
            target(deployment(5), restart(deployment(5), takes=3)),
            "5 of 5 ready, this takes 3 ready copies, 3 must remain",
            "passes when maxUnavailable is at most 2",
            id="rollout",
        ),
        pytest.param(
            target(deployment(2, strategy={"type": "Recreate"}), restart(deployment(2), takes=2)),
            "2 of 2 ready, this takes 2 ready copies, 2 must remain",
            "Recreate takes all copies at once; RollingUpdate would not",
            id="Recreate",
        ),
        pytest.param(
            target(statefulset(2), restart(statefulset(2), takes=1)),
            "2 of 2 ready, this takes 1 ready copy, 2 must remain",
            "it never passes with these limits",
            id="never",
        ),
        pytest.param(
            target(daemonset(10, 9), restart(daemonset(10), takes=4)),
            "9 of 10 ready, this takes 4 ready copies, 6 must remain",
            "passes when ready >= 10",
            id="all of them suffice",
        ),
        pytest.param(
            target(daemonset(10, 6), restart(daemonset(10), takes=1)),
            "6 of 10 ready, this takes 1 ready copy, 6 must remain",
            "passes when ready >= 7",
            id="DaemonSet",
        ),
    ],
)
def test_min_available_says_when_it_passes(one, reason, changes):
    verdict = min_available.check(facts(one))
    assert (verdict.reason, verdict.changes) == (reason, changes)
    assert verdict.answer is Answer.HOLD


@pytest.mark.parametrize(
    ("obj", "takes"),
    [
        pytest.param(make(replicas, ready), takes, id=f"{name}: {ready} of {replicas}")
        for name, (make, table) in TAKES.items()
        for replicas, column in table.items()
        for ready, takes in enumerate(column)
    ],
)
def test_a_restart_against_the_table(obj, takes):
    """replicas x ready x strategy: pass when nothing is taken or 60 % remain, ask for an only copy, else hold."""
    workload = read_workload(obj)
    remain = workload.available - takes
    if takes == 0 or 10 * remain >= 6 * workload.desired:
        expected = Answer.PASS
    else:
        expected = Answer.ASK if workload.desired == 1 else Answer.HOLD
    change = restart(obj, takes=takes_by_rollout(workload))
    assert min_available.check(facts(target(obj, change))).answer is expected


@given(desired=st.integers(1, 50), missing=st.integers(0, 50), takes=st.integers(0, 50), keep=st.integers(1, 100))
def test_never_the_last_healthy_copy(desired, missing, takes, keep):
    available = max(0, desired - missing)
    takes = min(takes, available)
    obj = deployment(desired, available)
    answer = min_available.check(facts(target(obj, restart(obj, takes)), limits=limits(f"{keep}%"))).answer
    if answer is Answer.PASS and takes:
        assert available - takes >= 1
        assert 100 * (available - takes) >= keep * desired
    if answer is Answer.ASK:
        assert desired == 1


# --- disruption_budget ------------------------------------------------------------------------------------------------


def selecting(operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": "app", "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("takes", "budgets", "answer"),
    [
        pytest.param(0, [pdb(0)], Answer.PASS, id="takes nothing"),
        pytest.param(1, [], Answer.PASS, id="no budget"),
        pytest.param(1, [pdb(1)], Answer.PASS, id="just within"),
        pytest.param(2, [pdb(1)], Answer.HOLD, id="one too many"),
        pytest.param(1, [pdb(0)], Answer.HOLD, id="used up"),
        pytest.param(1, [pdb(5), pdb(0, name="second")], Answer.HOLD, id="the tighter of two"),
        pytest.param(1, [pdb(0, selector={"matchLabels": {"app": "web"}})], Answer.PASS, id="other pods"),
        pytest.param(1, [pdb(0, selector={})], Answer.HOLD, id="an empty selector is every pod"),
        pytest.param(1, [pdb(0, namespace="web")], Answer.PASS, id="another namespace"),
        pytest.param(1, [pdb(0, selector=selecting("In", "api", "b"))], Answer.HOLD, id="In"),
        pytest.param(1, [pdb(0, selector=selecting("NotIn", "api"))], Answer.PASS, id="NotIn"),
        pytest.param(1, [pdb(0, selector=selecting("Exists"))], Answer.HOLD, id="Exists"),
        pytest.param(1, [pdb(0, selector=selecting("DoesNotExist"))], Answer.PASS, id="DoesNotExist"),
        pytest.param(1, [pdb(0, selector=selecting("New"))], Answer.HOLD, id="an unknown operator may select them"),
    ],
)
def test_disruption_budget(takes, budgets, answer):
    obj = deployment(5)
    assert disruption_budget.check(facts(target(obj, restart(obj, takes), pdbs=tuple(budgets)))).answer is answer


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"unreadable": {"pdbs": "403"}}, id="budgets unreadable"),
        pytest.param({"pdbs": (pdb(None),)}, id="no status yet"),
        pytest.param({"pdbs": (pdb(5, generation=2),)}, id="status behind its spec"),
        pytest.param({"pdbs": ({**pdb(5), "status": {"disruptionsAllowed": 5}},)}, id="status of no generation"),
    ],
)
def test_a_budget_that_cannot_be_seen_holds(parts):
    obj = deployment(5)
    verdict = disruption_budget.check(facts(target(obj, restart(obj, 1), **parts)))
    assert verdict.answer is Answer.HOLD
    assert verdict.cannot_see


def test_a_budget_says_its_numbers():
    obj = deployment(5)
    verdict = disruption_budget.check(facts(target(obj, restart(obj, 2), pdbs=(pdb(1),))))
    assert verdict.reason == "budget api allows 1 disruption, this takes 2 ready copies"
    assert verdict.changes == "passes when it allows 2"
    assert verdict.facts == {"budget": "api", "allowed": 1, "takes": 2}
    for budgets, reason in (
        ((), "no disruption budget covers these pods"),
        ((pdb(1), pdb(2, name="b")), "within api, b"),
    ):
        verdict = disruption_budget.check(facts(target(obj, restart(obj, 1), pdbs=budgets)))
        assert (verdict.reason, verdict.facts) == (reason, {"takes": 1})


def named(name: str, takes: int, step: int = 0, **parts: Any) -> TargetFacts:
    obj = deployment(5, metadata={"name": name})
    return target(obj, restart(obj, takes), step=step, **parts)


@pytest.mark.parametrize(
    ("targets", "answer"),
    [
        pytest.param((named("a", 1, pdbs=(pdb(1),)), named("b", 1, pdbs=(pdb(1),))), Answer.HOLD, id="more together"),
        pytest.param((named("a", 1, pdbs=(pdb(2),)), named("b", 1, pdbs=(pdb(2),))), Answer.PASS, id="it suffices"),
        pytest.param((named("a", 1, pdbs=(pdb(1),)), named("b", 0, pdbs=(pdb(1),))), Answer.PASS, id="one takes none"),
        pytest.param(
            (named("a", 1, pdbs=(pdb(1),)), named("b", 1, step=1, pdbs=(pdb(1),))), Answer.PASS, id="step by step"
        ),
        pytest.param(
            (named("a", 1, pdbs=(pdb(1),)), target(statefulset(3), restart(statefulset(3), 1), pdbs=(pdb(1),))),
            Answer.HOLD,
            id="of two kinds",
        ),
    ],
)
def test_targets_that_share_a_budget_share_what_it_allows(targets, answer):
    assert disruption_budget.check(facts(*targets)).answer is answer


def test_who_shares_it_is_said():
    verdict = disruption_budget.check(facts(named("a", 1, pdbs=(pdb(1),)), named("b", 2, pdbs=(pdb(1),))))
    assert verdict.reason == "Deployment shop/a: budget api allows 1 disruption, 2 targets take 3 ready copies"
    assert verdict.changes == "passes when it allows 3"
    alone = disruption_budget.check(facts(named("a", 2, pdbs=(pdb(1),)), named("b", 0, pdbs=(pdb(1),))))
    assert alone.reason == "Deployment shop/a: budget api allows 1 disruption, this takes 2 ready copies"


def test_a_budget_covers_the_pods_that_are_there():
    """The template has another label already; what would go away has the old one. A pod stands for itself."""
    obj = deployment(5)
    old = pod("p", obj)
    old["metadata"]["labels"] = {"app": "old"}
    budget = pdb(0, selector={"matchLabels": {"app": "old"}})
    assert (
        disruption_budget.check(facts(target(obj, restart(obj, 1), pods=(old,), pdbs=(budget,)))).answer is Answer.HOLD
    )
    assert disruption_budget.check(facts(target(obj, restart(obj, 1), pdbs=(budget,)))).answer is Answer.PASS
    assert disruption_budget.check(facts(target(old, evict(1), pdbs=(budget,)))).answer is Answer.HOLD
    assert disruption_budget.check(facts(target(old, evict(1), pdbs=(pdb(0),)))).answer is Answer.PASS


def test_a_budget_without_a_selector_covers_nothing():
    obj, without = deployment(5), pdb(0)
    del without["spec"]["selector"]
    assert disruption_budget.check(facts(target(obj, restart(obj, 1), pdbs=(without,)))).answer is Answer.PASS


def test_an_unreadable_budget_does_not_matter_when_nothing_is_taken():
    obj = deployment(5)
    verdict = disruption_budget.check(facts(target(obj, restart(obj, 0), unreadable={"pdbs": "403"})))
    assert verdict.answer is Answer.PASS


# --- rollout_in_progress ----------------------------------------------------------------------------------------------

MOVING = deployment(3, updated=1, total=4, reason="ReplicaSetUpdated")
FAILED = deployment(3, updated=1, total=4, reason="ProgressDeadlineExceeded")


def marked(obj: Any, marker: str) -> Any:
    return {**obj, "metadata": {**obj["metadata"], "annotations": {MARKER: marker}}}


@pytest.mark.parametrize(
    ("one", "answer"),
    [
        pytest.param(target(deployment(5, 2)), Answer.PASS, id="sick, but not rolling"),
        pytest.param(target(MOVING), Answer.HOLD, id="restart into a rollout"),
        pytest.param(target(MOVING, scale(MOVING, 3, 5)), Answer.HOLD, id="scale into a rollout"),
        pytest.param(target(MOVING, evict()), Answer.HOLD, id="evict into a rollout"),
        pytest.param(target(MOVING, rollback(MOVING)), Answer.PASS, id="a rollback of it may"),
        pytest.param(
            target(MOVING, replace(rollback(MOVING), effects=(*rollback(MOVING).effects, *evict().effects))),
            Answer.PASS,
            id="a rollback that also deletes a broken pod",
        ),
        pytest.param(target(FAILED), Answer.HOLD, id="restart into a failed rollout"),
        pytest.param(target(FAILED, rollback(FAILED)), Answer.PASS, id="rollback of a failed one"),
        pytest.param(target(marked(MOVING, "r-1/0.0")), Answer.PASS, id="our own"),
        pytest.param(target(marked(MOVING, "r-12/0.0")), Answer.HOLD, id="of a remediation whose id begins like ours"),
        pytest.param(target(marked(MOVING, "r-parent/0.0")), Answer.PASS, id="of an earlier rung"),
        pytest.param(target(marked(MOVING, "r-stranger/0.0")), Answer.HOLD, id="of another episode"),
        pytest.param(target(deployment(3, spec={"paused": True})), Answer.DENY, id="paused"),
        pytest.param(
            target(deployment(3, spec={"paused": True}), rollback(deployment())),
            Answer.DENY,
            id="paused: not even a rollback",
        ),
        pytest.param(target(deployment(3, observed_generation=0)), Answer.HOLD, id="a spec that was not taken up yet"),
        pytest.param(target(pod("x", deployment()), evict()), Answer.NOT_APPLICABLE, id="no workload"),
    ],
)
def test_rollout_in_progress(one, answer):
    runs = (run("r-parent", episode_id="e-1"), run("r-stranger", episode_id="e-2"))
    assert rollout_in_progress.check(facts(one, runs=runs)).answer is answer


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        pytest.param(MOVING, "a rollout is in progress (1 of 3 updated), and it is not ours", id="in progress"),
        pytest.param(FAILED, "a rollout has failed (1 of 3 updated), and it is not ours", id="failed"),
        pytest.param(
            statefulset(3, 3, revisions=("db-1", "db-2"), updated=1, strategy={"type": "OnDelete"}),
            "a rollout is stuck (1 of 3 updated), and it is not ours",
            id="stuck",
        ),
        pytest.param(
            deployment(3, observed_generation=0),
            "a change of its spec has not been taken up yet, and it is not ours",
            id="not taken up",
        ),
    ],
)
def test_what_is_said_about_a_rollout(obj, reason):
    verdict = rollout_in_progress.check(facts(target(obj, restart(obj))))
    assert verdict.reason == reason
    assert verdict.changes == "passes when it is over; rollback is still possible"


# --- last_good_revision -----------------------------------------------------------------------------------------------

WORKLOAD = deployment(image="shop/api:2", spec={"revisionHistoryLimit": 1})
HISTORY = (replicaset(WORKLOAD, 1, "shop/api:1"), replicaset(WORKLOAD, 2, "shop/api:2"))
GOOD = Revision(workload_uid="uid-deployment-api", template_hash=hash_of("shop/api:1"), healthy=True)
KNOWN: dict[str, Any] = {"revisions": HISTORY, "observed": (GOOD,)}
IMAGE = FieldChange(("spec", "template", "spec", "containers"), [], [])


@pytest.mark.parametrize(
    ("one", "answer"),
    [
        pytest.param(target(WORKLOAD, **KNOWN), Answer.DENY, id="a restart loses it"),
        pytest.param(target(WORKLOAD, revisions=HISTORY), Answer.PASS, id="nothing is known healthy"),
        pytest.param(target(deployment(image="shop/api:2"), **KNOWN), Answer.PASS, id="ten are kept"),
        pytest.param(target(WORKLOAD, rollback(WORKLOAD), **KNOWN), Answer.NOT_APPLICABLE, id="a rollback reuses one"),
        pytest.param(target(WORKLOAD, scale(WORKLOAD, 3, 4), **KNOWN), Answer.NOT_APPLICABLE, id="a scale makes none"),
        pytest.param(target(WORKLOAD, evict(), **KNOWN), Answer.NOT_APPLICABLE, id="an eviction makes none"),
        pytest.param(
            target(WORKLOAD, replace(restart(WORKLOAD), effects=(a_patch(WORKLOAD, IMAGE),)), **KNOWN),
            Answer.DENY,
            id="an image",
        ),
        pytest.param(
            target(
                WORKLOAD, replace(restart(WORKLOAD), effects=(*restart(WORKLOAD).effects, *evict().effects)), **KNOWN
            ),
            Answer.DENY,
            id="a restart among other effects",
        ),
        pytest.param(
            target(
                WORKLOAD,
                replace(
                    restart(WORKLOAD), effects=(a_patch(WORKLOAD, FieldChange(("spec", "replicas"), 3, 4), IMAGE),)
                ),
                **KNOWN,
            ),
            Answer.DENY,
            id="an image among other fields",
        ),
        pytest.param(target(WORKLOAD, unreadable={"revisions": "403"}), Answer.HOLD, id="revisions unreadable"),
        pytest.param(target(WORKLOAD, unreadable={"observed": "x"}), Answer.HOLD, id="evidence unreadable"),
    ],
)
def test_last_good_revision(one, answer):
    assert last_good_revision.check(facts(one)).answer is answer


# --- ownership --------------------------------------------------------------------------------------------------------

ARGO = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api"}
FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
SHOP = {"apiVersion": "x/v1", "kind": "Shop", "metadata": {"name": "main", "uid": "k"}}


def applied(*fields: str, by: str = "kustomize-controller") -> dict[str, Any]:
    """Flux applies server-side: exactly these fields of the spec."""
    entry = {"manager": by, "operation": "Apply", "fieldsV1": {"f:spec": {f"f:{field}": {} for field in fields}}}
    return deployment(labels=FLUX, metadata={"managedFields": [entry]})


TRACKED = deployment(annotations=ARGO)
OPERATED = deployment(metadata={"ownerReferences": owner(SHOP)})


@pytest.mark.parametrize(
    ("one", "answer", "said"),
    [
        pytest.param(target(), Answer.PASS, "a restart date belongs to nobody", id="nobody: restart"),
        pytest.param(
            target(change=scale(deployment(), 3, 5)), Answer.PASS, "belongs to nobody else", id="nobody: replicas"
        ),
        pytest.param(target(TRACKED, restart(TRACKED)), Answer.PASS, "restart date", id="Argo CD: a restart is direct"),
        pytest.param(
            target(TRACKED, scale(TRACKED, 3, 5)),
            Answer.DENY,
            "Argo CD application shop owns spec.replicas",
            id="Argo CD: replicas, nothing tells that Git omits them",
        ),
        pytest.param(
            target(TRACKED, rollback(TRACKED)),
            Answer.DENY,
            "Argo CD application shop owns spec.template",
            id="Argo CD: image",
        ),
        pytest.param(
            target(applied("template"), scale(deployment(), 3, 5)),
            Answer.PASS,
            "leaves spec.replicas open",
            id="Flux omits it",
        ),
        pytest.param(
            target(applied("template", "replicas"), scale(deployment(), 3, 5)),
            Answer.DENY,
            "Flux Kustomization flux-system/apps owns spec.replicas",
            id="Flux sets it",
        ),
        pytest.param(
            target(applied("template"), rollback(deployment())),
            Answer.DENY,
            "owns spec.template",
            id="Flux sets the template",
        ),
        pytest.param(
            target(change=scale(deployment(), 3, 5), hpas=(hpa(),)),
            Answer.DENY,
            "HorizontalPodAutoscaler shop/api owns spec.replicas",
            id="an autoscaler",
        ),
        pytest.param(
            target(change=scale(deployment(), 3, 5), hpas=(hpa(of="web"),)),
            Answer.PASS,
            "nobody",
            id="somebody else's autoscaler",
        ),
        pytest.param(
            target(change=scale(deployment(), 3, 5), unreadable={"hpas": "403"}),
            Answer.HOLD,
            "403",
            id="autoscalers unreadable",
        ),
        pytest.param(
            target(unreadable={"hpas": "403"}), Answer.PASS, "restart date", id="which a restart does not need"
        ),
        pytest.param(
            target(OPERATED, scale(OPERATED, 3, 5)),
            Answer.DENY,
            "Shop main owns spec.replicas",
            id="an operator: replicas",
        ),
        pytest.param(
            target(OPERATED, rollback(OPERATED)), Answer.DENY, "Shop main owns spec.template", id="an operator: image"
        ),
        pytest.param(
            target(OPERATED, restart(OPERATED)),
            Answer.ASK,
            "Shop main, which may take the restart back",
            id="an operator: restart",
        ),
        pytest.param(
            target(deployment(annotations={"meta.helm.sh/release-name": "api"}), scale(deployment(), 3, 5)),
            Answer.PASS,
            "Helm release api writes it back at its next upgrade",
            id="Helm is only said",
        ),
        pytest.param(target(change=evict()), Answer.NOT_APPLICABLE, "changes no field", id="an eviction"),
        pytest.param(
            target(
                change=replace(
                    scale(deployment(), 3, 5), effects=(a_patch(hpa(), FieldChange(("spec", "minReplicas"), 2, 4)),)
                )
            ),
            Answer.HOLD,
            "was not read",
            id="an object that nobody has read",
        ),
    ],
)
def test_ownership(one, answer, said):
    verdict = ownership.check(facts(one))
    assert verdict.answer is answer
    assert said in verdict.reason


def test_the_autoscaler_itself_may_be_in_git():
    scaler = {**hpa(), "metadata": {**hpa()["metadata"], "labels": FLUX}}
    change = replace(scale(deployment(), 3, 5), effects=(a_patch(scaler, FieldChange(("spec", "minReplicas"), 2, 4)),))
    assert ownership.check(facts(target(change=change, hpas=(scaler,)))).answer is Answer.DENY


def test_who_wrote_it_last_is_said():
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    obj = deployment(
        metadata={"managedFields": [{"manager": "queue-scaler", "operation": "Update", "fieldsV1": fields}]}
    )
    assert "last set by queue-scaler" in ownership.check(facts(target(obj, scale(obj, 3, 5)))).reason


def test_a_planned_restart_passes_every_one_of_them():
    """The planner and the guardrails agree about one ordinary case from end to end."""
    obj = deployment(5)
    change = RolloutRestart().plan(RolloutRestartParams(), view(obj))
    one = target(obj, change, pdbs=(pdb(1),))
    for guard in (min_available, disruption_budget, rollout_in_progress, last_good_revision, ownership):
        assert guard.check(facts(one)).answer.rank <= Answer.PASS.rank
