"""`doctor`: what the service misses, and the next step for each."""

from __future__ import annotations

import typer

from remediator.cli.client import client_for
from remediator.cli.options import SERVER, Output, OutputOption, ServerOption, TokenFileOption
from remediator.cli.problems import NO

WORDS = {True: "good", False: "bad", None: "unknown"}
"""How `ok` is shown; each has its colour."""


def doctor(
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Ask the service to try everything it depends on: store, clusters and rights, Prometheus, Alertmanager, Slack and
    its scopes, PagerDuty, clicks that wait, and what could not be sent. Exit code 1 when something is wrong.
    """
    answer = client_for(server, token_file).get("/doctor")
    from remediator.cli.screen import plain, print_json, print_table, screen, word

    if output is Output.JSON:
        print_json(answer)
    else:
        console = screen()
        rows = [(word(WORDS[f["ok"]]), plain(f["check"]), plain(f["said"])) for f in answer["findings"]]
        print_table(console, ("", "CHECK", "FOUND"), rows, flexible=("FOUND",))
        for finding in answer["findings"]:
            if finding["ok"] is False:
                console.print(plain(f"{finding['check']}: {finding['said']}. {finding['next']}".rstrip()))
    if not answer["ok"]:
        raise typer.Exit(NO)
