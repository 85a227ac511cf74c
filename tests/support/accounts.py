"""Accounts as the doors hand them over."""

from __future__ import annotations

from remediator.people.account import Account

TEAM = "T0SHOP"


def token(name: str, role: str = "approver", via: str = "api") -> Account:
    """The user of an API token."""
    return Account(system="api", id=name, name=name, role=role, via=via)


def slack(user: str, team: str = TEAM) -> Account:
    """Somebody who clicked in Slack."""
    return Account(system="slack", id=user, team=team, name=f"called {user}", via="slack")


def pager(user: str, name: str = "") -> Account:
    """Somebody who took an incident at PagerDuty."""
    return Account(system="pagerduty", id=user, name=name, via="pagerduty")
