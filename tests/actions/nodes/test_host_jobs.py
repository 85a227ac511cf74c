"""node_command and etcd_snapshot: fixed commands, a namespace that was opened for them, one node at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_ID, Create, FieldChange, Patch
from remediator.actions.diff import diff_lines
from remediator.actions.nodes.etcd_snapshot import EtcdSnapshot
from remediator.actions.nodes.node_command import NodeCommand, NodeCommandParams
from remediator.actions.render import render
from remediator.actions.times import format_time
from remediator.actions.view import Get, ListOf
from remediator.objects import ObjectRef
from tests.actions.make import NOW
from tests.actions.nodes.things import SERVER, namespace, node, plan, refusal, seen

IMAGE = "registry.example.com/tools/host@sha256:" + "a" * 64
GIVEN: dict[str, Any] = {"recipe": "vacuum_journal", "namespace": "node-commands", "image": IMAGE}
OPEN = namespace("node-commands", labels={"remediator.dev/node-commands": "allowed"})
WORKER = ObjectRef("Node", "", "worker-1")


def job(*, suspend: bool = False, age: timedelta = timedelta(minutes=1), done: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "vacuum-journal-x",
            "namespace": "node-commands",
            "creationTimestamp": format_time(NOW - age),
            "annotations": {"remediator.dev/node": "worker-2"},
        },
        "spec": {"suspend": suspend},
        "status": {"conditions": [{"type": done, "status": "True"}]} if done else {},
    }


def command(given: dict[str, Any], target: Any = None, **found: Any) -> Any:
    return plan(NodeCommand(), {**GIVEN, **given}, target or node(), **{"namespace": OPEN, "jobs": (), **found})


def pod_spec(change: Any) -> Any:
    create = change.effects[0]
    assert isinstance(create, Create)
    return create.body["spec"]["template"]["spec"]


def test_a_suspended_job_then_its_start():
    change = command({"timeout": "2m"})
    create, start = change.effects
    ref = ObjectRef("Job", "node-commands", f"vacuum-journal-{GENERATED_ID}")
    assert isinstance(create, Create)
    assert (create.ref, create.undoable) == (ref, False)
    spec = create.body["spec"]
    assert (spec["suspend"], spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (True, 0, 120)
    assert start == Patch(
        ref=ref, uid="", changes=(FieldChange(("spec", "suspend"), True, False),), undoable=False, made_here=True
    )
    assert change.touches == (ObjectRef("Namespace", "", "node-commands"),)
    assert diff_lines(change, WORKER) == (
        "create Job node-commands/vacuum-journal-…",
        "Job node-commands/vacuum-journal-…: suspend true -> false",
    )
    assert b'"nodeName":"worker-1"' in render(create, None, effect_id="e", now=NOW, generated="k3j", made_by="r").body


@pytest.mark.parametrize(
    ("given", "argv", "paths", "privileged"),
    [
        pytest.param(
            {"recipe": "vacuum_journal", "keep_days": 14},
            ["journalctl", "--directory=/var/log/journal", "--vacuum-time=14d"],
            {"/var/log/journal": "Directory"},
            False,
            id="vacuum_journal",
        ),
        pytest.param(
            {"recipe": "prune_images", "runtime": "k3s"},
            ["crictl", "--runtime-endpoint", "unix:///run/k3s/containerd/containerd.sock", "rmi", "--prune"],
            {"/run/k3s/containerd/containerd.sock": "Socket"},
            False,
            id="prune_images",
        ),
        pytest.param(
            {"recipe": "restart_agent", "unit": "k3s-agent"},
            ["systemctl", "restart", "k3s-agent.service"],
            {"/run/systemd": "Directory"},
            True,
            id="restart_agent",
        ),
    ],
)
def test_recipes(given, argv, paths, privileged):
    spec = pod_spec(command(given))
    (container,) = spec["containers"]
    assert (container["command"], container["image"]) == (argv, IMAGE)
    assert {v["hostPath"]["path"]: v["hostPath"]["type"] for v in spec["volumes"]} == paths
    assert [m["mountPath"] for m in container["volumeMounts"]] == list(paths)
    assert container["securityContext"].get("privileged", False) is privileged
    assert spec.get("hostNetwork", False) is privileged
    assert (spec["nodeName"], spec["restartPolicy"], spec["automountServiceAccountToken"]) == (
        "worker-1",
        "Never",
        False,
    )
    assert "hostPID" not in spec


def test_what_is_read():
    wanted = NodeCommand().wants(NodeCommandParams(**GIVEN), seen(node()))
    assert wanted == {
        "namespace": Get(ObjectRef("Namespace", "", "node-commands")),
        "jobs": ListOf(kind="Job", namespace="node-commands", labels="remediator.dev/node-command"),
    }


@pytest.mark.parametrize(
    ("given", "target", "found", "reason", "hold"),
    [
        pytest.param({}, node(), {"namespace": None}, "does not exist", False, id="no namespace"),
        pytest.param({}, node(), {"namespace": namespace("node-commands")}, "lacks the label", False, id="not opened"),
        pytest.param(
            {},
            node(),
            {"namespace": namespace("node-commands", labels={"remediator.dev/node-commands": "true"})},
            "lacks the label",
            False,
            id="another word",
        ),
        pytest.param({}, node(), {"jobs": (job(),)}, "vacuum-journal-x on worker-2", True, id="another node"),
        pytest.param({}, node(), {"jobs": (job(suspend=True),)}, "one node at a time", True, id="about to start"),
        pytest.param({}, node(ready="False"), {}, "is not ready", True, id="not ready"),
        pytest.param({}, node(ready="Unknown"), {}, "a person has to log in", False, id="silent"),
        pytest.param({"recipe": "restart_agent"}, node(ready="Unknown"), {}, "log in", False, id="silent, restart"),
        pytest.param({"recipe": "restart_agent"}, node(labels=SERVER), {}, "control plane", False, id="server"),
        pytest.param({}, node(labels={"kubernetes.io/os": "windows"}), {}, "does not run Linux", False, id="Windows"),
    ],
)
def test_no_command(given, target, found, reason, hold):
    refused = refusal(NodeCommand(), {**GIVEN, **given}, target, **{"namespace": OPEN, "jobs": (), **found})
    assert reason in refused.reason
    assert refused.hold is hold


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(job(done="Complete"), id="complete"),
        pytest.param(job(done="Failed"), id="failed"),
        pytest.param(job(suspend=True, age=timedelta(minutes=11)), id="never started"),
    ],
)
def test_jobs_that_are_over_hold_nothing(before):
    assert command({}, jobs=(before,)).effects


def test_a_node_that_says_itself_that_it_is_not_ready_may_restart_its_agent():
    assert command({"recipe": "restart_agent"}, node(ready="False")).effects


def test_servers_ask():
    assert command({}, node(labels=SERVER)).needs_approval == "Node worker-1 runs the control plane"
    assert command({}).needs_approval == ""


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"recipe": "reboot"}, id="unknown recipe"),
        pytest.param({"image": "registry.example.com/tools/host:latest"}, id="no digest"),
        pytest.param({"image": f"{IMAGE} --privileged"}, id="more than an image"),
        pytest.param({"image": f"x\n{IMAGE}"}, id="two lines"),
        pytest.param({"namespace": "../kube-system"}, id="no namespace name"),
        pytest.param({"namespace": "a\n"}, id="line break"),
        pytest.param({"keep_days": "7; rm -rf /"}, id="text for a number"),
        pytest.param({"keep_days": 0}, id="all logs"),
        pytest.param({"runtime": "/run/evil.sock"}, id="a path of one's own"),
        pytest.param({"unit": "sshd"}, id="another unit"),
        pytest.param({"timeout": "2h"}, id="too long"),
        pytest.param({"argv": ["sh"]}, id="a command of one's own"),
    ],
)
def test_bad_params(given):
    with pytest.raises(ValidationError):
        NodeCommandParams(**{**GIVEN, **given})


SNAPSHOT = {"namespace": "node-commands", "image": IMAGE}


def test_an_etcd_snapshot_of_a_server():
    change = plan(EtcdSnapshot(), SNAPSHOT, node(labels=SERVER), namespace=OPEN, jobs=())
    spec = pod_spec(change)
    assert spec["containers"][0]["command"] == ["k3s", "etcd-snapshot", "save", "--name", f"remediator-{GENERATED_ID}"]
    assert [v["hostPath"]["path"] for v in spec["volumes"]] == ["/var/lib/rancher/k3s/server"]
    assert spec["hostNetwork"]
    assert change.summary == "save an etcd snapshot"
    assert "copy it off the node" in change.notes[1]
    request = render(change.effects[0], None, effect_id="e", now=NOW, generated="k3j9", made_by="r")
    assert b'"remediator-k3j9"' in request.body


def test_a_server_without_the_label_of_etcd_is_told():
    labels = {"node-role.kubernetes.io/control-plane": "true"}
    change = plan(EtcdSnapshot(), SNAPSHOT, node(labels=labels), namespace=OPEN, jobs=())
    assert any("not the embedded etcd" in note for note in change.notes)


@pytest.mark.parametrize(
    ("target", "found", "reason", "hold"),
    [
        pytest.param(node(), {}, "is no server", False, id="agent"),
        pytest.param(node(labels=SERVER, ready="Unknown"), {}, "is not ready", True, id="not ready"),
        pytest.param(node(labels=SERVER), {"namespace": namespace("x")}, "lacks the label", False, id="not opened"),
        pytest.param(node(labels=SERVER), {"jobs": (job(),)}, "one node at a time", True, id="another Job"),
    ],
)
def test_no_snapshot(target, found, reason, hold):
    refused = refusal(EtcdSnapshot(), SNAPSHOT, target, **{"namespace": OPEN, "jobs": (), **found})
    assert reason in refused.reason
    assert refused.hold is hold
