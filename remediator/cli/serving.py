"""Commands that keep running: `serve`, `demo`, `watch`."""

from __future__ import annotations

import asyncio
import inspect
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from remediator.cli.problems import Problem

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="REMEDIATOR_CONFIG", metavar="FILE", help="Also from REMEDIATOR_CONFIG."),
]
FormatOption = Annotated[
    Literal["auto", "json", "console"], typer.Option("--log-format", help="auto: readable on a terminal, else JSON.")
]
LevelOption = Annotated[Literal["debug", "info", "warning", "error"], typer.Option("--log-level")]


def serve(config: ConfigOption = None, log_format: FormatOption = "auto", log_level: LevelOption = "info") -> None:
    """Run the service: take webhooks, run playbooks, until SIGTERM."""
    from remediator.config import load_config
    from remediator.errors import RemediatorError
    from remediator.logs import set_up_logging

    set_up_logging(style=log_format, level=log_level)
    try:
        loaded = load_config(config)
        set_up_logging(style=log_format, level=log_level, secrets=secrets_of(loaded))
        from remediator import app

        code = run(app.serve(loaded))
    except RemediatorError as exc:
        raise Problem(str(exc)) from exc
    except OSError as exc:
        raise Problem(f"cannot listen: {exc.strerror or exc}", advice="Is the port taken? See `listen:`.") from exc
    raise typer.Exit(code)


def demo(
    once: Annotated[bool, typer.Option("--once", help="End by itself; exit code 0 only if all went well.")] = False,
) -> None:
    """Three incidents on a simulated cluster, told as they happen. Needs nothing: no cluster, no accounts."""
    from remediator import demo as story

    raise typer.Exit(run(story.run(once=once)))


def watch(
    alertmanager: Annotated[str, typer.Option(metavar="URL", help="Where the alerts come from.")],
    prometheus: Annotated[str, typer.Option(metavar="URL", help="For checks; without it they say `cannot see`.")] = "",
    kubeconfig: Annotated[Path | None, typer.Option(metavar="FILE", help="Read-only access is enough.")] = None,
    context: Annotated[str, typer.Option(help="Of the kubeconfig.")] = "",
    playbooks: Annotated[list[Path] | None, typer.Option(metavar="DIR", help="Instead of the starter set.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Explain what fires now, then end.")] = False,
) -> None:
    """Explain each firing alert as it comes, read-only: no route, no Slack, no write access needed."""
    from remediator.errors import RemediatorError
    from remediator.logs import set_up_logging
    from remediator.watching import watch as watching

    set_up_logging(style="console", level="warning")
    work = watching(
        alertmanager=alertmanager,
        prometheus=prometheus,
        kubeconfig=kubeconfig,
        context=context,
        playbooks=playbooks or [],
        once=once,
    )
    try:
        raise typer.Exit(run(work))
    except RemediatorError as exc:
        raise Problem(str(exc)) from exc


def run(work: Any) -> int:
    """Run to the end, on uvloop where it is installed. Ctrl-C is a normal end. Returns the exit code."""
    if not inspect.iscoroutine(work):
        return int(work or 0)
    try:
        if sys.platform != "win32":
            import uvloop

            return int(uvloop.run(work) or 0)
        return int(asyncio.run(work) or 0)
    except KeyboardInterrupt:
        return 0


def secrets_of(value: Any) -> tuple[str, ...]:
    """Every secret of a configuration, for the log to leave out. Raises: InvalidConfig when one cannot be read."""
    from pydantic import BaseModel

    from remediator.config import Secret

    if isinstance(value, Secret):
        return (value.read(),)
    if isinstance(value, BaseModel):
        return tuple(s for name in type(value).model_fields for s in secrets_of(getattr(value, name)))
    if isinstance(value, dict):
        return tuple(s for inner in value.values() for s in secrets_of(inner))
    if isinstance(value, (list, tuple)):
        return tuple(s for inner in value for s in secrets_of(inner))
    return ()
