"""The rules that lead from labels to an object, one by one. Real alerts are in golden_alerts.yaml."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.alerts.exporters import DEFAULT_EXPORTERS, Exporter
from remediator.alerts.labels import Hint, InvalidHint, LabelRules, read_labels, target_hints
from remediator.alerts.names import host_of, name_problem
from remediator.errors import InvalidConfig

RULES = LabelRules()
KINDS_BY_LABEL = {
    "persistentvolumeclaim": "PersistentVolumeClaim",
    "horizontalpodautoscaler": "HorizontalPodAutoscaler",
    "job_name": "Job",
    "cronjob": "CronJob",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "deployment": "Deployment",
    "replicaset": "ReplicaSet",
    "pod": "Pod",
    "service": "Service",
    "node": "Node",
}
STRONG = [label for label in KINDS_BY_LABEL if label not in ("service", "node")]


def hints(rules: LabelRules = RULES, /, **labels: str) -> list[tuple[str, str]]:
    """(kind or "invalid", label) of each hint."""
    return [
        ("invalid", hint.label) if isinstance(hint, InvalidHint) else (hint.kind, hint.label)
        for hint in target_hints(labels, rules)
    ]


@pytest.mark.parametrize(("label", "kind"), KINDS_BY_LABEL.items())
def test_label_names_a_kind(label, kind):
    """Each label alone, and its exported twin."""
    for name in (label, f"exported_{label}"):
        (hint,) = target_hints({name: "api", "namespace": "shop"}, RULES)
        namespace = "" if kind == "Node" else "shop"
        assert isinstance(hint, Hint)
        assert (hint.kind, hint.namespace, hint.name, hint.label) == (kind, namespace, "api", name)
        assert hint.lookup == {"Pod": "owner", "Service": "selector"}.get(kind, "none")


@pytest.mark.parametrize("position", range(len(STRONG) - 1))
def test_most_specific_comes_first(position):
    """The order of the strong labels, pair by pair."""
    first, second = STRONG[position : position + 2]
    assert [label for _, label in hints(**{second: "a", first: "b", "namespace": "shop"})] == [first, second]


@pytest.mark.parametrize("strong", STRONG)
@pytest.mark.parametrize("weak", ["service", "node", "instance"])
def test_weak_labels_only_count_alone(strong, weak):
    """Service, node and instance say where an object is; beside its name they are not asked."""
    assert [label for _, label in hints(**{strong: "a", weak: "10.0.0.1:80", "namespace": "shop"})] == [strong]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"service": "api", "node": "w1", "instance": "10.0.0.1:80"}, ("Service", "service"), id="service"),
        pytest.param({"node": "w1", "instance": "10.0.0.1:80"}, ("Node", "node"), id="then node"),
        pytest.param({"instance": "10.0.0.1:80"}, ("Node", "instance"), id="then instance"),
        pytest.param({"service": "team-a", "node": "w1", "job": "kubelet"}, ("Node", "node"), id="kubelet: node first"),
        pytest.param(
            {"service": "team-a", "instance": "10.0.0.1:9100", "job": "node-exporter"},
            ("Node", "instance"),
            id="node exporter: instance before service",
        ),
        pytest.param(
            {"service": "team-a", "node": "w1", "job": "kube-state-metrics"},
            ("Node", "node"),
            id="exporter: node first",
        ),
    ],
)
def test_order_of_weak_labels(labels, expected):
    """Only the first weak label counts, and which is first depends on who reports."""
    assert hints(namespace="shop", **labels) == [expected]


def test_no_job_is_a_kubernetes_job():
    """`job` is the scrape job, also where it looks like an object."""
    assert hints(job="nightly-report", namespace="shop") == []


def test_empty_values_are_absent():
    """As in Prometheus."""
    assert hints(pod="", exported_pod="", deployment="", service="", namespace="shop") == []


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        pytest.param({"pod": "../../etc"}, "pod", id="path"),
        pytest.param({"pod": "api\n"}, "pod", id="line break"),
        pytest.param({"deployment": "API"}, "deployment", id="upper case"),
        pytest.param({"deployment": "api?dryRun=All"}, "deployment", id="query"),
        pytest.param({"deployment": "a" * 254}, "deployment", id="long"),
        pytest.param({"deployment": "-api"}, "deployment", id="dash first"),
        pytest.param({"statefulset": "a..b"}, "statefulset", id="empty part"),
        pytest.param({"service": "a.b"}, "service", id="service with dot"),
        pytest.param({"service": "a" * 64}, "service", id="long service"),
        pytest.param({"node": "w1/status"}, "node", id="subresource"),
        pytest.param({"pod": "api", "namespace": "shop/../kube-system"}, "namespace", id="namespace path"),
        pytest.param({"pod": "api", "namespace": "a.b"}, "namespace", id="namespace with dot"),
        pytest.param({"exported_pod": "a", "exported_namespace": "B"}, "exported_namespace", id="exported namespace"),
        pytest.param({"instance": "https://shop.example.com/health"}, "instance", id="url"),
        pytest.param({"instance": "db_1:5432"}, "instance", id="no host name"),
    ],
)  # fmt: skip
def test_what_is_no_name_denies(labels, label):
    """An unusable value is an answer of its own."""
    found = target_hints({"namespace": "shop", **labels}, RULES)
    assert [hint.label for hint in found if isinstance(hint, InvalidHint)] == [label]


@pytest.mark.parametrize("label", [*STRONG, "service"])
def test_an_unusable_value_is_not_skipped(label):
    """It hides the less specific labels, instead of handing the remediation to them."""
    weaker = {"node": "w1", "instance": "10.0.0.1:80"} | ({} if label == "service" else {"service": "other"})
    assert hints(**{label: "A B"}, **weaker, namespace="shop") == [("invalid", label)]


def test_invalid_value_is_quoted_and_bounded():
    """It goes into messages that people read in Slack."""
    (hint,) = target_hints({"pod": "<!channel>\n" * 1000, "namespace": "shop"}, RULES)
    assert isinstance(hint, InvalidHint)
    assert len(hint.value) <= 120
    assert "\n" not in str(hint)
    assert str(hint).startswith("label pod='<!channel>")


@pytest.mark.parametrize("label", [label for label, kind in KINDS_BY_LABEL.items() if kind != "Node"])
def test_namespace_is_needed(label):
    """There is no default namespace."""
    (hint,) = target_hints({label: "api"}, RULES)
    assert isinstance(hint, InvalidHint)
    assert (hint.label, "no label names its namespace" in hint.problem) == (label, True)


def test_every_invalid_strong_label_shows():
    """Also behind a valid one: something is wrong with this alert."""
    assert hints(deployment="api", pod="A B", namespace="shop") == [("Deployment", "deployment"), ("invalid", "pod")]


# --- exporters ---


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"job": "kube-state-metrics"}, id="job"),
        pytest.param({"job": "kps-kube-state-metrics"}, id="job with release"),
        pytest.param({"job": "monitoring/kube-state-metrics"}, id="job of a PodMonitor"),
        pytest.param({"job": "kube_state_metrics"}, id="job with underscores"),
        pytest.param({"service": "prometheus-kube-state-metrics"}, id="service"),
        pytest.param({"container": "kube-state-metrics"}, id="container"),
    ],
)
def test_exporter_is_recognised(labels):
    """By job, service or container; then its pod, service and address are dropped."""
    own = {"pod": "kps-kube-state-metrics-6c8f-x2x4z", "instance": "10.0.0.1:8080", "namespace": "monitoring"}
    assert hints(**own, **labels) == []


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"job": "kube-state-metrics-proxy"}, id="another program"),
        pytest.param({"job": "api", "container": "api"}, id="no exporter"),
        pytest.param({"job": "exporters"}, id="half a name"),
    ],
)
def test_other_programs_are_not(labels):
    """A name counts whole, perhaps after a prefix."""
    assert hints(pod="kps-kube-state-metrics-6c8f-x2x4z", namespace="monitoring", **labels) == [("Pod", "pod")]


def test_job_speaks_before_service_and_container():
    """kube-state-metrics reports on a container that is called like an exporter: its pod is the patient."""
    labels = {"container": "redis-exporter", "pod": "redis-exporter-0", "namespace": "shop"}
    assert hints(**labels) == []
    assert hints(**labels, job="kube-state-metrics") == [("Pod", "pod")]


def test_a_sidecar_does_not_make_its_pod_an_exporter():
    """A service that the pod is named after is the exporter's own only where the job says exporter."""
    labels = {"service": "redis", "pod": "redis-0", "namespace": "shop"}
    assert hints(**labels, container="redis-exporter") == [("Pod", "pod")]
    assert hints(**labels, job="redis-exporter") == []


