"""What actions may talk to besides the Kubernetes API, as the operator names it: the `outside` block of the config.

A playbook only ever says a name of this file; addresses, credentials and what may be said there are the operator's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from remediator.alerts.regex import NotRE2, compile_regex
from remediator.outside_aws import RdsInstance
from remediator.outside_databases import DatabaseSettings
from remediator.outside_forges import Forge, check_forges
from remediator.outside_helm import HelmRelease
from remediator.outside_patroni import PatroniCluster
from remediator.outside_redis import RedisSentinels
from remediator.outside_vaults import Vault
from remediator.playbooks.fields import NAME_PATTERN, Duration
from remediator.secret_files import Secret, Section

PlaceName = Annotated[str, Field(pattern=NAME_PATTERN)]
"""What a playbook calls a place."""

SHELLS = frozenset({"ash", "bash", "busybox", "csh", "dash", "env", "ksh", "powershell", "pwsh", "sh", "xargs", "zsh"})
"""Programs that make a command of their arguments."""


def _longest(most: timedelta) -> AfterValidator:
    def check(value: timedelta) -> timedelta:
        if not timedelta(0) < value <= most:
            raise ValueError(f"expected more than 0 and at most {most.total_seconds():g} seconds")
        return value

    return AfterValidator(check)


class ExecCommand(Section):
    """A program that playbooks may run in containers, word by word; no shell reads it.

    A word `*` is what the playbook says; `args` has a regular expression (RE2) for each, which the whole word must
    match. `read_only`: it changes nothing, so checks and evidence may run it as well.
    """

    name: PlaceName
    argv: tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...] = Field(min_length=1, max_length=50)
    args: tuple[Annotated[str, Field(min_length=1, max_length=300)], ...] = ()
    namespaces: tuple[Annotated[str, Field(pattern=NAME_PATTERN)], ...] = Field(min_length=1)
    containers: tuple[Annotated[str, Field(pattern=NAME_PATTERN)], ...] = ()
    """Empty = any container of the pod."""
    timeout: Annotated[Duration, _longest(timedelta(minutes=10))] = timedelta(seconds=30)
    read_only: bool = False

    @model_validator(mode="after")
    def _closed(self) -> Self:
        if self.argv[0] == "*":
            raise ValueError("argv: the program itself cannot be *")
        if self.argv.count("*") != len(self.args):
            raise ValueError(f"args: give one expression for each * of argv ({self.argv.count('*')})")
        if self.args and self.argv[0].rpartition("/")[2] in SHELLS:
            raise ValueError(f"argv: {self.argv[0]} would make a command of its words: no * with it")
        for expression in self.args:
            try:
                compile_regex(expression)
            except NotRE2 as exc:
                raise ValueError(f"args: {expression!r} is no regular expression of RE2: {exc}") from exc
        return self


class HttpAllowed(Section):
    """A method with a path: `/v1/pools/{name}/drain`. `{...}` is one part that the playbook says."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str = Field(pattern=r"^(/([A-Za-z0-9._~:@+-]+|\{[a-z_]{1,30}\}))+/?$|^/$", max_length=300)

    @model_validator(mode="after")
    def _no_steps(self) -> Self:
        if {".", ".."} & set(self.path.split("/")):
            raise ValueError("path: no . or .. in it")
        return self


class HttpEndpoint(Section):
    """A server that playbooks may talk to. `headers` hold its credentials, each from a file.

    `ok`: statuses that say that it is done. `idempotency_header`: the header by which it recognises a request that it
    has had already (`Idempotency-Key`); empty = it does not.
    """

    name: PlaceName
    base_url: str = Field(pattern=r"^https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?$")
    allow: tuple[HttpAllowed, ...] = Field(min_length=1)
    headers: Mapping[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")], Secret] = Field(default_factory=dict)
    timeout: Annotated[Duration, _longest(timedelta(minutes=2))] = timedelta(seconds=10)
    ok: tuple[Annotated[int, Field(ge=200, le=299)], ...] = Field((200, 201, 202, 204), min_length=1)
    idempotency_header: str = Field("", pattern=r"^[A-Za-z0-9-]{0,100}$")
    ca: Path | None = None


class Airflow(Section):
    """An Airflow. `v2` is the API of Airflow 3 (user and password, or a token), `v1` that of Airflow 2 (basic auth)."""

    name: PlaceName
    base_url: str = Field(pattern=r"^https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?$")
    api: Literal["v2", "v1"] = "v2"
    username: str = ""
    password_file: Secret | None = None
    token_file: Secret | None = None
    timeout: Annotated[Duration, _longest(timedelta(minutes=2))] = timedelta(seconds=10)
    ca: Path | None = None

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if bool(self.username) != (self.password_file is not None):
            raise ValueError("give username together with password_file")
        if bool(self.username) == (self.token_file is not None):
            raise ValueError("give either username with password_file, or token_file")
        return self


class OutsideSettings(BaseModel):
    """Each list holds places of one kind, with unique names. What is not listed cannot be reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exec: tuple[ExecCommand, ...] = ()
    """Programs that may be run in containers."""
    endpoints: tuple[HttpEndpoint, ...] = ()
    airflow: tuple[Airflow, ...] = ()
    databases: tuple[DatabaseSettings, ...] = ()
    helm: tuple[HelmRelease, ...] = ()
    redis: tuple[RedisSentinels, ...] = ()
    rds: tuple[RdsInstance, ...] = ()
    patroni: tuple[PatroniCluster, ...] = ()
    forges: tuple[Forge, ...] = ()
    vaults: tuple[Vault, ...] = ()

    @model_validator(mode="after")
    def _unique_names(self) -> Self:
        for kind in type(self).model_fields:
            names = [one.name for one in getattr(self, kind) if hasattr(one, "name")]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"outside.{kind}: {twice[0]!r} is there twice; give each its own name")
        check_forges(self.forges)
        return self
