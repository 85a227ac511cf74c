"""`pg_cancel` and `pg_terminate`: end a statement, or a session, that holds others up.

Which sessions is settled at the first plan and stays: what was approved is these transactions, not whatever fits the
rule later. Each is one request, whose SQL looks again at pid, start and state before it signals.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Call, Change, NotPossible
from remediator.actions.sql.place import KINDS, VIA, DatabaseName, facts_of
from remediator.actions.view import Ask, View, Wanted
from remediator.objects import JSON, uid_of
from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import Duration

Which = Literal["blocker", "idle_in_transaction", "long_running"]
Backend = Mapping[str, Any]

SHORTEST, LONGEST = timedelta(seconds=5), timedelta(days=7)

_WHAT = {
    "blocker": "blocks others",
    "idle_in_transaction": "is idle in a transaction",
    "long_running": "runs one statement",
}
_SAME: Mapping[str, tuple[str, ...]] = {
    "blocker": (),
    "idle_in_transaction": ("state_change",),
    "long_running": ("query_start",),
}
"""What else must not have moved besides the session and its transaction: it is part of what people approve, so no more
than that (a blocker may well be busy)."""


def _in_bounds(value: timedelta) -> timedelta:
    if not SHORTEST <= value <= LONGEST:
        raise ValueError(f"expected {format_duration(SHORTEST)} to {format_duration(LONGEST)}")
    return value


class SessionParams(Params):
    """`longer_than`: how long the session is idle, its statement runs, or somebody waits for it.

    `max`: at most so many of them, the longest first. `exclude_users` and `exclude_applications` are names that may
    hold `*`. `only` is filled in at the first plan.
    """

    database: DatabaseName
    which: Which
    longer_than: Annotated[Duration, AfterValidator(_in_bounds)]
    max: int = Field(ge=1, le=20)
    exclude_users: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] = Field((), max_length=50)
    exclude_applications: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] = Field((), max_length=50)
    only: tuple[Annotated[str, Field(max_length=100)], ...] | None = Field(None, max_length=20)


class CancelParams(SessionParams):
    """An idle session has nothing to cancel."""

    @model_validator(mode="after")
    def _running(self) -> Self:
        if self.which == "idle_in_transaction":
            raise ValueError("which: idle_in_transaction has nothing to cancel; pg_terminate ends such sessions")
        return self


class _Sessions:
    """What both do. Neither has an inverse."""

    name: str
    kinds: tuple[str, ...] = KINDS
    needs: frozenset[str] = frozenset()
    disruptive = False
    changes_data = True
    rights: tuple[Right, ...] = ()
    do: str

    def wants(self, params: SessionParams, view: View) -> Mapping[str, Wanted]:
        asked = {
            "ask": "backends",
            "which": params.which,
            "longer_than_s": params.longer_than.total_seconds(),
        }
        return {"sessions": Ask(VIA, params.database, asked)}

    def _resolve(self, params: SessionParams, view: View) -> tuple[str, ...]:
        """Which sessions it is about, from now on. Raises: NotPossible."""
        return tuple(_identity(one) for one in self._chosen(params, view))

    def plan(self, params: SessionParams, view: View) -> Change:
        """Raises: NotPossible."""
        chosen = self._chosen(params, view)
        facts = facts_of(view, "sessions", params.database)
        calls = tuple(self._call(params, view, one) for one in chosen)
        count = f"{len(calls)} {'session' if len(calls) == 1 else 'sessions'}"
        return Change(
            effects=calls,
            summary=f"{self.do} {count} of database {params.database}: "
            + ", ".join(f"pid {one['pid']} ({_who(one)})" for one in chosen),
            notes=(*self._notes(), *_left_out(facts, params, len(chosen))),
        )

    def _notes(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _fits(self, one: Backend) -> bool:
        raise NotImplementedError

    def _bound(self, params: SessionParams) -> tuple[str, ...]:
        return ("backend_start", "xact_start", *_SAME[params.which])

    def _chosen(self, params: SessionParams, view: View) -> list[Backend]:
        facts = facts_of(view, "sessions", params.database)
        wanted = [one for one in facts["backends"] if not _excluded(one, params)]
        if params.only is not None:
            wanted = [one for one in wanted if _identity(one) in params.only]
            if not wanted:
                raise NotPossible(f"none of the chosen sessions of database {params.database} is in the way any more")
        fitting = [one for one in wanted if self._fits(one)]
        if not fitting:
            raise NotPossible(_nobody(facts, params, wanted))
        return fitting[: params.max]

    def _call(self, params: SessionParams, view: View, one: Backend) -> Call:
        request: dict[str, JSON] = {
            "do": self.do,
            "which": params.which,
            "pid": one["pid"],
            **{name: one[name] for name in self._bound(params)},
            "longer_than_s": params.longer_than.total_seconds(),
        }
        return Call(
            ref=view.ref,
            uid=uid_of(view.target),
            via=VIA,
            place=params.database,
            request=request,
            # Nothing in it moves while the session stays as it is: it is part of what people approve.
            says=f"{self.do} pid {one['pid']} ({_who(one)}), which {_WHAT[params.which]}: {one['state']}, "
            f"statement since {_clock(one['query_start'])}, transaction since {_clock(one['xact_start'])}: "
            f"{one['query'] or 'no statement'} [{one['query_hash']}]",
        )


class PgCancel(_Sessions):
    """Ends the statement; the session stays, and its transaction has failed."""

    name = "pg_cancel"
    do = "cancel"
    params = CancelParams

    def resolve(self, params: CancelParams, view: View) -> CancelParams:
        return params if params.only is not None else params.model_copy(update={"only": self._resolve(params, view)})

    def _fits(self, one: Backend) -> bool:
        return bool(one["state"] == "active")

    def _bound(self, params: SessionParams) -> tuple[str, ...]:
        """A cancel hits whatever runs when it arrives: the statement too must be the one that people have seen."""
        return tuple(dict.fromkeys((*super()._bound(params), "query_start")))

    def _notes(self) -> tuple[str, ...]:
        return ("what the transaction has done so far is lost, and cannot be taken back",)


class PgTerminate(_Sessions):
    """Ends the session with its transaction; a good application connects again."""

    name = "pg_terminate"
    do = "terminate"
    params = SessionParams

    def resolve(self, params: SessionParams, view: View) -> SessionParams:
        return params if params.only is not None else params.model_copy(update={"only": self._resolve(params, view)})

    def _fits(self, one: Backend) -> bool:
        return True

    def _notes(self) -> tuple[str, ...]:
        return ("the connection and what its transaction has done so far are lost, and cannot be taken back",)


def _identity(one: Backend) -> str:
    """One transaction (for a statement outside of one, the statement) of one session."""
    return f"{one['pid']}@{one['backend_start']}/{one['xact_start'] or one['query_start']}"


def _excluded(one: Backend, params: SessionParams) -> bool:
    return any(fnmatchcase(one["user"], pattern) for pattern in params.exclude_users) or any(
        fnmatchcase(one["application"], pattern) for pattern in params.exclude_applications
    )


def _nobody(facts: Mapping[str, Any], params: SessionParams, wanted: list[Backend]) -> str:
    where = f"of database {params.database}"
    if wanted:
        return (
            f"session {wanted[0]['pid']} {where} is {wanted[0]['state']}: nothing to cancel; pg_terminate would end it"
        )
    if facts["backends"]:
        return f"every session {where} that {_WHAT[params.which]} is excluded by this step"
    if facts["spared"]:
        first = facts["spared"][0]
        return f"what {_WHAT[params.which]} there is never ended: pid {first['pid']} {where}, {first['why']}"
    return f"no session {where} {_WHAT[params.which]} for {format_duration(params.longer_than)} or longer"


def _left_out(facts: Mapping[str, Any], params: SessionParams, chosen: int) -> tuple[str, ...]:
    """What people must know that is not done."""
    notes = []
    others = sum(1 for one in facts["backends"] if not _excluded(one, params)) - chosen
    if others > 0 or facts["more"]:
        notes.append(f"{others}{' or more' if facts['more'] else ''} others fit as well and are left alone")
    notes += [f"never ended: pid {one['pid']}, {one['why']}" for one in facts["spared"][:5]]
    if facts["standby"]:
        notes.append(f"database {params.database} is a standby")
    return tuple(notes)


def _who(one: Backend) -> str:
    user = one["user"] or "nobody"
    return f"{user}, {one['application']}" if one["application"] else user


def _clock(moment: str) -> str:
    """`12:03:11 UTC`; what lasts is left out, it would be another number at every look."""
    return f"{moment[11:19]} UTC" if moment else "an unknown time"
