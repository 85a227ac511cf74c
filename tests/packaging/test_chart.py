"""The Helm chart: what it renders, what it refuses, and that a real API server takes it."""

from __future__ import annotations

import copy
import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator import __version__
from remediator.config import Config, load_config
from remediator.guardrails.ceilings import policy_problems
from remediator.metrics import Metrics
from tests.support.chart import CHART, SMALLEST, RenderError, helm, one, render
from tests.support.controlplane import ControlPlane, Object, PrometheusServer, wait_until

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("helm_built")]

PLAYBOOK = "name: restart-api\nmatch: {alerts: ['alertname=\"Stuck\"']}\ntarget: from_alert\nsteps: [{action: scale}]\n"
SECRET_PATH = "/etc/remediator/secrets"
EVERYTHING: dict[str, Any] = {
    "image": {"repository": "registry.example.com/remediator", "tag": "1.2.3", "pullSecrets": ["registry"]},
    "webhook": {"existingSecret": "hook", "keys": ["new", "old"]},
    "config": {
        "api": [{"name": "ann", "role": "approver", "token": f"{SECRET_PATH}/users.v1/ann"}],
        "slack": {"token": f"{SECRET_PATH}/slack/token"},
        "pagerduty": {"services": {"shop": f"{SECRET_PATH}/pagerduty/shop", "pay": f"{SECRET_PATH}/pagerduty/pay"}},
        "prometheus": {"url": "http://prometheus:9090"},
        "routes": {"slack": {"default_channel": "C0OPS"}, "pagerduty": {"default_service": "shop"}},
        "policy": {"mode_ceiling": "auto", "protected_namespaces": ["kube-system", "monitoring"]},
    },
    "playbooks": {"files": {"restart-api.yaml": PLAYBOOK}, "configMaps": ["team-a", "team-b"]},
    "read": {"namespaces": ["shop", "pay"]},
    "write": {"namespaces": ["shop"]},
    "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
    "serviceMonitor": {"enabled": True, "labels": {"release": "kps"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "kps"}},
    "podLabels": {"team": "sre"},
    "podAnnotations": {"example.com/x": "y"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "ops", "operator": "Exists"}],
    "priorityClassName": "system-cluster-critical",
}


PROJECTS: dict[str, Any] = {
    **SMALLEST,
    "playbooks": {"configMaps": ["team-shop"]},
    "config": {
        "clusters": [{"name": "default", "in_cluster": True}, {"name": "eu", "kubeconfig": "/eu"}],
        "projects": [
            {
                "name": "shop",
                "playbooks": {
                    "folders": ["/etc/remediator/playbooks/team-shop"],
                    "config_maps": [{"namespaces": ["shop-ops"], "labels": "playbooks=shop"}],
                },
                "clusters": ["default"],
                "namespaces": ["shop", "shop-*"],
            },
            {
                "name": "pay",
                "playbooks": {
                    "config_maps": [
                        {"namespaces": ["pay-ops", "shop-ops"], "labels": "playbooks=pay", "cluster": "default"},
                        {"namespaces": ["pay-eu"], "labels": "playbooks=pay", "cluster": "eu"},
                    ]
                },
                "clusters": ["default", "eu"],
                "namespaces": ["pay"],
            },
        ],
    },
}


def pod_of(objects: list[Object]) -> dict[str, Any]:
    found: dict[str, Any] = one(objects, "Deployment")["spec"]["template"]
    return found


def config_of(objects: list[Object], tmp_path: Path, environment: dict[str, str] | None = None) -> Config:
    """The rendered configuration through the real loader."""
    (found,) = (o for o in objects if o["kind"] == "ConfigMap" and "remediator.yaml" in o["data"])
    path = tmp_path / "remediator.yaml"
    path.write_text(found["data"]["remediator.yaml"])
    return load_config(path, environment or {})


# --- what is refused


