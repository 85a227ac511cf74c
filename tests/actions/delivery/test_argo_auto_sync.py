"""argocd_suspend and argocd_resume: each other's inverse, and people's switches stay people's."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from remediator.actions.change import NotPossible
from remediator.actions.delivery.argo_auto_sync import ArgoResume, ArgoResumeParams, ArgoSuspend, ArgoSuspendParams
from tests.actions.delivery.make_delivery import application
from tests.actions.delivery.test_argo_rollback import SET, TRACKED
from tests.actions.make import view

RECORD = "remediator.dev/auto-sync"


def suspend(app: Any) -> Any:
    return ArgoSuspend().plan(ArgoSuspendParams(), view(app))


def resume(app: Any, **params: Any) -> Any:
    return ArgoResume().plan(ArgoResumeParams(**params), view(app))


def changes(change: Any) -> Any:
    (effect,) = change.effects
    assert effect.replace
    assert effect.undoable
    return {c.path[-1]: (c.before, c.after) for c in effect.changes}


@pytest.mark.parametrize("automated", [{}, {"prune": True, "selfHeal": True}, {"enabled": True}])
def test_suspended_and_resumed_is_as_before(automated):
    app = application(automated=automated)
    off = changes(suspend(app))
    assert off["automated"] == (automated, None)
    later = copy.deepcopy(app)
    del later["spec"]["syncPolicy"]["automated"]
    later["metadata"]["annotations"] = {RECORD: off[RECORD][1]}
    change = resume(later)
    assert changes(change) == {"automated": (None, automated), RECORD: (off[RECORD][1], None)}
    assert change.needs_approval == ""


@pytest.mark.parametrize(
    ("app", "params", "after"),
    [
        pytest.param(application(), {}, {"prune": False, "selfHeal": False}, id="nothing on record"),
        pytest.param(application(), {"self_heal": True}, {"prune": False, "selfHeal": True}, id="as asked"),
        pytest.param(
            application(automated={"enabled": False, "prune": True}), {}, {"enabled": True, "prune": True}, id="switch"
        ),
    ],
)
def test_what_others_switched_off_asks(app, params, after):
    change = resume(app, **params)
    assert changes(change)["automated"][1] == after
    assert change.needs_approval == "somebody else has switched it off"
    assert "deployed at once" in change.notes[0]


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        pytest.param(application(), "is off already", id="off"),
        pytest.param(application(automated={"enabled": False}), "is off already", id="switched off"),
        pytest.param(application(automated={}, annotations=TRACKED), "application apps writes", id="app of apps"),
        pytest.param(application(automated={}, owners=SET), "ApplicationSet all writes", id="ApplicationSet"),
    ],
)
def test_suspend_refused(app, reason):
    with pytest.raises(NotPossible, match=reason):
        suspend(app)


@pytest.mark.parametrize(
    "record", ["", "{", "[]", "7", '{"prune":"yes"}', '{"prune":true,"x":true}', '{"selfHeal":{"a":1}}']
)
def test_a_record_that_somebody_spoilt_is_not_used(record):
    with pytest.raises(NotPossible, match="cannot be used"):
        resume(application(annotations={RECORD: record}))


def test_resume_of_what_is_on():
    with pytest.raises(NotPossible, match="is on already"):
        resume(application(automated={}))


def test_a_parent_is_named():
    assert "Argo CD application apps" in resume(application(annotations=TRACKED)).notes[1]
