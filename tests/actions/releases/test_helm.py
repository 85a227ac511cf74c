"""helm: an exact version or revision, of a release whose state was looked at."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Call, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.releases.helm import HelmRollback, HelmRollbackParams, HelmUpgrade, HelmUpgradeParams
from remediator.actions.view import Ask
from remediator.objects import ObjectRef, ref_of
from tests.actions.make import deployment, view
from tests.actions.releases.make_releases import NAMESPACE, PART, difference, release

UPGRADE = {"chart": "cmp", "chart_sha": "c1", "values_sha": "v1"}
TO = {"revision": 6, "status": "superseded", "chart": "cmp-1.1.0", "description": "Upgrade complete"}


def upgrade(found: Any = None, target: Any = PART, **params: Any) -> Any:
    here = view(target, found={"release": release(**UPGRADE) if found is None else found})
    action = HelmUpgrade()
    given = HelmUpgradeParams(**{"release": "cmp", "version": "1.3.0", "values": ("prod",), **params})
    return action.plan(action.resolve(given, here), here)


def rollback(found: Any = None, target: Any = PART, **params: Any) -> Any:
    here = view(target, found={"release": release(to=TO) if found is None else found})
    action = HelmRollback()
    given = HelmRollbackParams(**{"release": "cmp", "revision": "previous", **params})
    return action.plan(action.resolve(given, here), here)


def test_an_upgrade_names_all_that_it_rests_on():
    change = upgrade()
    assert change.effects == (
        Call(
            ref=ref_of(PART),
            uid="uid-deployment-api",
            via="helm",
            place="cmp",
            request={
                "do": "upgrade",
                "from": 7,
                "chart": "cmp",
                "version": "1.3.0",
                "values": ["prod"],
                "chart_sha": "c1",
                "values_sha": "v1",
            },
            says="helm upgrade of release cmp in shop: cmp-1.2.0 -> cmp 1.3.0 with values prod (revision 7 -> 8)",
            inverse={"do": "rollback", "from": 8, "revision": 7},
        ),
    )
    assert change.touches == (ObjectRef("Namespace", "", "shop"), ObjectRef("Deployment", "shop", "api"))
    assert change.needs_approval == "what its hooks do to data cannot be taken back"
    assert diff_lines(change) == (change.effects[0].says,)
    assert change.notes[0] == "~ Deployment api: spec.replicas 2 -> 3"


def test_what_it_asks_before():
    here = view(PART)
    asked = HelmUpgrade().wants(HelmUpgradeParams(release="cmp", version="v1.3.0"), here)
    request: Any = {"about": "upgrade", "chart": "", "version": "v1.3.0", "values": []}
    assert asked == {"release": Ask("helm", "cmp", request)}
    request = {"about": "rollback", "revision": "previous"}
    rolled = HelmRollback().wants(HelmRollbackParams(release="cmp", revision="previous"), here)
    assert rolled == {"release": Ask("helm", "cmp", request)}


def test_a_rollback_goes_to_a_number_and_forward_again():
    change = rollback()
    (call,) = change.effects
    assert call.request == {"do": "rollback", "from": 7, "revision": 6}
    assert call.inverse == {"do": "rollback", "from": 8, "revision": 7}
    assert change.summary == "helm cmp cmp-1.2.0 -> cmp-1.1.0, revision 6"
    assert change.needs_approval == ""


def test_hooks_and_what_holds_data_are_said():
    found = release(**UPGRADE, hooks=["Job migrate (pre-upgrade)"], diff=difference(data=["PersistentVolumeClaim q"]))
    change = upgrade(found)
    assert "hooks run: Job migrate (pre-upgrade)" in change.notes
    assert change.needs_approval.endswith("it removes PersistentVolumeClaim q")
    assert rollback({**found, "to": TO}).needs_approval == "it removes PersistentVolumeClaim q"


def test_long_differences_are_cut():
    change = upgrade(release(**UPGRADE, diff=difference(*[f"~ {n}" for n in range(40)], changed=90)))
    assert change.notes[25] == "and 65 more"


def test_from_a_failed_revision_there_is_no_way_back():
    assert upgrade(release(**UPGRADE, status="failed")).effects[0].inverse is None
    assert rollback(release(to=TO, status="failed")).effects[0].inverse is None


def test_the_namespace_is_a_target_too():
    assert upgrade(target=NAMESPACE).effects[0].ref == ObjectRef("Namespace", "", "shop")


FLUX = deployment(annotations={"meta.helm.sh/release-name": "cmp"}, labels={"helm.toolkit.fluxcd.io/name": "cmp"})
ELSEWHERE = {**NAMESPACE, "metadata": {"name": "other", "uid": "u"}}
OTHER = deployment(annotations={"meta.helm.sh/release-name": "other"})


@pytest.mark.parametrize(
    ("found", "target", "params", "reason"),
    [
        pytest.param(release(status="pending-upgrade"), PART, {}, "another helm is at work", id="somebody is at it"),
        pytest.param(release(status="uninstalled"), PART, {}, "install it first", id="gone"),
        pytest.param(release(allowed=False, why="no chart 'x'"), PART, {}, "no chart 'x'", id="not listed"),
        pytest.param(release(**UPGRADE), OTHER, {}, "no part of release cmp", id="a part of another release"),
        pytest.param(release(**UPGRADE), deployment(), {}, "no part of release cmp", id="no part of any"),
        pytest.param(release(**UPGRADE), ELSEWHERE, {}, "is not in Namespace other", id="another namespace"),
        pytest.param(release(**UPGRADE), FLUX, {}, "Flux HelmRelease cmp owns", id="Flux owns it"),
        pytest.param(release(**UPGRADE, diff=difference(added=9)), PART, {"max_objects": 9}, "10 objects", id="large"),
        pytest.param(
            release(**UPGRADE, diff=difference(changed=0)), PART, {"version": "1.2.0"}, "already", id="nothing changes"
        ),
    ],
)
def test_no_upgrade(found, target, params, reason):
    with pytest.raises(NotPossible, match=reason) as refused:
        upgrade(found, target, **params)
    assert refused.value.hold == (found["status"] == "pending-upgrade")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(release(to={**TO, "status": "failed"}), "is failed: go to a good one", id="a failed one"),
        pytest.param(release(to={**TO, "revision": 7}), "is at revision 7 already", id="the present one"),
        pytest.param(release(to=TO, description="Rollback to 6"), "was rolled back to revision 6", id="once more"),
        pytest.param(release(allowed=False, why="cmp has no revision 3"), "has no revision 3", id="not there"),
        pytest.param(release(to=TO, status="pending-rollback"), "another helm is at work", id="somebody is at it"),
    ],
)
def test_no_rollback(found, reason):
    with pytest.raises(NotPossible, match=reason):
        rollback(found, revision=6)


def test_the_same_contents_under_a_new_version_are_an_upgrade():
    assert upgrade(release(**UPGRADE, diff=difference(changed=0))).effects


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"version": "1.3"}, id="a range"),
        pytest.param({"version": ">=1.0.0"}, id="a constraint"),
        pytest.param({"version": "1.3.0 --set x=y"}, id="more words"),
        pytest.param({"release": "--kube-token"}, id="an option"),
        pytest.param({"chart": "../evil"}, id="a path"),
        pytest.param({"values": ["/etc/passwd"]}, id="a file"),
        pytest.param({"set": {"a": 1}}, id="values in the playbook"),
        pytest.param({"max_objects": 0}, id="no objects"),
    ],
)
def test_bad_parameters(params):
    with pytest.raises(ValidationError):
        HelmUpgradeParams(**{"release": "cmp", "version": "1.3.0", **params})
    with pytest.raises(ValidationError):
        HelmRollbackParams(release="cmp", revision=0)
