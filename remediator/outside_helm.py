"""Helm releases that actions may upgrade and roll back: the `helm` list of the `outside` block.

A playbook says the names of a release, of one of its charts and of its values files, and an exact version. Where charts
come from and what the values are is written down here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from remediator.playbooks.fields import NAME_PATTERN, Duration
from remediator.secret_files import Section

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
ReleaseName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,51}[a-z0-9])?$")]
"""As helm allows it: at most 53 characters."""


class HelmChart(Section):
    """Where a chart comes from: `oci://registry/path/chart`, the absolute path of a packed chart (`.tgz`), or the name
    of a chart in `repo`, the address of a chart repository."""

    name: Name
    chart: str = Field(
        pattern=r"^(oci://[A-Za-z0-9._:/-]{1,300}|/[A-Za-z0-9._/+-]{1,300}\.tgz|[A-Za-z0-9][A-Za-z0-9._-]{0,99})$"
    )
    repo: str = Field("", pattern=r"^$|^https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?$")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        by_name = not self.chart.startswith(("oci://", "/"))
        if by_name != bool(self.repo):
            raise ValueError(
                "give chart: oci://... or the absolute path of a .tgz, or a chart's name together with repo"
            )
        return self


class HelmRelease(Section):
    """One release in one namespace. Without `charts` it can be rolled back, and not upgraded.

    helm acts with the rights of the cluster's own credentials: for the release's record (Secrets of its namespace) and
    for everything that the chart contains.
    """

    name: Name
    release: ReleaseName | None = None
    """What helm calls it; by default the name."""
    namespace: Name
    clusters: tuple[str, ...] = ()
    """Names of clusters that have it; empty = any."""
    charts: tuple[HelmChart, ...] = ()
    values: Mapping[Name, Path] = Field(default_factory=dict)
    """Values files by the names that playbooks say."""
    timeout: Annotated[Duration, Field(ge=timedelta(seconds=10), le=timedelta(minutes=30))] = timedelta(minutes=5)
    """Of an upgrade or rollback, its hooks included."""
    history_max: int = Field(10, ge=3, le=100)
    """How many revisions are kept. Fewer leave nothing to go back to."""
    program: str = Field("helm", pattern=r"^(helm|/[A-Za-z0-9._/+-]{1,300})$")
    """helm 3.14 or newer: the one on the PATH, or an absolute path."""
    registry_config: Path | None = None
    """Credentials of registries, as `helm registry login` writes them."""
    ca: Path | None = None
    """The CA of the registry or repository."""

    @property
    def called(self) -> str:
        return self.release or self.name

    @model_validator(mode="after")
    def _unique_charts(self) -> Self:
        names = [one.name for one in self.charts]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"charts: {twice[0]!r} is there twice; give each its own name")
        if relative := sorted(name for name, path in self.values.items() if not path.is_absolute()):
            raise ValueError(f"values: give {relative[0]} an absolute path")
        return self

    def chart(self, name: str) -> HelmChart | None:
        """The chart of that name; empty = the only one."""
        if not name:
            return self.charts[0] if len(self.charts) == 1 else None
        return next((one for one in self.charts if one.name == name), None)
