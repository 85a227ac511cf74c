"""argocd_refresh and argocd_sync: one request for Argo CD, and everything that makes it pointless or dangerous."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import NotPossible
from remediator.actions.delivery.argo_sync import ArgoRefresh, ArgoRefreshParams, ArgoSync, ArgoSyncParams
from remediator.actions.diff import diff_lines
from remediator.actions.render import render
from tests.actions.delivery.make_delivery import RUNNING, application
from tests.actions.make import NOW, deployment, view


def sync(app: Any, **params: Any) -> Any:
    return ArgoSync().plan(ArgoSyncParams(**params), view(app))


def refresh(app: Any, **params: Any) -> Any:
    return ArgoRefresh().plan(ArgoRefreshParams(**params), view(app))


def asked(change: Any) -> Any:
    (effect,) = change.effects
    (field,) = effect.changes
    assert field.path == ("operation",)
    assert field.before is None
    assert not effect.undoable
    return field.after


@pytest.mark.parametrize(("hard", "value"), [(False, "normal"), (True, "hard")])
def test_a_refresh_is_an_annotation(hard, value):
    change = refresh(application(), hard=hard)
    assert diff_lines(change, view(application()).ref) == (f"argocd.argoproj.io/refresh absent -> {value}",)
    assert change.notes == ()


def test_a_refresh_may_deploy_where_auto_sync_is_on():
    assert "deployed" in refresh(application(automated={})).notes[0]


def test_a_refresh_that_nobody_took_is_waited_for():
    with pytest.raises(NotPossible, match="waits for a refresh already") as caught:
        refresh(application(annotations={"argocd.argoproj.io/refresh": "normal"}))
    assert caught.value.hold


@pytest.mark.parametrize(
    ("app", "params", "wanted"),
    [
        pytest.param(application(), {}, {"prune": False, "syncStrategy": {"hook": {}}}, id="plain"),
        pytest.param(
            application(),
            {"revision": "v1.2.3"},
            {"prune": False, "syncStrategy": {"hook": {}}, "revision": "v1.2.3"},
            id="revision",
        ),
        pytest.param(
            application(spec={"syncPolicy": {"syncOptions": ["ServerSideApply=true"]}}),
            {},
            {"prune": False, "syncStrategy": {"hook": {}}, "syncOptions": ["ServerSideApply=true"]},
            id="its own options go with it",
        ),
        pytest.param(application(), {"prune": True}, {"prune": True, "syncStrategy": {"hook": {}}}, id="prune"),
        pytest.param(
            application(automated={}),
            {"revision": "main"},
            {"prune": False, "syncStrategy": {"hook": {}}, "revision": "main"},
            id="what auto-sync follows anyway",
        ),
        pytest.param(
            application(automated={"enabled": False}, sync="Synced"),
            {"revision": "v1"},
            {"prune": False, "syncStrategy": {"hook": {}}, "revision": "v1"},
            id="another revision while auto-sync is off",
        ),
    ],
)
def test_one_operation(app, params, wanted):
    found = asked(sync(app, **params))
    assert found["sync"] == wanted
    assert found["initiatedBy"] == {"username": "remediator"}
    assert "retry" not in found


def test_retries_are_asked_for():
    assert asked(sync(application(), retries=2))["retry"] == {"limit": 2}


@pytest.mark.parametrize(
    ("app", "params", "reason", "hold"),
    [
        pytest.param(application(operation={"sync": {}}), {}, "has an operation", True, id="asked for"),
        pytest.param(application(operation={}), {}, "has an operation", True, id="asked for, empty"),
        pytest.param(application(status={"operationState": RUNNING}), {}, "is Running", True, id="under way"),
        pytest.param(
            application(status={"conditions": [{"type": "ComparisonError", "message": "no\nrepo" + "x" * 999}]}),
            {},
            "cannot compare .*: ComparisonError: no repox+\\.\\.\\.$",
            True,
            id="cannot compare",
        ),
        pytest.param(application(sync="Synced"), {}, "in sync already", False, id="nothing to do"),
        pytest.param(application(automated={}), {"revision": "v1"}, "auto-sync of", False, id="auto-sync goes back"),
        pytest.param(
            application(spec={"sources": [{}, {}]}), {"revision": "v1"}, "several sources", False, id="several sources"
        ),
        pytest.param(application(metadata={"deletionTimestamp": "x"}), {}, "being deleted", False, id="goes"),
        pytest.param(deployment(), {}, "is no Application", False, id="another kind"),
    ],
)
def test_refused(app, params, reason, hold):
    with pytest.raises(NotPossible, match=reason) as caught:
        sync(app, **params)
    assert caught.value.hold is hold


PRUNED = [
    {"kind": "Service", "namespace": "shop", "name": "old", "requiresPruning": True},
    {"kind": "Service", "namespace": "shop", "name": "api"},
]


def test_pruning_names_what_goes_and_asks():
    change = sync(application(status={"resources": PRUNED}), prune=True)
    assert change.needs_approval == "prune deletes what Git no longer has: Service shop/old"


def test_without_pruning_what_stays_is_named():
    change = sync(application(status={"resources": PRUNED}))
    assert change.needs_approval == ""
    assert "stays although Git no longer has it: Service shop/old" in change.notes
    assert any("sync window of project shop" in note for note in change.notes)


@pytest.mark.parametrize("option", ["Replace=true", "Force=true", "replace = True"])
def test_options_that_replace_objects_ask(option):
    change = sync(application(spec={"syncPolicy": {"syncOptions": ["PruneLast=true", option]}}))
    assert change.needs_approval == f"its option {option} deletes objects and makes them again"


@pytest.mark.parametrize("params", [{"revision": "a b"}, {"revision": "--x"}, {"retries": 6}, {"dry": 1}])
def test_bad_params(params):
    with pytest.raises(ValidationError):
        ArgoSyncParams(**params)


def test_on_the_wire_it_is_one_value():
    app = application()
    (effect,) = sync(app).effects
    request = render(effect, app, effect_id="e1", now=NOW)
    assert request.content_type == "application/json-patch+json"
    operations = {o["path"]: o for o in json.loads(request.body)}
    assert operations["/operation"]["op"] == "add"
    assert operations["/metadata/resourceVersion"]["value"] == "100"
