"""A change of an action as a pull request, with the live change or without."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from remediator.actions.change import GENERATED_ID, Call, Change, Delete, FieldChange, NotPossible, Patch, PodRule
from remediator.actions.digest import described_as_data
from remediator.actions.view import Ask, Get, View
from remediator.gitops.owner import owner_name
from remediator.gitops.via import through_git, wants
from remediator.gitops.wording import Evidence, code, inert
from remediator.objects import Object, dig, ref_of, uid_of
from tests.actions.make import deployment, hpa, template, view
from tests.gitops.made import (
    ARGO,
    FILES,
    FLUX,
    MANIFEST,
    PROD,
    URL,
    application,
    files,
    kustomization,
    repository,
    seen,
)

EVIDENCE = Evidence(remediation="r-1", playbook="go-back", alert="Stuck", because="label deployment")
API = deployment(annotations=ARGO)
KUSTOMIZED = f"{PROD}/kustomization.yaml"
MANIFESTS = f"{PROD}/deployment.yaml"


def change(*changes: FieldChange, obj: Object = API, summary: str = "replicas 3 -> 5", **more: Any) -> Change:
    patch = Patch(ref=ref_of(obj), uid=uid_of(obj), changes=changes, replace=True)
    return Change(effects=(patch, *more.pop("effects", ())), summary=summary, **more)


SCALE = change(FieldChange(("spec", "replicas"), 3, 5), direction="up", takes=1, reduces_capacity=True)
BACK = change(FieldChange(("spec", "template"), template(), template("shop/api:0")), summary="image 1 -> 0")


def sent(call: Any) -> dict[str, Any]:
    assert isinstance(call, Call)
    return dict(call.request)


def through(way: Any, proposed: Change, seen_: View | None = None, **more: Any) -> Change:
    return through_git(proposed, seen_ or seen(application(), answer=files()), way, EVIDENCE, **more)


def test_a_pull_request_is_all_that_is_sent() -> None:
    found = through("pr", SCALE)
    (call,) = found.effects
    request = sent(call)
    assert isinstance(call, Call)
    assert (call.via, call.place, call.ref, call.uid) == ("forge", "deploy", ref_of(API), uid_of(API))
    assert call.inverse == {"do": "close", "branch": f"remediator/{GENERATED_ID}"}
    assert (request["do"], request["base"], request["head"]) == ("propose", "main", "a" * 40)
    assert list(request["files"]) == [MANIFESTS]
    assert request["files"][MANIFESTS]["before_sha"] == hashlib.sha256(MANIFEST.encode()).hexdigest()
    assert request["files"][MANIFESTS]["text"] == MANIFEST.replace("replicas: 3", "replicas: 5")
    assert found.summary == "replicas 3 -> 5, by a pull request"
    says = f"opens a pull request in deploy ({MANIFESTS}: replicas 3 -> 5); nothing changes until people merge it"
    assert found.notes[0] == says
    assert (found.takes, found.reduces_capacity, found.direction) == (0, False, "up")


def test_a_rollback_is_the_tag_that_the_pipeline_writes() -> None:
    found = through("pr", BACK)
    request = sent(found.effects[0])
    assert request["files"][KUSTOMIZED]["text"] == FILES[KUSTOMIZED].replace('"1"', '"0"')
    assert f"({KUSTOMIZED}: newTag 1 -> 0)" in found.notes[0]
    assert any("every container of this kustomization" in note for note in found.notes)


def test_held_changed_and_proposed_in_this_order() -> None:
    found = through("hold_and_pr", BACK)
    hold, live, call = found.effects
    assert isinstance(hold, Patch)
    assert (hold.ref.kind, live) == ("Application.argoproj.io", BACK.effects[0])
    assert isinstance(call, Call)
    assert found.summary == "image 1 -> 0, live and by a pull request"
    assert found.notes[0] == (
        "holds Argo CD application argocd/shop, changes it live, opens a pull request in deploy "
        f"({KUSTOMIZED}: newTag 1 -> 0); the hold ends when that is merged, or after 2 h"
    )


def test_of_flux() -> None:
    api = deployment(labels=FLUX)
    seen_ = seen(kustomization(), api, repo=repository(branch="main"), answer=files())
    found = through("hold_and_pr", SCALE, seen_)
    assert [e.ref.kind for e in found.effects if isinstance(e, Patch)] == [
        "Kustomization.kustomize.toolkit.fluxcd.io",
        "Deployment",
    ]


def test_a_hold_of_its_own_is_not_made_again() -> None:
    off = application(syncPolicy={})
    off["metadata"]["annotations"] = {"remediator.dev/auto-sync": "{}"}
    found = through("hold_and_pr", SCALE, seen(off, answer=files()), begun=True)
    assert [effect.kind for effect in found.effects] == ["patch", "call"]


def test_live_is_left_as_it_is() -> None:
    assert through("live", SCALE) is SCALE


HPA = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: api, namespace: shop}}
spec: {{minReplicas: {low}, maxReplicas: 6}}
"""


