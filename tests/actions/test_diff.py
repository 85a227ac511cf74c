"""Changes as people read them."""

from __future__ import annotations

import pytest

from remediator.actions.change import GENERATED_TIME, Change, Delete, Evict, FieldChange, Patch, PodRule
from remediator.actions.diff import diff_lines
from remediator.actions.workloads.rollout_restart import RESTART_PATH
from remediator.objects import ObjectRef
from tests.actions.make import template

REF = ObjectRef("Deployment", "shop", "api")


def patch(*changes: FieldChange, ref: ObjectRef = REF) -> Patch:
    return Patch(ref=ref, uid="u", changes=changes)


def two(first: str, second: str) -> dict[str, object]:
    return template(containers=[{"name": "api", "image": first}, {"name": "proxy", "image": second}])


RULE = PodRule(namespace="shop", select="oldest", owner_uids=("u",))


@pytest.mark.parametrize(
    ("effects", "lines"),
    [
        pytest.param([patch(FieldChange(("spec", "replicas"), 3, 5))], ["replicas 3 -> 5"], id="replicas"),
        pytest.param(
            [patch(FieldChange(("spec", "minReplicas"), 2, 5), ref=ObjectRef("HorizontalPodAutoscaler", "shop", "h"))],
            ["HorizontalPodAutoscaler shop/h: minReplicas 2 -> 5"],
            id="another object than the target",
        ),
        pytest.param(
            [patch(FieldChange(("spec", "template"), template("a"), template("b")))],
            ["image a -> b"],
            id="one container",
        ),
        pytest.param(
            [patch(FieldChange(("spec", "template"), two("a", "p"), two("b", "q")))],
            ["api.image a -> b", "proxy.image p -> q"],
            id="two containers",
        ),
        pytest.param(
            [patch(FieldChange(("spec", "template"), two("a", "p"), template("a")))],
            ['proxy {"image":"p","name":"proxy"} -> absent'],
            id="a container goes",
        ),
        pytest.param(
            [patch(FieldChange(RESTART_PATH, None, GENERATED_TIME))],
            ["kubectl.kubernetes.io/restartedAt absent -> time of sending"],
            id="a restart",
        ),
        pytest.param(
            [patch(FieldChange(("spec", "a"), "x" * 99, "y"))], [f"a {'x' * 57}... -> y"], id="long values are cut"
        ),
        pytest.param(
            [patch(FieldChange(("spec", "args"), ["a"], ["b", "c"]))], ['args ["a"] -> ["b","c"]'], id="plain lists"
        ),
        pytest.param([Evict(pod=RULE)] * 3, ["evict the oldest pod (3 times)"], id="evictions by one rule"),
        pytest.param(
            [Evict(pod=PodRule(namespace="shop", select="named", name="api-1", uid="u"))],
            ["evict pod shop/api-1"],
            id="named",
        ),
        pytest.param(
            [Delete(pod=PodRule(namespace="shop", select="unready", name="db-0", uid="u"))],
            ["delete pod shop/db-0, if it is still unready"],
            id="a broken pod",
        ),
    ],
)
def test_diff_lines(effects, lines):
    assert list(diff_lines(Change(effects=tuple(effects), summary=""), REF)) == lines
