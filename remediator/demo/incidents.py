"""What goes wrong in the demo, and what is expected of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp

from remediator.demo.telling import Narrator
from remediator.demo.world import BAD, BAD_RATIO, CART, CHECKOUT, GOOD, NAMESPACE, SERVICES, Shop
from remediator.remediation.journal import Journal
from remediator.remediation.state import Remediation, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What an incident works with. `post` sends alerts through the real HTTP webhook."""

    shop: Shop
    journal: Journal
    narrator: Narrator
    post: Callable[[list[dict[str, Any]]], Awaitable[None]]

    async def until(self, holds: Callable[[], Awaitable[bool] | bool], *, minutes: float) -> bool:
        """Whether it comes true within so many minutes of the story."""
        end = self.shop.clock.now() + timedelta(minutes=minutes)
        while self.shop.clock.now() < end:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return True
            await asyncio.sleep(0.05)
        return False

    async def newest(self, playbook: str) -> Remediation | None:
        found = await self.journal.recent(1, playbook=playbook)
        return found[0] if found else None

    def alert(self, name: str, severity: str, summary: str, **labels: str) -> dict[str, Any]:
        started = self.shop.clock.now() - timedelta(minutes=2)
        return {
            "status": "firing",
            "labels": {"alertname": name, "severity": severity, "namespace": NAMESPACE, **labels},
            "annotations": {"summary": summary},
            "startsAt": started.isoformat().replace("+00:00", "Z"),
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
        }


async def bad_release(stage: Stage) -> bool:
    """A release raises the error rate; it is rolled back to the last revision that was healthy."""
    shop, say = stage.shop, stage.narrator.happens
    stage.narrator.heading("1. A bad release")
    shop.release(BAD)
    say(f"kubectl set image deployment/{CHECKOUT} app={BAD}")
    await stage.until(lambda: shop.available(CHECKOUT) == 4 and len(shop.pods(CHECKOUT)) == 4, minutes=5)
    shop.clock.skip(timedelta(minutes=3))
    say(f"{CHECKOUT} 1.9.0 is rolled out: {BAD_RATIO:.0%} of its requests fail. Alertmanager posts HighErrorRate.")
    await stage.post([stage.alert("HighErrorRate", "critical", "checkout answers 5xx", deployment=CHECKOUT)])

    async def over() -> bool:
        r = await stage.newest("rollback-bad-release")
        return r is not None and r.ended

    await stage.until(over, minutes=20)
    r = await stage.newest("rollback-bad-release")
    good = r is not None and r.state is State.SUCCEEDED and shop.image(CHECKOUT) == GOOD and len(r.done) == 1
    stage.narrator.result(f"{CHECKOUT} runs {shop.image(CHECKOUT)}, {shop.error_ratio():.1%} errors, proven", good=good)
    return good


async def crash_loop(stage: Stage) -> bool:
    """Pods crash because of what they stored; three alerts of three pods are one restart."""
    shop, say = stage.shop, stage.narrator.happens
    stage.narrator.heading("2. A crash loop")
    shop.poison_the_cart()
    await stage.until(lambda: shop.available(CART) == 0, minutes=5)
    shop.clock.skip(timedelta(minutes=3))
    pods = [str(p["metadata"]["name"]) for p in shop.pods(CART)]
    say(f"all {len(pods)} pods of {CART} crash-loop. Alertmanager posts one alert for each of them.")
    await stage.post([stage.alert("KubePodCrashLooping", "critical", f"{pod} crashes", pod=pod) for pod in pods])

    async def over() -> bool:
        r = await stage.newest("restart-crash-loop")
        return r is not None and r.ended

    await stage.until(over, minutes=20)
    r = await stage.newest("restart-crash-loop")
    runs = await stage.journal.recent(50, playbook="restart-crash-loop")
    good = r is not None and r.state is State.SUCCEEDED and len(runs) == 1 and len(r.alerts) == len(pods)
    good = good and shop.available(CART) == 3
    stage.narrator.result(
        f"one restart for {len(pods)} alerts; {CART} has {shop.available(CART)} of 3 copies", good=good
    )
    return good


async def storm(stage: Stage) -> bool:
    """Nine services are slow at once: one cause. Nothing is restarted, one message says why."""
    stage.narrator.heading("3. A storm")
    stage.shop.clock.skip(timedelta(minutes=10))
    stage.narrator.happens(
        f"{len(SERVICES)} services are slow at the same moment. Alertmanager posts all of them at once."
    )
    alerts = [stage.alert("HighLatency", "warning", f"{name} is slow", deployment=name) for name in SERVICES]
    await stage.post(alerts)

    async def held() -> bool:
        found = await stage.journal.recent(50, playbook="restart-slow-service")
        told = all(r.state is State.HELD and f"once for all {len(SERVICES)}" in r.reason for r in found)
        return len(found) == len(SERVICES) and told

    good = await stage.until(held, minutes=5)
    await asyncio.sleep(0.5)
    found = await stage.journal.recent(50, playbook="restart-slow-service")
    good = good and all(not r.done for r in found)
    stage.narrator.result(f"{len(found)} remediations held, one page, none of them touched anything", good=good)
    if found:
        stage.narrator.plain(f"  {found[0].reason}")
    return good


INCIDENTS = (bad_release, crash_loop, storm)


async def post_webhook(url: str, token: str, alerts: list[dict[str, Any]]) -> None:
    """As Alertmanager does. Raises: RuntimeError unless it was accepted."""
    body = {"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "remediator", "alerts": alerts}
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as answer:
        if answer.status != 200:
            raise RuntimeError(f"webhook answered {answer.status}: {await answer.text()}")
