"""What the actions on databases share: which objects stand for a database, and what its answers must say. Pure.

Only the names of the operator's configuration reach a database; whatever the database says of its sessions is untrusted
text, which has been cut and redacted where it was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.change import NotPossible
from remediator.actions.view import View
from remediator.objects import dig
from remediator.playbooks.fields import NAME_PATTERN

VIA = "sql"

KINDS = ("Service", "StatefulSet", "Cluster.postgresql.cnpg.io")
"""What stands for a database: locks, pauses and protection are asked of it."""

DatabaseName = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name of `outside.databases`."""


def facts_of(view: View, name: str, database: str) -> Mapping[str, Any]:
    """The database's answer, once it is sure that the target stands for it. Raises: NotPossible."""
    if dig(view.target, "metadata", "deletionTimestamp") is not None:
        raise NotPossible(f"{view.ref} is being deleted")
    found = view.found.get(name)
    if not isinstance(found, Mapping):
        raise NotPossible(f"database {database} has not answered: nothing is done without knowing", hold=True)
    stands_for = found.get("stands_for") or ()
    if stands_for and view.ref.key not in stands_for:
        raise NotPossible(
            f"database {database} stands for {', '.join(stands_for)}, not for {view.ref}: name that as the target"
        )
    return found


def refuse_standby(found: Mapping[str, Any], database: str) -> None:
    """Raises: NotPossible."""
    if found["standby"]:
        raise NotPossible(f"database {database} is a standby, which takes no changes: configure the primary's address")
