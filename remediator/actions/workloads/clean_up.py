"""What every clean-up asks: how old at least, how many at most."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Self

from pydantic import AwareDatetime, Field, field_validator

from remediator.actions.base import Params
from remediator.actions.view import View
from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import Duration


def refuse_young(age: timedelta, least: timedelta, what: str = "") -> None:
    """`what` it is too young for. Raises: ValueError, which says how old."""
    if age < least:
        said = f" for {what}" if what else ""
        raise ValueError(f"{format_duration(age)} is too young{said}: give {format_duration(least)} or more")


class CleanUpParams(Params):
    """At most `max` that ended longer than `older_than` ago, oldest first.

    `before` is filled in at the first plan: the moment that `older_than` means, so that what a plan takes does not
    become more while it waits.
    """

    least_age: ClassVar[timedelta]
    older_than: Duration
    max: int = Field(ge=1, le=200)
    before: AwareDatetime | None = None

    @field_validator("older_than")
    @classmethod
    def _not_too_young(cls, value: timedelta) -> timedelta:
        refuse_young(value, cls.least_age)
        return value

    def moment(self, view: View) -> datetime:
        """What ended before it may go."""
        return self.before or view.read_at - self.older_than

    def settled(self, view: View) -> Self:
        """With the moment instead of the age."""
        return self if self.before else self.model_copy(update={"before": self.moment(view)})
