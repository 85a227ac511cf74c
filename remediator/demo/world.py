"""The demo's cluster: ten services, a bad release, a cart that only a restart helps, and a clock that runs fast."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.adapters.simulated import CRASHING, Behaviour, SimulatedCluster, SimulatedQueries
from remediator.objects import Object, ObjectRef, annotations_of, dig, labels_of

NAMESPACE = "shop"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
CHECKOUT, CART = "checkout", "cart"
SERVICES = ("search", "prices", "stock", "users", "orders", "mail", "tax", "media", "reviews")
GOOD, BAD = "registry.example.com/shop/checkout:1.8.2", "registry.example.com/shop/checkout:1.9.0"
BAD_RATIO, GOOD_RATIO = 0.23, 0.001


class FastClock:
    """The `Clock` port, `speed` times as fast as the wall; `skip` leaps ahead."""

    def __init__(self, speed: float, start: datetime) -> None:
        self._speed = speed
        self._start = start
        self._began = time.monotonic()
        self._skipped = timedelta(0)

    def now(self) -> datetime:
        elapsed = timedelta(seconds=(time.monotonic() - self._began) * self._speed)
        return self._start + self._skipped + elapsed

    def boot(self) -> float:
        # Real seconds: what is measured with it is this process, not the story.
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)

    def skip(self, span: timedelta) -> None:
        self._skipped += span

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        return asyncio.get_running_loop().call_later(delay_s / self._speed, callback)


def deployment(name: str, *, image: str = "", replicas: int = 3) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "app", "image": image or f"registry.example.com/shop/{name}:2.4.0"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


class Shop:
    """The cluster and what Prometheus would say about it."""

    def __init__(self, speed: float) -> None:
        self.clock = FastClock(speed, datetime.now(UTC) - timedelta(hours=1))
        self.cluster = SimulatedCluster("demo", self.clock, schedule=self.clock.call_later)
        self.queries = SimulatedQueries(self.clock)
        self.queries.set("demo_error_ratio", lambda at: self.error_ratio())
        self.cart_is_sick = False
        self.cluster.behave(self._cart)
        self.cluster.log_of = _log
        self.cluster.apply(deployment(CHECKOUT, image=GOOD, replicas=4), deployment(CART))
        self.cluster.apply(*(deployment(name, replicas=2) for name in SERVICES))

    def _cart(self, pod: Object) -> Behaviour | None:
        """The cart's pods crash until they are replaced."""
        if labels_of(pod).get("app") != CART or not self.cart_is_sick or RESTARTED_AT in annotations_of(pod):
            return None
        return CRASHING

    def error_ratio(self) -> float:
        """Of the checkout: bad as long as a pod of the bad release takes traffic."""
        return BAD_RATIO if any(_image(p) == BAD for p in self.pods(CHECKOUT)) else GOOD_RATIO

    def pods(self, name: str) -> list[Object]:
        return [p for p in self.cluster.all("Pod", NAMESPACE) if labels_of(p).get("app") == name]

    def workload(self, name: str) -> Object:
        found = self.cluster.peek(ObjectRef("Deployment", NAMESPACE, name))
        assert found is not None
        return found

    def available(self, name: str) -> int:
        return int(dig(self.workload(name), "status", "availableReplicas", default=0))

    def image(self, name: str) -> str:
        return _image({"spec": dig(self.workload(name), "spec", "template", "spec")})

    def release(self, image: str) -> None:
        """Somebody rolls out another checkout."""
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}}
        self.cluster.edit(ObjectRef("Deployment", NAMESPACE, CHECKOUT), patch, manager="kubectl-set")

    def poison_the_cart(self) -> None:
        self.cart_is_sick = True
        self.cluster.reconsider()


def _image(pod: Object) -> str:
    return str((dig(pod, "spec", "containers") or [{}])[0].get("image", ""))


def _log(pod: Object, container: str, previous: bool) -> str | None:
    if labels_of(pod).get("app") != CART:
        return None
    return (
        "loading session cache from /tmp/cart.cache\npanic: checksum mismatch in /tmp/cart.cache, refusing to start\n"
    )
