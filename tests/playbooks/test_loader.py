"""From text to a playbook in force."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.playbooks.loader import guess_name
from remediator.playbooks.model import Mode, Playbook
from remediator.playbooks.problems import BadPlaybook
from tests.playbooks.registry import load, text_of

FULL = """\
apiVersion: remediator.dev/v1
name: rollback-bad-release
description: A release that raised the error rate goes back.
owner: team-checkout
runbook: https://runbooks.example.com/checkout/errors
params:
  max_error_ratio: {type: number, default: 0.02, max: 0.1}
  copies: {type: integer, default: 3, min: 1}
match:
  alerts: ['alertname=~"HighErrorRate|BudgetBurn"', 'severity=~"critical|page"']
  when: target.revision_age < duration("2h") && alert.age > duration("2m")
target: from_alert
priority: 10
mode: approve
gather: 1m30s
collect:
  - logs: {previous: true, lines: 50}
steps:
  - action: rollback
    with: {to: last_healthy}
    verify: {rollout: }
  - wait: 5m
  - check: {pods_ready: {}}
  - ask: Is the old version still needed?
  - action: scale
    with: {to: "${params.copies}", min: 1, max: "${target.desired * 2}"}
    target: {kind: Deployment, namespace: "${target.namespace}", name: worker}
    repeatable: true
verify:
  settle: 60s
  checks:
    - promql: {query: 'errors{namespace="${target.namespace}"}', success: "< ${params.max_error_ratio}"}
    - alert_resolved: {}
approval: {quorum: 1, approvers: ["oncall:pagerduty/PSCHED1", "slack:@checkout-leads"], expires: 15m}
undo: {after: failed}
escalate:
  - playbook: restart-deployment
  - page: {urgency: high, service: checkout}
guardrails:
  max_targets: 1
  cooldown: {success: 15m, failure: 1h}
  rate_limit: {target: 2}
  min_available: "60%"
"""


def test_a_full_playbook_loads():
    loaded = load(FULL, "full.yaml")
    assert loaded.source == "full.yaml"
    assert loaded.playbook.mode is Mode.APPROVE
    assert loaded.playbook.steps[0].verify == {"rollout": {}}
    assert [check.kind for check in loaded.playbook.verify.checks] == ["promql", "alert_resolved"]
    assert len(loaded.hash) == 64


def test_a_playbook_survives_being_stored_as_json():
    playbook = load(FULL).playbook
    assert Playbook.model_validate_json(playbook.model_dump_json()) == playbook
    assert Playbook.model_validate(playbook.model_dump()) == playbook


def test_a_minimal_playbook_only_observes():
    assert load(text_of()).playbook.mode is Mode.OBSERVE


class TestHash:
    def test_comments_order_and_spacing_do_not_matter(self):
        other = """# a comment
steps:
- {action: "rollback"}
target: from_alert
match:
  alerts:
  - alertname="Broken"
name: a
"""
        assert load(other).hash == load(text_of("a")).hash

    def test_anchors_do_not_matter(self):
        plain = load(text_of(more="verify: {settle: 60s, timeout: 60s}\n"))
        assert load(text_of(more="verify: {settle: &t 60s, timeout: *t}\n")).hash == plain.hash

    def test_content_matters(self):
        hashes = {load(text_of(more=more)).hash for more in ("", "priority: 0\n", "priority: 1\n", "mode: auto\n")}
        assert len(hashes) == 4

    def test_a_spelt_out_default_is_other_content(self):
        """Defaults are not part of it, so that a new default does not change the hash of every playbook."""
        assert load(text_of(more="mode: observe\n")).hash != load(text_of()).hash

    def test_it_is_the_same_in_every_version(self):
        """Approvals under way are bound to it: a change here must be meant."""
        assert load(text_of("a")).hash == "3e1f38dd6ef80dc9d6188f6038e079e84550d2b96d2265fc3dcf2ac6baefb71b"


class TestArgumentsWithTemplates:
    def step(self, arguments: str, params: str = "{}"):
        return load(f"""\
name: a
params: {params}
match: {{alerts: ['alertname="Broken"']}}
target: from_alert
steps:
  - action: scale
    with: {arguments}
