"""The service's configuration: one YAML file, `REMEDIATOR_*` environment on top, secrets from files.

An environment name is the path of the setting in upper case, parts joined by two underscores: `REMEDIATOR_STORE__PATH`.
Names that are no setting are ignored, because Kubernetes injects its own (`REMEDIATOR_PORT=tcp://...`) for a Service
called remediator; an unknown key in the file is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from remediator.alerts.labels import LabelRules
from remediator.alerts.source import Source
from remediator.channel_config import ChangeGate, Channel, ChannelName, GrafanaConfig, TracingConfig
from remediator.errors import InvalidConfig
from remediator.freeze_calendars import unknown_calendars
from remediator.guardrails.policy import Policy
from remediator.outside import OutsideSettings
from remediator.people.approval_settings import ApprovalSettings, Opsgenie
from remediator.people.digests import Digest
from remediator.people.directory import Directory, PersonSpec, unknown_tokens
from remediator.people.escalation import Escalation
from remediator.people.pagerduty_settings import PagerDuty
from remediator.people.places import unknown_places
from remediator.people.quiet_hours import QuietHours
from remediator.people.references import Known, nobody_behind
from remediator.people.routes import Routes
from remediator.people.severity import Severities
from remediator.playbooks.fields import FROM_YAML, Duration
from remediator.playbooks.problems import FieldPath, path_text
from remediator.playbooks.projects import Project, problems_among
from remediator.playbooks.shape import complaints
from remediator.playbooks.windows_model import CalendarName, Zone
from remediator.playbooks.yaml_strict import YamlError, load_yaml
from remediator.redact import MARK
from remediator.remediation.checks.base import MetricLabels
from remediator.secret_files import Secret as Secret
from remediator.secret_files import Section as Section
from remediator.slack_app.settings import InstanceName
from remediator.slack_app.settings import Slack as Slack

PREFIX = "REMEDIATOR_"


class Basic(Section):
    username: str = Field(min_length=1)
    password: Secret


class SourceConfig(Section):
    """One sender of alerts. Several tokens are valid at once, so that they can be rotated without a gap."""

    name: str = Field(min_length=1)
    tokens: tuple[Secret, ...] = ()
    basic: tuple[Basic, ...] = ()
    auth: Literal["required", "none"] = "required"
    cluster: str = "default"
    cluster_label: str = ""
    labels: Mapping[str, str] = Field(default_factory=dict)
    allow: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _authenticated(self) -> Self:
        if self.auth == "required" and not (self.tokens or self.basic):
            raise ValueError(
                "no tokens and no basic: anybody could start remediations. Add a token file, or write auth: none"
            )
        if self.auth == "none" and (self.tokens or self.basic):
            raise ValueError("auth: none together with tokens or basic; remove one of them")
        return self

    @property
    def clusters(self) -> frozenset[str]:
        """What its alerts can be about."""
        label = self.cluster_label
        if not label:
            return frozenset({self.cluster})
        return frozenset({self.labels[label]} if label in self.labels else self.allow.get(label, ()))

    def source(self) -> Source:
        return Source(
            name=self.name,
            cluster=self.cluster,
            cluster_label=self.cluster_label,
            forced=dict(self.labels),
            allow={k: frozenset(v) for k, v in self.allow.items()},
        )


class ApiToken(Section):
    """One named user of the API. Roles: viewer < operator (pause) < approver < admin."""

    name: str = Field(min_length=1)
    role: Literal["viewer", "operator", "approver", "admin"] = "viewer"
    token: Secret


class Listen(Section):
    host: str = "0.0.0.0"  # noqa: S104  # a pod is reached from other pods
    port: int = Field(8080, ge=0, le=65535)
    socket: Path | None = None
    """A unix socket beside the port, for the CLI on the same machine; tokens are needed there as well."""
    port_file: Path | None = None
    """Where the port in use is written once it listens; for `port: 0`."""
    max_body_mib: int = Field(16, ge=1, le=64)


class Store(Section):
    """SQLite: one file, one process."""

    path: Path = Path("remediator.db")
    queue: int = Field(20_000, ge=100)
    """Alerts that may wait for the store; beyond it webhooks are answered 503 and Alertmanager tries again."""


class ClusterConfig(Section):
    """One Kubernetes cluster. Without kubeconfig and with `in_cluster: true`, the pod's service account."""

    name: str = "default"
    kubeconfig: Path | None = None
    context: str | None = None
    in_cluster: bool = False


class Endpoint(Section):
    """An HTTP API that we read."""

    url: str = Field(pattern=r"^https?://")
    bearer: Secret | None = None
    basic: Basic | None = None
    headers: Mapping[str, str] = Field(default_factory=dict, repr=False)


