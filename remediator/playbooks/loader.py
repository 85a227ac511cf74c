"""From the text of a playbook to a playbook in force, or to everything that is wrong with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from remediator.actions.base import Action
from remediator.actions.canonical import canonical_json
from remediator.playbooks.meaning import ArgsModels, Meaning
from remediator.playbooks.model import LoadedPlaybook
from remediator.playbooks.problems import BadPlaybook, FieldPath, Problem, path_text
from remediator.playbooks.shape import playbook_complaints
from remediator.playbooks.yaml_strict import Document, YamlError, load_strict

MAX_PROBLEMS = 50
"""More than anybody reads; a file that is no playbook at all could have thousands."""


def load_playbook(
    text: str,
    source: str,
    *,
    actions: Mapping[str, Action[Any]],
    checks: ArgsModels,
    collectors: ArgsModels | None = None,
) -> LoadedPlaybook:
    """Read and check one playbook. `source` is the file's name, for messages.

    `actions` is the registry, `checks` and `collectors` map kinds to the models of their arguments (`collectors` None:
    kinds of evidence are not checked). Arguments without templates are checked now, arguments made of parameters with
    defaults as well; what depends on the alert or the target is checked while planning.

    Raises: BadPlaybook (an InvalidPlaybook) with all problems.
    """
    return load_document(text, source, actions=actions, checks=checks, collectors=collectors)[0]


def load_document(
    text: str,
    source: str,
    *,
    actions: Mapping[str, Action[Any]],
    checks: ArgsModels,
    collectors: ArgsModels | None = None,
) -> tuple[LoadedPlaybook, Document]:
    """Like `load_playbook`, with the places of all keys. Raises: BadPlaybook."""
    try:
        document = load_strict(text)
    except YamlError as exc:
        found = [Problem(source, p.place.line, p.place.column, p.field, p.what, p.hint) for p in exc.problems]
        raise BadPlaybook(found[:MAX_PROBLEMS], name=guess_name(text)) from None
    content = document.content
    if not isinstance(content, Mapping):
        problem = Problem(source, 1, 1, "", "a playbook is a mapping (key: value)", "Begin with `name:`.")
        raise BadPlaybook([problem])
    playbook, complaints = playbook_complaints(content)
    complaints += Meaning(content, actions, checks, collectors).find()
    if playbook is None or complaints:
        found = [_problem(source, document, *one) for one in _first_of_each_place(complaints)]
        raise BadPlaybook(found[:MAX_PROBLEMS], name=str(content.get("name") or ""))
    return LoadedPlaybook(playbook=playbook, hash=content_hash(content), source=source), document


def content_hash(content: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over the canonical JSON of a playbook's content as it was written.

    Defaults are left out on purpose: a version that adds a field must not make every plan and approval under way look
    as if its playbook had been edited. The price: two spellings of one meaning (`60s`, `1m`) have two hashes.
    """
    return hashlib.sha256(canonical_json(content)).hexdigest()


def guess_name(text: str) -> str:
    """The name in a text that is not YAML, so that its last good version is found."""
    found = re.search(r"^name:\s*[\"']?([a-z0-9][-a-z0-9]{0,62})[\"']?\s*(?:#.*)?$", text[:10_000], re.MULTILINE)
    return found[1] if found else ""


def _problem(source: str, document: Document, path: FieldPath, what: str, hint: str) -> Problem:
    place = document.place(path)
    return Problem(source, place.line, place.column, path_text(path), what, hint or "Correct it and load again.")


def _first_of_each_place(complaints: list[tuple[FieldPath, str, str]]) -> list[tuple[FieldPath, str, str]]:
    """One complaint per field: the model and the meaning may object to the same value."""
    found: dict[FieldPath, tuple[FieldPath, str, str]] = {}
    for complaint in complaints:
        found.setdefault(complaint[0], complaint)
    return list(found.values())