@pytest.mark.parametrize("job", ["kubelet", "node-exporter", "windows-exporter"])
def test_address_of_a_node(job):
    """These run in the node's network, so their address can only be a node's."""
    (hint,) = target_hints({"job": job, "instance": "10.0.0.1:10250"}, RULES)
    assert hint == Hint("Node", "", "10.0.0.1", "instance", "node address")


@pytest.mark.parametrize("exported", ["namespace", "pod", "container", "service", "node", "instance"])
def test_renamed_label_gives_the_middleman_away(exported):
    """exported_X exists only where somebody reports on somebody else, so plain pod, service, node, instance go."""
    plain = {"pod": "proxy-0", "service": "proxy", "node": "w1", "instance": "10.0.0.1:80", "namespace": "edge"}
    labels = [label for _, label in hints(**plain, **{f"exported_{exported}": "x"})]
    assert not set(labels) & set(plain)


def test_renamed_job_alone_does_not():
    """Queues have a `job` label of their own."""
    assert hints(pod="sidekiq-0", namespace="shop", exported_job="SendEmail") == [("Pod", "pod")]


def test_dropped_labels_are_told():
    """`explain` shows what was left out and why."""
    labels = {"pod": "ksm-0", "service": "ksm", "instance": "1.2.3.4:80", "job": "kube-state-metrics", "namespace": "m"}
    assert read_labels(labels, RULES).ignored == {
        "pod": "it is kube-state-metrics's own",
        "service": "it is kube-state-metrics's own",
        "instance": "it is kube-state-metrics's own",
    }


