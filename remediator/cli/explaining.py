"""`explain`: what would be done about an alert, and every guard's answer, without doing it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from remediator.cli.client import client_for
from remediator.cli.options import SERVER, Output, OutputOption, ServerOption, TokenFileOption
from remediator.cli.problems import NO, Problem

if TYPE_CHECKING:
    from rich.console import Console


def explain(
    file: Annotated[Path, typer.Argument(metavar="ALERT.JSON", help="An alert or a webhook body; - for stdin.")],
    output: OutputOption = Output.TEXT,
    server: ServerOption = SERVER,
    token_file: TokenFileOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every guard and every limit, also those at rest.")] = False,
) -> None:
    """What would happen now with an alert, and what would have to change. Exit code 1 if nothing would be done.

    Shows playbook, plan, diff, each guard that objects, and the limits that somebody has set. Takes a webhook body, one
    alert of it, an alert of Alertmanager's or Prometheus' API, or `{"labels": {...}}`.
    """
    from remediator.cli.screen import print_json, screen

    answer = client_for(server, token_file).post("/explain", _read(file))
    if output is Output.JSON:
        print_json(answer)
    else:
        console = screen()
        for number, view in enumerate(answer["explanations"]):
            if number:
                console.print()
            print_explanation(console, view, everything=everything)
    if not any(view["acts"] for view in answer["explanations"]):
        raise typer.Exit(NO)


def print_explanation(console: Console, view: dict[str, Any], *, everything: bool = False) -> None:
    """`view` as service.explain gives it: the answer first, then the reasons and what would change them."""
    from remediator.cli.screen import plain
    from remediator.cli.sheet import (
        Sheet,
        alerts_part,
        bold,
        guards_part,
        joined,
        obstacles_part,
        plan_part,
        print_limits,
        target_part,
    )
    from remediator.cli.story import headline

    r = view["remediation"]
    nothing = view["would"] == "nothing"
    would = plain(
        "Nothing would be done:" if nothing else f"Would {view['would']}:",
        "bold green" if view["acts"] else "bold yellow",
    )
    console.print(joined(would, headline(r) if r and r["playbook"] else view["explanation"]))
    if r and r["playbook"] and view["explanation"]:
        console.print(plain(view["explanation"]))
    console.print()
    sheet = Sheet()
    alerts_part(sheet, [_alert(view["alert"])])
    passed = [plain(f"not chosen: {why}", "dim") for why in view["not_chosen"]]
    if r is None:
        sheet.part("Playbook", plain("none"), *passed, plain("what each one is for: remediator playbooks", "dim"))
    else:
        mode = f"mode {r['mode']}" if r["playbook"] else ""
        place = f"environment {view['environment']}" if view.get("environment") else ""
        name = r["playbook"] or f"none of {', '.join(r['candidates'])}"
        sheet.part("Playbook", joined(bold(name), mode, place, sep="  "), plain(r["description"]), *passed)
        target_part(sheet, r)
        plan_part(sheet, r["plan"])
        (guards_part if everything else obstacles_part)(sheet, r["verdicts"])
    sheet.print(console)
    if r and (limits := view.get("limits")):
        print_limits(console, limits, r["verdicts"], everything=everything)


def _alert(sent: dict[str, Any]) -> dict[str, Any]:
    """An alert in the form of a webhook, as the sheet wants it."""
    labels = sent["labels"]
    return {
        "name": labels.get("alertname", ""),
        "severity": labels.get("severity", ""),
        "starts_at": sent["startsAt"],
        "ends_at": sent["endsAt"] or None,
        "resolved_at": None,
        "annotations": sent["annotations"],
    }


def _read(file: Path) -> Any:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise Problem(f"{file}: cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
    try:
        return json.loads(text)
    except ValueError as exc:
        raise Problem(f"{file}: not JSON: {exc}") from exc
