"""`handover`: what the next shift has to know."""

from __future__ import annotations

from typing import Annotated

import typer

from remediator.cli.client import client_for
from remediator.cli.options import SERVER, Output, OutputOption, ServerOption, TokenFileOption


def handover(
    since: Annotated[str, typer.Option(metavar="DURATION", help="How long the shift was: 8h, 12h, 2d.")] = "12h",
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """What is open and who is waited for, what is held or paused and why, what was changed and who agreed, what is
    coming.
    """
    answer = client_for(server, token_file).get("/handover", since=since)
    from remediator.cli.screen import print_json

    if output is Output.JSON:
        print_json(answer)
    else:
        print(answer["text"])


def ring_pager(
    service: Annotated[str, typer.Option(metavar="NAME", help="The pager's service; the default one without it.")] = "",
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Ring the pager once, to see that it reaches whoever is on call. Resolve the incident when it has."""
    answer = client_for(server, token_file).post("/test-page", {"service": service})
    print(f"The pager's service {answer['service']} is being rung. Resolve the incident when it has reached you.")
