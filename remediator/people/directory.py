"""Which accounts belong to which person, and what roles they have: `people:` of the configuration. Pure.

Quorum counts persons: whoever clicks in Slack and types in a terminal has said yes once. That only works for what is
written down here, so one account belongs to one person, and a doubt is an error at load.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from remediator.people.account import Account

ROLES = ("viewer", "operator", "approver", "admin")
"""Each may do what the ones before it may. Any other role (`sre`, `l2`, `team-checkout`) is only a name for
`approvers`."""

Key = tuple[str, str]
"""System and id: ("slack", "U123"), ("slack", "T1/U123"), ("api", "ann")."""


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _lower(value: str) -> str:
    return value.strip().lower()


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@ -]{0,62}$")]
"""Without a colon, so that no name can look like an account that nobody knows."""
SlackId = Annotated[str, StringConstraints(pattern=r"^([TE][A-Z0-9]{2,}/)?[UW][A-Z0-9]{2,}$")]
"""A member's ID (in the profile, under "more"), perhaps behind that of the workspace or grid: `T0AB/U123`."""
Role = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$"), AfterValidator(_lower)]


class PersonSpec(BaseModel):
    """One person as the configuration has it. `pagerduty` is a user ID, `opsgenie` a user name (an address)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    slack: Annotated[tuple[SlackId, ...], BeforeValidator(_several)] = ()
    pagerduty: Annotated[str, StringConstraints(pattern=r"^([A-Z0-9]{3,})?$")] = ""
    opsgenie: Email | Annotated[str, StringConstraints(max_length=0)] = ""
    email: Email | Annotated[str, StringConstraints(max_length=0)] = ""
    """Connects the person with whoever is on call by this address, and with the Slack account that has it."""
    tokens: Annotated[tuple[str, ...], BeforeValidator(_several)] = ()
    """Names of API tokens (`api:`). A token that is called like the person belongs to it anyway."""
    roles: tuple[Role, ...] = Field(())

    def accounts(self) -> Iterator[Key]:
        """Every account that is the person's."""
        yield from (("slack", one) for one in self.slack)
        yield from (("api", one) for one in dict.fromkeys((self.name, *self.tokens)))
        if self.pagerduty:
            yield "pagerduty", self.pagerduty
        if self.opsgenie:
            yield "opsgenie", self.opsgenie


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whose word it is. `name` is what quorum counts and what stands on record: the configured name, the name of an API
    token, or the key of an account that nobody is known for. `accounts` are all that are known to be the same person's.
    """

    name: str
    accounts: frozenset[Key]
    roles: frozenset[str] = frozenset()
    email: str = ""
    listed: bool = False

    def ids(self, system: str) -> frozenset[str]:
        """Plain ids in one system, without team or grid."""
        return frozenset(id_.rpartition("/")[2] for kind, id_ in self.accounts if kind == system)


class Directory:
    """Finds the person behind an account."""

    def __init__(self, people: Sequence[PersonSpec] = ()) -> None:
        """Raises: ValueError, with everything that is wrong."""
        if problems := tuple(_problems(people)):
            raise ValueError("\n  ".join(problems))
        self._by_key = {key: person for spec in people for person in (_person(spec),) for key in spec.accounts()}
        self._by_email = {spec.email: self._by_key["api", spec.name] for spec in people if spec.email}
        self._slack_ids = {
            id_.rpartition("/")[2]: (id_, p.name) for (s, id_), p in self._by_key.items() if s == "slack"
        }
        self.knows_emails = any(spec.email and not spec.slack for spec in people)
        """Somebody's Slack account can only be told by its address."""

    def of(self, account: Account) -> Person:
        """Whoever the account belongs to; for one that nobody is known for, a person of its own."""
        found = next((self._by_key[key] for key in _keys_of(account) if key in self._by_key), None)
        if found is not None:
            return found
        name = account.id if account.system == "api" else account.key
        return Person(name=name, accounts=frozenset({(account.system, account.id)}))

    def elsewhere(self, account: Account) -> str:
        """Whose Slack account of the same id is listed, but for another workspace: in a grid it is the same human
        being. `T1/U1, which is ann's`; empty = nobody's."""
        if account.system != "slack" or self.of(account).listed:
            return ""
        listed, name = self._slack_ids.get(account.id, ("", ""))
        return f"{listed}, which is {name}'s" if listed else ""

    def with_email(self, email: str) -> Person | None:
        """Whoever has this address. Only for addresses that somebody vouches for."""
        return self._by_email.get(_lower(email)) if email else None

    def with_account(self, system: str, id_: str) -> Person | None:
        return self._by_key.get((system, id_))

    def may(self, account: Account, role: str) -> bool:
        """Whether an account has this role of `ROLES` or a higher one. A token has its own, which bounds it whoever it
        belongs to; other accounts have their person's."""
        if account.system == "api":
            return _rank(account.role) >= _rank(role)
        return may(self.of(account), role)


def may(person: Person, role: str) -> bool:
    """Whether somebody has this role of `ROLES` or a higher one."""
    return max(map(_rank, person.roles), default=-1) >= _rank(role)


def _rank(role: str) -> int:
    return ROLES.index(role) if role in ROLES else -1


def _person(spec: PersonSpec) -> Person:
    return Person(
        name=spec.name,
        accounts=frozenset(spec.accounts()),
        roles=frozenset(spec.roles),
        email=spec.email,
        listed=True,
    )


def _keys_of(account: Account) -> Iterator[Key]:
    """How people may have written this account, the most exact first."""
    id_ = _lower(account.id) if account.system == "opsgenie" else account.id
    for team in filter(None, reversed(account.team.split("/"))):
        yield account.system, f"{team}/{id_}"
    yield account.system, id_


def unknown_tokens(people: Sequence[PersonSpec], tokens: Collection[str]) -> Iterator[str]:
    """What is said of tokens that the API does not have, and of names that a token cannot have."""
    for spec in people:
        for token in spec.tokens:
            if token not in tokens:
                yield f"people[{spec.name}].tokens: no token of `api` is called {token!r}"
    for token in tokens:
        if ":" in token:
            yield f"api: {token!r}: the name of a token has no colon, so that it cannot look like another account"


def _problems(people: Sequence[PersonSpec]) -> Iterator[str]:
    for name in _twice(spec.name for spec in people):
        yield f"people: {name} is there twice; names must differ"
    for email in _twice(spec.email for spec in people if spec.email):
        yield f"people: {email} is the address of two people; whose word would it be?"
    owners: dict[Key, str] = {}
    for spec in people:
        for system, id_ in spec.accounts():
            key = (system, id_.rpartition("/")[2]) if system == "slack" else (system, id_)
            owner = owners.setdefault(key, spec.name)
            if owner != spec.name:
                yield f"people[{spec.name}]: {system} account {id_} is {owner}'s already; one account, one person"


def _twice(names: Iterable[str]) -> list[str]:
    several = list(names)
    return sorted({name for name in several if several.count(name) > 1})
