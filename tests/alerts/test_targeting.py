"""From an alert to its object by reading the cluster: through controllers, never by guessing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from remediator.alerts.alert import Alert
from remediator.alerts.labels import LabelRules
from remediator.errors import CannotSee, Forbidden
from remediator.objects import ObjectRef, ref_of
from remediator.ports import Cluster
from remediator.remediation.targeting import Resolved, TargetUnclear, resolve_from_alert
from tests.alerts.reading_cluster import ReadingCluster, made, owned_by

API = made("Deployment", "api")
API_RS = made("ReplicaSet", "api-7d9", owner=API)
API_POD = made(
    "Pod", "api-7d9-x", owner=API_RS, labels={"app": "api"}, status={"phase": "Running", "podIP": "10.1.0.7"}
)
API_POD_2 = made("Pod", "api-7d9-y", owner=API_RS, labels={"app": "api"}, status={"phase": "Running"})
WEB = made("Deployment", "web")
WEB_RS = made("ReplicaSet", "web-5f6", owner=WEB)
WEB_POD = made("Pod", "web-5f6-x", owner=WEB_RS, labels={"app": "web"}, status={"phase": "Running"})
HPA = made(
    "HorizontalPodAutoscaler",
    "api-hpa",
    spec={"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}},
)
REDIS = made("StatefulSet", "redis")
REDIS_POD = made("Pod", "redis-0", owner=REDIS, status={"phase": "Running"})
FLUENT = made("DaemonSet", "fluent")
FLUENT_POD = made("Pod", "fluent-x", owner=FLUENT, status={"phase": "Running"})
CRON = made("CronJob", "report")
JOB = made("Job", "report-29", owner=CRON)
JOB_POD = made("Pod", "report-29-x", owner=JOB, status={"phase": "Failed"})
JOB_2 = made("Job", "report-30", owner=CRON)
JOB_2_POD = made("Pod", "report-30-x", owner=JOB_2)
CNPG = made("Cluster", "db")
CNPG_POD = made("Pod", "db-1", owner=CNPG)
PVC = made("PersistentVolumeClaim", "data-redis-0")
BARE_POD = made("Pod", "debug")
NODE = made("Node", "w1", status={"addresses": [{"type": "InternalIP", "address": "172.18.0.4"}]})
NODE_2 = made("Node", "w2", status={"addresses": [{"type": "InternalIP", "address": "172.18.0.5"}]})
STATIC_POD = made("Pod", "kube-scheduler-w1", owner=NODE)
SERVICE = made("Service", "api-svc", spec={"selector": {"app": "api"}})


@pytest.fixture
def cluster() -> ReadingCluster:
    everything = (
        *(API, API_RS, API_POD, API_POD_2, WEB, WEB_RS, WEB_POD, HPA, REDIS, REDIS_POD, FLUENT, FLUENT_POD),
        *(CRON, JOB, JOB_POD, JOB_2, JOB_2_POD, CNPG_POD, PVC, BARE_POD, NODE, NODE_2, STATIC_POD, SERVICE),
    )
    return ReadingCluster(*everything)


async def resolve(cluster: Cluster, rules: LabelRules | None = None, /, **labels: str) -> Resolved:
    alert = Alert(
        fingerprint="0123456789abcdef",
        status="firing",
        labels={"namespace": "shop", **labels},
        starts_at=datetime(2025, 6, 1, tzinfo=UTC),
    )
    return await resolve_from_alert(cluster, alert, rules or LabelRules())


async def refusal(cluster: Cluster, rules: LabelRules | None = None, /, **labels: str) -> str:
    with pytest.raises(TargetUnclear) as caught:
        await resolve(cluster, rules, **labels)
    return str(caught.value)


def ref(kind: str, name: str) -> ObjectRef:
    return ObjectRef(kind, "" if kind == "Node" else "shop", name)


@pytest.mark.parametrize(
    ("labels", "target", "root", "pod"),
    [
        pytest.param({"deployment": "api"}, API, API, "", id="deployment"),
        pytest.param({"pod": "api-7d9-x"}, API, API, "api-7d9-x", id="pod of a deployment"),
        pytest.param({"replicaset": "api-7d9"}, API, API, "", id="replicaset of a deployment"),
        pytest.param({"statefulset": "redis"}, REDIS, REDIS, "", id="statefulset"),
        pytest.param({"pod": "redis-0"}, REDIS, REDIS, "redis-0", id="pod of a statefulset"),
        pytest.param({"pod": "fluent-x"}, FLUENT, FLUENT, "fluent-x", id="pod of a daemonset"),
        pytest.param({"pod": "report-29-x"}, JOB, CRON, "report-29-x", id="pod of a job of a cronjob"),
        pytest.param({"job_name": "report-29"}, JOB, CRON, "", id="job of a cronjob"),
        pytest.param({"cronjob": "report"}, CRON, CRON, "", id="cronjob"),
        pytest.param({"pod": "db-1"}, CNPG_POD, CNPG, "db-1", id="pod of an operator's object"),
        pytest.param({"pod": "debug"}, BARE_POD, BARE_POD, "debug", id="bare pod"),
        pytest.param({"horizontalpodautoscaler": "api-hpa"}, HPA, API, "", id="autoscaler"),
        pytest.param({"persistentvolumeclaim": "data-redis-0"}, PVC, PVC, "", id="claim"),
        pytest.param({"node": "w1"}, NODE, NODE, "", id="node"),
        pytest.param({"service": "api-svc"}, API, API, "", id="service"),
        pytest.param({"instance": "172.18.0.4:9100"}, NODE, NODE, "", id="address of a node"),
        pytest.param({"instance": "w1"}, NODE, NODE, "", id="name of a node"),
        pytest.param({"instance": "10.1.0.7:8080"}, API, API, "api-7d9-x", id="address of a pod"),
    ],
)
async def test_leads_to_the_object(cluster, labels, target, root, pod):
    """The object to act on, the root that locks and episodes use, the uid and object as just read."""
    resolved = await resolve(cluster, **labels)
    assert resolved.ref == ref_of(target)
    assert resolved.root == ref_of(root)
    assert resolved.uid == target["metadata"]["uid"]
    assert resolved.snapshot == target
    assert resolved.pod == pod


@pytest.mark.parametrize(
    ("labels", "because"),
    [
        pytest.param(
            {"pod": "api-7d9-x"},
            'pod="api-7d9-x" in shop, of ReplicaSet shop/api-7d9, of Deployment shop/api',
            id="pod",
        ),
        pytest.param(
            {"deployment": "api", "pod": "api-7d9-x"},
            'deployment="api" in shop; pod="api-7d9-x" in shop agrees',
            id="agreement",
        ),
        pytest.param(
            {"deployment": "api", "pod": "api-7d9-gone"},
            'deployment="api" in shop; pod="api-7d9-gone" in shop, which no longer exists',
            id="pod gone",
        ),
        pytest.param(
            {"service": "api-svc"}, 'service="api-svc" in shop, which selects pods of Deployment shop/api', id="service"
        ),
        pytest.param(
            {"instance": "172.18.0.4:9100"}, 'instance="172.18.0.4" in shop, an address of Node w1', id="node"
        ),
        pytest.param(
            {"horizontalpodautoscaler": "api-hpa"},
            'horizontalpodautoscaler="api-hpa" in shop, scaling Deployment shop/api',
            id="autoscaler",
        ),
        pytest.param(
            {"deployment": "api", "job": "kube-state-metrics", "pod": "kube-state-metrics-0"},
            'deployment="api" in shop; ignored pod: it is kube-state-metrics\'s own',
            id="exporter",
        ),
    ],
)
async def test_says_why(cluster, labels, because):
    """`explain` shows which label chose the target, what agreed and what was left out."""
    assert (await resolve(cluster, **labels)).because == because


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param({}, "no label of this alert names an object; give the playbook a target:", id="nothing"),
        pytest.param({"pod": "A B"}, "label pod='A B': not a Pod name", id="invalid"),
        pytest.param({"deployment": "api", "pod": "A B"}, "label pod='A B': not a Pod name", id="invalid beside valid"),
        pytest.param({"deployment": "api", "namespace": ""}, "but no label names its namespace", id="no namespace"),
        pytest.param({"deployment": "gone"}, "but Deployment shop/gone does not exist", id="no such object"),
        pytest.param({"pod": "gone"}, "but Pod shop/gone does not exist, and no other label names its", id="pod gone"),
        pytest.param({"pod": "gone", "node": "w1"}, "but Pod shop/gone does not exist", id="never the node instead"),
        pytest.param({"pod": "kube-scheduler-w1"}, "is a static pod: a file on Node w1 runs it", id="static pod"),
        pytest.param({"node": "w9"}, "but Node w9 does not exist", id="no such node"),
        pytest.param({"service": "gone"}, "but Service shop/gone does not exist", id="no such service"),
        pytest.param(
            {"instance": "10.9.9.9:80"}, "but no node and no running pod of this cluster has", id="no address"
        ),
        pytest.param({"instance": "db.example.com:5432"}, "but no node and no running pod", id="foreign host"),
        pytest.param(
            {"instance": "10.1.0.7:9100", "job": "node-exporter"},
            "but no node of this cluster has that address",
            id="node exporter outside the host network",
        ),
        pytest.param(
            {"job": "kube-state-metrics", "pod": "kube-state-metrics-0"},
            "(ignored: pod: it is kube-state-metrics's own)",
            id="only the exporter",
        ),
    ],
)
async def test_refuses(cluster, labels, message):
    """No object, or none that exists: the reason is told, and no other label steps in."""
    assert message in await refusal(cluster, **labels)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"deployment": "api", "pod": "web-5f6-x"}, id="pod of another deployment"),
        pytest.param({"deployment": "api", "statefulset": "redis"}, id="two workloads"),
        pytest.param({"horizontalpodautoscaler": "api-hpa", "deployment": "web"}, id="autoscaler of another"),
        pytest.param({"horizontalpodautoscaler": "api-hpa", "pod": "web-5f6-x"}, id="autoscaler and another's pod"),
        pytest.param({"job_name": "report-29", "pod": "report-30-x"}, id="another job of the same cronjob"),
        pytest.param({"statefulset": "redis", "pod": "debug"}, id="a bare pod"),
        pytest.param({"deployment": "api", "replicaset": "web-5f6"}, id="another's replicaset"),
    ],
)
async def test_two_answers_deny_and_show_both(cluster, labels):
    """Labels that disagree are a mistake somewhere; acting on either would be a guess."""
    message = await refusal(cluster, **labels)
    assert message.startswith("two answers: ")
    for label, value in labels.items():
        assert f'{label}="{value}"' in message
    assert "Say under config labels:" in message


@pytest.mark.parametrize(
    ("labels", "target", "pod"),
    [
        pytest.param(
            {"horizontalpodautoscaler": "api-hpa", "deployment": "api"}, HPA, "", id="autoscaler, its workload"
        ),
        pytest.param({"horizontalpodautoscaler": "api-hpa", "pod": "api-7d9-x"}, HPA, "api-7d9-x", id="and its pod"),
        pytest.param({"job_name": "report-29", "cronjob": "report"}, JOB, "", id="job and cronjob"),
        pytest.param({"job_name": "report-29", "pod": "report-29-x"}, JOB, "report-29-x", id="job and pod"),
        pytest.param({"deployment": "api", "replicaset": "api-7d9"}, API, "", id="replicaset"),
        pytest.param({"deployment": "api", "replicaset": "api-old"}, API, "", id="replicaset cleaned up"),
        pytest.param({"persistentvolumeclaim": "data-redis-0", "pod": "web-5f6-x"}, PVC, "", id="a claim beside a pod"),
    ],
)
async def test_answers_that_agree(cluster, labels, target, pod):
    """The most specific one is the target; the others confirm it, or say where it lives."""
    resolved = await resolve(cluster, **labels)
    assert (resolved.snapshot, resolved.pod) == (target, pod)


async def test_second_label_must_exist_too(cluster):
    """A workload label that names nothing is as wrong as one that names something else."""
    assert "and CronJob shop/gone does not exist" in await refusal(cluster, job_name="report-29", cronjob="gone")


async def test_kind_from_the_config_must_agree(cluster):
    """An operator's kind is followed like any other, and the pod beside it is checked."""
    kind = "Cluster.postgresql.cnpg.io"
    rules = LabelRules(names={"cnpg_cluster": kind})
    cluster.add(CNPG)
    resolved = await resolve(cluster, rules, cnpg_cluster="db", pod="db-1")
    assert (resolved.ref, resolved.pod) == (ref(kind, "db"), "db-1")
    assert "two answers" in await refusal(cluster, rules, cnpg_cluster="db", pod="api-7d9-x")


