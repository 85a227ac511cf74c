"""What else is in the namespace: a template for Jobs, finished Jobs, certificates and where backups go; and whoever
looks after them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from remediator.actions.times import format_time
from remediator.actions.workloads.run_job import IS_TEMPLATE
from remediator.adapters.simulated import StatusError, api
from remediator.adapters.simulated.clock import START
from remediator.objects import ObjectRef, dig, ref_of
from remediator.ports import WriteRequest
from tests.sim.acting import BACKUP, NIGHTLY
from tests.sim.playbooks import NAMESPACE

if TYPE_CHECKING:
    from tests.sim.world import World

CERTIFICATE, LOCATION = "Certificate.cert-manager.io", "BackupStorageLocation.velero.io"
OPERATOR = "cert-manager-certificates-issuing"
OLD_JOBS = ("import-1", "import-2", "import-3")
EDITS = (
    "status of a certificate",
    "issue a certificate",
    "new certificate",
    "touch a job",
    "run a job again",
    "protect a job",
    "take the name",
    "touch what was made",
    "delete what was made",
)
"""What people and operators do to these."""


def _object(api_version: str, kind: str, name: str, spec: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, **meta},
        "spec": spec,
    }


def _job_spec() -> dict[str, Any]:
    container = {"name": "dump", "image": "shop/dump:1"}
    return {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}


class Surroundings:
    """`make` puts them there. `edit`: somebody works on them by hand."""

    def __init__(self, world: World) -> None:
        self._world = world

    def make(self) -> None:
        cluster = self._world.cluster
        spec = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": _job_spec()}}
        cluster.apply(_object("batch/v1", "CronJob", "dump", spec, annotations={IS_TEMPLATE: "true"}))
        for number, name in enumerate(OLD_JOBS):
            self._old_job(name, hours=5 + number)
        for name in self._world.scenario.deployments:
            self._certificate(name)
        cluster.apply(_object("velero.io/v1", "BackupStorageLocation", "default", {"provider": "aws"}))
        cluster.set_status(ObjectRef(LOCATION, NAMESPACE, "default"), phase="Available")
        cluster._world.store.listeners.append(self._issue_soon)

    def _old_job(self, name: str, hours: int) -> None:
        cluster, ref = self._world.cluster, ObjectRef("Job", NAMESPACE, name)
        cluster.apply(_object("batch/v1", "Job", name, {**_job_spec(), "suspend": True}), manager="kubectl-create")
        ended = format_time(START - timedelta(hours=hours))
        complete = {"type": "Complete", "status": "True", "lastTransitionTime": ended}
        cluster.set_status(ref, succeeded=1, completionTime=ended, conditions=[complete])

    def _certificate(self, name: str) -> None:
        cluster, ref = self._world.cluster, ObjectRef(CERTIFICATE, NAMESPACE, name)
        cluster.apply(_object("cert-manager.io/v1", "Certificate", name, {"secretName": name}))
        self._by_operator(ref, self._issued(START - timedelta(days=80), START + timedelta(days=5)))

    def _issued(self, since: Any, until: Any) -> dict[str, Any]:
        ready = {"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": format_time(since)}
        return {"conditions": [ready], "notBefore": format_time(since), "notAfter": format_time(until)}

    def _by_operator(self, ref: ObjectRef, status: dict[str, Any]) -> None:
        """As an operator writes: its own fields in managedFields, and those of others are gone where it wrote them."""
        body = json.dumps({"status": status}).encode()
        request = WriteRequest("patch", ref, "application/merge-patch+json", body, subresource="status")
        cluster = self._world.cluster
        try:
            api.handle(cluster._world, request, manager=OPERATOR)
        except StatusError as exc:
            self._world.say(f"operator: {exc}")

    def _issue_soon(self, change: Any) -> None:
        """The operator sees that it is to issue a certificate, and does so some time later."""
        after = change.after
        if after is None or after["kind"] != "Certificate" or self._world.carried_out is None:
            return
        conditions = dig(after, "status", "conditions") or ()
        if any(c["type"] == "Issuing" and c["status"] == "True" for c in conditions):
            ref = ObjectRef(CERTIFICATE, NAMESPACE, after["metadata"]["name"])
            self._world.at(self._world.rng.choice((0.2, 3.0, 20.0)), lambda: self._issue(ref))

    def _issue(self, ref: ObjectRef) -> None:
        now = START + timedelta(seconds=self._world.loop.now)
        self._by_operator(ref, self._issued(now, now + timedelta(days=90)))

    def edit(self, what: str, name: str) -> None:
        """Raises: StatusError."""
        world, cluster = self._world, self._world.cluster
        certificate = ObjectRef(CERTIFICATE, NAMESPACE, name)
        if cluster.peek(ObjectRef(LOCATION, NAMESPACE, "default")) is None:
            return
        match what:
            case "status of a certificate":
                conditions = dig(cluster.peek(certificate) or {}, "status", "conditions") or []
                others = [c for c in conditions if c["type"] != "Noise"]
                noise = {"type": "Noise", "status": str(world.loop.now)}
                self._by_operator(certificate, {"conditions": [*others, noise]})
            case "issue a certificate":
                self._issue(certificate)
            case "new certificate":
                cluster.delete(certificate)
                self._certificate(name)
            case "touch a job" | "run a job again" | "protect a job":
                self._edit_job(what, ObjectRef("Job", NAMESPACE, world.rng.choice(OLD_JOBS)))
            case "take the name":
                if cluster.peek(ObjectRef(BACKUP, NAMESPACE, NIGHTLY)) is None:
                    cluster.apply(_object("velero.io/v1", "Backup", NIGHTLY, {"ttl": "1h"}))
            case _:
                self._edit_made(what)

    def _edit_job(self, what: str, ref: ObjectRef) -> None:
        cluster = self._world.cluster
        if cluster.peek(ref) is None:
            return
        match what:
            case "touch a job":
                cluster.edit(ref, {"metadata": {"annotations": {"note": str(self._world.loop.now)}}})
            case "run a job again":  # by that name: another one, which has just ended
                cluster.delete(ref, propagationPolicy="Background")
                self._old_job(ref.name, hours=4)
            case _:
                cluster.edit(ref, {"metadata": {"annotations": {"remediator.dev/protect": "true"}}})

    def _edit_made(self, what: str) -> None:
        cluster = self._world.cluster
        found = [ref_of(obj) for kind in (BACKUP, "Job") for obj in cluster.all(kind, NAMESPACE)]
        ours = [ref for ref in found if ref.name not in (*OLD_JOBS, NIGHTLY)]
        if not ours:
            return
        ref = self._world.rng.choice(ours)
        if what == "delete what was made":
            cluster.delete(ref, propagationPolicy="Background")
        else:
            cluster.edit(ref, {"metadata": {"annotations": {"note": str(self._world.loop.now)}}})
