"""The digest changes with everything that would be done, and with nothing that merely drifts."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.actions.canonical import canonical_json
from remediator.actions.change import GENERATED_TIME, Delete, Evict, FieldChange, Patch, PodRule
from remediator.actions.digest import DigestStep, digest
from remediator.actions.workloads.evict_pod import EvictPod, EvictPodParams
from remediator.actions.workloads.rollback import Rollback, RollbackParams
from remediator.actions.workloads.rollout_restart import RolloutRestart, RolloutRestartParams
from remediator.actions.workloads.scale import Scale, ScaleParams
from remediator.objects import ObjectRef, uid_of
from remediator.ports import ABANDONED, MARKER
from tests.actions.make import NS, deployment, pod, replicaset, view
from tests.actions.merge import merge_patch

REF = ObjectRef("Deployment", NS, "api")
PATCH = Patch(ref=REF, uid="u-1", changes=(FieldChange(("spec", "replicas"), 3, 5),))
RULE = PodRule(namespace=NS, select="oldest", owner_uids=("a", "b"), selector="app=api")
STEP = DigestStep(target=REF, uid="u-1", action="scale", params={"to": 5, "min": 1, "max": 9}, effects=(PATCH,))
PLAN: dict[str, Any] = {"playbook_hash": "p", "cluster": "c", "steps": (STEP,), "verify": {"settle": 60}}
BASE = digest(**PLAN)


def with_effect(effect: Any) -> dict[str, Any]:
    return {**PLAN, "steps": (replace(STEP, effects=(effect,)),)}


def with_change(path: tuple[str, ...] = ("spec", "replicas"), before: Any = 3, after: Any = 5) -> dict[str, Any]:
    return with_effect(replace(PATCH, changes=(FieldChange(path, before, after),)))


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param({**PLAN, "playbook_hash": "q"}, id="playbook content"),
        pytest.param({**PLAN, "cluster": "d"}, id="cluster"),
        pytest.param({**PLAN, "verify": {"settle": 61}}, id="verification of the whole"),
        pytest.param({**PLAN, "steps": (replace(STEP, target=replace(REF, kind="StatefulSet")),)}, id="target kind"),
        pytest.param({**PLAN, "steps": (replace(STEP, target=replace(REF, namespace="x")),)}, id="target namespace"),
        pytest.param({**PLAN, "steps": (replace(STEP, target=replace(REF, name="x")),)}, id="target name"),
        pytest.param({**PLAN, "steps": (replace(STEP, uid="u-2"),)}, id="target uid"),
        pytest.param({**PLAN, "steps": (replace(STEP, action="patch"),)}, id="action"),
        pytest.param({**PLAN, "steps": (replace(STEP, params={"to": 5, "min": 1, "max": 8}),)}, id="a bound"),
        pytest.param({**PLAN, "steps": (replace(STEP, verify={"rollout": {}}),)}, id="verification of the step"),
        pytest.param({**PLAN, "steps": (replace(STEP, revert={"after_quiet": "30m"}),)}, id="revert"),
        pytest.param({**PLAN, "steps": (STEP, STEP)}, id="one step more"),
        pytest.param({**PLAN, "steps": ()}, id="one step less"),
        pytest.param(with_effect(replace(PATCH, uid="u-9")), id="object uid"),
        pytest.param(with_effect(replace(PATCH, ref=replace(REF, name="other"))), id="object"),
        pytest.param(with_change(path=("spec", "paused")), id="path"),
        pytest.param(with_change(before=4), id="before"),
        pytest.param(with_change(after=6), id="after"),
        pytest.param(with_change(before=None), id="before absent"),
        pytest.param(with_effect(replace(PATCH, replace=True)), id="replace instead of merge"),
        pytest.param(with_effect(replace(PATCH, undoable=False)), id="inverse"),
        pytest.param(with_effect(Evict(pod=RULE)), id="evict"),
    ],
)
def test_every_ingredient_counts(plan):
    assert digest(**plan) != BASE


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(replace(RULE, select="unready"), id="select"),
        pytest.param(replace(RULE, owner_uids=("a",)), id="owners"),
        pytest.param(replace(RULE, namespace="x"), id="namespace"),
        pytest.param(replace(RULE, selector="app=x"), id="selector"),
        pytest.param(replace(RULE, name="x"), id="name"),
        pytest.param(replace(RULE, uid="x"), id="uid"),
    ],
)
def test_every_part_of_a_pod_rule_counts(rule):
    assert digest(**with_effect(Evict(pod=rule))) != digest(**with_effect(Evict(pod=RULE)))


def test_delete_is_not_evict():
    assert digest(**with_effect(Delete(pod=RULE))) != digest(**with_effect(Evict(pod=RULE)))


def test_it_is_a_sha256_in_hex():
    assert len(BASE) == 64
    assert set(BASE) <= set("0123456789abcdef")


def test_the_order_of_keys_and_of_fields_in_one_patch_does_not_count():
    one, two = FieldChange(("spec", "a"), 1, {"x": 1, "y": 2}), FieldChange(("spec", "b"), 1, 2)
    again = FieldChange(("spec", "a"), 1, {"y": 2, "x": 1})
    left = with_effect(replace(PATCH, changes=(one, two)))
    right = with_effect(replace(PATCH, changes=(two, again)))
    assert digest(**left) == digest(**right)


def test_how_many_pods_the_rule_finds_today_does_not_count():
    """A flapping pod is unready now and ready in a second; the rule and its bound were approved."""
    one = {**PLAN, "steps": (replace(STEP, effects=(Evict(pod=RULE),)),)}
    three = {**PLAN, "steps": (replace(STEP, effects=(Evict(pod=RULE),) * 3),)}
    assert digest(**one) == digest(**three)


def test_two_equal_patches_are_two():
    assert digest(**{**PLAN, "steps": (replace(STEP, effects=(PATCH, PATCH)),)}) != BASE


def test_the_time_of_sending_stays_a_placeholder():
    assert GENERATED_TIME.encode() in canonical_json({"after": GENERATED_TIME})
    left, right = with_change(after=GENERATED_TIME), with_change(after=GENERATED_TIME)
    assert digest(**left) == digest(**right)


@pytest.mark.parametrize("value", [pytest.param(float("nan"), id="NaN"), pytest.param({1, 2}, id="a set")])
def test_what_is_no_json_is_refused(value):
    with pytest.raises((ValueError, TypeError)):
        canonical_json(value)


# --- real actions under status noise ----------------------------------------------------------------------------------

DEPLOYMENT = deployment(3)
SETS = (replicaset(DEPLOYMENT, 1, "shop/api:0"), replicaset(DEPLOYMENT, 2, "shop/api:1"))
ACTIONS: dict[str, tuple[Any, Any]] = {
    "rollout_restart": (RolloutRestart(), RolloutRestartParams()),
    "evict unready": (EvictPod(), EvictPodParams(select="unready", max=2)),
    "evict all": (EvictPod(), EvictPodParams(select="all", max=2)),
    "scale": (Scale(), ScaleParams(by=2, min=1, max=9)),
    "rollback": (Rollback(), RollbackParams()),
}


def digest_of(name: str, obj: Any, pods: Any) -> str:
    action, params = ACTIONS[name]
    seen = view(obj, revisions=SETS, pods=pods)
    step = DigestStep(
        target=seen.ref,
        uid=uid_of(obj),
        action=action.name,
        params=action.resolve(params, seen).model_dump(mode="json"),
        effects=action.plan(params, seen).effects,
    )
    return digest(playbook_hash="p", cluster="c", steps=(step,))


NOISE = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {
                "resourceVersion": st.integers(1, 10**6).map(str),
                "generation": st.integers(1, 9),
                "managedFields": st.lists(st.fixed_dictionaries({"manager": st.text(max_size=3)}), max_size=2),
                "annotations": st.dictionaries(
                    st.sampled_from((MARKER, ABANDONED, "note")), st.text(max_size=4), max_size=2
                ),
            }
        ),
        "status": st.fixed_dictionaries(
            {
                "readyReplicas": st.integers(0, 3),
                "availableReplicas": st.integers(0, 3),
                "updatedReplicas": st.integers(0, 3),
                "observedGeneration": st.integers(0, 9),
            }
        ),
    }
)


@pytest.mark.parametrize("name", sorted(ACTIONS))
@given(noise=NOISE, ready=st.lists(st.booleans(), min_size=1, max_size=3))
def test_status_noise_does_not_change_it(name, noise, ready):
    """Versions, generation, counts, managedFields, markers, and pods that flap: the approval survives all of it."""
    sick = [pod("api-2-x", SETS[1], ready=False)]
    quiet = digest_of(name, copy.deepcopy(DEPLOYMENT), [*(pod(f"p{i}", SETS[1]) for i in range(3)), *sick])
    pods = [pod(f"p{i}", SETS[1], ready=is_ready) for i, is_ready in enumerate(ready)] + sick
    assert digest_of(name, merge_patch(DEPLOYMENT, noise), pods) == quiet
