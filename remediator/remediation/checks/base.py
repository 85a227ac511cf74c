"""What every check shares: its arguments, what it may look at, and how it answers.

A check answers `good`, `bad` or `unknown`. Good and bad are said only on data that is younger than the last effect; no
data, NaN, stale, partial, an error, or a value between the thresholds are all `unknown`. Checks may raise: `sample_all`
(verify.py) turns whatever they raise into `unknown`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict

from remediator.alerts.alert import Alert
from remediator.errors import RemediatorError
from remediator.objects import Object, ObjectRef
from remediator.playbooks.expressions import Scope
from remediator.ports import Caller, Cluster, Queries
from remediator.remediation.filling import Render, as_text
from remediator.remediation.promql import fill
from remediator.remediation.samples import CheckAnswer, CheckSample

MAX_AGE = timedelta(seconds=60)
"""Data further from our clock than this, in either direction, is stale or another clock's: it proves nothing."""

CLOCK_TOLERANCE = timedelta(seconds=5)
"""How far two clocks may differ before we mind."""


class Unknown(RemediatorError):
    """A check cannot tell; the message says why, for people."""


class CheckArgs(BaseModel):
    """Base of every check's arguments: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def about(self) -> str:
        """What tells two checks of one kind apart, short; part of the check's name."""
        return ""


class MetricLabels(BaseModel):
    """Which labels of your metrics say where they come from. Config, and `labels:` of a check for metrics that differ.

    `namespace` and `pod` are what kube-prometheus-stack writes. `workload` names a label that holds the workload's name
    (`deployment`, `app`, `service`, Istio's `destination_workload`); it replaces the match on pod names. An empty name
    leaves that selector out. `cluster` is for one Prometheus over many clusters; `cluster_value` is the cluster's name
    there, if it differs from ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: str = ""
    cluster_value: str = ""
    namespace: str = "namespace"
    pod: str = "pod"
    workload: str = ""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer of an HTTP probe, whatever its status. `body` is cut at the limit asked for."""

    status: int
    body: str = ""


class HttpProbe(Protocol):
    """One GET to something that a playbook names. Never follows redirects, sends no credentials."""

    async def get(self, url: str, *, timeout_s: float, limit_bytes: int) -> HttpAnswer:
        """Raises: CannotSee (no answer, or an address that we do not visit)."""
        ...


@dataclass(frozen=True, slots=True)
class ServedCertificate:
    """A certificate that a server shows. Times are UTC, `serial` is its number in hex.

    `subject` and `issuer` are what it says of itself, for people. `above`: what the server shows with it, in its order;
    None where that cannot be seen.
    """

    serial: str
    not_before: datetime
    not_after: datetime
    subject: str = ""
    issuer: str = ""
    above: tuple[ServedCertificate, ...] | None = ()


@runtime_checkable
class NetworkProbe(Protocol):
    """Looks below HTTP, with the same rules for addresses. A probe that can do this as well says so by having it."""

    async def connect(self, host: str, port: int, *, timeout_s: float) -> bool:
        """Whether something accepts the connection; False = refused. Nothing is sent.

        Raises: CannotSee (no answer, an unknown name, or an address that we do not visit).
        """
        ...

    async def certificate(self, host: str, port: int, *, name: str, timeout_s: float) -> ServedCertificate:
        """The certificate that is shown for `name`; whether anybody trusts it is not asked. Raises: CannotSee."""
        ...

    async def resolve(self, name: str, *, timeout_s: float) -> tuple[str, ...]:
        """Addresses of a name, sorted; none when it is certain that there are none. Raises: CannotSee."""
        ...


@dataclass(frozen=True, slots=True)
class CheckTarget:
    """A target with the uid it had at planning: another object under its name is not the target."""

    ref: ObjectRef
    uid: str = ""