@pytest.mark.parametrize("label", ["persistentvolume", "poddisruptionbudget", "resourcequota", "configmap", "secret"])
def test_alert_about_something_else_names_no_neighbour(label):
    """The node that kube-state-metrics runs on has nothing to do with a budget."""
    assert hints(**{label: "x"}, node="w1", service="api", instance="10.0.0.1:80", namespace="shop") == []
    assert hints(**{label: "x"}, pod="api-0", namespace="shop") == [("Pod", "pod")]


def test_more_exporters_come_from_the_config():
    """They are added to the ones we know, and asked first."""
    rules = LabelRules(exporters=(Exporter(("smartd",), instance="node"), Exporter(("node-exporter",))))
    labels = {"pod": "smartd-x2x4z", "instance": "10.0.0.1:9633", "namespace": "monitoring"}
    assert hints(**labels, job="smartd") == [("Pod", "pod")]
    assert hints(rules, **labels, job="smartd") == [("Node", "instance")]
    assert hints(rules, instance="10.0.0.1:9100", job="node-exporter") == []
    assert hints(rules, **labels, job="kube-state-metrics") == [("Pod", "pod")]


@pytest.mark.parametrize("exporter", DEFAULT_EXPORTERS, ids=lambda exporter: exporter.names[0])
def test_every_known_exporter_drops_its_own_pod(exporter):
    """Removing one from the list must be noticed."""
    for name in exporter.names:
        labels = {"job": name, "service": f"kps-{name}", "pod": f"kps-{name}-6c8f-x2x4z", "namespace": "monitoring"}
        assert hints(**labels) == []


# --- config ---


def test_names_stand_in_for_missing_labels():
    """A general name fills a gap; it does not override."""
    rules = LabelRules(names={"app": "deployment", "k8s_ns": "namespace"})
    assert target_hints({"app": "api", "k8s_ns": "shop"}, rules) == (Hint("Deployment", "shop", "api", "app"),)
    labels = {"app": "web", "deployment": "api", "namespace": "shop", "k8s_ns": "other"}
    assert target_hints(labels, rules) == (Hint("Deployment", "shop", "api", "deployment"),)


