"""One scheme of four for everybody: what senders say, and what it means to whom."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from remediator.people.pages import trigger_event
from remediator.people.severity import PAGER_WORDS, UNREADABLE, UNSAID, Sev, Severities, sev_of
from tests.people.stories import ESCALATED

S1, S2, S3, S4 = Sev
COUNTS_FROM_P0 = Severities.model_validate({"by_source": {"b": {"priorities": "p0"}}})


@pytest.mark.parametrize(
    ("source", "word", "expected"),
    [
        # The table of the guides: four of them count from P1, one (b) from P0.
        *[(source, "P1", S1) for source in "ace"],
        *[(source, "P2", S2) for source in "ace"],
        *[(source, "P3", S3) for source in "ace"],
        *[(source, "P4", S4) for source in "ace"],
        ("b", "P0", S1),
        ("b", "P1", S2),
        ("b", "P2", S3),
        ("b", "P3", S4),
        ("a", "P0", S1),
        ("b", "P4", S4),
        ("a", "P5", S4),
        # Alertmanager's three, and what else is around.
        *[("a", word, S1) for word in ("critical", " CRITICAL ", "page", "emergency", "sev1")],
        *[("a", word, S2) for word in ("error", "high", "major", "sev2")],
        *[("a", word, S3) for word in ("warning", "Warn", "minor", "sev3")],
        *[("a", word, S4) for word in ("info", "none", "low", "sev4")],
        ("a", "whatever", UNREADABLE),
        ("a", "", UNSAID),
    ],
)
def test_what_a_word_means_depends_on_who_says_it(source: str, word: str, expected: Sev) -> None:
    assert COUNTS_FROM_P0.of({"severity": word}, source) is expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"severity": "critical", "priority": "P2"}, S1, id="the graver of the two"),
        pytest.param({"severity": "warning", "priority": "P1"}, S1, id="priority may be graver"),
        pytest.param({"priority": "P3"}, S3, id="priority alone"),
        pytest.param({"severity": "warning", "priority": "payments-team"}, S3, id="one that is no severity is ignored"),
        pytest.param({"severity": "odd", "priority": "strange"}, UNREADABLE, id="nothing that can be read"),
        pytest.param({}, UNSAID, id="nothing said"),
    ],
)
def test_both_labels_count(labels: dict[str, str], expected: Sev) -> None:
    assert Severities().of(labels) is expected


def test_what_is_configured_wins_over_what_is_shipped_and_a_source_over_all() -> None:
    made = Severities.model_validate(
        {"map": {"Critical": "sev2", "outage": "sev1"}, "by_source": {"lab": {"map": {"outage": "info"}}}}
    )
    assert [made.of_word(word) for word in ("critical", "outage")] == [S2, S1]
    assert [made.of_word(word, "lab") for word in ("critical", "outage")] == [S2, S4]


def test_everybody_can_count_from_p0() -> None:
    assert Severities(priorities="p0").of({"priority": "p1"}) is S2


@pytest.mark.parametrize("bad", [{"map": {"x": "P1"}}, {"map": {"x": "loud"}}, {"priorities": "p2"}, {"maps": {}}])
def test_what_cannot_be_meant_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Severities.model_validate(bad)


@given(st.dictionaries(st.sampled_from(("severity", "priority", "team")), st.text(max_size=12)))
def test_nothing_that_an_alert_says_makes_it_silent(labels: dict[str, str]) -> None:
    said = [v for k, v in labels.items() if k != "team" and v.strip()]
    found = Severities().of(labels)
    known = [s for v in said if (s := Severities().of_word(v))]
    assert found is (min(known) if known else UNREADABLE if said else UNSAID)
    assert UNSAID < S4, "what nobody has graded is not noise"


def test_the_pager_gets_it_as_one_of_its_own_words() -> None:
    words = [trigger_event(replace(ESCALATED, sev=sev.value))["payload"]["severity"] for sev in Sev]
    assert words == ["critical", "error", "warning", "info"] == list(PAGER_WORDS.values())


def test_what_the_teller_found_counts_more_than_the_word() -> None:
    assert sev_of(replace(ESCALATED, severity="critical", sev="sev3")) is S3
    assert sev_of(replace(ESCALATED, severity="critical", sev="")) is S1
