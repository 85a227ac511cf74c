"""What a playbook's expressions see: the alert, the target, and the parameters in force."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from remediator.actions.view import View
from remediator.alerts.alert import Alert
from remediator.objects import annotations_of
from remediator.playbooks.expressions import Environment, Scope
from remediator.playbooks.model import Playbook
from remediator.playbooks.params import resolve_params
from remediator.playbooks.target_view import normalise_target

PARAM_ANNOTATION = "remediator.dev/param."
"""Prefix of annotations on a workload that set parameters within the playbook's bounds."""


class Scopes:
    """Makes scopes. `params` is the config: playbook name to parameter values."""

    def __init__(self, params: Mapping[str, Mapping[str, Any]]) -> None:
        self._params = params

    def scope(self, spec: Playbook, alert: Alert | None, view: View | None, now: datetime) -> Scope:
        """What the playbook was given when it was started counts most, then the target's annotations, then the config.

        Raises: InvalidParam for a value that the playbook does not take.
        """
        given: dict[str, object] = dict(self._params.get(spec.name, {}))
        if view is not None:
            for name, value in annotations_of(view.target).items():
                if name.startswith(PARAM_ANNOTATION) and name.removeprefix(PARAM_ANNOTATION) in spec.params:
                    given[name.removeprefix(PARAM_ANNOTATION)] = value
        values = resolve_params(spec.params, {**given, **spec.given})
        return Environment(alert, now).scope(params=values, target=normalise_target(view) if view else None)