# --- controllers ---


async def test_owner_is_checked_by_uid(cluster):
    """A Deployment that was deleted and made again does not own the old pods."""
    cluster.add(made("Deployment", "api", uid="another"))
    assert "belongs to an older Deployment shop/api" in await refusal(cluster, pod="api-7d9-x")


async def test_owner_that_is_gone(cluster):
    """An orphan is being deleted; its name does not make the Deployment come back."""
    cluster.remove(ref("ReplicaSet", "api-7d9"))
    assert "ReplicaSet shop/api-7d9, which is gone" in await refusal(cluster, pod="api-7d9-x")


async def test_only_the_controller_counts(cluster):
    """Other owners (for garbage collection only) are not followed."""
    pod = made("Pod", "adopted")
    pod["metadata"]["ownerReferences"] = [{**owned_by(WEB), "controller": False}, {**owned_by(REDIS)}]
    cluster.add(pod)
    assert (await resolve(cluster, pod="adopted")).ref == ref("StatefulSet", "redis")


async def test_same_kind_in_another_group_is_not_ours(cluster):
    """Volcano has a Job, Knative has a Service: they are roots that we know by name only."""
    volcano: dict[str, object] = {**JOB, "apiVersion": "batch.volcano.sh/v1alpha1"}
    cluster.add(made("Pod", "train-0", owner=volcano))
    resolved = await resolve(cluster, pod="train-0")
    assert (resolved.ref, resolved.root) == (ref("Pod", "train-0"), ref("Job.batch.volcano.sh", "report-29"))
    assert "get Job/shop/report-29" not in cluster.reads