def test_an_autoscaler_that_git_owns() -> None:
    """`scale` changes its bound: that is where Git says it, whoever owns the Deployment."""
    scaler = hpa()
    scaler["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": "shop:autoscaling/HorizontalPodAutoscaler:shop/api"
    }
    low = dig(scaler, "spec", "minReplicas")
    found = {
        owner_name(scaler): application(),
        f"files of {URL} main {PROD}": files({f"{PROD}/hpa.yaml": HPA.format(low=low)}),
    }
    seen_ = view(deployment(), hpas=(scaler,), found=found)
    raised = change(FieldChange(("spec", "minReplicas"), low, 5), obj=scaler, summary="minReplicas")
    (call,) = through("pr", raised, seen_).effects
    assert "minReplicas: 5, maxReplicas: 6" in sent(call)["files"][f"{PROD}/hpa.yaml"]["text"]


# --- what is not possible ---------------------------------------------------------------------------------------------

POD = Delete(pod=PodRule(namespace="shop", select="named", name="api-0", uid="u"))
ARGS = FieldChange(("spec", "template", "spec", "containers", "[name=api]", "args"), ["a"], ["b"])
GONE = FieldChange(("spec", "replicas"), 3, None)
NEW = FieldChange(("spec", "minReadySeconds"), None, 5)
OTHER = FieldChange(("spec", "replicas"), 4, 5)


@pytest.mark.parametrize(
    ("way", "proposed", "seen_", "said"),
    [
        pytest.param("pr", SCALE, view(deployment()), "Git owns nothing of .*via: live", id="nobody owns it"),
        pytest.param("pr", SCALE, seen(None), "does not exist: correct gitops.argocd_namespace", id="owner is gone"),
        pytest.param("pr", change(ARGS), None, "no single value", id="a list"),
        pytest.param("pr", change(GONE), None, "taken out of Git: do that by hand", id="a removal"),
        pytest.param("pr", change(NEW), None, "is not in Git yet", id="an addition"),
        pytest.param("pr", change(OTHER), None, "says spec.replicas 3, not 4", id="Git says something else already"),
        pytest.param("pr", change(*SCALE.effects[0].changes, effects=(POD,)), None, "hold_and_pr", id="a pod"),  # type: ignore[union-attr]
        pytest.param(
            "pr", SCALE, seen(application(), answer=files({MANIFESTS: "a: b"})), "none of 1 files", id="nowhere"
        ),
        pytest.param(
            "hold_and_pr",
            SCALE,
            seen(application(), answer=files({**FILES, f"{PROD}/Chart.yaml": "name: x"})),
            "Helm chart.*gitops_pr",
            id="a chart in Git",
        ),
    ],
)
def test_what_cannot_be_said_in_git(way: Any, proposed: Change, seen_: View | None, said: str) -> None:
    with pytest.raises(NotPossible, match=said):
        through(way, proposed, seen_)