def test_general_names_are_dropped_like_the_plain_ones():
    """Old scrape configs say kubernetes_pod_name, also for kube-state-metrics itself."""
    rules = LabelRules(names={"kubernetes_pod_name": "pod", "kubernetes_namespace": "namespace"})
    labels = {"kubernetes_namespace": "monitoring", "node": "w1", "job": "kube-state-metrics"}
    assert hints(rules, **labels, kubernetes_pod_name="kube-state-metrics-6c8f-x2x4z") == [("Node", "node")]
    assert hints(rules, kubernetes_pod_name="api-0", kubernetes_namespace="shop") == [("Pod", "kubernetes_pod_name")]


def test_names_by_alertname_win_over_everything():
    """Over exported_, over plain, over exporters, and only for that alert."""
    rules = LabelRules(by_alertname={"TemporalStuck": {"namespace": "namespace", "pod": "pod"}})
    labels = {"pod": "worker-0", "namespace": "shop", "exported_namespace": "default"}
    assert hints(rules, alertname="TemporalStuck", **labels) == [("Pod", "pod")]
    assert target_hints({"alertname": "TemporalStuck", **labels}, rules)[0] == Hint(
        "Pod", "shop", "worker-0", "pod", "owner"
    )
    assert hints(rules, alertname="Other", **labels) == []


def test_a_kind_from_the_config_comes_first():
    """`cnpg_cluster: Cluster` beats the pod beside it, which must then agree."""
    rules = LabelRules(names={"cnpg_cluster": "Cluster"}, by_alertname={"CertSoon": {"name": "Certificate"}})
    assert hints(rules, cnpg_cluster="db", pod="db-1", namespace="shop") == [
        ("Cluster", "cnpg_cluster"),
        ("Pod", "pod"),
    ]
    assert hints(rules, cnpg_cluster="db", node="w1", namespace="shop") == [("Cluster", "cnpg_cluster")]
    labels = {"name": "tls", "exported_namespace": "shop", "namespace": "cert-manager"}
    assert target_hints({"alertname": "CertSoon", **labels}, rules) == (Hint("Certificate", "shop", "tls", "name"),)
    assert hints(rules, alertname="Other", **labels) == []


@pytest.mark.parametrize(
    "rules", [LabelRules(names={"job_name": "ignore"}), LabelRules(by_alertname={"F": {"job_name": "ignore"}})]
)
def test_ignored_labels_name_nothing(rules):
    """For labels that mean something else in a company, or in one alert."""
    labels = {"alertname": "F", "job_name": "WordCount", "pod": "flink-0", "namespace": "data"}
    assert hints(rules, **labels) == [("Pod", "pod")]
    assert read_labels(labels, rules).ignored == {"job_name": "config labels: says ignore"}


def test_a_label_with_another_meaning_loses_its_own():
    """`service: deployment` makes the service label name a Deployment and nothing else."""
    rules = LabelRules(names={"service": "deployment"})
    assert target_hints({"service": "api", "namespace": "shop"}, rules) == (
        Hint("Deployment", "shop", "api", "service"),
    )


def test_a_pod_label_that_means_something_else():
    """The same where its own meaning would be the stronger one."""
    assert hints(LabelRules(names={"pod": "service"}), pod="api", namespace="shop") == [("Service", "pod")]
    rules = LabelRules(names={"exported_pod": "ignore"})
    assert hints(rules, exported_pod="api", namespace="shop") == []


def test_an_address_can_be_named_too():
    """Every label of the list is a meaning."""
    assert hints(LabelRules(names={"host": "instance"}), host="10.0.0.1:80") == [("Node", "host")]


@pytest.mark.parametrize("meaning", ["namespace", "deployment"])
def test_two_names_that_contradict_deny(meaning):
    """Two labels of one meaning and different values: both are shown."""
    rules = LabelRules(names={"x": meaning, "y": meaning})
    labels = {"x": "one", "y": "two", "pod": "api-0"} | ({} if meaning == "namespace" else {"namespace": "shop"})
    invalid = [hint for hint in target_hints(labels, rules) if isinstance(hint, InvalidHint)]
    assert [hint.problem for hint in invalid] == [f"the {meaning} is not clear: x='one' and y='two'"]
    same = target_hints({**labels, "y": "one"}, rules)
    assert not any(isinstance(hint, InvalidHint) for hint in same)


