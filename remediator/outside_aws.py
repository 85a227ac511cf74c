"""Databases of Amazon RDS that actions may snapshot or reboot: the `rds` list of the `outside` block."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from remediator.playbooks.fields import NAME_PATTERN, Duration
from remediator.secret_files import Secret, Section

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class RdsInstance(Section):
    """One DB instance (not a member of an Aurora cluster).

    Who we are: `access_key_id` with `secret_access_key_file`; or else, as for every program on AWS, the web identity of
    the pod's service account (`AWS_ROLE_ARN`, `AWS_WEB_IDENTITY_TOKEN_FILE`), or `AWS_ACCESS_KEY_ID` with
    `AWS_SECRET_ACCESS_KEY`. Its policy should name this instance: `rds:DescribeDBInstances`, `rds:DescribeDBSnapshots`,
    and `rds:CreateDBSnapshot` with `rds:AddTagsToResource`, `rds:RebootDBInstance` as far as they are allowed here.
    """

    name: Name
    instance: str = Field(pattern=r"^[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*$", max_length=63)
    region: str = Field(pattern=r"^[a-z]{2,4}(-[a-z]{2,20}){1,3}-\d{1,2}$")
    allow: tuple[Literal["snapshot", "reboot"], ...] = Field(min_length=1)
    access_key_id: str = Field("", pattern=r"^[A-Za-z0-9]{0,128}$")
    secret_access_key_file: Secret | None = None
    session_token_file: Secret | None = None
    endpoint: str = Field("", pattern=r"^$|^https?://[A-Za-z0-9._:\[\]-]+$")
    """By default the region's own."""
    sts_endpoint: str = Field("", pattern=r"^$|^https?://[A-Za-z0-9._:\[\]-]+$")
    timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=1))] = timedelta(seconds=10)
    stands_for: tuple[str, ...] = ()
    """Kubernetes objects that this database is (`Service/shop/orders-db`): actions with another target are refused.
    Empty = any."""

    @model_validator(mode="after")
    def _whole_key(self) -> Self:
        if bool(self.access_key_id) != (self.secret_access_key_file is not None):
            raise ValueError("give access_key_id together with secret_access_key_file")
        if self.session_token_file is not None and not self.access_key_id:
            raise ValueError("session_token_file belongs to access_key_id")
        return self
