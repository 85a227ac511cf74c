"""The list of other projects' alerts: each is answered or has a reason, no name is misspelt, the page is fresh."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from remediator.playbooks.model import LoadedPlaybook
from tests.playbooks.registry import load, make, text_of
from tests.support.answering import (
    ROOT,
    Kind,
    Listed,
    Lists,
    answers,
    kind_of,
    kinds_of,
    known_names,
    lists,
    mistakes,
    own_rules,
    shipped,
    unknown_names,
)

SCRIPT = ROOT / "scripts" / "render-mixin-alerts"
GOLDEN: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests" / "alerts" / "golden_alerts.yaml").read_text())["alerts"]


def script() -> ModuleType:
    module = ModuleType("render_mixin_alerts")
    module.__file__ = str(SCRIPT)
    exec(compile(SCRIPT.read_text(encoding="utf-8"), str(SCRIPT), "exec"), module.__dict__)
    return module


def taking(name: str, severity: str = "warning", *labels: str) -> list[str]:
    return [answer.name for answer in answers([Kind(name, {"severity": severity}, labels)])]


def changed(**alerts: Mapping[str, str]) -> Lists:
    """The lists with a project of its own instead of the others."""
    source = {"project": "a/b", "read": "1", "alerts": alerts}
    return Lists.model_validate({**lists().model_dump(), "sources": {"theirs": source}})


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_stale_page_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = script()
    monkeypatch.setattr(module, "PAGE", tmp_path / "page.md")
    assert module.main([]) == 0
    assert module.main(["--check"]) == 0
    text = module.PAGE.read_text()
    module.PAGE.write_text(text.replace("KubePodCrashLooping", "KubePodCrashLoping"))
    assert module.main(["--check"]) == 1
    assert "run scripts/render-mixin-alerts" in capsys.readouterr().err


def test_every_alert_has_its_playbook_or_a_reason() -> None:
    assert list(mistakes(lists())) == []


@pytest.mark.parametrize(
    ("name", "listed", "said"),
    [
        ("Nobodys", {"severity": "warning"}, "theirs: Nobodys: no playbook takes it"),
        ("Nobodys", {"severity": "warning", "none": "because"}, "theirs: Nobodys: 'because' is none of the reasons"),
        ("Nobodys", {"severity": "warning", "none": "configuration"}, None),
        ("KubePodNotReady", {"severity": "warning", "labels": "namespace pod"}, None),
        ("KubePodNotReady", {"severity": "warning"}, "theirs: KubePodNotReady: no playbook takes it"),
        (
            "KubePodNotReady",
            {"severity": "warning", "labels": "namespace pod", "none": "configuration"},
            "theirs: KubePodNotReady: look-at-pod-that-does-not-start takes it, so it needs no reason",
        ),
    ],
)
def test_what_is_found_wrong(name: str, listed: Mapping[str, str], said: str | None) -> None:
    found = [line.partition(";")[0] for line in mistakes(changed(**{name: listed}))]
    assert found == ([] if said is None else [said])


def test_an_own_rule_needs_its_playbook_or_a_reason_too() -> None:
    own = {**lists().own, "Gone warning": "configuration"}
    del own["OverProvisioned info"]
    found = list(mistakes(lists().model_copy(update={"own": own, "sources": {}})))
    assert [line.partition(";")[0] for line in found] == [
        "own: OverProvisioned info: no playbook takes it",
        "own: Gone warning is no rule of config/",
    ]


def test_no_playbook_waits_for_an_alert_that_nobody_sends() -> None:
    assert unknown_names(shipped()) == []


def test_a_misspelt_name_is_found() -> None:
    def named(text: str) -> list[tuple[str, LoadedPlaybook]]:
        return [("a.yaml", load(text))]

    blocked = "guardrails: {blockers: [{name: b, alerts: 'alertname=~\"KubeNodeNotReady|KubeNodeUnready\"'}]}\n"
    assert unknown_names([("a.yaml", make(alertname="KubePodCrashLooping"))]) == []
    assert unknown_names([("a.yaml", make(alertname="KubePodCrashLoping"))]) == ["a.yaml: KubePodCrashLoping"]
    assert unknown_names(named(text_of(alertname="PostgresDown", more=blocked))) == ["a.yaml: KubeNodeUnready"]
    every = text_of().replace('alertname="Broken"', 'alertname=~"{}.*"')
    assert unknown_names(named(every.replace("{}", "KubeNode"))) == []
    assert unknown_names(named(every.replace("{}", "KubeKnot"))) == ["a.yaml: KubeKnot.*"]


def test_the_labels_decide() -> None:
    """A playbook takes an alert of that name only with the labels and severities that it asks for and aims with."""
    assert taking("CertManagerCertNotReady", "critical", "name", "namespace")
    assert not taking("CertManagerCertNotReady", "critical", "namespace")
    assert taking("ArgoCdAppUnhealthy", "warning", "name") == ["rollback-argo-application"]
    assert taking("CNPGClusterHighConnectionsWarning", "warning", "namespace") == ["add-database-replica"]
    assert not taking("CNPGClusterHighConnectionsWarning", "critical", "namespace")
    assert not taking("KubeNodeNotReady", "warning"), "nothing says which node"
    (one,) = [
        answer
        for rule in own_rules()
        if str(rule) == "HighLatencyP95 warning"
        for answer in answers([kind_of(rule)])
        if answer.only
    ]
    assert (one.name, one.only) == ("restore-registry-copies", ("namespace cmp", "service agent-registry"))


def test_the_list_says_what_real_alerts_carry() -> None:
    """Where both know an alert, the labels of the list are among those that really arrive."""
    compared = 0
    for case in GOLDEN:
        name, labels = case["labels"]["alertname"], case["labels"].keys()
        for source in ("kubernetes-mixin", "node-mixin", "cert-manager-mixin", "cloudnative-pg chart"):
            listed = lists().sources[source].alerts.get(name)
            if listed is None or case.get("setup"):
                continue
            compared += 1
            missing = set(listed.labels.split()) - labels
            # What only tells two alerts of one object apart is left out there.
            assert missing <= {"uid", "reason", "condition", "status", "instance", "node", "phase", "key", "effect"}, (
                name
            )
    assert compared >= 35


def test_the_projects_are_there() -> None:
    counts = {source: len(rules.alerts) for source, rules in lists().sources.items()}
    assert counts["kubernetes-mixin"] == 55
    assert {"node-mixin", "etcd mixin", "cert-manager-mixin", "velero chart", "argo-cd-mixin"} <= counts.keys()
    assert len(known_names()) > 250
    assert all(list(kinds_of("a", Listed(severity="critical warning"))))
