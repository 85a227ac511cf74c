"""argocd_rollback: what stood before, with auto-sync off first, and never against a parent."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.change import NotPossible
from remediator.actions.delivery.argo_rollback import ArgoRollback, ArgoRollbackParams
from remediator.actions.diff import diff_lines
from tests.actions.delivery.make_delivery import RUNNING, application, entry
from tests.actions.make import view

HISTORY = [
    entry(3, "aaa", "2025-05-01T10:00:00Z"),
    entry(4, "bbb", "2025-05-20T10:00:00Z"),
    entry(5, "ccc", "2025-06-01T11:00:00Z"),
    entry(6, "ddd", "2025-06-01T11:20:00Z"),
]
TRACKED = {"argocd.argoproj.io/tracking-id": "apps:argoproj.io/Application:shop/shop"}
COPIED = {"argocd.argoproj.io/tracking-id": "apps:argoproj.io/Application:shop/other"}
SET = [{"kind": "ApplicationSet", "name": "all", "uid": "u", "controller": True}]


def app(history: Any = HISTORY, **parts: Any) -> Any:
    status = {"history": history, **parts.pop("status", {})}
    return application(status=status, **parts)


def plan(obj: Any, **params: Any) -> Any:
    action, seen = ArgoRollback(), view(obj)
    return action.plan(action.resolve(ArgoRollbackParams(**params), seen), seen)


@pytest.mark.parametrize(
    ("history", "params", "number", "revision"),
    [
        pytest.param(HISTORY, {"id": 3}, 3, "aaa", id="named"),
        pytest.param(HISTORY, {}, 4, "bbb", id="the newest that lasted"),
        pytest.param(HISTORY, {"lasted_s": 60}, 5, "ccc", id="less is enough"),
        pytest.param(
            [*HISTORY, entry(7, "bbb", "2025-06-01T11:40:00Z")], {"lasted_s": 60}, 6, "ddd", id="other than now"
        ),
        pytest.param([*HISTORY, entry(7, "bbb", "2025-06-01T11:40:00Z")], {}, 3, "aaa", id="not the same once more"),
        pytest.param(list(reversed(HISTORY)), {}, 4, "bbb", id="in any order"),
    ],
)
def test_back_to(history, params, number, revision):
    change = plan(app(history), **params)
    (effect,) = change.effects
    sync = effect.changes[0].after["sync"]
    assert (sync["revision"], sync["prune"], sync["syncStrategy"]) == (revision, False, {"apply": {}})
    assert sync["source"]["repoURL"] == "https://git.example/shop"
    assert f"back to {revision} (history id {number}," in change.summary
    assert "not whether that was healthy" in change.needs_approval


def test_the_id_is_settled_once():
    """Our own rollback becomes the newest entry: asked again, the answer would be another one."""
    resolved = ArgoRollback().resolve(ArgoRollbackParams(), view(app()))
    later = app([*HISTORY, entry(7, "bbb", "2025-06-01T11:59:00Z")])
    change: Any = ArgoRollback().plan(resolved, view(later))
    assert resolved.id == 4
    assert change.effects[0].changes[0].after["sync"]["revision"] == "bbb"


def test_several_sources():
    several = {"sources": [{"chart": "a"}, {"chart": "b"}], "revisions": ["1.0", "2.0"]}
    history = [{"id": 1, "deployedAt": "2025-05-01T10:00:00Z", **several}, HISTORY[3]]
    change = plan(app(history), id=1)
    sync = change.effects[0].changes[0].after["sync"]
    assert {key: sync[key] for key in several} == several
    assert "revision" not in sync
    assert "1.0, 2.0" in change.summary


def test_auto_sync_goes_off_first_and_undo_puts_it_back():
    obj = app(automated={"selfHeal": True})
    change = plan(obj, id=3, disable_auto_sync=True)
    off, operation = change.effects
    assert [c.path for c in off.changes] == [
        ("spec", "syncPolicy", "automated"),
        ("metadata", "annotations", "remediator.dev/auto-sync"),
    ]
    assert off.undoable
    assert not operation.undoable
    assert diff_lines(change, view(obj).ref)[:2] == (
        'syncPolicy.automated {"selfHeal":true} -> absent',
        'remediator.dev/auto-sync absent -> {"selfHeal":true}',
    )
    assert "auto-sync stays off until argocd_resume" in change.notes
    assert change.summary.startswith("auto-sync off, then back to aaa")


def test_auto_sync_that_is_off_stays_as_it_is():
    change = plan(app(automated={"enabled": False}), id=3, disable_auto_sync=True)
    assert len(change.effects) == 1


@pytest.mark.parametrize(
    ("obj", "params", "reason", "hold", "guardrail"),
    [
        pytest.param(app(automated={}), {"id": 3}, "disable_auto_sync: true", False, "ownership", id="auto-sync"),
        pytest.param(
            app(automated={}, annotations=TRACKED),
            {"id": 3, "disable_auto_sync": True},
            "Argo CD application apps writes the spec",
            False,
            "ownership",
            id="app of apps",
        ),
        pytest.param(
            app(automated={}, owners=SET),
            {"id": 3, "disable_auto_sync": True},
            "ApplicationSet all writes the spec",
            False,
            "ownership",
            id="ApplicationSet",
        ),
        pytest.param(
            app(automated={}, labels={"kustomize.toolkit.fluxcd.io/name": "infra"}),
            {"id": 3, "disable_auto_sync": True},
            "Flux Kustomization infra writes",
            False,
            "ownership",
            id="Flux",
        ),
        pytest.param(app(), {"id": 9}, r"no history id 9 \(there are: 6, 5, 4, 3\)", False, "action", id="no such id"),
        pytest.param(app(sync="Synced"), {"id": 6}, "is what is deployed now", False, "action", id="the present one"),
        pytest.param(app([]), {}, "no earlier deployment", False, "action", id="no history"),
        pytest.param(app(HISTORY[3:]), {}, "no earlier deployment", False, "action", id="only one"),
        pytest.param(
            app([{"id": 1, "deployedAt": "?", "revision": "x"}, HISTORY[3]]),
            {},
            "no earlier",
            False,
            "action",
            id="no time",
        ),
        pytest.param(app([{"id": 1}, HISTORY[3]]), {"id": 1}, "does not say", False, "action", id="an empty entry"),
        pytest.param(app(status={"operationState": RUNNING}), {"id": 3}, "is Running", True, "action", id="busy"),
    ],
)
def test_refused(obj, params, reason, hold, guardrail):
    with pytest.raises(NotPossible, match=reason) as caught:
        plan(obj, **params)
    assert (caught.value.hold, caught.value.guardrail) == (hold, guardrail)


def test_a_copied_tracking_id_is_no_parent():
    assert len(plan(app(automated={}, annotations=COPIED), id=3, disable_auto_sync=True).effects) == 2
