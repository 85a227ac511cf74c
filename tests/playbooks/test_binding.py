"""From templates to names and arguments: everything that is wrong is a TemplateError, which denies."""

from __future__ import annotations

import pytest

from remediator.objects import ObjectRef
from remediator.playbooks.binding import BoundSelector, BoundTarget, bind_args, bind_target, bind_targets
from remediator.playbooks.expressions import Environment, Scope
from remediator.playbooks.model import TargetSpec, TargetsSpec
from remediator.playbooks.templates import TemplateError
from tests.playbooks.registry import NOW, RollbackParams, ScaleParams, make_alert


def scope_with(**labels: str) -> Scope:
    return Environment(make_alert(**labels), NOW).scope(params={"n": 3}, target={"desired": 4})


def test_a_target_by_labels():
    spec = TargetSpec(
        kind="Deployment", namespace="${labels.namespace}", name="api-${labels.shard}", cluster="${labels.c}"
    )
    bound = bind_target(spec, scope_with(namespace="shop", shard="b", c="eu-1"))
    assert bound == BoundTarget(ObjectRef("Deployment", "shop", "api-b"), "eu-1")


def test_a_target_without_namespace_or_cluster():
    assert bind_target(
        TargetSpec(kind="Node", name="${labels.node}"), scope_with(node="w1.example.com")
    ) == BoundTarget(ObjectRef("Node", "", "w1.example.com"), "")


@pytest.mark.parametrize(
    "hostile",
    ["", "..", "a/b", "a b", "Api", "-a", "a-", "a_b", "a" * 254, "a\n", "a?x=1", "a%2fb", "ä", "api\x00", "*"],
)
def test_hostile_names_deny(hostile):
    for spec in (
        TargetSpec(kind="Deployment", namespace="shop", name="${labels.v}"),
        TargetSpec(kind="Deployment", namespace="${labels.v}", name="api"),
        TargetSpec(kind="${labels.v}", namespace="shop", name="api"),
    ):
        with pytest.raises(TemplateError, match=r"^target\."):
            bind_target(spec, scope_with(v=hostile))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (TargetSpec(kind="Deployment", namespace="shop", name="${labels.nope}"), 'no label "nope"'),
        (TargetSpec(kind="Deployment", namespace="shop", name="${params.n}"), "not text"),
        (TargetSpec(kind="Deployment", name="api"), "target.namespace"),
        (TargetSpec(kind="Node", namespace="shop", name="w1"), "has no namespace"),
        (TargetSpec(kind="Gateway", namespace="shop", name="w1"), "unknown kind"),
        (TargetSpec(kind="Deployment", namespace="a.b", name="api"), "target.namespace"),
        (TargetSpec(kind="Deployment", namespace="shop", name="api", cluster="a b"), "target.cluster"),
    ],
)
def test_targets_that_deny(spec, message):
    with pytest.raises(TemplateError, match=message):
        bind_target(spec, scope_with())


class TestSelectors:
    def bind(self, selector: str, **labels: str) -> BoundSelector:
        spec = TargetsSpec(kind="Deployment", namespace="shop", selector=selector, max=2)
        return bind_targets(spec, scope_with(**labels))

    def test_filled_in(self):
        bound = self.bind("app=${labels.app},tier in (web,api)", app="shop")
        assert bound == BoundSelector("Deployment", "shop", "app=shop,tier in (web,api)", 2)

    @pytest.mark.parametrize("hostile", ["", "a,b=c", "a)", "a b", "x=y", "!a", "a\n", "é", "x" * 64])
    def test_a_value_is_one_label_value(self, hostile):
        """Nothing in it can become another requirement, and nothing empty is compared with."""
        with pytest.raises(TemplateError, match=r"^targets\.selector"):
            self.bind("app=${labels.app}", app=hostile)

    @pytest.mark.parametrize("selector", [" ", "app=", "app!=x", "${labels.app}=x,", "app=${labels.nope}"])
    def test_what_selects_everything_or_nothing_denies(self, selector):
        with pytest.raises(TemplateError, match=r"^targets\.selector"):
            self.bind(selector, app="a")


class TestArguments:
    def test_types_are_kept(self):
        args = {"to": "${target.desired + 1}", "min": 1, "max": "${params.n * 4}"}
        assert bind_args(ScaleParams, args, scope_with(), ("steps", 0, "with")) == ScaleParams(to=5, min=1, max=12)

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ({"to": "${labels.nope}", "min": 1, "max": 3}, r"steps\[0\]\.with\.to: the alert has no label"),
            ({"to": "${labels.n}", "min": 1, "max": 3}, r"steps\[0\]\.with\.to: expected a whole number, got 'many'"),
            ({"to": 1, "min": 1, "max": "${params.n * 100}"}, r"steps\[0\]\.with\.max: must be at most 100, got 300"),
            ({"min": 1, "max": 3}, r"steps\[0\]\.with: give exactly one"),
            ({"to": 1, "min": 1}, r"steps\[0\]\.with\.max: required"),
        ],
    )
    def test_errors(self, args, message):
        with pytest.raises(TemplateError, match=message):
            bind_args(ScaleParams, args, scope_with(n="many"), ("steps", 0, "with"))

    def test_braces_in_values_do_no_harm(self):
        with pytest.raises(TemplateError, match=r"cannot be '\{0\}'"):
            bind_args(RollbackParams, {"to": "${labels.v}"}, scope_with(v="{0}"), ("with",))
