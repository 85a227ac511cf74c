"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from remediator.cli.client import DEFAULT_SERVER


class Output(StrEnum):
    """`text` for people, `json` for machines: then stdout holds nothing else."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print: text, or json for machines.")]
ServerOption = Annotated[
    str,
    typer.Option(
        "--server", "-s", envvar="REMEDIATOR_SERVER", metavar="URL", help="Where `serve` listens: URL or unix:/path."
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="API token. Also REMEDIATOR_TOKEN_FILE, REMEDIATOR_TOKEN."),
]
SERVER = DEFAULT_SERVER
