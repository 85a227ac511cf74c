"""`pause` and `resume`: the switch that always works."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from remediator.cli.client import Client, client_for, segment
from remediator.cli.options import SERVER, Output, OutputOption, ServerOption, TokenFileOption
from remediator.cli.problems import Problem

FORMS = "everything | playbook NAME | namespace NAME [in CLUSTER] | target KIND/NAMESPACE/NAME [in CLUSTER]"
WordsArgument = Annotated[list[str] | None, typer.Argument(metavar="SCOPE", help=FORMS)]


def pause(
    words: WordsArgument = None,
    for_: Annotated[str, typer.Option("--for", metavar="DURATION", help="30m, 2h; without it until `resume`.")] = "",
    reason: Annotated[str, typer.Option("--reason", "-r", help="For the record and the others.")] = "",
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Stop acting, at once: nothing more is sent for what SCOPE covers. Without SCOPE, list what is paused.

    Examples: `remediator pause everything`, `remediator pause namespace shop --for 2h --reason "moving house"`.
    """
    client = client_for(server, token_file)
    if not words or words == ["list"]:
        _list(client, output)
        return
    body: dict[str, Any] = {"scope": " ".join(words), "reason": reason}
    if for_:
        body["for"] = for_
    made = client.post("/pauses", body)
    from remediator.cli.screen import clock, plain, print_json, screen

    if output is Output.JSON:
        print_json(made)
        return
    until = f"until {clock(made['until'])} UTC" if made["until"] else "until it is lifted"
    screen().print(plain(f"Paused: {made['covers']}, {until}. Nothing more is sent for it."))
    screen().print(plain(f"To lift it: remediator resume {made['id']}"))
    if made["note"]:
        screen().print(plain(f"Note: {made['note']}.", "yellow"))


def resume(
    words: Annotated[list[str] | None, typer.Argument(metavar="ID | SCOPE", help=f"A pause's id, or {FORMS}")] = None,
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
) -> None:
    """Lift a pause."""
    client = client_for(server, token_file)
    if not words:
        raise Problem("say which pause to lift: its id, or what it covers", advice="See them: remediator pause list")
    if len(words) == 1 and words[0] not in ("everything", "all") and ":" not in words[0]:
        answer = client.delete(f"/pauses/{segment(words[0])}")
    else:
        answer = client.delete("/pauses", scope=" ".join(words))
    from remediator.cli.screen import plain, print_json, screen

    if output is Output.JSON:
        print_json(answer)
        return
    screen().print(plain(f"Lifted: {', '.join(answer['resumed'])}."))
    if left := client.get("/pauses")["pauses"]:
        screen().print(plain(f"Still paused: {', '.join(p['covers'] for p in left)}.", "yellow"))


def _list(client: Client, output: Output) -> None:
    from remediator.cli.lists import print_pauses
    from remediator.cli.screen import print_json, screen

    answer = client.get("/pauses")
    if output is Output.JSON:
        print_json(answer)
    elif answer["pauses"]:
        print_pauses(screen(), answer["pauses"])
    else:
        print("Nothing is paused.")
