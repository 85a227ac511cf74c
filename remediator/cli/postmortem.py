"""`postmortem`: the draft of a review, from the record of an episode."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from remediator.cli.client import client_for
from remediator.cli.options import SERVER, ServerOption, TokenFileOption

MOST = 500
"""Remediations that are looked through for those of the same episode."""


def postmortem(
    remediation: Annotated[str, typer.Argument(metavar="REMEDIATION", help="Any remediation of the incident.")],
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Print the draft of a review as Markdown: time line, changes, people, and what is left to write."""
    from remediator.people.postmortem import draft

    client = client_for(server, token_file)
    first: dict[str, Any] = client.get(f"/remediations/{remediation}")
    found = client.get("/remediations", limit=MOST)["remediations"]
    others = [one["id"] for one in found if one["episode"] == first["episode"] and one["id"] != first["id"]]
    print(draft([first, *(client.get(f"/remediations/{one}") for one in others)]), end="")
