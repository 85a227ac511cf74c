"""pg_cancel and pg_terminate: which sessions, what each request is bound to, and who is left alone."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Call, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.sql.sessions import CancelParams, PgCancel, PgTerminate, SessionParams
from remediator.actions.view import Ask
from tests.actions.sql.make_sql import backend, seen, service, sessions

BASE: dict[str, Any] = {"database": "orders-db", "which": "idle_in_transaction", "longer_than": "10m", "max": 2}
BLOCKER = BASE | {"which": "blocker", "longer_than": "30s"}
LONG = BASE | {"which": "long_running"}
START = "2025-06-01T09:00:00.123456+00:00"
AT = "2025-06-01T11:50:00.000001+00:00"


def terminate(params: dict[str, Any], facts: Any) -> Any:
    action, view = PgTerminate(), seen(service(), sessions=facts)
    return action.plan(action.resolve(SessionParams(**params), view), view)


def cancel(params: dict[str, Any], facts: Any) -> Any:
    action, view = PgCancel(), seen(service(), sessions=facts)
    return action.plan(action.resolve(CancelParams(**params), view), view)


@pytest.mark.parametrize(
    ("do", "params", "bound"),
    [
        pytest.param(terminate, BASE, {"state_change": AT}, id="idle: since when"),
        pytest.param(terminate, BLOCKER, {}, id="blocker: no more than its transaction, it may be busy"),
        pytest.param(terminate, LONG, {"query_start": AT}, id="long: this statement"),
        pytest.param(cancel, BLOCKER, {"query_start": AT}, id="cancel: always this statement"),
        pytest.param(cancel, LONG, {"query_start": AT}, id="cancel of a long one"),
    ],
)
def test_one_request_a_session_bound_to_what_was_seen(do, params, bound):
    change = do(params, sessions(backend(state="active")))
    (call,) = change.effects
    assert isinstance(call, Call)
    assert (call.via, call.place, call.uid) == ("sql", "orders-db", "uid-orders-db")
    assert call.request == {
        "do": do.__name__,
        "which": params["which"],
        "longer_than_s": 600.0 if params["longer_than"] == "10m" else 30.0,
        "pid": 4711,
        "backend_start": START,
        "xact_start": AT,
        **bound,
    }
    assert not call.undoable
    assert any("cannot be taken back" in note for note in change.notes)


def test_people_see_who_and_what():
    change = terminate(BASE, sessions(backend(), backend(4712, user="other", application="", query="")))
    assert change.summary == (
        "terminate 2 sessions of database orders-db: pid 4711 (shop_app, orders-api), pid 4712 (other)"
    )
    assert diff_lines(change) == (
        "terminate pid 4711 (shop_app, orders-api), which is idle in a transaction: idle in transaction, statement "
        "since 11:50:00 UTC, transaction since 11:50:00 UTC: UPDATE orders SET note = ? WHERE id = ? [0123456789ab]",
        "terminate pid 4712 (other), which is idle in a transaction: idle in transaction, statement since 11:50:00 "
        "UTC, transaction since 11:50:00 UTC: no statement [0123456789ab]",
    )


def test_never_more_than_max_the_longest_first():
    change = terminate(BASE, sessions(backend(1), backend(2), backend(3), more=True))
    assert [call.request["pid"] for call in change.effects] == [1, 2]
    assert "1 or more others fit as well and are left alone" in change.notes


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ({"exclude_users": ["shop_app"]}, [2]),
        ({"exclude_users": ["shop_*"]}, [2]),
        ({"exclude_applications": ["batch-*"]}, [1]),
        ({"exclude_users": ["SHOP_APP"]}, [1, 2]),
    ],
)
def test_who_is_excluded(exclude, left):
    facts = sessions(backend(1), backend(2, user="batch", application="batch-night"))
    change = terminate(BASE | exclude, facts)
    assert [call.request["pid"] for call in change.effects] == left


def test_what_was_approved_is_these_transactions():
    """A later plan takes no other session, and not the same pid with another start or another transaction."""
    action = PgTerminate()
    params = action.resolve(SessionParams(**BASE), seen(service(), sessions=sessions(backend(1), backend(2))))
    assert params.only is not None
    later = sessions(backend(1, backend_start=AT), backend(2), backend(3))
    change: Any = action.plan(params, seen(service(), sessions=later))
    assert [call.request["pid"] for call in change.effects] == [2]
    assert action.resolve(params, seen(service(), sessions=later)) is params
    assert SessionParams.model_validate_json(params.model_dump_json()) == params
    with pytest.raises(NotPossible, match="in the way any more"):
        action.plan(params, seen(service(), sessions=sessions(backend(1, xact_start=START), backend(3))))


@pytest.mark.parametrize(
    ("do", "params", "facts", "reason"),
    [
        pytest.param(
            terminate,
            BASE,
            sessions(),
            "no session of database orders-db is idle in a transaction for 10m",
            id="nobody",
        ),
        pytest.param(
            terminate,
            BLOCKER,
            sessions(spared=[{"pid": 9, "why": "autovacuum worker"}]),
            "never ended: pid 9 of database orders-db, autovacuum worker",
            id="only one that nobody may touch",
        ),
        pytest.param(
            terminate, BASE | {"exclude_users": ["*"]}, sessions(backend()), "excluded by this step", id="all excluded"
        ),
        pytest.param(
            cancel, BLOCKER, sessions(backend()), "session 4711 of database orders-db is idle in transaction", id="idle"
        ),
        pytest.param(
            terminate,
            BASE,
            sessions(backend(), stands_for=["Service/shop/billing-db"]),
            "stands for Service/shop/billing-db",
            id="another target",
        ),
        pytest.param(terminate, BASE, None, "has not answered", id="no answer"),
    ],
)
def test_what_is_not_possible(do, params, facts, reason):
    with pytest.raises(NotPossible) as told:
        do(params, facts)
    assert reason in told.value.reason


def test_who_is_never_ended_is_named_beside():
    change = terminate(BASE, sessions(backend(), spared=[{"pid": 9, "why": "a superuser"}], standby=True))
    assert "never ended: pid 9, a superuser" in change.notes
    assert "database orders-db is a standby" in change.notes


def test_what_it_asks():
    asked = PgTerminate().wants(SessionParams(**BLOCKER), seen(service()))
    request = {"ask": "backends", "which": "blocker", "longer_than_s": 30.0}
    assert asked == {"sessions": Ask("sql", "orders-db", request)}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        pytest.param({"max": None}, "max", id="no bound"),
        pytest.param({"max": 21}, "less than or equal to 20", id="too many"),
        pytest.param({"longer_than": "4s"}, "expected 5s to 7d", id="too short"),
        pytest.param({"longer_than": "8d"}, "expected 5s to 7d", id="too long"),
        pytest.param({"which": "all"}, "blocker", id="everybody"),
        pytest.param({"pid": 1}, "Extra inputs", id="a pid"),
        pytest.param({"database": "a b"}, "pattern", id="hostile"),
    ],
)
def test_params_that_are_not_taken(more, why):
    with pytest.raises(ValidationError, match=why):
        SessionParams(**BASE | more)


def test_an_idle_session_has_nothing_to_cancel():
    with pytest.raises(ValidationError, match="pg_terminate ends such sessions"):
        CancelParams(**BASE)
