"""exec_in_pod and heap_dump: where, with which words, and where not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Call, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.outside.exec_in_pod import ExecInPod, ExecInPodParams
from remediator.actions.outside.heap_dump import HeapDump, HeapDumpParams
from remediator.actions.view import Ask
from remediator.objects import ref_of
from tests.actions.make import deployment, replicaset, view
from tests.actions.make import pod as make_pod

API = deployment()
RS = replicaset(API, 1, "shop/api:1")
ARGV = ["bin/console", "cache:clear", "--pool", "sessions"]
LISTED = {"allowed": True, "argv": ARGV, "read_only": False, "timeout_s": 30.0, "containers": []}
DUMP = {**LISTED, "argv": ["jcmd", "1", "GC.heap_dump", "/dumps/heap.hprof"]}


def pod(name: str, *, containers: tuple[str, ...] = ("api",), running: bool = True, **more: Any) -> dict[str, Any]:
    labels = more.pop("labels", {})
    spec = more.pop("spec", {})
    obj = make_pod(name, RS, **more)
    obj["metadata"]["labels"] = {"app": "api", **labels}
    obj["spec"] = {"containers": [{"name": c} for c in containers], **spec}
    state = {"running": {}} if running else {"waiting": {"reason": "CrashLoopBackOff"}}
    obj["status"]["containerStatuses"] = [{"name": c, "state": state} for c in containers]
    return obj


OLD, NEW = pod("api-1", age=timedelta(hours=2)), pod("api-2", age=timedelta(hours=1))


def seen(*pods: Any, found: Any = LISTED, **parts: Any) -> Any:
    return view(API, pods=pods, found={"command": found}, **parts)


def plan(here: Any, **params: Any) -> Any:
    action = ExecInPod()
    asked = ExecInPodParams(**{"command": "clear-cache", "args": ("sessions",), **params})
    return action.plan(action.resolve(asked, here), here)


def test_one_call_bound_to_pod_words_and_target():
    change = plan(seen(NEW, OLD))
    assert change.effects == (
        Call(
            ref=ref_of(API),
            uid="uid-deployment-api",
            via="exec",
            place="shop/api-1/api",
            request={"command": "clear-cache", "args": ["sessions"], "argv": ARGV, "uid": "uid-pod-api-1"},
            says="run bin/console cache:clear --pool sessions in container api of pod api-1",
        ),
    )
    assert change.summary == "run clear-cache in pod api-1"
    assert diff_lines(change, ref_of(API)) == (change.effects[0].says,)
    assert not change.effects[0].undoable
    assert [ref.name for ref in change.touches] == ["api-1"]


def test_what_it_asks_before():
    action, params = ExecInPod(), ExecInPodParams(command="clear-cache", args=("a",), container="api")
    request = {"about": "command", "command": "clear-cache", "args": ["a"], "container": "api"}
    assert action.wants(params, view(API)) == {"command": Ask("exec", "shop", request)}


def test_hostile_words_are_shown_as_they_are_typed():
    nasty = {**LISTED, "argv": ["echo", "a b", "$(rm -rf /)", "'"]}
    (call,) = plan(seen(OLD, found=nasty)).effects
    assert call.says.startswith("run echo 'a b' '$(rm -rf /)' ''\"'\"'' in container")


def test_very_many_words_say_that_there_are_more():
    (call,) = plan(seen(OLD, found={**LISTED, "argv": ["echo", "x" * 3000]})).effects
    assert "characters more)" in call.says
    assert len(call.says) < 1200


def test_the_pod_is_chosen_once():
    action, params = ExecInPod(), ExecInPodParams(command="clear-cache")
    chosen = action.resolve(params, seen(NEW, OLD))
    assert (chosen.pod, chosen.name) == ("named", "api-1")
    assert ExecInPodParams.model_validate(chosen.model_dump(mode="json")) == chosen
    with pytest.raises(NotPossible, match="pod api-1 does not exist any more"):
        action.plan(chosen, seen(NEW))


PRIMARY = pod("db-1", labels={"role": "primary"})


@pytest.mark.parametrize(
    ("pods", "params", "parts", "where"),
    [
        pytest.param((NEW, OLD), {"pod": "alert_pod"}, {"alert_pod": "api-2"}, "shop/api-2/api", id="of the alert"),
        pytest.param((NEW, OLD), {"pod": "named", "name": "api-2"}, {}, "shop/api-2/api", id="named"),
        pytest.param((OLD, PRIMARY), {"labels": {"role": "primary"}}, {}, "shop/db-1/api", id="the primary"),
        pytest.param(
            (pod("api-3", containers=("api", "proxy")),), {"container": "proxy"}, {}, "shop/api-3/proxy", id="c"
        ),
    ],
)
def test_where_it_runs(pods, params, parts, where):
    (call,) = plan(seen(*pods, **parts), **params).effects
    assert call.place == where


UNREADY, LEAVING = pod("api-1", ready=False), pod("api-1", leaving=True)
TWO = pod("api-1", containers=("api", "proxy"))


@pytest.mark.parametrize(
    ("pods", "params", "parts", "reason", "hold"),
    [
        pytest.param((), {}, {}, "no ready pod", True, id="no pods"),
        pytest.param((UNREADY,), {}, {}, "no ready pod", True, id="none ready"),
        pytest.param((OLD,), {"pod": "alert_pod"}, {}, "names no pod", False, id="no pod in the alert"),
        pytest.param((OLD,), {"pod": "alert_pod"}, {"alert_pod": "x-1"}, "is not a pod of", False, id="another's pod"),
        pytest.param((LEAVING,), {"pod": "named", "name": "api-1"}, {}, "going away", False, id="leaving"),
        pytest.param((OLD, NEW), {"labels": {"app": "api"}}, {}, "several pods", False, id="labels of several"),
        pytest.param((OLD,), {"labels": {"role": "primary"}}, {}, "with role=primary", True, id="labels of none"),
        pytest.param((TWO,), {}, {}, "several containers: say `container`, one of api, proxy", False, id="which one"),
        pytest.param((OLD,), {"container": "db"}, {}, "has no container db; it has api", False, id="no such container"),
        pytest.param((pod("api-1", running=False),), {}, {}, "does not run", True, id="crashing"),
        pytest.param((OLD,), {}, {"unreadable": {"pods": "503"}}, "CANNOT SEE", True, id="pods unreadable"),
    ],
)
def test_where_it_does_not_run(pods, params, parts, reason, hold):
    with pytest.raises(NotPossible, match=reason) as caught:
        plan(seen(*pods, **parts), **params)
    assert caught.value.hold is hold


def test_what_is_not_listed_is_a_definite_no():
    with pytest.raises(NotPossible, match=r"outside\.exec has no command 'x'") as caught:
        plan(seen(OLD, found={"allowed": False, "why": "outside.exec has no command 'x'"}))
    assert not caught.value.hold


def test_the_list_may_name_the_container():
    (call,) = plan(seen(TWO, found={**LISTED, "containers": ["proxy"]})).effects
    assert call.place == "shop/api-1/proxy"
    with pytest.raises(NotPossible, match="allows this in proxy only"):
        plan(seen(TWO, found={**LISTED, "containers": ["proxy"]}), container="api")


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"command": "Rm -rf"}, id="no name"),
        pytest.param({"command": "a", "pod": "named"}, id="named without a name"),
        pytest.param({"command": "a", "name": "x"}, id="a name without named"),
        pytest.param({"command": "a", "pod": "alert_pod", "labels": {"a": "b"}}, id="labels with another choice"),
        pytest.param({"command": "a", "args": ["x"] * 21}, id="too many words"),
        pytest.param({"command": "a", "args": ["x" * 501]}, id="a long word"),
        pytest.param({"command": "a", "argv": ["sh"]}, id="words of one's own"),
    ],
)
def test_params_that_are_wrong(params):
    with pytest.raises(ValidationError):
        ExecInPodParams.model_validate(params)


# heap_dump


def jvm(*, memory: str = "2Gi", mount: Any = None, volume: Any = None, **container: Any) -> dict[str, Any]:
    obj = pod("api-1")
    spec: dict[str, Any] = {"name": "api", "resources": {"limits": {"memory": memory} if memory else {}}, **container}
    if mount is not None:
        spec["volumeMounts"] = [{"name": "root", "mountPath": "/"}, {"name": "dumps", **mount}]
        obj["spec"]["volumes"] = [{"name": "dumps", **volume}]
    obj["spec"]["containers"] = [spec]
    return obj


SCRATCH: Any = {"mount": {"mountPath": "/dumps"}, "volume": {"emptyDir": {"sizeLimit": "4Gi"}}}


def dump(here: Any, **params: Any) -> Any:
    action = HeapDump()
    asked = HeapDumpParams(**{"path": "/dumps/heap.hprof", **params})
    return action.plan(action.resolve(asked, here), here)


def test_a_dump_always_asks_and_takes_the_copy():
    change = dump(seen(jvm(**SCRATCH), found=DUMP))
    (call,) = change.effects
    assert call.request["argv"] == DUMP["argv"]
    assert call.request["args"] == ["/dumps/heap.hprof"]
    assert change.takes == 1
    assert "passwords" in change.needs_approval
    assert diff_lines(change) == ("run jcmd 1 GC.heap_dump /dumps/heap.hprof in container api of pod api-1",)
    assert any("on volume dumps; the container may use 2048 MiB" in note for note in change.notes)
    assert HeapDump.changes_data
    assert "pdbs" in HeapDump.needs


def test_an_unready_copy_is_not_taken():
    broken = jvm(**SCRATCH)
    broken["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    assert dump(seen(broken, found=DUMP), pod="named", name="api-1").takes == 0


def _volume(**volume: Any) -> dict[str, Any]:
    return {"mount": {"mountPath": "/dumps"}, "volume": volume}


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        pytest.param(_volume(emptyDir={"sizeLimit": "1Gi"}), "has room for 1024 MiB", id="too small a volume"),
        pytest.param(_volume(emptyDir={"medium": "Memory"}), "is memory", id="a volume in memory"),
        pytest.param(_volume(configMap={"name": "x"}), "cannot be written", id="a config map"),
        pytest.param(_volume(emptyDir={"sizeLimit": "much"}), "cannot be read", id="a limit that cannot be read"),
        pytest.param(
            {"mount": {"mountPath": "/dumps", "readOnly": True}, "volume": {"emptyDir": {}}},
            "read-only",
            id="read-only",
        ),
        pytest.param(
            {"resources": {"limits": {"memory": "2Gi", "ephemeral-storage": "1Gi"}}}, "would be evicted", id="no room"
        ),
        pytest.param({"securityContext": {"readOnlyRootFilesystem": True}}, "read-only file system", id="no disk"),
    ],
)
def test_no_dump_where_it_cannot_be_written(shape, reason):
    with pytest.raises(NotPossible, match=reason):
        dump(seen(jvm(**shape), found=DUMP))


def test_on_the_nodes_disk_it_is_said():
    change = dump(seen(jvm(), found=DUMP))
    assert any("on the node's disk" in note for note in change.notes)


@pytest.mark.parametrize("argv", [["jcmd", "1", "VM.flags"], ["jcmd", "1", "GC.heap_dump", "/other.hprof"]])
def test_another_command_is_no_dump(argv):
    with pytest.raises(NotPossible, match=r"is not `jcmd PID GC\.heap_dump"):
        dump(seen(jvm(**SCRATCH), found={**DUMP, "argv": argv}))


@pytest.mark.parametrize(
    "path",
    [
        "heap.hprof",
        "/heap.hprof",
        "/dumps/../etc/x.hprof",
        "/dumps/heap",
        "/a b/x.hprof",
        "/d//x.hprof",
    ],
)
def test_paths_that_are_wrong(path):
    with pytest.raises(ValidationError):
        HeapDumpParams(path=path)
