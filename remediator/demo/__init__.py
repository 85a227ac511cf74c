"""`remediator demo`: the whole service on a simulated cluster, three incidents, told as they happen.

    world.py      the cluster, what its programs do, what Prometheus would measure, a clock that runs fast
    incidents.py  what goes wrong, and what is expected of the service
    telling.py    what is printed
    playbooks/    the playbooks of the demo

Everything between the webhook and the cluster is the real thing: HTTP, journal on SQLite, playbooks, guardrails.
"""

from remediator.demo.stage import run

__all__ = ["run"]
