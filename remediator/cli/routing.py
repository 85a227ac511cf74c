"""`init alertmanager`: the routing that brings alerts to us, to be pasted into alertmanager.yml."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from remediator.cli.problems import Commands, Problem

group = typer.Typer(cls=Commands, help="Print configuration of other programs, ready to paste.", no_args_is_help=True)
WEBHOOK = "/webhooks/alertmanager"


class Pattern(StrEnum):
    """Who is woken when: see the comment at the top of each output."""

    A = "A"
    B = "B"
    C = "C"


@group.callback()
def init() -> None:
    """Print configuration of other programs, ready to paste."""


@group.command("alertmanager")
def alertmanager(
    url: Annotated[str, typer.Option(metavar="URL", help="Where Alertmanager reaches us: http://remediator:8080")],
    pattern: Annotated[
        Pattern,
        typer.Option(
            case_sensitive=False,
            help="A: people are woken for what we did not fix. B: we are the pager. C: people as today, we add notes.",
        ),
    ] = Pattern.A,
    token_file: Annotated[
        str, typer.Option(metavar="FILE", help="Where Alertmanager finds our token.")
    ] = "/etc/alertmanager/secrets/remediator/token",  # noqa: S107 - a path
    human_receiver: Annotated[
        str, typer.Option("--human-receiver", metavar="NAME", help="Your receiver that wakes people.")
    ] = "on-call",
    crd: Annotated[bool, typer.Option("--crd", help="As an AlertmanagerConfig of the Prometheus Operator.")] = False,
) -> None:
    """Print the routing for Alertmanager as YAML, with comments."""
    from remediator.cli.routing_text import AlertmanagerTarget, config_crd, config_file

    base = url.rstrip("/").removesuffix(WEBHOOK)
    if not base.startswith(("http://", "https://")) or any(c.isspace() or c in "\"'{}" for c in base):
        raise Problem(f"--url {url!r} is no address", advice="Write http://HOST:PORT, as Alertmanager reaches us.")
    if any(not c.isprintable() or c in '"\\' for c in token_file + human_receiver):
        raise Problem("quotes and control characters cannot stand in a path or a receiver's name")
    target = AlertmanagerTarget(url=base + WEBHOOK, token_file=token_file, human=human_receiver)
    print(config_crd(pattern.value, target) if crd else config_file(pattern.value, target), end="")