@pytest.mark.parametrize("rules", [{"names": {"app": "deploymnt"}}, {"by_alertname": {"X": {"app": ""}}}])
def test_unknown_meanings_are_refused(rules):
    """A typo must not load as "no rule"."""
    with pytest.raises(InvalidConfig, match=r"labels\.(names|by_alertname\.X)\.app: "):
        LabelRules(**rules)


def test_target_down_is_about_the_target():
    """The shipped rule for `up`: exporters are patients too. A config rule for the same alert replaces it."""
    labels = {"alertname": "TargetDown", "job": "kube-state-metrics", "namespace": "m", "service": "kube-state-metrics"}
    assert hints(**labels) == [("Service", "service")]
    assert hints(LabelRules(by_alertname={"TargetDown": {"service": "ignore"}}), **labels) == []


# --- names and addresses ---


@pytest.mark.parametrize(
    ("kind", "name", "valid"),
    [
        pytest.param("Pod", "api-7d9.x", True, id="subdomain"),
        pytest.param("Pod", "a" * 253, True, id="longest"),
        pytest.param("Pod", "a" * 254, False, id="longer"),
        pytest.param("Service", "a" * 63, True, id="longest label"),
        pytest.param("Service", "a" * 64, False, id="longer label"),
        pytest.param("Namespace", "a.b", False, id="dot in a label"),
        pytest.param("Node", "ip-10-0-0-1.ec2.internal", True, id="AWS node"),
        pytest.param("Pod", "", False, id="empty"),
        pytest.param("Pod", "é", False, id="not ASCII"),
        pytest.param("Pod", "a-", False, id="dash last"),
        pytest.param("Certificate", "a.b", True, id="unknown kind"),
    ],
)
def test_names(kind, name, valid):
    """RFC 1123, label or subdomain by kind."""
    assert (name_problem(kind, name) is None) is valid


@pytest.mark.parametrize(
    ("address", "host"),
    [
        pytest.param("10.0.0.1:9100", "10.0.0.1", id="IPv4"),
        pytest.param("10.0.0.1", "10.0.0.1", id="no port"),
        pytest.param("[fd00:10::4]:9100", "fd00:10::4", id="IPv6"),
        pytest.param("fd00:10::4", "fd00:10::4", id="bare IPv6"),
        pytest.param("[FD00:10:0:0::4]:9100", "fd00:10::4", id="IPv6 in full"),
        pytest.param("worker-1:9100", "worker-1", id="name"),
        pytest.param("worker-1.example.com", "worker-1.example.com", id="domain"),
        pytest.param("https://x/y", None, id="url"),
        pytest.param("a/b:80", None, id="path"),
        pytest.param("", None, id="empty"),
        pytest.param(":9100", None, id="port only"),
        pytest.param("worker-1:http", None, id="no port number"),
    ],
)
def test_hosts(address, host):
    """What an instance label says, without its port."""
    assert host_of(address) == host


label_names = st.sampled_from([*KINDS_BY_LABEL, *(f"exported_{label}" for label in KINDS_BY_LABEL), "namespace",
                               "exported_namespace", "instance", "job", "container", "persistentvolume"])  # fmt: skip
label_values = st.sampled_from(["api", "kube-state-metrics", "kube-state-metrics-x", "10.0.0.1:80", "A B", "", "w-1"])


@settings(deadline=None)
@given(st.dictionaries(label_names, label_values | st.text(max_size=8)))
def test_any_labels_have_an_answer(labels):
    """Never an exception; hints are names that the API server may be asked for, ignored labels are there."""
    reading = read_labels(labels, RULES)
    for hint in reading.hints:
        if isinstance(hint, Hint) and hint.lookup in ("none", "owner", "selector"):
            assert name_problem(hint.kind, hint.name) is None
            assert hint.kind == "Node" or name_problem("Namespace", hint.namespace) is None
    assert set(reading.ignored) <= set(labels)
    assert not {hint.label for hint in reading.hints} & set(reading.ignored)
