"""A file of playbook tests as it is written. Strict: what is not known here is refused, with its place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from remediator.adapters.simulated.clock import START
from remediator.alerts.labels import LabelRules
from remediator.alerts.matchers import InvalidMatcher, parse_matchers
from remediator.guardrails.policy import Policy
from remediator.people.directory import PersonSpec
from remediator.playbook_tests.acting import Operator, Outside, StatusWord
from remediator.playbook_tests.expecting import Expectation
from remediator.playbook_tests.placed import Copies, Manifest, Name, Placed, Ref
from remediator.playbook_tests.times import Moment, When
from remediator.playbook_tests.written import Written, exactly_one
from remediator.playbooks.fields import Duration, Mode, PositiveDuration, complaint
from remediator.remediation.checks.base import MetricLabels

Level = Annotated[float | None, Field(allow_inf_nan=False)]
"""A measured value; None = nothing is measured from then on."""
Values = Annotated[Mapping[When, Level] | Level, Field(union_mode="left_to_right")]
"""What is measured when; one number is measured all the time."""


# --- alerts and metrics


class TestAlert(Written):
    """One alert. `firing_for`: how long it has fired when Alertmanager first sends it. `pod_of`: the label `pod` names
    a pod of this workload when it fires, one that is not ready if there is one. Resolved, Prometheus shows it no more
    and Alertmanager says so. `looks_back`: the largest range in its rule, so how long it may outlive a repair."""

    __test__ = False  # none of pytest's

    name: Name
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    pod_of: Ref | None = None
    fires: When = Moment(timedelta(0))
    firing_for: Duration = timedelta(minutes=1)
    looks_back: PositiveDuration = timedelta(minutes=5)
    resolves: When | None = None


METRICS = {
    "query": frozenset({"values"}),
    "series": frozenset({"values"}),
    "requests": frozenset({"of", "per_second", "errors", "latency"}),
}


class Metric(Written):
    """`query`: the answer to every PromQL query that contains this text. `series`: one series, for queries that are a
    plain selector or an aggregation of one. `requests`: what the checks `error_ratio` and `latency` ask about the
    metric of that name, perhaps only `of` one workload; `errors` per request, `latency` in seconds."""

    NULLABLE = frozenset({"values", "per_second", "errors", "latency"})

    query: Name = ""
    series: Name = ""
    requests: Name = ""
    values: Values = None
    of: Ref | None = None
    per_second: Values = 10.0
    errors: Values = None
    latency: Values = None

    @model_validator(mode="after")
    def _one(self) -> Metric:
        kind = exactly_one(self, METRICS)
        if kind != "requests" and "values" not in self.model_fields_set:
            raise complaint(f"{kind} without values", "Add `values:`, a number or one for each time.")
        return self


# --- what happens

Behaving = Literal["ready", "unready", "crashing", "out_of_memory", "no_image"]
WriteFault = Literal["conflict", "forbidden", "unavailable", "answer_lost", "request_lost"]
ReadFault = Literal["no_answer"]
Up = Literal["up", "down"]


class Pods(Written):
    """From now on pods of a workload behave so. `count`: only so many of those that are there now, and none that
    replaces them; without it all, also later ones. `image`: only pods that run it."""

    of: Ref
    are: Behaving
    count: Copies | None = None
    image: Name = ""


class Release(Written):
    """Somebody rolls out another image of the first container."""

    of: Ref
    image: Name


class Edit(Written):
    """Somebody's merge patch."""

    object: Ref
    patch: Manifest
    manager: Name = "kubectl-edit"


class Word(Written):
    """What a person says; `role` is that of the token used. `why` is the reason of a veto or a pause."""

    who: Name
    role: Literal["viewer", "operator", "approver", "admin"] = "approver"
    why: str = ""
    playbook: str = ""
    """Where several remediations could be meant."""


class RunWord(Written):
    """A person starts a playbook that says `manual: true`, with the role operator."""

    playbook: Name
    target: Ref | None = None
    params: Mapping[str, Any] = Field(default_factory=dict)
    who: Name = "ann"
    why: str = ""


class PauseWord(Written):
    """A person pauses something: `everything`, `playbook:NAME`, `namespace:NAMESPACE`..., as on the command line."""

    scope: Name
    who: Name = "ann"
    why: str = ""


def _matchers(value: str) -> str:
    try:
        if not parse_matchers(value):
            raise InvalidMatcher("it matches everything")
    except InvalidMatcher as exc:
        raise complaint(f"{value!r:.80} is no matcher: {exc}", 'Write it like alertname="ApiDown".') from None
    return value


