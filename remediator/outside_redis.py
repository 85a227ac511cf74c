"""Redis masters that Sentinels watch: the `redis` list of the `outside` block."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from remediator.playbooks.fields import NAME_PATTERN, Duration
from remediator.secret_files import Secret, Section

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Address = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9a-fA-F:]{2,45}\]):\d{1,5}$")
]
"""`host:port`."""


class RedisSentinels(Section):
    """One master and the Sentinels that watch it, each by an address of its own: behind one Service all of them would
    be one vantage point.

    The Sentinels' user needs `+sentinel|master +sentinel|replicas +sentinel|ckquorum +sentinel|myid
    +sentinel|failover +ping`.
    """

    name: Name
    master: str = Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """What the Sentinels call it."""
    sentinels: tuple[Address, ...] = Field(min_length=2, max_length=15)
    username: str = Field("", max_length=100)
    password_file: Secret | None = None
    tls: bool = True
    ca: Path | None = None
    timeout: Annotated[Duration, Field(ge=timedelta(milliseconds=500), le=timedelta(seconds=30))] = timedelta(seconds=3)
    """Of each question."""
    failover_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=10))] = timedelta(
        minutes=1
    )
    """How long we wait for another master to be named."""
    stands_for: tuple[str, ...] = ()
    """Kubernetes objects that this Redis is (`StatefulSet/shop/redis`): actions with another target are refused.
    Empty = any."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.sentinels)) != len(self.sentinels):
            raise ValueError("sentinels: each address once")
        if self.username and self.password_file is None:
            raise ValueError("give username together with password_file")
        return self