def no_templates(text: str, put: Callable[[Any], str]) -> str:
    """For callers that know nothing to fill in. Raises: Unknown."""
    raise Unknown(f"{text!r:.80} holds ${{...}}, and nothing is known here to fill it in")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """All that checks and collectors look at, at one moment.

    `since` is when the last effect was acknowledged; None while planning, when nothing has been done. `queries` and
    `http` are None where none is configured. `render` fills in `${...}`.
    `objects` holds targets that were read for this very moment. `scope` is what expressions in arguments may ask.
    `remediation` is the id of the one that asks, `made` what its creates have made, oldest first, `proposed` its
    pull requests (repository, branch), oldest first as well.
    """

    cluster: Cluster
    targets: tuple[CheckTarget, ...]
    now: datetime
    queries: Queries | None = None
    http: HttpProbe | None = None
    callers: Mapping[str, Caller] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()
    since: datetime | None = None
    render: Render = no_templates
    labels: MetricLabels = field(default_factory=MetricLabels)
    objects: Mapping[ObjectRef, Object] = field(default_factory=dict)
    scope: Scope | None = None
    remediation: str = ""
    made: tuple[ObjectRef, ...] = ()
    proposed: tuple[tuple[str, str], ...] = ()

    def prometheus(self) -> Queries:
        """Raises: Unknown where none is configured."""
        if self.queries is None:
            raise Unknown("no Prometheus is configured, so there is nothing to ask")
        return self.queries

    def text(self, text: str) -> str:
        """An author's text with its `${...}` filled in, unescaped: not for queries or URLs. Raises: as `promql`."""
        return self.render(text, as_text) if "${" in text else text

    def promql(self, query: str) -> str:
        """An author's PromQL with its `${...}` filled in, each value escaped for its place.

        Raises: ValueError for a value that cannot stand there, and what `render` raises.
        """
        return fill(query, self.render) if "${" in query else query

    def require_fresh(self, at: datetime, what: str = "the sample") -> None:
        """Raises: Unknown for data from before the last effect, or too far from our clock."""
        if self.since is not None and at <= self.since:
            raise Unknown(f"{what} is from {_clock(at)}, before the last effect at {_clock(self.since)}")
        if abs(self.now - at) > MAX_AGE:
            side = "old" if at < self.now else "ahead of our clock"
            raise Unknown(f"{what} is {abs(self.now - at).total_seconds():.0f} s {side}: stale, or the clocks disagree")

    def network(self) -> NetworkProbe:
        """Raises: Unknown where nothing is configured that could look."""
        if not isinstance(self.http, NetworkProbe):
            raise Unknown("network probes are not configured, so there is nothing to look with")
        return self.http

    def is_after_effect(self, at: datetime) -> bool:
        """Whether a time that Kubernetes wrote (whole seconds, cut off) is not from before the last effect."""
        return self.since is None or at >= self.since.replace(microsecond=0)


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M:%S")


A = TypeVar("A", bound=CheckArgs)


@dataclass(frozen=True, slots=True)
class CheckKind(Generic[A]):
    """One kind of check: its name in playbooks, its arguments, and how it is asked once."""

    name: str
    args: type[A]
    sample: Callable[[A, CheckContext], Awaitable[CheckSample]]
    late: frozenset[str] = frozenset()
    """Arguments (dotted paths) whose `${...}` the check fills in itself, quoting each value for its place; all others
    are plain values, filled in before they are validated."""


def answer(
    check: str,
    found: CheckAnswer,
    detail: str,
    at: datetime,
    *,
    badness: float | None = None,
    tolerance: float = 0.0,
    clearing: bool = False,
) -> CheckSample:
    """A sample with its detail on one line of bounded length."""
    return CheckSample(
        check=check,
        answer=found,
        detail=one_line(detail),
        taken_at=at,
        badness=badness,
        tolerance=tolerance,
        clearing=clearing,
    )


def one_line(text: str, limit: int = 300) -> str:
    """Free text from elsewhere as one bounded line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
