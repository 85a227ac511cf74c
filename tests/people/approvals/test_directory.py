"""Which accounts are one person's: what is written down, and what is an error at load."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.config import load_config
from remediator.errors import InvalidConfig
from remediator.people.account import Account
from remediator.people.directory import Directory
from remediator.people.references import Known, nobody_behind
from tests.people.approvals.given import person
from tests.support.accounts import pager, slack, token

ANN = person(
    "ann",
    slack="U0ANN",
    pagerduty="PANN001",
    opsgenie="Ann@shop.example",
    email="ANN@shop.example",
    tokens=["ann-laptop"],
    roles=["sre", "approver"],
)
BOB = person("bob", slack=["T0SHOP/U0BOB"], roles=["operator"])
DIRECTORY = Directory([ANN, BOB])


@pytest.mark.parametrize(
    ("account", "name"),
    [
        pytest.param(slack("U0ANN"), "ann", id="slack"),
        pytest.param(slack("U0ANN", "E0GRID/T0SHOP"), "ann", id="slack, in a grid"),
        pytest.param(slack("U0BOB"), "bob", id="slack, written with the workspace"),
        pytest.param(slack("U0BOB", "E0GRID/T0SHOP"), "bob", id="slack, with the workspace, in a grid"),
        pytest.param(slack("U0BOB", "T0OTHER"), "slack:T0OTHER/U0BOB", id="the same id in another workspace"),
        pytest.param(slack("U0NOBODY"), "slack:T0SHOP/U0NOBODY", id="nobody's"),
        pytest.param(slack("U0NOBODY", "E0GRID/T0SHOP"), "slack:E0GRID/U0NOBODY", id="nobody's, in a grid"),
        pytest.param(token("ann"), "ann", id="a token that is called like the person"),
        pytest.param(token("ann-laptop"), "ann", id="a listed token"),
        pytest.param(token("robot"), "robot", id="a token of nobody"),
        pytest.param(pager("PANN001"), "ann", id="pagerduty"),
        pytest.param(pager("PBOB001"), "pagerduty:PBOB001", id="pagerduty, nobody's"),
        pytest.param(Account(system="opsgenie", id="ann@SHOP.example"), "ann", id="opsgenie, however it is spelt"),
        pytest.param(Account(system="slack", id="ann", team="T0SHOP", name="ann"), "slack:T0SHOP/ann", id="a name"),
    ],
)
def test_whose_account_it_is(account: Account, name: str) -> None:
    assert DIRECTORY.of(account).name == name


def test_two_workspaces_of_a_grid_are_one_account() -> None:
    """A user has one id in the whole grid: clicking elsewhere is no second person."""
    assert DIRECTORY.of(slack("U0X", "E0GRID/T1")).name == DIRECTORY.of(slack("U0X", "E0GRID/T2")).name


@pytest.mark.parametrize(
    ("account", "role", "may_"),
    [
        pytest.param(token("robot", "approver"), "approver", True, id="a token has its own role"),
        pytest.param(token("robot", "operator"), "approver", False, id="and no higher one"),
        pytest.param(token("ann", "viewer"), "operator", False, id="whoever it belongs to"),
        pytest.param(token("robot", "admin"), "viewer", True, id="and all below"),
        pytest.param(token("robot", ""), "viewer", False, id="no role at all"),
        pytest.param(slack("U0ANN"), "approver", True, id="the person's"),
        pytest.param(slack("U0ANN"), "admin", False, id="not a higher one"),
        pytest.param(slack("U0BOB"), "operator", True, id="operator"),
        pytest.param(slack("U0BOB"), "approver", False, id="an operator approves nothing"),
        pytest.param(slack("U0NOBODY"), "viewer", False, id="nobody"),
    ],
)
def test_roles(account: Account, role: str, may_: bool) -> None:
    assert DIRECTORY.may(account, role) is may_


@pytest.mark.parametrize(
    ("people", "said"),
    [
        pytest.param([person("ann"), person("ann")], "ann is there twice", id="a name twice"),
        pytest.param(
            [person("ann", slack="U0ANN"), person("bob", slack="U0ANN")], "slack account U0ANN is ann's", id="slack"
        ),
        pytest.param(
            [person("ann", slack="U0ANN"), person("bob", slack="T0SHOP/U0ANN")], "is ann's already", id="with a team"
        ),
        pytest.param(
            [person("ann", tokens="robot"), person("bob", tokens="robot")], "api account robot is ann's", id="token"
        ),
        pytest.param(
            [person("ann"), person("bob", tokens="ann")], "api account ann is ann's already", id="token of that name"
        ),
        pytest.param(
            [person("ann", pagerduty="P1X"), person("bob", pagerduty="P1X")], "one account, one person", id="pager"
        ),
        pytest.param(
            [person("ann", opsgenie="a@x.org"), person("bob", opsgenie="A@x.org")], "is ann's already", id="opsgenie"
        ),
        pytest.param(
            [person("ann", email="a@x.org"), person("bob", email="A@X.org")], "address of two people", id="address"
        ),
    ],
)
def test_one_account_one_person(people: list, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Directory(people)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "slack:T1/U1"},
        {"name": "ann", "slack": "@ann"},
        {"name": "ann", "slack": "ann"},
        {"name": "ann", "roles": ["SRE team"]},
        {"name": "ann", "email": "ann"},
        {"name": "ann", "role": "sre"},
    ],
    ids=lambda given: next(reversed(given.values())) or "empty",
)
def test_what_is_written_wrong(wrong: dict) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (each has its own words)
        person(**wrong)


MINIMAL = """\
sources: [{name: am, tokens: [{value: secret-of-am}]}]
api: [{name: robot, role: approver, token: {value: secret-of-robot}}]
"""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        pytest.param("people: [{name: ann, tokens: [laptop]}]", "no token of `api` is called 'laptop'", id="no token"),
        pytest.param(
            "people: [{name: ann, slack: U0X}, {name: bob, slack: U0X}]", "slack account U0X", id="one person"
        ),
        pytest.param(
            "approvals: {break_glass: {who: ['role:sre'], leads: [C0LEADS]}}", "`slack` is not configured", id="leads"
        ),
        pytest.param(
            "approvals: {break_glass: {who: [sre], leads: [C0LEADS]}}", "'sre' names nobody who could", id="who"
        ),
        pytest.param("approvals: {break_glass: {who: [], leads: [C0LEADS]}}", "break_glass", id="nobody"),
        pytest.param("approvals: {break_glass: {who: ['role:sre'], leads: []}}", "break_glass", id="no leads"),
        pytest.param(
            "slack: {token: {value: secret-of-slack}}\n"
            "approvals: {break_glass: {who: ['role:sre', 'oncall:pagerduty/PSCHED1'], leads: [C0LEADS]}}",
            r"who\[0\]: role:sre is nobody.*\n.*who\[1\]: oncall:pagerduty/PSCHED1 cannot be looked up",
            id="nobody behind it",
        ),
        pytest.param("approvals: {cache: 1h}", "cache", id="remembered for too long"),
    ],
)
def test_in_the_configuration(tmp_path: Path, more: str, said: str) -> None:
    file = tmp_path / "remediator.yaml"
    file.write_text(MINIMAL + more + "\n")
    with pytest.raises(InvalidConfig, match=said):
        load_config(file, {})


SYSTEMS = st.sampled_from(("slack", "pagerduty", "api"))
IDS = st.sampled_from(("U0A", "U0B", "U0C", "U0D"))


@given(st.lists(st.tuples(IDS, IDS), max_size=4), SYSTEMS, IDS)
def test_any_directory_that_loads_has_one_owner_for_each_account(listed: list, system: str, id_: str) -> None:
    people = [
        person(f"p{i}", slack=a, pagerduty=b, tokens=[f"t-{a}"] if i % 2 else []) for i, (a, b) in enumerate(listed)
    ]
    try:
        directory = Directory(people)
    except ValueError:
        assert len({a for a, _ in listed}) < len(listed) or len({b for _, b in listed}) < len(listed)
        return
    account = Account(system=system, id=id_)  # type: ignore[arg-type]
    owners = [p.name for p in people if (system, id_) in set(p.accounts())]
    assert directory.of(account).name == (owners[0] if owners else account.id if system == "api" else account.key)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("oncall:pagerduty/PSCHED1", "cannot be looked up; configure pagerduty.api"),
        ("oncall:opsgenie/shop", "cannot be looked up; configure opsgenie"),
        ("slack:@oncall", "cannot be looked up; configure slack"),
        ("slack:S0ONCALL", "cannot be looked up; configure slack"),
        ("role:sre", "is nobody; add it to `people`"),
        ("person:bob", "is nobody; add it to `people`"),
        ("api:robot", "is nobody; add it to `api`"),
    ],
)
def test_references_that_nobody_could_fulfil(text: str, said: str) -> None:
    (problem,) = nobody_behind("approval.approvers", ["person:ann", text], Known(people=["ann"]))
    assert problem.startswith(f"approval.approvers[1]: {text} {said}")
    every = Known(people=["ann", "bob"], roles=["sre"], tokens=["robot"], systems=["pagerduty", "opsgenie", "slack"])
    assert list(nobody_behind("approval.approvers", ["api:ann", text], every)) == []
