"""Events on the target need no more than the chart grants where it lets us write."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from remediator.adapters.kubernetes import KubernetesCluster
from remediator.adapters.kubernetes_events import EventCarrier
from remediator.people.beside import CONTROLLER
from remediator.people.outbox_rows import OutboxRow
from tests.support.controlplane import ControlPlane, manifests
from tests.support.rbac import grant_chart_roles

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("helm_built")]
NOW = datetime(2025, 6, 2, 3, 5, 10, tzinfo=UTC)


class StillClock:
    def now(self) -> datetime:
        return NOW

    def boot(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None: ...


async def test_the_chart_s_rights_are_enough(control_plane: ControlPlane, namespace: str) -> None:
    """One Event, counted up when it is told again."""
    token = grant_chart_roles(control_plane, "remediator", namespace, write=[namespace])
    control_plane.client.create(manifests.deployment("web"), namespace)
    uid = control_plane.client.get("deployments", "web", namespace)["metadata"]["uid"]
    about = {"kind": "Deployment", "namespace": namespace, "name": "web", "uid": uid}
    told = {"reason": "Remediating", "type": "Normal", "note": "restart", "at": NOW.isoformat()}
    row = OutboxRow(
        id=1,
        channel="kubernetes_event",
        destination="test",
        key="k",
        kind="event",
        payload={**about, **told, "id": "0001"},
        due_at=NOW,
        created_at=NOW,
    )
    kubeconfig = control_plane.kubeconfig_for(token, f"{namespace}-events")
    cluster = await KubernetesCluster.connect("test", kubeconfig=kubeconfig)
    carrier = EventCarrier({"test": cluster}, StillClock())
    for number in ("0001", "0002"):
        await carrier.deliver(replace(row, payload={**row.payload, "id": number}), None)
    found = await cluster.list("Event", namespace, fields=f"involvedObject.uid={uid}")
    assert [e["count"] for e in found.items if e.get("reportingComponent") == CONTROLLER] == [2]
    await cluster.close()
