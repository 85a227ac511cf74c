"""Who is somebody: members of our workspace or grid, wherever they click; nobody else, wherever they click."""

from __future__ import annotations

import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.adapters.slack.directory import _from_user
from remediator.slack_app.clicks import Click
from remediator.slack_app.members import Members, Refusal, Workspace

OURS = Workspace(team="T0OURS", enterprise="E0OURS")
KNOWN = {"id": "U0ANN", "deleted": False, "is_bot": False, "is_restricted": False, "is_ultra_restricted": False}


class OneUser:
    def __init__(self, **user: object) -> None:
        self._user = {**KNOWN, **user}

    async def member(self, user: str) -> object:
        return _from_user(self._user)


async def admitted(click: Click, **user: object) -> bool:
    try:
        await Members(OneUser(**user), OURS, VirtualClock()).account(click, None)  # type: ignore[arg-type]
    except Refusal:
        return False
    return True


@pytest.mark.parametrize(
    ("user", "in_team", "home", "admits"),
    [
        pytest.param({"team_id": "T0OURS"}, "T0OURS", "T0OURS", True, id="ours"),
        pytest.param(
            {"team_id": "T0TWO", "enterprise_user": {"enterprise_id": "E0OURS"}},
            "T0TWO",
            "T0TWO",
            True,
            id="of the grid",
        ),
        pytest.param({"team_id": "T0EVIL"}, "T0OURS", "T0EVIL", False, id="from outside, in a shared channel"),
        pytest.param(
            {"team_id": "T0EVIL", "enterprise_user": {"enterprise_id": "E0EVIL"}},
            "T0OURS",
            "",
            False,
            id="another grid",
        ),
        pytest.param({"team_id": "T0OURS"}, "T0OURS", "T0EVIL", False, id="the click says another home"),
    ],
)
async def test_only_accounts_of_our_grid(user: dict[str, object], in_team: str, home: str, admits: bool) -> None:
    """Slack stamps every click in a channel of ours with our grid, also those of guests from another organisation."""
    click = Click(kind="button", key="k", user="U0ANN", team=in_team, enterprise="E0OURS", home_team=home)
    assert await admitted(click, **user) is admits
