"""The index finds every playbook that matches, and looks at few others."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.alerts.index import MatcherIndex
from remediator.alerts.matchers import InvalidMatcher, matches_all, parse_matchers


def index_of(*texts: str) -> MatcherIndex[str]:
    index: MatcherIndex[str] = MatcherIndex()
    for text in texts:
        index.add(text, parse_matchers(text))
    return index


def test_finds_by_alertname_and_without():
    """Equality, alternations and what has no finite alertname."""
    index = index_of('alertname="A"', 'alertname=~"A|B"', 'alertname="C"', 'alertname=~"A.*"', 'severity="critical"')
    assert index.matching({"alertname": "A", "severity": "critical"}) == [
        'alertname="A"',
        'alertname=~"A|B"',
        'alertname=~"A.*"',
        'severity="critical"',
    ]
    assert index.matching({"alertname": "B"}) == ['alertname=~"A|B"']
    assert len(index) == 5


def test_candidates_leave_out_what_a_finite_matcher_excludes():
    """The index is worth something: other alertnames, other namespaces are not even looked at."""
    index = index_of('alertname="A",namespace="x"', 'alertname="A",namespace="y"', 'alertname="B"')
    assert index.candidates({"alertname": "A", "namespace": "y"}) == ['alertname="A",namespace="y"']


def test_several_sets_are_alternatives():
    """One set that holds is enough, and an item is named once."""
    index: MatcherIndex[str] = MatcherIndex()
    index.add("item", parse_matchers('alertname="A"'), parse_matchers('alertname="A",x="1"'), parse_matchers('x="1"'))
    assert index.matching({"alertname": "A", "x": "1"}) == ["item"]
    assert index.candidates({"alertname": "A", "x": "1"}) == ["item"]
    assert index.matching({"alertname": "B", "x": "1"}) == ["item"]
    assert index.matching({"alertname": "B"}) == []


def test_several_matchers_on_one_label_all_hold():
    """Their values intersect; where nothing is left nothing matches."""
    index = index_of('alertname=~"A|B",alertname=~"B|C"', 'alertname="A",alertname="B"', 'x="1",x="2"')
    assert index.candidates({"alertname": "B", "x": "1"}) == ['alertname=~"A|B",alertname=~"B|C"']
    assert index.candidates({"alertname": "A"}) == []


def test_missing_label_is_found_as_empty():
    """`team=""` and `alertname=""` ask for alerts without the label."""
    index = index_of('alertname="A",team=""', 'alertname=""')
    assert index.matching({"alertname": "A"}) == ['alertname="A",team=""']
    assert index.matching({"team": "x"}) == ['alertname=""']


@pytest.mark.parametrize("sets", [(), ((),), (parse_matchers('a="b"'), ())])
def test_no_matchers_is_refused(sets):
    """Empty means nothing, never everything."""
    with pytest.raises(InvalidMatcher, match="this would match every alert"):
        MatcherIndex[str]().add("item", *sets)


def test_rest_counts_what_is_always_looked_at():
    """For a warning to authors: these slow down every alert."""
    assert index_of('alertname=~"A.*"', 'alertname!="B"', 'alertname="A"', 'severity="x"').rest == 2


def best_time(index: MatcherIndex[int], labels: dict[str, str]) -> float:
    """Seconds per lookup, the best of many batches: noise only ever adds."""

    def batch() -> float:
        started = time.perf_counter()
        for _ in range(500):
            index.candidates(labels)
        return (time.perf_counter() - started) / 500

    return min(batch() for _ in range(20))


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param('alertname="Alert{i}",severity=~"critical|page"', id="an alertname each"),
        pytest.param('alertname="Alert5",severity="critical",team="t-{i}"', id="one alertname, a team each"),
        pytest.param('severity="critical",team="t-{i}"', id="no alertname"),
    ],
)
def test_ten_thousand_playbooks_cost_what_ten_cost(pattern):
    """Within 1.5 times and 10 microseconds, of which a busy machine gets some slack here."""
    labels = {"alertname": "Alert5", "team": "t-5", "severity": "critical", "pod": "api-7d9-x", "job": "x"}
    times = {}
    for size in (10, 10_000):
        index: MatcherIndex[int] = MatcherIndex()
        for i in range(size):
            index.add(i, parse_matchers(pattern.format(i=i)))
        assert index.matching(labels) == [5]
        assert len(index.candidates(labels)) <= 2
        times[size] = best_time(index, labels)
    assert times[10_000] < 1.5 * times[10] + 2e-6
    assert times[10_000] < 20e-6


labels_of = st.dictionaries(
    st.sampled_from(["alertname", "namespace", "severity"]), st.sampled_from(["", "a", "b", "c"])
)
matcher_texts = st.builds(
    lambda name, op, value: f'{name}{op}"{value}"',
    st.sampled_from(["alertname", "namespace", "severity"]),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["", "a", "b", "a|b", "(b|c)", "a|", "a.*", ".+"]),
)


@settings(deadline=None)
@given(st.lists(st.lists(matcher_texts, min_size=1, max_size=4), max_size=8), labels_of)
def test_finds_exactly_what_a_scan_finds(playbooks, labels):
    """Candidates miss nothing; matching is the scan."""
    index: MatcherIndex[int] = MatcherIndex()
    parsed = [parse_matchers(",".join(texts)) for texts in playbooks]
    for number, matchers in enumerate(parsed):
        index.add(number, matchers)
    scan = [number for number, matchers in enumerate(parsed) if matches_all(matchers, labels)]
    assert index.matching(labels) == scan
    assert set(scan) <= set(index.candidates(labels))
