"""The manifest that people paste is one that Slack takes, and asks for no more than is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from remediator.http.slack import PATH

TEXT = (Path(__file__).parents[3] / "config" / "slack-manifest.yaml").read_text()


def over_http() -> dict[str, Any]:
    """As the comment at its top says."""
    lines = [line.replace("# ", "", 1) if line.endswith("# HTTP") else line for line in TEXT.splitlines()]
    text = "\n".join(lines).replace("socket_mode_enabled: true", "socket_mode_enabled: false")
    made: dict[str, Any] = yaml.safe_load(text)
    return made


def test_limits_of_slack() -> None:
    manifest = yaml.safe_load(TEXT)
    assert len(manifest["display_information"]["name"]) <= 35
    assert len(manifest["display_information"]["description"]) <= 140
    (command,) = manifest["features"]["slash_commands"]
    assert command["command"] == "/remediator"
    assert manifest["settings"]["socket_mode_enabled"] is True


def test_no_scope_that_reads_messages_or_writes_anywhere() -> None:
    scopes = set(yaml.safe_load(TEXT)["oauth_config"]["scopes"]["bot"])
    assert scopes == {"chat:write", "commands", "users:read", "files:write", "usergroups:read", "users:read.email"}


def test_every_scope_says_why() -> None:
    lines = [line.strip() for line in TEXT.splitlines() if ":" in line and line.strip().startswith("- ")]
    scopes = [line for line in lines if line.split()[1].partition(":")[0] in ("chat", "users", "files", "usergroups")]
    assert scopes
    assert all(" # " in line for line in scopes)


def test_the_variant_for_http_has_the_address_in_all_three_places() -> None:
    manifest = over_http()
    assert manifest["settings"]["socket_mode_enabled"] is False
    addresses = [
        manifest["features"]["slash_commands"][0]["url"],
        manifest["settings"]["interactivity"]["request_url"],
        manifest["settings"]["event_subscriptions"]["request_url"],
    ]
    assert addresses == [f"https://remediator.example.com{PATH}"] * 3