async def test_rollout_pods(cluster):
    """A ReplicaSet that an unknown kind controls is the last object we know."""
    rollout = made("Rollout", "checkout")
    replica_set = made("ReplicaSet", "checkout-1", owner=rollout)
    cluster.add(replica_set, made("Pod", "checkout-1-x", owner=replica_set))
    resolved = await resolve(cluster, pod="checkout-1-x")
    assert (resolved.ref, resolved.root) == (ref("ReplicaSet", "checkout-1"), ref("Rollout.argoproj.io", "checkout"))


async def test_operator_above_a_workload(cluster):
    """The workload is the target, the operator's object the root."""
    operated = made("StatefulSet", "prometheus", owner=made("Cluster", "p"))
    cluster.add(operated, made("Pod", "prometheus-0", owner=operated))
    resolved = await resolve(cluster, pod="prometheus-0")
    assert (resolved.ref, resolved.root) == (ref("StatefulSet", "prometheus"), ref("Cluster.postgresql.cnpg.io", "p"))


async def test_owners_that_go_round(cluster):
    """Broken or hostile objects end in a refusal."""
    a = made("ReplicaSet", "a")
    b = made("ReplicaSet", "b", owner=a)
    cluster.add(made("ReplicaSet", "a", owner=b), b)
    assert "more than 5 controllers" in await refusal(cluster, replicaset="a")


