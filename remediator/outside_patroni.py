"""PostgreSQL clusters that Patroni looks after: the `patroni` list of the `outside` block."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from remediator.playbooks.fields import NAME_PATTERN, Duration
from remediator.secret_files import Secret, Section

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
MemberName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
MemberUrl = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9._:\[\]-]+$")]


class PatroniCluster(Section):
    """One cluster. `members` has the REST address of each member by its name, which is its pod's.

    The addresses that members give for each other are not used: our credentials go nowhere else than written here.
    """

    name: Name
    members: Mapping[MemberName, MemberUrl] = Field(min_length=2, max_length=20)
    username: str = Field("", max_length=100)
    password_file: Secret | None = None
    ca: Path | None = None
    timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(seconds=30))] = timedelta(seconds=5)
    """Of a question."""
    switchover_timeout: Annotated[Duration, Field(ge=timedelta(seconds=30), le=timedelta(minutes=10))] = timedelta(
        seconds=75
    )
    """Patroni answers when it is over: twice its loop_wait, at least 20 s."""
    stands_for: tuple[str, ...] = ()
    """Kubernetes objects that this cluster is (`StatefulSet/shop/orders-db`): actions with another target are refused.
    Empty = any."""

    @model_validator(mode="after")
    def _login(self) -> Self:
        if bool(self.username) != (self.password_file is not None):
            raise ValueError("give username together with password_file")
        return self
