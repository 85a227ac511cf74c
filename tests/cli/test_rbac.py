"""`remediator rbac`: what these playbooks need, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from remediator.cli.main import app
from remediator.cli.rbac import split
from remediator.doctor import Right


def printed(*arguments: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, ["rbac", *arguments])
    assert result.exit_code == 0, result.output
    return [document for document in yaml.safe_load_all(result.output) if document]


@pytest.fixture
def renewing(tmp_path: Path) -> Path:
    path = tmp_path / "renew.yaml"
    path.write_text(
        """
name: renew
match: {alerts: ['alertname="Expires"']}
target: {kind: Certificate.cert-manager.io, namespace: shop, name: tls}
steps: [{action: renew_certificate}]
"""
    )
    return path


def test_reads_go_into_a_cluster_role_and_writes_into_a_role_of_each_namespace(renewing: Path) -> None:
    wide, shop, blog = printed(str(renewing), "-n", "shop", "-n", "blog")
    assert (wide["kind"], shop["kind"]) == ("ClusterRole", "Role")
    assert [role["metadata"]["namespace"] for role in (shop, blog)] == ["shop", "blog"]
    assert all(set(rule["verbs"]) <= {"get", "list", "watch"} for rule in wide["rules"])
    granted = {(verb, name) for rule in shop["rules"] for verb in rule["verbs"] for name in rule["resources"]}
    assert granted == {("patch", "certificates"), ("patch", "certificates/status")}


def test_what_has_no_namespace_is_granted_in_the_whole_cluster() -> None:
    wide, narrow = split([Right(verb="patch", kind="Node"), Right(verb="create", kind="Pod", subresource="eviction")])
    assert wide == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]}]
    assert narrow == [{"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]}]


def test_the_default_playbooks_need_what_the_chart_grants() -> None:
    (role,) = [r for r in printed("playbooks") if r["kind"] == "Role"]
    granted = yaml.safe_load(Path("helm/remediator/files/write-rules.yaml").read_text())
    have = {(g, n, v) for rule in granted for g in rule["apiGroups"] for n in rule["resources"] for v in rule["verbs"]}
    need = {
        (g, n, v) for rule in role["rules"] for g in rule["apiGroups"] for n in rule["resources"] for v in rule["verbs"]
    }
    assert need <= have


@pytest.mark.parametrize(
    ("via", "writes"),
    [
        ("live", {("patch", "deployments")}),
        ("pr", set()),
        ("hold_and_pr", {("patch", "deployments"), ("patch", "applications"), ("patch", "kustomizations")}),
    ],
)
def test_a_pull_request_alone_writes_nothing_in_the_cluster(tmp_path: Path, via: str, writes: set[Any]) -> None:
    path = tmp_path / "scale.yaml"
    path.write_text(
        f"""
name: scale
match: {{alerts: ['alertname="Busy"']}}
target: {{kind: Deployment, namespace: shop, name: api}}
steps: [{{action: scale, with: {{to: 5, min: 1, max: 9}}, via: {via}}}]
"""
    )
    rules = [rule for document in printed(str(path), "-n", "shop") for rule in document["rules"]]
    granted = {(verb, name) for rule in rules for verb in rule["verbs"] for name in rule["resources"]}
    found = {(verb, name) for verb, name in granted if verb == "patch" and name != "horizontalpodautoscalers"}
    assert found == writes
    assert (("get", "applications") in granted) is (via != "live")


def test_nothing_to_load_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("name: x")
    result = CliRunner().invoke(app, ["rbac", str(tmp_path)])
    assert result.exit_code == 2
