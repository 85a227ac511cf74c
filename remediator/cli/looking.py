"""`alerts` and `playbooks`: what came in and what became of it, and what may be done."""

from __future__ import annotations

from typing import Annotated

import typer

from remediator.cli.client import client_for
from remediator.cli.options import SERVER, Output, OutputOption, ServerOption, TokenFileOption


def alerts(
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 30,
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """List the newest alerts and what became of each: no alert is skipped silently."""
    from remediator.cli.lists import print_alerts
    from remediator.cli.screen import print_json, screen

    answer = client_for(server, token_file).get("/alerts", limit=limit)
    if output is Output.JSON:
        print_json(answer)
    elif answer["alerts"]:
        print_alerts(screen(), answer["alerts"])
    else:
        print("No alert yet.")


def playbooks(
    output: OutputOption = Output.TEXT, server: ServerOption = SERVER, token_file: TokenFileOption = None
) -> None:
    """List the playbooks in force, with the mode that policy leaves them."""
    from remediator.cli.lists import print_playbooks
    from remediator.cli.screen import print_json, screen

    answer = client_for(server, token_file).get("/playbooks")
    if output is Output.JSON:
        print_json(answer)
    elif answer["playbooks"]:
        print_playbooks(screen(), answer["playbooks"])
    else:
        print("No playbook is loaded.")
