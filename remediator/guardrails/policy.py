"""The operator's policy: what holds when a playbook is silent, and how far one may go, here. Nothing is unlimited.

The default of a number is, weakest first: shipped, `defaults`, the environment's, the severity's, the playbook's own.
The ceiling is the tightest of what is shipped, `ceilings`, and the environment's. A playbook moves freely below it;
asking for more is an error at load (`ceilings.py`). Where more is safer (cooldown, min_available) the ceiling is a
floor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from remediator.guardrails.environments import ANY, SEVERITIES, Environment, Place, Rules, Severity
from remediator.guardrails.facts import EffectiveLimits
from remediator.guardrails.layers import Row, rows_of
from remediator.playbooks.fields import Mode
from remediator.playbooks.limits import flat
from remediator.playbooks.limits_table import FAILURE_DOMAIN_LABEL
from remediator.playbooks.model import Playbook
from remediator.playbooks.windows_model import Windows, Zone

EVERYWHERE = Place()
CONTROL_PLANE = frozenset({"kube-system"})
QUORUM_DATA = 2
"""What no second pair of eyes has seen, and nothing takes back."""
FLOORS = ("min_available", "min_healthy")
"""Shares or copies: those of playbook and operator cannot be compared, so guardrails look at both."""


def _lower(names: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): meaning.lower() for name, meaning in names.items()}


class Policy(Rules):
    """Part of the operator's configuration. What is said here holds where no environment matches, and for whatever an
    environment leaves open; blockers, windows and ceilings hold everywhere."""

    mode_ceiling: Mode = Mode.APPROVE
    environments: tuple[Environment, ...] = ()
    severities: Mapping[str, Severity] = Field(default_factory=dict)
    """By the name of `severity_map`, or the alert's own where it is not in there."""
    severity_map: Annotated[Mapping[str, str], AfterValidator(_lower)] = Field(default=SEVERITIES)
    zone: Zone = ""
    """For windows that name none."""
    protected_namespaces: frozenset[str] = CONTROL_PLANE
    """Untouchable unless named one by one: our own, the control plane's, the monitoring stack's, the state store's.
    What is listed comes on top of the control plane's: nobody means to give that up by naming another."""

    @field_validator("protected_namespaces")
    @classmethod
    def _with_the_control_plane(cls, value: frozenset[str]) -> frozenset[str]:
        return value | CONTROL_PLANE

    @field_validator("severities")
    @classmethod
    def _in_lower_case(cls, value: Mapping[str, Severity]) -> Mapping[str, Severity]:
        return {name.lower(): severity for name, severity in value.items()}

    def all_windows(self) -> tuple[tuple[str, Windows], ...]:
        """Everywhere that windows are given, by the path of the setting."""
        said = [("policy.windows", self.windows)]
        said += [(f"policy.environments[{e.name}].windows", e.windows) for e in self.environments]
        return tuple((where, windows) for where, windows in said if windows is not None)

    def domain_labels(self) -> frozenset[str]:
        """Labels of failure domains that playbooks may name: the shipped one, and those that the operator wrote."""
        said = [self.defaults, self.ceilings, *(s.defaults for s in self.severities.values())]
        for environment in self.environments:
            said += [environment.defaults, environment.ceilings]
        written = (numbers.failure_domain.label for numbers in said if numbers.failure_domain)
        return frozenset({FAILURE_DOMAIN_LABEL, *(label for label in written if label)})

    def environment_at(self, place: Place) -> Environment | None:
        """The first one that matches; the one decided before, where it was."""
        if place.environment is not None:
            return next((e for e in self.environments if e.name == place.environment), None)
        return next((e for e in self.environments if e.match.holds(place)), None)

    def severity_at(self, place: Place) -> tuple[str, Severity | None]:
        said = place.severity.lower()
        name = self.severity_map.get(said, said)
        return name, self.severities.get(name)


def limits_in_force(playbook: Playbook, policy: Policy, place: Place = EVERYWHERE) -> EffectiveLimits:
    """The numbers in force for a playbook. What is beyond a ceiling is brought back to it: a playbook may be used in
    several environments, and a remediation may be under way while the operator lowers a ceiling."""
    environment = policy.environment_at(place)
    rows = limit_rows(playbook, policy, place)
    numbers: dict[str, Any] = {row.limit.field: row.value for row in rows}
    floors: dict[str, Any] = {f"{row.limit.key}_floor": row.ceiling for row in rows if row.limit.key in FLOORS}
    ceiling = mode_ceiling_at(policy, environment, place)
    said = (policy, environment) if environment else (policy,)
    windows = (*(rules.windows for rules in said), playbook.guardrails.windows)
    blockers = [blocker for rules in said for blocker in rules.blockers]
    return EffectiveLimits(
        mode=min(playbook.mode, ceiling, key=lambda mode: mode.rank),
        mode_ceiling=ceiling,
        auto=_said(policy, environment, "auto") or (ANY,),
        failure_domain_label=domain_label(playbook, policy, place),
        environment=environment.name if environment else "",
        windows=tuple(w.in_zone(policy.zone) for w in windows if w is not None),
        blockers=tuple(dict.fromkeys((*blockers, *playbook.guardrails.blockers))),
        overload=_said(policy, environment, "overload") or "",
        **numbers,
        **floors,
    )


def limit_rows(playbook: Playbook, policy: Policy, place: Place = EVERYWHERE) -> tuple[Row, ...]:
    """Every number with everything that was said about it, in the order of the shipped table."""
    environment = policy.environment_at(place)
    name, severity = policy.severity_at(place)
    said = {"policy": policy.defaults}
    ceilings = {"policy": policy.ceilings}
    if environment is not None:
        said[f"environment {environment.name}"] = environment.defaults
        ceilings[f"environment {environment.name}"] = environment.ceilings
    if severity is not None:
        said[f"severity {name}"] = severity.defaults
    said["playbook"] = playbook.guardrails
    return rows_of({by: flat(n) for by, n in said.items()}, {by: flat(n) for by, n in ceilings.items()})


def quorum_in_force(playbook: Playbook, policy: Policy, place: Place, *, data: bool) -> int:
    """Approvers that are needed: the playbook's number, never fewer than the operator's. `data`: it changes data or
    cannot be taken back."""
    environment = policy.environment_at(place)
    wanted = [playbook.approval.quorum, _said(policy, environment, "quorum") or 1]
    if data:
        wanted.append(_said(policy, environment, "quorum_data") or QUORUM_DATA)
    return max(wanted)


def _said(policy: Policy, environment: Environment | None, key: str) -> Any:
    """The environment's word, or the policy's."""
    own = getattr(environment, key) if environment is not None else None
    return own or getattr(policy, key)


def mode_ceiling_at(policy: Policy, environment: Environment | None, place: Place) -> Mode:
    ceiling: Mode = _said(policy, environment, "mode_ceiling")
    return min(ceiling, place.highest or ceiling, key=lambda mode: mode.rank)


def domain_label(playbook: Playbook, policy: Policy, place: Place) -> str:
    """The operator may fix the label: one that no node has would switch the guardrail off."""
    environment = policy.environment_at(place)
    _, severity = policy.severity_at(place)
    fixed = [rules.ceilings for rules in (environment, policy) if rules]
    defaults = [said.defaults for said in (severity, environment, policy) if said]
    for numbers in (*fixed, playbook.guardrails, *defaults):
        if numbers.failure_domain and numbers.failure_domain.label:
            return numbers.failure_domain.label
    return FAILURE_DOMAIN_LABEL
