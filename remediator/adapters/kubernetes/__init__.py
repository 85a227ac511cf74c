"""The `Cluster` port on a real Kubernetes API server.

    wire.py         a request of ours as method, path, query, body                   (pure)
    transport.py    one HTTP exchange: exact bytes, timeouts, credentials
    credentials.py  where server, certificates and tokens come from
    cluster.py      reads with retries, writes sent once, watches, errors in our words

Only `transport.py` and `credentials.py` know that kubernetes_asyncio is underneath.
"""

from remediator.adapters.kubernetes.cluster import KubernetesCluster

__all__ = ["KubernetesCluster"]
