"""The catalogue of procedures is complete, says only what is so, and its page is up to date."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from remediator.playbooks.fields import FROM_YAML
from remediator.playbooks.model import Playbook
from tests.support.catalogue_page import page
from tests.support.procedures import ROOT, Catalogue, Procedure, Shipped, StoryFile, load, too_loose

COUNTS = {"AF": 41, "EC": 32, "EK": 25, "K3": 38, "GS": 47}


@pytest.fixture(scope="module")
def found() -> Catalogue:
    return load()


def test_every_procedure_has_its_row(found: Catalogue) -> None:
    wanted = [f"{prefix}-{number:02}" for prefix, count in COUNTS.items() for number in range(1, count + 1)]
    assert sorted(found.procedures) == sorted(wanted)
    assert len(wanted) == 183


def test_it_has_no_mistakes(found: Catalogue) -> None:
    """No id that nobody knows, no playbook in a looser mode, nothing that is named and is not there."""
    assert list(found.mistakes()) == []


def test_what_is_covered_has_tests_that_exist(found: Catalogue) -> None:
    for name, row in found.procedures.items():
        if not found.covered(name):
            continue
        files = [file for one in found.playbooks_of(name) for file in found.stories.get(one.name, ())]
        assert all(file.count > 0 for file in files)
        assert files or row.places, name
        assert all(file.path.is_file() for file in files)


def test_what_only_reports_says_why(found: Catalogue) -> None:
    silent = [name for name, row in found.procedures.items() if row.kind in ("read", "human") and not row.why]
    acting = [name for name in silent if any(one.acts for one in found.playbooks_of(name))]
    assert silent == acting


def test_the_page_is_up_to_date(found: Catalogue) -> None:
    assert (ROOT / "docs" / "catalogue.md").read_text() == page(found), "run make catalogue"


def test_the_page_links_what_exists(found: Catalogue) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page(found))
    assert len(links) > 300
    assert [link for link in dict.fromkeys(links) if not (ROOT / "docs" / link).exists()] == []


def test_the_last_line_counts(found: Catalogue) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "catalogue", "--check"], capture_output=True, text=True, check=False
    )
    assert [name for name in found.procedures if not found.covered(name)] == []
    assert sum(map(found.covered, found.procedures)) == 183
    assert done.stdout.splitlines()[-1] == "catalogue: 183 procedures, 183 covered"
    assert done.returncode == 0, done.stdout


# --- what it finds


def shipped(**given: Any) -> Shipped:
    made: dict[str, Any] = {
        "path": ROOT / "playbooks" / "a.yaml",
        "name": "a",
        "mode": "approve",
        "quorum": 1,
        "actions": ("scale",),
        "covers": ("AF-01",),
    }
    return Shipped(**{**made, **given})


def row(**given: Any) -> Procedure:
    made = {"title": "A title", "does": "What is done.", "kind": "act", "mode": "approve"}
    return Procedure.model_validate({**made, **given})


@pytest.mark.parametrize(
    ("mode", "playbook", "said"),
    [
        ("auto", {"mode": "auto"}, ""),
        ("approve", {"mode": "approve"}, ""),
        ("approve", {"mode": "auto"}, "its mode is auto"),
        ("approve", {"mode": "auto", "actions": ()}, ""),
        ("suggest", {"mode": "approve"}, "its mode is approve"),
        ("suggest", {"mode": "observe"}, ""),
        ("quorum", {"mode": "approve"}, "one person is enough for it"),
        ("quorum", {"mode": "approve", "quorum": 2}, ""),
        ("quorum", {"mode": "auto", "quorum": 2}, "its mode is auto"),
        ("quorum", {"mode": "suggest"}, ""),
        ("never", {"mode": "observe"}, "it changes something"),
        ("never", {"mode": "auto", "actions": ()}, ""),
    ],
)
def test_a_looser_mode(mode: str, playbook: dict[str, Any], said: str) -> None:
    assert too_loose(shipped(**playbook), row(mode=mode)) == said


def test_mistakes_name_the_file_and_the_id(found: Catalogue) -> None:
    loose = shipped(mode="auto", covers=("AF-01", "ZZ-99"))
    bad = replace(
        found,
        procedures={"AF-01": row(places=["none"], allowed={"gone": "a reason"}), "AF-02": row(kind="policy")},
        playbooks=(loose,),
        rules=found.rules[:1],
        places={},
    )
    said = "\n".join(bad.mistakes())
    assert "playbooks/a.yaml: covers ZZ-99, which the catalogue does not know" in said
    assert "playbooks/a.yaml: its mode is auto, and the catalogue says approve for AF-01" in said
    assert "AF-01: allows gone, which is no playbook" in said
    assert "AF-01: none is no place" in said
    assert "AF-02: a policy needs places" in said
    allowed = replace(bad, procedures={"AF-01": row(allowed={"a": "a reason"})})
    assert "AF-01: " not in "\n".join(allowed.mistakes())


def test_a_place_without_its_file(found: Catalogue) -> None:
    place = found.places["routes"].model_copy(update={"tests": ("tests/gone.py",)})
    assert list(replace(found, places={"routes": place}, procedures=found.procedures).mistakes())[-1] == (
        "places.yaml: routes: there is no tests/gone.py"
    )


def test_each_playbook_of_a_procedure_needs_a_story(found: Catalogue) -> None:
    both = (shipped(), shipped(name="b"))
    told = {"a": (StoryFile(ROOT / "playbooks" / "tests" / "a.yaml", 2),)}
    one = replace(found, procedures={"AF-01": row(places=["routes"])}, playbooks=both, stories=told)
    assert not one.covered("AF-01")
    assert replace(one, stories={**told, "b": told["a"]}).covered("AF-01")
    assert replace(one, playbooks=()).covered("AF-01")
    assert not replace(one, procedures={"AF-01": row()}, playbooks=()).covered("AF-01")


def test_a_playbook_counts_once_it_has_a_story(found: Catalogue) -> None:
    parts = {"airflow": ("A platform", ("AF-01",))}
    one = replace(found, parts=parts, procedures={"AF-01": row()}, playbooks=(shipped(),), stories={})
    assert not one.covered("AF-01")
    assert "(approve)<br>**not covered yet** | a: none yet |" in page(one)
    assert "- AF-01 A title" in page(one)
    assert one.without_story() == [shipped()]
    told = replace(one, stories={"a": (StoryFile(ROOT / "playbooks" / "tests" / "a.yaml", 2),)})
    assert told.covered("AF-01")
    assert "**not covered yet**" not in page(told)
    assert "[a](../playbooks/tests/a.yaml): 2" in page(told)
    missing = replace(told, procedures={"AF-01": row(missing="the last step")})
    assert not missing.covered("AF-01")
    assert "missing: the last step" in page(missing)


def test_stories_are_found_by_the_playbook_that_they_name(tmp_path: Path) -> None:
    (tmp_path / "playbooks" / "tests" / "x").mkdir(parents=True)
    for part in (ROOT / "catalogue").glob("*.yaml"):
        (tmp_path / "catalogue").mkdir(exist_ok=True)
        (tmp_path / "catalogue" / part.name).write_text(part.read_text())
    for name in ("one", "two"):
        text = f"# covers: AF-02\nname: {name}\ncovers: [AF-01]\nsteps: [{{ask: Sure?}}]\n"
        (tmp_path / "playbooks" / f"{name}.yaml").write_text(text)
    file = {
        "tests": [
            {"name": "a", "expect": [{"chosen": "one"}]},
            {"name": "b", "happens": [{"run": {"playbook": "two"}}]},
        ]
    }
    (tmp_path / "playbooks" / "tests" / "x" / "all.yaml").write_text(yaml.safe_dump(file))
    only = {"playbooks": ["../../two.yaml"], "tests": [{"name": "c", "expect": [{"effects": 0}]}]}
    (tmp_path / "playbooks" / "tests" / "x" / "only.yaml").write_text(yaml.safe_dump(only))
    several = {"playbooks": ["../../one.yaml", "../../two.yaml"], "tests": [{"name": "d", "expect": [{"effects": 0}]}]}
    (tmp_path / "playbooks" / "tests" / "x" / "two.yaml").write_text(yaml.safe_dump(several))
    made = load(tmp_path)
    assert {one.name: (one.covers, one.acts) for one in made.playbooks} == {
        "one": (("AF-01", "AF-02"), False),
        "two": (("AF-01", "AF-02"), False),
    }
    counts = {name: [(file.path.name, file.count) for file in files] for name, files in made.stories.items()}
    assert counts == {"one": [("all.yaml", 1)], "two": [("all.yaml", 1), ("only.yaml", 1), ("two.yaml", 1)]}


# --- the key of a playbook


@pytest.mark.parametrize("wrong", ["af-3", "aF-3", "AF-", "AF 03", "AF-03 EK-16", ""])
def test_an_id_is_short_and_plain(wrong: str) -> None:
    content = {"name": "a", "manual": True, "target": "from_alert", "steps": [{"ask": "Sure?"}]}

    def read(covers: list[str]) -> Playbook:
        return Playbook.model_validate(
            {**content, "covers": covers}, by_name=False, by_alias=True, context={FROM_YAML: True}
        )

    assert read(["AF-03", "EK-16"]).covers == ("AF-03", "EK-16")
    with pytest.raises(ValidationError):
        read([wrong])
