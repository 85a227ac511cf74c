"""Names of the catalogue that stand for a form of something else, as data, and the page that is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import typer.main
import yaml
from pydantic import BaseModel, ConfigDict, Field

from remediator.actions.registry import load_actions
from remediator.cli.main import app
from remediator.config import Config
from remediator.remediation.checks.registry import CHECKS
from remediator.remediation.evidence import COLLECTORS
from tests.support.procedures import ROOT

FILE = ROOT / "catalogue" / "capabilities.yaml"
PAGE = ROOT / "docs" / "capabilities.md"

HEAD = """\
# Capabilities

Rendered from `catalogue/capabilities.yaml` by `scripts/render-capabilities`; do not edit.

Most capabilities of [the catalogue](catalogue.md) are an [action](actions.md), a [check](checks.md) or a
[piece of evidence](diagnostics.md) of the same name. These are not: they are a form of something that is there already.

| name | how it is done here | made of | example |
|---|---|---|---|
"""


class Capability(BaseModel):
    """One row. `playbooks` are files below `playbooks`, `settings` keys of the configuration, `places` names of
    places.yaml. `example` is part of a playbook, `config` of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    how: str = Field(min_length=10)
    actions: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    playbooks: tuple[str, ...] = ()
    docs: str
    example: str = ""
    config: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """The example, whatever it is one of."""
        return tuple((self.example or self.config).splitlines() or (f"remediator {name}" for name in self.commands))


def capabilities() -> Mapping[str, Capability]:
    """Raises: ValidationError, OSError."""
    rows = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {name: Capability.model_validate(row) for name, row in rows.items()}


def registered() -> frozenset[str]:
    """Everything that a playbook may name."""
    return frozenset({*load_actions(), *CHECKS, *COLLECTORS})


def unresolved(row: Capability, places: Mapping[str, Any]) -> Iterator[str]:
    """What a row names and is not there."""
    yield from (f"action {name}" for name in row.actions if name not in load_actions())
    yield from (f"check {name}" for name in row.checks if name not in CHECKS)
    yield from (f"evidence {name}" for name in row.evidence if name not in COLLECTORS)
    known: Any = typer.main.get_command(app)
    yield from (f"command {name}" for name in row.commands if name not in known.commands)
    yield from (f"setting {name}" for name in row.settings if not _is_setting(name))
    yield from (f"place {name}" for name in row.places if name not in places)
    for name in row.playbooks:
        if not (ROOT / "playbooks" / f"{name}.yaml").is_file():
            yield f"playbook {name}"
    if not _is_heading(row.docs):
        yield f"heading {row.docs}"


def _is_setting(dotted: str) -> bool:
    models: list[Any] = [Config]
    for key in dotted.split("."):
        fields = [model.model_fields[key] for model in models if key in model.model_fields]
        if not fields:
            return False
        models = [found for field in fields for found in _models(field.annotation)]
    return True


def _models(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)


def _is_heading(link: str) -> bool:
    name, _, anchor = link.partition("#")
    path = ROOT / "docs" / name
    if not path.is_file():
        return False
    headings = re.findall(r"^#{1,4} (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return not anchor or anchor in {re.sub(r"[^a-z0-9 _-]", "", h.lower()).replace(" ", "-") for h in headings}


def page(rows: Mapping[str, Capability]) -> str:
    """The whole text."""
    return HEAD + "".join(f"| {' | '.join(_cells(name, row))} |\n" for name, row in rows.items())


def _cells(name: str, row: Capability) -> Iterator[str]:
    yield f"`{name}`"
    yield f"{' '.join(row.how.split())} [More]({row.docs})"
    made = [f"`{one}`" for one in (*row.actions, *row.checks, *row.evidence, *row.settings)]
    made += [f"`remediator {one}`" for one in row.commands]
    made += [f"[{one.rpartition('/')[2]}](../playbooks/{one}.yaml)" for one in row.playbooks]
    yield ", ".join(dict.fromkeys(made))
    yield "<br>".join("`" + line.strip().replace("|", "\\|") + "`" for line in row.lines)
