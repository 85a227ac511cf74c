"""From the webhook to the effect on a real API server, idle, one alert at a time; beside it the bare API calls alone.

    python -m bench.post_to_effect

The end is the time at which the API server's audit log received the patch. Playbook in auto, gather 0, no PromQL.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import yaml

from remediator.adapters.kubernetes import KubernetesCluster
from remediator.objects import ObjectRef
from remediator.ports import WriteRequest
from tests.support.controlplane import ControlPlane, manifests, wait_until
from tests.support.scenes import effects_of, quick, wait_available
from tests.support.service import API_TOKEN, WEBHOOK_TOKEN, Service, alert

NAMESPACE = "bench"
COUNT = 10
PATCH = b'{"metadata":{"annotations":{"bench":"y"}}}'


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        plane = ControlPlane(directory / "plane")
        plane.start()
        try:
            plane.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            names = [f"api-{n}" for n in range(COUNT)]
            for name in names:
                plane.client.create(manifests.deployment(name, replicas=1), NAMESPACE)
            for name in names:
                wait_available(plane, NAMESPACE, name, 1, timeout_s=120)
            bare = asyncio.run(bare_calls(plane, [(NAMESPACE, name) for name in names]))
            ours = through_the_service(plane, directory / "service", names)
        finally:
            plane.stop()
    show("bare: get, dry run, patch", bare)
    show("webhook to effect", ours)
    print(f"ratio of the medians: {statistics.median(ours) / statistics.median(bare):.2f}")


async def bare_calls(plane: ControlPlane, deployments: Sequence[tuple[str, str]]) -> list[float]:
    """Seconds for one read, one rehearsal and one write, which nobody could leave out. Namespace and name of each."""
    cluster = await KubernetesCluster.connect("bare", kubeconfig=plane.kubeconfig)
    taken = []
    try:
        for namespace, name in deployments:
            ref = ObjectRef("Deployment", namespace, name)
            request = WriteRequest(
                "patch", ref, "application/merge-patch+json", b'{"metadata":{"annotations":{"x":"y"}}}'
            )
            start = time.perf_counter()
            await cluster.get(ref)
            await cluster.write(request, dry_run=True)
            await cluster.write(request)
            taken.append(time.perf_counter() - start)
    finally:
        await cluster.close()
    return taken


def through_the_service(plane: ControlPlane, directory: Path, names: Sequence[str]) -> list[float]:
    """Seconds from just before the post to the audit log's time of the patch."""
    playbooks = directory / "playbooks"
    playbooks.mkdir(parents=True)
    (playbooks / "restart.yaml").write_text(yaml.safe_dump(quick(verify={"settle": "10m", "timeout": "20m"})))
    limits = {
        "rate_limit": {"target": 6, "playbook": 20, "namespace": 30, "cluster": 60},
        "in_flight": {"playbook": 5, "cluster": 20, "everywhere": 50},
    }
    config = {
        "listen": {"host": "127.0.0.1", "port": 0},
        "sources": [{"name": "bench", "tokens": [{"value": WEBHOOK_TOKEN}]}],
        "api": [{"name": "bench", "role": "admin", "token": {"value": API_TOKEN}}],
        "store": {"path": str(directory / "journal.db")},
        "clusters": [{"name": "default", "kubeconfig": str(plane.kubeconfig)}],
        "playbooks": {"folders": [str(playbooks)]},
        "policy": {"mode_ceiling": "auto", "defaults": limits},
    }
    taken = []
    service = Service(directory, config).start()
    try:
        # Each keeps its slot until it is verified, and a sixth target would be a storm: five is what is let through.
        for name in names[:5]:
            since = plane.audit_offset()
            start = datetime.now(UTC)
            assert service.post_alerts(alert("Stuck", NAMESPACE, deployment=name))[0] == 200
            (event,) = wait_until(partial(effects_of, plane, NAMESPACE, since), timeout_s=10, what=name)
            received = datetime.fromisoformat(event.received_at.replace("Z", "+00:00"))
            taken.append((received - start).total_seconds())
    finally:
        service.stop()
    return taken


def show(what: str, seconds: Sequence[float]) -> None:
    ordered = sorted(s * 1000 for s in seconds)
    print(f"{what}: median {statistics.median(ordered):.1f} ms, worst {ordered[-1]:.1f} ms, {len(ordered)} runs")


if __name__ == "__main__":
    main()