class SilenceWord(Written):
    """A person silences alerts in Alertmanager; all matchers must hold."""

    matchers: tuple[Annotated[str, AfterValidator(_matchers)], ...] = Field(min_length=1)
    lasts: PositiveDuration = timedelta(hours=2)
    who: Name = "ann"
    why: str = ""


class ApiFault(Written):
    """The next calls to the API server go wrong. `write` or `read` says how; `verb` and `object` narrow it."""

    write: WriteFault | None = None
    read: ReadFault | None = None
    verb: str = ""
    object: Ref | None = None
    times: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1

    @model_validator(mode="after")
    def _one(self) -> ApiFault:
        if (self.write is None) == (self.read is None):
            raise complaint("it is exactly one of write and read", "Write a list item for each.")
        return self


HAPPENINGS = (
    *("pods", "release", "edit", "apply", "delete", "status", "node_fails", "node_returns"),
    *("approve", "reject", "take", "give_back", "pause", "resume", "run"),
    *("silence", "api", "prometheus", "alertmanager", "chat", "pager"),
)


class Happening(Written):
    """One thing that happens `at` its time."""

    at: When = Moment(timedelta(0))
    pods: Pods | None = None
    release: Release | None = None
    edit: Edit | None = None
    apply: Placed | None = None
    delete: Ref | None = None
    node_fails: Name = ""
    node_returns: Name = ""
    status: StatusWord | None = None
    approve: Word | None = None
    reject: Word | None = None
    take: Word | None = None
    give_back: Word | None = None
    pause: PauseWord | None = None
    resume: PauseWord | None = None
    run: RunWord | None = None
    silence: SilenceWord | None = None
    api: ApiFault | None = None
    prometheus: Up | None = None
    alertmanager: Up | None = None
    chat: Up | None = None
    pager: Up | None = None

    @model_validator(mode="after")
    def _one(self) -> Happening:
        exactly_one(self, dict.fromkeys(HAPPENINGS, ()), ("at",))
        return self

    @property
    def kind(self) -> str:
        return next(name for name in HAPPENINGS if name in self.model_fields_set)


# --- the test


class Fragment(Written):
    """Parts of the service's configuration. Slack, PagerDuty and Alertmanager are there, Prometheus is what the test
    says.

    `project`: the one that all playbooks under test belong to; where its playbooks come from need not be said.
    """

    cluster: Name = "default"
    policy: Policy = Policy()
    project: Mapping[str, Any] | None = None
    labels: LabelRules = LabelRules()
    metric_labels: MetricLabels = MetricLabels()
    people: tuple[PersonSpec, ...] = ()
    params: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    """Values of parameters, by playbook."""


_TIME = {"type": "string", "format": "date-time"}


def _start(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        found = None
    if found is None:
        raise complaint(f"{value!r:.40} is no time", 'Write it like "2025-06-02T10:00:00Z", in quotes.')
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


class Scene(Written):
    """What tests of one file can share: everything but the name and what is expected.

    `start` is second 0, UTC; `before` is how long the cluster has run by then, watched by the service. `mode` stands in
    for that of all playbooks under test. `until` bounds the test, which is over before when nothing is left to happen.
    """

    start: Annotated[datetime, BeforeValidator(_start), WithJsonSchema(_TIME)] = START
    before: PositiveDuration = timedelta(hours=1)
    until: PositiveDuration = timedelta(hours=2)
    mode: Mode | None = None
    config: Fragment = Fragment()
    nodes: Annotated[int, Field(strict=True, ge=1, le=100)] = 3
    cluster: tuple[Placed, ...] = ()
    alerts: tuple[TestAlert, ...] = ()
    metrics: tuple[Metric, ...] = ()
    operators: tuple[Operator, ...] = ()
    outside: Outside = Field(default_factory=dict)
    happens: tuple[Happening, ...] = ()


class Story(Scene):
    """One test."""

    name: Name
    description: str = ""
    expect: tuple[Expectation, ...] = Field(min_length=1)


class TestFile(Written):
    """`playbooks`: files or folders, from where this file is; the folder above, if it lies in one called `tests`.
    `defaults`: for tests that do not say it themselves."""

    __test__ = False

    description: str = ""
    playbooks: tuple[Name, ...] = ()
    defaults: Scene = Scene()
    tests: tuple[Story, ...] = Field(min_length=1)


def told(story: Story, defaults: Scene) -> Story:
    """The story with what it left to the defaults of its file."""
    given = {name: getattr(defaults, name) for name in defaults.model_fields_set - story.model_fields_set}
    return story.model_copy(update=given) if given else story
