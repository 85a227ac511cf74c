"""What loads and is nevertheless likely to be a mistake."""

from __future__ import annotations

import pytest

from remediator.playbooks.folder import load_folder
from remediator.playbooks.lint import Finding, Severity, lines_of, lint
from remediator.playbooks.promql_text import bracket_problem, has_division, syntax_problem, unscoped
from tests.playbooks.registry import ACTIONS, CHECKS, load, make, text_of


def codes(*playbooks) -> list[tuple[str, str]]:
    """(playbook, code) of each finding."""
    return [(finding.playbook, finding.code) for finding in lint(playbooks, actions=ACTIONS)]


def findings(*playbooks) -> list[Finding]:
    return list(lint(playbooks, actions=ACTIONS))


def matching(name: str, *alerts: str, when: str = "", more: str = ""):
    listed = ", ".join(f"'{text}'" for text in alerts)
    condition = f", when: '{when}'" if when else ""
    steps = "steps: [{action: rollback}]"
    return load(
        f"name: {name}\nmatch: {{alerts: [{listed}]{condition}}}\ntarget: from_alert\n{steps}\n{more}", f"{name}.yaml"
    )


def test_a_good_playbook_has_no_findings():
    assert findings(make("a"), make("b", alertname="Other")) == []


class TestAlerts:
    def test_any_alertname(self):
        assert codes(matching("a", 'severity="critical"')) == [("a", "any-alertname")]
        assert codes(matching("a", 'alertname!="Watchdog"', 'severity="critical"')) == [("a", "any-alertname")]
        assert codes(matching("a", 'alertname=~"Kube.*"')) == []

    @pytest.mark.parametrize(
        "alerts",
        [
            ('alertname="A"', 'alertname="B"'),
            ('alertname=~"A|B"', 'alertname=~"C|D"'),
            ('alertname="A"', 'alertname!="A"'),
            ('alertname="A"', 'alertname=~"B.*"'),
            ('alertname="A"', 'team="x"', 'team!~"x|y"'),
        ],
    )
    def test_contradictions(self, alerts):
        assert ("a", "matches-nothing") in codes(matching("a", *alerts))

    @pytest.mark.parametrize("when", ["false", "1 > 2", "1 / 0 == 1", "1 + 1"])
    def test_conditions_that_never_hold(self, when):
        assert codes(matching("a", 'alertname="A"', when=when)) == [("a", "never-runs")]

    def test_conditions_that_may_hold(self):
        assert codes(matching("a", 'alertname="A"', when="true")) == []
        assert codes(matching("a", 'alertname="A"', when="target.ready == 0")) == []

    @pytest.mark.parametrize(
        ("one", "other", "code"),
        [
            pytest.param(('alertname="A"',), ('alertname="A"',), "overlap", id="the same"),
            pytest.param(
                ('alertname="A"', 'x="1"'), ('x="1"', 'alertname="A"'), "overlap", id="the same in another order"
            ),
            pytest.param(('alertname=~"A|B"',), ('alertname="A"',), "possible-overlap", id="one of several"),
            pytest.param(('alertname="A"', 'x="1"'), ('alertname="A"', 'y="1"'), "possible-overlap", id="other labels"),
            pytest.param(('alertname="A"',), ('alertname="B"',), None, id="other alerts"),
            pytest.param(('alertname="A"', 'x="1"'), ('alertname="A"', 'x="2"'), None, id="other values"),
            pytest.param(('alertname="A"', 'x="1"'), ('alertname="A"', 'x!="1"'), None, id="the rest"),
            pytest.param(('alertname="A"', 'x=~"1|2"'), ('alertname="A"', 'x=~"3.*"'), None, id="a regex apart"),
            pytest.param(('alertname=~"Kube.*"',), ('alertname="KubeA"',), None, id="a regex: not reported"),
        ],
    )
    def test_overlaps(self, one, other, code):
        found = codes(matching("a", *one), matching("b", *other))
        assert found == ([("b", code)] if code else [])

    def test_another_priority_or_status_settles_it(self):
        assert (
            codes(
                matching("a", 'alertname="A"'),
                matching("b", 'alertname="A"', when="target.ready == 0", more="priority: 1"),
            )
            == []
        )
        resolved = load(text_of("b", "A").replace("match: {", "match: {status: resolved, "))
        assert codes(make("a", "A"), resolved) == []

    def test_with_conditions_it_is_a_warning(self):
        found = findings(matching("a", 'alertname="A"', when="target.ready == 0"), matching("b", 'alertname="A"'))
        assert [(one.severity, one.code) for one in found] == [(Severity.WARNING, "possible-overlap")]

    def test_a_shadowed_playbook(self):
        high = matching("a", 'alertname="A"', more="priority: 5")
        assert codes(high, matching("b", 'alertname="A"', 'x="1"')) == [("b", "shadowed")]
        assert codes(high, matching("b", 'alertname=~"A|B"')) == []
        sometimes = matching("a", 'alertname="A"', when="target.ready == 0", more="priority: 5")
        assert codes(sometimes, matching("b", 'alertname="A"')) == []