async def test_owners_without_end(cluster):
    """The same where each is another one: reading stops."""
    chain = [made("ReplicaSet", "r9")]
    for number in range(8, -1, -1):
        chain.append(made("ReplicaSet", f"r{number}", owner=chain[-1]))
    cluster.add(*chain)
    assert "more than 5 controllers" in await refusal(cluster, replicaset="r0")
    assert len(cluster.reads) == 6


async def test_autoscaler_without_its_workload(cluster):
    """It is still what the alert is about."""
    cluster.remove(ref("Deployment", "api"))
    resolved = await resolve(cluster, horizontalpodautoscaler="api-hpa")
    assert (resolved.ref, resolved.root) == (ref("HorizontalPodAutoscaler", "api-hpa"),) * 2


async def test_autoscaler_of_an_operator(cluster):
    """KEDA controls the autoscaler, but the incident is the workload's: one lock for both."""
    cluster.add({**HPA, "metadata": {**HPA["metadata"], "ownerReferences": [owned_by(CNPG)]}})
    assert (await resolve(cluster, horizontalpodautoscaler="api-hpa")).root == ref("Deployment", "api")


async def test_autoscaler_of_an_unknown_kind(cluster):
    """Its root is what it scales, by name."""
    scaled = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "checkout"}
    cluster.add(made("HorizontalPodAutoscaler", "ro", spec={"scaleTargetRef": scaled}))
    assert (await resolve(cluster, horizontalpodautoscaler="ro")).root == ref("Rollout.argoproj.io", "checkout")


