"""`run`: start a playbook that is for people, and perhaps wait for its end."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from remediator.cli.client import Client, client_for, segment
from remediator.cli.options import SERVER, Output, OutputOption, ServerOption, TokenFileOption
from remediator.cli.problems import NO, Problem

LOOK_EVERY_S = 2.0
GOOD = ("succeeded", "observed")


def run(
    playbook: Annotated[str, typer.Argument(metavar="PLAYBOOK", help="One that says `manual: true`.")],
    target: Annotated[
        str, typer.Option(metavar="KIND/NAMESPACE/NAME", help="Where the playbook takes its target from alerts.")
    ] = "",
    cluster: Annotated[str, typer.Option(help="Where there are several.")] = "",
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="Within the playbook's bounds.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", "-r", help="For the record and the others.")] = "",
    key: Annotated[str, typer.Option(help="The same key again starts nothing again.")] = "",
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Until it ends; exit code 1 when it did not go well.")] = (
        False
    ),
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Start a playbook without an alert. Guardrails, approvals and the record are the same; somebody else approves."""
    said = {"target": target, "cluster": cluster, "params": _params(param or []), "reason": reason, "key": key}
    client = client_for(server, token_file)
    accepted = client.post(f"/playbooks/{segment(playbook)}/run", {name: what for name, what in said.items() if what})
    if not wait:
        _show(accepted, output)
        return
    if output is Output.TEXT:
        _show(accepted, output)
    ended = _wait(client, accepted["remediation"]["id"], output)
    if output is Output.JSON:
        _show(ended, output)
    if ended["state"] not in GOOD:
        raise typer.Exit(NO)


def _params(given: list[str]) -> dict[str, str]:
    """Raises: Problem."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Problem(f"--param {text!r:.80} is no NAME=VALUE", advice="For example: --param copies=5")
        if name in found:
            raise Problem(f"--param {name} is given twice", advice="Give it once.")
        found[name] = value
    return found


def _wait(client: Client, remediation_id: str, output: Output) -> dict[str, Any]:
    """Until it has ended, a line for each change of its state."""
    told = ""
    while True:
        view: dict[str, Any] = client.get(f"/remediations/{segment(remediation_id)}")
        line = f"{view['told_as'].replace('_', ' ')}: {view['reason']}"
        if output is Output.TEXT and line != told:
            _print(line)
        if view["ended"]:
            return view
        told = line
        time.sleep(LOOK_EVERY_S)


def _print(line: str) -> None:
    from remediator.cli.screen import plain, screen

    screen().print(plain(line))


def _show(answer: dict[str, Any], output: Output) -> None:
    from remediator.cli.screen import print_json

    if output is Output.JSON:
        print_json(answer)
    else:
        _print(f"{answer['message']} Look at it: remediator remediations show {answer['remediation']['id']}")
