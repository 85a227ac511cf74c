"""What a playbook may say about its guardrails. The operator's policy has the same keys for defaults and ceilings."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationInfo, model_validator

from remediator.alerts.matchers import InvalidMatcher, Matcher, parse_matchers
from remediator.playbooks.fields import Count, Duration, PositiveDuration, ShareOrCopies, Strict, complaint, from_yaml
from remediator.playbooks.limits_table import BY_KEY, FAILURE_DOMAIN_LABEL, Value, refusal
from remediator.playbooks.names import is_label_key
from remediator.playbooks.promql_text import syntax_problem
from remediator.playbooks.windows_model import Windows


def limited(key: str) -> BeforeValidator:
    """Refuses what means "no limit", and names the nearest value that is allowed."""

    def check(value: object, info: ValidationInfo) -> object:
        if value is None and not from_yaml(info):
            return None  # a stored model says None for "not given"
        if said := refusal(key, value):
            raise complaint(*said)
        return value

    return BeforeValidator(check)


class InFlight(Strict):
    target: Annotated[Count | None, limited("in_flight.target")] = None
    playbook: Annotated[Count | None, limited("in_flight.playbook")] = None
    cluster: Annotated[Count | None, limited("in_flight.cluster")] = None
    everywhere: Annotated[Count | None, limited("in_flight.everywhere")] = None


class Cooldown(Strict):
    success: Annotated[Duration | None, limited("cooldown.success")] = None
    failure: Annotated[Duration | None, limited("cooldown.failure")] = None


class RateLimit(Strict):
    target: Annotated[Count | None, limited("rate_limit.target")] = None
    playbook: Annotated[Count | None, limited("rate_limit.playbook")] = None
    namespace: Annotated[Count | None, limited("rate_limit.namespace")] = None
    cluster: Annotated[Count | None, limited("rate_limit.cluster")] = None


def _is_label(value: str | None) -> str | None:
    if value is not None and not is_label_key(value):
        raise complaint(f"{value!r:.60} is no label name", f"Write it like {FAILURE_DOMAIN_LABEL}.")
    return value


class FailureDomain(Strict):
    """How many values of a node label may be changed at the same time."""

    label: Annotated[str | None, AfterValidator(_is_label), limited("failure_domain.label")] = None
    max: Annotated[Count | None, limited("failure_domain.max")] = None


class CircuitBreaker(Strict):
    """So many failures in a row stop the playbook for so long."""

    failures: Annotated[Count | None, limited("circuit_breaker.failures")] = None
    open: Annotated[PositiveDuration | None, limited("circuit_breaker.open")] = None


class Numbers(Strict):
    """The guardrails' numbers. None = not said here."""

    max_targets: Annotated[Count | None, limited("max_targets")] = None
    max_alert_age: Annotated[PositiveDuration | None, limited("max_alert_age")] = None
    in_flight: Annotated[InFlight | None, limited("in_flight")] = None
    cooldown: Annotated[Cooldown | None, limited("cooldown")] = None
    rate_limit: Annotated[RateLimit | None, limited("rate_limit")] = None
    min_healthy: Annotated[ShareOrCopies | None, limited("min_healthy")] = None
    """Of `targets` or `fleet`: percent ("51%") or members."""
    min_available: Annotated[ShareOrCopies | None, limited("min_available")] = None
    """Percent ("60%") or copies."""
    failure_domain: Annotated[FailureDomain | None, limited("failure_domain")] = None
    circuit_breaker: Annotated[CircuitBreaker | None, limited("circuit_breaker")] = None
    max_attempts: Annotated[Count | None, limited("max_attempts")] = None
    plan_age: Annotated[PositiveDuration | None, limited("plan_age")] = None


class Blocker(Strict):
    """A condition that forbids acting: a PromQL query that returns something other than zero, or alerts that fire.

    `alerts` are matchers in Alertmanager syntax, all must hold.
    """

    name: str = Field("", max_length=100)
    promql: str = Field("", max_length=10_000)
    alerts: str = Field("", max_length=10_000)

    @model_validator(mode="after")
    def _one(self) -> Blocker:
        if bool(self.promql) == bool(self.alerts):
            raise complaint("a blocker is exactly one of promql or alerts", "Write one list item for each.")
        text = self.promql or self.alerts
        if "${" in text:
            raise complaint(f"{text!r:.80} is asked as it stands", "Write the value of ${...} out.")
        if self.promql and (problem := syntax_problem(self.promql)):
            raise complaint(f"{self.promql!r:.80} is no PromQL: {problem}", "Try it in Prometheus first.")
        if self.alerts:
            self._matchers()
        return self

    def _matchers(self) -> tuple[Matcher, ...]:
        try:
            found = parse_matchers(self.alerts)
        except InvalidMatcher as exc:
            hint = "Write it as in Alertmanager: name, then = != =~ or !~, then a quoted value."
            raise complaint(str(exc), hint) from None
        if not found:
            raise complaint("matches every alert", 'Name at least one label, such as severity="critical".')
        if any(m.name == "alertname" and m.op == "=" and not m.value for m in found):
            raise complaint("matches no alert: each has a name", 'Write it like alertname="KubeNodeNotReady".')
        return found

    @property
    def query(self) -> str:
        """What Prometheus is asked."""
        if self.promql:
            return self.promql
        matchers = ('alertstate="firing"', *map(_in_promql, self._matchers()))
        return f"ALERTS{{{', '.join(matchers)}}}"

    @property
    def title(self) -> str:
        """How people read it."""
        return self.name or self.alerts or self.promql


def _in_promql(matcher: Matcher) -> str:
    """A label that only UTF-8 allows is written in quotes there."""
    text = str(matcher)
    plain = matcher.name.replace("_", "a").isalnum() and matcher.name.isascii() and not matcher.name[0].isdigit()
    return text if plain or text.startswith('"') else f'"{matcher.name}"{text[len(matcher.name) :]}'


class Limits(Numbers):
    """A playbook's `guardrails`. Blockers and windows add to the operator's: a playbook only narrows."""

    blockers: Annotated[tuple[Blocker, ...], limited("blockers")] = ()
    windows: Annotated[Windows | None, limited("windows")] = None


def flat(numbers: Numbers) -> dict[str, Value]:
    """`{"rate_limit.target": 2, ...}`, only what is written and in the table of limits."""
    found: dict[str, Any] = {}
    for name, value in numbers:
        if isinstance(value, BaseModel):
            found |= {f"{name}.{key}": item for key, item in value if item is not None}
        elif value is not None:
            found[name] = value
    return {key: value for key, value in found.items() if key in BY_KEY}
