"""`rds_snapshot`: RDS is through with the manual snapshots of an instance, and the instance serves.

    rds_snapshot: {instance: prod-db}

The instance is a name of the configuration. While a snapshot is being made nothing is said: it is no backup before it
is available.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from remediator.playbooks.fields import NAME_PATTERN
from remediator.remediation.checks.base import CheckArgs, CheckContext, CheckKind, Unknown, answer, one_line
from remediator.remediation.outside_asking import ask
from remediator.remediation.samples import CheckSample

NAME = "rds_snapshot"


class RdsSnapshotArgs(CheckArgs):
    """`instance` is a name of `outside.rds`."""

    instance: Annotated[str, Field(pattern=NAME_PATTERN)]

    @property
    def about(self) -> str:
        return self.instance


async def sample(args: RdsSnapshotArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, ReadError."""
    found: Any = await ask(context, "rds", args.instance, {"about": "instance"})
    if found["under_way"]:
        raise Unknown(f"snapshot {one_line(str(found['under_way'][0]), 80)} of {args.instance} is being made")
    if found["status"] != "available":
        raise Unknown(f"{args.instance} is {one_line(str(found['status']), 40)}")
    if not found["snapshots"]:
        raise Unknown(f"{args.instance} has no manual snapshot yet")
    said = f"{args.instance}: {found['snapshots']} manual snapshots, none is being made"
    return answer(NAME, "good", said, context.now)


KIND = CheckKind(NAME, RdsSnapshotArgs, sample)