class TestSteps:
    def test_auto_without_proof(self):
        assert codes(make("a", more="mode: auto")) == [("a", "auto-unverified")]
        assert codes(make("a", more="mode: auto\nverify: {checks: [{rollout: {}}]}")) == []
        assert codes(make("a", more="mode: approve")) == []

    def test_no_inverse_is_noted(self):
        text = text_of(more="mode: approve").replace("rollback", "rollout_restart")
        assert [(one.severity, one.code) for one in findings(load(text))] == [(Severity.NOTE, "no-undo")]
        assert findings(load(text + "\nundo: {after: never}")) == []
        assert findings(load(text_of().replace("rollback", "rollout_restart"))) == []  # it only observes

    @pytest.mark.parametrize("step", ["{wait: 5m}", "{check: {rollout: {}}}", "{ask: Sure?}"])
    def test_steps_behind_the_last_action(self, step):
        text = text_of().replace("[{action: rollback}]", f"[{step}, {{action: rollback}}, {step}]")
        found = findings(load(text))
        assert [(one.code, one.field) for one in found] == [("unreachable", "steps[2]")]

    def test_no_action_at_all(self):
        assert codes(load(text_of().replace("{action: rollback}", "{wait: 5m}"))) == [("a", "no-action")]


class TestLadders:
    def ladder(self, name: str, *rungs: str):
        return make(name, alertname=name, more=f"escalate: [{', '.join(f'{{playbook: {one}}}' for one in rungs)}]")

    def test_a_good_ladder(self):
        assert codes(self.ladder("a", "b", "c"), self.ladder("b", "c"), make("c", "c")) == []

    def test_an_unknown_rung(self):
        found = findings(self.ladder("a", "restrt"), make("restart", "x"))
        assert [(one.code, one.hint) for one in found] == [("unknown-rung", 'Did you mean "restart"?')]

    def test_the_same_rung_twice(self):
        assert codes(self.ladder("a", "b", "b"), make("b", "b")) == [("a", "rung-twice")]

    def test_cycles(self):
        found = findings(self.ladder("a", "b"), self.ladder("b", "c"), self.ladder("c", "a"))
        assert [(one.playbook, one.what) for one in found] == [
            ("a", "escalation goes in a circle: a -> b -> c -> a"),
            ("b", "escalation goes in a circle: b -> c -> a -> b"),
            ("c", "escalation goes in a circle: c -> a -> b -> c"),
        ]

    def test_a_circle_further_down_is_told_there(self):
        found = codes(self.ladder("a", "b"), self.ladder("b", "c"), self.ladder("c", "b"))
        assert found == [("b", "escalation-cycle"), ("c", "escalation-cycle")]

    def test_too_many_rungs(self):
        rest = [make(name, name) for name in "bcde"]
        found = findings(self.ladder("a", "b", "c", "d", "e"), *rest)
        assert [(one.code, one.field) for one in found] == [
            ("too-deep", "escalate[2].playbook"),
            ("too-deep", "escalate[3].playbook"),
        ]


class TestQueries:
    def query(self, text: str, more: str = "", target: str = "from_alert"):
        checks = (
            f"verify:\n  checks:\n    - promql:\n        query: |\n          {text}\n        success: '< 1'\n{more}"
        )
        return load(text_of(more=checks).replace("target: from_alert", f"target: {target}"))

    def test_a_good_query(self):
        assert codes(self.query('errors{namespace="${target.namespace}"} > 5')) == []

    def test_a_bare_ratio(self):
        ratio = 'sum(a{namespace="x"}) / sum(b{namespace="x"})'
        assert codes(self.query(ratio)) == [("a", "bare-ratio")]
        assert codes(self.query(ratio, more="        on_empty: {value: 0, while: up}\n")) == []

    def test_without_namespace(self):
        assert codes(self.query('errors{pod=~"api-.*"}')) == [("a", "no-namespace")]

    def test_what_has_no_namespace_needs_none(self):
        text = text_of(more="verify: {checks: [{promql: {query: errors}}]}")
        node = text.replace("from_alert", "{kind: Node, name: w1}").replace("{action: rollback}", "{wait: 5m}")
        assert codes(load(text)) == [("a", "no-namespace")]
        assert codes(load(node)) == [("a", "no-action")]

    def test_syntax(self):
        found = findings(self.query("sum(rate(errors[5m])"))
        assert [(one.severity, one.code) for one in found] == [(Severity.ERROR, "promql-syntax")]

    def test_queries_of_steps_are_seen_too(self):
        text = text_of().replace(
            "{action: rollback}",
            "{check: {promql: {query: 'a / b'}}}, {action: rollback, verify: {promql: {query: 'c / d'}}}",
        )
        fields = [one.field for one in findings(load(text)) if one.code == "bare-ratio"]
        assert fields == ["steps[0].check.promql.query", "steps[1].verify.promql.query"]


