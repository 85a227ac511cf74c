"""The catalogue of procedures as data: what is written about each, and the playbooks, stories and alerts of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from tests.support.alert_rules import LOKI, AlertRule, prometheus_rules, rules_of

ROOT = Path(__file__).parents[2]
FILES = ("airflow", "shop", "eks", "k3s", "agents")
"""In the order of the page."""
ID = re.compile(r"[A-Z][A-Z0-9]{1,7}-[0-9]{1,4}")
NOTED = re.compile(r"^# covers: (.+)$", re.MULTILINE)
"""Also understood, until every playbook has the key."""

RANKS = {"observe": 0, "suggest": 1, "approve": 2, "auto": 3}
ALLOWED = {"never": 3, "suggest": 1, "quorum": 2, "approve": 2, "auto": 3}
"""The highest rank for each mode of the catalogue; `never` and `quorum` ask for more, see `too_loose`."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Procedure(_Row):
    """One row as it is written, see catalogue/README.md."""

    title: str = Field(min_length=5)
    does: str = Field(min_length=10)
    kind: Literal["act", "read", "human", "policy"]
    mode: Literal["auto", "approve", "quorum", "suggest", "never"]
    condition: str = ""
    allowed: Mapping[str, str] = Field(default_factory=dict)
    uses: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    missing: str = ""
    safe: str = ""
    why: str = ""


class Place(_Row):
    """Something else than a playbook that stands for a procedure."""

    says: str
    config: str
    docs: str
    tests: tuple[str, ...] = Field(min_length=1)

    @property
    def files(self) -> tuple[str, ...]:
        return (self.config, self.docs.partition("#")[0], *self.tests)


@dataclass(frozen=True, slots=True)
class Shipped:
    """What is read of one playbook, whether it is valid or not. `acts`: it changes something."""

    path: Path
    name: str
    mode: str
    quorum: int
    actions: tuple[str, ...]
    covers: tuple[str, ...]

    @property
    def acts(self) -> bool:
        return bool(self.actions)


