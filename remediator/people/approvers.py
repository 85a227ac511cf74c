"""Whether somebody may say yes, found out at the moment of the word.

Who is on call or in a group is asked of whoever knows, and remembered for a minute. A lookup that fails lets nobody in,
and keeps nobody out who is proven by something else; the refusal names the lookup and what went wrong with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Protocol

from remediator.people.account import Account
from remediator.people.directory import Directory, Person, may
from remediator.people.lookups import LookupFailed, Memory
from remediator.people.references import Kind, Reference, parse_reference
from remediator.ports import ChatDirectory, ChatMember, Clock

CACHE = timedelta(seconds=60)
ONCALL: Mapping[Kind, tuple[str, str]] = {
    "oncall_pagerduty": ("pagerduty", "PagerDuty"),
    "oncall_opsgenie": ("opsgenie", "Opsgenie"),
}
"""Kind of reference -> system of its accounts, and its name for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCallUser:
    """Somebody on call now, as the schedule's system knows them. `id`: PagerDuty's user ID, Opsgenie's user name."""

    id: str
    email: str = ""


class OnCall(Protocol):
    """Schedules of one system."""

    async def now(self, schedule: str) -> Sequence[OnCallUser]:
        """Whoever is on call this moment; nobody is an answer. Raises: ReadError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """`by`: by what right, in words, for the record: `on call in PSCHED1 (PagerDuty)`, `role sre`."""

    person: Person
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """`unread` are the lookups that failed, each with its reason; perhaps one of them would have let them in."""

    person: Person
    why: str
    unread: tuple[str, ...] = ()

    def __str__(self) -> str:
        failed = f". Could not be read, which lets nobody in: {'; '.join(self.unread)}" if self.unread else ""
        return f"{self.why}{failed}"


class Approvers:
    """`oncall` by system (`pagerduty`, `opsgenie`). What is not configured cannot be read, and lets nobody in."""

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        *,
        oncall: Mapping[str, OnCall] = MappingProxyType({}),
        chat: ChatDirectory | None = None,
        cache: timedelta = CACHE,
    ) -> None:
        self.directory = directory
        self._oncall = oncall
        self._chat = chat
        self._memory = Memory(clock, cache)

    def may(self, account: Account, role: str) -> bool:
        """Whether an account has one of the roles viewer < operator < approver < admin, or a higher one."""
        return self.directory.may(account, role)

    async def with_role(self, account: Account, role: str) -> Person | None:
        """Whose account it is, if it has this role of the four or a higher one; also by the address that Slack vouches
        for. Raises: LookupFailed."""
        if self.may(account, role):
            return self.directory.of(account)
        if account.system == "api":
            return None
        person = await self._person(account)
        return person if may(person, role) else None

    async def judge(self, account: Account, approvers: Sequence[str]) -> Granted | Refused:
        """Whether the word of this account counts where these are asked; with none of them, whether its role does."""
        try:
            person = await self._person(account)
        except LookupFailed as exc:
            nobody = self.directory.of(account)
            return Refused(person=nobody, why="it cannot be told whose account this is", unread=(str(exc),))
        if listed := self.directory.elsewhere(account):
            why = f"`people` lists {listed}, and this account is of another workspace: list it there as well"
            return Refused(person=person, why=why)
        if account.system == "api" and not self.may(account, "approver"):
            return Refused(person=person, why=f"the token {account.id} has no role that approves")
        if not approvers:
            return self._by_role(account, person)
        return await self._named(account, person, approvers)

    def _by_role(self, account: Account, person: Person) -> Granted | Refused:
        if account.system == "api":
            return Granted(person=person, by=f"API token {account.id}")
        if may(person, "approver"):
            return Granted(person=person, by="role approver")
        return Refused(person=person, why="this needs the role approver")

    async def _named(self, account: Account, person: Person, approvers: Sequence[str]) -> Granted | Refused:
        unread: list[str] = []
        lookups: list[Reference] = []
        for text in approvers:
            try:
                reference = parse_reference(text)
            except ValueError as exc:
                unread.append(str(exc))
                continue
            if by := _proven_here(person, reference):
                return Granted(person=person, by=by)
            lookups.append(reference)
        asked = [self._looked_up(account, person, r) for r in lookups if r.kind in ONCALL or r.kind in GROUPS]
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            match answer:
                case Granted():
                    return answer
                case LookupFailed():
                    unread.append(str(answer))
                case BaseException():
                    raise answer
                case None:
                    pass
        why = f"this needs {' or '.join(approvers)}"
        return Refused(person=person, why=why, unread=tuple(unread))

    async def _person(self, account: Account) -> Person:
        """Whose account it is. A Slack account that nobody listed may be known by the address that Slack vouches for,
        or the same person's word from elsewhere would count again. Raises: LookupFailed."""
        person = self.directory.of(account)
        if account.system != "slack" or person.listed or not self.directory.knows_emails:
            return person
        member = await self._member(account.id)
        known = self.directory.with_email(member.email) if member and _is(member, account) else None
        return _with(known, account) if known and not known.ids("slack") else person

    async def slack_accounts(self, reference: str) -> tuple[str, ...]:
        """Slack user ids of whoever is on call now by `oncall:…`, to mention them. Raises: LookupFailed, ValueError."""
        parsed = parse_reference(reference)
        if parsed.kind not in ONCALL:
            raise ValueError(f"{reference} is no schedule")
        system, _ = ONCALL[parsed.kind]
        found: dict[str, None] = {}
        for user in await self._users(parsed):
            known = self.directory.with_account(system, user.id) or self.directory.with_email(user.email)
            ids = sorted(known.ids("slack")) if known else []
            if not ids and user.email and (member := await self._member_with(user.email)) and member.may_act:
                ids = [member.id]
            found |= dict.fromkeys(ids)
        return tuple(found)

    async def _looked_up(self, account: Account, person: Person, reference: Reference) -> Granted | None:
        """None: it does not name them. Raises: LookupFailed."""
        if reference.kind in GROUPS:
            return await self._in_group(person, reference)
        return await self._on_call(account, person, reference)

    # --- groups -----------------------------------------------------------------------------------------------------

    async def _in_group(self, person: Person, reference: Reference) -> Granted | None:
        chat = self._chat
        if chat is None:
            raise LookupFailed(f"{reference}: Slack is not configured")
        group = reference.id if reference.kind == "slack_group" else await self._group(chat, reference.id)
        members = await self._memory.get(("members of Slack group", reference.id), lambda: chat.group_members(group))
        if members & await self._slack_ids(person):
            return Granted(person=person, by=f"member of {reference.text.removeprefix('slack:')}")
        return None

    async def _group(self, chat: ChatDirectory, handle: str) -> str:
        """The id behind a handle. Raises: LookupFailed."""
        groups = await self._memory.get(("Slack", "user groups"), chat.groups)
        if handle not in groups:
            raise LookupFailed(f"Slack has no user group @{handle}; a person is named as slack:U123 or person:NAME")
        return str(groups[handle])

    async def _slack_ids(self, person: Person) -> frozenset[str]:
        """Those that are known, else the one that has the person's address. Raises: LookupFailed."""
        ids = person.ids("slack")
        if ids or not person.email:
            return ids
        member = await self._member_with(person.email)
        return frozenset({member.id}) if member is not None and member.may_act else frozenset()

    # --- on call ----------------------------------------------------------------------------------------------------

    async def _on_call(self, account: Account, person: Person, reference: Reference) -> Granted | None:
        system, called = ONCALL[reference.kind]
        users = await self._users(reference)
        by = f"on call in {reference.id} ({called})"
        failed: list[LookupFailed] = []
        for user in users:
            try:
                found = await self._same(account, person, system, user)
            except LookupFailed as exc:
                failed.append(exc)
                continue
            if found is not None:
                return Granted(person=found, by=by)
        if failed:
            raise failed[0]
        return None

    async def _users(self, reference: Reference) -> Sequence[OnCallUser]:
        """Raises: LookupFailed."""
        system, called = ONCALL[reference.kind]
        oncall = self._oncall.get(system)
        if oncall is None:
            raise LookupFailed(f"{reference}: {called} is not configured")
        users: Sequence[OnCallUser] = await self._memory.get(
            (f"{called} schedule", reference.id), lambda: oncall.now(reference.id)
        )
        return users

    async def _same(self, account: Account, person: Person, system: str, user: OnCallUser) -> Person | None:
        """The person, if this on-call user is them: by what is written down, or by the address that both have."""
        id_ = user.id.lower() if system == "opsgenie" else user.id
        known = self.directory.with_account(system, id_) or self.directory.with_email(user.email)
        if person.listed and known is not None:
            return person if known.name == person.name else None
        if (account.system, account.id) == (system, user.id):
            return person
        if not user.email or not (person.listed or account.system == "slack"):
            return None
        member = await self._member_with(user.email)
        if member is None or not member.may_act:
            return None
        if person.listed:
            return person if member.id in person.ids("slack") else None
        if not _is(member, account) or (known and known.ids("slack")):
            return None
        return _with(known, account) if known else person

    # --- chat accounts ----------------------------------------------------------------------------------------------

    async def _member(self, user: str) -> ChatMember | None:
        chat = self._chat
        if chat is None:
            raise LookupFailed(f"Slack account {user}: Slack is not configured")
        answer: ChatMember | None = await self._memory.get(("Slack account", user), lambda: chat.member(user))
        return answer

    async def _member_with(self, email: str) -> ChatMember | None:
        chat = self._chat
        if chat is None:
            raise LookupFailed("Slack accounts by address: Slack is not configured")
        answer: ChatMember | None = await self._memory.get(
            ("Slack account with the address", email.lower()), lambda: chat.member_by_email(email)
        )
        return answer


GROUPS: frozenset[Kind] = frozenset({"slack_handle", "slack_group"})


def _proven_here(person: Person, reference: Reference) -> str:
    """By what right, as far as the configuration and the account itself tell; empty = they do not."""
    match reference.kind:
        case "person" if person.listed and person.name == reference.id:
            return f"named as {reference}"
        case "slack_user" if reference.id in person.ids("slack"):
            return f"named as {reference}"
        case "api" if reference.id in person.ids("api"):
            return f"named as {reference}"
        case "role" if reference.id in person.roles:
            return f"role {reference.id}"
        case _:
            return ""


def _is(member: ChatMember, account: Account) -> bool:
    """Whether a chat account is the one that clicked, of a full member, whose address is the workspace's word."""
    same_team = not member.team or not account.team or member.team in account.team.split("/")
    return member.may_act and member.id == account.id and same_team


def _with(person: Person, account: Account) -> Person:
    """The person, with an account that is proven to be theirs."""
    return replace(person, accounts=person.accounts | {(account.system, account.id)})
