"""Which playbook an alert gets: candidates by matchers, the choice by `when` and priority. Pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.playbooks.catalog import (
    AmbiguousPriority,
    Catalog,
    Contender,
    NothingFits,
    Selected,
    ask,
    choose,
)
from remediator.playbooks.expressions import Environment
from tests.playbooks.registry import NOW, load, make, make_alert, text_of


def when(text: str, name: str = "a", more: str = ""):
    match = f"match: {{alerts: ['alertname=\"Broken\"'], when: '{text}'}}"
    return load(f"name: {name}\n{match}\ntarget: from_alert\nsteps: [{{action: rollback}}]\n{more}")


def contender(name: str, priority: int = 0, holds: bool | None = True, error: str = "") -> Contender:
    entry = Catalog([make(name, more=f"priority: {priority}")]).entry(name)
    assert entry
    return Contender(entry=entry, holds=holds, error=error)


class TestCandidates:
    def test_highest_priority_first_then_by_name(self):
        names = [("b", 0), ("c", 10), ("a", 0), ("d", -5)]
        catalog = Catalog([make(name, more=f"priority: {priority}") for name, priority in names])
        assert [entry.name for entry in catalog.candidates(make_alert())] == ["c", "a", "b", "d"]

    def test_all_matchers_must_hold(self):
        text = text_of().replace(
            """['alertname="Broken"']""", """['alertname="Broken"', 'severity=~"crit.*",team!="x"']"""
        )
        catalog = Catalog([load(text)])
        assert catalog.candidates(make_alert(severity="critical"))
        assert not catalog.candidates(make_alert(severity="critical", team="x"))
        assert not catalog.candidates(make_alert(severity="warning"))
        assert not catalog.candidates(make_alert(alertname="Other", severity="critical"))

    def test_status(self):
        resolved = load(text_of("r").replace("match: {", "match: {status: resolved, "))
        catalog = Catalog([make("f"), resolved])
        assert [entry.name for entry in catalog.candidates(make_alert())] == ["f"]
        assert [entry.name for entry in catalog.candidates(replace(make_alert(), status="resolved"))] == ["r"]

    def test_an_empty_catalog(self):
        assert Catalog().candidates(make_alert()) == ()
        assert len(Catalog()) == 0

    def test_lookup(self):
        catalog = Catalog([make("a"), make("b", more="priority: 5")])
        assert [loaded.playbook.name for loaded in catalog] == ["b", "a"]
        assert "a" in catalog
        assert "z" not in catalog
        assert catalog.get("z") is None
        assert catalog.entry("z") is None
        assert catalog.hashes["a"] == make("a").hash

    def test_two_of_one_name_cannot_be_in_force(self):
        with pytest.raises(ValueError, match="two playbooks are named a"):
            Catalog([make("a"), make("a", more="priority: 1")])


class TestAsking:
    def ask(self, text: str, **labels: str) -> Contender:
        entry = Catalog([when(text)]).entry("a")
        assert entry
        return ask(entry, Environment(make_alert(**labels), NOW).scope(params={}, target={"ready": 1}))

    def test_without_a_condition_it_fits(self):
        entry = Catalog([make("a")]).entry("a")
        assert entry
        assert ask(entry, Environment(make_alert(), NOW).scope(params={})).holds is True

    def test_true_and_false(self):
        assert self.ask("target.ready == 1").holds is True
        assert self.ask("target.ready == 2").holds is False

    def test_an_error_passes_it_over_with_the_reason(self):
        found = self.ask("labels.team == target.name")
        assert found.holds is None
        assert 'no label "team"' in found.error

    def test_an_answer_that_is_no_boolean_is_an_error(self):
        assert self.ask("target.ready").holds is None


class TestChoice:
    def test_the_highest_priority_wins_and_the_others_have_a_reason(self):
        choice = choose([contender("a", 1), contender("b", 5), contender("c", 3)])
        assert isinstance(choice, Selected)
        assert choice.loaded.playbook.name == "b"
        assert [str(one) for one in choice.not_chosen] == [
            "a: priority 1 is below 5 of b",
            "c: priority 3 is below 5 of b",
        ]

    def test_one_whose_condition_does_not_hold_gives_way(self):
        choice = choose([contender("a", 9, holds=False), contender("b", 1)])
        assert isinstance(choice, Selected)
        assert choice.loaded.playbook.name == "b"
        assert [one.name for one in choice.not_chosen] == ["a"]

    def test_an_error_is_recorded(self):
        choice = choose([contender("a", 9, holds=None, error="the alert has no label x"), contender("b", 1)])
        assert isinstance(choice, Selected)
        assert "could not be evaluated: the alert has no label x" in str(choice.not_chosen[0])

    def test_equal_priority_denies_and_names_both(self):
        choice = choose([contender("b", 5), contender("a", 5), contender("c", 1)])
        assert isinstance(choice, AmbiguousPriority)
        assert choice.names == ("a", "b")
        assert "a and b both fit with priority 5" in str(choice)
        assert [one.name for one in choice.not_chosen] == ["c"]

    def test_equal_priority_matters_only_among_those_that_fit(self):
        assert isinstance(choose([contender("a", 5), contender("b", 5, holds=False)]), Selected)
        assert isinstance(choose([contender("a", 5), contender("b", 5, holds=None)]), Selected)

    def test_nothing_fits(self):
        choice = choose([contender("a", holds=False), contender("b", holds=None, error="x")])
        assert isinstance(choice, NothingFits)
        assert [one.name for one in choice.not_chosen] == ["a", "b"]
        assert choose([]) == NothingFits(())

    def test_one_playbook_for_several_alerts_of_an_incident(self):
        """It is no rival of itself, and one alert for which its condition holds is enough."""
        choice = choose([contender("a", holds=False), contender("a"), contender("a")])
        assert isinstance(choice, Selected)
        assert choice.not_chosen == ()