def test_lint_finds_nothing() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), values=SMALLEST)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param({}, "who may post alerts? Give webhook.existingSecret", id="nobody was asked"),
        pytest.param({"webhook": {"auth": "None"}}, "value must be one of", id="not in so many words"),
        pytest.param({"webhook": {"auth": "none", "existingSecret": "x"}}, "remove one of them", id="both"),
        pytest.param({**SMALLEST, "config": {"sources": [{"name": "a"}]}}, "not both", id="sources twice"),
        pytest.param({"config": {"sources": [{"name": "a"}]}}, "anybody could start remediations", id="open source"),
        pytest.param({**SMALLEST, "webook": {}}, "additional properties 'webook' not allowed", id="misspelt"),
        pytest.param({**SMALLEST, "write": {"namespaces": ["*"]}}, "/write/namespaces/0", id="every namespace"),
        pytest.param({**SMALLEST, "replicas": 2}, "additional properties 'replicas' not allowed", id="replicas"),
        pytest.param(
            {**SMALLEST, "playbooks": {"files": {"a.txt": "x"}}},
            "'a.txt' does not match pattern",
            id="no playbook file",
        ),
    ],
)
def test_what_does_not_render(values: dict[str, Any], says: str) -> None:
    with pytest.raises(RenderError, match=re.escape(says)):
        render(values)


# --- what is rendered


def test_the_smallest_installation_only_reads(tmp_path: Path) -> None:
    """One value is enough. Nothing can be changed with it, and no secret is in it."""
    objects = render()
    assert sorted(o["kind"] for o in objects) == [
        *("ClusterRole", "ClusterRoleBinding", "ConfigMap", "Deployment", "PersistentVolumeClaim", "Service"),
        "ServiceAccount",
    ]
    rules = one(objects, "ClusterRole")["rules"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}
    config = config_of(objects, tmp_path)
    assert [str(token.file) for token in config.sources[0].tokens] == [f"{SECRET_PATH}/remediator-webhook/token"]
    assert config.policy.protected_namespaces == {"kube-system", "remediator"}
    assert config.clusters[0].in_cluster


def test_the_versions_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    assert pod_of(render())["spec"]["containers"][0]["image"] == f"remediator:{__version__}"


def test_one_writer_and_the_volume_stays() -> None:
    objects = render()
    spec = one(objects, "Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    claim = one(objects, "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert "PersistentVolumeClaim" not in [
        o["kind"] for o in render({**SMALLEST, "persistence": {"existingClaim": "x"}})
    ]


def test_the_pod_is_restricted() -> None:
    """As the restricted Pod Security Standard asks, and only two places can be written."""
    pod = pod_of(render(EVERYTHING))["spec"]
    (container,) = pod["containers"]
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"/var/lib/remediator", "/tmp"}
    assert all("subPath" not in mount for mount in container["volumeMounts"])  # those never change once mounted
    assert container["livenessProbe"]["httpGet"]["path"] == "/-/healthy"
    assert container["readinessProbe"]["httpGet"]["path"] == "/-/ready"


def test_secrets_are_mounted_by_what_the_configuration_refers_to(tmp_path: Path) -> None:
    """Each key that is named, and no other one; the paths are those that the configuration says."""
    objects = render(EVERYTHING)
    pod = pod_of(objects)["spec"]
    (volume,) = (v for v in pod["volumes"] if v["name"] == "secrets")
    mounted = {
        f"{SECRET_PATH}/{item['path']}": (source["secret"]["name"], item["key"])
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    }
    assert mounted == {
        f"{SECRET_PATH}/hook/new": ("hook", "new"),
        f"{SECRET_PATH}/hook/old": ("hook", "old"),
        f"{SECRET_PATH}/users.v1/ann": ("users.v1", "ann"),
        f"{SECRET_PATH}/slack/token": ("slack", "token"),
        f"{SECRET_PATH}/pagerduty/shop": ("pagerduty", "shop"),
        f"{SECRET_PATH}/pagerduty/pay": ("pagerduty", "pay"),
    }
    config = config_of(objects, tmp_path)
    assert config.slack is not None
    assert str(config.slack.token.file) in mounted
    assert not [o for o in objects if o["kind"] == "Secret"]