# --- services and addresses ---


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({}, "has no selector", id="no selector"),
        pytest.param({"selector": {}}, "has no selector", id="empty selector"),
        pytest.param({"selector": {"app": "nothing"}}, "selects no running pod", id="no pods"),
        pytest.param({"selector": {"tier": "front"}}, "pods of Deployment shop/api, Deployment shop/web", id="two"),
    ],
)
async def test_service_that_does_not_say_one(cluster, spec, message):
    """An empty selector is nobody, and two workloads behind one service are no answer."""
    cluster.add(made("Service", "s", spec=spec))
    for pod in (API_POD, WEB_POD):
        cluster.add({**pod, "metadata": {**pod["metadata"], "labels": {"tier": "front"}}})
    assert message in await refusal(cluster, service="s")


async def test_service_reads_each_controller_once(cluster):
    """Two hundred pods of one ReplicaSet cost as many reads as one."""
    cluster.add(*(made("Pod", f"api-7d9-{i}", owner=API_RS, labels={"app": "api"}) for i in range(200)))
    await resolve(cluster, service="api-svc")
    assert len(cluster.reads) == 4  # service, pods, ReplicaSet, Deployment


async def test_ended_pods_are_not_behind_a_service(cluster):
    """A finished Job with the same labels serves nobody."""
    cluster.add(made("Pod", "migrate-x", owner=JOB, labels={"app": "api"}, status={"phase": "Succeeded"}))
    assert (await resolve(cluster, service="api-svc")).ref == ref("Deployment", "api")


async def test_many_answers_are_bounded(cluster):
    """A message lists a few."""
    cluster.add(made("Service", "all", spec={"selector": {"x": "y"}}))
    cluster.add(*(made("Pod", f"p{i}", labels={"x": "y"}) for i in range(9)))
    assert "Pod shop/p4 and 4 more" in await refusal(cluster, service="all")


async def test_shared_addresses_deny(cluster):
    """Two nodes or two pods with one address."""
    cluster.add(made("Node", "w3", status={"addresses": [{"type": "ExternalIP", "address": "172.18.0.4"}]}))
    assert "an address of Node w1, Node w3" in await refusal(cluster, instance="172.18.0.4:80")
    cluster.add(made("Pod", "twin", status={"phase": "Running", "podIP": "10.1.0.7"}))
    assert "the IP of Pod shop/api-7d9-x, Pod shop/twin" in await refusal(cluster, instance="10.1.0.7:80")


async def test_ended_pods_have_no_address(cluster):
    """A pod that ended keeps its IP in its status, while another one has got it."""
    cluster.add(made("Pod", "old", status={"phase": "Succeeded", "podIP": "10.1.0.7"}))
    assert (await resolve(cluster, instance="10.1.0.7:80")).pod == "api-7d9-x"


async def test_address_of_an_exporter(cluster):
    """`avg by (instance)` of node-exporter metrics, with the exporter outside the host's network."""
    cluster.add(made("Pod", "node-exporter-x", owner=FLUENT, status={"phase": "Running", "podIP": "10.1.0.9"}))
    assert "an exporter, which reports on something else" in await refusal(cluster, instance="10.1.0.9:9100")


# --- what we cannot see ---


@pytest.mark.parametrize("failure", [CannotSee("timeout"), Forbidden("pods")])
@pytest.mark.parametrize(
    ("labels", "read"),
    [
        pytest.param({"deployment": "api"}, "get Deployment", id="object"),
        pytest.param({"pod": "api-7d9-x"}, "get ReplicaSet", id="owner"),
        pytest.param({"deployment": "api", "pod": "api-7d9-x"}, "get Pod", id="second label"),
        pytest.param({"horizontalpodautoscaler": "api-hpa"}, "get Deployment", id="scaled"),
        pytest.param({"service": "api-svc"}, "list Pod", id="pods"),
        pytest.param({"instance": "10.1.0.7:80"}, "list Node", id="nodes"),
    ],
)
async def test_what_cannot_be_seen_holds(cluster, failure, labels, read):
    """Unknown is neither a yes nor a no: the error goes up as it is, and another try may pass."""
    cluster.failures[read] = failure
    with pytest.raises(type(failure)):
        await resolve(cluster, **labels)


async def test_reads_nothing_twice(cluster):
    """API calls are most of what a remediation costs."""
    await resolve(cluster, deployment="api", pod="api-7d9-x", replicaset="api-7d9")
    assert len(cluster.reads) == len(set(cluster.reads)) == 3


def test_fake_is_a_cluster(cluster):
    """The type checker holds the fake to the port."""
    as_port: Cluster = cluster
    assert as_port.name == "test"