class Playbooks(Section):
    folders: tuple[Path, ...] = (Path("playbooks"),)
    reload: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(seconds=10)
    params: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    """Playbook name to parameter values, within the bounds that the playbook gives."""


class GitOps(Section):
    """Where the controllers are that own what Git says."""

    argocd_namespace: str = Field("argocd", pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    """Of Applications that a tracking id names without their namespace."""


class CalendarConfig(Section):
    """A freeze calendar: each event of this `.ics` file closes every window that names it."""

    file: Path
    zone: Annotated[Zone, Field(min_length=1)]
    """IANA name; for whole days and for times that name none."""


class Config(Section):
    """Everything `serve` needs. `sources` must be written down: there is no default that lets anybody in."""

    listen: Listen = Listen()
    instance: InstanceName | Literal[""] = ""
    """What this installation is called, where several share a Slack app or a pager."""
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    api: tuple[ApiToken, ...] = ()
    store: Store = Store()
    clusters: tuple[ClusterConfig, ...] = Field((ClusterConfig(in_cluster=True),), min_length=1)
    prometheus: Endpoint | None = None
    alertmanager: Endpoint | None = None
    slack: Slack | None = None
    pagerduty: PagerDuty | None = None
    opsgenie: Opsgenie | None = None
    people: tuple[PersonSpec, ...] = ()
    approvals: ApprovalSettings = ApprovalSettings()
    routes: Routes = Routes()
    severities: Severities = Severities()
    escalation: Escalation | None = None
    """None: who is called next is the pager's own matter."""
    quiet_hours: QuietHours | None = None
    digests: tuple[Digest, ...] = ()
    channels: Mapping[ChannelName, Channel] = Field(default_factory=dict)
    """E-mail, Teams, webhooks, tickets by the name that routes use."""
    change_gate: ChangeGate | None = None
    kubernetes_events: bool = True
    grafana: GrafanaConfig | None = None
    tracing: TracingConfig | None = None
    outside: OutsideSettings = OutsideSettings()
    """What actions may talk to besides the Kubernetes API."""
    gitops: GitOps = GitOps()
    playbooks: Playbooks = Playbooks()
    projects: tuple[Project, ...] = ()
    policy: Policy = Policy()
    calendars: Mapping[CalendarName, CalendarConfig] = Field(default_factory=dict)
    """Freeze calendars by the name that windows use."""
    labels: LabelRules = LabelRules()
    external_url: str = ""
    metric_labels: MetricLabels = MetricLabels()
    observer: bool = True
    observed_namespaces: tuple[str, ...] = ()
    """Where workloads are watched for rollbacks; empty = everywhere."""

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for what, names in (
            ("sources", [s.name for s in self.sources]),
            ("clusters", [c.name for c in self.clusters]),
            ("api", [t.name for t in self.api]),
        ):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ValueError(f"{what}: {', '.join(twice)} is there twice; names must differ")
        known = {c.name for c in self.clusters}
        for source in self.sources:
            if not source.cluster_label and source.cluster not in known:
                raise ValueError(
                    f"sources[{source.name}].cluster: {source.cluster!r} is none of clusters: {sorted(known)}"
                )
        forced = sorted({label for source in self.sources for label in source.labels})
        if self.pagerduty and (objection := self.pagerduty.join_objection(forced)):
            raise ValueError(objection)
        for where, windows in self.policy.all_windows():
            if unknown := unknown_calendars(windows, self.calendars, where):
                raise ValueError(unknown[0])
        open_sources = [s.name for s in self.sources if s.auth == "none"]
        if len(open_sources) > 1:
            raise ValueError(f"sources {', '.join(open_sources)} all say auth: none; they could not be told apart")
        return self

    @model_validator(mode="after")
    def _relay(self) -> Self:
        if self.slack and (self.slack.relay.instances or self.slack.relay.accept) and not self.instance:
            raise ValueError(
                "instance: with slack.relay, buttons must say whose they are; give this installation a name"
            )
        if self.slack and self.instance in self.slack.relay.instances:
            raise ValueError(f"slack.relay.instances: {self.instance} is this installation itself; remove it")
        return self

    @model_validator(mode="after")
    def _people(self) -> Self:
        Directory(self.people)
        glass = self.approvals.break_glass
        if glass and self.slack is None:
            raise ValueError("approvals.break_glass: its leads are told in Slack, and `slack` is not configured")
        named = {f"projects[{project.name}].approvers": project.approvers for project in self.projects}
        named["approvals.break_glass.who"] = glass.who if glass else ()
        problems = [*unknown_tokens(self.people, [token.name for token in self.api])]
        problems += [p for where, approvers in named.items() for p in nobody_behind(where, approvers, self.approvers)]
        if problems:
            raise ValueError("\n  ".join(problems))
        return self

    @property
    def approvers(self) -> Known:
        """Who can stand behind a name in `approvers` here."""
        pagerduty = self.pagerduty.api if self.pagerduty else None
        systems = {"pagerduty": pagerduty, "opsgenie": self.opsgenie, "slack": self.slack}
        return Known(
            people=[person.name for person in self.people],
            roles={role for person in self.people for role in person.roles},
            tokens=[token.name for token in self.api],
            systems=[name for name, section in systems.items() if section is not None],
        )

    @property
    def other_places(self) -> frozenset[str]:
        """`apprise:mail-ops`, ...: what `channels` has, as routes and playbooks name it."""
        return frozenset(f"{channel.carried_by}:{name}" for name, channel in self.channels.items())

    @model_validator(mode="after")
    def _places(self) -> Self:
        problems = unknown_places(
            self.routes,
            self.escalation,
            self.digests,
            self.severities,
            services=self.pagerduty.services if self.pagerduty else (),
            known=self.other_places,
            sources=[source.name for source in self.sources],
            slack=self.slack is not None,
        )
        if said := "\n  ".join(problems):
            raise ValueError(said)
        return self

    @model_validator(mode="after")
    def _projects(self) -> Self:
        if self.projects and "folders" in self.playbooks.model_fields_set and self.playbooks.folders:
            folders = ", ".join(map(str, self.playbooks.folders))
            raise ValueError(
                f"playbooks.folders: with projects, each folder belongs to one; give {folders} to a project"
            )
        clusters = [c.name for c in self.clusters]
        problems = problems_among(self.projects, clusters=clusters, sources={s.name: s.clusters for s in self.sources})
        if problems:
            raise ValueError("\n  ".join(problems))
        return self


def load_config(path: Path | None, environment: Mapping[str, str] | None = None) -> Config:
    """The configuration from a file and the environment. Raises: InvalidConfig, naming each field and what to do."""
    raw: dict[str, Any] = {}
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as exc:
            raise InvalidConfig(f"{path}: cannot be read: {exc.strerror}") from exc
        try:
            loaded = load_yaml(text, str(path))
        except YamlError as exc:
            raise InvalidConfig(str(exc)) from exc
        if not isinstance(loaded, dict):
            raise InvalidConfig(f"{path}: expected a mapping of settings")
        raw = loaded
    _overlay(raw, os.environ if environment is None else environment)
    try:
        return Config.model_validate(raw, context={FROM_YAML: True})
    except ValidationError as exc:
        said = "".join(f"\n  {_said(*complaint)}" for complaint in complaints(exc, raw, Config))
        for secret in (*_secrets_in(raw), *_misplaced(exc)):
            said = said.replace(secret, MARK).replace(repr(secret)[1:57], MARK)  # long ones are shown cut
        raise InvalidConfig(f"{path or 'configuration'}:{said}") from exc


def _secrets_in(raw: Any) -> Iterator[str]:
    """What is written down in the place of a secret, also where the rest cannot be read."""
    if isinstance(raw, list):
        for item in raw:
            yield from _secrets_in(item)
    elif isinstance(raw, dict):
        for key, value in raw.items():
            if isinstance(value, str) and key == "value":
                yield value
            elif key == "headers" and isinstance(value, dict):
                yield from (text for text in value.values() if isinstance(text, str))
            else:
                yield from _secrets_in(value)


def _misplaced(exc: ValidationError) -> Iterator[str]:
    """Texts where a section is expected: as likely as not a secret that should have been one level deeper."""
    for error in exc.errors():
        if error["type"] in ("dict_type", "mapping_type", "model_type", "model_attributes_type"):
            yield from (text for text in (error["input"],) if isinstance(text, str) and text)


def _overlay(raw: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        if not name.startswith(PREFIX):
            continue
        path = name.removeprefix(PREFIX).lower().split("__")
        if not _is_setting(path):
            continue
        place = raw
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = value


def _is_setting(path: list[str]) -> bool:
    """Whether a path of names leads to one value of the model; sections and lists are only set in the file."""
    model: Any = Config
    for index, part in enumerate(path):
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return False
        inner = _section_of(fields[part].annotation)
        if index == len(path) - 1:
            return inner is None
        model = inner
    return False


def _section_of(annotation: Any) -> type[BaseModel] | None:
    options = (annotation, *getattr(annotation, "__args__", ()))
    for option in options:
        if isinstance(option, type) and issubclass(option, BaseModel) and option is not Secret:
            return option
    return None


def _said(path: FieldPath, what: str, hint: str) -> str:
    """The field, what is wrong and, where the model knows it, the next step."""
    field = f"{path_text(path)}: " if path else ""
    return f"{field}{what}{f'. {hint}' if hint else ''}"
