"""Text that somebody could put into a label to make us shout, lie or break."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from remediator.guardrails.verdict import Answer, Verdict
from remediator.people.story import ApprovalNote, EvidenceNote, Measure, Risk, Story, StoryAlert
from remediator.people.wording import WORDINGS
from tests.people.stories import NOW, ROLLBACK

SNIPPETS = (
    *("<!channel>", "<!here>", "<!everyone>", "<@U123>", "<!subteam^S1>", "<https://evil.example|Console>", "<#C1>"),
    *("```", "`", "*b*", "_i_", "~s~", "> quote", "&lt;!channel&gt;", "&", "<", ">", "|", "\n", "\r\n", "\u2028"),
    *("\u202e", "\u200b", "\x00", "\x1b[2J", "\ud800", "\U0001f525", "@channel", "javascript:alert(1)", ":fire:"),
    *("\u2066", "\u2069", "\u061c", "\u200f", "\u200d", "\ufeff", "\U000e0041", "\u3164", "a" + "\u0301" * 40),
    *(
        "\u05e9\u05dc\u05d5\u05dd",
        "\u0633\u0644\u0627\u0645 12",
        "{{ .x }}",
        "${alert.labels.x}",
        "@here",
        "https://evil.example",
    ),
    *("\t", "\x85", "\x7f", "#general", "<mailto:a@b.example|x>", "<!date^0^{ago}|soon>", ":white_check_mark: Fixed"),
)

hostile_text = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=20)), max_size=12).map(
    "".join
) | st.builds(lambda snippet, times: snippet * times, st.sampled_from(SNIPPETS), st.integers(1, 5000))

_texts = st.lists(hostile_text, max_size=30).map(tuple)
_alerts = st.lists(
    st.builds(
        StoryAlert,
        name=hostile_text,
        labels=st.fixed_dictionaries({"severity": hostile_text, "pod": hostile_text}),
        starts_at=st.just(NOW),
        summary=hostile_text,
    ),
    max_size=30,
).map(tuple)
_verdicts = st.lists(
    st.builds(
        Verdict,
        guardrail=hostile_text | st.sampled_from(["pause", "storm"]),
        answer=st.sampled_from(Answer),
        reason=hostile_text,
        changes=hostile_text,
        seen=st.dictionaries(hostile_text, hostile_text, max_size=3),
    ),
    max_size=30,
).map(tuple)
_approval = st.none() | st.builds(
    ApprovalNote,
    approvers=_texts,
    approved_by=_texts,
    rejected_by=hostile_text,
    comment=hostile_text,
    alone=hostile_text,
    quorum=st.integers(1, 3),
    expires_at=st.just(NOW + timedelta(days=2)),
)

hostile_stories: st.SearchStrategy[Story] = st.builds(
    replace,
    st.just(ROLLBACK),
    state=st.sampled_from([*WORDINGS, "brand_new_state"]),
    outcome=st.sampled_from(["", "undone", "expired", "<!channel>"]),
    **dict.fromkeys(
        ("headline", "explanation", "target", "cluster", "namespace", "severity", "owner", "playbook", "undo"),
        hostile_text,
    ),
    **dict.fromkeys(("console_url", "runbook", "generator_url", "next_rung", "mode", "description"), hostile_text),
    **dict.fromkeys(("taken_by", "snoozed_by"), st.just("") | hostile_text),
    remediation_id=st.just("r-4f2c91") | hostile_text,
    interactive=st.booleans(),
    break_glass_offered=st.booleans(),
    risk=st.none() | st.builds(Risk, takes=st.integers(0, 5), of=st.integers(0, 9) | st.none(), lasting=_texts),
    plan=_texts,
    alerts=_alerts,
    verdicts=_verdicts,
    diff=_texts,
    timeline=_texts,
    approval=_approval,
    measures=st.lists(st.builds(Measure, check=hostile_text, before=hostile_text, after=hostile_text), max_size=30).map(
        tuple
    ),
    evidence=st.lists(
        st.builds(EvidenceNote, title=hostile_text, text=hostile_text, log=hostile_text), max_size=70
    ).map(tuple),
)
