"""Who is on call now, from the schedules of PagerDuty and Opsgenie: the port `OnCall`."""

from __future__ import annotations

from remediator.adapters.oncall.connect import connect_oncall
from remediator.adapters.oncall.opsgenie import OpsgenieOnCall
from remediator.adapters.oncall.pagerduty import PagerDutyOnCall

__all__ = ["OpsgenieOnCall", "PagerDutyOnCall", "connect_oncall"]
