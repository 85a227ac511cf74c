"""exec against a real API server, whose pods have simulated kubelets: those run a program only in one container."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from remediator.adapters.callers.exec import ExecCaller
from remediator.adapters.kubernetes import KubernetesCluster
from remediator.errors import Refused, TargetGone, Uncertain
from remediator.objects import ObjectRef
from remediator.outside import ExecCommand
from tests.contract.backends import Real
from tests.support.controlplane import ControlPlane, wait_until
from tests.support.controlplane import manifests as m
from tests.support.controlplane.server import RUNS_PROGRAMS

SAY = ("printf", "%s,%s", "a b", "$HOME;id")


@pytest.fixture
async def real(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Real]:
    made = await Real.connect(control_plane, namespace)
    yield made
    await made.close()


@pytest.fixture
def pod(control_plane: ControlPlane, namespace: str) -> Any:
    manifest = m.deployment("web", replicas=1)
    (app,) = manifest["spec"]["template"]["spec"]["containers"]
    manifest["spec"]["template"]["spec"]["containers"].append({**app, "name": RUNS_PROGRAMS})
    control_plane.client.create(manifest, namespace)
    found: list[Any] = []

    def runs() -> bool:
        found[:] = control_plane.client.list("pods", namespace, labels="app=web")
        return bool(found) and found[0]["status"].get("phase") == "Running"

    wait_until(runs, what="a pod")
    return found[0]


def caller_on(cluster: Any, namespace: str, argv: tuple[str, ...] = SAY, timeout: str = "20s") -> ExecCaller:
    listed = {"name": "program", "argv": argv, "namespaces": [namespace], "timeout": timeout}
    return ExecCaller((ExecCommand.model_validate(listed),), cluster, cluster)


def asked(pod: Any, argv: tuple[str, ...] = SAY, container: str = RUNS_PROGRAMS) -> tuple[str, dict[str, Any]]:
    meta = pod["metadata"]
    request = {"command": "program", "args": [], "argv": list(argv), "uid": meta["uid"]}
    return f"{meta['namespace']}/{meta['name']}/{container}", request


async def test_a_program_gets_its_words_and_says_how_it_ended(real: Real, pod: Any) -> None:
    place, request = asked(pod)
    caller = caller_on(real.cluster, real.namespace)
    assert await caller.rehearse(place, request) == ""
    said = await caller.send(place, request, key="e-1")
    assert (said["exit_code"], said["stdout"], said["stderr"]) == (0, "a b,$HOME;id", "")


async def test_much_output_keeps_its_end(real: Real, pod: Any) -> None:
    argv = ("seq", "1", "200000")
    place, request = asked(pod, argv)
    said = await caller_on(real.cluster, real.namespace, argv).send(place, request, key="e-1")
    assert said["cut"]
    assert said["stdout"].endswith("199999\n200000\n")


async def test_a_failure_without_its_exit_code_is_uncertain(real: Real, pod: Any) -> None:
    """The simulated kubelet does not tell exit codes: an error, then, that may be one of a program that ran."""
    argv = ("ls", "/nowhere-at-all")
    place, request = asked(pod, argv)
    with pytest.raises(Uncertain, match="exit status 2"):
        await caller_on(real.cluster, real.namespace, argv).send(place, request, key="e-1")


async def test_a_program_that_takes_too_long_is_uncertain(real: Real, pod: Any) -> None:
    argv = ("sleep", "5")
    place, request = asked(pod, argv)
    with pytest.raises(Uncertain, match="may still run"):
        await caller_on(real.cluster, real.namespace, argv, "1s").send(place, request, key="e-1")
    await real.cluster.close()
    gc.collect()  # a connection that is left behind fails the test


async def test_who_may_not_is_refused_before_anything_runs(real: Real, pod: Any) -> None:
    place, request = asked(pod)
    caller = caller_on(await real.restricted(), real.namespace)
    with pytest.raises(Refused, match="cannot") as caught:
        await caller.send(place, request, key="e-1")
    assert caught.value.forbidden
    with pytest.raises(Refused, match="may not create pods/exec"):
        await caller.rehearse(place, request)


async def test_what_does_not_exist(real: Real, pod: Any) -> None:
    cluster = real.cluster
    assert isinstance(cluster, KubernetesCluster)
    with pytest.raises(TargetGone, match="not found"):
        await cluster.exec(ObjectRef("Pod", real.namespace, "nobody"), container="app", argv=SAY, timeout_s=10)
    here = ObjectRef("Pod", real.namespace, pod["metadata"]["name"])
    with pytest.raises(Refused, match="container"):
        await cluster.exec(here, container="nobody", argv=SAY, timeout_s=10)


async def test_an_error_behind_the_api_server_comes_over_the_websocket_and_is_uncertain(real: Real, pod: Any) -> None:
    """The API server upgrades before it asks the kubelet: a kubelet's no is no refused handshake."""
    place, request = asked(pod, container="app")
    with pytest.raises(Uncertain, match="cannot be told"):
        await caller_on(real.cluster, real.namespace).send(place, request, key="e-1")
