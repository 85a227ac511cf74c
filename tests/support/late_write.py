"""Sends one recorded request after a delay: what a slow network does with a request whose sender has given up."""

from __future__ import annotations

import asyncio
import sys

from remediator.adapters.kubernetes import KubernetesCluster
from remediator.errors import EffectError
from remediator.objects import ObjectRef
from remediator.ports import WriteRequest


async def main() -> None:
    kubeconfig, delay, kind, namespace, name, verb, content_type, body = sys.argv[1:]
    await asyncio.sleep(float(delay))
    cluster = await KubernetesCluster.connect("late", kubeconfig=kubeconfig)
    try:
        await cluster.write(WriteRequest(verb, ObjectRef(kind, namespace, name), content_type, bytes.fromhex(body)))  # type: ignore[arg-type]
    except EffectError as exc:
        print(f"landed in vain: {exc}", file=sys.stderr)
    finally:
        await cluster.close()


asyncio.run(main())