def test_folders_that_argo_cd_does_not_look_into() -> None:
    """Without a kustomization.yaml it takes the files of the folder itself, unless `recurse` says otherwise."""
    below = {f"{PROD}/old/deployment.yaml": MANIFEST.replace("replicas: 3", "replicas: 7"), MANIFESTS: MANIFEST}
    assert list(sent(through("pr", SCALE, seen(application(), answer=files(below))).effects[0])["files"]) == [MANIFESTS]
    deep = application(source={"repoURL": URL, "path": PROD, "targetRevision": "main", "directory": {"recurse": True}})
    with pytest.raises(NotPossible):
        through("pr", SCALE, seen(deep, answer=files(below)))


def test_what_git_leaves_open_is_only_changed_live() -> None:
    """An autoscaler's field, say: nobody takes it back, so it is no part of the pull request."""
    entry = {"manager": "kustomize-controller", "operation": "Apply"}
    image: dict[str, Any] = {"f:template": {"f:spec": {"f:containers": {'k:{"name":"api"}': {"f:image": {}}}}}}
    api = deployment(annotations=ARGO, metadata={"managedFields": [{**entry, "fieldsV1": {"f:spec": image}}]})
    both = change(*SCALE.effects[0].changes, *BACK.effects[0].changes, obj=api)  # type: ignore[union-attr]
    seen_ = seen(application(), api, answer=files())
    found = through("hold_and_pr", both, seen_)
    assert list(sent(found.effects[-1])["files"]) == [KUSTOMIZED]
    with pytest.raises(NotPossible, match=r"leaves spec\.replicas of Deployment shop/api open"):
        through("pr", both, seen_)


# --- what has to be known ---------------------------------------------------------------------------------------------


def test_it_is_asked_in_rounds() -> None:
    obj = deployment(labels=FLUX)
    first = wants(SCALE, view(obj), "pr")
    assert [type(w) for w in first.values()] == [Get]
    second = wants(SCALE, seen(kustomization(), obj), "pr")
    assert [w.ref.kind for w in second.values() if isinstance(w, Get)][1:] == ["GitRepository.source.toolkit.fluxcd.io"]
    third = wants(SCALE, seen(kustomization(), obj, repo=repository(branch="main")), "pr")
    (ask,) = [w for w in third.values() if isinstance(w, Ask)]
    assert (ask.via, ask.place) == ("forge", URL)
    assert ask.request == {"about": "files", "path": PROD, "branch": "main"}


def test_a_live_change_asks_for_the_owner_only() -> None:
    assert [type(w) for w in wants(SCALE, seen(application()), "live").values()] == [Get]
    restart = change(
        FieldChange(("spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"), None, "x")
    )
    assert wants(restart, view(API), "live") == {}, "a restart is in nobody's Git"


# --- what people agree to ---------------------------------------------------------------------------------------------


def test_a_commit_elsewhere_takes_no_approval_away() -> None:
    at = [through("pr", SCALE, seen(application(), answer=files(head=head * 40))).effects[0] for head in "ab"]
    assert described_as_data(at[0]) == described_as_data(at[1])
    more = files({**FILES, MANIFESTS: MANIFEST + "# more\n"})
    assert described_as_data(at[0]) != described_as_data(
        through("pr", SCALE, seen(application(), answer=more)).effects[0]
    )


HOSTILE = "@acme/admins fixes #1 `x` [a](http://evil) \n/close\nhttps://git.example/a/b/issues/1 GH-7"


def test_names_of_others_do_nothing_in_a_pull_request() -> None:
    evidence = Evidence(remediation="r-1", playbook="x", alert=HOSTILE, because=HOSTILE)
    proposed = change(FieldChange(("spec", "replicas"), 3, 5), summary=HOSTILE, notes=(HOSTILE,))
    request = sent(through_git(proposed, seen(application(), answer=files()), "pr", evidence).effects[0])
    for line in request["body"].splitlines():
        assert not line.startswith("/")
        for index, part in enumerate(line.split("`")):
            assert index % 2 or not any(mark in part for mark in "@#[")
            assert index % 2 or "http" not in part
    assert len(request["title"]) <= 120
    assert not any(mark in request["title"] for mark in ("@", "#", "`", "://", "GH-", "\n"))
    assert len(code("x" * 999)) < 210
    assert inert("") == ""