@dataclass(frozen=True, slots=True)
class StoryFile:
    """Stories about one playbook: where, and how many."""

    path: Path
    count: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything, and how it hangs together."""

    procedures: Mapping[str, Procedure]
    parts: Mapping[str, tuple[str, tuple[str, ...]]]
    """By file: its title and its ids."""
    places: Mapping[str, Place]
    playbooks: tuple[Shipped, ...]
    stories: Mapping[str, tuple[StoryFile, ...]]
    """By the name of the playbook."""
    rules: tuple[AlertRule, ...]

    def playbooks_of(self, procedure: str) -> list[Shipped]:
        return [p for p in self.playbooks if procedure in p.covers]

    def alerts_of(self, procedure: str) -> list[str]:
        return list(dict.fromkeys(rule.name for rule in self.rules if procedure in rule.procedures))

    def covered(self, procedure: str) -> bool:
        """Something stands for it, nothing is missing, and each of its playbooks has a story."""
        row, playbooks = self.procedures[procedure], self.playbooks_of(procedure)
        if row.missing or not (row.places or playbooks):
            return False
        return all(self.stories.get(playbook.name) for playbook in playbooks)

    def mistakes(self) -> Iterator[str]:
        """What is wrong with it at any time, unlike what is not there yet."""
        for playbook in self.playbooks:
            for procedure in playbook.covers:
                row = self.procedures.get(procedure)
                if row is None:
                    yield f"{_shown(playbook.path)}: covers {procedure}, which the catalogue does not know"
                elif (why := too_loose(playbook, row)) and playbook.name not in row.allowed:
                    yield f"{_shown(playbook.path)}: {why}, and the catalogue says {row.mode} for {procedure}"
        names = {p.name for p in self.playbooks}
        for procedure, row in self.procedures.items():
            yield from (
                f"{procedure}: allows {name}, which is no playbook" for name in row.allowed if name not in names
            )
            yield from (f"{procedure}: {name} is no place" for name in row.places if name not in self.places)
            if row.kind == "policy" and not row.places:
                yield f"{procedure}: a policy needs places"
            if row.mode == "never" and row.kind == "human" and not row.why:
                yield f"{procedure}: why it stays with people is not said"
        for rule in self.rules:
            unknown = [procedure for procedure in rule.procedures if procedure not in self.procedures]
            yield from (f"alert {rule.name}: the catalogue does not know {procedure}" for procedure in unknown)
        for name, place in self.places.items():
            gone = [file for file in place.files if not (ROOT / file).exists()]
            yield from (f"places.yaml: {name}: there is no {file}" for file in gone)

    def without_story(self) -> list[Shipped]:
        return [p for p in self.playbooks if not self.stories.get(p.name)]


def too_loose(playbook: Shipped, row: Procedure) -> str:
    """In which way it goes further than it may; empty when it does not. What changes nothing is free to run."""
    if not playbook.acts:
        return ""
    if row.mode == "never":
        return "it changes something"
    if RANKS.get(playbook.mode, 0) > ALLOWED[row.mode]:
        return f"its mode is {playbook.mode}"
    if row.mode == "quorum" and playbook.mode == "approve" and playbook.quorum < 2:
        return "one person is enough for it"
    return ""


def load(root: Path = ROOT) -> Catalogue:
    """Raises: ValidationError, OSError."""
    procedures: dict[str, Procedure] = {}
    parts: dict[str, tuple[str, tuple[str, ...]]] = {}
    for name in FILES:
        path = root / "catalogue" / f"{name}.yaml"
        rows = {key: Procedure.model_validate(row) for key, row in _read(path).items()}
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ").partition(".")[0]
        parts[name] = (title, tuple(rows))
        procedures |= rows
    places = {key: Place.model_validate(row) for key, row in _read(root / "catalogue" / "places.yaml").items()}
    folder = root / "playbooks"
    playbooks = tuple(_shipped(path) for path in _files(folder) if folder / "tests" not in path.parents)
    rules = (*prometheus_rules(), *rules_of(LOKI))
    return Catalogue(procedures, parts, places, playbooks, _stories(folder / "tests", playbooks), rules)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.yaml") if path.is_file())


def _shipped(path: Path) -> Shipped:
    content = _read(path)
    noted = [name for line in NOTED.findall(path.read_text(encoding="utf-8")) for name in ID.findall(line)]
    return Shipped(
        path=path,
        name=str(content.get("name", path.stem)),
        mode=str(content.get("mode", "observe")),
        quorum=int((content.get("approval") or {}).get("quorum", 1)),
        actions=tuple(dict.fromkeys(step["action"] for step in content.get("steps") or () if step.get("action"))),
        covers=tuple(dict.fromkeys((*(content.get("covers") or ()), *noted))),
    )


def _stories(folder: Path, playbooks: Iterable[Shipped]) -> dict[str, tuple[StoryFile, ...]]:
    """A story is about the playbooks that it names; where it names none, about the one that its file is called after.
    Where the file has a single one, about that."""
    of_path = {playbook.path: playbook.name for playbook in playbooks}
    names = set(of_path.values())
    found: dict[str, list[StoryFile]] = {}
    for path in _files(folder):
        content = _read(path)
        wanted = [(path.parent / one).resolve() for one in content.get("playbooks") or ()]
        only = of_path.get(wanted[0], "") if len(wanted) == 1 else ""
        counts: dict[str, int] = {}
        for story in content.get("tests") or ():
            named = {only} if only else _named(story, content.get("defaults") or {}) & names
            for name in named or {path.stem} & names:
                counts[name] = counts.get(name, 0) + 1
        for name, count in counts.items():
            found.setdefault(name, []).append(StoryFile(path, count))
    return {name: tuple(files) for name, files in found.items()}


def _named(story: Mapping[str, Any], defaults: Mapping[str, Any]) -> set[str]:
    whole = {**defaults, **story}
    said = [
        word for e in whole.get("expect") or () for word in (e.get("chosen"), e.get("not_chosen"), e.get("playbook"))
    ]
    said += [one["run"].get("playbook") for one in whole.get("happens") or () if isinstance(one.get("run"), dict)]
    return {str(word) for word in said if word}


def _read(path: Path) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C, where it is there
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader) or {}


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))