def test_the_users_configuration_wins_and_the_own_namespace_stays_protected(tmp_path: Path) -> None:
    config = config_of(render(EVERYTHING, namespace="ops"), tmp_path)
    assert config.policy.mode_ceiling == "auto"
    assert config.policy.protected_namespaces == {"kube-system", "monitoring", "ops"}
    assert config.observed_namespaces == ("shop", "pay")
    assert policy_problems(config.policy) == ()
    own = {**SMALLEST, "config": {"playbooks": {"folders": ["/mine"]}, "store": {"queue": 500}, "observer": False}}
    config = config_of(render(own), tmp_path)
    assert [str(f) for f in config.playbooks.folders] == ["/mine"]
    assert (str(config.store.path), config.store.queue) == ("/var/lib/remediator/remediator.db", 500)
    assert config.observer is False


def test_every_folder_of_playbooks_is_there(tmp_path: Path) -> None:
    objects = render(EVERYTHING)
    pod = pod_of(objects)["spec"]
    mounts = {m["mountPath"]: m["name"] for m in pod["containers"][0]["volumeMounts"]}
    maps = {v["name"]: v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
    folders = [str(f) for f in config_of(objects, tmp_path).playbooks.folders]
    assert folders[0] == "/usr/share/remediator/playbooks"  # in the image
    assert [maps[mounts[folder]] for folder in folders[1:]] == ["remediator-playbooks", "team-a", "team-b"]
    (own,) = (o for o in objects if o["metadata"]["name"] == "remediator-playbooks")
    assert own["data"] == {"restart-api.yaml": PLAYBOOK}


def test_projects_say_which_folders_they_have(tmp_path: Path) -> None:
    """What the chart mounts belongs to nobody until a project takes it."""
    objects = render(PROJECTS)
    config = config_of(objects, tmp_path)
    assert [str(f) for p in config.projects for f in p.playbooks.folders] == ["/etc/remediator/playbooks/team-shop"]
    mounts = {m["mountPath"] for m in pod_of(objects)["spec"]["containers"][0]["volumeMounts"]}
    assert "/etc/remediator/playbooks/team-shop" in mounts


def test_configmaps_can_be_listed_only_where_projects_keep_playbooks_in_them() -> None:
    """Those of another cluster are not this chart's to grant."""
    objects = render(PROJECTS)
    roles = {o["metadata"]["namespace"]: o["rules"] for o in objects if o["kind"] == "Role"}
    listing = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    assert roles == {"pay-ops": listing, "shop-ops": listing}
    bound = {o["metadata"]["namespace"]: o for o in objects if o["kind"] == "RoleBinding"}
    assert bound.keys() == roles.keys()
    for binding in bound.values():
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "remediator", "namespace": "remediator"}]
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("Role", "remediator-remediator-playbooks")
    assert not [o for o in render({**PROJECTS, "rbac": {"create": False}}) if "rbac" in o["apiVersion"]]


def test_a_changed_playbook_restarts_nothing_a_changed_configuration_does() -> None:
    before = pod_of(render(EVERYTHING))
    edited = copy.deepcopy(EVERYTHING)
    edited["playbooks"]["files"]["restart-api.yaml"] += "description: edited\n"
    assert pod_of(render(edited)) == before
    edited["config"]["policy"]["mode_ceiling"] = "suggest"
    assert pod_of(render(edited)) != before


