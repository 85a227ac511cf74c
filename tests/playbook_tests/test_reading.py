"""A mistake in a test file is refused with its line, its field and the next step, and nothing is played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remediator.playbook_tests.reading import BadTestFile, read_cases
from tests.playbook_tests.stories import ACTIONS, STORY, write

HEAD = """\
tests:
  - name: one
    cluster: [{deployment: shop/api}]
"""
TAIL = "    expect: [{effects: 0}]\n"


def problems(folder: Path, text: str) -> list[str]:
    """What is said about a file, without its name: `LINE: FIELD: ...`."""
    path = write(folder, STORY)
    path.write_text(text)
    with pytest.raises(BadTestFile) as caught:
        read_cases(path, ACTIONS)
    return [str(problem).replace(f"{path}:", "") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("    clustr: []\n", '4: tests[0].clustr: unknown key "clustr". Did you mean "cluster"?'),
        ("    until: soon\n", "4: tests[0].until: expected a duration such as 90s, 15m or 2h, got 'soon'."),
        ("    start: yesterday\n", "4: tests[0].start: 'yesterday' is no time."),
        (
            "    alerts: [{name: A, resolves: later + 2m}]\n",
            "4: tests[0].alerts[0].resolves: expected a duration such as 90s, 15m or 2h, got 'later + 2m'. Write it "
            "like 90s or 2h, or counted from what the service does: effect, asked + 30s, undo + 1m.",
        ),
        (
            "    happens: [{at: 1m}]\n",
            "4: tests[0].happens[0]: it is exactly one of pods, release,",
        ),
        (
            "    happens: [{prometheus: down, chat: down}]\n",
            "got prometheus and chat. Write a list item for each.",
        ),
        ("    happens: [{approve: }]\n", "4: tests[0].happens[0]: nothing is given for approve."),
        (
            "    happens: [{delete: Deployment api}]\n",
            "4: tests[0].happens[0].delete: 'Deployment api' names no object.",
        ),
        ("    happens: [{delete: Thing shop/api}]\n", "'Thing shop/api' names no object."),
        ("    happens: [{api: {times: 2}}]\n", "4: tests[0].happens[0].api: it is exactly one of write and read."),
        ("    happens: [{silence: {matchers: ['a~b']}}]\n", "4: tests[0].happens[0].silence.matchers[0]: 'a~b' is no"),
        ("    happens: [{silence: {matchers: ['{}']}}]\n", "it matches everything. Write it like alertname="),
        ("    nodes: 0\n", "4: tests[0].nodes: must be at least 1, got 0."),
        ("    metrics: [{query: up}]\n", "4: tests[0].metrics[0]: query without values."),
        ("    metrics: [{series: 'sum(x)', values: 1}]\n", "4: tests[0].metrics[0]: sum(x): a series is a metric"),
        ("    metrics: [{series: 'x{a=~\"b\"}', values: 1}]\n", "a series has its labels with =;"),
        ("    config: {policy: {defaults: {cooldown: 1s}}}\n", "4: tests[0].config"),
        ("    config: {project: {name: p}}\n", "tests[0].config.project"),
        ("    operators: [{when: {created: Thing}, then: {delete: true}}]\n", "'Thing' names no kind. Write it like"),
        ("    operators: [{when: {changed: Job}, then: {delete: true}}]\n", "changed without a path. Add `path:`,"),
        ("    operators: [{when: {removed: Job}, then: {delete: true}}]\n", "and removed names none. Add `of:`."),
        ("    operators: [{when: {created: Job}, then: {}}]\n", "4: tests[0].operators[0].then"),
        (
            "    outside: {sql: {a: [{ask: {}}]}}\n",
            "what comes of it is one of answer, refuse, unavailable,",
        ),
        ("    outside: {sql: {a: [{send: {}, refuse: a, silent: true}]}}\n", "got refuse and silent. Keep one."),
        ("    outside: {sql: {a: [{ask: {}, silent: lost}]}}\n", "it makes no difference that it is lost."),
        ("    outside: {sql: {a: [{send: {}, found: never}]}}\n", "found belongs to a send that is silent."),
        (
            "    happens: [{apply: {manifest: {kind: Backup, metadata: {name: a}}}}]\n",
            "got 'Backup'. Write apiVersion",
        ),
        (
            "    happens: [{apply: {manifest: {kind: Backup.velero.io, apiVersion: v9, metadata: {name: a}}}}]\n",
            "apiVersion 'v9' is not that of Backup.velero.io. Write velero.io/v1.",
        ),
        (
            "    happens: [{apply: {manifest: {kind: Deployment, metadata: {name: a}, status: {}}}}]\n",
            "the status of a Deployment is the simulation's own.",
        ),
        ("    mode: careless\n", "4: tests[0].mode: cannot be 'careless'."),
    ],
)
def test_a_mistake_in_what_is_given(tmp_path: Path, part: str, said: str) -> None:
    assert said in "\n".join(problems(tmp_path, HEAD + part + TAIL))


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("{}", "4: tests[0].expect[0]: it is exactly one of chosen, not_chosen,"),
        ("{effects: 0, ends: denied}", "got effects and ends."),
        ("{effects: 0, by: 1m}", "4: tests[0].expect[0]: by does not go with effects. With effects go: no other keys."),
        ("{denied: protct}", "4: tests[0].expect[0].denied: 'protct' is no guardrail. Did you mean \"protect\"?"),
        ("{state: done}", "4: tests[0].expect[0].state: 'done' is no state."),
        ("{ends: verifying}", "4: tests[0].expect[0].ends: 'verifying' is no ending."),
        ("{message: {state: received}}", "'received' is no state that people are told."),
        ("{effect: {before: 3}}", "4: tests[0].expect[0].effect: before and after are values of a path. Add `path:`."),
        ("{efect: {}}", '4: tests[0].expect[0].efect: unknown key "efect". Did you mean "effect"?'),
        ("{chosen: }", "4: tests[0].expect[0]: nothing is given for chosen."),
    ],
)
def test_a_mistake_in_what_is_expected(tmp_path: Path, expected: str, said: str) -> None:
    assert said in "\n".join(problems(tmp_path, f"{HEAD}    expect: [{expected}]\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests: []\n", "1: tests: must not be empty. Fill it in."),
        ("- a\n", "1: a test file is a mapping (key: value). Begin with `tests:`."),
        ("tests: [\n", "not YAML"),
        ("playbooks: [../none.yaml]\n" + HEAD + TAIL, "none.yaml: no playbook there. Paths begin where this file is."),
        (HEAD + TAIL + "  - name: one\n" + TAIL, "5: name: 'one' is there twice. Rename one."),
        (HEAD, "2: tests[0].expect: required, but missing."),
    ],
)
def test_a_mistake_in_the_file(tmp_path: Path, text: str, said: str) -> None:
    assert said in "\n".join(problems(tmp_path, text))


def test_a_playbook_that_does_not_load(tmp_path: Path) -> None:
    path = write(tmp_path, STORY, playbook={"steps": [{"action": "rolout_restart"}]})
    with pytest.raises(BadTestFile, match=r"restart-api.yaml:\d+: steps\[0\].action: .*rollout_restart"):
        read_cases(path, ACTIONS)


def test_a_playbook_above_the_ceiling_of_the_config(tmp_path: Path) -> None:
    path = write(tmp_path, {**STORY, "config": {"policy": {"mode_ceiling": "approve"}}})
    with pytest.raises(BadTestFile, match="playbook restart-api: mode: auto is above the ceiling approve"):
        read_cases(path, ACTIONS)


def test_which_playbooks_are_meant(tmp_path: Path) -> None:
    """Those beside the folder `tests`; elsewhere it has to be said."""
    inside = write(tmp_path, STORY)
    (case,) = read_cases(inside, ACTIONS)
    assert [loaded.playbook.name for loaded in case.playbooks] == ["restart-api"]
    elsewhere = tmp_path / "api.yaml"
    elsewhere.write_text(inside.read_text())
    with pytest.raises(BadTestFile, match=r"Add `playbooks: \[FILE or FOLDER\]`"):
        read_cases(elsewhere, ACTIONS)
    elsewhere.write_text("playbooks: [restart-api.yaml]\n" + inside.read_text())
    assert len(read_cases(elsewhere, ACTIONS)) == 1


def test_defaults_are_for_what_a_test_does_not_say(tmp_path: Path) -> None:
    bare: dict[str, Any] = {"name": "bare", "expect": [{"effects": 0}]}
    own: dict[str, Any] = {"name": "own", "expect": [{"effects": 1}], "until": "1m", "happens": []}
    defaults = {"until": "5m", "nodes": 7, "happens": [{"chat": "down"}]}
    first, second = read_cases(write(tmp_path, bare, own, defaults=defaults), ACTIONS)
    assert (first.story.until.seconds, first.story.nodes, len(first.story.happens)) == (300, 7, 1)
    assert (second.story.until.seconds, second.story.nodes, len(second.story.happens)) == (60, 7, 0)
    assert first.line_of("happens", 0) < second.line < second.line_of("expect", 0)
