"""Container logs: what the behaviour says, or a few made-up lines."""

from __future__ import annotations

from typing import Any

from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import World
from remediator.errors import CannotSee, NotFound
from remediator.objects import dig


def read_log(world: World, pod: Obj, container: str, *, previous: bool) -> tuple[str, str]:
    """(container, its whole log). Raises: NotFound, CannotSee."""
    name, names = pod["metadata"]["name"], [c["name"] for c in pod["spec"]["containers"]]
    if not container:
        if len(names) > 1:
            raise CannotSee(f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]")
        container = names[0]
    if container not in names:
        raise NotFound(f"container {container} is not valid for pod {name}")
    found = [c for c in dig(pod, "status", "containerStatuses") or () if c["name"] == container]
    if not found or "ContainerCreating" in str(found[0]["state"]) or "ImagePull" in str(found[0]["state"]):
        raise NotFound(f'container "{container}" in pod "{name}" is waiting to start')
    last = found[0]["lastState"].get("terminated")
    if previous and last is None:
        raise NotFound(f'previous terminated container "{container}" in pod "{name}" not found')
    told = world.behaviour(pod).log
    if told is not None and container == names[0]:
        return container, told
    return container, _made_up(container, found[0], previous=previous)


def _made_up(container: str, status: dict[str, Any], *, previous: bool) -> str:
    state = status["state"]
    ended = status["lastState"].get("terminated") if previous or "waiting" in state else state.get("terminated")
    started = ended["startedAt"] if ended else state["running"]["startedAt"]
    lines = [f"{started} {container} starting, image {status['image']}"]
    if ended and ended["reason"] == "OOMKilled":
        lines.append(f"{ended['finishedAt']} allocating buffers")
    elif ended and ended["exitCode"]:
        lines.append(f"{ended['finishedAt']} fatal: cannot start, exit {ended['exitCode']}")
    elif ended:
        lines.append(f"{ended['finishedAt']} done")
    elif status["ready"]:
        lines.append(f"{started} listening on :8080")
    return "\n".join(lines) + "\n"