def test_access_is_bound_where_it_was_asked_for() -> None:
    objects = render(EVERYTHING, namespace="ops")
    bound = sorted((o["metadata"]["namespace"], o["roleRef"]["kind"]) for o in objects if o["kind"] == "RoleBinding")
    assert bound == [("pay", "ClusterRole"), ("shop", "ClusterRole"), ("shop", "Role")]
    assert not [o for o in objects if o["kind"] == "ClusterRoleBinding"]
    for binding in (o for o in objects if o["kind"] == "RoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "remediator", "namespace": "ops"}]
        assert [
            o for o in objects if o["kind"] == binding["roleRef"]["kind"] and _name(o) == binding["roleRef"]["name"]
        ]
    assert not [o for o in render({**EVERYTHING, "rbac": {"create": False}}) if "rbac" in o["apiVersion"]]


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def test_the_variables_that_kubernetes_injects_are_no_settings(tmp_path: Path) -> None:
    """Another pod in the namespace may run us without enableServiceLinks: false, for a Service of any of these
    names."""
    links: dict[str, str] = {}
    for service, port in (("REMEDIATOR", 8080), ("REMEDIATOR_STORE", 5432), ("REMEDIATOR_SLACK", 80)):
        links |= {
            f"{service}_SERVICE_HOST": "10.0.0.1",
            f"{service}_SERVICE_PORT": f"{port}",
            f"{service}_SERVICE_PORT_HTTP": f"{port}",
            f"{service}_PORT": f"tcp://10.0.0.1:{port}",
            f"{service}_PORT_{port}_TCP": f"tcp://10.0.0.1:{port}",
            f"{service}_PORT_{port}_TCP_PROTO": "tcp",
            f"{service}_PORT_{port}_TCP_PORT": f"{port}",
            f"{service}_PORT_{port}_TCP_ADDR": "10.0.0.1",
        }
    objects = render(EVERYTHING)
    assert config_of(objects, tmp_path, links) == config_of(objects, tmp_path)


# --- what a real API server says


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(SMALLEST, id="smallest"),
        pytest.param({"webhook": {"auth": "none"}, "playbooks": {"starter": False}}, id="open"),
        pytest.param(EVERYTHING, id="everything"),
        pytest.param(PROJECTS, id="projects"),
    ],
)
def test_the_api_server_takes_every_object(control_plane: ControlPlane, namespace: str, values: dict[str, Any]) -> None:
    """A server-side dry run with strict field validation: admission, schema, no unknown field."""
    objects = render(_within(values, namespace), namespace=namespace)
    stand_ins(control_plane, {o["kind"] for o in objects})
    for obj in objects:
        control_plane.client.create(obj, dryRun="All", fieldValidation="Strict")


def _within(values: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The same values for namespaces that exist."""
    there = copy.deepcopy(values)
    there |= {key: {"namespaces": [namespace]} for key in ("read", "write") if key in values}
    if "projects" in there.get("config", {}):
        for project in there["config"]["projects"]:
            for maps in project["playbooks"]["config_maps"]:
                maps["namespaces"] = [namespace]
    return there


def stand_ins(control_plane: ControlPlane, kinds: set[str]) -> None:
    """The Prometheus Operator's kinds, without their schemas."""
    for kind in kinds & {"ServiceMonitor", "PrometheusRule"}:
        plural = f"{kind.lower()}s"
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        }
        spec = {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [version],
        }
        crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
        control_plane.client.apply({**crd, "metadata": {"name": f"{plural}.monitoring.coreos.com"}})
        served = functools.partial(control_plane.client.path, f"{plural}.monitoring.coreos.com")
        wait_until(served, what=f"{plural} served")


def test_prometheus_takes_the_alert_rules(tmp_path: Path) -> None:
    """Every rule is healthy in a real Prometheus, and asks for no metric that nobody exports."""
    groups = one(render(EVERYTHING), "PrometheusRule")["spec"]["groups"]
    exported = Metrics().render().decode()
    for rule in groups[0]["rules"]:
        for name in re.findall(r"remediator_[a-z_]+", rule["expr"]):
            assert f"\n# TYPE {re.sub('_count$', '', name)} " in exported, rule["alert"]
    with PrometheusServer(tmp_path, rules=json.dumps({"groups": groups})) as prometheus:

        def evaluated() -> list[dict[str, Any]]:
            (group,) = prometheus.get("/api/v1/rules")["data"]["groups"]
            assert all(rule["health"] != "unknown" for rule in group["rules"])
            return list(group["rules"])

        rules = wait_until(evaluated, timeout_s=20, what="the rules to be evaluated")
        assert {rule["name"]: rule["health"] for rule in rules} == {r["alert"]: "ok" for r in groups[0]["rules"]}
        assert all(rule["name"].startswith("Remediator") for rule in rules)  # what `init alertmanager` routes past us
        (down,) = (rule for rule in rules if rule["name"] == "RemediatorDown")
        assert down["state"] == "pending"  # nobody scrapes one here
