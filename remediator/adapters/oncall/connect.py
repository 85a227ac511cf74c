"""The schedules that the configuration names."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Mapping

from remediator.adapters.oncall.opsgenie import OpsgenieOnCall
from remediator.adapters.oncall.pagerduty import PagerDutyOnCall
from remediator.errors import InvalidConfig
from remediator.people.approval_settings import Opsgenie
from remediator.people.approvers import OnCall
from remediator.people.pagerduty_settings import PagerDutyApi
from remediator.secret_files import Secret


def connect_oncall(
    pagerduty: PagerDutyApi | None, opsgenie: Opsgenie | None
) -> tuple[Mapping[str, OnCall], list[Callable[[], Awaitable[None]]]]:
    """By system, and what closes them. Raises: InvalidConfig for a secret that cannot be read."""
    found: dict[str, OnCall] = {}
    closing: list[Callable[[], Awaitable[None]]] = []
    if pagerduty is not None:
        pagerduty.token.read()
        found["pagerduty"] = one = PagerDutyOnCall(_again(pagerduty.token), url=pagerduty.url)
        closing.append(one.close)
    if opsgenie is not None:
        opsgenie.api_key.read()
        found["opsgenie"] = other = OpsgenieOnCall(_again(opsgenie.api_key), url=opsgenie.url)
        closing.append(other.close)
    return found, closing


def _again(secret: Secret) -> Callable[[], str]:
    """Read for each request. Raises: OSError, which makes it an answer that could not be had."""

    def read() -> str:
        try:
            return secret.read()
        except InvalidConfig as exc:
            raise OSError(errno.EIO, str(exc)) from exc

    return read