""")

    def test_what_depends_on_the_target_is_left_to_planning(self):
        assert self.step('{to: "${target.desired + 1}", min: 1, max: 5}')
        assert self.step('{to: "${labels.copies}", min: 1, max: 5}')

    def test_what_depends_on_defaults_is_checked_now(self):
        assert self.step('{to: 1, min: 1, max: "${params.m}"}', "{m: {type: integer, default: 5}}")
        with pytest.raises(BadPlaybook, match="must be at most 100, got 1000"):
            self.step('{to: 1, min: 1, max: "${params.m * 100}"}', "{m: {type: integer, default: 10}}")

    def test_a_parameter_without_default_is_left_to_planning(self):
        assert self.step('{to: 1, min: 1, max: "${params.m}"}', "{m: {type: integer}}")

    def test_the_other_arguments_are_checked_all_the_same(self):
        with pytest.raises(BadPlaybook, match=r'with\.maks: unknown key "maks"'):
            self.step('{to: "${target.desired}", min: 1, max: 5, maks: 6}')
        with pytest.raises(BadPlaybook, match=r"with\.min: must be at least 0, got -1"):
            self.step('{to: "${target.desired}", min: -1, max: 5}')
        with pytest.raises(BadPlaybook, match=r"with\.max: required"):
            self.step('{to: "${target.desired}", min: 1}')

    def test_rules_over_all_arguments_wait_for_the_values(self):
        assert self.step('{to: "${target.desired}", by: 1, min: 1, max: 5}')
        with pytest.raises(BadPlaybook, match="exactly one"):
            self.step('{to: 1, by: "${params.n}", min: 1, max: 5}', "{n: {type: integer, default: 1}}")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file():
    text = """\
name: Bad Name
match:
  alerts: ['alertname=']
  when: targt.ready
target: {kind: Pod, namespace: shop, name: x}
mode: automatic
steps:
  - action: rolback
  - action: scale
    with: {to: many}
escalate:
  - page: {urgency: loud}
"""
    with pytest.raises(BadPlaybook) as caught:
        load(text, "bad.yaml")
    problems = caught.value.problems
    assert [problem.line for problem in problems] == sorted(problem.line for problem in problems)
    assert {problem.field for problem in problems} >= {
        *("name", "match.when", "mode", "steps[0].action", "steps[1].action", "steps[1].with.to", "steps[1].with.min"),
        "escalate[0].page",
    }
    assert str(caught.value).count("bad.yaml:") == len(problems)
    assert caught.value.name == "Bad Name"


def test_the_number_of_problems_is_bounded():
    steps = "".join(f"  - action: a{n}\n" for n in range(500))
    with pytest.raises(BadPlaybook) as caught:
        load(f"name: a\nmatch: {{alerts: ['a=\"b\"']}}\ntarget: from_alert\nsteps:\n{steps}")
    assert len(caught.value.problems) == 50


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("name: api\n  broken", "api"),
        ('name: "api"  # comment\n\t', "api"),
        ("x: 1\nname: api\n", "api"),
        ("  name: api\n", ""),
        ("name: [x\n", ""),
        ("", ""),
    ],
)
def test_the_name_in_a_text_that_is_not_yaml(text, name):
    assert guess_name(text) == name


@given(st.text(max_size=300))
def test_never_raises_anything_else(text):
    with pytest.raises(BadPlaybook):
        load(text)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["${", "${labels.x}", "5m", "rollout"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["name", "params", "match", "target", "targets", "mode", "steps", "verify", "escalate", "guardrails", "collect"]


@given(st.dictionaries(st.sampled_from(KEYS), JUNK), JUNK)
def test_content_of_any_shape_is_either_loaded_or_explained(content, junk):
    """Whatever stands where: no exception but BadPlaybook."""
    match = {"alerts": ['alertname="x"'], "when": junk}
    steps = [{"action": "scale", "with": junk, "verify": junk, "target": junk}, junk]
    document = {"name": "a", "match": match, "target": "from_alert", "steps": steps, **content}
    try:
        load(json.dumps(document))
    except BadPlaybook:
        return
