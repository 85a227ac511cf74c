"""PersistentVolumeClaim: bound at once, grown a little after it is asked for, as by a driver that expands online."""

from __future__ import annotations

from remediator.adapters.simulated.store import Obj, ref_to
from remediator.adapters.simulated.world import World
from remediator.objects import dig

EXPANSION_S = 10.0


def reconcile(world: World, claim: Obj) -> None:
    wanted = dig(claim, "spec", "resources", "requests", "storage", default="1Gi")
    if dig(claim, "status", "phase") != "Bound":
        status = {
            "phase": "Bound",
            "accessModes": claim["spec"].get("accessModes", ["ReadWriteOnce"]),
            "capacity": {"storage": wanted},
        }
        world.set_status(claim, status)
    elif dig(claim, "status", "capacity", "storage") != wanted:
        ref = ref_to(claim)

        def expand() -> None:
            current = world.store.at(ref)
            if current is not None:
                world.set_status(current, {**current["status"], "capacity": {"storage": wanted}})

        world.later(EXPANSION_S, expand)
