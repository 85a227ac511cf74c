"""The catalogue of procedures as a page."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from remediator.actions.registry import load_actions
from tests.support.procedures import ROOT, Catalogue, Procedure, Shipped

DOCS = ROOT / "docs"

HEAD = """\
# Catalogue of procedures

Rendered from `catalogue`, `playbooks`, their tests and the alert rules by `make catalogue`; do not edit.

What operators of five kinds of platform do by hand, and what stands for it here: a playbook, a part of the
configuration, or, where it stays with people, a report, a reminder or a checklist.

- **Kind**: *act* changes something, *read* only looks, *human* stays with people, *policy* is configuration.
- **Mode** is the loosest that a playbook for it may have. *quorum* is the yes of two people, *never* means that nothing
  is changed. A playbook in `auto` may ask all the same: its conditions and the guardrails decide. Shipped playbooks may
  be stricter.
- **Alerts** begin it by themselves; without one it begins by schedule, by hand, or from another playbook.
- **Tests** are stories that `remediator test` plays.
- ⚠ marks what the usual instructions have wrong or what does harm as they write it; the sentence is what is done here.
"""


def page(found: Catalogue) -> str:
    """The whole text."""
    covered = [name for name in found.procedures if found.covered(name)]
    return "\n".join(
        (
            HEAD,
            f"{len(found.procedures)} procedures, {len(covered)} covered.",
            "",
            *(line for name in found.parts for line in _part(found, name)),
            *_left(found),
            *_actions(found),
        )
    )


def _part(found: Catalogue, name: str) -> Iterator[str]:
    title, ids = found.parts[name]
    yield from (
        f"## {title}",
        "",
        "| id | procedure | kind, mode | alerts | covered by | tests |",
        "|---|---|---|---|---|---|",
    )
    yield from (_row(found, one, found.procedures[one]) for one in ids)
    yield ""


def _row(found: Catalogue, name: str, row: Procedure) -> str:
    playbooks = found.playbooks_of(name)
    said = [f"**{row.title}.** {row.does}"]
    said += [f"⚠ {_sentence(row.safe)}"] if row.safe else []
    said += [f"*{_sentence(row.why)}*"] if row.why else []
    mode = f"{row.kind}, {row.mode}" + (f": {row.condition}" if row.condition else "")
    alerts = ", ".join(f"`{alert}`" for alert in found.alerts_of(name))
    by = [*(_playbook(row, one) for one in playbooks), *(_place(found, place) for place in row.places)]
    by += [f"missing: {row.missing}"] if row.missing else []
    by += [] if found.covered(name) else ["**not covered yet**"]
    uses = sorted({action for one in playbooks for action in one.actions} or set(row.uses))
    said += [f"<br>{', '.join(f'`{use}`' for use in uses)}"] if uses else []
    tests = [*(test for one in playbooks for test in _tests(found, one)), *_place_tests(found, row)]
    cells = (name, " ".join(said), mode, alerts, "<br>".join(by), "<br>".join(tests))
    return f"| {' | '.join(cells)} |"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _playbook(row: Procedure, one: Shipped) -> str:
    excused = f", looser because {row.allowed[one.name]}" if one.name in row.allowed else ""
    kind = one.mode if one.acts else "changes nothing"
    return f"[{one.name}]({_link(one.path)}) ({kind}{excused})"


def _place(found: Catalogue, name: str) -> str:
    place = found.places[name]
    path, hash_, anchor = place.docs.partition("#")
    configured = f"[configuration]({_link(ROOT / place.config)})"
    return f"[{place.says}]({_link(ROOT / path)}{hash_}{anchor}), {configured}"


def _tests(found: Catalogue, one: Shipped) -> list[str]:
    files = found.stories.get(one.name, ())
    return [f"[{file.path.stem}]({_link(file.path)}): {file.count}" for file in files] or [f"{one.name}: none yet"]


def _place_tests(found: Catalogue, row: Procedure) -> list[str]:
    tests = dict.fromkeys(test for name in row.places for test in found.places[name].tests)
    return [f"[{Path(test).stem}]({_link(ROOT / test)})" for test in tests]


def _left(found: Catalogue) -> Iterator[str]:
    """What is not there yet, so that nobody takes the list for complete."""
    lists = {
        "Procedures that are not covered yet": [
            f"{name} {row.title}" for name, row in found.procedures.items() if not found.covered(name)
        ],
        "Playbooks without a test yet": [f"[{one.name}]({_link(one.path)})" for one in found.without_story()],
        "Playbooks that stand for no procedure": [
            f"[{one.name}]({_link(one.path)})" for one in found.playbooks if not one.covers
        ],
    }
    for title, items in lists.items():
        if items:
            yield from (f"## {title}", "", *(f"- {item}" for item in items), "")


def _actions(found: Catalogue) -> Iterator[str]:
    yield from ("## Actions", "", "By family; the link says what each needs and what is hazardous about it.", "")
    yield from ("| family | action | procedures | playbooks |", "|---|---|---|---|")
    pages = {path: path.read_text(encoding="utf-8") for path in _action_pages()}
    families = {name: _family(action) for name, action in load_actions().items()}
    for action in sorted(families, key=lambda name: (families[name], name)):
        playbooks = [one for one in found.playbooks if action in one.actions]
        ids = {name for one in playbooks for name in one.covers if name in found.procedures}
        ids |= {name for name, row in found.procedures.items() if action in row.uses}
        ordered = [name for name in found.procedures if name in ids]
        yield f"| {families[action]} | {_documented(action, pages)} | {' '.join(ordered)} | {len(playbooks)} |"


def _family(action: object) -> str:
    """The package that it lies in: `workloads`, `databases`."""
    parts = type(action).__module__.split(".")
    return parts[2] if parts[:2] == ["remediator", "actions"] else parts[0]


def _action_pages() -> list[Path]:
    return [*sorted((DOCS / "actions").glob("*.md")), DOCS / "playbooks.md"]


def _documented(action: str, pages: dict[Path, str]) -> str:
    for path, text in pages.items():
        heading = re.search(rf"^##+ (.*\b{action}\b.*)$", text, re.MULTILINE)
        if heading:
            anchor = re.sub(r"[^a-z0-9_ -]", "", heading[1].lower()).replace(" ", "-")
            return f"[`{action}`]({_link(path)}#{anchor})"
    return f"`{action}`"


def _link(path: Path) -> str:
    return os.path.relpath(path, DOCS).replace(os.sep, "/")
