"""Built-in actions are always there; a package's action never takes another one's name."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from remediator.actions.base import Params
from remediator.actions.change import Change
from remediator.actions.registry import BUILT_IN, GROUP, load_actions
from remediator.errors import InvalidConfig
from remediator.objects import KINDS, WORKLOADS


class Ours:
    """An action as a team would ship it."""

    name = "drain_queue"
    kinds = ("Deployment",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = Params

    def resolve(self, params, view):
        return params

    def plan(self, params, view):
        return Change(effects=(), summary="nothing")


class Taken(Ours):
    name = "scale"


class NoAction:
    name = "half"


def broken() -> None: ...


AN_INSTANCE = Ours()


def entry(name: str, attribute: str) -> EntryPoint:
    return EntryPoint(name=name, value=f"{__name__}:{attribute}", group=GROUP)


def test_built_in_actions():
    actions = load_actions([])
    assert {"rollout_restart", "evict_pod", "scale", "rollback"} <= set(actions)
    assert len(actions) == len(BUILT_IN)
    for name, action in actions.items():
        assert action.name == name
        assert issubclass(action.params, Params)
        assert set(action.kinds) <= set(KINDS)
        for right in getattr(action, "rights", ()):
            assert right.kind in KINDS, (name, right)
        # A job of its own takes no copy of the workload that it is about.
        if action.disruptive and set(action.kinds) & set(WORKLOADS) and name != "run_job":
            assert "pdbs" in action.needs, name


def test_installed_packages_are_asked():
    assert set(load_actions()) >= {"rollout_restart", "evict_pod", "scale", "rollback"}


@pytest.mark.parametrize("attribute", ["Ours", "AN_INSTANCE"])
def test_a_package_adds_an_action(attribute):
    assert load_actions([entry("drain_queue", attribute)])["drain_queue"].name == "drain_queue"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        pytest.param([entry("scale", "Taken")], "'scale' of .* exists already", id="the name of a built-in"),
        pytest.param([entry("a", "Ours"), entry("b", "Ours")], "'drain_queue' of .* exists already", id="twice"),
        pytest.param([entry("x", "Missing")], "cannot be loaded", id="no such object"),
        pytest.param([EntryPoint("x", "no.such.module:X", GROUP)], "cannot be loaded", id="no such module"),
        pytest.param([entry("x", "NoAction")], "lacks kinds, needs, disruptive, params, resolve, plan", id="no action"),
    ],
)
def test_bad_packages_are_named(entries, message):
    with pytest.raises(InvalidConfig, match=message):
        load_actions(entries)
