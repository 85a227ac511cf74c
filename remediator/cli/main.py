"""The commands. Each imports what it needs when it runs, so that `version` and completion answer at once."""

from __future__ import annotations

import typer

from remediator import __version__
from remediator.cli import (
    checking,
    doctor,
    explaining,
    handover,
    looking,
    pauses,
    postmortem,
    rbac,
    remediations,
    routing,
    running,
    serving,
    testing,
)
from remediator.cli.options import Output, OutputOption
from remediator.cli.problems import Commands

app = typer.Typer(
    cls=Commands,
    name="remediator",
    help="Runs remediation playbooks on Kubernetes when Alertmanager sends an alert.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 fine, 1 the answer is no, 2 wrong use or nobody there to ask.",
)

RUN, PEOPLE, PLAYBOOKS = "Run it", "While it runs", "Playbooks and setting up"
app.command(rich_help_panel=RUN)(serving.serve)
app.command(rich_help_panel=RUN)(serving.demo)
app.command(rich_help_panel=RUN)(serving.watch)
app.add_typer(remediations.group, name="remediations", rich_help_panel=PEOPLE)
app.command(rich_help_panel=PEOPLE)(remediations.approve)
app.command(rich_help_panel=PEOPLE)(remediations.reject)
app.command(rich_help_panel=PEOPLE)(remediations.snooze)
app.command(rich_help_panel=PEOPLE)(remediations.take)
app.command(rich_help_panel=PEOPLE)(remediations.give_back)
app.command(rich_help_panel=PEOPLE)(running.run)
app.command(rich_help_panel=PEOPLE)(pauses.pause)
app.command(rich_help_panel=PEOPLE)(pauses.resume)
app.command(rich_help_panel=PEOPLE)(handover.handover)
app.command("test-page", rich_help_panel=PEOPLE)(handover.ring_pager)
app.command(rich_help_panel=PEOPLE)(postmortem.postmortem)
app.command(rich_help_panel=PEOPLE)(looking.alerts)
app.command(rich_help_panel=PEOPLE)(looking.playbooks)
app.command(rich_help_panel=PEOPLE)(explaining.explain)
app.command(rich_help_panel=PEOPLE)(doctor.doctor)
app.command(rich_help_panel=PLAYBOOKS)(checking.check)
app.command("test", rich_help_panel=PLAYBOOKS)(testing.run_tests)
app.command(rich_help_panel=PLAYBOOKS)(checking.schema)
app.command(rich_help_panel=PLAYBOOKS)(rbac.rbac)
app.add_typer(routing.group, name="init", rich_help_panel=PLAYBOOKS)


@app.command(rich_help_panel=PLAYBOOKS)
def version(output: OutputOption = Output.TEXT) -> None:
    """Print the version."""
    if output is Output.JSON:
        print(f'{{"version": "{__version__}"}}')
    else:
        print(f"remediator {__version__}")