def test_findings_know_their_line(tmp_path):
    (tmp_path / "a.yaml").write_text("# first\n" + text_of(more="mode: auto\n"))
    results = load_folder(tmp_path, actions=ACTIONS, checks=CHECKS)
    loaded = [result.loaded for result in results if result.loaded]
    (finding,) = lint(loaded, actions=ACTIONS, lines=lines_of(results))
    assert str(finding) == (
        "a.yaml:6: mode: acts on its own and proves nothing. "
        "Add verify.checks, or use mode: approve. [warning auto-unverified]"
    )


class TestPromqlText:
    @pytest.mark.parametrize(
        ("query", "divides"),
        [
            ("a / b", True),
            ("a/b", True),
            ("sum(a)/sum(b)", True),
            ("a / (b + c)", True),
            ("a / 100", False),
            ("a / .5", False),
            ('a{path="/x/y"}', False),
            ("a # / b", False),
            ("a * b", False),
            ("rate(a[5m]) / on (x) rate(b[5m])", True),
            ("a / ${params.n}", True),
        ],
    )
    def test_divisions(self, query, divides):
        assert has_division(query) is divides

    @pytest.mark.parametrize(
        ("query", "metrics"),
        [
            ("up", ("up",)),
            ('up{namespace="x"}', ()),
            ('up{job="a",exported_namespace=~"x|y"}', ()),
            ('up{namespace!="x"}', ("up",)),
            ('kube_node_info{node="a"} * on (instance) node_load1{instance="a:9100"}', ()),
            ('up{node!="a",to_node="b"}', ("up",)),
            ('{__name__="up",namespace="x"}', ()),
            ('sum by (namespace, pod) (rate(errors_total{code=~"5.."}[5m])) > 3', ("errors_total",)),
            ('sum(a{namespace="x"}) / on (pod) group_left (node) b', ("b",)),
            ('a{namespace="x"} and on () b{namespace="x"} unless c', ("c",)),
            ("time() - vector(1)", ()),
            ('a{namespace="x"} offset 5m > bool 3', ()),
            ('label_replace(a{namespace="x"}, "dst", "$1", "src", "(.*)")', ()),
            ('job:errors:rate5m{x="namespace=1"}', ("job:errors:rate5m",)),
            ('a{namespace="{"}', ()),
        ],
    )
    def test_metrics_without_a_namespace(self, query, metrics):
        assert unscoped(query) == metrics

    @pytest.mark.parametrize(
        ("query", "problem"),
        [
            ("sum(rate(a[5m]))", ""),
            ('a{x="(["} # )', ""),
            ("a{x='\\''}", ""),
            ("a{x=`\\`}", ""),
            ("sum(a", "( is not closed"),
            ("sum(a))", ") closes nothing"),
            ("a[5m}", "} closes nothing"),
            ('a{x="y}', "a quote is not closed"),
        ],
    )
    def test_brackets(self, query, problem):
        assert bracket_problem(query) == problem

    def test_brackets_are_checked_without_the_parser_too(self, monkeypatch):
        monkeypatch.setattr("remediator.playbooks.promql_text._parser", lambda: None)
        assert syntax_problem("sum(") == "( is not closed"
        assert syntax_problem("sum by rate of things") == ""

    @pytest.mark.parametrize(
        "query",
        [
            "rate(errors[${params.window}])",
            'errors{pod="${labels.pod}"} > ${params.limit}',
            "${params.metric} > 5",
            'a{x="${labels.a}",y="${labels.b}",z="${labels.c}"} / ${params.d} > ${params.e}',
        ],
    )
    def test_templates_may_stand_for_anything(self, query):
        assert syntax_problem(query) == ""

    @pytest.mark.parametrize("query", ["sum by rate of things", "rate(a)", "a{x=y}", "1 +", "foo(a)"])
    def test_with_the_parser_syntax_is_checked(self, query):
        pytest.importorskip("promql_parser", reason="optional: the PromQL parser for lint")
        assert syntax_problem(query)
