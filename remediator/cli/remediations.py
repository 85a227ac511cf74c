"""`remediations list | show`, `approve`, `reject`, `snooze`, `take`, `give-back`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from remediator.cli.client import Client, client_for, segment
from remediator.cli.options import SERVER, Output, OutputOption, ServerOption, TokenFileOption
from remediator.cli.problems import NO, Commands, Problem

group = typer.Typer(cls=Commands, help="What has run, runs or waits.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `remediations list` shows it.")]


@group.command("list")
def list_(
    state: Annotated[str, typer.Option(help="Only this state, or `open` for all that have not ended.")] = "",
    playbook: Annotated[str, typer.Option(help="Only this playbook.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 30,
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Newest first."""
    from remediator.cli.lists import print_remediations
    from remediator.cli.screen import print_json, screen

    answer = client_for(server, token_file).get("/remediations", state=state, playbook=playbook, limit=limit)
    if output is Output.JSON:
        print_json(answer)
    elif answer["remediations"]:
        print_remediations(screen(), answer["remediations"])
    else:
        print("No remediation" + (" of that kind" if state or playbook else " yet") + ".")


@group.command("show")
def show(
    remediation_id: IdArgument,
    logs: Annotated[bool, typer.Option(help="With the end of collected logs.")] = True,
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Everything on record: what fired, why this playbook, the plan, each guard, approvals, attempts, measurements."""
    from remediator.cli.screen import print_json, screen
    from remediator.cli.story import print_story

    answer = _one(client_for(server, token_file), remediation_id)
    if output is Output.JSON:
        print_json(answer)
    else:
        print_story(screen(), answer, logs=logs)


def approve(
    remediation_id: IdArgument,
    digest: Annotated[str, typer.Option(help="Of the plan you looked at; another plan is then refused.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    break_glass: Annotated[
        str, typer.Option(metavar="REASON", help="Approve it alone, where others would be needed. The leads are told.")
    ] = "",
    change: Annotated[str, typer.Option(metavar="NUMBER", help="The change that it is done under: CHG0030001.")] = "",
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Say yes to the plan that is proposed. On a terminal it is shown first."""
    client = client_for(server, token_file)
    if not digest:
        digest = _looked_at(client, remediation_id, ask=not yes and output is Output.TEXT and at_a_terminal())
    said = {"digest": digest, "break_glass": break_glass, "change": change}
    body = {key: value for key, value in said.items() if value}
    _say(client.post(f"/remediations/{segment(remediation_id)}/approve", body), output)


def at_a_terminal() -> bool:
    return sys.stdin.isatty()


def _looked_at(client: Client, remediation_id: str, *, ask: bool) -> str:
    """The digest as it is now: what is approved is what was on the screen, also if the plan changes meanwhile."""
    view = _one(client, remediation_id)
    if ask:
        from remediator.cli.screen import screen
        from remediator.cli.story import print_proposal

        print_proposal(screen(), view)
        if view["approval"] and not typer.confirm("Approve this?", default=False):
            raise Problem("not approved", code=NO)
    return str(view["approval"]["digest"]) if view["approval"] else ""


def reject(
    remediation_id: IdArgument,
    reason: Annotated[str, typer.Option("--reason", "-r", help="For the record and the others.")] = "",
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Veto it. That is final."""
    body = {"reason": reason} if reason else {}
    _say(client_for(server, token_file).post(f"/remediations/{segment(remediation_id)}/reject", body), output)


def snooze(
    remediation_id: IdArgument,
    for_: Annotated[str, typer.Option("--for", metavar="DURATION", help="30m, 2h")] = "30m",
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Ask again later."""
    _say(client_for(server, token_file).post(f"/remediations/{segment(remediation_id)}/snooze", {"for": for_}), output)


AnyIdArgument = Annotated[str, typer.Argument(metavar="ID | EPISODE", help="Of a remediation, or of an episode.")]


def take(
    any_id: AnyIdArgument,
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Take an incident yourself: nothing more is sent for it, until you give it back or it is over."""
    _say(client_for(server, token_file).post(f"/episodes/{segment(any_id)}/take", {}), output)


def give_back(
    any_id: AnyIdArgument,
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Let remediator go on with an incident that was taken."""
    _say(client_for(server, token_file).post(f"/episodes/{segment(any_id)}/give-back", {}), output)


def _one(client: Client, remediation_id: str) -> dict[str, Any]:
    view: dict[str, Any] = client.get(f"/remediations/{segment(remediation_id)}")
    return view


def _say(answer: dict[str, Any], output: Output) -> None:
    from remediator.cli.screen import plain, print_json, screen

    if output is Output.JSON:
        print_json(answer)
    else:
        screen().print(plain(answer["message"]))
