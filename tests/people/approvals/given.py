"""People, schedules and groups in memory, which can change and fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from remediator.errors import CannotSee
from remediator.people.approvers import Approvers, OnCallUser
from remediator.people.directory import Directory, PersonSpec
from remediator.ports import ChatError, ChatMember
from tests.http.harness import FakeClock
from tests.support.accounts import TEAM


def person(name: str, **given: Any) -> PersonSpec:
    return PersonSpec.model_validate({"name": name, **given})


@dataclass
class Schedules:
    """One system's. `down` says why it cannot be read."""

    on_call: dict[str, list[OnCallUser]] = field(default_factory=dict)
    down: str = ""
    asked: list[str] = field(default_factory=list)

    async def now(self, schedule: str) -> Sequence[OnCallUser]:
        self.asked.append(schedule)
        if self.down:
            raise CannotSee(self.down)
        return tuple(self.on_call.get(schedule, ()))


@dataclass
class Workspace:
    """A chat directory. `accounts` by user id, `groups` by id with (handle, members)."""

    accounts: dict[str, ChatMember] = field(default_factory=dict)
    user_groups: dict[str, tuple[str, set[str]]] = field(default_factory=dict)
    down: str = ""
    asked: list[str] = field(default_factory=list)

    def has(self, user: str, email: str = "", **changes: Any) -> None:
        told = {"deleted": False, "bot": False, "guest": False, "team": TEAM, **changes}
        self.accounts[user] = ChatMember(id=user, name=user, email=email, **told)

    async def member(self, user: str) -> ChatMember | None:
        self._ask(f"users.info {user}")
        return self.accounts.get(user)

    async def member_by_email(self, email: str) -> ChatMember | None:
        self._ask(f"users.lookupByEmail {email}")
        return next((a for a in self.accounts.values() if a.email.lower() == email.lower()), None)

    async def groups(self) -> Mapping[str, str]:
        self._ask("usergroups.list")
        return {handle: group for group, (handle, _) in self.user_groups.items()}

    async def group_members(self, group: str) -> frozenset[str]:
        self._ask(f"usergroups.users.list {group}")
        return frozenset(self.user_groups[group][1])

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            raise ChatError(self.down)


@dataclass
class House:
    """Who works here, and everything that can be asked about them."""

    people: Sequence[PersonSpec] = ()
    clock: FakeClock = field(default_factory=FakeClock)
    pagerduty: Schedules = field(default_factory=Schedules)
    opsgenie: Schedules = field(default_factory=Schedules)
    slack: Workspace = field(default_factory=Workspace)
    cache: timedelta = timedelta(seconds=60)

    def approvers(self) -> Approvers:
        systems = {"pagerduty": self.pagerduty, "opsgenie": self.opsgenie}
        return Approvers(Directory(self.people), self.clock, oncall=systems, chat=self.slack, cache=self.cache)
